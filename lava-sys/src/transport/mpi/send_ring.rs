//! Memory for small messages that are on their way: a few places of equal size.

use std::ptr::NonNull;

use super::message::SMALL;
use crate::transport::descriptor::Words;
use crate::wire::LINE;

/// Places: more messages than this are under way only when MPI is behind, and then they wait and become fewer, larger
/// ones.
const PLACES: usize = 16;

#[repr(C, align(64))]
struct Place([u8; SMALL]);

const _: () = assert!(size_of::<Place>() == SMALL);

/// See the module.
pub struct SendRing {
    /// From a box of [`PLACES`] places, which MPI reads from.
    places: NonNull<Place>,
    free: Vec<usize>,
}

// SAFETY: owns its memory.
unsafe impl Send for SendRing {}

impl Drop for SendRing {
    fn drop(&mut self) {
        // SAFETY: made from a boxed slice of this length in `new`.
        drop(unsafe {
            Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.places.as_ptr(), PLACES))
        });
    }
}

/// The place that is filled next.
pub struct Batch(NonNull<Place>);

impl Batch {
    /// Puts a line at `at`. Gives the end.
    pub fn add(&mut self, at: usize, words: &Words) -> usize {
        self.add_bytes(at, bytemuck::bytes_of(words))
    }

    /// Puts marks into the line that ends at `end`.
    pub fn mark(&mut self, end: usize, marks: u64) {
        if (LINE..=SMALL).contains(&end) {
            // SAFETY: within the place, which no message uses; perhaps not aligned.
            unsafe {
                let word = self.0.cast::<u8>().add(end - LINE).cast::<u64>();
                word.write_unaligned(word.read_unaligned() | marks);
            }
        }
    }

    /// Puts bytes at `at`; what has no room is left out. Gives the end.
    pub fn add_bytes(&mut self, at: usize, bytes: &[u8]) -> usize {
        let length = bytes.len().min(SMALL.saturating_sub(at));
        // SAFETY: within the place, which no message uses: it is free.
        unsafe {
            let to = self.0.cast::<u8>().add(at);
            to.copy_from_nonoverlapping(NonNull::from(bytes).cast(), length);
        }
        at + length
    }
}

impl SendRing {
    pub fn new() -> Self {
        let places: Box<[Place]> = (0..PLACES).map(|_| Place([0; SMALL])).collect();
        let places = NonNull::from(Box::leak(places)).cast();
        Self { places, free: (0..PLACES).rev().collect() }
    }

    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// The place that [`Self::take`] gives next; there is room.
    pub fn open(&self) -> Batch {
        let at = self.free.last().copied().unwrap_or(0);
        // SAFETY: below PLACES.
        Batch(unsafe { self.places.add(at) })
    }

    /// Takes the open place for a message: its number and its memory.
    pub fn take(&mut self) -> (usize, NonNull<u8>) {
        let at = self.free.pop().unwrap_or(0);
        // SAFETY: below PLACES.
        (at, unsafe { self.places.add(at) }.cast())
    }

    /// The message is sent.
    pub fn give_back(&mut self, at: usize) {
        self.free.push(at);
    }
}
