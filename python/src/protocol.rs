//! The protocols of arrays, alike for frames and buffers: buffer, DLPack, CUDA's array interface, NumPy's last resort.
//!
//! One rule for errors: what an array library catches to try another way, `BufferError`, and the reason why with it;
//! `AttributeError` for CUDA's interface, which is looked for as an attribute.

use std::ffi::c_int;

use pyo3::exceptions::{PyAttributeError, PyBufferError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMemoryView};

use crate::dlpack;
use crate::interface;
use crate::payload::Shown;
use crate::view;

/// Something that others can see as an array.
pub(crate) trait Show {
    /// The array, for a view that may outlive the object. Fails by `BufferError` where the memory exists, and nothing here
    /// can address it.
    fn shown(&self) -> PyResult<Shown>;

    /// The same for memory that nothing here can address, to be copied.
    fn unseen(&self) -> PyResult<Shown>;
}

/// `__getbuffer__` of `object`, which is `owner`.
///
/// # Safety
/// `view` must be valid for writing.
pub(crate) unsafe fn get_buffer(
    owner: &Bound<'_, PyAny>,
    object: &impl Show,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> PyResult<()> {
    // SAFETY: valid by the caller's promise. A failure must leave NULL there.
    unsafe { (*view).obj = std::ptr::null_mut() };
    let shown = object.shown().map_err(|error| as_buffer_error(owner.py(), error))?;
    // SAFETY: as above.
    unsafe { view::fill(owner.clone(), view, flags, shown) }
}

/// `__dlpack__`.
pub(crate) fn dlpack<'py>(
    py: Python<'py>,
    object: &impl Show,
    request: &dlpack::Request,
) -> PyResult<Bound<'py, PyAny>> {
    let shown = match object.shown() {
        // A GPU's memory that CUDA cannot see can be copied all the same.
        Err(error)
            if request.device == Some((1, 0))
                && request.copy != Some(false)
                && error.is_instance_of::<PyBufferError>(py) =>
        {
            object.unseen().map_err(|_| error)?
        }
        result => result.map_err(|error| as_buffer_error(py, error))?,
    };
    dlpack::export(py, shown, request)
}

/// `__dlpack_device__`.
pub(crate) fn dlpack_device(py: Python<'_>, object: &impl Show) -> PyResult<(i32, i32)> {
    let shown = object.shown().map_err(|error| as_buffer_error(py, error))?;
    Ok(dlpack::device(shown.place))
}

/// `__cuda_array_interface__`.
pub(crate) fn cuda_interface<'py>(
    py: Python<'py>,
    object: &impl Show,
) -> PyResult<Bound<'py, PyDict>> {
    match object.shown() {
        Ok(shown) => interface::export(py, &shown),
        Err(error) => Err(PyAttributeError::new_err(error.to_string())),
    }
}

/// `__array__`: NumPy calls it when the buffer protocol has failed, whose error it hides, and would else make an array of
/// one Python object. So this raises that error again.
pub(crate) fn array<'py>(
    owner: &Bound<'py, PyAny>,
    dtype: Option<Bound<'py, PyAny>>,
    copy: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = owner.py();
    let view = PyMemoryView::from(owner)?;
    let numpy = py.import(intern!(py, "numpy"))?;
    let arguments = PyDict::new(py);
    arguments.set_item(intern!(py, "dtype"), dtype)?;
    let call = match copy {
        None => intern!(py, "asarray"),
        Some(copy) => {
            arguments.set_item(intern!(py, "copy"), copy)?;
            intern!(py, "array")
        }
    };
    numpy.call_method(call, (view,), Some(&arguments))
}

fn as_buffer_error(py: Python<'_>, error: PyErr) -> PyErr {
    match error.is_instance_of::<PyBufferError>(py) {
        true => error,
        false => {
            let raised = PyBufferError::new_err(error.value(py).to_string());
            raised.set_cause(py, Some(error));
            raised
        }
    }
}
