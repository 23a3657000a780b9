//! The boundary: panics stop here, pointers and sizes are checked here, errors become statuses here. Once.

use std::ffi::{CStr, c_char};
use std::mem::{align_of, size_of};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};
use crate::types::*;

/// Runs the body of a function that is not on the hot path: catches a panic, fills `error` when the call fails.
pub(super) fn control(
    error: *mut lava_error,
    body: impl FnOnce() -> Result<lava_status>,
) -> lava_status {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => return status,
        Ok(Err(failure)) => failure,
        Err(payload) => Error::new(
            LAVA_ERROR_INTERNAL,
            format!("a fault inside lava: {}; please report it", panic_text(&*payload)),
        ),
    };
    // SAFETY: `error` is NULL or points to a lava_error of the caller, as the header demands; its size is checked.
    unsafe { report(error, &failure) };
    failure.status
}

/// Runs the body of a hot-path function: catches a panic; a status says everything.
#[inline(always)]
pub(super) fn hot(body: impl FnOnce() -> std::result::Result<(), lava_status>) -> lava_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => LAVA_OK,
        Ok(Err(status)) => status,
        Err(_) => LAVA_ERROR_INTERNAL,
    }
}

/// Runs a body that cannot fail (destructors, getters): a panic gives the default.
#[inline(always)]
pub(super) fn quiet<T: Default>(body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_default()
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// # Safety
/// `out` is NULL or valid for `struct_size` bytes.
unsafe fn report(out: *mut lava_error, failure: &Error) {
    if out.is_null() || !out.is_aligned() {
        return;
    }
    // SAFETY: non-NULL and aligned; the caller set struct_size, the first field.
    let size = unsafe { (*out).struct_size } as usize;
    let mut full = lava_error {
        struct_size: size as u32,
        status: failure.status,
        os_errno: failure.os,
        vk_result: failure.vk,
        value: failure.value,
        message: [0; LAVA_ERROR_MESSAGE_SIZE],
    };
    copy_text(&failure.message, &mut full.message);
    let count = size.min(size_of::<lava_error>());
    if count < 8 {
        return;
    }
    let header = std::mem::offset_of!(lava_error, message);
    if count > header && count < size_of::<lava_error>() {
        full.message[count - header - 1] = 0;
    }
    // SAFETY: `out` is valid for `struct_size` bytes, of which at most `count` are written.
    unsafe {
        std::ptr::copy_nonoverlapping((&raw const full).cast::<u8>(), out.cast::<u8>(), count)
    };
}

/// Copies `text` into a NUL-terminated array, cut at a character's end.
pub(super) fn copy_text(text: &str, out: &mut [c_char]) {
    let mut end = text.len().min(out.len().saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    for (to, from) in out.iter_mut().zip(text.as_bytes()[..end].iter().chain(std::iter::once(&0))) {
        *to = *from as c_char;
    }
}

/// Checks a pointer that must not be NULL.
pub(super) fn check_pointer<T>(pointer: *const T, name: &str) -> Result<()> {
    if pointer.is_null() {
        return Err(Error::new(LAVA_ERROR_INVALID_POINTER, format!("{name} is NULL")));
    }
    if !pointer.is_aligned() {
        return Err(Error::new(
            LAVA_ERROR_INVALID_POINTER,
            format!("{name} is not aligned to {} bytes", align_of::<T>()),
        )
        .with_value(pointer as usize as u64));
    }
    Ok(())
}

/// The hot path's form of [`check_pointer`].
#[inline(always)]
pub(super) fn check_hot<T>(pointer: *const T) -> std::result::Result<(), lava_status> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(LAVA_ERROR_INVALID_POINTER);
    }
    Ok(())
}

/// A struct that crosses the ABI with its size in front.
///
/// # Safety
/// The type is `repr(C)`, begins with `struct_size: u32`, and every bit pattern of it is a valid value.
pub(super) unsafe trait Sized32: Copy {
    /// Bytes of its first version: no caller may say less.
    const FIRST_SIZE: usize;
    /// Name in messages.
    const NAME: &'static str;
}

// While a struct has one version, all of it is required; of one that has grown, the size of its first version.
macro_rules! sized {
    ($($type:ident $(from $first:literal)?),* $(,)?) => { $(
        // SAFETY: repr(C), struct_size first, plain numbers, pointers and nullable functions only.
        unsafe impl Sized32 for $type {
            const FIRST_SIZE: usize = sized!(@first $type $($first)?);
            const NAME: &'static str = stringify!($type);
        }
    )* };
    (@first $type:ident) => { size_of::<$type>() };
    (@first $type:ident $first:literal) => { $first };
}

