//! The buffer protocol: NumPy arrays, memoryviews and their like over a payload.

use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::element;
use crate::payload::{Payload, Shown};
use crate::tensor::{Array, Numbers};

/// What a `Py_buffer` refers to; freed when it is released.
struct Hold {
    _payload: Arc<Payload>,
    shape: Numbers,
    /// In bytes.
    strides: Numbers,
}

// The buffer protocol reads the numbers as they are.
const _: () = assert!(size_of::<ffi::Py_ssize_t>() == size_of::<i64>());

fn asks(flags: c_int, for_what: c_int) -> bool {
    flags & for_what == for_what
}

fn refuse(why: impl Into<String>) -> PyErr {
    PyBufferError::new_err(why.into())
}

/// Fills `view` with `shown`, on behalf of `owner`.
///
/// # Safety
/// `view` must be valid for writing.
pub(crate) unsafe fn fill(
    owner: Bound<'_, PyAny>,
    view: *mut ffi::Py_buffer,
    flags: c_int,
    shown: Shown,
) -> PyResult<()> {
    // SAFETY: valid by the caller's promise. A failure must leave NULL.
    unsafe { (*view).obj = std::ptr::null_mut() };
    let array = &shown.array;
    let Some(start) = shown.host() else {
        return Err(refuse(
            "this memory is a GPU's, without an address for the CPU: use DLPack (torch.from_dlpack), or read() to copy it",
        ));
    };
    let format = format_for(&shown, flags)?;
    if asks(flags, ffi::PyBUF_WRITABLE) && shown.read_only {
        return Err(refuse("a received frame is read-only: copy it"));
    }
    check_order(flags, array)?;
    let (item, bytes) = (element::size(array.element), array.bytes());
    let (read_only, payload) = (shown.read_only, shown.payload);
    let Array { shape, mut strides, .. } = shown.array;
    for step in &mut strides {
        *step *= item as i64;
    }
    let hold = Box::new(Hold { _payload: payload, shape, strides });
    let dimensions = asks(flags, ffi::PyBUF_ND);
    let steps = asks(flags, ffi::PyBUF_STRIDES);
    // SAFETY: valid by the caller's promise. What the pointers point to lives in the hold, whose place in memory does not
    // change, until `release`.
    unsafe {
        (*view).buf = start.cast::<c_void>();
        (*view).len = bytes as isize;
        (*view).readonly = c_int::from(read_only);
        (*view).itemsize = if dimensions { item as isize } else { 1 };
        (*view).format = format.map_or(std::ptr::null_mut(), |text| text.as_ptr().cast_mut());
        (*view).ndim = if dimensions { hold.shape.len() as c_int } else { 1 };
        (*view).shape =
            if dimensions { hold.shape.as_ptr().cast_mut().cast() } else { std::ptr::null_mut() };
        (*view).strides =
            if steps { hold.strides.as_ptr().cast_mut().cast() } else { std::ptr::null_mut() };
        (*view).suboffsets = std::ptr::null_mut();
        (*view).internal = Box::into_raw(hold).cast();
        (*view).obj = owner.into_ptr();
    }
    Ok(())
}

/// The format, if it is asked for.
fn format_for(shown: &Shown, flags: c_int) -> PyResult<Option<&'static CStr>> {
    if !asks(flags, ffi::PyBUF_FORMAT) {
        return Ok(None);
    }
    let element = shown.array.element;
    element::letter(element).map(Some).ok_or_else(|| {
        let name = element::name(element);
        refuse(format!("the buffer protocol has no {name}: use DLPack, or `.raw` for the bytes"))
    })
}

/// Fails where the requester cannot deal with the order of the elements.
fn check_order(flags: c_int, array: &Array) -> PyResult<()> {
    let compact = || array.is_compact();
    let column_major = || array.is_column_major();
    let bad = (asks(flags, ffi::PyBUF_C_CONTIGUOUS) && !compact())
        || (asks(flags, ffi::PyBUF_F_CONTIGUOUS) && !column_major())
        || (asks(flags, ffi::PyBUF_ANY_CONTIGUOUS) && !compact() && !column_major())
        || (!asks(flags, ffi::PyBUF_STRIDES) && !compact());
    if bad {
        Err(refuse("the array is not contiguous as asked: copy it by numpy.ascontiguousarray"))
    } else {
        Ok(())
    }
}

/// Undoes `fill`.
///
/// # Safety
/// `view` must have been filled by it, once.
pub(crate) unsafe fn release(view: *mut ffi::Py_buffer) {
    // SAFETY: by the caller's promise it is the box that `fill` made.
    drop(unsafe { Box::from_raw((*view).internal.cast::<Hold>()) });
}

/// The plain bytes of a frame's payload, by the buffer protocol.
#[pyclass(frozen, module = "lava._lava", name = "_Raw")]
pub(crate) struct Raw(pub(crate) Shown);

#[pymethods]
impl Raw {
    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        let shown = slf.get().0.clone();
        // SAFETY: the interpreter gives a valid view.
        unsafe { fill(slf.into_any(), view, flags, shown) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: filled by `__getbuffer__`, released once.
        unsafe { release(view) }
    }
}
