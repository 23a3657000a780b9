//! One allocation, in host or device memory, as an array.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};
use std::sync::Arc;

use lava::{BufferHandle, BufferInfo, BufferOptions, BufferRecipe, Tensor};
use parking_lot::{Mutex, RwLock};
use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple, PyType};

use crate::context::{self, Context};
use crate::dlpack;
use crate::element;
use crate::failure::{Failure, OrRaise};
use crate::fork::Birth;
use crate::location::Location;
use crate::payload::{Memory, Payload, Place, Shown};
use crate::protocol::{self, Show};
use crate::tensor::{Array, Layout};
use crate::view;

type Shared = Arc<RwLock<lava::Buffer>>;
/// Sets a flag.
type Set = fn(BufferOptions) -> BufferOptions;

/// One allocation, as an array.
#[pyclass(frozen, weakref, module = "lava")]
pub(crate) struct Buffer {
    buffer: Mutex<Option<Shared>>,
    info: BufferInfo,
    layout: Layout,
    birth: Birth,
}

impl Buffer {
    fn wrap(buffer: lava::Buffer, layout: Layout) -> PyResult<Self> {
        let info = buffer.info().or_raise()?;
        if layout.bytes as u64 > info.size {
            let (bytes, size) = (layout.bytes, info.size);
            return Err(Failure::argument(format!(
                "an array of {bytes} bytes for a buffer of {size} bytes"
            ))
            .into());
        }
        let buffer = Mutex::new(Some(Arc::new(RwLock::new(buffer))));
        Ok(Self { buffer, info, layout, birth: Birth::now() })
    }

    pub(crate) fn handle(&self) -> PyResult<Shared> {
        self.birth.check()?;
        let buffer = self.buffer.lock().clone();
        Ok(buffer.ok_or_else(|| Failure::ended("buffer"))?)
    }

    /// Bytes of the array.
    pub(crate) fn size(&self) -> u64 {
        self.layout.bytes as u64
    }

    pub(crate) fn tensor(&self) -> Option<&Tensor> {
        self.layout.tensor.as_ref()
    }

    fn array(&self) -> Array {
        Array::new(self.tensor(), self.layout.bytes)
    }
}

impl Show for Buffer {
    fn shown(&self) -> PyResult<Shown> {
        let buffer = self.handle()?;
        let start = buffer.read().as_ptr();
        let place = match start.is_null() {
            false => Place::Host(start),
            true => {
                let view = buffer.read().cuda();
                let view = view.map_err(|error| {
                    PyBufferError::new_err(format!(
                        "the memory is a GPU's, and CUDA cannot see it ({error}); copy it by read()"
                    ))
                })?;
                Place::Cuda {
                    pointer: view.device_pointer,
                    ordinal: view.device_ordinal,
                    context: view.context,
                }
            }
        };
        let payload = Payload::new(Memory::Buffer(buffer));
        Ok(Shown { payload, place, read_only: self.info.read_only, array: self.array() })
    }

    fn unseen(&self) -> PyResult<Shown> {
        let place = Place::Cuda { pointer: 0, ordinal: 0, context: 0 };
        let payload = Payload::new(Memory::Buffer(self.handle()?));
        Ok(Shown { payload, place, read_only: self.info.read_only, array: self.array() })
    }
}

#[pymethods]
impl Buffer {
    #[new]
    #[pyo3(signature = (context, shape, dtype=None, *, memory="auto", fallback=None, require=false, shareable=false,
        writable_by_importers=false, commit=false, alignment=0, numa_node=None, device=None, host_visible=false,
        uninitialized=false, peer=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments")]
    fn new(
        py: Python<'_>,
        context: &Context,
        shape: &Bound<'_, PyAny>,
        dtype: Option<&Bound<'_, PyAny>>,
        memory: &str,
        fallback: Option<Vec<String>>,
        require: bool,
        shareable: bool,
        writable_by_importers: bool,
        commit: bool,
        alignment: u64,
        numa_node: Option<u32>,
        device: Option<Bound<'_, PyAny>>,
        host_visible: bool,
        uninitialized: bool,
        peer: Option<&Location>,
    ) -> PyResult<Self> {
        let layout = Layout::extract(shape, dtype)?;
        let fallback = context::memories_of(fallback)?;
        let mut options = BufferOptions::new(layout.bytes as u64)
            .memory(context::memory_of(memory)?)
            .fallback(&fallback)
            .alignment(alignment);
        let flags: [(bool, Set); 6] = [
            (require, BufferOptions::require),
            (shareable, BufferOptions::shareable),
            (writable_by_importers, BufferOptions::writable_by_importers),
            (commit, BufferOptions::commit),
            (host_visible, BufferOptions::host_visible),
            (uninitialized, BufferOptions::uninitialized),
        ];
        for (wanted, set) in flags {
            options = if wanted { set(options) } else { options };
        }
        if let Some(node) = numa_node {
            options = options.numa_node(node);
        }
        if let Some(device) = device {
            options = options.device(context::uuid_of(&device)?);
        }
        if let Some(peer) = peer {
            options = options.peer(peer.get());
        }
        let buffer =
            context.within(py, |context| Ok(lava::Buffer::allocate(context, &options)?))?;
        Self::wrap(buffer, layout)
    }

