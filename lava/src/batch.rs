//! Several loans or frames, moved by one call. The storage is used again: no allocation per call.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::vec::Drain;

use lava_sys::{lava_frame, lava_frame_release_many};

use crate::error::Result;
use crate::frame::Frame;
use crate::loan::Loan;

/// Received frames, filled by [`Consumer::receive_many`](crate::Consumer::receive_many). Clearing or dropping it gives all of
/// them back with one call.
///
/// Threads: any, as [`Frame`].
pub struct Frames {
    frames: Vec<Frame>,
    /// Those of `frames`, unless some were taken out.
    pointers: Pointers,
    capacity: usize,
}

impl Frames {
    /// A place for up to `capacity` frames a call.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let pointers = Pointers(Vec::with_capacity(capacity));
        Self { frames: Vec::with_capacity(capacity), pointers, capacity }
    }

    /// Gives all frames back.
    pub fn clear(&mut self) {
        let pointers = &mut self.pointers.0;
        if pointers.len() == self.frames.len() {
            // SAFETY: nothing is left behind: the pointers own the frames now.
            unsafe { self.frames.set_len(0) };
        } else {
            pointers.clear();
            pointers.extend(self.frames.drain(..).map(Frame::into_raw));
        }
        // SAFETY: each is a live frame that was owned here. It cannot fail for live frames.
        unsafe { lava_frame_release_many(pointers.as_ptr(), pointers.len()) };
    }

    /// Takes the frames out, to keep or release them one by one.
    pub fn drain(&mut self) -> Drain<'_, Frame> {
        self.pointers.0.clear();
        self.frames.drain(..)
    }

    /// Clears, then lets `receive` write up to `capacity` pointers and takes the number that it returns.
    ///
    /// # Safety
    /// So many live received frames that nobody else owns must stand there then; `trusted` as `trust_producer` demands.
    pub(crate) unsafe fn fill(
        &mut self,
        trusted: bool,
        receive: impl FnOnce(*mut *mut lava_frame, usize) -> usize,
    ) -> Result<usize> {
        self.clear();
        let pointers = &mut self.pointers.0;
        pointers.clear();
        pointers.reserve(self.capacity);
        let count = receive(pointers.as_mut_ptr(), self.capacity);
        // SAFETY: so many pointers were written, by the caller's promise.
        unsafe { pointers.set_len(count) };
        for pointer in pointers {
            // SAFETY: the caller's promise.
            self.frames.push(unsafe { Frame::from_raw(*pointer, trusted)? });
        }
        Ok(count)
    }
}

impl Deref for Frames {
    type Target = [Frame];

    fn deref(&self) -> &[Frame] {
        &self.frames
    }
}

impl<'a> IntoIterator for &'a Frames {
    type Item = &'a Frame;
    type IntoIter = std::slice::Iter<'a, Frame>;

    fn into_iter(self) -> Self::IntoIter {
        self.frames.iter()
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.clear();
    }
}

impl fmt::Debug for Frames {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.frames).finish()
    }
}

/// Where a call finds or leaves pointers. Nothing is kept in it between two calls.
struct Pointers(Vec<*mut lava_frame>);

// SAFETY: the pointers are written and read within one call that borrows them exclusively; what they pointed to before has
// other owners, and is never reached through them.
unsafe impl Send for Pointers {}
// SAFETY: as above; a shared borrow cannot reach them.
unsafe impl Sync for Pointers {}

/// Loans, filled by [`Producer::loan_many`](crate::Producer::loan_many) and emptied by
/// [`Producer::send_many`](crate::Producer::send_many). Dropping it gives their slots back, unsent.
///
/// Threads: any, as [`Loan`].
pub struct Loans {
    loans: Vec<Loan>,
    capacity: usize,
}

impl Loans {
    /// A place for up to `capacity` loans.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { loans: Vec::with_capacity(capacity), capacity }
    }

    /// Adds a loan at the end, whatever the capacity.
    pub fn push(&mut self, loan: Loan) {
        self.loans.push(loan);
    }

    /// Takes the loans out.
    pub fn drain(&mut self) -> Drain<'_, Loan> {
        self.loans.drain(..)
    }

    /// Gives all loans back, unsent.
    pub fn clear(&mut self) {
        self.loans.clear();
    }

    /// Lets `loan` write as many pointers as there is room for, and takes the number that it returns.
    ///
    /// # Safety
    /// So many live loans that nobody else owns must stand there then.
    pub(crate) unsafe fn fill(
        &mut self,
        loan: impl FnOnce(*mut *mut lava_frame, usize) -> usize,
    ) -> usize {
        let old = self.loans.len();
        let room = self.capacity.saturating_sub(old);
        self.loans.reserve(room);
        // A `Loan` is transparent over its pointer.
        let place = self.loans.spare_capacity_mut().as_mut_ptr().cast();
        let count = loan(place, room);
        // SAFETY: `count` <= `room` loans were written, by the caller's promise.
        unsafe { self.loans.set_len(old + count) };
        count
    }

    /// Lets `send` read the pointers, and forgets as many as it returns.
    ///
    /// # Safety
    /// The ownership of so many loans, the first ones, must have passed on then.
    pub(crate) unsafe fn empty(
        &mut self,
        send: impl FnOnce(*const *mut lava_frame, usize) -> usize,
    ) -> usize {
        // A `Loan` is transparent over its pointer.
        let count = send(self.loans.as_ptr().cast(), self.loans.len());
        self.loans.drain(..count).for_each(std::mem::forget);
        count
    }
}

impl Deref for Loans {
    type Target = [Loan];

    fn deref(&self) -> &[Loan] {
        &self.loans
    }
}

impl DerefMut for Loans {
    fn deref_mut(&mut self) -> &mut [Loan] {
        &mut self.loans
    }
}

impl fmt::Debug for Loans {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(&self.loans).finish()
    }
}
