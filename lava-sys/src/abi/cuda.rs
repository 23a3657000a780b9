//! `lava_*_cuda`: device memory and frames in CUDA's terms.

use std::ffi::c_void;
use std::sync::Arc;

use super::frame::{cell, cell_mut, detailed};
use super::guard::{check_info, control, write_info};
use super::handle;
use crate::error::{Error, Result};
use crate::interop::cuda::{self, View};
use crate::memory::Buffer;
use crate::transport::frame::FrameCell;
use crate::types::*;

/// Gives the device pointer of a buffer in CUDA: device memory, or pinned memory that a GPU knows of. Loads CUDA if nothing
/// has yet. The first view of a buffer imports it, the others cost a look.
///
/// Lava's own reads, writes and copies are done when they return; CUDA's are ordered by the caller. The calling thread's
/// current CUDA context stays as it is.
///
/// Ownership: the pointer is borrowed until `buffer` is destroyed, which must not happen before CUDA's work with it is done.
/// Threads:   any thread.
/// Blocks:    for the loading of CUDA and the import, up to a second, the first time.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_UNSUPPORTED` (no CUDA here, memory of another maker's GPU, host memory, or not
///            `LAVA_BUFFER_SHAREABLE`: the message says which, and the fix); `_DEVICE` (CUDA does not see the GPU, or failed);
///            `_INVALID_ARGUMENT` (struct_size); `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_get_cuda(
    buffer: *const lava_buffer,
    view: *mut lava_cuda_view,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer) }?;
        // SAFETY: the caller's promise.
        unsafe { check_info(view) }?;
        // SAFETY: the caller's promise.
        unsafe { write_info(view, &look(buffer, None)?) }?;
        Ok(LAVA_OK)
    })
}

/// Gives the device pointer of a frame's payload in CUDA, as `lava_buffer_get_cuda` does for a buffer: one import for the
/// whole channel. A received frame must not be written to.
///
/// Ownership: the pointer is borrowed until the frame is released (a loan: or sent).
/// Threads:   any thread.
/// Blocks:    for the loading of CUDA and the import, up to a second, the first time.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_NOT_FOUND` (the payload came inside the descriptor, in host memory); else as
///            `lava_buffer_get_cuda`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_get_cuda(
    frame: *const lava_frame,
    view: *mut lava_cuda_view,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell(frame) })?;
        // SAFETY: the caller's promise.
        unsafe { check_info(view) }?;
        let (buffer, offset) = cell.buffer()?;
        // SAFETY: the caller's promise.
        unsafe { write_info(view, &look(&buffer, Some((offset, cell.size())))?) }?;
        Ok(LAVA_OK)
    })
}

/// Makes a CUDA stream wait until a received frame's bytes are there. Does not wait itself.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for the import of the channel's semaphore, milliseconds, the first time.
/// Returns:   `LAVA_OK`, with nothing to wait for if `lava_frame_get_ready` says so; `LAVA_ERROR_UNSUPPORTED`, `_DEVICE` (as
///            `lava_buffer_get_cuda`); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// `frame` must be NULL or a live frame; `stream` a `CUstream` of the primary context of the frame's GPU, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_wait_cuda(
    frame: *const lava_frame,
    stream: *mut c_void,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let ready = detailed(unsafe { cell(frame) })?.ready();
        if let Some(timeline) = ready.semaphore.as_ref().and_then(|semaphore| semaphore.timeline())
        {
            // SAFETY: the caller's promise.
            unsafe { cuda::wait(timeline, ready.value, stream) }?;
        }
        Ok(LAVA_OK)
    })
}

/// Says that a loan is written when all that is in a CUDA stream now has been done: it may be sent at once, and consumers
/// wait as for `lava_frame_next_ready`. Does not wait itself. To be called in the order in which the work was put into one
/// stream, for any loan of the producer.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per frame.
/// Blocks:    for the import of the channel's semaphore, milliseconds, the first time.
/// Returns:   `LAVA_OK`, with nothing done if the loan is not device memory; `LAVA_ERROR_FRAME_STATE` (not a loan);
///            `_UNSUPPORTED`, `_DEVICE` (as `lava_buffer_get_cuda`); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// `frame` must be NULL or a live frame; `stream` a `CUstream` of the primary context of the frame's GPU, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_set_ready_cuda(
    frame: *mut lava_frame,
    stream: *mut c_void,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell_mut(frame) })?;
        let ready = cell.next_ready()?;
        if let Some(timeline) = ready.semaphore.as_ref().and_then(|semaphore| semaphore.timeline())
        {
            // SAFETY: the caller's promise.
            unsafe { cuda::signal(timeline, ready.value, stream) }
                .inspect_err(|_| cell.forget_ready())?;
        }
        Ok(LAVA_OK)
    })
}

/// Gives a received frame back when all that is in a CUDA stream now has been done. Does not wait itself.
///
/// Ownership: `frame` is transferred if this succeeds.
/// Threads:   any thread, also while another receives.
/// Blocks:    for the making of a semaphore, milliseconds, once for each frame that is being read at a time.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_FRAME_STATE` (a loan); `_UNSUPPORTED` (not device memory; or as `lava_buffer_get_cuda`);
///            `_DEVICE`; `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// `frame` must be a live frame; `stream` a `CUstream` of the primary context of the frame's GPU, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_release_cuda(
    frame: *mut lava_frame,
    stream: *mut c_void,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell(frame) })?;
        if cell.is_loan() {
            let message =
                "a loan is sent, or released at once; only a received frame is given back later";
            return Err(Error::new(LAVA_ERROR_FRAME_STATE, message));
        }
        let (buffer, _) = cell.device_buffer().ok_or_else(|| {
            let message = "this frame is not device memory: release it when the stream is done";
            Error::new(LAVA_ERROR_UNSUPPORTED, message)
        })?;
        // SAFETY: the caller's promise.
        let (timeline, value) = unsafe { cuda::reached(buffer, stream) }?;
        // SAFETY: the caller's promise.
        unsafe { FrameCell::release_after(frame.cast(), timeline, value) }
            .map_err(|status| Error::new(status, "this frame cannot be given back"))?;
        Ok(LAVA_OK)
    })
}

/// A buffer, or a part of it from an offset, as CUDA sees it.
fn look(buffer: &Arc<Buffer>, part: Option<(u64, u64)>) -> Result<lava_cuda_view> {
    let view = View::of(buffer)?;
    let (offset, size) = part.unwrap_or((0, view.size()));
    Ok(lava_cuda_view {
        struct_size: 0,
        device_ordinal: view.ordinal(),
        device_pointer: view.pointer() + offset,
        size,
        context: view.context(),
    })
}
