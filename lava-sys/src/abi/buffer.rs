//! `lava_buffer_*`.

use std::ffi::c_void;
use std::sync::Arc;

use super::context;
use super::guard::{check_pointer, control, copy_text, quiet, read_options, write_info};
use super::handle::{self, Opaque};
use super::location::optional_location;
use crate::error::Result;
use crate::memory::{Buffer, Memory, Request};
use crate::types::*;

// SAFETY: the only Opaque for this type.
unsafe impl Opaque for lava_buffer {
    type Inner = Arc<Buffer>;
    const MAGIC: u32 = 0x1a7a_0002;
    const NAME: &'static str = "buffer";
}

/// Allocates a buffer. Its bytes are zero.
///
/// Ownership: `*buffer` is owned by the caller; `options` is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for system calls only; with `LAVA_BUFFER_COMMIT` and pinned memory until every page is there.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT`, `_UNSUPPORTED` (options); `_REQUIREMENT` (required memory);
///            `_LIMIT`, `_OUT_OF_MEMORY`, `_OS` (no memory left to try). The message names the limit and how to raise it.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_allocate(
    context: *const lava_context,
    options: *const lava_buffer_options,
    buffer: *mut *mut lava_buffer,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(buffer, "buffer")?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { buffer.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        check_pointer(options, "options")?;
        // SAFETY: the caller's promise.
        let request = unsafe { convert_options(options) }?;
        let allocated = Buffer::allocate(&request, context.memory_context())?;
        // SAFETY: checked.
        unsafe { buffer.write(handle::create(Arc::new(allocated))) };
        Ok(LAVA_OK)
    })
}

/// # Safety
/// `options` is NULL or valid.
unsafe fn convert_options(options: *const lava_buffer_options) -> Result<Request> {
    // SAFETY: the caller's promise.
    let raw = unsafe { read_options(options) }?;
    Ok(Request {
        memory: Memory::requested(raw.memory)?,
        size: raw.size,
        alignment: raw.alignment,
        flags: raw.flags,
        numa_node: (raw.flags & LAVA_BUFFER_ON_NODE != 0).then_some(raw.numa_node),
        fallback: Memory::fallback_list(&raw.fallback, raw.fallback_count)?,
        // SAFETY: the caller's promise.
        peer: unsafe { optional_location(raw.peer) }?,
        device_uuid: raw.device_uuid,
    })
}

/// Ends the caller's use of a buffer. Frames that lie in it stay valid; it is freed with the last of them.
///
/// Ownership: `buffer` is transferred; NULL does nothing.
/// Threads:   any thread, but the handle must not be in use.
/// Blocks:    for system calls only.
/// Returns:   nothing.
/// Since:     0.1
///
/// # Safety
/// `buffer` must be NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_destroy(buffer: *mut lava_buffer) {
    quiet(|| {
        // SAFETY: the caller's promise.
        drop(unsafe { handle::destroy(buffer) });
    });
}

/// The buffer's bytes in this process.
///
/// Ownership: the memory is borrowed until the buffer is destroyed.
/// Threads:   any thread; the caller orders its own accesses.
/// Blocks:    never.
/// Returns:   the address; NULL if the memory cannot be reached by the CPU or the handle is not a buffer. Do not write
///            if the info's flags have `LAVA_BUFFER_READ_ONLY`: that raises SIGSEGV.
/// Since:     0.1
///
/// # Safety
/// `buffer` must be NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_data(buffer: *const lava_buffer) -> *mut c_void {
    quiet(|| {
        // SAFETY: the caller's promise.
        let data = unsafe { handle::shared(buffer) }.ok().and_then(|buffer| buffer.data());
        Pointer(data.map_or(std::ptr::null_mut(), |data| data.as_ptr().cast()))
    })
    .0
}

struct Pointer(*mut c_void);

impl Default for Pointer {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

/// Tells what a buffer is, and why.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT` (struct_size), `_INVALID_POINTER`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_get_info(
    buffer: *const lava_buffer,
    info: *mut lava_buffer_info,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer) }?;
        let mut raw = lava_buffer_info {
            struct_size: 0,
            memory: buffer.memory().number(),
            size: buffer.size(),
            allocated_size: buffer.allocated_size(),
            alignment: buffer.alignment(),
            flags: buffer.flags(),
            pages: buffer.pages(),
            page_size: buffer.page_size(),
            numa_node: buffer.numa_node().unwrap_or(u32::MAX),
            requested_memory: buffer.requested().number(),
            reason: [0; LAVA_REASON_SIZE],
            device_uuid: buffer.device_uuid(),
            driver_uuid: buffer.driver_uuid(),
        };
        copy_text(buffer.reason(), &mut raw.reason);
        // SAFETY: the caller's promise.
        unsafe { write_info(info, &raw) }?;
        Ok(LAVA_OK)
    })
}

