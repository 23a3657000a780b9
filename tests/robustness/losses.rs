//! How soon many consumers of one process hear of a death, and that nothing stands in the way of it.

use std::time::{Duration, Instant};

use lava::{Consumer, ConsumerOptions, Context, ErrorKind, ProducerOptions};

use crate::support::actor::{self, Actor, Role};
use crate::support::durations::Durations;
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, seccomp, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "losses/sixty_four_at_once", play: sixty_four_at_once },
    Scene { name: "losses/service_thread_touches_no_file", play: service_thread_touches_no_file },
];

pub(crate) const ROLES: &[Role] = &[Role { name: "losses/producer", play: produce }];

const NAME: &str = "losses/me";
const CONSUMERS: usize = 64;
/// Enough for a machine that has other things to do: each consumer's loss is a few microseconds of work.
const PROMISED: Duration = Duration::from_millis(100);

fn produce(place: &Place) {
    let _producer = place.producer(NAME, &ProducerOptions::new().max_frame_size(64));
    actor::say("there");
    actor::hear();
}

fn open(context: &Context) -> Consumer {
    Consumer::open(context, NAME, &ConsumerOptions::new().timeout(PATIENCE)).expect("a producer")
}

/// Waits for the loss of its producer; gives the moment.
fn hear_of_it(consumer: &mut Consumer) -> Instant {
    let error = consumer.receive_timeout(PATIENCE).map(drop).expect_err("the producer is dead");
    assert_eq!(error.kind(), ErrorKind::PeerLost, "{error}");
    Instant::now()
}

/// All losses of one process are told by one thread.
fn sixty_four_at_once(place: &Place) -> Played {
    let context = place.context();
    let mut told = Durations::default();
    let rounds = times(50);
    for _ in 0..rounds {
        let mut producer = Actor::start(place, "losses/producer");
        producer.expect("there");
        let mut consumers: Vec<Consumer> = (0..CONSUMERS).map(|_| open(&context)).collect();
        producer.kill();
        let dead = Instant::now();
        for consumer in &mut consumers {
            told.add(hear_of_it(consumer) - dead);
        }
    }
    println!("result: {CONSUMERS} consumers of one process, {rounds} deaths: {}", told.text());
    let late = told.later_than(PROMISED);
    assert!(late <= rounds * CONSUMERS / 100, "{late} losses were told later than {PROMISED:?}");
    Ok(())
}

/// Removing the dead producer's socket file may have to wait for a disk. The thread that tells of deaths does not do it.
fn service_thread_touches_no_file(place: &Place) -> Played {
    let context = place.context();
    let file = place.runtime().join(NAME.replace('/', "+"));
    let mut producer = Actor::start(place, "losses/producer");
    producer.expect("there");
    // The service thread starts with the first channel, and inherits the filter of the thread that opens it.
    let opened = std::thread::scope(|scope| {
        let opener = scope.spawn(|| {
            seccomp::forbid(&[libc::SYS_unlinkat, libc::SYS_flock])?;
            Ok(open(&context))
        });
        opener.join().expect("no panic")
    });
    let mut consumer = opened?;
    producer.kill();
    hear_of_it(&mut consumer);
    assert!(file.exists(), "removed by the service thread");
    // Whoever destroys the consumer removes it: nothing is left.
    drop(consumer);
    assert!(!file.exists(), "not removed");
    Ok(())
}
