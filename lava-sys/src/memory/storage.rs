//! The bytes behind a buffer, and how strategies make them.

use std::alloc::Layout;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use super::machine;
use super::request::Need;
use super::units::Bytes;
use super::vulkan::Allocation;
use crate::error::{Error, Result};
use crate::os::mapping::{Access, Mapping};
use crate::os::memfd::{self, PageKind};
use crate::os::{limits, pages};
use crate::types::*;

/// A piece of the heap, freed when dropped.
#[derive(Debug)]
pub(super) struct HeapBlock {
    start: NonNull<u8>,
    layout: Layout,
}

// SAFETY: memory of the heap belongs to the process, not to a thread.
unsafe impl Send for HeapBlock {}
// SAFETY: this type gives out a raw pointer only; whoever dereferences it orders the accesses.
unsafe impl Sync for HeapBlock {}

impl HeapBlock {
    /// Zeroed. With `commit` every page of it is written to.
    pub(super) fn new(size: usize, alignment: usize, commit: bool) -> Result<Self> {
        let layout = Layout::from_size_align(size, alignment).map_err(|_| {
            Error::argument(format!("size {size} with alignment {alignment} overflows"))
        })?;
        // SAFETY: requests of 0 bytes are refused before.
        let start = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).ok_or_else(|| {
            Error::new(LAVA_ERROR_OUT_OF_MEMORY, format!("no {} on the heap", Bytes(size as u64)))
        })?;
        if commit {
            // SAFETY: exactly the block.
            unsafe { start.as_ptr().write_bytes(0, size) };
        }
        Ok(Self { start, layout })
    }
}

impl Drop for HeapBlock {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and nobody else frees it.
        unsafe { std::alloc::dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// Where a buffer's bytes are. Frees them when dropped.
#[derive(Debug)]
pub(super) enum Storage {
    Heap(HeapBlock),
    /// Pages of this process alone.
    Private {
        /// The same bytes as a GPU sees them. Before the mapping, which it must not outlive.
        gpu: Option<Allocation>,
        mapping: Mapping,
    },
    /// A memory file that other processes can map.
    Shared {
        /// As above.
        gpu: Option<Allocation>,
        mapping: Mapping,
        fd: OwnedFd,
        /// Only its maker's mapping can write to it, and that is this process or the one that sent it.
        single_writer: bool,
    },
    /// A GPU's own memory.
    Device {
        allocation: Allocation,
        /// It can be shared, and importers keep from writing to it: lava's do, others cannot be made to.
        single_writer: bool,
    },
}

impl Storage {
    /// `None`: the CPU cannot reach it.
    #[inline]
    pub(super) fn start(&self) -> Option<NonNull<u8>> {
        match self {
            Self::Heap(block) => Some(block.start),
            Self::Private { mapping, .. } | Self::Shared { mapping, .. } => Some(mapping.start()),
            Self::Device { allocation, .. } => allocation.mapped(),
        }
    }

    /// The GPU's side of the same bytes.
    pub(super) fn gpu(&self) -> Option<&Allocation> {
        match self {
            Self::Heap(_) => None,
            Self::Private { gpu, .. } | Self::Shared { gpu, .. } => gpu.as_ref(),
            Self::Device { allocation, .. } => Some(allocation),
        }
    }

    /// What the first byte's address is a multiple of, up to a page; a page where only the GPU has one.
    pub(super) fn alignment(&self) -> u64 {
        let page = limits::page_size();
        let address = self.start().map_or(page, |start| start.addr().get() as u64);
        page.min(1 << address.trailing_zeros())
    }

    /// Bytes of the whole allocation.
    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Heap(block) => block.layout.size() as u64,
            Self::Private { mapping, .. } | Self::Shared { mapping, .. } => mapping.size() as u64,
            Self::Device { allocation, .. } => allocation.recipe().allocation_size,
        }
    }

    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Shared { fd, .. } => Some(fd.as_fd()),
            Self::Heap(_) | Self::Private { .. } | Self::Device { .. } => None,
        }
    }

    pub(super) fn is_single_writer(&self) -> bool {
        matches!(
            self,
            Self::Shared { single_writer: true, .. } | Self::Device { single_writer: true, .. }
        )
    }
}