sized!(
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

/// Reads an options struct of the caller by the size rule: smaller than the first version is an error; a larger one,
/// from a newer caller, is accepted if its unknown tail is zero. NULL gives all defaults.
///
/// # Safety
/// `pointer` is NULL or valid for `struct_size` bytes.
pub(super) unsafe fn read_options<T: Sized32>(pointer: *const T) -> Result<T> {
    // SAFETY: all-zero is a valid T by the trait's contract, and means "all defaults".
    let mut value: T = unsafe { std::mem::zeroed() };
    if pointer.is_null() {
        return Ok(value);
    }
    // SAFETY: as the caller promised.
    let size = unsafe { struct_size(pointer) }?;
    let known = size.min(size_of::<T>());
    // SAFETY: the first `known` bytes are valid on both sides, and T is plain data.
    unsafe {
        std::ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut value).cast::<u8>(), known);
    }
    // SAFETY: the caller's struct has `size` bytes.
    let tail = unsafe { std::slice::from_raw_parts(pointer.cast::<u8>().add(known), size - known) };
    if tail.iter().any(|byte| *byte != 0) {
        return Err(Error::new(
            LAVA_ERROR_UNSUPPORTED,
            format!(
                "{} is newer ({size} bytes) than this library ({} bytes) and uses a field that it does not know; \
                 update lava or leave that field zero",
                T::NAME,
                size_of::<T>()
            ),
        )
        .with_value(size as u64));
    }
    Ok(value)
}

/// Refuses a field that must be left zero, because this library has no meaning for it.
pub(super) fn check_reserved(is_set: bool, name: &str) -> Result<()> {
    if is_set {
        return Err(Error::new(
            LAVA_ERROR_UNSUPPORTED,
            format!(
                "{name} is set and means nothing to this library; update lava or leave it zero"
            ),
        ));
    }
    Ok(())
}

/// # Safety
/// `pointer` is valid for at least 4 bytes if non-NULL and aligned.
unsafe fn struct_size<T: Sized32>(pointer: *const T) -> Result<usize> {
    check_pointer(pointer, T::NAME)?;
    // SAFETY: checked; struct_size is the first field.
    let size = unsafe { pointer.cast::<u32>().read() } as usize;
    if !(T::FIRST_SIZE..=4096).contains(&size) {
        return Err(Error::new(
            LAVA_ERROR_INVALID_ARGUMENT,
            format!(
                "{}.struct_size is {size}; set it to sizeof({}), {} here",
                T::NAME,
                T::NAME,
                size_of::<T>()
            ),
        )
        .with_value(size as u64));
    }
    Ok(size)
}

/// Checks a struct that will be written, before anything is done for it.
///
/// # Safety
/// As [`write_info`].
pub(super) unsafe fn check_info<T: Sized32>(pointer: *mut T) -> Result<()> {
    // SAFETY: as the caller promised.
    unsafe { struct_size(pointer.cast_const()) }.map(|_| ())
}

/// Writes an info struct to the caller, at most as much as its `struct_size` says; a longer tail is zeroed.
///
/// # Safety
/// `pointer` is NULL or valid for `struct_size` bytes.
pub(super) unsafe fn write_info<T: Sized32>(pointer: *mut T, value: &T) -> Result<()> {
    // SAFETY: as the caller promised.
    let size = unsafe { struct_size(pointer.cast_const()) }?;
    let known = size.min(size_of::<T>());
    // SAFETY: the caller's struct has `size` bytes; its struct_size stays as the caller set it.
    unsafe {
        let (to, from) = (pointer.cast::<u8>(), std::ptr::from_ref(value).cast::<u8>());
        std::ptr::copy_nonoverlapping(from.add(4), to.add(4), known - 4);
        std::ptr::write_bytes(to.add(known), 0, size - known);
    }
    Ok(())
}

