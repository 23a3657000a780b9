//! Where frame cells come from: made once, handed out by one thread, given back by any.
//!
//! Who frees the slab: its [`Frames`] (the handing-out side) and the frames that are held share it. `balance` counts
//! releases down while the slab is open; on closing, the number of frames ever handed out is added. Whoever brings it
//! to zero after that, the closer or the last release, frees it. So neither handing out nor releasing touches a
//! reference count twice, and a frame may outlive its consumer.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicI64, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::frame::{FrameCell, FrameRef, NO_SLOT};
use super::{Returns, Transport};
use crate::memory::Buffer;

/// What the owner of a slab's frames is.
pub enum Side {
    Producer {
        pool: Arc<Buffer>,
    },
    Consumer {
        transport: Transport,
        pool: Arc<Buffer>,
        returns: Arc<dyn Returns>,
        /// What must stay as long as a frame is held (the connection's socket).
        keep: Arc<dyn std::any::Any + Send + Sync>,
    },
}

impl Side {
    pub(super) fn transport(&self) -> u32 {
        match self {
            Self::Producer { .. } => 0,
            Self::Consumer { transport, .. } => transport.number(),
        }
    }

    pub(super) fn pool(&self) -> &Arc<Buffer> {
        match self {
            Self::Producer { pool } | Self::Consumer { pool, .. } => pool,
        }
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Producer { .. } => f.write_str("Producer"),
            Self::Consumer { keep, .. } => write!(f, "Consumer({})", Arc::strong_count(keep)),
        }
    }
}

/// The cells and their way back.
#[derive(Debug)]
pub struct Slab {
    pub(super) side: Side,
    /// Cells that were given back, linked through `next`. Any thread pushes; only [`Frames`] takes, all at once, so a
    /// compare-and-swap never meets a cell that went away and came back.
    returned: AtomicPtr<FrameCell>,
    balance: AtomicI64,
    /// Owns the cells; touched when they are made and when the slab ends.
    chunks: Mutex<Vec<Chunk>>,
}

/// Cells made together.
#[derive(Debug)]
struct Chunk(NonNull<FrameCell>, usize);

// SAFETY: owned memory; the cells in it are handed out under the rules of this module.
unsafe impl Send for Chunk {}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: made from a boxed slice of this length in `grow`; no frame of it is held any more.
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.0.as_ptr(), self.1)) });
    }
}

impl Slab {
    /// Pushes a chain of free cells, from `first` to `last`.
    ///
    /// # Safety
    /// The cells are of this slab and free, linked through `next`; nobody else knows them.
    #[inline(always)]
    pub(super) unsafe fn give_back(&self, first: *mut FrameCell, last: *mut FrameCell) {
        let mut head = self.returned.load(Ordering::Relaxed);
        loop {
            // SAFETY: `last` is ours until the exchange succeeds.
            unsafe { (*last).next = head };
            match self.returned.compare_exchange_weak(
                head,
                first,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// `count` frames less are held; frees a closed slab with the last one.
    ///
    /// # Safety
    /// `slab` came from an `Arc`, the frames were held until now, and the caller does not use `slab` after this.
    #[inline(always)]
    pub(super) unsafe fn settle(slab: *const Self, count: i64) {
        // SAFETY: alive, because these frames were held.
        let before = unsafe { (*slab).balance.fetch_sub(count, Ordering::AcqRel) };
        if before == count {
            // SAFETY: `Frames::drop` left one reference for the last release, which this is.
            drop(unsafe { Arc::from_raw(slab) });
        }
    }
}

/// The handing-out side of a slab; one thread at a time.
#[derive(Debug)]
pub struct Frames {
    slab: Arc<Slab>,
    local: *mut FrameCell,
    taken: i64,
    made: usize,
}

// SAFETY: the local list belongs to this value alone, whichever thread has it.
unsafe impl Send for Frames {}

impl Frames {
    /// Makes `count` cells to begin with; more are made when more are held.
    pub fn new(side: Side, count: usize) -> Self {
        let slab = Slab {
            side,
            returned: AtomicPtr::new(std::ptr::null_mut()),
            balance: AtomicI64::new(0),
            chunks: Mutex::new(Vec::new()),
        };
        let mut frames =
            Self { slab: Arc::new(slab), local: std::ptr::null_mut(), taken: 0, made: 0 };
        frames.grow(count.max(1));
        frames
    }

    pub fn slab(&self) -> &Arc<Slab> {
        &self.slab
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        let owner = Arc::as_ptr(&self.slab);
        let cells: Box<[FrameCell]> = (0..count).map(|_| FrameCell::free(owner)).collect();
        let first = NonNull::from(Box::leak(cells)).cast::<FrameCell>();
        for index in 0..count {
            // SAFETY: within the slice that was just made, which only this thread knows.
            unsafe { self.push_local(first.add(index).as_ptr()) };
        }
        self.made += count;
        self.slab.chunks.lock().unwrap_or_else(PoisonError::into_inner).push(Chunk(first, count));
    }

    /// # Safety
    /// `cell` is a free cell of this slab that nobody else knows.
    #[inline(always)]
    unsafe fn push_local(&mut self, cell: *mut FrameCell) {
        // SAFETY: the caller's promise.
        unsafe { (*cell).next = self.local };
        self.local = cell;
    }

    /// Takes in what was given back. Calls `slot_of_loan` with the slot of each loan that was released unsent.
    pub fn collect(&mut self, mut slot_of_loan: impl FnMut(u32)) {
        if self.slab.returned.load(Ordering::Relaxed).is_null() {
            return;
        }
        let mut cell = self.slab.returned.swap(std::ptr::null_mut(), Ordering::Acquire);
        let is_producer = matches!(self.slab.side, Side::Producer { .. });
        while !cell.is_null() {
            // SAFETY: the chain was published by `give_back` and is ours alone now.
            let next = unsafe {
                if is_producer && (*cell).slot != NO_SLOT {
                    slot_of_loan((*cell).slot);
                    (*cell).slot = NO_SLOT;
                }
                (*cell).next
            };
            // SAFETY: as above.
            unsafe { self.push_local(cell) };
            cell = next;
        }
    }

    /// A free cell, which counts as held from now on. Its owner must have called [`Self::collect`] when this side has
    /// slots to take back.
    #[inline]
    pub fn take(&mut self, slot_of_loan: impl FnMut(u32)) -> FrameRef {
        if self.local.is_null() {
            self.collect(slot_of_loan);
        }
        let cell = match NonNull::new(self.local) {
            Some(cell) => cell,
            None => {
                self.grow(self.made);
                // `grow` filled the list.
                NonNull::new(self.local).unwrap_or(NonNull::dangling())
            }
        };
        // SAFETY: the head of the local list is a free cell of ours.
        self.local = unsafe { cell.as_ref() }.next;
        self.taken += 1;
        FrameRef::new(cell)
    }

    /// Frames that are held.
    pub fn held(&self) -> u64 {
        u64::try_from(self.taken + self.slab.balance.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Takes a frame back on the handing-out thread: a loan that was sent.
    #[inline]
    pub fn put_back(&mut self, mut frame: FrameRef) {
        let cell = frame.cell_mut();
        let _ = cell.end();
        cell.slot = NO_SLOT;
        self.taken -= 1;
        // SAFETY: the frame ended, and is of this slab (its caller checked).
        unsafe { self.push_local(frame.as_ptr()) };
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let slab = Arc::clone(&self.slab);
        let held = slab.balance.fetch_add(self.taken, Ordering::AcqRel) + self.taken;
        if held > 0 {
            // The reference that the last release drops.
            std::mem::forget(slab);
        }
    }
}
