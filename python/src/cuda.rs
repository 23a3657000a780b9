//! The few calls of CUDA's driver that lava's own interface has not: copies of memory that CUDA allocated, and waits for
//! several streams. Loaded when first needed; lava itself has loaded the same library by then.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::time::Duration;

use lava_sys::{LAVA_ERROR_DEVICE, LAVA_ERROR_UNSUPPORTED};
use libloading::Library;

use pyo3::prelude::*;

use crate::failure::Failure;

/// A stream for which memory was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    /// A `CUstream`, or one of CUDA's constants.
    Known(usize),
    /// It was not told: any stream of the context.
    Any,
}

/// A CUDA stream as users give it: a number, or an object with `__cuda_stream__`.
pub(crate) fn stream_of(stream: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Stream>> {
    let Some(stream) = stream else { return Ok(None) };
    let number = match stream.getattr_opt("__cuda_stream__")? {
        Some(protocol) => protocol.call0()?.extract::<(u32, usize)>()?.1,
        None => stream.extract()?,
    };
    Ok(Some(Stream::Known(if number == 0 { LEGACY } else { number })))
}

/// The default stream, which all streams that are not declared otherwise wait for, and which waits for them.
pub(crate) const LEGACY: usize = 1;

type Handle = *mut c_void;
type Status = c_int;

macro_rules! driver {
    ($($name:ident = $symbol:literal ( $($argument:ty),* );)*) => {
        struct Driver {
            $($name: unsafe extern "C" fn($($argument),*) -> Status,)*
            _library: Library,
        }

        impl Driver {
            fn load() -> Result<Self, String> {
                // SAFETY: the driver's library; its initialisation asks nothing of the caller.
                let library = unsafe { Library::new("libcuda.so.1") }.map_err(|error| error.to_string())?;
                Ok(Self {
                    // SAFETY: the types are those of cuda.h.
                    $($name: *unsafe { library.get($symbol) }.map_err(|error| error.to_string())?,)*
                    _library: library,
                })
            }
        }
    };
}
driver! {
    push = b"cuCtxPushCurrent_v2\0" (Handle);
    pop = b"cuCtxPopCurrent_v2\0" (*mut Handle);
    synchronize_context = b"cuCtxSynchronize\0" ();
    synchronize = b"cuStreamSynchronize\0" (Handle);
    within = b"cuMemcpyDtoDAsync_v2\0" (u64, u64, usize, Handle);
    to_host = b"cuMemcpyDtoHAsync_v2\0" (Handle, u64, usize, Handle);
    attribute = b"cuPointerGetAttribute\0" (Handle, c_uint, u64);
    create_event = b"cuEventCreate\0" (*mut Handle, c_uint);
    record = b"cuEventRecord\0" (Handle, Handle);
    wait_event = b"cuStreamWaitEvent\0" (Handle, Handle, c_uint);
    destroy_event = b"cuEventDestroy_v2\0" (Handle);
    query = b"cuStreamQuery\0" (Handle);
    is_capturing = b"cuStreamIsCapturing\0" (Handle, *mut c_int);
    exchange_capture_mode = b"cuThreadExchangeStreamCaptureMode\0" (*mut c_int);
}

const ATTRIBUTE_CONTEXT: c_uint = 1;
const EVENT_WITHOUT_TIME: c_uint = 2;
const NOT_CAPTURING: c_int = 0;
const CAPTURE_RELAXED: c_int = 2;

fn driver() -> Result<&'static Driver, Failure> {
    static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
    DRIVER.get_or_init(Driver::load).as_ref().map_err(|why| {
        Failure::new(
            LAVA_ERROR_UNSUPPORTED,
            format!("CUDA's driver cannot be loaded ({why}); install NVIDIA's driver"),
        )
    })
}

fn check(status: Status, what: &str) -> Result<(), Failure> {
    match status {
        0 => Ok(()),
        _ => Err(Failure::new(LAVA_ERROR_DEVICE, format!("{what}: CUDA's error {status}"))),
    }
}

/// Runs `work` with `context` current in this thread.
fn within<R>(context: u64, work: impl FnOnce(&Driver) -> Result<R, Failure>) -> Result<R, Failure> {
    let driver = driver()?;
    // SAFETY: a live context: the primary one of a GPU, which whoever gave the pointer keeps.
    check(unsafe { (driver.push)(context as usize as Handle) }, "cuCtxPushCurrent")?;
    let result = work(driver);
    let mut popped = std::ptr::null_mut();
    // SAFETY: pushed above.
    let status = unsafe { (driver.pop)(&mut popped) };
    result.and_then(|value| check(status, "cuCtxPopCurrent").map(|()| value))
}

/// The context that a device pointer belongs to.
pub(crate) fn context_of(pointer: u64) -> Result<u64, Failure> {
    let mut context: Handle = std::ptr::null_mut();
    // SAFETY: the driver checks the pointer; the place is for a `CUcontext`.
    let status =
        unsafe { (driver()?.attribute)((&raw mut context).cast(), ATTRIBUTE_CONTEXT, pointer) };
    check(status, "cuPointerGetAttribute")?;
    Ok(context as usize as u64)
}

