//! The runtime directory: making and checking it, its lock, its files.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::clock::Deadline;
use crate::error::{Error, Result};
use crate::types::{LAVA_ERROR_INVALID_ARGUMENT, LAVA_ERROR_PERMISSION};

/// An open directory that belongs to this user alone.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: String,
    /// Device and inode: its identity across mount namespaces.
    pub device: u64,
    pub inode: u64,
    /// Descriptors of watches that ended, for the next ones.
    idle: Mutex<Vec<OwnedFd>>,
}

/// Most descriptors that are kept for watches to come: one for each thread that waits for a file at once.
const IDLE_MAX: usize = 4;
/// Longest wait for the directory's lock.
const LOCK_NS: u64 = 5_000_000_000;

/// Identity of a file, to recognise it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl Directory {
    /// Opens the directory, making it (and the missing ones above it) with mode 0700. Refuses one that belongs to
    /// another user or that others can write to.
    pub fn open(path: &str) -> Result<Self> {
        if !path.starts_with('/') {
            return Err(Error::argument(format!(
                "the runtime directory '{path}' is not an absolute path"
            )));
        }
        make_all(path)?;
        let fail = |errno: Errno, what: &str| {
            Error::os(errno.raw_os_error(), format!("{what} the runtime directory {path}"))
        };
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => Error::new(
                LAVA_ERROR_INVALID_ARGUMENT,
                format!(
                    "the runtime directory {path} is not a directory (symbolic links are refused)"
                ),
            ),
            errno => fail(errno, "opening"),
        })?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| fail(errno, "reading"))?;
        let user = rustix::process::geteuid().as_raw();
        if stat.st_uid != user {
            return Err(Error::new(
                LAVA_ERROR_PERMISSION,
                format!(
                    "the runtime directory {path} belongs to user {}, this is user {user}; set LAVA_RUNTIME_DIR to a \
                     directory of your own",
                    stat.st_uid
                ),
            ));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(Error::new(
                LAVA_ERROR_PERMISSION,
                format!(
                    "the runtime directory {path} can be written to by others (mode {:o}); run: chmod 700 {path}",
                    stat.st_mode & 0o777
                ),
            ));
        }
        Ok(Self {
            fd,
            path: path.to_owned(),
            device: stat.st_dev,
            inode: stat.st_ino,
            idle: Mutex::default(),
        })
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Locks the directory against every other lava process until the result is dropped. Held for a few system calls
    /// only, so waiting for it is short; a process that stands still or means ill is not waited for longer than that.
    pub fn lock(&self) -> Result<Lock> {
        let deadline = Deadline::after(LOCK_NS);
        let mut pause = Duration::from_micros(50);
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            if deadline.passed() {
                return Err(Error::os(
                    Errno::WOULDBLOCK.raw_os_error(),
                    format!(
                        "another process has held the lock of {} for {} s; end it (`lslocks` shows it), or set \
                         LAVA_RUNTIME_DIR to another directory",
                        self.path,
                        LOCK_NS / 1_000_000_000
                    ),
                ));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    /// As [`Self::lock`], for threads that must not wait; None if another process has it.
    pub fn try_lock(&self) -> Result<Option<Lock>> {
        // A descriptor of its own: a lock belongs to the open file, and threads must exclude each other too.
        let fd = rustix::fs::openat(
            &self.fd,
            ".",
            OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| Error::os(errno.raw_os_error(), format!("opening {}", self.path)))?;
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock { _fd: fd })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::os(errno.raw_os_error(), format!("locking {}", self.path))),
        }
    }

    /// Identity of the socket file `name`; None if there is none, an error if it is something else.
    pub fn socket_id(&self, name: &str) -> Result<Option<FileId>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {
                Ok(Some(FileId { device: stat.st_dev, inode: stat.st_ino }))
            }
            Ok(_) => Err(Error::new(
                LAVA_ERROR_INVALID_ARGUMENT,
                format!("{}/{name} exists and is not a socket; remove it", self.path),
            )),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => {
                Err(Error::os(errno.raw_os_error(), format!("reading {}/{name}", self.path)))
            }
        }
    }

    /// Removes a file; one that is gone already is no error.
    pub fn remove(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => {
                Err(Error::os(errno.raw_os_error(), format!("removing {}/{name}", self.path)))
            }
        }
    }

    /// Names of the socket files in the directory.
    pub fn sockets(&self) -> Result<Vec<String>> {
        let fail = |errno: Errno| Error::os(errno.raw_os_error(), format!("listing {}", self.path));
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if matches!(entry.file_type(), FileType::Socket | FileType::Unknown)
                && let Ok(name) = entry.file_name().to_str()
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Begins to watch for files that are made in the directory. None where the kernel has no watch to give.
    pub fn watch(&self) -> Option<Watch<'_>> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let fd = match kept {
            Some(fd) => fd,
            None => inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?,
        };
        let wanted = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        let number = inotify::add_watch(&fd, self.path.as_str(), wanted).ok()?;
        Some(Watch { directory: self, fd: Some(fd), number })
    }
}

