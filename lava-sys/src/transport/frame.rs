//! Frames as the caller holds them: small cells behind the `lava_frame` handles, and what one can do with them.
//!
//! A cell is made once and used again and again ([`super::slab`]), so that no frame allocates. Its owner, the
//! [`Slab`], lives until the last of its frames is released, also when the producer or consumer handle is gone.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::descriptor::{Origin, PayloadWords};
use super::slab::{Side, Slab};
use super::{Released, tensor};
use crate::error::{Error, Hot, Result};
use crate::memory::Buffer;
use crate::types::*;

const FREE: u32 = 0x1a7a_f0ee;
const LOAN: u32 = 0x1a7a_f10a;
const RECEIVED: u32 = 0x1a7a_f3ec;

/// One frame. The first two cache lines are all that a frame without a tensor touches.
#[repr(C, align(64))]
pub struct FrameCell {
    state: AtomicU32,
    pub(super) flags: u32,
    pub(super) size: u64,
    pub(super) data: *mut u8,
    pub(super) sequence: u64,
    pub(super) timestamp_ns: u64,
    pub(super) tag: u64,
    pub(super) owner: *const Slab,
    pub(super) next: *mut FrameCell,
    /// Payload of a frame without a slot; first in its line, so that it is aligned to 64.
    inline: PayloadWords,
    /// Means nothing with [`LAVA_FRAME_INLINE`].
    pub(super) slot: u32,
    pub(super) position: u64,
    /// A loan's.
    capacity: u64,
    /// GPU memory: where the payload begins in its buffer, which has no address here.
    pub(super) at: u64,
    /// GPU memory: the semaphore's value at which the payload is ready; 0: it is.
    pub(super) ready: u64,
    /// The registered buffer that the payload lies in; None: the pool. Kept here, because the producer may tell the
    /// connection to forget it at any time.
    pub(super) registered: Option<Arc<Buffer>>,
    tensor: lava_tensor,
}

impl std::fmt::Debug for FrameCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameCell")
            .field("size", &self.size)
            .field("slot", &self.slot)
            .finish_non_exhaustive()
    }
}

/// A pointer to a live cell. Making one of a caller's pointer is `unsafe`; using it is not: cells stay allocated as
/// long as their slab, and their slab as long as any frame of it is held.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct FrameRef(NonNull<FrameCell>);

// SAFETY: a cell is used by one thread at a time (the caller's promise in lava.h), whichever it is.
unsafe impl Send for FrameRef {}

impl FrameRef {
    /// # Safety
    /// `cell` is a frame that the caller holds, and no other thread uses it.
    #[inline(always)]
    pub unsafe fn from_raw(cell: *mut FrameCell) -> Hot<Self> {
        let cell = NonNull::new(cell)
            .filter(|cell| cell.is_aligned())
            .ok_or(LAVA_ERROR_INVALID_POINTER)?;
        Ok(Self(cell))
    }

    pub(super) fn new(cell: NonNull<FrameCell>) -> Self {
        Self(cell)
    }

    /// Gives the frame back: for tests of modules that have no `unsafe`.
    #[cfg(test)]
    pub fn release(self) {
        // SAFETY: live by the invariant of this type; a test uses it from one thread and not again.
        let released = unsafe { FrameCell::release(self.as_ptr()) };
        assert_eq!(released, Ok(()));
    }

    /// The payload, which lies in host memory: as [`Self::release`], for tests.
    #[cfg(test)]
    pub fn bytes(&self) -> Vec<u8> {
        let cell = self.cell();
        // SAFETY: a live frame's payload is readable for its size.
        unsafe { std::slice::from_raw_parts(cell.data(), cell.size() as usize) }.to_vec()
    }

    #[inline(always)]
    pub fn as_ptr(self) -> *mut FrameCell {
        self.0.as_ptr()
    }

    #[inline(always)]
    pub fn cell(&self) -> &FrameCell {
        // SAFETY: live by the invariant of this type.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub fn cell_mut(&mut self) -> &mut FrameCell {
        // SAFETY: live, and used by one thread at a time.
        unsafe { self.0.as_mut() }
    }
}

impl FrameCell {
    pub(super) fn free(owner: *const Slab) -> Self {
        Self {
            state: AtomicU32::new(FREE),
            flags: 0,
            size: 0,
            data: std::ptr::null_mut(),
            sequence: 0,
            timestamp_ns: 0,
            tag: 0,
            owner,
            next: std::ptr::null_mut(),
            inline: [0; LAVA_FRAME_INLINE_SIZE / 8],
            slot: 0,
            position: 0,
            capacity: 0,
            at: 0,
            ready: 0,
            registered: None,
            tensor: lava_tensor {
                struct_size: 0,
                dtype: 0,
                bits: 0,
                lanes: 0,
                dimensions: 0,
                has_strides: 0,
                byte_offset: 0,
                shape: [0; LAVA_TENSOR_MAX_DIMENSIONS],
                strides: [0; LAVA_TENSOR_MAX_DIMENSIONS],
            },
        }
    }

