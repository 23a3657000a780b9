//! One allocation: what it is, and access to its bytes.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::kind::Memory;
use super::request::{Need, Request};
use super::storage::{Made, Storage};
use super::units::Bytes;
use crate::error::{Error, Result};
use crate::types::*;

/// One allocation. Its memory lives exactly as long as this value; frames hold it by `Arc`.
#[derive(Debug)]
pub struct Buffer {
    pub(super) id: u64,
    pub(super) storage: Storage,
    pub(super) requested: Memory,
    pub(super) memory: Memory,
    /// First usable byte within the storage.
    pub(super) offset: u64,
    /// Usable bytes.
    pub(super) size: u64,
    pub(super) alignment: u64,
    pub(super) flags: u32,
    pub(super) pages: u32,
    pub(super) page_size: u64,
    pub(super) node: Option<u32>,
    pub(super) reason: String,
}

/// A number that no other buffer of this process has had. The only state outside of contexts: it cannot be shared by
/// contexts otherwise, and nothing depends on its value.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Buffer {
    pub(super) fn new(
        request: &Request,
        need: &Need,
        memory: Memory,
        made: Made,
        reason: String,
    ) -> Self {
        let Made { storage, pages, page_size, node, .. } = made;
        let in_pages = if matches!(storage, Storage::Heap(_)) { 1 } else { page_size };
        let committed = if memory == Memory::Pinned { LAVA_BUFFER_COMMIT } else { 0 };
        Self {
            id: next_id(),
            storage,
            requested: request.memory,
            memory,
            offset: 0,
            size: need.size,
            alignment: (need.alignment as u64).max(in_pages),
            flags: request.flags | committed,
            pages,
            page_size,
            node,
            reason,
        }
    }

    /// Unique among the buffers that this process has had.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The first byte; `None` if the CPU cannot reach the memory.
    pub fn data(&self) -> Option<NonNull<u8>> {
        // SAFETY: offset + size <= the storage's size, checked where buffers are made.
        Some(unsafe { self.storage.start().add(self.offset as usize) })
    }

    /// Usable bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the whole allocation: of the memory file, if shareable.
    pub fn allocated_size(&self) -> u64 {
        self.storage.size()
    }

    pub fn alignment(&self) -> u64 {
        self.alignment
    }

    /// Set of `LAVA_BUFFER_*`.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// `LAVA_PAGES_*`.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// The node that the pages are bound to.
    pub fn numa_node(&self) -> Option<u32> {
        self.node
    }

    pub fn requested(&self) -> Memory {
        self.requested
    }

    /// What it is: never `Auto`.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Why it is what it is; less than `LAVA_REASON_SIZE` bytes.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The sealed memory file behind a shareable buffer. It has [`Buffer::allocated_size`] bytes.
    pub fn shared_fd(&self) -> Option<BorrowedFd<'_>> {
        self.storage.fd()
    }

    /// Whether it is shareable and nobody but its maker can write to it: what a channel may send without copying.
    pub fn is_single_writer(&self) -> bool {
        self.storage.is_single_writer()
    }

    /// Whether this process may not write to it.
    pub fn is_read_only(&self) -> bool {
        self.flags & LAVA_BUFFER_READ_ONLY != 0
    }

    /// Copies `size` bytes at `offset` to `to`.
    ///
    /// # Safety
    /// `to` is valid for writing `size` bytes. It may lie in this buffer.
    pub unsafe fn read(&self, offset: u64, to: *mut u8, size: usize) -> Result<()> {
        let from = self.range(offset, size as u64)?;
        // SAFETY: `from` is checked, `to` is the caller's promise. Another process may write meanwhile: then the bytes
        // are whatever it wrote, and nothing here depends on them.
        unsafe { std::ptr::copy(from.as_ptr().cast_const(), to, size) };
        Ok(())
    }

    /// Copies `size` bytes from `from` to `offset`.
    ///
    /// # Safety
    /// `from` is valid for reading `size` bytes. It may lie in this buffer.
    pub unsafe fn write(&self, offset: u64, from: *const u8, size: usize) -> Result<()> {
        let to = self.writable_range(offset, size as u64)?;
        // SAFETY: `to` is checked, `from` is the caller's promise.
        unsafe { std::ptr::copy(from, to.as_ptr(), size) };
        Ok(())
    }

    /// Copies between two buffers, or within one; the ranges may overlap.
    pub fn copy(to: &Self, to_offset: u64, from: &Self, from_offset: u64, size: u64) -> Result<()> {
        let source = from.range(from_offset, size).map_err(|error| error.context("source"))?;
        let target = to.writable_range(to_offset, size).map_err(|error| error.context("target"))?;
        // SAFETY: both ranges are checked; `copy` allows overlap.
        unsafe { std::ptr::copy(source.as_ptr().cast_const(), target.as_ptr(), size as usize) };
        Ok(())
    }

    /// Sets `size` bytes at `offset` to `value`.
    pub fn fill(&self, offset: u64, size: u64, value: u8) -> Result<()> {
        let start = self.writable_range(offset, size)?;
        // SAFETY: checked.
        unsafe { start.as_ptr().write_bytes(value, size as usize) };
        Ok(())
    }

    fn writable_range(&self, offset: u64, size: u64) -> Result<NonNull<u8>> {
        if self.is_read_only() {
            return Err(Error::new(
                LAVA_ERROR_PERMISSION,
                "this buffer is read-only here: only the process that allocated it may write \
                 (or allocate it with LAVA_BUFFER_WRITABLE_BY_IMPORTERS)",
            ));
        }
        self.range(offset, size)
    }

    /// The first byte of a range, which is checked to lie inside.
    fn range(&self, offset: u64, size: u64) -> Result<NonNull<u8>> {
        let end = offset.checked_add(size);
        if end.is_none_or(|end| end > self.size) {
            let message = format!(
                "{size} bytes at offset {offset} reach beyond the buffer's {} bytes ({})",
                self.size,
                Bytes(self.size)
            );
            return Err(
                Error::new(LAVA_ERROR_TOO_LARGE, message).with_value(end.unwrap_or(u64::MAX))
            );
        }
        let data = self.data().ok_or_else(|| {
            Error::new(LAVA_ERROR_UNSUPPORTED, "the CPU cannot reach this buffer's memory")
        })?;
        // SAFETY: offset <= size, checked above.
        Ok(unsafe { data.add(offset as usize) })
    }
}
