//! The ring of descriptors: one producer thread, one consumer thread, in two processes.

use std::ptr::NonNull;

use crate::error::Hot;
use crate::sync::{Ordering, full_fence};
use crate::transport::descriptor::{self, Descriptor, Payload, Words, stamp};
use crate::types::LAVA_ERROR_PROTOCOL;
use crate::wire::{ConsumerHeader, Line, ProducerHeader};

/// The two regions of a connection as this process sees them: one of them is read-only here.
#[derive(Debug, Clone, Copy)]
pub struct Regions {
    pub producer: NonNull<ProducerHeader>,
    pub lines: NonNull<Line>,
    pub consumer: NonNull<ConsumerHeader>,
    /// Lines of the ring; a power of two.
    pub queue_length: u32,
}

impl Regions {
    pub fn producer(&self) -> &ProducerHeader {
        // SAFETY: whoever made this value keeps both regions mapped while any copy of it is used.
        unsafe { self.producer.as_ref() }
    }

    pub fn consumer(&self) -> &ConsumerHeader {
        // SAFETY: as above.
        unsafe { self.consumer.as_ref() }
    }

    #[inline(always)]
    fn line(&self, position: u64) -> &Line {
        let index = position as usize & (self.queue_length as usize - 1);
        // SAFETY: below queue_length, and the region has that many lines.
        unsafe { self.lines.add(index).as_ref() }
    }
}

// SAFETY: pointers to shared memory that is only accessed through atomics; mapped in the process, not in a thread.
unsafe impl Send for Regions {}
// SAFETY: as above.
unsafe impl Sync for Regions {}

/// Asks for a cache line as a store to it would, and waits for nothing.
#[inline(always)]
fn prefetch_for_writing(line: &Line) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: changes no memory, no register and no flag; processors that do not know it do nothing.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
    }
    #[cfg(all(target_arch = "aarch64", not(loom), not(miri)))]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pstl1keep, [{}]", in(reg) line, options(nostack, preserves_flags, readonly));
    }
    let _ = line;
}

/// The producer's half.
#[derive(Debug)]
pub struct Writer {
    regions: Regions,
    /// Position of the next frame.
    next: u64,
    /// How far the consumer had claimed when last looked; never more than `next`.
    consumed: u64,
    /// How far frames were taken back; policy drop-oldest only.
    oldest: u64,
    /// Positions below this one have room, as last looked.
    limit: u64,
}

/// What became of the oldest frame of a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// Taken back: it had this slot, if it had one.
    Taken(Option<u32>),
    /// The consumer was faster: there is room now.
    Claimed,
    /// The queue is empty.
    Empty,
}

impl Writer {
    pub fn new(regions: Regions) -> Self {
        Self::starting_at(regions, 0)
    }

    /// Model checks have late positions, too.
    pub fn starting_at(regions: Regions, position: u64) -> Self {
        let limit = position + u64::from(regions.queue_length);
        Self { regions, next: position, consumed: position, oldest: position, limit }
    }

