//! What must hold for long, or while signals, stops and load disturb: nothing grows, nothing is lost, no call hangs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lava::{
    Bytes, Consumer, ConsumerOptions, Outcome, Policy, Producer, ProducerOptions, Received,
};

use crate::support::actor::{self, Actor, Role};
use crate::support::census::Census;
use crate::support::place::Place;
use crate::support::stage::Scene;
use crate::support::{PATIENCE, Played, payload, times};

pub(crate) const SCENES: &[Scene] = &[
    Scene { name: "endurance/many_frames", play: many_frames },
    Scene { name: "endurance/many_connections", play: many_connections },
    Scene { name: "endurance/signals", play: signals },
    Scene { name: "endurance/stopped_consumer", play: stopped_consumer },
    Scene { name: "endurance/stopped_producer", play: stopped_producer },
];

pub(crate) const ROLES: &[Role] = &[
    Role { name: "endurance/consumer", play: consume },
    Role { name: "endurance/producer", play: produce },
];

const NAME: &str = "long";

/// Counts frames of 8 bytes until the channel ends.
fn count(mut consumer: Consumer) -> u64 {
    let mut frames = lava::Frames::with_capacity(256);
    let mut next = 0_u64;
    while consumer.receive_many(&mut frames, PATIENCE).unwrap().is_some() {
        for frame in &frames {
            assert_eq!(frame.copy_to_vec::<u64>().unwrap(), [next]);
            next += 1;
        }
    }
    next
}

/// Sends frames `first` to `last`, in batches.
fn send(producer: &mut Producer, first: u64, last: u64) {
    let numbers: Vec<[u8; 8]> = (first..last).map(u64::to_ne_bytes).collect();
    for batch in numbers.chunks(64) {
        let parts: Vec<_> = batch.iter().map(|number| Bytes::from(&number[..])).collect();
        assert_eq!(producer.send_bytes_many(&parts, PATIENCE).unwrap(), parts.len());
    }
}

/// Memory, descriptors and threads are the same after many frames as after few.
fn many_frames(place: &Place) -> Played {
    let frames = times(1_000_000) as u64;
    let mut producer = place.producer(NAME, &ProducerOptions::new());
    let consumer = place.consumer(NAME);
    let counter = std::thread::spawn(move || count(consumer));
    let warm = frames / 10;
    let start = Instant::now();
    send(&mut producer, 0, warm);
    let before = Census::take();
    for first in (warm..frames).step_by(10_000) {
        send(&mut producer, first, frames.min(first + 10_000));
    }
    before.assert_not_exceeded();
    drop(producer);
    assert_eq!(counter.join().expect("the consumer"), frames);
    println!("result: {frames} frames in {:.1?}", start.elapsed());
    Ok(())
}

/// The same after many consumers that came and went, each with some frames.
fn many_connections(place: &Place) -> Played {
    let mut producer = place.producer(NAME, &ProducerOptions::new().max_frame_size(16 * 1024));
    let context = place.context();
    let mut number = 0;
    let mut serve = |producer: &mut Producer| {
        let mut consumer = Consumer::open(&context, NAME, &ConsumerOptions::new()).unwrap();
        for _ in 0..3 {
            payload::send(producer, 1, number).unwrap();
            let Received::Frame(frame) = consumer.receive_timeout(PATIENCE).unwrap() else {
                panic!("no frame {number}")
            };
            payload::check(&frame, 1, number).unwrap();
            number += 1;
        }
    };
    (0..50).for_each(|_| serve(&mut producer));
    let forget = |producer: &Producer| {
        crate::support::eventually("all are gone", || producer.consumer_count() == 0);
    };
    forget(&producer);
    let before = Census::take();
    (0..times(2000)).for_each(|_| serve(&mut producer));
    before.assert_not_exceeded_by(|| {
        let _ = producer.consumer_count();
    });
    Ok(())
}

static SIGNALS: AtomicU64 = AtomicU64::new(0);

