//! One allocation: what it is. Access to its bytes is in `access`.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::attached::Attached;
use super::kind::Memory;
use super::request::{Need, Request};
use super::storage::{Made, Storage};
use super::vulkan::{Allocation, Device, Native, Recipe};
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
        let committed =
            if matches!(memory, Memory::Pinned | Memory::Device) { LAVA_BUFFER_COMMIT } else { 0 };
        let given = match &storage {
            Storage::Heap(_) => need.alignment as u64,
            Storage::Device { .. } => storage.alignment(),
            _ => page_size.max(need.alignment as u64),
        };
        Self {
            attached: Attached::default(),
            id: next_id(),
            storage,
            requested: request.memory,
            memory,
            offset: 0,
            size: need.size,
            alignment: given,
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

    /// First usable byte within the allocation.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The first byte; `None` if the CPU cannot reach the memory.
    pub fn data(&self) -> Option<NonNull<u8>> {
        // SAFETY: offset + size <= the storage's size, checked where buffers are made.
        self.storage.start().map(|start| unsafe { start.add(self.offset as usize) })
    }

    /// Whether it is a GPU's own memory.
    pub fn is_device(&self) -> bool {
        matches!(self.storage, Storage::Device { .. })
    }

    /// The GPU's side of it: the allocation of device memory, or that of pinned host memory which a GPU uses in place.
    pub fn gpu(&self) -> Option<&Allocation> {
        self.storage.gpu()
    }

    /// The GPU whose memory it is.
    pub fn device(&self) -> Option<&Arc<Device>> {
        self.gpu().filter(|_| self.is_device()).map(Allocation::device)
    }

    /// UUID of the GPU whose memory it is; zero for host memory.
    pub fn device_uuid(&self) -> [u8; 16] {
        self.device().map_or([0; 16], |device| device.info().device_uuid)
    }

    /// UUID of that GPU's driver; zero for host memory.
    pub fn driver_uuid(&self) -> [u8; 16] {
        self.device().map_or([0; 16], |device| device.info().driver_uuid)
    }

    /// What an importer of shareable device memory must know.
    pub fn recipe(&self) -> Option<Recipe> {
        let shareable = |allocation: &&Allocation| self.is_device() && allocation.is_shareable();
        self.gpu().filter(shareable).map(|allocation| *allocation.recipe())
    }

    /// A descriptor of shareable device memory for another process: a new one with each call.
    pub fn export_fd(&self) -> Result<OwnedFd> {
        match &self.storage {
            Storage::Device { allocation, .. } => allocation.export(),
            _ => Err(Error::new(LAVA_ERROR_UNSUPPORTED, "this buffer is not device memory")),
        }
    }

    /// Raw Vulkan handles of its bytes, for an application that uses Vulkan itself.
    pub fn native(&self) -> Option<Native> {
        let native = self.gpu()?.native();
        Some(Native { offset: native.offset + self.offset, size: self.size, ..native })
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
