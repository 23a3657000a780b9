//! What can go wrong, with the number at fault and how to mend it.

use std::fmt;
use std::io;

use lava_sys::*;

use crate::bytes::{CStruct, static_text, text};

/// The result of a lava call.
pub type Result<T> = std::result::Result<T, Error>;

/// The kind of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It would have had to wait, and was told not to.
    WouldBlock,
    /// The time to wait is over.
    TimedOut,
    /// The channel has ended.
    Closed,
    /// An argument has a value that is not allowed.
    InvalidArgument,
    /// This library or system does not offer what was asked.
    Unsupported,
    /// Nothing has this name or number.
    NotFound,
    /// A live producer has this name already.
    AlreadyExists,
    /// The operating system or the peer refuses this user; or the memory is read-only.
    Permission,
    /// A limit of the operating system is reached.
    Limit,
    /// No memory.
    OutOfMemory,
    /// A system call failed: see [`Error::os_error`].
    Os,
    /// A frame or range is larger than what it must fit into.
    TooLarge,
    /// What was required (memory, transport, copies) cannot be had here.
    Requirement,
    /// The frame is in a state that forbids this.
    FrameState,
    /// The peer died or went away without closing.
    PeerLost,
    /// The peer broke the protocol.
    Protocol,
    /// The peer refused the connection.
    Refused,
    /// The peer cannot be reached from here.
    Unreachable,
    /// No usable GPU, or it failed.
    Device,
    /// A fault inside lava, or a status that this version does not know.
    Internal,
    /// The object belongs to the parent of this forked process.
    Forked,
}

/// Why a call failed.
///
/// It displays as one line without a prefix: what failed, with which value, and how to mend it. It converts to
/// [`io::Error`], keeping [`raw_os_error`](io::Error::raw_os_error) where there is one.
///
/// ```
/// # fn main() -> lava::Result<()> {
/// let context = lava::Context::new()?;
/// let error = lava::Buffer::allocate(&context, &lava::BufferOptions::new(0)).unwrap_err();
/// assert_eq!(error.kind(), lava::ErrorKind::InvalidArgument);
/// assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
/// # Ok(())
/// # }
/// ```
// One pointer wide, so that the results of calls on the hot path stay in registers.
pub struct Error(Box<Detail>);

#[derive(Clone)]
struct Detail {
    status: lava_status,
    os_error: Option<i32>,
    vulkan_result: Option<i32>,
    value: u64,
    message: String,
}

impl Error {
    /// The kind, to decide what to do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self.0.status {
            LAVA_WOULD_BLOCK => ErrorKind::WouldBlock,
            LAVA_TIMED_OUT => ErrorKind::TimedOut,
            LAVA_CLOSED => ErrorKind::Closed,
            LAVA_ERROR_INVALID_ARGUMENT
            | LAVA_ERROR_INVALID_POINTER
            | LAVA_ERROR_INVALID_HANDLE
            | LAVA_ERROR_BUFFER_TOO_SMALL => ErrorKind::InvalidArgument,
            LAVA_ERROR_UNSUPPORTED => ErrorKind::Unsupported,
            LAVA_ERROR_NOT_FOUND => ErrorKind::NotFound,
            LAVA_ERROR_ALREADY_EXISTS => ErrorKind::AlreadyExists,
            LAVA_ERROR_PERMISSION => ErrorKind::Permission,
            LAVA_ERROR_LIMIT => ErrorKind::Limit,
            LAVA_ERROR_OUT_OF_MEMORY => ErrorKind::OutOfMemory,
            LAVA_ERROR_OS => ErrorKind::Os,
            LAVA_ERROR_TOO_LARGE => ErrorKind::TooLarge,
            LAVA_ERROR_REQUIREMENT => ErrorKind::Requirement,
            LAVA_ERROR_FRAME_STATE => ErrorKind::FrameState,
            LAVA_ERROR_PEER_LOST => ErrorKind::PeerLost,
            LAVA_ERROR_PROTOCOL => ErrorKind::Protocol,
            LAVA_ERROR_REFUSED => ErrorKind::Refused,
            LAVA_ERROR_UNREACHABLE => ErrorKind::Unreachable,
            LAVA_ERROR_DEVICE => ErrorKind::Device,
            LAVA_ERROR_FORKED => ErrorKind::Forked,
            _ => ErrorKind::Internal,
        }
    }

    /// The status of the C interface, a `LAVA_*` number.
    #[must_use]
    pub fn status(&self) -> i32 {
        self.0.status
    }

    /// The name of the status in the C interface, such as `LAVA_ERROR_LIMIT`.
    #[must_use]
    pub fn status_name(&self) -> &'static str {
        status_name(self.0.status)
    }

    /// `errno` of the system call that failed, if one did.
    #[must_use]
    pub fn os_error(&self) -> Option<i32> {
        self.0.os_error
    }

    /// `VkResult` of the Vulkan call that failed, if one did.
    #[must_use]
    pub fn vulkan_result(&self) -> Option<i32> {
        self.0.vulkan_result
    }

    /// The number at fault (the message says what it is); 0 if there is none.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.value
    }

    /// What failed, with which value, and how to mend it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Runs a call that can explain its failure; every status but 0 is an error.
    pub(crate) fn check(call: impl FnOnce(*mut lava_error) -> lava_status) -> Result<()> {
        match Self::positive(call)? {
            LAVA_OK => Ok(()),
            status => Err(Self::from_status(status, "the call")),
        }
    }

    /// Runs a call that can explain its failure; a status that is no failure is returned, unless it has a message.
    pub(crate) fn positive(
        call: impl FnOnce(*mut lava_error) -> lava_status,
    ) -> Result<lava_status> {
        let mut detail = lava_error::sized();
        let status = call(&mut detail);
        if status == LAVA_OK || (status > 0 && detail.message[0] == 0) {
            return Ok(status);
        }
        let message = match text(&detail.message) {
            message if message.is_empty() => default_message(status, "the call"),
            message => message,
        };
        Err(Self(Box::new(Detail {
            status,
            os_error: Some(detail.os_errno).filter(|number| *number != 0),
            vulkan_result: Some(detail.vk_result).filter(|number| *number != 0),
            value: detail.value,
            message,
        })))
    }

    /// The error of a hot-path call, which tells its status only; `what` says what was tried.
    #[cold]
    pub(crate) fn from_status(status: lava_status, what: &str) -> Self {
        Self::with_status(status, 0, default_message(status, what))
    }

    #[cold]
    pub(crate) fn with_status(status: lava_status, value: u64, message: String) -> Self {
        Self(Box::new(Detail { status, os_error: None, vulkan_result: None, value, message }))
    }

    #[cold]
    pub(crate) fn invalid(value: u64, message: String) -> Self {
        Self::with_status(LAVA_ERROR_INVALID_ARGUMENT, value, message)
    }

    #[cold]
    pub(crate) fn missing_handle() -> Self {
        let message =
            "the library answered LAVA_OK without an object; report it as a bug".to_owned();
        Self::with_status(LAVA_ERROR_INTERNAL, 0, message)
    }
}

