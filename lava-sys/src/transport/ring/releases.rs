//! The ring of releases: filled by any thread of the consumer's process, emptied by the producer's thread.

use std::ptr::NonNull;

use crate::sync::{AtomicU64, Ordering};
use crate::wire::Release;

/// The consumer's half. Entries are reserved by a counter of this process and published by their tickets, so a thread
/// that is slow between the two delays later entries and loses none.
///
/// It cannot overflow: a slot is released once before its producer publishes it again, and the ring has more entries
/// than the pool has slots (see [`crate::wire::release_length`]).
#[derive(Debug)]
pub struct Writer {
    entries: NonNull<Release>,
    length: u32,
    reserved: AtomicU64,
}

// SAFETY: the entries are shared memory accessed through atomics only; `reserved` hands each index to one thread.
unsafe impl Send for Writer {}
// SAFETY: as above.
unsafe impl Sync for Writer {}

impl Writer {
    /// `entries` points to `length` entries (a power of two) that stay mapped while this value lives.
    pub fn new(entries: NonNull<Release>, length: u32) -> Self {
        Self { entries, length, reserved: AtomicU64::new(0) }
    }

    /// For model checks of late numbers.
    #[cfg(loom)]
    pub fn starting_at(entries: NonNull<Release>, length: u32, number: u64) -> Self {
        Self { entries, length, reserved: AtomicU64::new(number) }
    }

    /// Reserves `count` entries; gives the number of the first. Fill each with [`Self::fill`].
    #[inline(always)]
    pub fn reserve(&self, count: u64) -> u64 {
        // The entry's former release was popped before some thread of this process could reserve the numbers up to this
        // one: through this counter, what that thread saw happens before what is written into the entry now.
        self.reserved.fetch_add(count, Ordering::AcqRel)
    }

    /// Publishes a release in a reserved entry.
    #[inline(always)]
    pub fn fill(&self, number: u64, slot: u32, position: u64) {
        let index = number as usize & (self.length as usize - 1);
        // SAFETY: below length.
        let entry = unsafe { self.entries.add(index).as_ref() };
        entry.position.store(position, Ordering::Relaxed);
        let ticket = u64::from((number as u32).wrapping_add(1)) << 32 | u64::from(slot);
        entry.ticket.store(ticket, Ordering::Release);
    }
}

/// The producer's half.
#[derive(Debug)]
pub struct Reader {
    entries: NonNull<Release>,
    length: u32,
    next: u64,
}

// SAFETY: shared memory accessed through atomics only.
unsafe impl Send for Reader {}

impl Reader {
    /// As [`Writer::new`].
    pub fn new(entries: NonNull<Release>, length: u32) -> Self {
        Self { entries, length, next: 0 }
    }

    /// For model checks of late numbers.
    #[cfg(loom)]
    pub fn starting_at(entries: NonNull<Release>, length: u32, number: u64) -> Self {
        Self { entries, length, next: number }
    }

    /// The next release: slot and position, both as the peer wrote them, not checked.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<(u32, u64)> {
        let index = self.next as usize & (self.length as usize - 1);
        // SAFETY: below length.
        let entry = unsafe { self.entries.add(index).as_ref() };
        let ticket = entry.ticket.load(Ordering::Acquire);
        if (ticket >> 32) as u32 != (self.next as u32).wrapping_add(1) {
            return None;
        }
        let position = entry.position.load(Ordering::Relaxed);
        self.next += 1;
        Some((ticket as u32, position))
    }
}
