//! `lava_context_get_peer*`, `lava_context_progress`, `lava_context_describe_mpi`: the MPI job of a context.

use std::ffi::c_char;

use super::context;
use super::guard::{check_info, check_pointer, control, write_info, write_text};
use crate::error::{Error, Result};
use crate::types::*;

/// Tells how many ranks the MPI job has, this one included; 0: this process is in no job, or MPI is off. Joins the job if
/// no channel end has done so yet, which completes when every rank has. If the application initialised MPI below
/// `MPI_THREAD_MULTIPLE`, only the thread that may call MPI may make the first call.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    up to `timeout_ns` for the other ranks; without a limit if the application initialised MPI below
///            `MPI_THREAD_MULTIPLE`.
/// Returns:   `LAVA_OK`; `LAVA_TIMED_OUT` (some ranks are still to come); `LAVA_ERROR_UNSUPPORTED` (no plug-in, a launcher of
///            another MPI, two MPIs: the message says which, and what to do); `_LIMIT` (another context of this process is
///            in the job with other settings); `_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_get_peer_count(
    context: *const lava_context,
    timeout_ns: u64,
    count: *mut u32,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(count, "count")?;
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        let job = context.mpi_job(timeout_ns)?;
        // SAFETY: checked.
        unsafe { count.write(job.map_or(0, |job| job.ranks.len() as u32)) };
        Ok(LAVA_OK)
    })
}

/// Tells where a rank of the MPI job is, as it was when the job was joined.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_NOT_FOUND` (no such rank, or no job has been joined: see `lava_context_get_peer_count`);
///            `_INVALID_ARGUMENT` (struct_size); as `lava_context_get_peer_count` if the job could not be joined.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_get_peer_location(
    context: *const lava_context,
    rank: u32,
    location: *mut lava_location,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        // SAFETY: the caller's promise.
        unsafe { check_info(location) }?;
        let job = context.joined_job()?.ok_or_else(|| {
            let words = "no MPI job has been joined; lava_context_get_peer_count joins it";
            Error::new(LAVA_ERROR_NOT_FOUND, words)
        })?;
        let found = job.ranks.get(rank as usize).ok_or_else(|| no_rank(rank, job.ranks.len()))?;
        // SAFETY: the caller's promise.
        unsafe { write_info(location, &found.to_raw()) }?;
        Ok(LAVA_OK)
    })
}

fn no_rank(rank: u32, ranks: usize) -> Error {
    Error::new(LAVA_ERROR_NOT_FOUND, format!("no rank {rank}; there are {ranks}, from 0"))
        .with_value(rank.into())
}

/// Moves frames from and to other hosts in the caller's thread. Needed where the application initialised MPI below
/// `MPI_THREAD_MULTIPLE`, in the thread that may call MPI: then nothing moves but in this call. Elsewhere threads of lava's
/// do it, and this only helps.
///
/// Ownership: `context` is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    up to `timeout_ns`, until something has moved; 0: for what can be done at once.
/// Returns:   `LAVA_OK` (something moved); `LAVA_TIMED_OUT` (nothing did, or no job has been joined); `LAVA_ERROR_FORKED`.
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_progress(
    context: *const lava_context,
    timeout_ns: u64,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        let moved = context.progress(timeout_ns)?;
        Ok(if moved { LAVA_OK } else { LAVA_TIMED_OUT })
    })
}

/// Describes the MPI that a context uses or would use, as JSON: choice, launcher, state, plug-in, library, and the job if
/// it has been joined; or the reason why there is none. Loads the plug-in, and does not initialise MPI.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    for the loading of MPI's library, some milliseconds, the first time.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_BUFFER_TOO_SMALL` (then `*needed`, if not NULL, has the bytes needed, NUL included).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_describe_mpi(
    context: *const lava_context,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || -> Result<lava_status> {
        // SAFETY: the caller's promise.
        let context = unsafe { context::of_this_process(context) }?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&context.mpi.look_to_json().to_string(), buffer, capacity, needed) }?;
        Ok(LAVA_OK)
    })
}
