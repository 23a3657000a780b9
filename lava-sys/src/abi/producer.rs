//! `lava_producer_*`.

use std::ffi::{c_char, c_void};

use super::context;
use super::guard::{
    check_hot, check_pointer, control, copy_text, hot, quiet, read_options, text, write_info,
    write_text,
};
use super::handle::{self, Opaque};
use crate::channel::producer::{Options, Producer};
use crate::channel::report::ConnectionReport;
use crate::error::{Hot, Result};
use crate::memory::Memory;
use crate::transport::frame::{FrameCell, FrameRef};
use crate::types::*;

// SAFETY: the only Opaque for this type.
unsafe impl Opaque for lava_producer {
    type Inner = Producer;
    const MAGIC: u32 = 0x1a7a_0003;
    const NAME: &'static str = "producer";
}

/// Creates a channel: its name, its pool of slots, its rendezvous socket. Consumers can connect at once and at any time.
///
/// Ownership: `*producer` is owned by the caller; `name` and `options` are borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for system calls only; with `LAVA_PRODUCER_COMMIT` or pinned memory until every page is there.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT` (name, options); `_ALREADY_EXISTS` (a live producer has the name);
///            `_REQUIREMENT` (memory); `_LIMIT`, `_PERMISSION`, `_OUT_OF_MEMORY`, `_OS`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_create(
    context: *const lava_context,
    name: *const c_char,
    options: *const lava_producer_options,
    producer: *mut *mut lava_producer,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(producer, "producer")?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { producer.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        // SAFETY: the caller's promise.
        let name = unsafe { text(name, "name", 4096) }?;
        // SAFETY: the caller's promise.
        let options = convert_options(&unsafe { read_options(options) }?)?;
        let created = Producer::create(context, name, &options)?;
        // SAFETY: checked.
        unsafe { producer.write(handle::create(created)) };
        Ok(LAVA_OK)
    })
}

/// # Safety
/// `data` is valid for `size` bytes for as long as the result is used.
#[inline(always)]
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Hot<&'a [u8]> {
    if size == 0 {
        return Ok(&[]);
    }
    check_hot(data.cast::<u8>())?;
    // SAFETY: the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), size) })
}

fn convert_options(raw: &lava_producer_options) -> Result<Options> {
    Ok(Options {
        policy: raw.policy,
        max_frame_size: raw.max_frame_size,
        capacity: raw.capacity,
        queue_length: raw.queue_length,
        memory: Memory::requested(raw.memory)?,
        fallback: Memory::fallback_list(&raw.fallback, raw.fallback_count)?,
        flags: raw.flags,
        max_consumers: raw.max_consumers,
        alignment: raw.alignment,
        numa_node: (raw.flags & LAVA_PRODUCER_ON_NODE != 0).then_some(raw.numa_node),
        require_transports: raw.require_transports,
        device_uuid: raw.device_uuid,
    })
}

/// Ends a channel. Consumers receive what was sent and then `LAVA_CLOSED`; frames that they hold stay valid. Loans that
/// were not sent stay valid until released, and can no longer be sent.
///
/// Ownership: `producer` is transferred; NULL does nothing.
/// Threads:   any thread, but the handle must not be in use.
/// Blocks:    for system calls only; it does not wait for consumers (`lava_producer_wait_released` does).
/// Returns:   nothing.
/// Since:     0.1
///
/// # Safety
/// `producer` must be NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_destroy(producer: *mut lava_producer) {
    quiet(|| {
        // SAFETY: the caller's promise.
        drop(unsafe { handle::destroy(producer) });
    });
}

/// Waits until at least `count` consumers are connected.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    up to `timeout_ns` (`LAVA_NO_WAIT`: not at all; `LAVA_FOREVER`).
/// Returns:   `LAVA_OK`; `LAVA_TIMED_OUT`, `LAVA_WOULD_BLOCK` (timeout 0); `LAVA_ERROR_INVALID_ARGUMENT` (`count` above the channel's
///            most consumers); `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_wait_consumers(
    producer: *mut lava_producer,
    count: u32,
    timeout_ns: u64,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        unsafe { handle::exclusive(producer) }?.wait_consumers(count, timeout_ns)
    })
}