/// A watch of a directory. Ending it does not close its descriptor: that would wait until the kernel has reaped all
/// watches that any process ended, which takes hundreds of milliseconds on a busy machine, in the middle of a handshake.
#[derive(Debug)]
pub struct Watch<'a> {
    directory: &'a Directory,
    /// None: given back.
    fd: Option<OwnedFd>,
    number: i32,
}

impl Watch<'_> {
    /// The descriptor that becomes readable when a file is made.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Takes everything that there is to be told.
    pub fn drain(&self) {
        let Some(fd) = &self.fd else { return };
        let mut bytes = [0_u8; 4096];
        while matches!(rustix::io::read(fd, &mut bytes), Ok(size) if size > 0) {}
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let ended =
            self.fd.as_ref().is_some_and(|fd| inotify::remove_watch(fd, self.number).is_ok());
        self.drain();
        let mut idle = self.directory.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if ended && idle.len() < IDLE_MAX {
            idle.extend(self.fd.take());
        }
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The directory's lock; dropping it unlocks.
#[derive(Debug)]
pub struct Lock {
    _fd: OwnedFd,
}

fn make_all(path: &str) -> Result<()> {
    for end in path.match_indices('/').map(|(at, _)| at).skip(1).chain([path.len()]) {
        match rustix::fs::mkdir(&path[..end], Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST | Errno::ISDIR) => {}
            // An existing directory on a read-only or closed file system answers so; opening it will tell.
            Err(Errno::ROFS | Errno::ACCESS | Errno::PERM) if end < path.len() => {}
            Err(errno) => {
                return Err(Error::os(
                    errno.raw_os_error(),
                    format!(
                        "making the runtime directory {}; set LAVA_RUNTIME_DIR to one that can be made",
                        &path[..end]
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Effective user id of this process.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::os::socket;

    #[test]
    fn a_watch_tells_of_new_files_and_ends_without_waiting_for_the_kernel() {
        let path = format!("/tmp/lava-test-watch-{}", std::process::id());
        let directory = Directory::open(&path).unwrap();
        let (mut ending, rounds) = (Duration::ZERO, 20);
        for round in 0..rounds {
            let watch = directory.watch().unwrap();
            std::fs::write(format!("{path}/{round}"), "").unwrap();
            assert!(socket::wait_readable(watch.fd().unwrap(), Deadline::after(LOCK_NS)).unwrap());
            let start = Instant::now();
            drop(watch);
            ending += start.elapsed();
            // Nothing of an earlier watch is left for a later one.
            std::fs::write(format!("{path}/between"), "").unwrap();
            let watch = directory.watch().unwrap();
            assert!(!socket::wait_readable(watch.fd().unwrap(), Deadline::after(0)).unwrap());
        }
        std::fs::remove_dir_all(&path).unwrap();
        // Closing the descriptor takes ten milliseconds and more, each time.
        assert!(ending < Duration::from_millis(100), "{rounds} ends took {ending:?}");
    }
}
