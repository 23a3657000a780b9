//! `lava_consumer_*`.

use std::ffi::c_char;

use super::context;
use super::guard::{
    check_hot, check_pointer, check_reserved, control, hot, quiet, read_options, text, write_text,
};
use super::handle::{self, Opaque};
use super::location::optional_location;
use super::producer::{write_connection, write_rejection};
use crate::channel::consumer::{Consumer, Options};
use crate::error::Result;
use crate::memory::Memory;
use crate::transport::frame::FrameRef;
use crate::types::*;

// SAFETY: the only Opaque for this type.
unsafe impl Opaque for lava_consumer {
    type Inner = Consumer;
    const MAGIC: u32 = 0x1a7a_0004;
    const NAME: &'static str = "consumer";
}

/// The consumer behind a handle; a forked child is turned away: it would take in what its parent releases.
///
/// # Safety
/// As [`handle::exclusive`].
unsafe fn of_this_process<'a>(consumer: *mut lava_consumer) -> Result<&'a mut Consumer> {
    // SAFETY: as promised.
    let consumer = unsafe { handle::exclusive(consumer) }?;
    consumer.check_fork()?;
    Ok(consumer)
}

/// Opens a channel by name and connects to its producer, waiting for one that does not exist yet. The consumer gets every
/// frame that is sent after this returns.
///
/// Ownership: `*consumer` is owned by the caller; `name` and `options` are borrowed for the call.
/// Threads:   any thread.
/// Blocks:    up to `options->timeout_ns` (default: ten seconds).
/// Returns:   `LAVA_OK`; `LAVA_TIMED_OUT` (no producer of this name; the message says where it was looked for);
///            `LAVA_ERROR_INVALID_ARGUMENT` (name, options); `_REQUIREMENT` (transport, copies, memory); `_REFUSED` (by the producer);
///            `_UNREACHABLE` (the producer's location cannot share memory with this one); `_PERMISSION`, `_PROTOCOL`, `_LIMIT`,
///            `_OUT_OF_MEMORY`, `_OS`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_create(
    context: *const lava_context,
    name: *const c_char,
    options: *const lava_consumer_options,
    consumer: *mut *mut lava_consumer,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(consumer, "consumer")?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { consumer.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "name", 4096) }?;
        // SAFETY: the caller's promise.
        let raw = unsafe { read_options(options) }?;
        check_reserved(raw.reserved != 0, "lava_consumer_options.reserved")?;
        let options = Options {
            flags: raw.flags,
            timeout_ns: raw.timeout_ns,
            require_transports: raw.require_transports,
            max_copies: (raw.flags & LAVA_CONSUMER_LIMIT_COPIES != 0).then_some(raw.max_copies),
            // SAFETY: the caller's promise.
            producer: unsafe { optional_location(raw.producer) }?,
            memory: Memory::requested(raw.memory)?,
            device_uuid: raw.device_uuid,
        };
        let created = Consumer::create(context, name, &options)?;
        // SAFETY: checked.
        unsafe { consumer.write(handle::create(created)) };
        Ok(LAVA_OK)
    })
}

/// Closes a consumer. Frames that it received and that are still held stay valid until they are released.
///
/// Ownership: `consumer` is transferred; NULL does nothing.
/// Threads:   any thread, but the handle must not be in use.
/// Blocks:    for system calls only.
/// Returns:   nothing.
/// Since:     0.1
///
/// # Safety
/// `consumer` must be NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_destroy(consumer: *mut lava_consumer) {
    quiet(|| {
        // SAFETY: the caller's promise.
        drop(unsafe { handle::destroy(consumer) });
    });
}