    pub fn regions(&self) -> &Regions {
        &self.regions
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    /// Frames that are published and neither claimed nor taken back, as last looked.
    pub fn queued(&self) -> u64 {
        self.next - self.consumed.max(self.oldest)
    }

    /// How many more frames fit. Looks at the consumer's word only when fewer than `wanted` seem to fit.
    #[inline(always)]
    pub fn room(&mut self, wanted: u64) -> Hot<u64> {
        if self.limit - self.next < wanted {
            self.refresh()?;
        }
        Ok(self.limit - self.next)
    }

    /// True if another frame fits for sure, without a look at the consumer's word.
    #[inline(always)]
    pub fn has_room(&self) -> bool {
        self.next < self.limit
    }

    /// Fetches the line that the next [`Self::push`] writes, so that it need not wait for it.
    #[inline(always)]
    pub fn prepare(&self) {
        prefetch_for_writing(self.regions.line(self.next));
    }

    fn set_limit(&mut self) {
        self.limit = self.consumed.max(self.oldest) + u64::from(self.regions.queue_length);
    }

    /// Looks how far the consumer has claimed. A word that goes back or beyond what was published is a lie.
    pub fn refresh(&mut self) -> Hot<u64> {
        let consumed = self.regions.consumer().consumed.load(Ordering::Acquire);
        if consumed < self.consumed || consumed > self.next {
            return Err(LAVA_ERROR_PROTOCOL);
        }
        self.consumed = consumed;
        self.set_limit();
        Ok(consumed)
    }

    /// Publishes one frame; the caller has seen that there is room. Gives its position.
    #[inline(always)]
    pub fn push(&mut self, descriptor: &Descriptor<'_>) -> u64 {
        let position = self.next;
        debug_assert!(self.has_room());
        descriptor.put(self.regions.line(position), stamp(position));
        self.next = position + 1;
        position
    }

    /// As [`Self::push`], of words that another ring had: only the stamp is new.
    pub fn push_words(&mut self, words: &Words) -> u64 {
        let position = self.next;
        debug_assert!(self.has_room());
        let line = self.regions.line(position);
        for (to, from) in line.words.iter().zip(words).skip(1) {
            to.store(*from, Ordering::Relaxed);
        }
        let first = words[0] >> 32 << 32 | u64::from(stamp(position));
        line.words[0].store(first, Ordering::Release);
        self.next = position + 1;
        position
    }

    /// Takes the oldest waiting frame back, if the consumer has not claimed it.
    ///
    /// The mark is stored, then the consumer's word is read, with a fence between; the consumer stores its claim, then
    /// reads the mark. One of the two sees the other: if the claim is not seen here, the consumer will see the mark.
    pub fn drop_oldest(&mut self) -> Hot<Dropped> {
        let position = self.refresh()?.max(self.oldest);
        if position == self.next {
            return Ok(Dropped::Empty);
        }
        // Release: who sees the mark sees the frame's line, too.
        self.regions.producer().oldest.store(position + 1, Ordering::Release);
        full_fence();
        self.oldest = position + 1;
        self.set_limit();
        if self.refresh()? > position {
            return Ok(Dropped::Claimed);
        }
        Ok(Dropped::Taken(self.published_slot(position)))
    }

    /// The slot of the frame that this side published at a position that is still in the ring; None if it has none.
    pub fn published_slot(&self, position: u64) -> Option<u32> {
        let line = self.regions.line(position);
        let words: Words = std::array::from_fn(|index| line.words[index].load(Ordering::Relaxed));
        if words[0] as u32 != stamp(position) {
            return None;
        }
        slot_of(&words)
    }

    /// Says that nothing more will be published.
    pub fn close(&self) {
        self.regions.producer().closed.store(1, Ordering::Release);
    }
}

fn slot_of(words: &Words) -> Option<u32> {
    match descriptor::decode(words)?.payload {
        Payload::Elsewhere(place) => Some(place.slot),
        Payload::Inline { .. } | Payload::Packed { .. } => None,
    }
}

/// The consumer's half.
#[derive(Debug)]
pub struct Reader {
    regions: Regions,
    next: u64,
    /// Policy drop-oldest: the producer may take frames back.
    may_drop: bool,
    /// Times that the producer took back what was about to be claimed, since something was found.
    overtaken: u32,
}

/// After as many times a look ends: the producer is too fast, or lies. It has published since the look began, so it
/// will see an alarm that was set before the look.
const OVERTAKEN_MAX: u32 = 1000;

/// No correct producer gets so far in a century.
const POSITION_MAX: u64 = 1 << 62;

/// What a look into the ring gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Popped {
    /// The words of its line were copied out; they are as the peer wrote them.
    Frame {
        position: u64,
    },
    /// A frame was claimed at the moment in which the producer took it back: it is not delivered. If the slot is one of
    /// the pool, give it back with this position; the producer ignores that if it does not miss it.
    TakenBack {
        slot: u32,
        position: u64,
    },
    Empty,
}

impl Reader {
    pub fn new(regions: Regions, may_drop: bool) -> Self {
        Self { regions, next: 0, may_drop, overtaken: 0 }
    }

    /// For model checks of late positions.
    #[cfg(loom)]
    pub fn starting_at(regions: Regions, may_drop: bool, position: u64) -> Self {
        Self { regions, next: position, may_drop, overtaken: 0 }
    }

    /// Frames below this position are claimed.
    pub fn consumed(&self) -> u64 {
        self.next
    }

