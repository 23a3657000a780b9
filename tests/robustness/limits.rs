//! Much of everything: descriptors until none is left, channels, consumers, bytes.

use std::fs::File;
use std::time::{Duration, Instant};

use lava::{
    Consumer, ConsumerOptions, Context, Error, ErrorKind, Outcome, Producer, ProducerOptions,
    Received,
};

use crate::support::actor::{self, Actor, Role};
use crate::support::census::Census;
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, payload, system};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "limits/no_descriptor_left", play: no_descriptor_left },
    Scene { name: "limits/service_outlives_exhaustion", play: service_outlives_exhaustion },
    Scene { name: "limits/thousand_channels", play: thousand_channels },
    Scene { name: "limits/consumer_too_many", play: consumer_too_many },
    Scene { name: "limits/beyond_4_gib", play: beyond_4_gib },
    Scene { name: "limits/memory_comes_with_writing", play: memory_comes_with_writing },
];

pub(crate) const ROLES: &[Role] = &[Role { name: "limits/late_consumer", play: late_consumer }];

/// The next frame, waiting for it.
fn receive(consumer: &mut Consumer) -> lava::Frame {
    match consumer.receive_timeout(PATIENCE).unwrap() {
        Received::Frame(frame) => frame,
        other => panic!("no frame, but {other:?}"),
    }
}

fn assert_is_file_limit(error: &Error) {
    // `Refused`: it is the producer that has none left.
    assert!(matches!(error.kind(), ErrorKind::Limit | ErrorKind::Refused), "{error:?}");
    assert!(error.to_string().contains("RLIMIT_NOFILE"), "which limit? {error}");
}

/// Every call that needs a descriptor says that none is left, gives back what it had taken, and works again later.
fn no_descriptor_left(place: &Place) -> Played {
    system::limit_files(100)?;
    let context = place.context();
    let mut producer = Producer::create(&context, "kept", &ProducerOptions::new()).unwrap();
    let mut consumer = place.consumer("kept");
    // The pool's memory comes with its first use.
    for number in 0..8 {
        payload::send(&mut producer, 1, number).unwrap();
        payload::check(&receive(&mut consumer), 1, number).unwrap();
    }
    let before = Census::take();
    // Each number of descriptors left ends another system call within the calls.
    for left in 0..16 {
        let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        hoard.truncate(hoard.len() - left);
        let opened = ConsumerOptions::new().timeout(Duration::from_millis(100));
        let outcomes = [
            Context::create(&place.options()).map(drop),
            Producer::create(&context, "more", &ProducerOptions::new()).map(drop),
            Consumer::open(&context, "kept", &opened).map(drop),
        ];
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            // A consumer whose producer has no descriptor left to accept it with waits in vain.
            if error.kind() != ErrorKind::TimedOut {
                assert_is_file_limit(error);
            }
        }
        if left == 0 {
            assert!(outcomes.iter().all(Result::is_err));
        }
        let number = 8 + left as u64;
        payload::send(&mut producer, 1, number).unwrap();
        payload::check(&receive(&mut consumer), 1, number).unwrap();
    }
    drop(Producer::create(&context, "more", &ProducerOptions::new()).expect("room again"));
    drop(place.consumer("kept"));
    before.assert_not_exceeded_by(|| {
        let _ = producer.consumer_count();
    });
    Ok(())
}

fn late_consumer(place: &Place) {
    actor::hear();
    let mut consumer = place.consumer("crowded");
    payload::check(&consumer.receive().unwrap().expect("a frame"), 1, 1).unwrap();
}

/// Without a descriptor for a new consumer the service thread neither spins nor forgets the consumer.
fn service_outlives_exhaustion(place: &Place) -> Played {
    system::limit_files(100)?;
    let mut late = Actor::start(place, "limits/late_consumer");
    let mut producer = place.producer("crowded", &ProducerOptions::new());
    let mut consumer = place.consumer("crowded");
    let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    late.say("connect");
    let (start, time) = (Instant::now(), system::processor_time());
    std::thread::sleep(Duration::from_millis(500));
    let busy = (system::processor_time() - time).as_secs_f64() / start.elapsed().as_secs_f64();
    assert!(busy < 0.2, "the service thread spins: {:.0} % of a processor", busy * 100.0);
    payload::send(&mut producer, 1, 0).unwrap();
    payload::check(&receive(&mut consumer), 1, 0).unwrap();
    assert_eq!(producer.consumer_count(), 1, "connected without a descriptor");
    drop(hoard);
    assert_eq!(producer.wait_consumers(2, PATIENCE).unwrap(), Outcome::Done);
    payload::send(&mut producer, 1, 1).unwrap();
    assert!(late.end().success());
    Ok(())
}

