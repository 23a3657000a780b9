//! Versions and names of statuses.

use std::ffi::c_char;

use super::guard::quiet;
use crate::types::*;

/// The version of the library, `MAJOR << 16 | MINOR << 8 | PATCH`.
///
/// Ownership: nothing is passed.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   the number.
/// Since:     0.1
#[unsafe(no_mangle)]
pub extern "C" fn lava_version() -> u32 {
    const fn number(text: &str) -> u32 {
        let (bytes, mut value, mut at) = (text.as_bytes(), 0, 0);
        while at < bytes.len() {
            value = value * 10 + (bytes[at] - b'0') as u32;
            at += 1;
        }
        value
    }
    const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | number(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | number(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// The ABI that the library implements: compare it with `LAVA_ABI_VERSION` of the header.
///
/// Ownership: nothing is passed.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   the number.
/// Since:     0.1
#[unsafe(no_mangle)]
pub extern "C" fn lava_abi_version() -> u32 {
    LAVA_ABI_VERSION
}

/// The name of a status, such as `"LAVA_TIMED_OUT"`.
///
/// Ownership: the text is static; never free it.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   the name; `"LAVA_UNKNOWN_STATUS"` for a number that this library does not know. Never NULL.
/// Since:     0.1
#[unsafe(no_mangle)]
pub extern "C" fn lava_status_name(status: lava_status) -> *const c_char {
    quiet(|| Name(name(status))).0.as_ptr()
}

struct Name(&'static std::ffi::CStr);

impl Default for Name {
    fn default() -> Self {
        Self(c"LAVA_UNKNOWN_STATUS")
    }
}

fn name(status: lava_status) -> &'static std::ffi::CStr {
    match status {
        LAVA_OK => c"LAVA_OK",
        LAVA_WOULD_BLOCK => c"LAVA_WOULD_BLOCK",
        LAVA_TIMED_OUT => c"LAVA_TIMED_OUT",
        LAVA_CLOSED => c"LAVA_CLOSED",
        LAVA_ERROR_INVALID_ARGUMENT => c"LAVA_ERROR_INVALID_ARGUMENT",
        LAVA_ERROR_INVALID_POINTER => c"LAVA_ERROR_INVALID_POINTER",
        LAVA_ERROR_INVALID_HANDLE => c"LAVA_ERROR_INVALID_HANDLE",
        LAVA_ERROR_UNSUPPORTED => c"LAVA_ERROR_UNSUPPORTED",
        LAVA_ERROR_NOT_FOUND => c"LAVA_ERROR_NOT_FOUND",
        LAVA_ERROR_ALREADY_EXISTS => c"LAVA_ERROR_ALREADY_EXISTS",
        LAVA_ERROR_PERMISSION => c"LAVA_ERROR_PERMISSION",
        LAVA_ERROR_LIMIT => c"LAVA_ERROR_LIMIT",
        LAVA_ERROR_OUT_OF_MEMORY => c"LAVA_ERROR_OUT_OF_MEMORY",
        LAVA_ERROR_OS => c"LAVA_ERROR_OS",
        LAVA_ERROR_BUFFER_TOO_SMALL => c"LAVA_ERROR_BUFFER_TOO_SMALL",
        LAVA_ERROR_TOO_LARGE => c"LAVA_ERROR_TOO_LARGE",
        LAVA_ERROR_REQUIREMENT => c"LAVA_ERROR_REQUIREMENT",
        LAVA_ERROR_FRAME_STATE => c"LAVA_ERROR_FRAME_STATE",
        LAVA_ERROR_PEER_LOST => c"LAVA_ERROR_PEER_LOST",
        LAVA_ERROR_PROTOCOL => c"LAVA_ERROR_PROTOCOL",
        LAVA_ERROR_REFUSED => c"LAVA_ERROR_REFUSED",
        LAVA_ERROR_UNREACHABLE => c"LAVA_ERROR_UNREACHABLE",
        LAVA_ERROR_DEVICE => c"LAVA_ERROR_DEVICE",
        LAVA_ERROR_INTERNAL => c"LAVA_ERROR_INTERNAL",
        LAVA_ERROR_FORKED => c"LAVA_ERROR_FORKED",
        _ => c"LAVA_UNKNOWN_STATUS",
    }
}
