//! `lava_frame_*`.

use std::ffi::c_void;
use std::sync::Arc;

use super::guard::{check_hot, check_pointer, control, hot, quiet, read_options, write_info};
use super::handle;

use crate::error::{Error, Hot, Result};
use crate::transport::frame::FrameCell;
use crate::types::*;

/// # Safety
/// `frame` is NULL or a live frame.
#[inline(always)]
pub(super) unsafe fn cell<'a>(frame: *const lava_frame) -> Hot<&'a FrameCell> {
    let cell = frame.cast::<FrameCell>();
    check_hot(cell)?;
    // SAFETY: a cell stays allocated while its owner or any frame of it lives.
    let cell = unsafe { &*cell };
    if cell.is_live() { Ok(cell) } else { Err(LAVA_ERROR_INVALID_HANDLE) }
}

/// # Safety
/// `frame` is NULL or a live frame that no other thread uses.
#[inline(always)]
pub(super) unsafe fn cell_mut<'a>(frame: *mut lava_frame) -> Hot<&'a mut FrameCell> {
    // SAFETY: as promised.
    unsafe { cell(frame) }?;
    // SAFETY: checked; one thread at a time.
    Ok(unsafe { &mut *frame.cast::<FrameCell>() })
}

pub(super) fn detailed<T>(found: Hot<T>) -> Result<T> {
    found.map_err(|status| Error::new(status, "frame is NULL, not aligned or not a live frame"))
}

struct Pointer(*mut c_void);

impl Default for Pointer {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

/// The payload's first byte, for reading.
///
/// Ownership: the memory is borrowed until the frame is released (a loan: or sent).
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   the address, aligned as the channel's slots are (a frame of 40 bytes or less: to 8); NULL if the CPU cannot reach the
///            memory, or for a handle that is not a frame. A received frame of more than `LAVA_FRAME_INLINE_SIZE` bytes lies in
///            memory that its producer can still write to: copy what must not change between two looks.
/// Since:     0.1
///
/// # Safety
/// `frame` must be NULL or a live frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_data(frame: *const lava_frame) -> *const c_void {
    quiet(|| {
        // SAFETY: the caller's promise.
        let data = unsafe { cell(frame) }.map_or(std::ptr::null_mut(), FrameCell::data);
        Pointer(data.cast())
    })
    .0
}

/// A loan's first byte, for writing.
///
/// Ownership: the memory is borrowed until the frame is sent or released.
/// Threads:   one thread at a time per frame.
/// Blocks:    never.
/// Returns:   the address, as `lava_frame_data`; NULL for a received frame, which is read-only.
/// Since:     0.1
///
/// # Safety
/// `frame` must be NULL or a live frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_data_mut(frame: *mut lava_frame) -> *mut c_void {
    quiet(|| {
        // SAFETY: the caller's promise.
        let data = unsafe { cell(frame) }.ok().filter(|cell| cell.is_loan()).map(FrameCell::data);
        Pointer(data.unwrap_or(std::ptr::null_mut()).cast())
    })
    .0
}

/// The payload's bytes.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   the number; 0 also for a handle that is not a frame.
/// Since:     0.1
///
/// # Safety
/// `frame` must be NULL or a live frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_size(frame: *const lava_frame) -> u64 {
    quiet(|| {
        // SAFETY: the caller's promise.
        unsafe { cell(frame) }.map_or(0, FrameCell::size)
    })
}

/// Tells a frame's size, sequence, timestamp and the rest.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_POINTER`, `_INVALID_HANDLE`, `_INVALID_ARGUMENT` (struct_size).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_get_info(
    frame: *const lava_frame,
    info: *mut lava_frame_info,
) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        let cell = unsafe { cell(frame) }?;
        // SAFETY: the caller's promise.
        unsafe { write_info(info, &cell.info()) }.map_err(|error| error.status)
    })
}

/// Sets how many bytes of a loan will be sent: at most the info's `capacity`.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per frame.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_TOO_LARGE`; `_FRAME_STATE` (not a loan); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_set_size(frame: *mut lava_frame, size: u64) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        unsafe { cell_mut(frame) }?.set_size(size)
    })
}

/// Sets the number that travels with a loan.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per frame.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_FRAME_STATE` (not a loan); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_set_tag(frame: *mut lava_frame, tag: u64) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        unsafe { cell_mut(frame) }?.set_tag(tag)
    })
}

/// Sets a loan's timestamp, such as the time of a camera's exposure; 0: the time of the send.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per frame.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_FRAME_STATE` (not a loan); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_set_timestamp(
    frame: *mut lava_frame,
    timestamp_ns: u64,
) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        unsafe { cell_mut(frame) }?.set_timestamp(timestamp_ns)
    })
}

