//! The sleep and wake protocol: whoever sleeps is woken by what comes after its last look. A lost wake-up leaves a
//! thread asleep for ever, which loom reports as a deadlock.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::transport::ring::alarm::{self, Fences, Sleeper};
use crate::transport::ring::descriptors::{Reader, Writer};
use crate::transport::ring::releases;
use crate::world::{Model, Taken, World, explore, frame, pop};

pub const MODELS: &[Model] = &[
    ("alarm of a consumer", || explore(3, || consumer_sleeps(Fences::Symmetric))),
    ("alarm of a consumer, with a barrier", || explore(3, || consumer_sleeps(Fences::Asymmetric))),
    ("alarm of a producer", || explore(3, producer_sleeps)),
    ("alarm seen by two threads", || explore(2, two_wakers)),
    ("alarm for an event", || explore(3, event)),
    ("alarm for sleep and event", || explore(2, sleep_and_event)),
];

/// What the kernel does with a futex: the comparison and the sleep are one step, under a lock that a waker takes,
/// too.
#[derive(Default)]
struct Futex {
    bucket: Mutex<()>,
    sleepers: Condvar,
}

impl Futex {
    fn wait(&self, word: &AtomicU32, expected: u32) {
        let bucket = self.bucket.lock().unwrap();
        if word.load(Ordering::Relaxed) == expected {
            drop(self.sleepers.wait(bucket).unwrap());
        }
    }

    fn wake(&self) {
        let _bucket = self.bucket.lock().unwrap();
        self.sleepers.notify_all();
    }
}

/// An event descriptor: readable once signalled, until drained.
#[derive(Default)]
struct Event {
    readable: Mutex<bool>,
    pollers: Condvar,
}

impl Event {
    fn signal(&self) {
        *self.readable.lock().unwrap() = true;
        self.pollers.notify_all();
    }

    fn poll(&self) {
        let mut readable = self.readable.lock().unwrap();
        while !*readable {
            readable = self.pollers.wait(readable).unwrap();
        }
    }

    fn drain(&self) {
        *self.readable.lock().unwrap() = false;
    }
}

/// What `os::membarrier` does: every thread passes a full barrier at some point of its own while the caller waits.
/// The points at which that makes a difference to a waker are before, between and after its two steps.
#[derive(Default)]
struct Barriers(Mutex<()>);

impl Barriers {
    fn barrier(&self) {
        drop(self.0.lock().unwrap());
    }

    fn point(&self) {
        drop(self.0.lock().unwrap());
    }
}

/// A connection and what its two processes sleep on.
struct Connection {
    world: Arc<World>,
    fences: Fences,
    futex: Futex,
    event: Event,
    barriers: Barriers,
}

impl Connection {
    fn new() -> Arc<Self> {
        Self::with(Fences::Symmetric)
    }

    fn with(fences: Fences) -> Arc<Self> {
        let (futex, event, barriers) = Default::default();
        Arc::new(Self { world: World::new(2, 2), fences, futex, event, barriers })
    }

    /// The sleeper's barrier after it has set its alarm.
    fn barrier(&self) {
        if self.fences == Fences::Asymmetric {
            self.barriers.barrier();
        }
    }

    /// A place in a waker where a barrier can reach it.
    fn point(&self) {
        if self.fences == Fences::Asymmetric {
            self.barriers.point();
        }
    }

    /// What the producer does after publishing.
    fn wake_consumer(&self, seen: &AtomicU64) {
        self.point();
        let wake = alarm::look(&self.world.consumer.alarm, seen, self.fences);
        self.point();
        if wake.is_some_and(|wake| wake.futex) {
            alarm::bump(&self.world.producer.wake);
            self.futex.wake();
        }
        if wake.is_some_and(|wake| wake.event) {
            self.event.signal();
        }
    }

    /// What a thread of the consumer does after releasing.
    fn wake_producer(&self, seen: &AtomicU64) {
        let wake = alarm::look(&self.world.producer.alarm, seen, Fences::Symmetric);
        if wake.is_some_and(|wake| wake.futex) {
            alarm::bump(&self.world.consumer.wake);
            self.futex.wake();
        }
    }

    /// Publishes so many frames, waking after each.
    fn produce(self: &Arc<Self>, count: u64) -> thread::JoinHandle<()> {
        let connection = Arc::clone(self);
        thread::spawn(move || {
            let mut writer = Writer::new(connection.world.regions());
            let seen = AtomicU64::new(0);
            for number in 0..count {
                connection.point();
                writer.push(&frame(number));
                connection.wake_consumer(&seen);
            }
        })
    }
}