    /// Becomes a loan of `size` bytes: in a slot at `data`, or in the cell.
    #[inline]
    pub fn start_loan(&mut self, slot: Option<(u32, NonNull<u8>)>, size: u64, capacity: u64) {
        self.flags = LAVA_FRAME_LOAN;
        self.size = size;
        self.capacity = capacity;
        self.sequence = 0;
        self.timestamp_ns = 0;
        self.tag = 0;
        match slot {
            Some((slot, data)) => {
                self.slot = slot;
                self.data = data.as_ptr();
            }
            None => {
                self.data = self.inline.as_mut_ptr().cast();
                self.flags |= LAVA_FRAME_INLINE;
            }
        }
        self.state.store(LOAN, Ordering::Relaxed);
    }

    /// Becomes a received frame with its payload in the cell: `size` bytes of `words`, of which the others are left out.
    #[inline(always)]
    pub fn start_inline(&mut self, words: &[u64], size: usize, origin: Origin) {
        debug_assert!(size <= words.len() * 8);
        for (to, from) in self.inline.iter_mut().zip(words) {
            *to = *from;
        }
        self.data = self.inline.as_mut_ptr().cast();
        self.flags = LAVA_FRAME_INLINE;
        self.start_received(size as u64, origin);
    }

    /// Becomes a received frame in `slot`, with its payload at `data`.
    #[inline(always)]
    pub fn start_slot(
        &mut self,
        slot: u32,
        position: u64,
        data: NonNull<u8>,
        size: u64,
        origin: Origin,
    ) {
        self.data = data.as_ptr();
        self.flags = 0;
        self.slot = slot;
        self.position = position;
        self.start_received(size, origin);
    }

    /// After [`Self::start_slot`]: the payload lies in a registered buffer, which stays mapped until the release.
    #[cold]
    pub fn set_registered(&mut self, buffer: Arc<Buffer>) {
        self.flags |= LAVA_FRAME_BUFFER;
        self.registered = Some(buffer);
    }

    #[inline(always)]
    fn start_received(&mut self, size: u64, origin: Origin) {
        self.size = size;
        self.sequence = origin.sequence;
        self.timestamp_ns = origin.timestamp_ns;
        self.tag = origin.tag;
        self.state.store(RECEIVED, Ordering::Relaxed);
    }

    /// The tensor of a received frame, as the peer wrote it; it is checked when it is asked for.
    #[cold]
    pub fn set_received_tensor(&mut self, tensor: lava_tensor) {
        self.tensor = tensor;
        self.flags |= LAVA_FRAME_HAS_TENSOR;
    }

