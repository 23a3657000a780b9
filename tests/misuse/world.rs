//! One of everything, alive, for calls of which one argument is wrong.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

use crate::calls::*;
use tempfile::TempDir;

pub(crate) const SECOND: u64 = 1_000_000_000;

/// A channel from a producer to a consumer of this process, with a loan and a received frame.
pub(crate) struct World {
    pub(crate) context: *mut lava_context,
    pub(crate) buffer: *mut lava_buffer,
    pub(crate) producer: *mut lava_producer,
    pub(crate) consumer: *mut lava_consumer,
    pub(crate) loan: *mut lava_frame,
    pub(crate) frame: *mut lava_frame,
    /// Holds the rendezvous sockets.
    _directory: TempDir,
}

pub(crate) const SIZE: usize = 4096;

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// A world whose context has other options.
    pub(crate) fn with(change: impl FnOnce(&mut lava_context_options)) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = CString::new(directory.path().to_str().expect("UTF-8")).expect("no NUL");
        let mut options = lava_context_options { runtime_directory: path.as_ptr(), ..sized() };
        change(&mut options);
        let mut world = Self {
            context: null_mut(),
            buffer: null_mut(),
            producer: null_mut(),
            consumer: null_mut(),
            loan: null_mut(),
            frame: null_mut(),
            _directory: directory,
        };
        let buffer_options =
            lava_buffer_options { size: SIZE as u64, flags: LAVA_BUFFER_SHAREABLE, ..sized() };
        let data = [7_u8; SIZE];
        let name = c"world".as_ptr();
        crate::gives! {
            lava_context_create(&options, &mut world.context, null_mut()) => LAVA_OK;
            lava_buffer_allocate(world.context, &buffer_options, &mut world.buffer, null_mut()) => LAVA_OK;
            lava_producer_create(world.context, name, null(), &mut world.producer, null_mut()) => LAVA_OK;
            lava_consumer_create(world.context, name, null(), &mut world.consumer, null_mut()) => LAVA_OK;
            lava_producer_send_bytes(world.producer, data.as_ptr().cast(), SIZE, SECOND) => LAVA_OK;
            lava_consumer_receive(world.consumer, SECOND, &mut world.frame) => LAVA_OK;
            lava_producer_loan(world.producer, SIZE as u64, SECOND, &mut world.loan) => LAVA_OK;
        }
        world
    }
}

/// Whatever a test did with it, everything still works, and can be given back.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let mut last = null_mut();
        crate::gives! {
            lava_frame_release(self.frame) => LAVA_OK;
            lava_producer_send(self.producer, self.loan, SECOND) => LAVA_OK;
            lava_consumer_receive(self.consumer, SECOND, &mut last) => LAVA_OK;
            lava_frame_release(last) => LAVA_OK;
        }
        unsafe {
            lava_consumer_destroy(self.consumer);
            lava_producer_destroy(self.producer);
            lava_buffer_destroy(self.buffer);
            lava_context_destroy(self.context);
        }
    }
}

/// Types whose first field is `struct_size` and whose other fields may all be zero.
///
/// # Safety
/// It is so.
pub(crate) unsafe trait Sized32: Copy {
    /// Bytes of its first version, the least that a caller may say.
    const FIRST: usize = size_of::<Self>();
}

macro_rules! sized {
    ($($name:ident $(from $first:literal)?),* $(,)?) => { $(
        unsafe impl Sized32 for $name {
            $(const FIRST: usize = $first;)?
        }
    )* };
}

sized!(
    lava_error,
    lava_log_sink,
    lava_context_options from 32,
    lava_device_info,
    lava_vulkan_device,
    lava_location,
    lava_scope_report,
    lava_buffer_options from 64,
    lava_buffer_info from 312,
    lava_buffer_handle,
    lava_vulkan_buffer,
    lava_cuda_view,
    lava_frame_info,
    lava_frame_sync,
    lava_tensor,
    lava_producer_options from 72,
    lava_consumer_options from 32,
    lava_connection_info,
    lava_rejection,
);

/// What the `_INIT` macros make.
pub(crate) fn sized<T: Sized32>() -> T {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    unsafe {
        value.as_mut_ptr().cast::<u32>().write(size_of::<T>() as u32);
        value.assume_init()
    }
}

/// A pointer that is not NULL and not aligned for its type, into memory that exists.
pub(crate) fn crooked<T>(pointer: *const T) -> *mut T {
    pointer.cast::<u8>().wrapping_add(1).cast::<T>().cast_mut()
}

/// A handle of one kind given for another.
pub(crate) fn other<T, U>(pointer: *mut T) -> *mut U {
    pointer.cast()
}

pub(crate) fn name(status: lava_status) -> &'static str {
    let text: *const c_char = unsafe { lava_status_name(status) };
    unsafe { CStr::from_ptr(text) }.to_str().expect("ASCII")
}
