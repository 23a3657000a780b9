//! What a frame of GPU memory can do: it has no address here, only a buffer and an offset, and it may become ready later
//! than its descriptor came.

use std::sync::Arc;

use super::Released;
use super::deferred::Pending;
use super::frame::FrameCell;
use super::ready::{Ready, Semaphore, Watch};
use super::slab::{DeviceEnd, Side, Slab};
use crate::error::{Error, Hot, Result};
use crate::memory::Buffer;
use crate::types::*;

impl FrameCell {
    /// A loan of a slot gets its place in GPU memory. After [`Self::start_loan`], or when it moved to a slot.
    #[cold]
    pub fn place_loan(&mut self, at: u64) {
        self.data = std::ptr::null_mut();
        self.at = at;
        self.ready = 0;
    }

    /// A received frame gets its place in GPU memory, and when it is ready. After [`Self::start_slot`].
    #[cold]
    pub fn place_received(&mut self, at: u64, ready: u64) {
        self.data = std::ptr::null_mut();
        self.at = at;
        self.ready = ready;
    }

    /// The payload lies where the CPU cannot reach it.
    #[inline]
    pub fn is_on_device(&self) -> bool {
        self.data.is_null() && self.slot().is_some()
    }

    /// The semaphore's value that goes with the frame; 0: none.
    pub fn ready_value(&self) -> u64 {
        if self.is_on_device() { self.ready } else { 0 }
    }

    fn device_end(&self) -> Option<&DeviceEnd> {
        match self.side() {
            Side::Consumer { device, .. } => device.as_ref(),
            Side::Producer { .. } => None,
        }
    }

    fn watch(&self) -> Option<&Arc<Watch>> {
        self.device_end().and_then(|end| end.watch.as_ref())
    }

    /// What to wait for before the payload is read.
    pub fn ready(&self) -> Ready {
        let value = self.ready_value();
        match (self.watch(), self.side()) {
            (Some(watch), _) => watch.ready(value),
            (None, _) => Ready { semaphore: None, value: 0 },
        }
    }

    /// Waits on the host until the payload may be read.
    pub fn wait_ready(&self, timeout_ns: u64) -> Hot<()> {
        match self.watch() {
            Some(watch) => watch.wait(self.ready_value(), timeout_ns),
            None => Ok(()),
        }
    }

    /// What the GPU work that writes a loan has to signal; a new value each time.
    pub fn next_ready(&mut self) -> Result<Ready> {
        if !self.is_loan() {
            return Err(Error::new(
                LAVA_ERROR_FRAME_STATE,
                "only a loan is written: ask a received frame with lava_frame_get_ready",
            ));
        }
        let signals = match self.side() {
            Side::Producer { signals: Some(signals), .. } if self.is_on_device() => signals,
            _ => return Ok(Ready { semaphore: None, value: 0 }),
        };
        let next = signals.next();
        self.ready = next.value;
        Ok(next)
    }

    /// Undoes [`Self::next_ready`]: nothing will be signalled, the payload is written already.
    pub fn forget_ready(&mut self) {
        self.ready = 0;
    }

    /// Gives a frame back when `until` has reached `value`: the caller's GPU reads it until then. The handle is dead after it.
    ///
    /// # Safety
    /// As [`FrameCell::release`].
    pub unsafe fn release_after(cell: *mut Self, until: Arc<dyn Semaphore>, value: u64) -> Hot<()> {
        // SAFETY: the caller's promise.
        let this = unsafe { &mut *cell };
        if this.is_loan() {
            return Err(LAVA_ERROR_FRAME_STATE);
        }
        if this.slot().is_none() {
            // SAFETY: the caller's promise. The payload is the frame's own copy, which no GPU reads.
            return unsafe { Self::release(cell) };
        }
        if this.device_end().is_none() {
            return Err(LAVA_ERROR_UNSUPPORTED);
        }
        let registered = this.registered.take();
        this.end()?;
        let owner = this.owner;
        // SAFETY: the frame was held until now, so its owner is alive.
        let side = unsafe { &(*owner).side };
        if let Side::Consumer { pool, returns, keep, device: Some(device), .. } = side {
            device.deferred.push(Pending {
                until,
                value,
                released: Released { slot: this.slot, position: this.position },
                returns: Arc::clone(returns),
                registered,
                keep: Arc::clone(keep),
                pool: Arc::clone(pool),
            });
        }
        // SAFETY: the cell is free, and of this slab; one frame less is held.
        unsafe { Slab::give_back(owner, cell, cell, 1) };
        Ok(())
    }

    /// # Safety
    /// `to` is valid for `size` bytes. The range lies in the payload.
    #[cold]
    pub(super) unsafe fn read_device(&self, offset: usize, to: *mut u8, size: usize) -> Hot<()> {
        let at = self.device_place(offset)?;
        self.wait_ready(READ_WAIT_NS)?;
        // SAFETY: the caller's promise.
        unsafe { self.slot_buffer().read(at, to, size) }.map_err(|error| error.status)
    }

    /// # Safety
    /// `from` is valid for `size` bytes. The range lies in the payload.
    #[cold]
    pub(super) unsafe fn write_device(
        &self,
        offset: usize,
        from: *const u8,
        size: usize,
    ) -> Hot<()> {
        let at = self.device_place(offset)?;
        // SAFETY: the caller's promise.
        unsafe { self.slot_buffer().write(at, from, size) }.map_err(|error| error.status)
    }

    fn device_place(&self, offset: usize) -> Hot<u64> {
        if self.slot().is_none() {
            return Err(LAVA_ERROR_INVALID_HANDLE);
        }
        Ok(self.at + offset as u64)
    }

    /// The buffer that a device frame lies in, for those that copy from it.
    pub fn device_buffer(&self) -> Option<(&Arc<Buffer>, u64)> {
        self.is_on_device().then(|| (self.slot_buffer(), self.at))
    }
}

/// Reading and writing have no timeout of their own: so long may the GPU work before them take.
const READ_WAIT_NS: u64 = 10_000_000_000;