/// Reads a NUL-terminated UTF-8 string of the caller, at most `limit` bytes.
///
/// # Safety
/// `pointer` is NULL or NUL-terminated and unchanged while the result lives.
pub(super) unsafe fn text<'a>(pointer: *const c_char, name: &str, limit: usize) -> Result<&'a str> {
    check_pointer(pointer, name)?;
    // SAFETY: non-NULL, NUL-terminated by the caller's promise.
    let bytes = unsafe { CStr::from_ptr(pointer) }.to_bytes();
    if bytes.len() > limit {
        return Err(Error::new(
            LAVA_ERROR_INVALID_ARGUMENT,
            format!("{name} has {} bytes; at most {limit} are allowed", bytes.len()),
        )
        .with_value(bytes.len() as u64));
    }
    std::str::from_utf8(bytes)
        .map_err(|_| Error::new(LAVA_ERROR_INVALID_ARGUMENT, format!("{name} is not UTF-8")))
}

/// Writes `text` and a NUL to the caller's buffer, and the bytes needed (with the NUL) to `needed` in any case.
///
/// # Safety
/// `buffer` is valid for `capacity` bytes or `capacity` is 0; `needed` is NULL or valid.
pub(super) unsafe fn write_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Result<()> {
    let size = text.len() + 1;
    if !needed.is_null() {
        check_pointer(needed, "needed")?;
        // SAFETY: checked.
        unsafe { needed.write(size) };
    }
    if capacity < size {
        return Err(Error::new(
            LAVA_ERROR_BUFFER_TOO_SMALL,
            format!("the text needs {size} bytes, the buffer has {capacity}"),
        )
        .with_value(size as u64));
    }
    check_pointer(buffer, "buffer")?;
    // SAFETY: `size` bytes fit.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast::<c_char>(), buffer, text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(struct_size: usize) -> lava_error {
        lava_error {
            struct_size: struct_size as u32,
            status: 0,
            os_errno: -1,
            vk_result: -1,
            value: u64::MAX,
            message: [b'?' as c_char; LAVA_ERROR_MESSAGE_SIZE],
        }
    }

    fn text_of(error: &lava_error) -> String {
        let bytes: Vec<u8> = error.message.iter().map(|byte| *byte as u8).collect();
        let end = bytes.iter().position(|byte| *byte == 0).expect("a NUL");
        String::from_utf8(bytes[..end].to_vec()).expect("UTF-8")
    }

    #[test]
    fn a_panic_in_a_control_function_becomes_an_internal_error_with_its_message() {
        let mut error = error_of(size_of::<lava_error>());
        let number = 42;
        assert_eq!(control(&mut error, || panic!("broken {number}")), LAVA_ERROR_INTERNAL);
        assert_eq!(error.status, LAVA_ERROR_INTERNAL);
        assert!(text_of(&error).contains("broken 42"), "{}", text_of(&error));
        assert_eq!(control(&mut error, || panic!("plain")), LAVA_ERROR_INTERNAL);
        assert!(text_of(&error).contains("plain"), "{}", text_of(&error));
        assert_eq!(control(&mut error, || std::panic::panic_any(7)), LAVA_ERROR_INTERNAL);
        assert!(text_of(&error).contains("without a message"), "{}", text_of(&error));
        assert_eq!(control(std::ptr::null_mut(), || panic!("nobody listens")), LAVA_ERROR_INTERNAL);
    }

    #[test]
    fn a_panic_in_a_hot_function_becomes_an_internal_status() {
        assert_eq!(hot(|| panic!("broken")), LAVA_ERROR_INTERNAL);
        assert_eq!(hot(|| Err(LAVA_WOULD_BLOCK)), LAVA_WOULD_BLOCK);
        assert_eq!(hot(|| Ok(())), LAVA_OK);
    }

    #[test]
    fn a_panic_in_a_getter_or_destructor_gives_the_default() {
        assert_eq!(quiet(|| -> u64 { panic!("broken") }), 0);
        quiet::<()>(|| panic!("broken"));
        assert_eq!(quiet(|| 5), 5);
    }

    #[test]
    fn success_leaves_the_error_alone() {
        let mut error = error_of(size_of::<lava_error>());
        assert_eq!(control(&mut error, || Ok(LAVA_TIMED_OUT)), LAVA_TIMED_OUT);
        assert_eq!((error.status, error.value, error.message[0]), (0, u64::MAX, b'?' as c_char));
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        let mut place = [1 as c_char; 5];
        copy_text("ab\u{20ac}cd", &mut place);
        assert_eq!(place.map(|byte| byte as u8)[..3], *b"ab\0");
        copy_text("abc\u{e9}", &mut place);
        assert_eq!(place.map(|byte| byte as u8)[..4], *b"abc\0");
        copy_text("abcd", &mut place);
        assert_eq!(place.map(|byte| byte as u8), *b"abcd\0");
    }
}
