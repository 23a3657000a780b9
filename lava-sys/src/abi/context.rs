//! `lava_context_*`.

use std::ffi::c_char;
use std::sync::Arc;

use super::guard::{check_pointer, check_reserved, control, quiet, read_options, text, write_text};
use super::handle::{self, Opaque};
use crate::channel::context::{Context, Options};
use crate::error::{Error, Result};
use crate::log::{Level, Log, Sink};
use crate::memory::vulkan::{Allowed, ApplicationDevice, QueueLock};
use crate::scope::Forced;
use crate::transport::mpi::settings::Choice;
use crate::types::*;

// SAFETY: the only Opaque for this type.
unsafe impl Opaque for lava_context {
    type Inner = Arc<Context>;
    const MAGIC: u32 = 0x1a7a_0001;
    const NAME: &'static str = "context";
}

/// The context behind a handle. A forked child is turned away before it waits for a lock that a thread of its parent holds.
///
/// # Safety
/// As [`handle::shared`].
pub(super) unsafe fn of_this_process<'a>(context: *const lava_context) -> Result<&'a Arc<Context>> {
    // SAFETY: as promised.
    let context = unsafe { handle::shared(context) }?;
    context.check_fork()?;
    Ok(context)
}

/// Creates a context. Reads the `LAVA_*` environment variables here and nowhere else.
///
/// Ownership: `*context` is owned by the caller; `options` is borrowed for the call, its log sink's `user` until
///            `drop` is called.
/// Threads:   any thread.
/// Blocks:    for system calls only.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_INVALID_ARGUMENT`, `_INVALID_POINTER`, `_UNSUPPORTED` (options);
///            `_PERMISSION`, `_OS`, `_LIMIT` (runtime directory).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_create(
    options: *const lava_context_options,
    context: *mut *mut lava_context,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        check_pointer(context, "context")?;
        // SAFETY: checked; handle outputs are NULL on failure.
        unsafe { context.write(std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let options = unsafe { convert_options(options) }?;
        let created = Context::create(options)?;
        // SAFETY: checked.
        unsafe { context.write(handle::create(created)) };
        Ok(LAVA_OK)
    })
}

/// # Safety
/// `options` is NULL or valid.
unsafe fn convert_options(options: *const lava_context_options) -> Result<Options> {
    // SAFETY: the caller's promise.
    let raw = unsafe { read_options(options) }?;
    let log = if raw.log.is_null() {
        None
    } else {
        // SAFETY: the sink is valid for the call.
        let sink = unsafe { read_options(raw.log) }?;
        let write = sink
            .write
            .ok_or_else(|| Error::new(LAVA_ERROR_INVALID_POINTER, "lava_log_sink.write is NULL"))?;
        // From here on `drop` is called, whatever fails.
        let made = Sink::new(sink.user, write, sink.drop);
        let level = Level::from_number(if sink.level == 0 { LAVA_LOG_WARN } else { sink.level })?;
        Some(Log::to_sink(level, made))
    };
    check_reserved(raw.reserved != 0, "lava_context_options.reserved")?;
    let forced = Some(Forced::from_number(raw.scope)?).filter(|_| raw.scope != LAVA_SCOPE_AUTO);
    let runtime_directory = if raw.runtime_directory.is_null() {
        None
    } else {
        // SAFETY: NUL-terminated by the caller's promise.
        Some(unsafe { text(raw.runtime_directory, "runtime_directory", 4096) }?.to_owned())
    };
    Ok(Options {
        forced,
        runtime_directory,
        log,
        spin_ns: (raw.spin_ns != 0).then_some(raw.spin_ns),
        vulkan: allowed_devices(raw.vulkan_devices)?,
        // SAFETY: the caller's promise.
        application: unsafe { application_device(&raw) }?,
        mpi: mpi_choice(raw.mpi)?,
        communicator: (raw.has_mpi_communicator != 0).then_some(raw.mpi_communicator),
    })
}

/// None: the environment decides.
fn allowed_devices(number: u32) -> Result<Option<Allowed>> {
    match number {
        LAVA_VULKAN_AUTO => Ok(None),
        LAVA_VULKAN_OFF => Ok(Some(Allowed::Off)),
        LAVA_VULKAN_ALL => Ok(Some(Allowed::All)),
        _ => Err(Error::argument(format!(
            "vulkan_devices is {number}; it is one of LAVA_VULKAN_AUTO (0) to LAVA_VULKAN_ALL (2)"
        ))
        .with_value(number.into())),
    }
}

