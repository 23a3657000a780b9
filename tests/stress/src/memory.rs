//! A connection's memory in one process, mapped once: ThreadSanitizer knows memory by its address.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lava_sys::internals::log::Log;
use lava_sys::internals::memory::{Buffer, Memory, MemoryContext, Request};
use lava_sys::internals::os::clock::Deadline;
use lava_sys::internals::os::futex::{self, Word};
use lava_sys::internals::sync::{AtomicU32, full_fence};
use lava_sys::internals::transport::ring::alarm::{self, Fences};
use lava_sys::internals::transport::ring::descriptors::Regions;
use lava_sys::internals::transport::ring::releases;
use lava_sys::internals::transport::{Released, Returns};
use lava_sys::internals::wire::{ConsumerHeader, Line, ProducerHeader, Release, release_length};

pub const SLOTS: u32 = 16;
pub const SLOT_SIZE: usize = 64;
pub const QUEUE: u32 = 4;

/// The longest that a sleep may take: more is a lost wake-up.
const SLEEP_NS: u64 = 60_000_000_000;

pub struct Connection {
    producer: ProducerHeader,
    consumer: ConsumerHeader,
    lines: Box<[Line]>,
    entries: Box<[Release]>,
    pub pool: Arc<Buffer>,
}

impl Connection {
    pub fn new() -> Arc<Self> {
        let request = Request {
            memory: Memory::Standard,
            size: u64::from(SLOTS) * SLOT_SIZE as u64,
            alignment: 0,
            flags: 0,
            numa_node: None,
            fallback: Vec::new(),
            peer: None,
            device_uuid: [0; 16],
        };
        let pool = Buffer::allocate(&request, &MemoryContext::new(Log::none(), Default::default()));
        Arc::new(Self {
            producer: ProducerHeader::default(),
            consumer: ConsumerHeader::default(),
            lines: (0..QUEUE).map(|_| Line::default()).collect(),
            entries: (0..release_length(SLOTS)).map(|_| Release::default()).collect(),
            pool: Arc::new(pool.expect("a kilobyte")),
        })
    }

    /// For as long as this value lives.
    pub fn regions(&self) -> Regions {
        Regions {
            producer: NonNull::from(&self.producer),
            lines: NonNull::from(&*self.lines).cast(),
            consumer: NonNull::from(&self.consumer),
            queue_length: QUEUE,
        }
    }

    pub fn entries(&self) -> (NonNull<Release>, u32) {
        (NonNull::from(&*self.entries).cast(), self.entries.len() as u32)
    }

    /// First word of a slot, which has 8.
    pub fn slot(&self, slot: u32) -> NonNull<u64> {
        let start = self.pool.data().expect("host memory");
        // SAFETY: the pool has SLOTS of them.
        unsafe { start.add(slot as usize * SLOT_SIZE) }.cast()
    }

    /// The word on which the consumer sleeps, and the alarm that it sets.
    pub fn consumer_side(&self) -> (&AtomicU64, &AtomicU32) {
        (&self.consumer.alarm, &self.producer.wake)
    }

    pub fn producer_side(&self) -> (&AtomicU64, &AtomicU32) {
        (&self.producer.alarm, &self.consumer.wake)
    }
}

/// What a side does after its work: wakes the other one if it sleeps.
pub fn wake((alarm, word): (&AtomicU64, &AtomicU32), seen: &AtomicU64) {
    if alarm::look(alarm, seen, Fences::Symmetric).is_some_and(|wake| wake.futex) {
        alarm::bump(word);
        futex::wake(word);
    }
}

/// Sleeps until the word changes.
pub fn sleep(word: &AtomicU32, expected: u32) {
    let deadline = Deadline::after(SLEEP_NS);
    full_fence();
    while word.load(Ordering::Acquire) == expected {
        futex::wait_any(&[Word { word, expected }], deadline);
        assert!(!deadline.passed(), "a lost wake-up");
    }
}

/// The way back of the consumer's frames.
pub struct WayBack {
    connection: Arc<Connection>,
    releases: releases::Writer,
    seen: AtomicU64,
}

impl WayBack {
    pub fn new(connection: &Arc<Connection>) -> Self {
        let (entries, length) = connection.entries();
        let releases = releases::Writer::new(entries, length);
        Self { connection: Arc::clone(connection), releases, seen: AtomicU64::new(0) }
    }

    pub fn wake_producer(&self) {
        wake(self.connection.producer_side(), &self.seen);
    }
}

impl Returns for WayBack {
    fn release(&self, released: &[Released]) {
        let first = self.releases.reserve(released.len() as u64);
        for (number, one) in (first..).zip(released) {
            self.releases.fill(number, one.slot, one.position);
        }
        self.wake_producer();
    }

    fn wakes(&self) -> u64 {
        0
    }
}
