//! Who holds which slot: pure bookkeeping in the producer's private memory, so that no peer can disturb it.
//!
//! A slot is *free*, *loaned* to the application, or *held* by a set of consumers (published to them and not yet
//! released). A consumer is a bit; there are at most 64.

/// The slots of one channel.
#[derive(Debug)]
pub struct Pool {
    /// Free slots; the one freed last is taken first, because its memory is warm.
    free: Vec<u32>,
    /// Consumers that hold each slot.
    holders: Vec<u64>,
}

impl Pool {
    /// All slots are free; slot 0 is taken first.
    pub fn new(capacity: u32) -> Self {
        Self { free: (0..capacity).rev().collect(), holders: vec![0; capacity as usize] }
    }

    pub fn capacity(&self) -> u32 {
        self.holders.len() as u32
    }

    #[inline]
    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub fn free_count(&self) -> usize {
        self.free.len()
    }

    /// Takes a free slot: it is loaned.
    #[inline]
    pub fn take(&mut self) -> Option<u32> {
        self.free.pop()
    }

    /// A loaned slot was not sent.
    pub fn discard(&mut self, slot: u32) {
        debug_assert_eq!(self.holders[slot as usize], 0);
        self.free.push(slot);
    }

    /// A loaned slot was published to these consumers; with none it is free at once.
    #[inline]
    pub fn publish(&mut self, slot: u32, consumers: u64) {
        self.holders[slot as usize] = consumers;
        if consumers == 0 {
            self.free.push(slot);
        }
    }

    /// A consumer no longer holds a slot. False if it did not.
    #[inline]
    pub fn release(&mut self, slot: u32, consumer: u64) -> bool {
        let Some(holders) = self.holders.get_mut(slot as usize) else { return false };
        if *holders & consumer == 0 {
            return false;
        }
        *holders &= !consumer;
        if *holders == 0 {
            self.free.push(slot);
        }
        true
    }

    /// A consumer is gone: everything that it held is released.
    pub fn release_all(&mut self, consumer: u64) {
        for slot in 0..self.capacity() {
            self.release(slot, consumer);
        }
    }

    /// Slots that a consumer holds.
    pub fn held_by(&self, consumer: u64) -> usize {
        self.holders.iter().filter(|holders| *holders & consumer != 0).count()
    }

    /// True if some consumer holds the slot.
    pub fn is_held(&self, slot: u32) -> bool {
        self.holders.get(slot as usize).is_some_and(|holders| *holders != 0)
    }

    /// True if no consumer holds any slot.
    pub fn all_released(&self) -> bool {
        self.holders.iter().all(|holders| *holders == 0)
    }
}