/// Copies within GPUs, after what is in the legacy stream; done when it returns.
///
/// # Safety
/// Both must be device pointers to `size` bytes, and `context` that of one of them.
pub(crate) unsafe fn copy_within(
    context: u64,
    to: u64,
    from: u64,
    size: usize,
) -> Result<(), Failure> {
    let stream = LEGACY as Handle;
    within(context, |driver| {
        // SAFETY: by the caller's promise.
        check(unsafe { (driver.within)(to, from, size, stream) }, "cuMemcpyDtoDAsync")?;
        // SAFETY: the legacy stream of the current context.
        check(unsafe { (driver.synchronize)(stream) }, "cuStreamSynchronize")
    })
}

/// Copies from a GPU to the host, after what is in the legacy stream; done when it returns.
///
/// # Safety
/// `from` must be a device pointer of `context`; both must be valid for `size` bytes.
pub(crate) unsafe fn copy_to_host(
    context: u64,
    to: *mut u8,
    from: u64,
    size: usize,
) -> Result<(), Failure> {
    let stream = LEGACY as Handle;
    within(context, |driver| {
        // SAFETY: by the caller's promise.
        check(unsafe { (driver.to_host)(to.cast(), from, size, stream) }, "cuMemcpyDtoHAsync")?;
        // SAFETY: the legacy stream of the current context.
        check(unsafe { (driver.synchronize)(stream) }, "cuStreamSynchronize")
    })
}

/// One stream that has come no further than all of `streams`; `None`: all are done already, or the CPU has waited for them.
pub(crate) fn join(context: u64, streams: &[Stream]) -> Result<Option<usize>, Failure> {
    let mut known = Vec::new();
    for stream in streams {
        match stream {
            Stream::Known(stream) => known.push(*stream),
            Stream::Any => {
                within(context, |driver| {
                    // SAFETY: the context is current.
                    let status = unsafe { (driver.synchronize_context)() };
                    check(status, "cuCtxSynchronize")
                })?;
                return Ok(None);
            }
        }
    }
    let Some((&first, others)) = known.split_first() else { return Ok(None) };
    if within(context, |driver| Ok(known.iter().all(|stream| is_idle(driver, *stream as Handle))))?
    {
        return Ok(None);
    }
    for &other in others {
        within(context, |driver| follow(driver, first as Handle, other as Handle))?;
    }
    Ok(Some(first))
}

/// Whether all that is in `stream` is done: looking costs less than the GPU's telling, and other processes need not wait on
/// their GPU for what is done. A stream whose work is being captured is left alone: the query would spoil the graph.
fn is_idle(driver: &Driver, stream: Handle) -> bool {
    // Other threads may be capturing, which forbids some calls to this one unless it says that it knows.
    let mut mode = CAPTURE_RELAXED;
    // SAFETY: a place for the mode, of this thread; put back below.
    if unsafe { (driver.exchange_capture_mode)(&mut mode) } != 0 {
        return false;
    }
    let mut state = NOT_CAPTURING;
    // SAFETY: a stream of the current context, and a place for the answer.
    let idle = unsafe {
        (driver.is_capturing)(stream, &mut state) == 0
            && state == NOT_CAPTURING
            && (driver.query)(stream) == 0
    };
    // SAFETY: as above.
    unsafe { (driver.exchange_capture_mode)(&mut mode) };
    idle
}

/// Makes `stream` wait for what is in `other` now.
fn follow(driver: &Driver, stream: Handle, other: Handle) -> Result<(), Failure> {
    let mut event = std::ptr::null_mut();
    // SAFETY: the context is current; `event` is a place for the answer.
    check(unsafe { (driver.create_event)(&mut event, EVENT_WITHOUT_TIME) }, "cuEventCreate")?;
    // SAFETY: the event is new, the streams are of the current context.
    let recorded = check(unsafe { (driver.record)(event, other) }, "cuEventRecord");
    let result = recorded.and_then(|()| {
        // SAFETY: as above.
        check(unsafe { (driver.wait_event)(stream, event, 0) }, "cuStreamWaitEvent")
    });
    // SAFETY: made above; CUDA keeps it until the wait is over.
    unsafe { (driver.destroy_event)(event) };
    result
}

/// Lets a stream wait for a received frame's bytes, unless they are there.
///
/// # Safety
/// `stream` must be a stream of the primary context of the frame's GPU, or one of CUDA's constants.
pub(crate) unsafe fn follow_frame(stream: usize, frame: &lava::Frame) -> Result<(), Failure> {
    // A producer that closed counts as lost to a look, but its work goes on, and is signalled in any case.
    if frame.wait_ready(Duration::ZERO).is_ok_and(|outcome| outcome.is_done()) {
        return Ok(());
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { frame.wait_cuda(stream as Handle) }?)
}

/// Gives a frame back when the streams that its views were made for have come as far as they are now. Where that fails, it
/// waits on the CPU.
pub(crate) fn release(frame: lava::Frame, streams: &[Stream]) {
    let Ok(view) = frame.cuda() else { return };
    match join(view.context, streams) {
        Ok(Some(stream)) => {
            // SAFETY: a stream for which the frame was handed out, of the primary context, and kept by its user until its
            // work is done; the others are waited for by it.
            if let Err((frame, _)) = unsafe { frame.release_cuda(stream as Handle) } {
                let _ = join(view.context, &[Stream::Any]);
                drop(frame);
            }
        }
        Ok(None) => drop(frame),
        Err(_) => {
            let _ = join(view.context, &[Stream::Any]);
            drop(frame);
        }
    }
}