/// What a strategy made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) storage: Storage,
    /// `LAVA_PAGES_*`.
    pub(super) pages: u32,
    pub(super) page_size: u64,
    /// The node that the pages are bound to.
    pub(super) node: Option<u32>,
    /// A few words for the reason: what it is.
    pub(super) what: String,
}

/// Why a strategy could not.
#[derive(Debug)]
pub(super) struct Refusal {
    /// A few words for the reason of the buffer that is made instead.
    pub(super) short: String,
    /// All that the caller needs to mend it.
    pub(super) error: Error,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { short: error.message.clone(), error }
    }
}

pub(super) type Attempt = std::result::Result<Made, Refusal>;

/// What is done to fresh pages before anything touches them.
pub(super) type Prepare<'a> = &'a dyn Fn(&Mapping) -> Result<()>;

/// Small pages for `need`: a sealed memory file if shareable, else pages of this process alone.
pub(super) fn small_pages(need: &Need, prepare: Prepare<'_>) -> Result<Storage> {
    in_pages(need, limits::page_size(), need.alignment, prepare)
}

/// As [`small_pages`], in a size and at an address that are multiples of `unit`.
pub(super) fn in_pages(
    need: &Need,
    unit: u64,
    alignment: usize,
    prepare: Prepare<'_>,
) -> Result<Storage> {
    let size = rounded(need.size, unit)?;
    if need.commit {
        machine::ensure_available(size)?;
    }
    if need.shareable {
        return shared(need, size, PageKind::Small, alignment, prepare);
    }
    let mapping = Mapping::private_aligned(length(size)?, alignment).map_err(explain)?;
    prepare(&mapping)?;
    if need.commit {
        commit_private(&mapping)?;
    }
    Ok(Storage::Private { gpu: None, mapping })
}

/// A memory file: mapped writable first, then sealed, so that this mapping stays the only one that can write.
pub(super) fn shared(
    need: &Need,
    size: u64,
    kind: PageKind,
    alignment: usize,
    prepare: Prepare<'_>,
) -> Result<Storage> {
    let fd = memfd::create("lava-buffer", size, kind)?;
    let mapping = Mapping::shared_aligned(fd.as_fd(), length(size)?, Access::ReadWrite, alignment)
        .map_err(explain)?;
    prepare(&mapping)?;
    if need.commit {
        memfd::commit(fd.as_fd(), size)?;
    }
    let single_writer = !need.writable_by_importers;
    if single_writer {
        memfd::seal_single_writer(fd.as_fd())?;
    } else {
        memfd::seal_size(fd.as_fd())?;
    }
    Ok(Storage::Shared { gpu: None, mapping, fd, single_writer })
}

fn commit_private(mapping: &Mapping) -> Result<()> {
    const EINVAL: i32 = 22;
    match pages::populate(mapping) {
        // Kernels before 5.14.
        Err(error) if error.os == EINVAL => {
            touch(mapping);
            Ok(())
        }
        populated => populated,
    }
}

fn touch(mapping: &Mapping) {
    for offset in (0..mapping.size()).step_by(limits::page_size() as usize) {
        // SAFETY: inside the mapping, which is writable, zero, and known to nobody else yet.
        unsafe { mapping.start().add(offset).write_volatile(0) };
    }
}

/// `size` rounded up to whole units.
pub(super) fn rounded(size: u64, unit: u64) -> Result<u64> {
    size.checked_next_multiple_of(unit).filter(|size| *size <= isize::MAX as u64).ok_or_else(|| {
        Error::argument(format!("size {size}, rounded up to pages of {}, overflows", Bytes(unit)))
            .with_value(size)
    })
}

pub(super) fn length(size: u64) -> Result<usize> {
    usize::try_from(size).map_err(|_| {
        Error::argument(format!("size {size} overflows the address space")).with_value(size)
    })
}

/// Adds to a failed mapping what the caller can do about it.
fn explain(mut error: Error) -> Error {
    if error.status == LAVA_ERROR_OUT_OF_MEMORY {
        error.message += " (more than free memory, the address space limit (ulimit -v), or vm.overcommit_memory allow)";
    }
    error
}