/// None: the environment decides.
fn mpi_choice(number: u32) -> Result<Option<Choice>> {
    match number {
        LAVA_MPI_AUTO => Ok(None),
        LAVA_MPI_OFF => Ok(Some(Choice::Off)),
        LAVA_MPI_OPENMPI => Ok(Some(Choice::OpenMpi)),
        LAVA_MPI_MPICH => Ok(Some(Choice::Mpich)),
        _ => Err(Error::argument(format!(
            "mpi is {number}; it is one of LAVA_MPI_AUTO (0) to LAVA_MPI_MPICH (3)"
        ))
        .with_value(number.into())),
    }
}

/// # Safety
/// The device is NULL or valid as the header demands.
unsafe fn application_device(raw: &lava_context_options) -> Result<Option<ApplicationDevice>> {
    if raw.vulkan.is_null() {
        return Ok(None);
    }
    if raw.vulkan_devices == LAVA_VULKAN_OFF {
        return Err(Error::argument(
            "LAVA_VULKAN_OFF with a Vulkan device of the application; leave one of them out",
        ));
    }
    // SAFETY: the caller's promise.
    let device = unsafe { read_options(raw.vulkan) }?;
    for (handle, name) in [
        (device.instance, "instance"),
        (device.physical_device, "physical_device"),
        (device.device, "device"),
        (device.queue, "queue"),
    ] {
        check_pointer(handle.cast::<u8>(), &format!("lava_vulkan_device.{name}"))?;
    }
    let get_instance_proc_addr = device.get_instance_proc_addr.ok_or_else(|| {
        let message = "lava_vulkan_device.get_instance_proc_addr is NULL";
        Error::new(LAVA_ERROR_INVALID_POINTER, message)
    })?;
    Ok(Some(ApplicationDevice {
        instance: device.instance as usize,
        physical_device: device.physical_device as usize,
        device: device.device as usize,
        queue: device.queue as usize,
        queue_family: device.queue_family,
        get_instance_proc_addr,
        lock: queue_lock(&device)?,
    }))
}

fn queue_lock(device: &lava_vulkan_device) -> Result<Option<QueueLock>> {
    match (device.lock, device.unlock) {
        (None, None) => Ok(None),
        (Some(lock), Some(unlock)) => Ok(Some(QueueLock { user: device.user, lock, unlock })),
        _ => Err(Error::new(
            LAVA_ERROR_INVALID_POINTER,
            "one of lava_vulkan_device.lock and unlock is NULL; set both or none",
        )),
    }
}

/// Ends the caller's use of a context. Producers, consumers, buffers and frames of it stay valid; it ends with the last.
///
/// Ownership: `context` is transferred; NULL does nothing.
/// Threads:   any thread, but the handle must not be in use.
/// Blocks:    until the service thread has ended, milliseconds, if this was the last user.
/// Returns:   nothing.
/// Since:     0.1
///
/// # Safety
/// `context` must be NULL or a live handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_destroy(context: *mut lava_context) {
    quiet(|| {
        // SAFETY: the caller's promise.
        drop(unsafe { handle::destroy(context) });
    });
}

/// Describes a context as JSON: settings with their origin, location, runtime directory, channels, unknown `LAVA_*`
/// variables.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_BUFFER_TOO_SMALL` (then `*needed`, if not NULL, has the bytes needed, NUL included).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_describe(
    context: *const lava_context,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let context = unsafe { of_this_process(context) }?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&context.describe(), buffer, capacity, needed) }?;
        Ok(LAVA_OK)
    })
}

/// Lists the live channels in the context's runtime directory as JSON: an array with name, producer's process id,
/// frames, and each connection with its transport and counters. Asks each producer over its socket; one that does not
/// answer within `timeout_ns` is listed with the reason. Counters only grow: take two lists for rates.
///
/// Ownership: everything is borrowed for the call.
/// Threads:   any thread.
/// Blocks:    up to `timeout_ns`.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_BUFFER_TOO_SMALL` (as `lava_context_describe`; sizes change from call to call).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_context_list_channels(
    context: *const lava_context,
    timeout_ns: u64,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let context = unsafe { of_this_process(context) }?;
        let list = crate::channel::list::list_channels(context, timeout_ns)?;
        // SAFETY: the caller's promise.
        unsafe { write_text(&list, buffer, capacity, needed) }?;
        Ok(LAVA_OK)
    })
}