fn take(reader: &mut Reader) -> Option<u64> {
    match pop(reader).0 {
        Taken::Frame(number) => Some(number),
        Taken::Nothing => None,
        other => panic!("{other:?}"),
    }
}

/// Sleeps until there is a frame.
fn sleep_for_frame(connection: &Connection, reader: &mut Reader, sleeper: &mut Sleeper) -> u64 {
    let world = &connection.world;
    loop {
        let expected = sleeper.set(&world.consumer.alarm, &world.producer.wake);
        connection.barrier();
        let found = take(reader);
        if found.is_none() {
            connection.futex.wait(&world.producer.wake, expected);
        }
        sleeper.clear(&world.consumer.alarm);
        if let Some(number) = found.or_else(|| take(reader)) {
            return number;
        }
    }
}

/// Waits for the event until there is a frame.
fn poll_for_frame(connection: &Connection, reader: &mut Reader, sleeper: &mut Sleeper) -> u64 {
    loop {
        connection.event.drain();
        sleeper.arm_event(&connection.world.consumer.alarm);
        if let Some(number) = take(reader) {
            return number;
        }
        connection.event.poll();
    }
}

fn consumer_sleeps(fences: Fences) {
    let connection = Connection::with(fences);
    let producer = connection.produce(2);
    let mut reader = Reader::new(connection.world.regions(), false);
    let mut sleeper = Sleeper::default();
    for number in 0..2 {
        assert_eq!(sleep_for_frame(&connection, &mut reader, &mut sleeper), number);
    }
    producer.join().unwrap();
}

fn event() {
    let connection = Connection::new();
    let producer = connection.produce(2);
    let mut reader = Reader::new(connection.world.regions(), false);
    let mut sleeper = Sleeper::default();
    for number in 0..2 {
        assert_eq!(poll_for_frame(&connection, &mut reader, &mut sleeper), number);
    }
    producer.join().unwrap();
}

/// The event stays armed through a sleep.
fn sleep_and_event() {
    let connection = Connection::new();
    let mut reader = Reader::new(connection.world.regions(), false);
    let mut sleeper = Sleeper::default();
    sleeper.arm_event(&connection.world.consumer.alarm);
    let producer = connection.produce(2);
    assert_eq!(sleep_for_frame(&connection, &mut reader, &mut sleeper), 0);
    // The first or the second frame signals it: it was armed before both, and nobody drained it.
    connection.event.poll();
    producer.join().unwrap();
}

/// Sleeps until so many releases have come: work of which one piece is not enough.
fn sleep_for_releases(connection: &Connection, count: u32) {
    let world = &connection.world;
    let (entries, length) = world.entries();
    let mut reader = releases::Reader::new(entries, length);
    let mut sleeper = Sleeper::default();
    let mut released = 0;
    while released < count {
        let expected = sleeper.set(&world.producer.alarm, &world.consumer.wake);
        while reader.pop().is_some() {
            released += 1;
        }
        if released < count {
            connection.futex.wait(&world.consumer.wake, expected);
        }
        sleeper.clear(&world.producer.alarm);
    }
}

fn producer_sleeps() {
    let connection = Connection::new();
    let other = Arc::clone(&connection);
    let consumer = thread::spawn(move || {
        let (entries, length) = other.world.entries();
        let writer = releases::Writer::new(entries, length);
        let seen = AtomicU64::new(0);
        for position in 0..2 {
            let number = writer.reserve(1);
            writer.fill(number, 0, position);
            other.wake_producer(&seen);
        }
    });
    sleep_for_releases(&connection, 2);
    consumer.join().unwrap();
}

/// Two threads release and share what they saw of the alarm.
fn two_wakers() {
    let connection = Connection::new();
    let (entries, length) = connection.world.entries();
    let writer = Arc::new(releases::Writer::new(entries, length));
    let seen = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..2)
        .map(|slot| {
            let (connection, writer, seen) =
                (Arc::clone(&connection), Arc::clone(&writer), Arc::clone(&seen));
            thread::spawn(move || {
                let number = writer.reserve(1);
                writer.fill(number, slot, 0);
                connection.wake_producer(&seen);
            })
        })
        .collect();
    sleep_for_releases(&connection, 2);
    for thread in threads {
        thread.join().unwrap();
    }
}
