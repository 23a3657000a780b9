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
    /// The CPU reaches them.
    Host(NonNull<u8>),
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
            Place::Host(from) => unsafe { std::ptr::copy(from.as_ptr().cast_const(), to, size) },
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
            Place::Host(to) => unsafe { std::ptr::copy(from, to.as_ptr(), size) },
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
    pub fn copy<'a>(
        to: &'a Self,
        to_offset: u64,
        from: &'a Self,
        from_offset: u64,
        size: u64,
    ) -> Result<()> {
        let source = from.place(from_offset, size).map_err(|error| error.context("source"))?;
        let target = to.writable_place(to_offset, size).map_err(|error| error.context("target"))?;
        if size == 0 {
            return Ok(());
        }
        // Host memory that the device uses in place is copied by the device.
        let in_place = |host: &'a Self, at: u64, other: Spot<'_>| {
            host.spot(at).filter(|spot| same_device(*spot, other))
        };
        match (source, target) {
            (Place::Host(from), Place::Host(to)) => {
                // SAFETY: both ranges are checked; `copy` allows overlap.
                unsafe { std::ptr::copy(from.as_ptr().cast_const(), to.as_ptr(), size as usize) };
                Ok(())
            }
            (Place::Device(source), Place::Device(target)) => between(target, source, size),
            (Place::Host(start), Place::Device(target)) => {
                if let Some(source) = in_place(from, from_offset, target) {
                    return between(target, source, size);
                }
                let device = target.allocation.device();
                // SAFETY: both ranges are checked.
                unsafe {
                    device.upload(target.allocation, target.at, start.as_ptr(), size as usize)
                }
            }
            (Place::Device(source), Place::Host(start)) => {
                if let Some(target) = in_place(to, to_offset, source) {
                    return between(target, source, size);
                }
                let device = source.allocation.device();
                // SAFETY: both ranges are checked.
                unsafe {
                    device.download(source.allocation, source.at, start.as_ptr(), size as usize)
                }
            }
        }
    }

    /// Sets `size` bytes at `offset` to `value`.
    pub fn fill(&self, offset: u64, size: u64, value: u8) -> Result<()> {
        match self.writable_place(offset, size)? {
            // SAFETY: the range is checked.
            Place::Host(start) => unsafe { start.as_ptr().write_bytes(value, size as usize) },
            Place::Device(to) if size > 0 => {
                to.allocation.device().fill(to.allocation, to.at, size, value)?;
            }
            Place::Device(_) => {}
        }
        Ok(())
    }

    #[inline]
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
    #[inline]
    fn place(&self, offset: u64, size: u64) -> Result<Place<'_>> {
        let end = offset.checked_add(size);
        if end.is_none_or(|end| end > self.size()) {
            return Err(self.beyond(offset, size));
        }
        match self.data() {
            // SAFETY: offset <= size, checked above.
            Some(data) => Ok(Place::Host(unsafe { data.add(offset as usize) })),
            None => self.spot(offset).map(Place::Device).ok_or_else(|| {
                Error::new(LAVA_ERROR_UNSUPPORTED, "nothing can reach this buffer's memory")
            }),
        }
    }

    /// The same as the GPU sees it, if one does.
    fn spot(&self, offset: u64) -> Option<Spot<'_>> {
        self.gpu().map(|allocation| Spot { allocation, at: self.offset + offset })
    }

    #[cold]
    fn beyond(&self, offset: u64, size: u64) -> Error {
        let message = format!(
            "{size} bytes at offset {offset} reach beyond the buffer's {} bytes ({})",
            self.size(),
            Bytes(self.size())
        );
        let end = offset.saturating_add(size);
        Error::new(LAVA_ERROR_TOO_LARGE, message).with_value(end)
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
