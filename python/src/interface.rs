//! `__cuda_array_interface__`, version 3, both ways.

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::cuda::{self, Stream};
use crate::element;
use crate::payload::{Place, Shown};
use crate::tensor::{Array, Numbers};

/// Makes the dictionary. It owns nothing: whoever uses it keeps the object.
pub(crate) fn export<'py>(py: Python<'py>, shown: &Shown) -> PyResult<Bound<'py, PyDict>> {
    let Place::Cuda { pointer, .. } = shown.place else {
        return Err(PyAttributeError::new_err(
            "__cuda_array_interface__: the memory is not CUDA's",
        ));
    };
    let array = &shown.array;
    let Some(code) = element::type_string(array.element) else {
        let name = element::name(array.element);
        return Err(PyAttributeError::new_err(format!(
            "__cuda_array_interface__ has no {name}; use DLPack"
        )));
    };
    if let Some(frame) = shown.payload.frame() {
        // SAFETY: one of CUDA's constants; the user is told of this stream.
        unsafe { cuda::follow_frame(cuda::LEGACY, frame)? };
    }
    // Which stream the user works in is not told.
    shown.payload.note(Stream::Any);
    let item = element::size(array.element) as i64;
    let dictionary = PyDict::new(py);
    let numbers = |list: Numbers| pyo3::types::PyTuple::new(py, list);
    dictionary.set_item("version", 3)?;
    dictionary.set_item("shape", numbers(array.shape.clone())?)?;
    dictionary.set_item("typestr", code)?;
    dictionary.set_item("data", (pointer + array.byte_offset as u64, shown.read_only))?;
    dictionary
        .set_item("strides", numbers(array.strides.iter().map(|step| step * item).collect())?)?;
    dictionary.set_item("stream", cuda::LEGACY)?;
    Ok(dictionary)
}

/// What another library's dictionary says.
pub(crate) struct Foreign {
    pub(crate) array: Array,
    pub(crate) pointer: u64,
    pub(crate) context: u64,
}

/// Reads the dictionary, after the work of the stream that it names.
pub(crate) fn import(dictionary: &Bound<'_, PyAny>) -> PyResult<Foreign> {
    let typestr: String = dictionary.get_item("typestr")?.extract()?;
    let shape: Vec<i64> = dictionary.get_item("shape")?.extract()?;
    let (pointer, _): (u64, bool) = dictionary.get_item("data")?.extract()?;
    let optional = |key| {
        dictionary
            .call_method1("get", (key,))
            .map(|value| Some(value).filter(|value| !value.is_none()))
    };
    let element = element::parse(&typestr)?;
    let item = element::size(element) as i64;
    let strides = match optional("strides")? {
        Some(strides) => {
            let strides: Vec<i64> = strides.extract()?;
            Some(strides.into_iter().map(|step| step / item).collect())
        }
        None => None,
    };
    let array = Array::foreign(element, shape.into(), strides)?;
    let context = if array.bytes() == 0 { 0 } else { cuda::context_of(pointer)? };
    if let Some(stream) = optional("stream")? {
        let stream: usize = stream.extract()?;
        cuda::join(context, &[Stream::Known(cuda::LEGACY), Stream::Known(stream)])?;
    }
    Ok(Foreign { array, pointer, context })
}