    /// Makes a buffer of what `export` gave, usually in another process. The descriptor stays the caller's.
    #[classmethod]
    #[pyo3(signature = (context, handle, fd, shape=None, dtype=None))]
    fn from_handle(
        _class: &Bound<'_, PyType>,
        py: Python<'_>,
        context: &Context,
        handle: &[u8],
        fd: i32,
        shape: Option<&Bound<'_, PyAny>>,
        dtype: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let bytes: [u8; BufferRecipe::SIZE] = handle.try_into().map_err(|_| {
            let (is, must) = (handle.len(), BufferRecipe::SIZE);
            Failure::argument(format!("a handle of {is} bytes; those of this version have {must}"))
        })?;
        if fd < 0 {
            return Err(Failure::argument(format!("descriptor {fd} is not one")).into());
        }
        // SAFETY: borrowed for this call; a number that is no open descriptor makes the duplication fail.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        let handle = BufferHandle::new(fd, BufferRecipe::from_bytes(bytes));
        let buffer = context.within(py, |context| Ok(lava::Buffer::import(context, &handle)?))?;
        let size = buffer.info().or_raise()?.size as usize;
        let layout = match shape {
            Some(shape) => Layout::extract(shape, dtype)?,
            None => Layout { bytes: size, tensor: None },
        };
        Self::wrap(buffer, layout)
    }

    /// A handle, as bytes, and a descriptor, which is the caller's to close: send both over a Unix socket
    /// (`socket.send_fds`), and give them to `from_handle` there.
    fn export<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, i32)> {
        let handle = self.handle()?.read().export().or_raise()?;
        let bytes = PyBytes::new(py, &handle.recipe().to_bytes());
        let fd = handle.as_fd().try_clone_to_owned()?;
        Ok((bytes, fd.into_raw_fd()))
    }

    #[getter]
    fn nbytes(&self) -> u64 {
        self.size()
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array().shape)
    }

    #[getter]
    fn dtype(&self) -> String {
        element::name(self.array().element)
    }

    /// What it is, never `auto`.
    #[getter]
    fn memory(&self) -> &'static str {
        context::memory_name(self.info.memory)
    }

    /// Why it is that, and what was tried before.
    #[getter]
    fn reason(&self) -> &str {
        &self.info.reason
    }

    /// UUID of the GPU whose memory it is.
    #[getter]
    fn device(&self) -> Option<String> {
        self.info.device.as_ref().map(ToString::to_string)
    }

    #[getter]
    fn shareable(&self) -> bool {
        self.info.shareable
    }

    #[getter]
    fn writable(&self) -> bool {
        !self.info.read_only
    }

    #[getter]
    fn closed(&self) -> bool {
        self.buffer.lock().is_none()
    }

    /// Copies bytes, also out of a GPU's memory.
    #[pyo3(signature = (offset=0, size=None))]
    fn read<'py>(
        &self,
        py: Python<'py>,
        offset: usize,
        size: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.unwrap_or(self.layout.bytes.saturating_sub(offset));
        let buffer = self.handle()?;
        PyBytes::new_with(py, size, |bytes| {
            py.detach(|| buffer.read().read(offset as u64, bytes)).or_raise()
        })
    }

    /// Copies bytes into it, also into a GPU's memory.
    #[pyo3(signature = (data, offset=0))]
    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>, offset: u64) -> PyResult<()> {
        let source = crate::source::Source::extract(data)?;
        let Some(bytes) = source.compact_bytes() else {
            return Err(Failure::argument("write() takes contiguous bytes on the host").into());
        };
        let buffer = self.handle()?;
        py.detach(|| buffer.write().write(offset, bytes)).or_raise()
    }

    /// Copies `size` bytes from another buffer, or from elsewhere in this one.
    #[pyo3(signature = (source, *, offset=0, source_offset=0, size=None))]
    fn copy_from(
        &self,
        py: Python<'_>,
        source: &Self,
        offset: u64,
        source_offset: u64,
        size: Option<u64>,
    ) -> PyResult<()> {
        let size = size.unwrap_or(source.size().saturating_sub(source_offset));
        let (to, from) = (self.handle()?, source.handle()?);
        if Arc::ptr_eq(&to, &from) {
            return py.detach(|| to.write().copy_within(offset, source_offset, size)).or_raise();
        }
        // Locked in the order of their addresses, so that two copies in opposite directions cannot wait for each other.
        py.detach(|| {
            if Arc::as_ptr(&to) < Arc::as_ptr(&from) {
                let mut to = to.write();
                to.copy_from(offset, &from.read(), source_offset, size)
            } else {
                let from = from.read();
                to.write().copy_from(offset, &from, source_offset, size)
            }
        })
        .or_raise()
    }

    /// Sets bytes to a value.
    #[pyo3(signature = (value, *, offset=0, size=None))]
    fn fill(&self, py: Python<'_>, value: u8, offset: u64, size: Option<u64>) -> PyResult<()> {
        let size = size.unwrap_or(self.size().saturating_sub(offset));
        let buffer = self.handle()?;
        py.detach(|| buffer.write().fill(offset, size, value)).or_raise()
    }

    /// Frees the memory as soon as no view and no frame of it is left.
    fn close(&self) -> PyResult<()> {
        self.birth.check()?;
        self.buffer.lock().take();
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close()
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
        let array = self.array();
        let shape = array.shape.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let comma = if array.shape.len() == 1 { "," } else { "" };
        let state = if self.closed() { ", closed" } else { "" };
        let dtype = element::name(array.element);
        format!(
            "<lava.Buffer{state}: {dtype} ({shape}{comma}), {} bytes of {} memory>",
            self.size(),
            self.memory()
        )
    }
}