fn status_name(status: lava_status) -> &'static str {
    // SAFETY: the function takes any number and returns a static, NUL-terminated text.
    unsafe { static_text(lava_status_name(status)) }
}

/// One line for a status that came without a message.
fn default_message(status: lava_status, what: &str) -> String {
    let why = match status {
        LAVA_WOULD_BLOCK => "would have to wait",
        LAVA_TIMED_OUT => "the time to wait is over",
        LAVA_CLOSED => "the producer ended the channel",
        LAVA_ERROR_OUT_OF_MEMORY => "no memory",
        LAVA_ERROR_TOO_LARGE => "larger than what it must fit into",
        LAVA_ERROR_FRAME_STATE => "not a loan of this producer",
        LAVA_ERROR_PEER_LOST => {
            "the peer died or went away without closing; all it had sent is received"
        }
        LAVA_ERROR_PROTOCOL => "the peer broke the protocol; its connection is closed",
        LAVA_ERROR_FORKED => {
            "the object belongs to the parent of this forked process; create a context here"
        }
        _ => return format!("{what}: {} ({status})", status_name(status)),
    };
    format!("{what}: {why}")
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detail { os_error, vulkan_result, value, message, .. } = &*self.0;
        formatter
            .debug_struct("Error")
            .field("status", &self.status_name())
            .field("os_error", os_error)
            .field("vulkan_result", vulkan_result)
            .field("value", value)
            .field("message", message)
            .finish()
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    /// An error of the operating system keeps its number, others their message. The whole [`Error`] can be had back by
    /// [`io::Error::downcast`] unless there is an operating system's number.
    fn from(error: Error) -> Self {
        if let Some(number) = error.os_error() {
            return io::Error::from_raw_os_error(number);
        }
        let kind = match error.kind() {
            ErrorKind::WouldBlock => io::ErrorKind::WouldBlock,
            ErrorKind::TimedOut => io::ErrorKind::TimedOut,
            ErrorKind::Closed => io::ErrorKind::UnexpectedEof,
            ErrorKind::InvalidArgument | ErrorKind::TooLarge | ErrorKind::FrameState => {
                io::ErrorKind::InvalidInput
            }
            ErrorKind::Unsupported | ErrorKind::Requirement => io::ErrorKind::Unsupported,
            ErrorKind::NotFound => io::ErrorKind::NotFound,
            ErrorKind::AlreadyExists => io::ErrorKind::AlreadyExists,
            ErrorKind::Permission => io::ErrorKind::PermissionDenied,
            ErrorKind::OutOfMemory => io::ErrorKind::OutOfMemory,
            ErrorKind::PeerLost => io::ErrorKind::ConnectionAborted,
            ErrorKind::Protocol => io::ErrorKind::InvalidData,
            ErrorKind::Refused => io::ErrorKind::ConnectionRefused,
            ErrorKind::Unreachable => io::ErrorKind::HostUnreachable,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
