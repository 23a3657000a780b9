//! `lava_frame_*ready` and `lava_frame_release_after`: frames of device memory in the order of GPU work.

use std::sync::Arc;

use super::frame::{cell, cell_mut, detailed};
use super::guard::{check_pointer, control, hot, read_options, write_info};
use crate::error::{Error, Result};
use crate::memory::vulkan::Timeline;
use crate::transport::frame::FrameCell;
use crate::transport::ready::Ready;
use crate::types::*;

/// Tells when a received frame's bytes are there: `LAVA_SYNC_TIMELINE`: when the semaphore has reached the value, for which
/// the caller's queue submission, or `lava_frame_wait_ready`, waits. Else they are there. `lava_frame_read` waits itself.
///
/// A producer that dies with unfinished work never makes a queue hang: lava signals in its place, and
/// `lava_frame_wait_ready` then says that the bytes are not there.
///
/// Ownership: the semaphore is borrowed until the frame is released.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT` (struct_size); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_get_ready(
    frame: *const lava_frame,
    sync: *mut lava_frame_sync,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell(frame) })?;
        // SAFETY: the caller's promise.
        unsafe { write_info(sync, &convert(&cell.ready(), cell.is_on_device())) }?;
        Ok(LAVA_OK)
    })
}

/// Waits on the CPU until a received frame's bytes are there.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    up to `timeout_ns` (`LAVA_NO_WAIT`: not at all; `LAVA_FOREVER`).
/// Returns:   `LAVA_OK`, at once for host memory; `LAVA_WOULD_BLOCK`, `LAVA_TIMED_OUT` (not yet there); `LAVA_ERROR_PEER_LOST` (the
///            producer went before its work was done: they will never be there); `_DEVICE`; `_INVALID_POINTER`,
///            `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// `frame` must be NULL or a live frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_wait_ready(
    frame: *const lava_frame,
    timeout_ns: u64,
) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        unsafe { cell(frame) }?.wait_ready(timeout_ns)
    })
}

/// Gives the semaphore and the value that the caller's queue submission, which writes a loan, must signal. The loan may be
/// sent before that work is done: consumers wait for it on their GPU where the connection allows, else the send does on
/// the CPU. A loan for which this was not called must be written completely before it is sent.
///
/// Values rise with each call for any loan of the producer, and must be signalled in this order: submit in the order of
/// these calls, to one queue. A value that is never signalled makes its consumers wait. `LAVA_SYNC_NONE`: the loan is not
/// device memory, and there is nothing to signal.
///
/// Ownership: the semaphore is borrowed until the producer is destroyed.
/// Threads:   one thread at a time per frame.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_FRAME_STATE` (not a loan); `_INVALID_ARGUMENT` (struct_size); `_INVALID_POINTER`,
///            `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_next_ready(
    frame: *mut lava_frame,
    sync: *mut lava_frame_sync,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell_mut(frame) })?;
        // A value that is handed out must be signalled, so nothing may fail after that.
        let nothing = Ready { semaphore: None, value: 0 };
        // SAFETY: the caller's promise.
        unsafe { write_info(sync, &convert(&nothing, false)) }?;
        let ready = cell.next_ready()?;
        // SAFETY: the caller's promise.
        unsafe { write_info(sync, &convert(&ready, false)) }?;
        Ok(LAVA_OK)
    })
}

/// Gives a received frame back when the caller's GPU work, which reads it, has signalled a timeline semaphore. The call
/// does not wait. `LAVA_SYNC_NONE`: it is given back at once, as by `lava_frame_release`.
///
/// Ownership: `frame` is transferred if this succeeds; the semaphore, of the `VkDevice` of the frame's buffer, is borrowed
///            until it has reached the value.
/// Threads:   any thread, also while another receives.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_FRAME_STATE` (a loan); `_UNSUPPORTED` (a semaphore for a frame that is not device memory);
///            `_INVALID_ARGUMENT` (struct_size, kind, semaphore); `_INVALID_POINTER`, `_INVALID_HANDLE`.
/// Since:     0.1
///
/// # Safety
/// `frame` must be a live frame; the semaphore must be as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_frame_release_after(
    frame: *mut lava_frame,
    sync: *const lava_frame_sync,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let cell = detailed(unsafe { cell(frame) })?;
        check_pointer(sync, "sync")?;
        // SAFETY: the caller's promise.
        let sync = unsafe { read_options(sync) }?;
        let released = match semaphore(cell, &sync)? {
            // SAFETY: the caller's promise.
            None => unsafe { FrameCell::release(frame.cast()) },
            Some(timeline) => {
                // SAFETY: the caller's promise.
                unsafe { FrameCell::release_after(frame.cast(), timeline, sync.value) }
            }
        };
        released.map_err(|status| Error::new(status, "this frame cannot be given back"))?;
        Ok(LAVA_OK)
    })
}

/// The caller's semaphore; None if there is nothing to wait for.
fn semaphore(cell: &FrameCell, sync: &lava_frame_sync) -> Result<Option<Arc<Timeline>>> {
    if cell.is_loan() {
        return Err(Error::new(
            LAVA_ERROR_FRAME_STATE,
            "a loan is sent or released at once; only a received frame is given back later",
        ));
    }
    match sync.kind {
        LAVA_SYNC_NONE | LAVA_SYNC_HOST => return Ok(None),
        LAVA_SYNC_TIMELINE => {}
        other => {
            let message = format!("lava_frame_sync.kind is {other}; see LAVA_SYNC_*");
            return Err(Error::argument(message).with_value(other.into()));
        }
    }
    if sync.semaphore == 0 {
        return Err(Error::argument("lava_frame_sync.semaphore is 0; it is a VkSemaphore"));
    }
    let device = cell.device_buffer().and_then(|(buffer, _)| buffer.device()).ok_or_else(|| {
        let message = "this frame is not device memory: release it when your work is done";
        Error::new(LAVA_ERROR_UNSUPPORTED, message)
    })?;
    // SAFETY: a semaphore of this device, alive until it has the value, as the header demands.
    Ok(Some(Arc::new(unsafe { Timeline::borrowed(device, sync.semaphore) })))
}

fn convert(ready: &Ready, on_device: bool) -> lava_frame_sync {
    let kind = match &ready.semaphore {
        Some(_) => LAVA_SYNC_TIMELINE,
        None if on_device => LAVA_SYNC_HOST,
        None => LAVA_SYNC_NONE,
    };
    lava_frame_sync {
        struct_size: 0,
        kind,
        semaphore: ready.semaphore.as_ref().map_or(0, |semaphore| semaphore.raw()),
        value: ready.value,
    }
}