    /// True if the next frame is there. Never true for long without [`Self::pop`] giving something.
    #[inline(always)]
    pub fn ready(&self) -> bool {
        let now = self.regions.line(self.next).words[0].load(Ordering::Acquire) as u32;
        now == stamp(self.next)
            || (self.may_drop && self.regions.producer().oldest.load(Ordering::Acquire) > self.next)
    }

    /// Frames that are there.
    pub fn queued(&self) -> u64 {
        let there = |position: &u64| {
            self.regions.line(*position).words[0].load(Ordering::Relaxed) as u32 == stamp(*position)
        };
        (self.next..self.next + u64::from(self.regions.queue_length)).take_while(there).count()
            as u64
    }

    /// True if the producer said that nothing more will come. Look for frames once more after that.
    pub fn closed(&self) -> bool {
        self.regions.producer().closed.load(Ordering::Acquire) != 0
    }

    /// Tells the producer how far was read, less `kept` lines, after one pop or a batch of them: each time costs a line
    /// transfer when the producer is looking. Call [`crate::transport::ring::alarm::look`] after it, for a producer that waits for room.
    #[inline(always)]
    pub fn announce(&self, kept: u64) {
        self.regions.consumer().consumed.store(self.next - kept, Ordering::Release);
    }

    /// Takes the next frame; call [`Self::announce`] after it. With drop-oldest the claim is published at once, because
    /// the producer may be taking the frame back.
    #[inline(always)]
    pub fn pop(&mut self, words: &mut Words) -> Hot<Popped> {
        while self.overtaken < OVERTAKEN_MAX {
            let position = self.next;
            let line = self.regions.line(position);
            let first = line.words[0].load(Ordering::Acquire);
            if first as u32 != stamp(position) {
                if self.may_drop && self.skip_taken_back()? {
                    continue;
                }
                break;
            }
            *words = std::array::from_fn(|index| match index {
                0 => first,
                _ => line.words[index].load(Ordering::Relaxed),
            });
            self.next = position + 1;
            if self.may_drop {
                self.announce(0);
                if self.lost_race(position) {
                    match self.taken_back(position, words)? {
                        Popped::Empty => continue,
                        popped => return Ok(popped),
                    }
                }
            }
            self.overtaken = 0;
            return Ok(Popped::Frame { position });
        }
        self.overtaken = 0;
        Ok(Popped::Empty)
    }

    /// After a claim: was the frame taken back before or in the same moment?
    ///
    /// The fence also makes the words read before it whole, if the answer is no: the producer overwrites them only
    /// after it marked them as taken back.
    #[inline(always)]
    fn lost_race(&self, position: u64) -> bool {
        full_fence();
        self.regions.producer().oldest.load(Ordering::Acquire) > position
    }

    /// What to do with a claimed frame that was taken back. Whether the producer saw the claim is not known here. If it
    /// did, it waits for the slot, and the words are whole, because it overwrites them only after that. If it did not,
    /// the words may be a mixture, and it ignores a release with this position, whatever the slot.
    #[cold]
    fn taken_back(&mut self, position: u64, words: &Words) -> Hot<Popped> {
        self.overtaken += 1;
        self.skip_taken_back()?;
        Ok(slot_of(words).map_or(Popped::Empty, |slot| Popped::TakenBack { slot, position }))
    }

    /// Moves past frames that were taken back. True if there is something new to look at.
    ///
    /// It stops before the last of them: the producer may not have decided yet, and would take the skip for a claim.
    /// That one is claimed like any other, unless its line was overwritten, which the producer does after deciding.
    #[cold]
    fn skip_taken_back(&mut self) -> Hot<bool> {
        let oldest = self.regions.producer().oldest.load(Ordering::Acquire);
        if oldest <= self.next {
            return Ok(false);
        }
        if oldest > POSITION_MAX {
            return Err(LAVA_ERROR_PROTOCOL);
        }
        self.overtaken += 1;
        let last = oldest - 1;
        let last_line = self.regions.line(last).words[0].load(Ordering::Acquire) as u32;
        let next = if last_line == stamp(last) { last } else { oldest };
        if next > self.next {
            self.next = next;
            self.regions.consumer().consumed.store(next, Ordering::Release);
        }
        Ok(true)
    }
}
