//! An honest channel beside a hostile peer: it must go on without loss, whatever happens next to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use lava::{Consumer, Outcome, Producer, ProducerOptions};

use super::place::Place;
use super::{PATIENCE, eventually, payload, pool};

/// Which frames the producer sends.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Frames {
    /// In the descriptor's line only: nobody can run out of slots.
    Inline,
    /// Of all sizes.
    All,
}

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
    consumers: AtomicU64,
}

/// A producer that sends all the time and a consumer that checks every frame.
pub(crate) struct Bystanders {
    counts: Arc<Counts>,
    producer: JoinHandle<()>,
    consumer: JoinHandle<()>,
}

const SEED: u64 = 3;
pub(crate) const CAPACITY: u32 = 16;
pub(crate) const QUEUE: u32 = 64;
pub(crate) const MAX_FRAME: u64 = 16 * 1024;

impl Bystanders {
    pub(crate) fn start(place: &Place, name: &str, frames: Frames) -> Self {
        let options = ProducerOptions::new().max_frame_size(MAX_FRAME);
        let options = options.capacity(CAPACITY).queue_length(QUEUE);
        let producer = place.producer(name, &options);
        let consumer = place.consumer(name);
        let counts = Arc::<Counts>::default();
        let (of_producer, of_consumer) = (Arc::clone(&counts), Arc::clone(&counts));
        Self {
            counts,
            producer: std::thread::spawn(move || produce(producer, frames, &of_producer)),
            consumer: std::thread::spawn(move || consume(consumer, &of_consumer)),
        }
    }

    /// Waits until more frames have been received.
    pub(crate) fn go_on(&self) {
        self.go_on_while(|| ());
    }

    /// The same beside a peer that stays connected: `step` must let it receive, or its full queue stops the producer.
    pub(crate) fn go_on_while(&self, mut step: impl FnMut()) {
        let before = self.counts.received.load(Ordering::SeqCst);
        eventually("the honest consumer receives", || {
            step();
            self.counts.received.load(Ordering::SeqCst) > before + 20
        });
    }

    /// Waits until the honest consumer is the only one again, and receives.
    pub(crate) fn are_alone(&self) {
        eventually("the hostile consumer is thrown out", || {
            self.counts.consumers.load(Ordering::SeqCst) == 1
        });
        self.go_on();
    }

    /// Waits until `count` consumers are connected.
    pub(crate) fn wait_consumers(&self, count: u64) {
        eventually("the consumers are connected", || {
            self.counts.consumers.load(Ordering::SeqCst) == count
        });
    }

    /// Ends both; nothing was lost and every slot came back.
    pub(crate) fn end(self) -> u64 {
        self.counts.stop.store(true, Ordering::SeqCst);
        self.producer.join().expect("the producer");
        self.consumer.join().expect("the consumer");
        let sent = self.counts.sent.load(Ordering::SeqCst);
        assert_eq!(self.counts.received.load(Ordering::SeqCst), sent);
        sent
    }
}

fn produce(mut producer: Producer, frames: Frames, counts: &Counts) {
    let mut number = 0;
    while !counts.stop.load(Ordering::SeqCst) {
        let bytes = payload::payload(SEED, number);
        let bytes = if frames == Frames::Inline { &bytes[..bytes.len().min(40)] } else { &bytes };
        assert_eq!(producer.send_bytes_timeout(bytes, PATIENCE).unwrap(), Outcome::Done);
        number += 1;
        counts.sent.store(number, Ordering::SeqCst);
        counts.consumers.store(producer.consumer_count() as u64, Ordering::SeqCst);
        // Room on the processor for whoever is hostile.
        if number % 64 == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
    assert_eq!(producer.wait_released(None, PATIENCE).unwrap(), Outcome::Done);
    assert_eq!(pool::free(&producer), u64::from(CAPACITY));
}

fn consume(consumer: Consumer, counts: &Counts) {
    for (number, frame) in consumer.enumerate() {
        let (number, frame) = (number as u64, frame.unwrap());
        assert_eq!(frame.info().sequence, number);
        let bytes = frame.copy_to_vec::<u8>().unwrap();
        assert!(payload::payload(SEED, number).starts_with(&bytes), "frame {number} is damaged");
        counts.received.store(number + 1, Ordering::SeqCst);
    }
}
