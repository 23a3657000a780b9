//! Plain shared memory for the limits: one memfd mapped by the two processes, and nothing of lava.

use std::os::fd::{AsFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::failure::{Doing, Failure};

/// Where a word lies: each has a pair of cache lines for itself, so that the prefetcher of neighbouring lines joins
/// none.
#[derive(Clone, Copy, Debug)]
pub struct Word(usize);

/// From the first process to the second.
pub const PING: Word = Word(0);
/// From the second process to the first.
pub const PONG: Word = Word(128);

/// First byte of a plain ring.
pub const RING: usize = 4096;
/// First byte of the payload.
pub const PAYLOAD: usize = 2 << 20;

/// The mapping.
#[derive(Debug)]
pub struct Shared {
    fd: OwnedFd,
    base: NonNull<u8>,
    size: usize,
}

impl Shared {
    /// New memory with room for `payload` bytes. The descriptor is inherited by the processes that this one starts.
    pub fn create(payload: usize) -> Result<Self, Failure> {
        let fd = memfd_create("lava-perf", MemfdFlags::CLOEXEC).doing("creating shared memory")?;
        ftruncate(&fd, (PAYLOAD + payload) as u64).doing("sizing shared memory")?;
        fcntl_setfd(&fd, FdFlags::empty()).doing("making shared memory inheritable")?;
        Self::map(fd)
    }

    /// The memory whose descriptor this process inherited.
    pub fn inherit(fd: RawFd) -> Result<Self, Failure> {
        // SAFETY: the parent names a descriptor that it made inheritable for this process; nothing else here owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        fcntl_setfd(&fd, FdFlags::CLOEXEC).doing("taking over shared memory")?;
        Self::map(fd)
    }

    fn map(fd: OwnedFd) -> Result<Self, Failure> {
        let size = fstat(&fd).doing("looking at shared memory")?.st_size as usize;
        if size < PAYLOAD {
            return Err(Failure::Failed(format!("shared memory has {size} bytes only")));
        }
        // SAFETY: a new mapping at an address of the kernel's choice; it lives as long as the value.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                size,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                fd.as_fd(),
                0,
            )
        }
        .doing("mapping shared memory")?;
        let base =
            NonNull::new(base.cast()).ok_or_else(|| "mapping shared memory at 0".to_owned())?;
        Ok(Shared { fd, base, size })
    }

    /// The descriptor, for the other process's [`Shared::inherit`].
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Bytes of payload.
    pub fn payload_size(&self) -> usize {
        self.size - PAYLOAD
    }

    /// The payload's first byte; both processes may write, in turns that the words order.
    pub fn payload(&self) -> *mut u8 {
        self.base.as_ptr().wrapping_add(PAYLOAD)
    }

    /// A 64-bit word.
    pub fn word(&self, word: Word) -> &AtomicU64 {
        self.atomic(word.0)
    }

    /// The low half of a word, as futexes have it.
    pub fn futex(&self, word: Word) -> &AtomicU32 {
        let address = self.base.as_ptr().wrapping_add(word.0).cast::<u32>();
        // SAFETY: words are 128-aligned and within the first page of the mapping, which lives as long as `self`; both
        // processes only use atomic operations on them.
        unsafe { AtomicU32::from_ptr(address) }
    }

    /// The 64-bit word at `offset` of the region in front of the payload.
    pub fn atomic(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= PAYLOAD, "word at {offset}");
        let address = self.base.as_ptr().wrapping_add(offset).cast::<u64>();
        // SAFETY: aligned and within the mapping (checked above), which lives as long as `self`; both processes
        // only use atomic operations there.
        unsafe { AtomicU64::from_ptr(address) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with this size, and every reference into it borrows `self`.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.size) };
    }
}
