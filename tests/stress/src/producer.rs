//! The sending thread: a pool, a queue, and either waiting or dropping the oldest.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lava_sys::internals::channel::pool::Pool;
use lava_sys::internals::transport::descriptor::{Descriptor, Origin, Place};
use lava_sys::internals::transport::ring::alarm::Sleeper;
use lava_sys::internals::transport::ring::descriptors::{Dropped, Writer};
use lava_sys::internals::transport::ring::releases;

use crate::memory::{Connection, SLOT_SIZE, SLOTS, sleep, wake};

pub struct Producer {
    connection: Arc<Connection>,
    writer: Writer,
    releases: releases::Reader,
    pool: Pool,
    /// Position at which each slot was published.
    held: Vec<Option<u64>>,
    sleeper: Sleeper,
    seen: AtomicU64,
    drops: bool,
    /// No longer drops: waits for what is held.
    ending: bool,
    /// The seeded fault: write into a frame that was sent.
    late_write: bool,
    pub dropped: u64,
}

impl Producer {
    pub fn new(connection: &Arc<Connection>, drops: bool, late_write: bool) -> Self {
        let (entries, length) = connection.entries();
        Self {
            connection: Arc::clone(connection),
            writer: Writer::new(connection.regions()),
            releases: releases::Reader::new(entries, length),
            pool: Pool::new(SLOTS),
            held: vec![None; SLOTS as usize],
            sleeper: Sleeper::default(),
            seen: AtomicU64::new(0),
            drops,
            ending: false,
            late_write,
            dropped: 0,
        }
    }

    fn collect(&mut self) {
        while let Some((slot, position)) = self.releases.pop() {
            if self.held[slot as usize] == Some(position) {
                self.held[slot as usize] = None;
                assert!(self.pool.release(slot, 1));
            } else {
                // What was taken back while the consumer took it comes back a second time.
                assert!(self.drops, "slot {slot} was released at {position} and not held");
            }
        }
    }

    fn drop_oldest(&mut self) {
        self.collect();
        if let Dropped::Taken(slot) = self.writer.drop_oldest().expect("no lie") {
            self.dropped += 1;
            if let Some(slot) = slot {
                assert!(self.held[slot as usize].take().is_some() && self.pool.release(slot, 1));
            }
        }
    }

    /// Waits until `ready`, or drops until then.
    fn until(&mut self, ready: fn(&mut Self) -> bool) {
        for turn in 0.. {
            self.collect();
            if ready(self) {
                return;
            }
            if self.drops && !self.ending {
                self.drop_oldest();
            } else if turn > 20 {
                let connection = Arc::clone(&self.connection);
                let (alarm, word) = connection.producer_side();
                let expected = self.sleeper.set(alarm, word);
                self.collect();
                if !ready(self) {
                    sleep(word, expected);
                }
                self.sleeper.clear(alarm);
            }
        }
    }

    /// Sends message `number`: every third without a slot.
    pub fn send(&mut self, number: u64) {
        let bytes = number.to_ne_bytes();
        let origin = Origin { sequence: number, timestamp_ns: number, tag: 0 };
        let (descriptor, slot) = if number % 3 == 0 {
            (Descriptor::Inline { bytes: &bytes, origin }, None)
        } else {
            self.until(|this| this.pool.has_free());
            let slot = self.pool.take().expect("a free slot");
            let place = Place { slot, buffer: 0, offset: 0, size: SLOT_SIZE as u64, tensor: false, ready: 0 };
            (Descriptor::Slot { place, origin }, Some(slot))
        };
        self.until(|this| this.writer.room(1).expect("no lie") > 0);
        if let Some(slot) = slot.filter(|_| !self.late_write) {
            self.write(slot, number);
        }
        let position = self.writer.push(&descriptor);
        if let Some(slot) = slot {
            self.held[slot as usize] = Some(position);
            self.pool.publish(slot, 1);
        }
        wake(self.connection.consumer_side(), &self.seen);
        if let Some(slot) = slot.filter(|_| self.late_write) {
            self.write(slot, number);
        }
    }

    /// Plain stores, which only the rings' order keeps from racing with the consumer's loads.
    fn write(&self, slot: u32, number: u64) {
        let words = self.connection.slot(slot);
        for index in 0..SLOT_SIZE / 8 {
            // SAFETY: within the slot, which is loaned.
            unsafe { words.add(index).write(number) };
        }
    }

    /// The end: every slot comes back.
    pub fn finish(mut self) -> u64 {
        self.writer.close();
        let (_, word) = self.connection.consumer_side();
        lava_sys::internals::transport::ring::alarm::bump(word);
        lava_sys::internals::os::futex::wake(word);
        self.ending = true;
        self.until(|this| this.pool.all_released());
        self.dropped
    }
}
