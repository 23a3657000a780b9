//! A frame: a loan to be written, or a received one to be read.

use std::ffi::c_int;
use std::sync::Arc;

use lava::Tensor;
use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::context;
use crate::cuda;
use crate::dlpack;
use crate::element;
use crate::failure::{Failure, OrRaise};
use crate::fork::Birth;
use crate::loan::{
    State, ended, frame_of, loan_place, read_loan, read_only, show_loan, show_received,
};
use crate::payload::{Payload, Place, Shown};
use crate::protocol::{self, Show};
use crate::tensor::{Array, dimensions};
use crate::view::{self, Raw};
use crate::wait::Deadline;

/// A loan or a received frame.
#[pyclass(frozen, weakref, module = "lava")]
pub(crate) struct Frame {
    pub(crate) state: Mutex<State>,
    pub(crate) birth: Birth,
}

#[pymethods]
impl Frame {
    #[getter]
    fn nbytes(&self) -> PyResult<u64> {
        Ok(self.info()?.size)
    }

    #[getter]
    fn capacity(&self) -> PyResult<u64> {
        Ok(self.info()?.capacity)
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array()?.shape)
    }

    #[getter]
    fn strides<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let array = self.array()?;
        let item = element::size(array.element) as i64;
        PyTuple::new(py, array.strides.iter().map(|step| step * item).collect::<Vec<_>>())
    }

    #[getter]
    fn byte_offset(&self) -> PyResult<usize> {
        Ok(self.array()?.byte_offset)
    }

    #[getter]
    fn dtype(&self) -> PyResult<String> {
        Ok(element::name(self.array()?.element))
    }

    /// Whether a tensor travels with it; else it is plain bytes.
    #[getter]
    fn has_tensor(&self) -> PyResult<bool> {
        match &*self.state.lock() {
            State::Received(payload) => Ok(frame_of(payload)?.tensor().or_raise()?.is_some()),
            State::Loan(loaned) => Ok(loaned.loan.tensor().or_raise()?.is_some()),
            State::Ended(how) => Err(ended(how)),
        }
    }

    #[getter]
    fn sequence(&self) -> PyResult<u64> {
        Ok(self.info()?.sequence)
    }

    #[getter]
    fn timestamp_ns(&self) -> PyResult<u64> {
        Ok(self.info()?.timestamp_ns)
    }

    #[setter]
    fn set_timestamp_ns(&self, nanoseconds: u64) -> PyResult<()> {
        self.change(|loaned| Ok(loaned.loan.set_timestamp(nanoseconds)?))
    }

    #[getter]
    fn tag(&self) -> PyResult<u64> {
        Ok(self.info()?.tag)
    }

    #[setter]
    fn set_tag(&self, tag: u64) -> PyResult<()> {
        self.change(|loaned| Ok(loaned.loan.set_tag(tag)?))
    }

    #[getter]
    fn memory(&self) -> PyResult<&'static str> {
        Ok(context::memory_name(self.info()?.memory))
    }

    #[getter]
    fn transport(&self) -> PyResult<Option<String>> {
        Ok(self.info()?.transport.map(context::transport_name))
    }

    /// Whether the payload came inside the descriptor.
    #[getter]
    fn inline(&self) -> PyResult<bool> {
        Ok(self.info()?.is_inline())
    }

    #[getter]
    fn writable(&self) -> bool {
        self.is_loan()
    }

    #[getter]
    fn released(&self) -> bool {
        matches!(&*self.state.lock(), State::Ended(_))
    }

    /// The payload's bytes, whatever its dtype.
    #[getter]
    fn raw(&self, py: Python<'_>) -> PyResult<Raw> {
        let nbytes = self.nbytes()? as usize;
        let shown = self.shown()?;
        let _ = py;
        Ok(Raw(Shown { array: Array::new(None, nbytes), ..shown }))
    }

    /// Changes how many bytes of a loan will be sent.
    fn resize(&self, nbytes: usize) -> PyResult<()> {
        self.change(|loaned| Ok(loaned.loan.set_len(nbytes)?))
    }

    /// Describes a loan's payload as an array; without a shape: as plain bytes.
    #[pyo3(signature = (shape=None, dtype=None, *, strides=None, byte_offset=0))]
    fn set_tensor(
        &self,
        shape: Option<&Bound<'_, PyAny>>,
        dtype: Option<&Bound<'_, PyAny>>,
        strides: Option<Vec<i64>>,
        byte_offset: u64,
    ) -> PyResult<()> {
        let tensor = match shape {
            None => None,
            Some(shape) => {
                let element = dtype.map_or(Ok(element::UINT8), element::extract)?;
                let item = element::size(element) as i64;
                let mut tensor = Tensor::new(element, &dimensions(shape)?)
                    .or_raise()?
                    .with_byte_offset(byte_offset);
                if let Some(strides) = strides {
                    if let Some(odd) = strides.iter().find(|step| *step % item != 0) {
                        let name = element::name(element);
                        return Err(Failure::argument(format!(
                            "a stride of {odd} bytes is not a whole number of {name}; strides are in bytes, as NumPy's"
                        ))
                        .into());
                    }
                    let steps: Vec<isize> =
                        strides.iter().map(|step| (step / item) as isize).collect();
                    tensor = tensor.with_strides(&steps).or_raise()?;
                }
                Some(tensor)
            }
        };
        self.change(|loaned| Ok(loaned.loan.set_tensor(tensor.as_ref())?))
    }

    /// Copies bytes of the payload, also out of a GPU's memory.
    #[pyo3(signature = (offset=0, size=None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        offset: usize,
        size: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let nbytes = self.nbytes()? as usize;
        let size = size.unwrap_or(nbytes.saturating_sub(offset));
        let payload = self.readable()?;
        PyBytes::new_with(py, size, |bytes| {
            py.detach(|| match &payload {
                Ok(payload) => payload.read(offset, bytes),
                Err((shown, nbytes)) => read_loan(shown, *nbytes, offset, bytes),
            })
            .map_err(PyErr::from)
        })
    }

    /// All bytes of the payload, copied.
    fn tobytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.read(py, 0, None)
    }

    /// Copies bytes into a loan, also into a GPU's memory.
    #[pyo3(signature = (data, offset=0))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>, offset: usize) -> PyResult<()> {
        let source = crate::source::Source::extract(data)?;
        let Some(bytes) = source.compact_bytes() else {
            return Err(Failure::argument(
                "write() takes contiguous bytes; assign to numpy.asarray(frame) instead",
            )
            .into());
        };
        let _ = py;
        self.change(|loaned| {
            // Ranges are judged by the loan; views of a small one write elsewhere.
            loaned.loan.write_at(offset, bytes)?;
            if let Some(own) = loaned.payload.as_ref().and_then(|payload| payload.own()) {
                // SAFETY: the loan took the range, and `own` has its capacity.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        bytes.as_ptr(),
                        own.start().add(offset),
                        bytes.len(),
                    )
                };
            }
            Ok(())
        })
    }

    /// Waits until the bytes of a received frame are there.
    #[pyo3(signature = (timeout=None))]
    fn wait_ready(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.birth.check()?;
        let payload = match &*self.state.lock() {
            State::Received(payload) => payload.clone(),
            State::Loan(_) => return Ok(()),
            State::Ended(how) => return Err(ended(how)),
        };
        let deadline = Deadline::new(timeout)?;
        let ready = deadline.repeat(py, |slice| {
            Ok(frame_of(&payload)?.wait_ready(slice)?.is_done().then_some(()))
        })?;
        ready.ok_or_else(|| {
            Failure::out_of_time("the frame's bytes are not there", !deadline.is_now()).into()
        })
    }

    /// Sends a loan.
    #[pyo3(signature = (*, timeout=None, stream=None))]
    fn publish(
        &self,
        py: Python<'_>,
        timeout: Option<f64>,
        stream: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if let Some(stream) = cuda::stream_of(stream)? {
            self.change(|loaned| {
                if let Ok((payload, Place::Cuda { .. })) = loan_place(loaned) {
                    payload.take_streams();
                    payload.note(stream);
                }
                Ok(())
            })?;
        }
        self.publish_to(py, None, 0, Deadline::new(timeout)?)
    }

    /// Gives a received frame back as soon as no view of it is left, or a loan, unsent.
    #[pyo3(signature = (*, stream=None))]
    fn release(&self, stream: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.birth.check()?;
        if let Some(stream) = cuda::stream_of(stream)?
            && let Ok(Shown { payload, place: Place::Cuda { .. }, .. }) = self.shown()
        {
            payload.take_streams();
            payload.note(stream);
        }
        self.end("released");
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind=None, *_exception))]
    fn __exit__(
        &self,
        py: Python<'_>,
        kind: Option<&Bound<'_, PyAny>>,
        _exception: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let timeout = match &*self.state.lock() {
            State::Loan(loaned) if kind.is_none() => loaned.timeout,
            State::Ended(_) => return Ok(()),
            _ => {
                // Dropped below, when the lock is free.
                None
            }
        };
        if kind.is_none() && self.is_loan() {
            let result = self.publish_to(py, None, 0, Deadline::new(timeout)?);
            if result.is_err() {
                self.end("discarded");
            }
            return result;
        }
        self.end(if self.is_loan() { "discarded" } else { "released" });
        Ok(())
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        // SAFETY: the interpreter gives a valid view.
        unsafe { protocol::get_buffer(slf.as_any(), slf.get(), view, flags) }
    }

    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: filled by `__getbuffer__`, released once.
        unsafe { view::release(view) }
    }

    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<i64>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let request = dlpack::Request { stream, max_version, device: dl_device, copy };
        protocol::dlpack(py, self, &request)
    }

    fn __dlpack_device__(&self, py: Python<'_>) -> PyResult<(i32, i32)> {
        protocol::dlpack_device(py, self)
    }

    #[getter]
    fn __cuda_array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        protocol::cuda_interface(py, self)
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        slf: &Bound<'py, Self>,
        dtype: Option<Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        protocol::array(slf.as_any(), dtype, copy)
    }

    fn __repr__(&self) -> String {
        let kind = match &*self.state.lock() {
            State::Received(_) => "received",
            State::Loan(_) => "loan",
            State::Ended(how) => return format!("<lava.Frame, {how}>"),
        };
        let (Ok(array), Ok(info)) = (self.array(), self.info()) else {
            return format!("<lava.Frame, {kind}, with a description that is not valid>");
        };
        let shape = array.shape.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let comma = if array.shape.len() == 1 { "," } else { "" };
        let (dtype, memory) = (element::name(array.element), context::memory_name(info.memory));
        let number = match info.transport {
            Some(transport) => {
                format!(" {} by {}", info.sequence, context::transport_name(transport))
            }
            None => String::new(),
        };
        format!(
            "<lava.Frame, {kind}{number}: {dtype} ({shape}{comma}), {} bytes of {memory} memory>",
            info.size
        )
    }
}

impl Frame {
    /// What `read` copies from: a received frame, or where a loan is written.
    fn readable(&self) -> PyResult<Result<Arc<Payload>, (Shown, usize)>> {
        self.birth.check()?;
        if let State::Received(payload) = &*self.state.lock() {
            return Ok(Ok(payload.clone()));
        }
        let nbytes = self.nbytes()? as usize;
        Ok(Err((self.shown()?, nbytes)))
    }
}

impl Show for Frame {
    fn shown(&self) -> PyResult<Shown> {
        self.birth.check()?;
        match &mut *self.state.lock() {
            State::Received(payload) => show_received(payload),
            State::Loan(loaned) => show_loan(loaned),
            State::Ended(how) => Err(ended(how)),
        }
    }

    fn unseen(&self) -> PyResult<Shown> {
        let array = self.array()?;
        match &*self.state.lock() {
            State::Received(payload) => {
                let place = Place::Cuda { pointer: 0, ordinal: 0, context: 0 };
                Ok(Shown { payload: payload.clone(), place, read_only: true, array })
            }
            _ => Err(read_only("read")),
        }
    }
}