/// Describes a loan's payload as an array; NULL removes the description. Every element must lie within the loan's size at
/// the send.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per frame.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT` (the message names the field); `_TOO_LARGE` (an element outside the payload);
///            `_FRAME_STATE` (not a loan).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_set_tensor(
    frame: *mut lava_frame,
    tensor: *const lava_tensor,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell_mut(frame) })?;
        if tensor.is_null() {
            return cell.clear_tensor().map(|()| LAVA_OK);
        }
        check_pointer(tensor, "tensor")?;
        // SAFETY: the caller's promise.
        cell.set_tensor(&unsafe { read_options(tensor) }?)?;
        Ok(LAVA_OK)
    })
}

/// Reads the description of the payload as an array, checked to lie within the payload.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_NOT_FOUND` (the frame has none); `_PROTOCOL` (the producer sent a false one);
///            `_INVALID_ARGUMENT` (struct_size).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_get_tensor(
    frame: *const lava_frame,
    tensor: *mut lava_tensor,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell(frame) })?;
        // SAFETY: the caller's promise.
        unsafe { write_info(tensor, &cell.tensor()?) }?;
        Ok(LAVA_OK)
    })
}

/// Copies `size` bytes at `offset` of the payload to `data`.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for the copy.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_TOO_LARGE` (range outside the payload); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// `data` must be valid for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_read(
    frame: *const lava_frame,
    offset: u64,
    data: *mut c_void,
    size: usize,
) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        let cell = unsafe { cell(frame) }?;
        if size > 0 {
            check_hot(data.cast::<u8>())?;
        }
        // SAFETY: `data` is valid for `size` bytes.
        unsafe { cell.read(offset, data.cast(), size) }
    })
}

/// Copies `size` bytes from `data` to `offset` of a loan's payload.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per frame.
/// Blocks:    for the copy.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_TOO_LARGE` (range outside the payload); `_FRAME_STATE` (not a loan); `_INVALID_POINTER`,
///            `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// `data` must be valid for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_write(
    frame: *mut lava_frame,
    offset: u64,
    data: *const c_void,
    size: usize,
) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        let cell = unsafe { cell_mut(frame) }?;
        if size > 0 {
            check_hot(data.cast::<u8>())?;
        }
        // SAFETY: `data` is valid for `size` bytes.
        unsafe { cell.write(offset, data.cast(), size) }
    })
}

/// The buffer in which the payload lies: the channel's pool, or the buffer that the producer sent. To hand a frame to
/// another API without copying.
///
/// Ownership: `*buffer` is owned by the caller: destroy it. It keeps the memory, not the frame: hold the frame while reading it.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK` with the payload's first byte in `*offset`; `LAVA_ERROR_NOT_FOUND` (the payload came inside the descriptor).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_get_buffer(
    frame: *const lava_frame,
    buffer: *mut *mut lava_buffer,
    offset: *mut u64,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(buffer, "buffer")?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { buffer.write(std::ptr::null_mut()) };
        check_pointer(offset, "offset")?;
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell(frame) })?;
        let (found, at) = cell.buffer()?;
        // SAFETY: checked.
        unsafe {
            offset.write(at);
            buffer.write(handle::create::<lava_buffer>(Arc::clone(&found)));
        }
        Ok(LAVA_OK)
    })
}

/// Gives a frame back: a received one to its producer, a loan to its pool, unsent.
///
/// Ownership: `frame` is transferred; NULL is an error here, as everywhere on the hot path.
/// Threads:   any thread, also while another receives.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_POINTER`; `_INVALID_HANDLE` (released before; found as long as its owner lives).
/// Since:     0.1
///
/// # Safety
/// `frame` must be a live frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_release(frame: *mut lava_frame) -> lava_status {
    hot(|| {
        check_hot(frame.cast::<FrameCell>())?;
        // SAFETY: the caller's promise.
        unsafe { FrameCell::release(frame.cast()) }
    })
}

/// Gives `count` frames back at once; cheaper than one by one when they come from one consumer.
///
/// Ownership: all frames are transferred.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; else the status of the first that could not be released; the others are released.
/// Since:     0.1
///
/// # Safety
/// `frames` must be valid for `count` elements, each a live frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_release_many(
    frames: *const *mut lava_frame,
    count: usize,
) -> lava_status {
    hot(|| {
        if count == 0 {
            return Ok(());
        }
        check_hot(frames)?;
        // SAFETY: the caller's promise: `frames` is valid for `count` elements.
        unsafe { FrameCell::release_many(std::slice::from_raw_parts(frames.cast(), count)) }
    })
}
