//! SIGKILL at random instants in a consumer: while it starts, shakes hands, receives, holds frames, leaves.

use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lava::{Consumer, ConsumerOptions, Frame, Outcome, Producer, ProducerOptions};

use crate::support::actor::Role;
use crate::support::census::Census;
use crate::support::durations::Durations;
use crate::support::nursery::{self, Nursery, Progress};
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, Random, payload, pool, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "kill/consumer", play: consumer },
    Scene { name: "kill/consumer_in_handshake", play: consumer_in_handshake },
];

pub(crate) const ROLES: &[Role] = &[
    Role { name: "kill/consumers", play: |place| nursery::serve(place, receive) },
    Role { name: "kill/shaking_consumers", play: |place| nursery::serve(place, shake_hands) },
];

const NAME: &str = "kill/me";
const SEED: u64 = 7;
const CAPACITY: u32 = 16;
/// Nothing may take longer, however slow the machine.
const LONGEST: Duration = Duration::from_secs(2);

/// The victim: receives for ever, holds some of the frames, releases them in any order.
fn receive(place: &Place, progress: &Progress) {
    let mut random = Random::new();
    let mut held: Vec<Frame> = Vec::new();
    let mut next = None;
    for frame in place.consumer(NAME) {
        let frame = frame.unwrap();
        let number = next.unwrap_or(frame.info().sequence);
        progress.begun.fetch_add(1, Ordering::SeqCst);
        payload::check(&frame, SEED, number).unwrap();
        progress.done.fetch_add(1, Ordering::SeqCst);
        next = Some(number + 1);
        held.push(frame);
        if held.len() > 5 {
            held.swap_remove(random.below(5) as usize);
        }
    }
}

/// The victim: comes and goes for ever.
fn shake_hands(place: &Place, progress: &Progress) {
    let context = place.context();
    let opened = ConsumerOptions::new().timeout(PATIENCE);
    loop {
        let mut consumer = Consumer::open(&context, NAME, &opened).unwrap();
        progress.begun.fetch_add(1, Ordering::SeqCst);
        if let Ok(lava::Received::Frame(frame)) = consumer.try_receive() {
            payload::check(&frame, SEED, frame.info().sequence).unwrap();
        }
    }
}

/// The producer that must not mind, with a consumer that must not miss anything.
struct Survivors {
    producer: Producer,
    sent: u64,
    witness: JoinHandle<u64>,
}

impl Survivors {
    fn new(place: &Place) -> Self {
        let options = ProducerOptions::new().max_frame_size(16 * 1024).capacity(CAPACITY);
        let producer = place.producer(NAME, &options);
        let consumer = place.consumer(NAME);
        let witness = std::thread::spawn(move || {
            let mut received = 0;
            for frame in consumer {
                payload::check(&frame.unwrap(), SEED, received).unwrap();
                received += 1;
            }
            received
        });
        Self { producer, sent: 0, witness }
    }

    fn send(&mut self) {
        payload::send(&mut self.producer, SEED, self.sent).unwrap();
        self.sent += 1;
    }

    /// Sends until the victim is forgotten. Gives how long that took.
    fn outlive(&mut self, killed: Instant) -> Duration {
        while self.producer.consumer_count() > 1 {
            self.send();
            assert!(killed.elapsed() < PATIENCE, "the dead consumer is still there");
        }
        killed.elapsed()
    }

    /// Everything that was published was delivered, and every slot came back.
    fn end(mut self) {
        assert_eq!(self.producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
        assert_eq!(pool::free(&self.producer), u64::from(CAPACITY));
        drop(self.producer);
        assert_eq!(self.witness.join().expect("the witness"), self.sent);
    }
}

fn massacre(place: &Place, role: &str, wait: impl Fn(&mut Survivors, &Progress, &mut Random)) {
    let rounds = times(1000);
    let before = Census::take();
    let mut nursery = Nursery::start(place, role, rounds);
    let mut survivors = Survivors::new(place);
    let mut random = Random::new();
    let (mut gone, start) = (Durations::default(), Instant::now());
    for _ in 0..rounds {
        let victim = nursery.bear();
        wait(&mut survivors, nursery.progress(&victim), &mut random);
        gone.add(survivors.outlive(victim.kill().at));
    }
    let sent = survivors.sent;
    let log = nursery.end();
    survivors.end();
    before.assert_not_exceeded();
    let lived = (0..rounds).filter(|round| log.of(*round).begun.load(Ordering::SeqCst) > 0).count();
    println!(
        "result: {rounds} consumers killed in {:.1?}, {lived} of them connected, {sent} frames",
        start.elapsed()
    );
    println!("result: the producer knew of it after {}", gone.text());
    assert!(lived > rounds / 4, "only {lived} victims lived long enough to connect");
    assert!(gone.longest() < LONGEST, "the producer knew of it after {:?}", gone.longest());
}

fn consumer(place: &Place) -> Played {
    massacre(place, "kill/consumers", |survivors, progress, random| {
        let start = Instant::now();
        let after = Duration::from_nanos(random.below(4_000_000));
        let frames = random.below(2) * (1 + random.below(60));
        while start.elapsed() < after || progress.done.load(Ordering::SeqCst) < frames {
            survivors.send();
            assert!(start.elapsed() < PATIENCE, "the victim receives nothing");
        }
    });
    Ok(())
}

fn consumer_in_handshake(place: &Place) -> Played {
    massacre(place, "kill/shaking_consumers", |survivors, progress, random| {
        let start = Instant::now();
        let after = Duration::from_nanos(random.below(2_000_000));
        let connections = random.below(2) * (1 + random.below(5));
        while progress.begun.load(Ordering::SeqCst) < connections {
            survivors.send();
            assert!(start.elapsed() < PATIENCE, "the victim does not connect");
        }
        random.pause(after);
    });
    Ok(())
}
