//! The internal error: a status of the C ABI plus its detail. Made off the hot path only (it allocates its message);
//! the hot path answers with a bare status.

use std::fmt;

use crate::types::*;

/// What failed, with the numbers that `lava_error` carries.
#[derive(Debug, Clone)]
pub struct Error {
    pub status: lava_status,
    pub os: i32,
    pub vk: i32,
    pub value: u64,
    pub message: String,
}

/// Result of everything that is not on the hot path.
pub type Result<T> = std::result::Result<T, Error>;

/// Result of the hot path: nothing is allocated for an error.
pub type Hot<T> = std::result::Result<T, lava_status>;

impl Error {
    pub fn new(status: lava_status, message: impl Into<String>) -> Self {
        Self { status, os: 0, vk: 0, value: 0, message: message.into() }
    }

    /// A bad argument: names it, its value and what is allowed.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(LAVA_ERROR_INVALID_ARGUMENT, message)
    }

    /// A failed system call. `what` says which, and on what; the errno decides the status.
    pub fn os(errno: i32, what: impl fmt::Display) -> Self {
        let reason = std::io::Error::from_raw_os_error(errno);
        let (status, hint) = match errno {
            libc_errno::EMFILE => (
                LAVA_ERROR_LIMIT,
                "; this process has too many open files: raise RLIMIT_NOFILE (ulimit -n)",
            ),
            libc_errno::ENFILE => {
                (LAVA_ERROR_LIMIT, "; the system has too many open files: raise fs.file-max")
            }
            libc_errno::ENOMEM => (LAVA_ERROR_OUT_OF_MEMORY, ""),
            libc_errno::EPERM | libc_errno::EACCES => (LAVA_ERROR_PERMISSION, ""),
            libc_errno::ENOSPC => (LAVA_ERROR_LIMIT, "; the disk or memory file system is full"),
            libc_errno::ENOSYS => (LAVA_ERROR_UNSUPPORTED, "; this kernel is too old"),
            _ => (LAVA_ERROR_OS, ""),
        };
        Self { status, os: errno, vk: 0, value: 0, message: format!("{what}: {reason}{hint}") }
    }

    pub fn with_value(mut self, value: u64) -> Self {
        self.value = value;
        self
    }

    /// Puts the larger operation in front of the message.
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The errno values that have a status of their own (Linux numbers, the same on every architecture that lava supports);
/// kept here because `error` is a leaf and may not reach into `os`.
mod libc_errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const EACCES: i32 = 13;
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    pub(super) const ENOSPC: i32 = 28;
    pub(super) const ENOSYS: i32 = 38;
}