const CHANNELS: u64 = 1000;

fn thousand_channels(place: &Place) -> Played {
    system::limit_files(20 * CHANNELS)?;
    // The allocator keeps what the first time takes.
    use_thousand_channels(place);
    let before = Census::take();
    let created = use_thousand_channels(place);
    println!("result: {CHANNELS} channels with a consumer each made in {created:.2?}");
    before.assert_not_exceeded();
    Ok(())
}

fn use_thousand_channels(place: &Place) -> Duration {
    let start = Instant::now();
    let (producing, consuming) = (place.context(), place.context());
    let options = ProducerOptions::new().max_frame_size(16 * 1024).capacity(2);
    let mut pairs: Vec<(Producer, Consumer)> = (0..CHANNELS)
        .map(|channel| {
            let name = format!("many/{channel}");
            let producer = Producer::create(&producing, &name, &options).unwrap();
            (producer, Consumer::open(&consuming, &name, &ConsumerOptions::new()).unwrap())
        })
        .collect();
    let created = start.elapsed();
    for number in 0..3 {
        for (channel, (producer, _)) in pairs.iter_mut().enumerate() {
            payload::send(producer, channel as u64, number).unwrap();
        }
        for (channel, (_, consumer)) in pairs.iter_mut().enumerate() {
            payload::check(&receive(consumer), channel as u64, number).unwrap();
        }
    }
    created
}

fn consumer_too_many(place: &Place) -> Played {
    let mut producer = place.producer("full", &ProducerOptions::new());
    let context = place.context();
    let open = || Consumer::open(&context, "full", &ConsumerOptions::new());
    let mut consumers: Vec<Consumer> = (0..64).map(|_| open().expect("at most 64")).collect();
    let error = open().map(drop).expect_err("the 65th");
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("64"), "why? {error}");
    for number in 0..20 {
        payload::send(&mut producer, 1, number).unwrap();
        for consumer in &mut consumers {
            payload::check(&receive(consumer), 1, number).unwrap();
        }
    }
    // A place that is left can be taken, and the 64 bits of the pool's bookkeeping are used again.
    for _ in 0..70 {
        drop(consumers.remove(0));
        let start = Instant::now();
        consumers.push(loop {
            match open() {
                Ok(consumer) => break consumer,
                Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
            }
        });
    }
    payload::send(&mut producer, 1, 20).unwrap();
    for consumer in &mut consumers {
        payload::check(&receive(consumer), 1, 20).unwrap();
    }
    Ok(())
}

fn beyond_4_gib(place: &Place) -> Played {
    const SIZE: usize = (5 << 30) + 12_345;
    let before = Census::take();
    let options = ProducerOptions::new().max_frame_size(SIZE as u64).capacity(1);
    let mut producer = place.producer("huge", &options);
    let mut consumer = place.consumer("huge");
    let places = [0, (1 << 32) - 3, (1 << 32) + 4096, SIZE - 8];
    let mut loan = producer.loan(SIZE).unwrap();
    for at in places {
        loan.write_at(at, &(at as u64).to_ne_bytes()).unwrap();
    }
    producer.send(loan).unwrap();
    let frame = receive(&mut consumer);
    assert_eq!(frame.len(), SIZE);
    for at in places {
        let mut word = [0; 8];
        frame.read_at(at, &mut word).unwrap();
        assert_eq!(u64::from_ne_bytes(word), at as u64);
    }
    let more = Census::take().resident() - before.resident();
    assert!(more < 1024, "{more} KiB are resident after a few bytes were written");
    Ok(())
}

fn memory_comes_with_writing(place: &Place) -> Played {
    let warm = place.producer("warm", &ProducerOptions::new());
    let before = Census::take();
    let producer = place.producer("lazy", &ProducerOptions::new());
    let consumer = place.consumer("lazy");
    let more = Census::take().resident().saturating_sub(before.resident());
    println!("result: 8 slots of 1 MiB with both ends in this process: {more} KiB resident");
    assert!(more < 1024, "{more} KiB");
    drop((warm, producer, consumer));
    Ok(())
}
