//! What a descriptor is, asked without giving whoever made it a say in when the answer comes.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{AtFlags, FileType, StatxFlags};
use rustix::io::FdFlags;

use crate::error::{Error, Result};

/// What kind of file a descriptor is for: equal for two descriptors that one driver gives out for the same purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    file: FileType,
    /// Major and minor number of a device file.
    device: (u32, u32),
    /// Whether it lies in memory and can be sealed.
    memory_file: bool,
    /// The file system, asked only where its answer comes from the kernel itself.
    file_system: i64,
}

impl Kind {
    /// What it is, for an error message.
    pub fn name(&self) -> String {
        match self.file {
            FileType::Socket => "a socket".into(),
            FileType::Fifo => "a pipe".into(),
            FileType::Directory => "a directory".into(),
            FileType::RegularFile if self.memory_file => "a memory file".into(),
            FileType::RegularFile => "a file".into(),
            FileType::CharacterDevice => {
                format!("character device {}:{}", self.device.0, self.device.1)
            }
            FileType::BlockDevice => format!("block device {}:{}", self.device.0, self.device.1),
            FileType::Symlink => "a symbolic link".into(),
            FileType::Unknown => format!("an anonymous file of system {:#x}", self.file_system),
        }
    }

    pub fn is_memory_file(&self) -> bool {
        self.memory_file
    }
}

/// The kind of a descriptor and its size in bytes, if it has one.
pub fn kind(fd: BorrowedFd<'_>) -> Result<(Kind, u64)> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    // DONT_SYNC: a file of a peer's own file system (FUSE) is not asked, so that the peer cannot make this call wait.
    let stat = rustix::fs::statx(fd, c"", flags, StatxFlags::BASIC_STATS)
        .map_err(|errno| Error::os(errno.raw_os_error(), "asking what a descriptor is"))?;
    let file = FileType::from_raw_mode(stat.stx_mode.into());
    let is_device = matches!(file, FileType::CharacterDevice | FileType::BlockDevice);
    let device = if is_device { (stat.stx_rdev_major, stat.stx_rdev_minor) } else { (0, 0) };
    let memory_file = file == FileType::RegularFile && rustix::fs::fcntl_get_seals(fd).is_ok();
    // Of the kernel's own: memory files, and anonymous files, which have no type.
    let file_system = if memory_file || file == FileType::Unknown {
        rustix::fs::fstatfs(fd).map_or(0, |system| system.f_type)
    } else {
        0
    };
    Ok((Kind { file, device, memory_file, file_system }, stat.stx_size))
}

/// Makes sure that a descriptor ends with this program. For those that others' code opened.
pub fn close_on_exec(fd: &OwnedFd) -> Result<()> {
    rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)
        .map_err(|errno| Error::os(errno.raw_os_error(), "setting close-on-exec"))
}

/// Whether descriptor number `number` still refers to the open file of `witness`. `None`: this kernel does not tell.
///
/// For numbers that were given away to code that may have closed them: another thread may have got the number since.
pub fn still_refers_to(number: RawFd, witness: &OwnedFd) -> Option<bool> {
    const F_DUPFD_QUERY: i32 = 1027;
    const KCMP_FILE: i32 = 0;
    // Since Linux 6.10: whether both are one open file.
    // SAFETY: asks about two numbers, and changes nothing.
    let same = unsafe { libc::fcntl(number, F_DUPFD_QUERY, witness.as_fd().as_raw_fd()) };
    match (same, std::io::Error::last_os_error().raw_os_error()) {
        (0 | 1, _) => return Some(same == 1),
        (_, Some(libc::EBADF)) => return Some(false),
        _ => {}
    }
    let process = std::process::id();
    // SAFETY: as above.
    let order = unsafe {
        libc::syscall(libc::SYS_kcmp, process, process, KCMP_FILE, number, witness.as_raw_fd())
    };
    match (order, std::io::Error::last_os_error().raw_os_error()) {
        (0, _) => Some(true),
        (1.., _) | (_, Some(libc::EBADF)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::memfd;
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let name = |fd: BorrowedFd<'_>| kind(fd).unwrap().0.name();
        let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let (pipe, _end) = std::io::pipe().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let directory = std::fs::File::open("/").unwrap();
        let memory = memfd::create("kind", 4096, memfd::PageKind::Small).unwrap();
        assert_eq!(name(socket.as_fd()), "a socket");
        assert_eq!(name(pipe.as_fd()), "a pipe");
        assert_eq!(name(null.as_fd()), "character device 1:3");
        assert_eq!(name(directory.as_fd()), "a directory");
        assert_eq!(name(memory.as_fd()), "a memory file");
        assert_eq!(kind(memory.as_fd()).unwrap().1, 4096);
    }

    #[test]
    fn a_number_is_known_to_be_the_same_file_or_not() {
        let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let same = file.try_clone().unwrap();
        let other = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let Some(answer) = still_refers_to(same.as_raw_fd(), &file) else {
            return println!("skipped: neither F_DUPFD_QUERY nor kcmp here");
        };
        assert!(answer);
        assert_eq!(still_refers_to(other.as_raw_fd(), &file), Some(false));
        assert_eq!(still_refers_to(987_654, &file), Some(false));
    }
}
