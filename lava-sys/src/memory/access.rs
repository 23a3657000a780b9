//! Reading, writing, copying and filling, wherever the bytes are.

use std::ptr::NonNull;

use super::buffer::Buffer;
use super::units::Bytes;
use super::vulkan::{self, Allocation};
use crate::error::{Error, Result};
use crate::types::*;

/// Where the bytes of a checked range are.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// The CPU reaches them; if pinned for a GPU, that GPU does too.
    Host(NonNull<u8>, Option<Spot<'a>>),
    /// Only the device reaches them.
    Device(Spot<'a>),
}

/// A range as its device sees it.
#[derive(Clone, Copy)]
struct Spot<'a> {
    allocation: &'a Allocation,
    at: u64,
}

impl Buffer {
    /// Copies `size` bytes at `offset` to `to`.
    ///
    /// # Safety
    /// `to` is valid for writing `size` bytes. It may lie in this buffer.
    pub unsafe fn read(&self, offset: u64, to: *mut u8, size: usize) -> Result<()> {
        match self.place(offset, size as u64)? {
            // SAFETY: the range is checked, `to` is the caller's promise. Another process may write meanwhile: then the
            // bytes are whatever it wrote, and nothing here depends on them.
            Place::Host(from, _) => unsafe { std::ptr::copy(from.as_ptr().cast_const(), to, size) },
            Place::Device(from) if size > 0 => {
                // SAFETY: as above.
                unsafe { from.allocation.device().download(from.allocation, from.at, to, size) }?
            }
            Place::Device(_) => {}
        }
        Ok(())
    }

    /// Copies `size` bytes from `from` to `offset`.
    ///
    /// # Safety
    /// `from` is valid for reading `size` bytes. It may lie in this buffer.
    pub unsafe fn write(&self, offset: u64, from: *const u8, size: usize) -> Result<()> {
        match self.writable_place(offset, size as u64)? {
            // SAFETY: the range is checked, `from` is the caller's promise.
            Place::Host(to, _) => unsafe { std::ptr::copy(from, to.as_ptr(), size) },
            Place::Device(to) if size > 0 => {
                // SAFETY: as above.
                unsafe { to.allocation.device().upload(to.allocation, to.at, from, size) }?
            }
            Place::Device(_) => {}
        }
        Ok(())
    }

    /// Copies `bytes` to `offset`.
    #[inline]
    pub fn write_bytes(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        // SAFETY: a slice is valid for its length.
        unsafe { self.write(offset, bytes.as_ptr(), bytes.len()) }
    }

    /// Copies between two buffers, or within one; the ranges may overlap.
    pub fn copy(to: &Self, to_offset: u64, from: &Self, from_offset: u64, size: u64) -> Result<()> {
        let source = from.place(from_offset, size).map_err(|error| error.context("source"))?;
        let target = to.writable_place(to_offset, size).map_err(|error| error.context("target"))?;
        if size == 0 {
            return Ok(());
        }
        match (source, target) {
            (Place::Host(from, _), Place::Host(to, _)) => {
                // SAFETY: both ranges are checked; `copy` allows overlap.
                unsafe { std::ptr::copy(from.as_ptr().cast_const(), to.as_ptr(), size as usize) };
                Ok(())
            }
            (Place::Device(from), Place::Device(to)) => between(to, from, size),
            (Place::Host(_, Some(from)), Place::Device(to)) if same_device(from, to) => {
                between(to, from, size)
            }
            (Place::Device(from), Place::Host(_, Some(to))) if same_device(from, to) => {
                between(to, from, size)
            }
            // SAFETY: both ranges are checked.
            (Place::Host(from, _), Place::Device(to)) => unsafe {
                to.allocation.device().upload(to.allocation, to.at, from.as_ptr(), size as usize)
            },
            // SAFETY: both ranges are checked.
            (Place::Device(from), Place::Host(to, _)) => unsafe {
                from.allocation.device().download(
                    from.allocation,
                    from.at,
                    to.as_ptr(),
                    size as usize,
                )
            },
        }
    }

    /// Sets `size` bytes at `offset` to `value`.
    pub fn fill(&self, offset: u64, size: u64, value: u8) -> Result<()> {
        match self.writable_place(offset, size)? {
            // SAFETY: the range is checked.
            Place::Host(start, _) => unsafe { start.as_ptr().write_bytes(value, size as usize) },
            Place::Device(to) if size > 0 => {
                to.allocation.device().fill(to.allocation, to.at, size, value)?;
            }
            Place::Device(_) => {}
        }
        Ok(())
    }

    fn writable_place(&self, offset: u64, size: u64) -> Result<Place<'_>> {
        if self.is_read_only() {
            return Err(Error::new(
                LAVA_ERROR_PERMISSION,
                "this buffer is read-only here: only the process that allocated it may write \
                 (or allocate it with LAVA_BUFFER_WRITABLE_BY_IMPORTERS)",
            ));
        }
        self.place(offset, size)
    }

    /// Where a range is, which is checked to lie inside.
    fn place(&self, offset: u64, size: u64) -> Result<Place<'_>> {
        let end = offset.checked_add(size);
        if end.is_none_or(|end| end > self.size()) {
            let message = format!(
                "{size} bytes at offset {offset} reach beyond the buffer's {} bytes ({})",
                self.size(),
                Bytes(self.size())
            );
            return Err(
                Error::new(LAVA_ERROR_TOO_LARGE, message).with_value(end.unwrap_or(u64::MAX))
            );
        }
        let spot = self.gpu().map(|allocation| Spot { allocation, at: self.offset + offset });
        match (self.data(), spot) {
            // SAFETY: offset <= size, checked above.
            (Some(data), spot) => Ok(Place::Host(unsafe { data.add(offset as usize) }, spot)),
            (None, Some(spot)) => Ok(Place::Device(spot)),
            (None, None) => {
                Err(Error::new(LAVA_ERROR_UNSUPPORTED, "nothing can reach this buffer's memory"))
            }
        }
    }
}

fn same_device(one: Spot<'_>, other: Spot<'_>) -> bool {
    std::sync::Arc::ptr_eq(one.allocation.device(), other.allocation.device())
}

fn between(to: Spot<'_>, from: Spot<'_>, size: u64) -> Result<()> {
    if same_device(to, from) {
        return to.allocation.device().copy(to.allocation, to.at, from.allocation, from.at, size);
    }
    vulkan::copy_across(to.allocation, to.at, from.allocation, from.at, size)
}