/// Takes a free slot to write a frame of up to `size` bytes into. Its bytes are whatever an earlier frame left there. A
/// frame of at most `LAVA_FRAME_INLINE_SIZE` bytes takes no slot and always succeeds.
///
/// With a drop policy it never waits: if every slot is held by consumers, the frame counts as dropped, and
/// `LAVA_WOULD_BLOCK` says so.
///
/// Ownership: `*frame` is owned by the caller: send it or release it.
/// Threads:   one thread at a time per producer.
/// Blocks:    up to `timeout_ns` until a slot is free.
/// Returns:   `LAVA_OK`; `LAVA_WOULD_BLOCK`, `LAVA_TIMED_OUT` (no free slot); `LAVA_ERROR_TOO_LARGE` (above `max_frame_size`);
///            `_INVALID_POINTER`, `_INVALID_HANDLE`, `_OUT_OF_MEMORY`, `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_loan(
    producer: *mut lava_producer,
    size: u64,
    timeout_ns: u64,
    frame: *mut *mut lava_frame,
) -> lava_status {
    hot(|| {
        check_hot(frame)?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { frame.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let loan = unsafe { handle::exclusive_hot(producer) }?.loan(size, timeout_ns)?;
        // SAFETY: checked.
        unsafe { frame.write(loan.as_ptr().cast()) };
        Ok(())
    })
}

/// Sends a loan to every consumer, without copying. When a consumer's queue is full, the channel's policy decides.
///
/// Ownership: `frame` is transferred on `LAVA_OK`; otherwise it stays the caller's, to send again or release.
/// Threads:   one thread at a time per producer.
/// Blocks:    policy block: up to `timeout_ns`, until a consumer is connected and every queue has room; drop policies: never.
/// Returns:   `LAVA_OK`; `LAVA_WOULD_BLOCK`, `LAVA_TIMED_OUT` (full); `LAVA_ERROR_FRAME_STATE` (not a loan of this producer);
///            `_INVALID_POINTER`, `_INVALID_HANDLE`, `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_send(
    producer: *mut lava_producer,
    frame: *mut lava_frame,
    timeout_ns: u64,
) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise.
        unsafe {
            handle::exclusive_hot(producer)?.send(FrameRef::from_raw(frame.cast())?, timeout_ns)
        }
    })
}

/// Copies `size` bytes into a frame and sends it: loan, copy and send in one call. A frame that its policy drops is not
/// copied.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    as `lava_producer_loan` and `lava_producer_send`; `timeout_ns` holds for both together.
/// Returns:   as `lava_producer_loan` and `lava_producer_send`; with a drop policy `LAVA_OK` also when the frame was dropped.
/// Since:     0.1
///
/// # Safety
/// `data` must be valid for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_send_bytes(
    producer: *mut lava_producer,
    data: *const c_void,
    size: usize,
    timeout_ns: u64,
) -> lava_status {
    hot(|| {
        // SAFETY: the caller's promise: `data` is valid for `size` bytes.
        unsafe { handle::exclusive_hot(producer)?.send_bytes(bytes(data, size)?, timeout_ns) }
    })
}

/// Sends `count` frames, each a copy of one piece of memory, in order, with one wake-up: the fastest way to stream small
/// messages. All frames of a call have one timestamp.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    as `lava_producer_send_bytes`, until all are sent.
/// Returns:   `LAVA_OK` if all were sent, else the status of the first that was not; `*sent` says in every case how many were.
/// Since:     0.1
///
/// # Safety
/// `parts` must be valid for `count` elements and each of them for its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_send_bytes_many(
    producer: *mut lava_producer,
    parts: *const lava_bytes,
    count: usize,
    timeout_ns: u64,
    sent: *mut usize,
) -> lava_status {
    hot(|| {
        check_hot(sent)?;
        // SAFETY: checked.
        let sent = unsafe { &mut *sent };
        *sent = 0;
        if count == 0 {
            return Ok(());
        }
        check_hot(parts)?;
        // SAFETY: the caller's promise: `parts` is valid for `count` elements, each for its size.
        let (parts, producer) =
            unsafe { (std::slice::from_raw_parts(parts, count), handle::exclusive_hot(producer)?) };
        // SAFETY: as above.
        let parts = parts.iter().map(|part| unsafe { bytes(part.data, part.size) });
        producer.send_bytes_many(parts, timeout_ns, sent)
    })
}