/// Takes the next frame without copying.
///
/// Ownership: `*frame` is owned by the caller: release it, in any order, from any thread.
/// Threads:   one thread at a time per consumer.
/// Blocks:    up to `timeout_ns` (`LAVA_NO_WAIT`: not at all; `LAVA_FOREVER`).
/// Returns:   `LAVA_OK`; `LAVA_WOULD_BLOCK`, `LAVA_TIMED_OUT` (no frame); `LAVA_CLOSED` (the producer ended the channel, all is
///            received); `LAVA_ERROR_PEER_LOST` (it died, all it published is received); `_PROTOCOL` (it broke the protocol);
///            `_LIMIT`, `_OUT_OF_MEMORY` (this process could not take in what it sent: the channel has ended here);
///            `_DEVICE` (frames can no longer be copied to the GPU); `_INVALID_POINTER`, `_INVALID_HANDLE`, `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_receive(
    consumer: *mut lava_consumer,
    timeout_ns: u64,
    frame: *mut *mut lava_frame,
) -> lava_status {
    hot(|| {
        check_hot(frame)?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { frame.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let received = unsafe { handle::exclusive_hot(consumer) }?.receive(timeout_ns)?;
        // SAFETY: checked.
        unsafe { frame.write(received.as_ptr().cast()) };
        Ok(())
    })
}

/// Takes up to `count` frames that are there, in order. Waits for the first only.
///
/// Ownership: the first `*received` elements of `frames` are owned by the caller; `lava_frame_release_many` gives them back.
/// Threads:   one thread at a time per consumer.
/// Blocks:    up to `timeout_ns` until there is one.
/// Returns:   `LAVA_OK` with `*received` >= 1 (or `count` 0); else as `lava_consumer_receive`, with `*received` 0.
/// Since:     0.1
///
/// # Safety
/// `frames` must be valid for `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_receive_many(
    consumer: *mut lava_consumer,
    frames: *mut *mut lava_frame,
    count: usize,
    timeout_ns: u64,
    received: *mut usize,
) -> lava_status {
    hot(|| {
        check_hot(received)?;
        // SAFETY: checked.
        let received = unsafe { &mut *received };
        *received = 0;
        if count == 0 {
            return Ok(());
        }
        check_hot(frames)?;
        // SAFETY: the caller's promise: `frames` is valid for `count` elements.
        unsafe {
            let frames = std::slice::from_raw_parts_mut(frames.cast::<Option<FrameRef>>(), count);
            handle::exclusive_hot(consumer)?.receive_many(frames, timeout_ns, received)
        }
    })
}

/// A file descriptor for epoll, poll or an event loop: readable when a frame may be there, or the channel has ended. When
/// it is, call `lava_consumer_receive` until it says `LAVA_WOULD_BLOCK`; that arms it again. Never read from it.
///
/// Ownership: `*fd` is borrowed until `consumer` is destroyed; do not close it.
/// Threads:   one thread at a time per consumer.
/// Blocks:    for system calls only, the first time.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_LIMIT` (files), `_OS`, `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_get_event_fd(
    consumer: *mut lava_consumer,
    fd: *mut i32,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(fd, "fd")?;
        // SAFETY: the caller's promise.
        let event = unsafe { handle::exclusive(consumer) }?.event_fd()?;
        // SAFETY: checked.
        unsafe { fd.write(event) };
        Ok(LAVA_OK)
    })
}

/// Tells the connection's transport, why it has it, and its counters.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per consumer.
/// Blocks:    never.
/// Returns:   `LAVA_OK` (`*peer`, if not NULL, is where the producer is); `LAVA_ERROR_INVALID_ARGUMENT` (struct_size).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_get_connection(
    consumer: *mut lava_consumer,
    info: *mut lava_connection_info,
    peer: *mut lava_location,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let report = unsafe { of_this_process(consumer) }?.connection();
        // SAFETY: the caller's promise.
        unsafe { write_connection(&report, info, peer) }
    })
}

/// Tells one transport that the connection could not have, and why.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per consumer.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_NOT_FOUND` (no such index); `_INVALID_ARGUMENT` (struct_size).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_get_rejection(
    consumer: *mut lava_consumer,
    index: u32,
    rejection: *mut lava_rejection,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let report = unsafe { of_this_process(consumer) }?.connection();
        // SAFETY: the caller's promise.
        unsafe { write_rejection(&report, index, rejection) }
    })
}

/// Describes the connection as JSON: transport, copies, reason, evidence of scope, rejections, geometry, counters.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per consumer.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_BUFFER_TOO_SMALL` (then `*needed`, if not NULL, has the bytes needed, NUL included).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_consumer_describe(
    consumer: *mut lava_consumer,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let consumer = unsafe { of_this_process(consumer) }?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&consumer.describe(), buffer, capacity, needed) }?;
        Ok(LAVA_OK)
    })
}
