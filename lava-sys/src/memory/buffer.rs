//! One allocation: what it is, and access to its bytes.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attached::Attached;
use super::kind::Memory;
use super::request::{Need, Request};
use super::storage::{Made, Storage};
use super::units::Bytes;
use super::vulkan::Allocation;
use crate::error::{Error, Result};
use crate::types::*;

/// One allocation. Its memory lives exactly as long as this value; frames hold it by `Arc`.
#[derive(Debug)]
pub struct Buffer {
    /// Dropped before the memory.
    pub(super) attached: Attached,
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
            attached: Attached::default(),
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

    /// Where a layer above keeps what it derived from this buffer.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Unique among the buffers that this process has had.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The GPU's side of it: the allocation of device memory, or that of pinned host memory which a GPU has imported.
    pub fn gpu(&self) -> Option<&Allocation> {
        self.storage.gpu()
    }

    /// First usable byte within the allocation.
    pub fn offset(&self) -> u64 {
        self.offset
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

    /// Copies `bytes` to `offset`.
    #[inline]
    pub fn write_bytes(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        // SAFETY: a slice is valid for its length.
        unsafe { self.write(offset, bytes.as_ptr(), bytes.len()) }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::request::tests::{context, request};
    use super::*;

    fn buffer(size: u64, flags: u32) -> Buffer {
        Buffer::allocate(&request(Memory::Auto, size, flags), &context()).unwrap()
    }

    fn content(buffer: &Buffer) -> Vec<u8> {
        let mut bytes = vec![0; buffer.size() as usize];
        // SAFETY: `bytes` has the buffer's size.
        unsafe { buffer.read(0, bytes.as_mut_ptr(), bytes.len()) }.unwrap();
        bytes
    }

    fn put(buffer: &Buffer, offset: u64, bytes: &[u8]) -> Result<()> {
        // SAFETY: a slice is valid for its length.
        unsafe { buffer.write(offset, bytes.as_ptr(), bytes.len()) }
    }

    #[test]
    fn every_buffer_has_its_own_number() {
        let numbers: std::collections::HashSet<u64> = (0..100).map(|_| buffer(1, 0).id()).collect();
        assert_eq!(numbers.len(), 100);
    }

    #[test]
    fn ranges_beyond_the_end_are_refused() {
        let buffer = buffer(100, 0);
        for (offset, size) in
            [(0, 101), (100, 1), (101, 0), (u64::MAX, 1), (1, u64::MAX), (u64::MAX, u64::MAX)]
        {
            for refused in [
                buffer.fill(offset, size, 1),
                Buffer::copy(&buffer, offset, &buffer, 0, size),
                Buffer::copy(&buffer, 0, &buffer, offset, size),
            ] {
                assert_eq!(refused.unwrap_err().status, LAVA_ERROR_TOO_LARGE, "{offset} {size}");
            }
        }
        buffer.fill(100, 0, 1).unwrap();
        assert_eq!(content(&buffer), [0; 100]);
        assert!(put(&buffer, 98, b"abc").unwrap_err().message.contains("offset 98"));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(u64, Vec<u8>),
        Fill(u64, u64, u8),
        Copy(u64, u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = || 0..5000_u64;
        prop_oneof![
            (at(), prop::collection::vec(any::<u8>(), 0..300))
                .prop_map(|(at, bytes)| Step::Write(at, bytes)),
            (at(), at(), any::<u8>()).prop_map(|(at, size, value)| Step::Fill(at, size, value)),
            (at(), at(), at()).prop_map(|(to, from, size)| Step::Copy(to, from, size)),
        ]
    }

    /// The same on a vector; `None` where the range is outside.
    fn model(bytes: &mut [u8], step: &Step) -> Option<()> {
        let inside = |at: u64, size: u64| {
            (at + size <= bytes.len() as u64).then_some(at as usize..(at + size) as usize)
        };
        match step {
            Step::Write(at, new) => {
                let range = inside(*at, new.len() as u64)?;
                bytes[range].copy_from_slice(new);
            }
            Step::Fill(at, size, value) => {
                let range = inside(*at, *size)?;
                bytes[range].fill(*value);
            }
            Step::Copy(to, from, size) => {
                let (to, from) = (inside(*to, *size)?, inside(*from, *size)?);
                bytes.copy_within(from, to.start);
            }
        }
        Some(())
    }

    proptest! {
        #[test]
        fn a_buffer_behaves_as_a_vector(size in 1..5000_u64, shared in any::<bool>(), steps in prop::collection::vec(step(), 0..30)) {
            let buffer = buffer(size, if shared { LAVA_BUFFER_SHAREABLE } else { 0 });
            let mut bytes = vec![0; size as usize];
            for step in &steps {
                let done = match step {
                    Step::Write(at, new) => put(&buffer, *at, new),
                    Step::Fill(at, size, value) => buffer.fill(*at, *size, *value),
                    Step::Copy(to, from, size) => Buffer::copy(&buffer, *to, &buffer, *from, *size),
                };
                prop_assert_eq!(done.is_ok(), model(&mut bytes, step).is_some());
            }
            prop_assert_eq!(content(&buffer), bytes);
        }
    }
}
