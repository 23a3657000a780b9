//! What crosses the C ABI, converted: structs with their size set, pieces of memory, texts, typed views of bytes.

use std::ffi::{CStr, CString, c_char};
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use bytemuck::{AnyBitPattern, PodCastError};
use lava_sys::*;

use crate::error::{Error, Result};

/// A struct of the C ABI that begins with `struct_size`.
///
/// # Safety
/// All zero bytes must be a valid value, and the first field the `u32` named `struct_size`.
pub(crate) unsafe trait CStruct: Copy {
    /// All fields zero but `struct_size`: the default of options, an empty place for an answer.
    fn sized() -> Self {
        let mut value = MaybeUninit::<Self>::zeroed();
        let size = u32::try_from(size_of::<Self>()).unwrap_or(u32::MAX);
        // SAFETY: the first field is a `u32`, and the rest is valid as zeros, by the trait's contract.
        unsafe {
            value.as_mut_ptr().cast::<u32>().write(size);
            value.assume_init()
        }
    }
}

macro_rules! c_structs {
    ($($name:ident)*) => { $(
        // SAFETY: `repr(C)`, begins with `struct_size`, and has only numbers, arrays of them, and nullable pointers.
        unsafe impl CStruct for $name {}
    )* };
}
c_structs!(lava_error lava_log_sink lava_context_options lava_location lava_scope_report lava_buffer_options);
c_structs!(lava_buffer_info lava_buffer_handle lava_frame_info lava_tensor lava_producer_options);
c_structs!(lava_consumer_options lava_connection_info lava_rejection lava_device_info lava_vulkan_device);
c_structs!(lava_vulkan_buffer lava_frame_sync lava_cuda_view);

/// A borrowed piece of memory to send: the element of
/// [`Producer::send_bytes_many`](crate::Producer::send_bytes_many). Made of a slice by `into()`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Bytes<'a> {
    raw: lava_bytes,
    memory: PhantomData<&'a [u8]>,
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        let raw = lava_bytes { data: bytes.as_ptr().cast(), size: bytes.len() };
        Self { raw, memory: PhantomData }
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Bytes({} bytes)", self.raw.size)
    }
}

/// The text of a NUL-terminated array of C characters; what is not UTF-8 is replaced.
pub(crate) fn text(characters: &[c_char]) -> String {
    let bytes: &[u8] = bytemuck::cast_slice(characters);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// A C string of `text`; `what` names it in the error if it has a NUL inside.
pub(crate) fn c_string(text: &[u8], what: &str) -> Result<CString> {
    CString::new(text).map_err(|error| {
        let position = error.nul_position();
        Error::invalid(
            position as u64,
            format!("{what} has a NUL byte at position {position}; remove it"),
        )
    })
}

/// A static C string of the library as text.
///
/// # Safety
/// `text` must be NUL-terminated and never freed.
pub(crate) unsafe fn static_text(text: *const c_char) -> &'static str {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("LAVA_UNKNOWN_STATUS")
}

/// Calls a function that writes text into a buffer, with ever larger buffers until the text fits.
pub(crate) fn fetch_text(
    mut call: impl FnMut(*mut c_char, usize, *mut usize, *mut lava_error) -> lava_status,
) -> Result<String> {
    let mut bytes = vec![0u8; 4096];
    loop {
        let mut needed = 0;
        let (start, capacity) = (bytes.as_mut_ptr().cast(), bytes.len());
        match Error::check(|error| call(start, capacity, &mut needed, error)) {
            Ok(()) => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                bytes.truncate(end);
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            // What is described may grow between two calls: leave room.
            Err(error) if error.status() == LAVA_ERROR_BUFFER_TOO_SMALL && needed > bytes.len() => {
                bytes.resize(needed + 1024, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A number of bytes as this process counts them.
pub(crate) fn to_usize(size: u64) -> Result<usize> {
    usize::try_from(size).map_err(|_| {
        Error::with_status(
            LAVA_ERROR_TOO_LARGE,
            size,
            format!("{size} bytes are more than this process can address"),
        )
    })
}

/// `bytes` seen as elements of `T`.
pub(crate) fn cast<T: AnyBitPattern>(bytes: &[u8]) -> Result<&[T]> {
    bytemuck::try_cast_slice(bytes).map_err(|error| cast_error::<T>(bytes, error))
}

/// `bytes` seen as elements of `T`, for writing.
pub(crate) fn cast_mut<T: bytemuck::Pod>(bytes: &mut [u8]) -> Result<&mut [T]> {
    if let Err(error) = bytemuck::try_cast_slice::<u8, T>(bytes) {
        return Err(cast_error::<T>(bytes, error));
    }
    Ok(bytemuck::cast_slice_mut(bytes))
}

/// How many elements of `T` are `size` bytes; an error if that is not a whole number.
pub(crate) fn element_count<T>(size: usize) -> Result<usize> {
    match size.checked_rem(size_of::<T>()) {
        Some(0) => Ok(size / size_of::<T>()),
        _ => Err(size_error::<T>(size)),
    }
}

/// Bytes of `count` elements of `T`.
pub(crate) fn byte_count<T>(count: usize) -> Result<u64> {
    count.checked_mul(size_of::<T>()).map(|size| size as u64).ok_or_else(|| {
        let name = std::any::type_name::<T>();
        let message = format!("{count} elements of {name} overflow the address space");
        Error::with_status(LAVA_ERROR_TOO_LARGE, count as u64, message)
    })
}

fn cast_error<T>(bytes: &[u8], error: PodCastError) -> Error {
    if !matches!(error, PodCastError::TargetAlignmentGreaterAndInputNotAligned) {
        return size_error::<T>(bytes.len());
    }
    let (name, alignment, address) =
        (std::any::type_name::<T>(), align_of::<T>(), bytes.as_ptr().addr());
    Error::invalid(
        address as u64,
        format!(
            "the bytes at address {address:#x} are not aligned to {alignment} as {name} needs; copy them with \
             copy_to_vec, or create the producer with alignment({alignment})"
        ),
    )
}

fn size_error<T>(size: usize) -> Error {
    let (name, element) = (std::any::type_name::<T>(), size_of::<T>());
    let message =
        format!("{size} bytes are not a whole number of {name}, which has {element} bytes");
    Error::invalid(size as u64, message)
}