    #[inline(always)]
    pub fn is_live(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), LOAN | RECEIVED)
    }

    #[inline(always)]
    pub fn is_loan(&self) -> bool {
        self.state.load(Ordering::Relaxed) == LOAN
    }

    /// The cell is no frame any more. Gives whether it was a loan; an error if it was none before.
    #[inline(always)]
    pub(super) fn end(&mut self) -> Hot<bool> {
        match self.state.load(Ordering::Relaxed) {
            state @ (LOAN | RECEIVED) => {
                self.state.store(FREE, Ordering::Relaxed);
                if self.flags & LAVA_FRAME_BUFFER != 0 {
                    self.registered = None;
                }
                Ok(state == LOAN)
            }
            _ => Err(LAVA_ERROR_INVALID_HANDLE),
        }
    }

    /// True if this is a loan of that slab.
    #[inline(always)]
    pub fn is_loan_of(&self, owner: &Slab) -> bool {
        self.is_loan() && std::ptr::eq(self.owner, owner)
    }

    #[inline(always)]
    pub fn data(&self) -> *mut u8 {
        self.data
    }

    #[inline(always)]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// None: the payload is in the cell.
    #[inline(always)]
    pub fn slot(&self) -> Option<u32> {
        (self.flags & LAVA_FRAME_INLINE == 0).then_some(self.slot)
    }

    /// What is to be told to the producer of a received frame that is released.
    #[inline(always)]
    fn release_of(&self) -> Option<Released> {
        self.slot().map(|slot| Released { slot, position: self.position })
    }

    pub fn tag(&self) -> u64 {
        self.tag
    }

    pub fn timestamp_ns(&self) -> u64 {
        self.timestamp_ns
    }

    /// The bytes of a frame without a slot.
    #[inline(always)]
    pub fn inline_bytes(&self) -> &[u8] {
        let size = (self.size as usize).min(LAVA_FRAME_INLINE_SIZE);
        &bytemuck::bytes_of(&self.inline)[..size]
    }

    /// A loan without a slot gets one; its bytes have been copied there.
    pub fn move_to_slot(&mut self, slot: u32, data: NonNull<u8>, capacity: u64) {
        self.slot = slot;
        self.data = data.as_ptr();
        self.capacity = capacity;
        self.flags &= !LAVA_FRAME_INLINE;
    }

    /// A loan's tensor, checked against its size of now; None if it has none.
    pub fn loan_tensor(&self) -> Option<Hot<lava_tensor>> {
        (self.flags & LAVA_FRAME_HAS_TENSOR != 0)
            .then(|| tensor::check(&self.tensor, self.size).map_err(|error| error.status))
    }

    pub fn info(&self) -> lava_frame_info {
        let transport = if self.is_loan() { 0 } else { self.side().transport() };
        lava_frame_info {
            struct_size: size_of::<lava_frame_info>() as u32,
            flags: self.flags,
            size: self.size,
            sequence: self.sequence,
            timestamp_ns: self.timestamp_ns,
            tag: self.tag,
            capacity: if self.is_loan() { self.capacity } else { self.size },
            memory: if self.slot().is_none() {
                LAVA_MEMORY_STANDARD
            } else {
                self.slot_buffer().memory().number()
            },
            transport,
        }
    }

    /// What the owner of this frame is.
    pub(super) fn side(&self) -> &Side {
        // SAFETY: the owner lives as long as any frame of it.
        unsafe { &(*self.owner).side }
    }

    /// The buffer of a frame that has a slot.
    pub(super) fn slot_buffer(&self) -> &Arc<Buffer> {
        self.registered.as_ref().unwrap_or_else(|| self.side().pool())
    }

    fn check_loan(&self) -> Hot<()> {
        if self.is_loan() { Ok(()) } else { Err(LAVA_ERROR_FRAME_STATE) }
    }

    pub fn set_size(&mut self, size: u64) -> Hot<()> {
        self.check_loan()?;
        if size > self.capacity {
            return Err(LAVA_ERROR_TOO_LARGE);
        }
        self.size = size;
        Ok(())
    }

    pub fn set_tag(&mut self, tag: u64) -> Hot<()> {
        self.check_loan()?;
        self.tag = tag;
        Ok(())
    }

    pub fn set_timestamp(&mut self, timestamp_ns: u64) -> Hot<()> {
        self.check_loan()?;
        self.timestamp_ns = timestamp_ns;
        Ok(())
    }

    pub fn set_tensor(&mut self, description: &lava_tensor) -> Result<()> {
        self.check_loan()
            .map_err(|status| Error::new(status, "only a loan's tensor can be set"))?;
        self.tensor = tensor::check(description, self.size)?;
        self.flags |= LAVA_FRAME_HAS_TENSOR;
        Ok(())
    }

    pub fn clear_tensor(&mut self) -> Result<()> {
        self.check_loan()
            .map_err(|status| Error::new(status, "only a loan's tensor can be removed"))?;
        self.flags &= !LAVA_FRAME_HAS_TENSOR;
        Ok(())
    }

    pub fn tensor(&self) -> Result<lava_tensor> {
        if self.flags & LAVA_FRAME_HAS_TENSOR == 0 {
            return Err(Error::new(LAVA_ERROR_NOT_FOUND, "the frame has no tensor description"));
        }
        tensor::check(&self.tensor, self.size).map_err(|error| {
            let status = if self.is_loan() { error.status } else { LAVA_ERROR_PROTOCOL };
            Error { status, ..error }.context("the frame's tensor")
        })
    }

    fn check_range(&self, offset: u64, size: usize) -> Hot<usize> {
        let end = offset.checked_add(size as u64).ok_or(LAVA_ERROR_TOO_LARGE)?;
        if end > self.size {
            return Err(LAVA_ERROR_TOO_LARGE);
        }
        Ok(offset as usize)
    }

    /// # Safety
    /// `to` is valid for `size` bytes, none of them in this frame.
    pub unsafe fn read(&self, offset: u64, to: *mut u8, size: usize) -> Hot<()> {
        let offset = self.check_range(offset, size)?;
        if self.data.is_null() {
            // SAFETY: the caller's promise; the range is checked.
            return unsafe { self.read_device(offset, to, size) };
        }
        // SAFETY: the range lies in the payload, which is mapped; a peer that writes meanwhile changes what is copied,
        // not where.
        unsafe { std::ptr::copy_nonoverlapping(self.data.add(offset), to, size) };
        Ok(())
    }

    /// # Safety
    /// `from` is valid for `size` bytes, none of them in this frame.
    pub unsafe fn write(&mut self, offset: u64, from: *const u8, size: usize) -> Hot<()> {
        self.check_loan()?;
        let offset = self.check_range(offset, size)?;
        if self.data.is_null() {
            // SAFETY: the caller's promise; the range is checked.
            return unsafe { self.write_device(offset, from, size) };
        }
        // SAFETY: the range lies in a loan, which is writable here and nobody else's.
        unsafe { std::ptr::copy_nonoverlapping(from, self.data.add(offset), size) };
        Ok(())
    }

    /// The buffer that the payload lies in, and where it begins there.
    pub fn buffer(&self) -> Result<(Arc<Buffer>, u64)> {
        if self.slot().is_none() {
            return Err(Error::new(
                LAVA_ERROR_NOT_FOUND,
                format!("frames of at most {LAVA_FRAME_INLINE_SIZE} bytes lie in no buffer"),
            ));
        }
        let buffer = Arc::clone(self.slot_buffer());
        if self.data.is_null() {
            return Ok((buffer, self.at));
        }
        let start = buffer.data().map_or(0, |start| start.as_ptr() as usize);
        Ok((buffer, (self.data as usize).wrapping_sub(start) as u64))
    }

    /// Gives a frame back. The handle is dead after it.
    ///
    /// # Safety
    /// `cell` points to a cell whose slab is alive, and no other thread uses the frame.
    #[inline]
    pub unsafe fn release(cell: *mut FrameCell) -> Hot<()> {
        // SAFETY: the caller's promise.
        let this = unsafe { &mut *cell };
        let was_loan = this.end()?;
        let owner = this.owner;
        if !was_loan && let Some(released) = this.release_of() {
            // SAFETY: the frame was held until now, so its owner is alive.
            unsafe { &*owner }.side.release(&[released]);
        }
        // SAFETY: the cell is free, and of this slab; one frame less is held.
        unsafe {
            Slab::give_back(owner, cell, cell, 1);
        }
        Ok(())
    }

    /// Gives many frames back; those of one owner that follow each other together.
    ///
    /// # Safety
    /// As [`Self::release`], for each element.
    pub unsafe fn release_many(cells: &[*mut FrameCell]) -> Hot<()> {
        let mut result = Ok(());
        let mut rest = cells;
        while !rest.is_empty() {
            // SAFETY: the caller's promise.
            let (done, outcome) = unsafe { Self::release_run(rest) };
            if result.is_ok() {
                result = outcome;
            }
            rest = &rest[done..];
        }
        result
    }

    /// Gives back the frames at the front that have one owner, at most 64; says how many were looked at.
    ///
    /// # Safety
    /// As [`Self::release`], for each element.
    unsafe fn release_run(cells: &[*mut FrameCell]) -> (usize, Hot<()>) {
        const RUN: usize = 64;
        let mut released = [Released { slot: 0, position: 0 }; RUN];
        let (mut slots, mut count, mut outcome) = (0, 0, Ok(()));
        let mut owner: *const Slab = std::ptr::null();
        let (mut first, mut last): (*mut Self, *mut Self) =
            (std::ptr::null_mut(), std::ptr::null_mut());
        let mut looked = 0;
        for &cell in &cells[..cells.len().min(RUN)] {
            if cell.is_null() || !cell.is_aligned() {
                outcome = outcome.and(Err(LAVA_ERROR_INVALID_POINTER));
                looked += 1;
                continue;
            }
            // SAFETY: the caller's promise.
            let this = unsafe { &mut *cell };
            if !owner.is_null() && owner != this.owner {
                break;
            }
            looked += 1;
            match this.end() {
                Err(status) => outcome = outcome.and(Err(status)),
                Ok(was_loan) => {
                    owner = this.owner;
                    if !was_loan && let Some(one) = this.release_of() {
                        released[slots] = one;
                        slots += 1;
                    }
                    this.next = first;
                    first = cell;
                    if last.is_null() {
                        last = cell;
                    }
                    count += 1;
                }
            }
        }
        if count > 0 {
            // SAFETY: the frames were held until now, so their owner is alive.
            let slab = unsafe { &*owner };
            if slots > 0 {
                slab.side.release(&released[..slots]);
            }
            // SAFETY: a chain of free cells of this slab; `count` frames less are held.
            unsafe {
                Slab::give_back(owner, first, last, count);
            }
        }
        (looked, outcome)
    }
}

/// What the two kinds of owners know about their frames.
impl Side {
    fn release(&self, released: &[Released]) {
        if let Self::Consumer { returns, .. } = self {
            returns.release(released);
        }
    }
}
