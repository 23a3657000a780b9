//! Anonymous shared memory files, their seals, and the check of one that a peer sent.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::error::{Error, Result};
use crate::types::{LAVA_ERROR_PROTOCOL, LAVA_ERROR_UNSUPPORTED};

/// What the pages of a memfd are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    Small,
    /// From the reserved set of the default huge page size.
    Huge,
}

/// Creates a file of `size` zero bytes that exists in memory only, may be sealed, never executed. `size` must be a
/// multiple of the page size of its kind.
pub fn create(name: &str, size: u64, pages: PageKind) -> Result<OwnedFd> {
    let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    if pages == PageKind::Huge {
        flags |= MemfdFlags::HUGETLB;
    }
    let made = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know the flag.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        made => made,
    };
    let fd = made.map_err(|errno| Error::os(errno.raw_os_error(), "memfd_create"))?;
    rustix::fs::ftruncate(&fd, size).map_err(|errno| {
        Error::os(errno.raw_os_error(), format!("ftruncate of a memfd to {size} bytes"))
            .with_value(size)
    })?;
    Ok(fd)
}

/// Seals a file that only its present mappings may write: it cannot change size, and nobody can map it writable, write
/// to it or punch holes in it from now on. Map it before.
pub fn seal_single_writer(fd: BorrowedFd<'_>) -> Result<()> {
    seal(fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL)
}

/// Seals the size only: whoever has the file may write to it.
pub fn seal_size(fd: BorrowedFd<'_>) -> Result<()> {
    seal(fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)
}

fn seal(fd: BorrowedFd<'_>, seals: SealFlags) -> Result<()> {
    rustix::fs::fcntl_add_seals(fd, seals)
        .map_err(|errno| Error::os(errno.raw_os_error(), format!("sealing a memfd with {seals:?}")))
}

/// Checks a descriptor from a peer before it is mapped: a memfd, of exactly `size` bytes, that can no longer change
/// size, and with `single_writer` one that nobody but its maker can write to.
pub fn verify(fd: BorrowedFd<'_>, size: u64, single_writer: bool) -> Result<()> {
    let refuse = |message: String| Err(Error::new(LAVA_ERROR_PROTOCOL, message));
    // First, because only memory files answer: asking a file of a peer's own file system (FUSE) for anything else would
    // let the peer decide when this call returns.
    let present = match rustix::fs::fcntl_get_seals(fd) {
        Ok(present) => present,
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::BADF) => {
            return refuse("the descriptor is not a memory file".into());
        }
        Err(errno) => return Err(Error::os(errno.raw_os_error(), "reading a memfd's seals")),
    };
    let stat = rustix::fs::fstat(fd).map_err(|errno| Error::os(errno.raw_os_error(), "fstat"))?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return refuse("the descriptor is not a memory file".into());
    }
    let system =
        rustix::fs::fstatfs(fd).map_err(|errno| Error::os(errno.raw_os_error(), "fstatfs"))?;
    if !matches!(system.f_type as u64, libc_magic::TMPFS | libc_magic::HUGETLBFS) {
        return refuse(format!(
            "the descriptor lies on file system {:#x}, not in memory",
            system.f_type
        ));
    }
    let mut wanted = SealFlags::SHRINK | SealFlags::GROW;
    if single_writer {
        wanted |= SealFlags::FUTURE_WRITE;
    }
    // F_SEAL_WRITE forbids even more than FUTURE_WRITE.
    let effective = if present.contains(SealFlags::WRITE) {
        present | SealFlags::FUTURE_WRITE
    } else {
        present
    };
    if !effective.contains(wanted) {
        return refuse(format!("the memfd has the seals {present:?}, {wanted:?} are needed"));
    }
    if u64::try_from(stat.st_size) != Ok(size) {
        return refuse(format!("the memfd has {} bytes, {size} were announced", stat.st_size));
    }
    Ok(())
}

/// Commits every page of the file now, so that a lack of memory is an error here and not a SIGBUS later.
pub fn commit(fd: BorrowedFd<'_>, size: u64) -> Result<()> {
    rustix::io::retry_on_intr(|| {
        rustix::fs::fallocate(fd, rustix::fs::FallocateFlags::empty(), 0, size)
    })
    .map_err(|errno| match errno {
        rustix::io::Errno::OPNOTSUPP => {
            Error::new(LAVA_ERROR_UNSUPPORTED, "this memory file system cannot commit pages ahead")
        }
        errno => {
            Error::os(errno.raw_os_error(), format!("committing {size} bytes")).with_value(size)
        }
    })
}

/// A second descriptor for the same open file.
pub fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd.as_fd(), 3)
        .map_err(|errno| Error::os(errno.raw_os_error(), "duplicating a descriptor"))
}

/// File system numbers of linux/magic.h.
mod libc_magic {
    pub(super) const TMPFS: u64 = 0x0102_1994;
    pub(super) const HUGETLBFS: u64 = 0x9584_58f6;
}
