//! Mapped memory, unmapped when dropped.

use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags};

use crate::error::{Error, Result};

/// What this process may do with a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

/// A range of mapped pages. Owns the mapping, not the descriptor behind it.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: a mapping is an address range; it belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: this type gives out a raw pointer only; whoever dereferences it orders the accesses.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `size` bytes of `fd`, shared with everybody else who maps it.
    pub fn shared(fd: BorrowedFd<'_>, size: usize, access: Access) -> Result<Self> {
        let protection = match access {
            Access::ReadOnly => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let start = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), size, protection, MapFlags::SHARED, fd, 0)
        };
        Self::from_result(start, size)
    }

    /// Maps `size` bytes of zeroed memory of this process alone.
    pub fn private(size: usize) -> Result<Self> {
        // SAFETY: as above.
        let start = unsafe {
            rustix::mm::mmap_anonymous(
                std::ptr::null_mut(),
                size,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        };
        Self::from_result(start, size)
    }

    fn from_result(
        start: rustix::io::Result<*mut core::ffi::c_void>,
        size: usize,
    ) -> Result<Self> {
        let start = start
            .map_err(|errno| Error::os(errno.raw_os_error(), format!("mmap of {size} bytes")).with_value(size as u64))?;
        let start = NonNull::new(start.cast()).ok_or_else(|| Error::os(0, "mmap gave address 0"))?;
        Ok(Self { start, size })
    }

    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that was mapped; whoever holds pointers into it holds this value too.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.size) };
    }
}
