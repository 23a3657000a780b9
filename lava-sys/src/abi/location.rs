//! `lava_location_*`, `lava_scope_detect`.

use std::ffi::c_char;

use super::context;
use super::guard::{control, copy_text, read_options, text, write_info, write_text};
use crate::channel::probe;
use crate::error::{Error, Result};
use crate::scope::Location;
use crate::types::*;

/// Tells where this process is. The first call starts the context's service thread and its presence socket, so that
/// others who get the location can prove that they reach it.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for system calls only.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT` (struct_size), `_LIMIT`, `_OS`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_location_current(
    context: *const lava_context,
    location: *mut lava_location,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        let current = context.present()?;
        // SAFETY: the caller's promise.
        unsafe { write_info(location, &current.to_raw()) }?;
        Ok(LAVA_OK)
    })
}

/// Reads a location from the text of `lava_location_format`.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT` (the message names the part that is wrong).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_location_parse(
    text_of_location: *const c_char,
    location: *mut lava_location,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let source = unsafe { text(text_of_location, "text_of_location", 1024) }?;
        // SAFETY: the caller's promise.
        unsafe { write_info(location, &Location::parse(source)?.to_raw()) }?;
        Ok(LAVA_OK)
    })
}

/// Writes a location as one line of ASCII text without spaces, at most `LAVA_LOCATION_TEXT_SIZE` bytes with its NUL.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_BUFFER_TOO_SMALL` (then `*needed`, if not NULL, has the bytes needed).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_location_format(
    location: *const lava_location,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let location = unsafe { required_location(location, "location") }?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&location.to_string(), buffer, capacity, needed) }?;
        Ok(LAVA_OK)
    })
}

/// Decides whether two processes can share memory, from evidence: forced scope, same process, an answer on the
/// rendezvous socket (asked only if `a` is this context), boot ids, runtime directories, namespaces, host names.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    up to 100 ms for the peer's answer.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT`, `_INVALID_POINTER`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_scope_detect(
    context: *const lava_context,
    a: *const lava_location,
    b: *const lava_location,
    report: *mut lava_scope_report,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        // SAFETY: the caller's promise.
        let (a, b) = unsafe { (required_location(a, "a")?, required_location(b, "b")?) };
        let found = probe::detect(context, &a, &b);
        let mut raw = lava_scope_report {
            struct_size: 0,
            scope: found.scope.number(),
            decided_by: found.decided_by,
            agrees: found.agrees,
            differs: found.differs,
            reserved: 0,
            text: [0; LAVA_SCOPE_TEXT_SIZE],
        };
        copy_text(&found.text, &mut raw.text);
        // SAFETY: the caller's promise.
        unsafe { write_info(report, &raw) }?;
        Ok(LAVA_OK)
    })
}

/// # Safety
/// `pointer` is NULL or a valid location.
unsafe fn required_location(pointer: *const lava_location, name: &str) -> Result<Location> {
    // SAFETY: the caller's promise.
    unsafe { optional_location(pointer) }?
        .ok_or_else(|| Error::new(LAVA_ERROR_INVALID_POINTER, format!("{name} is NULL")))
}

/// # Safety
/// `pointer` is NULL or a valid location.
pub(super) unsafe fn optional_location(pointer: *const lava_location) -> Result<Option<Location>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    Ok(Some(Location::from_raw(&unsafe { read_options(pointer) }?)?))
}
