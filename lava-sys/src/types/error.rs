//! Status codes and the caller-owned error detail.

/// What a function answers. 0: done. > 0: nothing went wrong, and nothing was done. < 0: an error, grouped by the
/// largest thing that broke. Numbers are never reused; a newer library may return numbers that this header does not
/// know: treat any unknown negative number as an error.
pub type lava_status = i32;

/// Done.
pub const LAVA_OK: lava_status = 0;
/// Nothing was done: it would have had to wait, and the caller asked not to.
pub const LAVA_WOULD_BLOCK: lava_status = 1;
/// Nothing was done: the time to wait is over.
pub const LAVA_TIMED_OUT: lava_status = 2;
/// The producer ended the channel and every frame of it has been received.
pub const LAVA_CLOSED: lava_status = 3;

/// An argument has a value that is not allowed; the message names it.
pub const LAVA_ERROR_INVALID_ARGUMENT: lava_status = -1;
/// A required pointer is NULL or not aligned for its type.
pub const LAVA_ERROR_INVALID_POINTER: lava_status = -2;
/// A handle was already destroyed or is of another kind (found by a best-effort check; using such a handle is a bug).
pub const LAVA_ERROR_INVALID_HANDLE: lava_status = -3;
/// This library or this system does not offer what was asked; the message says what is missing.
pub const LAVA_ERROR_UNSUPPORTED: lava_status = -4;
/// Nothing has this name.
pub const LAVA_ERROR_NOT_FOUND: lava_status = -5;
/// A live producer has this name already.
pub const LAVA_ERROR_ALREADY_EXISTS: lava_status = -6;
/// The operating system or the peer refuses this user.
pub const LAVA_ERROR_PERMISSION: lava_status = -7;
/// A limit of the operating system is reached (file descriptors, locked memory, huge pages, ...); the message names it.
pub const LAVA_ERROR_LIMIT: lava_status = -8;
/// No memory.
pub const LAVA_ERROR_OUT_OF_MEMORY: lava_status = -9;
/// A system call failed in a way that has no status of its own: see `os_errno`.
pub const LAVA_ERROR_OS: lava_status = -10;
/// The caller's buffer is too small; the needed size was written where there is an argument for it.
pub const LAVA_ERROR_BUFFER_TOO_SMALL: lava_status = -11;
/// A frame or range is larger than what it must fit into.
pub const LAVA_ERROR_TOO_LARGE: lava_status = -12;
/// What the caller required (a memory strategy, a transport, a number of copies) cannot be had here.
pub const LAVA_ERROR_REQUIREMENT: lava_status = -13;

/// The frame is in a state that forbids this (sending a received frame, writing to one).
pub const LAVA_ERROR_FRAME_STATE: lava_status = -100;

/// The peer died or went away without closing; what it had published has been received.
pub const LAVA_ERROR_PEER_LOST: lava_status = -200;
/// The peer broke the protocol; its connection is closed.
pub const LAVA_ERROR_PROTOCOL: lava_status = -201;
/// The peer is there and refused the connection; the message has its reason.
pub const LAVA_ERROR_REFUSED: lava_status = -202;
/// The peer is on another host, or cannot be reached from here, and no transport leads there.
pub const LAVA_ERROR_UNREACHABLE: lava_status = -203;

/// No usable GPU, or the device failed.
pub const LAVA_ERROR_DEVICE: lava_status = -300;

/// A fault inside lava (a panic was caught). Destroy the handles involved and report it.
pub const LAVA_ERROR_INTERNAL: lava_status = -400;
/// The handle belongs to the parent of this forked process. Only destroying it is allowed here.
pub const LAVA_ERROR_FORKED: lava_status = -401;

/// Bytes of `lava_error.message`, with its terminating NUL.
pub const LAVA_ERROR_MESSAGE_SIZE: usize = 488;

/// Detail of a failure, in memory of the caller: the last, nullable argument of every function that is not on the hot
/// path. Set `struct_size`; the rest is written only when the call fails (a negative status, or `LAVA_TIMED_OUT` where
/// there is something to say), never otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_error {
    /// `sizeof(lava_error)` of the caller.
    pub struct_size: u32,
    /// The status that the function returned.
    pub status: lava_status,
    /// `errno` of the failed system call, or 0.
    pub os_errno: i32,
    /// `VkResult` of the failed Vulkan call, or 0.
    pub vk_result: i32,
    /// The number at fault: the argument, the limit; what it is stands in the message. 0 where there is none.
    pub value: u64,
    /// UTF-8, NUL-terminated: what failed, with which value, and how to mend it. Cut at a character's end if too long.
    pub message: [core::ffi::c_char; LAVA_ERROR_MESSAGE_SIZE],
}