/// Takes up to `count` loans of `size` bytes each. Waits for the first only.
///
/// Ownership: the first `*loaned` elements of `frames` are owned by the caller.
/// Threads:   one thread at a time per producer.
/// Blocks:    up to `timeout_ns` until one slot is free.
/// Returns:   `LAVA_OK` with `*loaned` >= 1 (or `count` 0); else as `lava_producer_loan`, with `*loaned` 0.
/// Since:     0.1
///
/// # Safety
/// `frames` must be valid for `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_loan_many(
    producer: *mut lava_producer,
    size: u64,
    frames: *mut *mut lava_frame,
    count: usize,
    timeout_ns: u64,
    loaned: *mut usize,
) -> lava_status {
    hot(|| {
        check_hot(loaned)?;
        // SAFETY: checked.
        let loaned = unsafe { &mut *loaned };
        *loaned = 0;
        if count == 0 {
            return Ok(());
        }
        check_hot(frames)?;
        // SAFETY: the caller's promise: `frames` is valid for `count` elements.
        unsafe {
            let frames = std::slice::from_raw_parts_mut(frames.cast::<Option<FrameRef>>(), count);
            handle::exclusive_hot(producer)?.loan_many(size, frames, timeout_ns, loaned)
        }
    })
}

/// Sends `count` loans in order, with one wake-up and one timestamp.
///
/// Ownership: the first `*sent` frames are transferred; the others stay the caller's.
/// Threads:   one thread at a time per producer.
/// Blocks:    as `lava_producer_send`, until all are sent.
/// Returns:   `LAVA_OK` if all were sent, else the status of the first that was not; `*sent` says in every case how many were.
/// Since:     0.1
///
/// # Safety
/// `frames` must be valid for `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_send_many(
    producer: *mut lava_producer,
    frames: *const *mut lava_frame,
    count: usize,
    timeout_ns: u64,
    sent: *mut usize,
) -> lava_status {
    hot(|| {
        check_hot(sent)?;
        // SAFETY: checked.
        let sent = unsafe { &mut *sent };
        *sent = 0;
        if count == 0 {
            return Ok(());
        }
        check_hot(frames)?;
        // SAFETY: the caller's promise: `frames` is valid for `count` elements.
        let frames = unsafe { std::slice::from_raw_parts(frames, count) };
        if frames.iter().any(|frame| frame.is_null() || !frame.cast::<FrameCell>().is_aligned()) {
            return Err(LAVA_ERROR_INVALID_POINTER);
        }
        // SAFETY: FrameRef is a transparent pointer that is not NULL, which was checked.
        unsafe {
            let frames = std::slice::from_raw_parts(frames.as_ptr().cast::<FrameRef>(), count);
            handle::exclusive_hot(producer)?.send_many(frames, timeout_ns, sent)
        }
    })
}

/// Sends a range of a buffer without copying. The first time, the buffer is passed to each consumer (system calls); from
/// then on it costs as much as any frame. The frame takes a slot's place, not its memory. The bytes must not be changed
/// before every consumer has released the frame: `lava_producer_wait_released` waits for that.
///
/// Ownership: `buffer` and `tensor` are borrowed for the call; the library keeps the buffer's memory while frames need it.
/// Threads:   one thread at a time per producer.
/// Blocks:    as `lava_producer_send`.
/// Returns:   as `lava_producer_send`; `LAVA_ERROR_TOO_LARGE` (range outside the buffer); `_UNSUPPORTED` (buffer not shareable,
///            writable by importers, imported, or more than 1024 buffers in one channel); `_INVALID_ARGUMENT` (tensor); `_LIMIT`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_send_buffer(
    producer: *mut lava_producer,
    buffer: *const lava_buffer,
    offset: u64,
    size: u64,
    tag: u64,
    tensor: *const lava_tensor,
    timeout_ns: u64,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let producer = unsafe { handle::exclusive(producer) }?;
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer) }?;
        let tensor = if tensor.is_null() {
            None
        } else {
            // SAFETY: the caller's promise.
            Some(unsafe { read_options(tensor) }?)
        };
        producer.send_buffer(buffer, offset, size, tag, tensor.as_ref(), timeout_ns)
    })
}