/// Copies `size` bytes at `offset` of the buffer to `data`.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread; the caller orders accesses to the same bytes.
/// Blocks:    for the copy.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_TOO_LARGE` (range outside the buffer).
/// Since:     0.1
///
/// # Safety
/// `data` must be valid for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_read(
    buffer: *const lava_buffer,
    offset: u64,
    data: *mut c_void,
    size: usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer) }?;
        if size > 0 {
            check_pointer(data.cast::<u8>(), "data")?;
        }
        // SAFETY: `data` is valid for `size` bytes.
        unsafe { buffer.read(offset, data.cast(), size) }?;
        Ok(LAVA_OK)
    })
}

/// Copies `size` bytes from `data` to `offset` of the buffer.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread; the caller orders accesses to the same bytes.
/// Blocks:    for the copy.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_TOO_LARGE` (range outside the buffer); `LAVA_ERROR_PERMISSION` (read-only).
/// Since:     0.1
///
/// # Safety
/// `data` must be valid for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_write(
    buffer: *mut lava_buffer,
    offset: u64,
    data: *const c_void,
    size: usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer.cast_const()) }?;
        if size > 0 {
            check_pointer(data.cast::<u8>(), "data")?;
        }
        // SAFETY: `data` is valid for `size` bytes.
        unsafe { buffer.write(offset, data.cast(), size) }?;
        Ok(LAVA_OK)
    })
}

/// Copies `size` bytes between two buffers, which may be the same one; overlapping ranges are copied as if through a
/// third place.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread; the caller orders accesses to the same bytes.
/// Blocks:    for the copy.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_TOO_LARGE` (range outside a buffer); `LAVA_ERROR_PERMISSION` (read-only).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or live handles.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_copy(
    to: *mut lava_buffer,
    to_offset: u64,
    from: *const lava_buffer,
    from_offset: u64,
    size: u64,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let (to, from) = unsafe { (handle::shared(to.cast_const())?, handle::shared(from)?) };
        Buffer::copy(to, to_offset, from, from_offset, size)?;
        Ok(LAVA_OK)
    })
}

/// Sets `size` bytes at `offset` to `value`.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread; the caller orders accesses to the same bytes.
/// Blocks:    for the writing.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_TOO_LARGE` (range outside the buffer); `LAVA_ERROR_PERMISSION` (read-only).
/// Since:     0.1
///
/// # Safety
/// `buffer` must be NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_fill(
    buffer: *mut lava_buffer,
    offset: u64,
    size: u64,
    value: u8,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer.cast_const()) }?;
        buffer.fill(offset, size, value)?;
        Ok(LAVA_OK)
    })
}

/// Makes a handle with which another process can import the buffer.
///
/// Ownership: `handle->fd` is owned by the caller: close it. It may be exported any number of times.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_UNSUPPORTED` (allocated without `LAVA_BUFFER_SHAREABLE`); `_LIMIT` (files).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_export(
    buffer: *const lava_buffer,
    handle: *mut lava_buffer_handle,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer) }?;
        let exported = buffer.export()?;
        // SAFETY: the caller's promise.
        let written = unsafe { write_info(handle, &exported) };
        if written.is_err() {
            Buffer::discard_export(&exported);
        }
        written.map(|()| LAVA_OK)
    })
}

/// Makes a buffer of a handle that came from `lava_buffer_export`, usually from another process. Everything in it is
/// checked against the descriptor itself: type, seals, size. The bytes are shared, not copied.
///
/// Ownership: `*buffer` is owned by the caller; `handle` and its `fd` are borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for system calls only.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT` (the descriptor is not what the handle says);
///            `_UNSUPPORTED` (kind); `_LIMIT`, `_OUT_OF_MEMORY`, `_OS`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_import(
    context: *const lava_context,
    handle: *const lava_buffer_handle,
    buffer: *mut *mut lava_buffer,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(buffer, "buffer")?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { buffer.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        check_pointer(handle, "handle")?;
        // SAFETY: the caller's promise.
        let raw = unsafe { read_options(handle) }?;
        let imported = Buffer::import(&raw, context.memory_context())?;
        // SAFETY: checked.
        unsafe { buffer.write(handle::create(Arc::new(imported))) };
        Ok(LAVA_OK)
    })
}