extern "C" fn note_signal(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// A signal every 200 µs, to any thread, that interrupts whatever it can.
fn disturb(disturbed: bool) {
    let every = libc::timeval { tv_sec: 0, tv_usec: if disturbed { 200 } else { 0 } };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the handler only adds to an atomic; without SA_RESTART system calls end with EINTR.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note_signal as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
}

fn signals(place: &Place) -> Played {
    let before = Census::take();
    disturb(true);
    for round in 0..times(50) as u64 {
        let context = place.context();
        let mut producer = place.producer(NAME, &ProducerOptions::new());
        let mut consumer = Consumer::open(&context, NAME, &ConsumerOptions::new()).unwrap();
        let receiver = std::thread::spawn(move || {
            for number in 0..50 {
                let Received::Frame(frame) = consumer.receive_timeout(PATIENCE).unwrap() else {
                    panic!("no frame {number}")
                };
                payload::check(&frame, round, number).unwrap();
            }
            // Interrupted many times, and not ended by that.
            let start = Instant::now();
            let wait = Duration::from_millis(5);
            assert!(matches!(consumer.receive_timeout(wait).unwrap(), Received::Empty));
            assert!(start.elapsed() >= wait, "it ended after {:?}", start.elapsed());
        });
        for number in 0..50 {
            payload::send(&mut producer, round, number).unwrap();
            if number % 10 == 0 {
                std::thread::sleep(Duration::from_micros(300));
            }
        }
        receiver.join().expect("the consumer");
    }
    disturb(false);
    let count = SIGNALS.load(Ordering::Relaxed);
    assert!(count > 100, "only {count} signals came");
    println!("result: {count} signals");
    before.assert_not_exceeded();
    Ok(())
}

fn consume(place: &Place) {
    let mut consumer = place.consumer(NAME);
    actor::say("connected");
    let (mut count, mut next) = (0, 0);
    while let Received::Frame(frame) = consumer.receive_timeout(PATIENCE).unwrap() {
        let number = frame.info().sequence;
        assert!(number >= next, "frame {number} came after {next}");
        payload::check(&frame, 1, number).unwrap();
        (next, count) = (number + 1, count + 1);
    }
    actor::say(&format!("{count} frames"));
}

fn signal(actor: &Actor, signal: i32) {
    // SAFETY: a child that was not reaped yet.
    assert_eq!(unsafe { libc::kill(actor.process() as i32, signal) }, 0);
}

/// A consumer that stands still holds up only what the policy says, and misses nothing when it goes on.
fn stopped_consumer(place: &Place) -> Played {
    let options = ProducerOptions::new().max_frame_size(16 * 1024).queue_length(8);
    let mut producer = place.producer(NAME, &options);
    let mut other = Actor::start(place, "endurance/consumer");
    other.expect("connected");
    signal(&other, libc::SIGSTOP);
    let (mut sent, wait) = (0, Duration::from_millis(100));
    let start = Instant::now();
    while producer.send_bytes_timeout(&payload::payload(1, sent), wait).unwrap() == Outcome::Done {
        sent += 1;
        assert!(start.elapsed() < PATIENCE, "the queue never gets full");
    }
    assert!((1..=16).contains(&sent), "{sent} frames went into a queue of 8");
    assert_eq!(producer.consumer_count(), 1, "standing still is not death");
    signal(&other, libc::SIGCONT);
    for number in sent..sent + 100 {
        payload::send(&mut producer, 1, number).unwrap();
    }
    drop(producer);
    other.expect(&format!("{} frames", sent + 100));
    assert!(other.end().success());
    // With a policy that drops, others get everything meanwhile.
    let options = options.policy(Policy::DropNewest).capacity(64);
    let mut producer = place.producer(NAME, &options);
    let mut other = Actor::start(place, "endurance/consumer");
    other.expect("connected");
    let mut awake = place.consumer(NAME);
    signal(&other, libc::SIGSTOP);
    for number in 0..200 {
        payload::send(&mut producer, 1, number).unwrap();
        let Received::Frame(frame) = awake.receive_timeout(PATIENCE).unwrap() else {
            panic!("no frame {number}")
        };
        payload::check(&frame, 1, number).unwrap();
    }
    signal(&other, libc::SIGCONT);
    drop(producer);
    other.expect("8 frames");
    assert!(other.end().success());
    Ok(())
}

fn produce(place: &Place) {
    let mut producer = place.producer(NAME, &ProducerOptions::new());
    assert_eq!(producer.wait_consumers(1, PATIENCE).unwrap(), Outcome::Done);
    actor::say("connected");
    let mut number = 0;
    while let Some(count) = actor::hear() {
        for _ in 0..count.parse().unwrap() {
            payload::send(&mut producer, 1, number).unwrap();
            number += 1;
        }
        actor::say("sent");
    }
}

/// A producer that stands still is neither dead nor a reason to hang; new consumers wait as long as they want to.
fn stopped_producer(place: &Place) -> Played {
    let mut other = Actor::start(place, "endurance/producer");
    let mut consumer = place.consumer(NAME);
    other.expect("connected");
    other.say("5");
    other.expect("sent");
    signal(&other, libc::SIGSTOP);
    let mut receive = |number, wait| match consumer.receive_timeout(wait).unwrap() {
        Received::Frame(frame) => {
            payload::check(&frame, 1, number).unwrap();
            true
        }
        other => {
            assert!(matches!(other, Received::Empty), "{other:?}");
            false
        }
    };
    // What was published is there.
    (0..5).for_each(|number| assert!(receive(number, PATIENCE), "no frame {number}"));
    assert!(!receive(5, Duration::from_millis(200)), "a frame from nowhere");
    let opened = ConsumerOptions::new().timeout(Duration::from_millis(200));
    let error = Consumer::open(&place.context(), NAME, &opened).map(drop).expect_err("silence");
    assert_eq!(error.kind(), lava::ErrorKind::TimedOut, "{error}");
    signal(&other, libc::SIGCONT);
    other.say("5");
    (5..10).for_each(|number| assert!(receive(number, PATIENCE), "no frame {number}"));
    other.expect("sent");
    assert!(other.end().success());
    Ok(())
}
