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

impl Access {
    fn protection(self) -> ProtFlags {
        match self {
            Self::ReadOnly => ProtFlags::READ,
            Self::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        }
    }
}

const NO_MEMORY: i32 = rustix::io::Errno::NOMEM.raw_os_error();

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
        // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
        let start = unsafe {
            rustix::mm::mmap(
                std::ptr::null_mut(),
                size,
                access.protection(),
                MapFlags::SHARED,
                fd,
                0,
            )
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

    /// As [`Mapping::shared`], at an address that is a multiple of `alignment` (a power of two).
    pub fn shared_aligned(
        fd: BorrowedFd<'_>,
        size: usize,
        access: Access,
        alignment: usize,
    ) -> Result<Self> {
        if alignment <= rustix::param::page_size() {
            return Self::shared(fd, size, access);
        }
        let place = Self::reserve(size, alignment, ProtFlags::empty())?;
        // SAFETY: replaces exactly the pages of `place`, which nobody else knows of.
        let start = unsafe {
            rustix::mm::mmap(
                place.start.as_ptr().cast(),
                size,
                access.protection(),
                MapFlags::SHARED | MapFlags::FIXED,
                fd,
                0,
            )
        };
        // `place` unmaps the range if this failed; else the new mapping owns the same range.
        let mapped = Self::from_result(start, size)?;
        std::mem::forget(place);
        Ok(mapped)
    }

    /// As [`Mapping::private`], at an address that is a multiple of `alignment` (a power of two).
    pub fn private_aligned(size: usize, alignment: usize) -> Result<Self> {
        if alignment <= rustix::param::page_size() {
            return Self::private(size);
        }
        Self::reserve(size, alignment, ProtFlags::READ | ProtFlags::WRITE)
    }

    /// An aligned range: maps more than needed, and gives the ends back.
    fn reserve(size: usize, alignment: usize, protection: ProtFlags) -> Result<Self> {
        let page = rustix::param::page_size();
        let rounded = size.checked_next_multiple_of(page);
        let Some(total) = rounded.and_then(|rounded| rounded.checked_add(alignment)) else {
            return Err(
                Error::os(NO_MEMORY, format!("mmap of {size} bytes")).with_value(size as u64)
            );
        };
        let flags = MapFlags::PRIVATE;
        // SAFETY: as above.
        let start =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), total, protection, flags) };
        let whole = Self::from_result(start, total)?;
        let head = whole.start.as_ptr().align_offset(alignment);
        let kept = size.next_multiple_of(page);
        // SAFETY: head + size <= total: `head` < alignment, and total has room for both.
        let start = unsafe { whole.start.add(head) };
        std::mem::forget(whole);
        // SAFETY: the two ends are pages of the range just mapped, outside of what is kept; a failure leaves an
        // unused range behind and nothing else.
        unsafe {
            let end = start.add(kept);
            if head > 0 {
                let _ = rustix::mm::munmap(start.sub(head).as_ptr().cast(), head);
            }
            if total - head > kept {
                let _ = rustix::mm::munmap(end.as_ptr().cast(), total - head - kept);
            }
        }
        Ok(Self { start, size })
    }

    fn from_result(start: rustix::io::Result<*mut core::ffi::c_void>, size: usize) -> Result<Self> {
        let start = start.map_err(|errno| {
            Error::os(errno.raw_os_error(), format!("mmap of {size} bytes")).with_value(size as u64)
        })?;
        let start =
            NonNull::new(start.cast()).ok_or_else(|| Error::os(0, "mmap gave address 0"))?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::super::memfd;
    use super::*;

    #[test]
    fn aligned_mappings_begin_where_they_must() {
        for alignment in [4096, 1 << 16, 1 << 21] {
            for size in [1, 4096, 12_288, (1 << 21) + 4096] {
                let private = Mapping::private_aligned(size, alignment).unwrap();
                let fd = memfd::create(
                    "aligned",
                    size.next_multiple_of(4096) as u64,
                    memfd::PageKind::Small,
                )
                .unwrap();
                let shared =
                    Mapping::shared_aligned(fd.as_fd(), size, Access::ReadWrite, alignment)
                        .unwrap();
                for mapping in [&private, &shared] {
                    assert_eq!(mapping.start().as_ptr() as usize % alignment, 0);
                    // SAFETY: first and last byte of a writable mapping.
                    unsafe {
                        mapping.start().write(1);
                        mapping.start().add(size - 1).write(2);
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_beyond_the_address_space_are_refused() {
        for size in [usize::MAX, isize::MAX as usize] {
            assert_eq!(Mapping::private_aligned(size, 1 << 21).unwrap_err().os, NO_MEMORY);
        }
    }
}