/// Waits until no consumer has, or is still to receive, a frame of `buffer`; NULL: any frame of this channel.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    up to `timeout_ns`.
/// Returns:   `LAVA_OK`; `LAVA_WOULD_BLOCK`, `LAVA_TIMED_OUT`; `LAVA_ERROR_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_wait_released(
    producer: *mut lava_producer,
    buffer: *const lava_buffer,
    timeout_ns: u64,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let producer = unsafe { handle::exclusive(producer) }?;
        let buffer = if buffer.is_null() {
            None
        } else {
            // SAFETY: the caller's promise.
            Some(unsafe { handle::shared(buffer) }?)
        };
        producer.wait_released(buffer, timeout_ns)
    })
}

/// The number of connected consumers.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    never.
/// Returns:   the number; 0 for a handle that is not a producer.
/// Since:     0.1
///
/// # Safety
/// `producer` must be NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_connection_count(producer: *mut lava_producer) -> u32 {
    quiet(|| {
        // SAFETY: the caller's promise.
        unsafe { handle::exclusive(producer) }.map_or(0, |producer| producer.connection_count())
    })
}

/// Tells one connection's transport, why it has it, and its counters. Connections are numbered from 0 to
/// `lava_producer_connection_count` - 1; the numbers change when a consumer goes.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    never.
/// Returns:   `LAVA_OK` (`*peer`, if not NULL, is where the consumer is); `LAVA_ERROR_NOT_FOUND` (no such index);
///            `_INVALID_ARGUMENT` (struct_size).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_get_connection(
    producer: *mut lava_producer,
    index: u32,
    info: *mut lava_connection_info,
    peer: *mut lava_location,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let report = unsafe { handle::exclusive(producer) }?.connection(index)?;
        // SAFETY: the caller's promise.
        unsafe { write_connection(&report, info, peer) }
    })
}

/// # Safety
/// `info` is valid; `peer` is NULL or valid.
pub(super) unsafe fn write_connection(
    report: &ConnectionReport,
    info: *mut lava_connection_info,
    peer: *mut lava_location,
) -> Result<lava_status> {
    let mut raw = lava_connection_info {
        struct_size: 0,
        transport: report.transport.number(),
        copies: report.copies,
        state: report.state,
        peer_process: report.peer_process,
        rejection_count: report.rejections.len() as u32,
        frames: report.frames,
        bytes: report.bytes,
        dropped: report.dropped,
        queued: report.queued,
        held: report.held,
        sleeps: report.sleeps,
        wakes: report.wakes,
        reason: [0; LAVA_REASON_SIZE],
    };
    copy_text(&report.reason, &mut raw.reason);
    // SAFETY: the caller's promise.
    unsafe { write_info(info, &raw) }?;
    if !peer.is_null() {
        // SAFETY: the caller's promise.
        unsafe { write_info(peer, &report.peer.to_raw()) }?;
    }
    Ok(LAVA_OK)
}

/// # Safety
/// `rejection` is valid.
pub(super) unsafe fn write_rejection(
    report: &ConnectionReport,
    index: u32,
    rejection: *mut lava_rejection,
) -> Result<lava_status> {
    let found = report.rejection(index)?;
    let mut raw = lava_rejection {
        struct_size: 0,
        transport: found.transport.number(),
        reason: [0; LAVA_REASON_SIZE],
    };
    copy_text(&found.reason, &mut raw.reason);
    // SAFETY: the caller's promise.
    unsafe { write_info(rejection, &raw) }?;
    Ok(LAVA_OK)
}

/// Tells one transport that a connection could not have, and why.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_NOT_FOUND` (no such connection or index); `_INVALID_ARGUMENT` (struct_size).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_get_rejection(
    producer: *mut lava_producer,
    connection: u32,
    index: u32,
    rejection: *mut lava_rejection,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let report = unsafe { handle::exclusive(producer) }?.connection(connection)?;
        // SAFETY: the caller's promise.
        unsafe { write_rejection(&report, index, rejection) }
    })
}

/// Describes the channel and all its connections as JSON: pool, policy, transports, reasons, rejections, counters.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   one thread at a time per producer.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_BUFFER_TOO_SMALL` (then `*needed`, if not NULL, has the bytes needed, NUL included).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_producer_describe(
    producer: *mut lava_producer,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let producer = unsafe { handle::exclusive(producer) }?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&producer.describe()?, buffer, capacity, needed) }?;
        Ok(LAVA_OK)
    })
}
