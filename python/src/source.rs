//! What can be sent: any object of the buffer protocol, of DLPack, or with CUDA's array interface.

use lava::DataType;
use pyo3::exceptions::PyException;
use pyo3::ffi;
use pyo3::prelude::*;
use smallvec::smallvec;

use crate::buffer::Buffer;
use crate::cuda;
use crate::dlpack;
use crate::element;
use crate::failure::Failure;
use crate::frame::Frame;
use crate::interface;
use crate::payload::{Place, Shown};
use crate::protocol::Show;
use crate::tensor::{Array, Numbers};

/// Payloads up to this many bytes are copied without giving up the interpreter's lock, which costs as much.
const SMALL: usize = 64 << 10;

/// An array of another object, held until this is dropped.
pub(crate) struct Source {
    pub(crate) array: Array,
    place: Place,
    _keep: Keep,
}

#[allow(dead_code, reason = "held, not looked at")]
enum Keep {
    View(View),
    Foreign(dlpack::Foreign),
    Object(Py<PyAny>),
    Own(Shown),
}

// SAFETY: the addresses are those of memory that `_keep` holds; it is dropped while attached to the interpreter, where
// it was made.
unsafe impl Sync for Source {}

/// Why an object's protocols gave nothing.
#[derive(Default)]
struct Refusals(Vec<(&'static str, PyErr)>);

impl Refusals {
    /// What a protocol gave; `None`, if it failed and another may be tried.
    fn hear(
        &mut self,
        protocol: &'static str,
        answer: PyResult<Source>,
    ) -> PyResult<Option<Source>> {
        match answer {
            Ok(source) => Ok(Some(source)),
            Err(error) => Python::attach(|py| match error.is_instance_of::<PyException>(py) {
                true => {
                    self.0.push((protocol, error));
                    Ok(None)
                }
                false => Err(error),
            }),
        }
    }

    /// The error of the first protocol, with those of the others as notes.
    fn reason(self, object: &Bound<'_, PyAny>) -> PyResult<PyErr> {
        let py = object.py();
        let mut refusals = self.0.into_iter();
        let Some((_, error)) = refusals.next() else {
            let kind = object.get_type().name()?;
            return Ok(Failure::argument(format!(
                "an object of type {kind} cannot be sent; give bytes, an array (buffer protocol, DLPack, \
                 __cuda_array_interface__), a lava.Buffer or a loan"
            ))
            .into());
        };
        for (protocol, other) in refusals {
            error.add_note(py, format!("by {protocol}: {other}"))?;
        }
        Ok(error)
    }
}

/// A filled `Py_buffer`. Boxed, because the exporter may remember its address.
struct View(Box<ffi::Py_buffer>);

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: filled by `PyObject_GetBuffer`, released once, while attached: a source never leaves its call.
        unsafe { ffi::PyBuffer_Release(&mut *self.0) }
    }
}

impl Source {
    pub(crate) fn extract(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(frame) = object.cast::<Frame>() {
            return Self::own(frame.get().shown()?);
        }
        if let Ok(buffer) = object.cast::<Buffer>() {
            return Self::own(buffer.get().shown()?);
        }
        let mut refusals = Refusals::default();
        // SAFETY: a live object.
        if unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) } == 1
            && let Some(source) = refusals.hear("the buffer protocol", Self::of_buffer(object))?
        {
            return Ok(source);
        }
        // Before CUDA's interface, which knows fewer types.
        if object.hasattr("__dlpack__")?
            && let Some(source) = refusals.hear("__dlpack__", Self::of_dlpack(object))?
        {
            return Ok(source);
        }
        // An object without it need not be told so.
        if object.hasattr("__cuda_array_interface__").unwrap_or(true)
            && let Some(source) =
                refusals.hear("__cuda_array_interface__", Self::of_cuda(object))?
        {
            return Ok(source);
        }
        Err(refusals.reason(object)?)
    }

    fn of_dlpack(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let foreign = dlpack::import(object)?;
        let (array, place) = (foreign.array.clone(), foreign.place);
        Ok(Self { array, place, _keep: Keep::Foreign(foreign) })
    }

    fn of_cuda(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let dictionary = object.getattr("__cuda_array_interface__")?;
        let interface::Foreign { array, pointer, context } = interface::import(&dictionary)?;
        let place = Place::Cuda { pointer, ordinal: 0, context };
        Ok(Self { array, place, _keep: Keep::Object(object.clone().unbind()) })
    }

    fn own(shown: Shown) -> PyResult<Self> {
        Ok(Self { array: shown.array.clone(), place: shown.place, _keep: Keep::Own(shown) })
    }

    fn of_buffer(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match View::new(object) {
            Ok(view) => Self::of_view(view, None),
            // NumPy arrays of types for which the buffer protocol has no letter, such as those of ml_dtypes.
            Err(error) => match extension_type(object)? {
                Some(element) => {
                    let code = if element.bits == 8 { "u1" } else { "u2" };
                    Self::of_view(View::new(&object.call_method1("view", (code,))?)?, Some(element))
                }
                None => Err(error),
            },
        }
    }

    fn of_view(view: View, element: Option<DataType>) -> PyResult<Self> {
        let raw = &*view.0;
        let count = usize::try_from(raw.ndim).unwrap_or(0);
        let list = |start: *const isize| match start.is_null() {
            true => None,
            // SAFETY: the protocol says that there are so many.
            false => Some(
                unsafe { std::slice::from_raw_parts(start, count) }
                    .iter()
                    .map(|n| *n as i64)
                    .collect(),
            ),
        };
        let format = match raw.format.is_null() {
            true => std::borrow::Cow::Borrowed("B"),
            // SAFETY: a text that ends with NUL, as long as the view lives.
            false => unsafe { std::ffi::CStr::from_ptr(raw.format) }.to_string_lossy(),
        };
        let item = raw.itemsize.max(1) as usize;
        let element = match element.or_else(|| element::from_format(&format, item)) {
            Some(element) => element,
            None => {
                return Err(Failure::argument(format!(
                    "an array of format '{format}' has no dtype that can be sent; send its bytes: \
                     memoryview(array).cast('B')"
                ))
                .into());
            }
        };
        let shape: Numbers = match list(raw.shape) {
            Some(shape) => shape,
            None if count == 0 => Numbers::new(),
            None => smallvec![raw.len as i64 / item as i64],
        };
        let steps = |strides: Numbers| strides.iter().map(|step| step / item as i64).collect();
        let array = Array::foreign(element, shape, list(raw.strides).map(steps))?;
        Ok(Self { array, place: Place::Host(raw.buf.cast()), _keep: Keep::View(view) })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.array.bytes()
    }

    /// The bytes, where the CPU can reach them and they lie together.
    pub(crate) fn compact_bytes(&self) -> Option<&[u8]> {
        let size = self.bytes();
        match self.place {
            _ if size == 0 => Some(&[]),
            Place::Host(start) if self.array.is_compact() => {
                let start = start.wrapping_add(self.array.byte_offset);
                // SAFETY: so many bytes, which `_keep` holds. They are only copied: what another thread writes meanwhile
                // spoils the copy alone.
                Some(unsafe { std::slice::from_raw_parts(start, size) })
            }
            _ => None,
        }
    }

    /// Copies everything into a loan of that many bytes, and tells how many copies that took.
    pub(crate) fn copy_to(&self, py: Python<'_>, loan: &mut lava::Loan) -> PyResult<u32> {
        let size = self.bytes();
        if size == 0 {
            return Ok(0);
        }
        let to = loan.bytes_mut().ok().map(|bytes| Place::Host(bytes.as_mut_ptr()));
        match (self.place, to) {
            (Place::Cuda { pointer, context, .. }, to) => {
                if !self.array.is_compact() {
                    return Err(Failure::argument(
                        "a GPU array that is not contiguous cannot be sent; call .contiguous()",
                    )
                    .into());
                }
                let from = pointer + self.array.byte_offset as u64;
                py.detach(|| copy_from_gpu(context, from, size, to, loan))?;
                Ok(1)
            }
            (Place::Host(_), Some(Place::Host(to))) => {
                // SAFETY: a loan of `size` bytes that is this call's alone.
                self.detach_if_large(py, || unsafe { self.gather(to) });
                Ok(1)
            }
            (Place::Host(_), _) => {
                if let Some(bytes) = self.compact_bytes() {
                    py.detach(|| loan.write_at(0, bytes)).map_err(Failure::from)?;
                    return Ok(1);
                }
                let mut bytes = vec![0u8; size];
                // SAFETY: as many bytes as there are.
                unsafe { self.gather(bytes.as_mut_ptr()) };
                py.detach(|| loan.write_at(0, &bytes)).map_err(Failure::from)?;
                Ok(2)
            }
        }
    }

    fn detach_if_large(&self, py: Python<'_>, work: impl FnOnce()) {
        if self.bytes() > SMALL {
            let work = Ungil(work);
            py.detach(move || work.run());
        } else {
            work();
        }
    }

    /// # Safety
    /// The bytes must be on the host, and `to` be valid for all of them.
    unsafe fn gather(&self, to: *mut u8) {
        if let Place::Host(start) = self.place {
            // SAFETY: the exporter says that all elements can be read; `to` by the caller's promise.
            unsafe { self.array.gather(start.wrapping_add(self.array.byte_offset), to) }
        }
    }
}

/// Work that touches memory only, never Python.
struct Ungil<F>(F);

// SAFETY: `detach` runs it in this very thread.
unsafe impl<F> Send for Ungil<F> {}

impl<F: FnOnce()> Ungil<F> {
    fn run(self) {
        (self.0)();
    }
}

fn copy_from_gpu(
    context: u64,
    from: u64,
    size: usize,
    to: Option<Place>,
    loan: &mut lava::Loan,
) -> Result<(), Failure> {
    match to {
        // SAFETY: the object says that it has so many bytes there; the loan has as many.
        Some(Place::Host(to)) => unsafe { cuda::copy_to_host(context, to, from, size) },
        _ => {
            let view = loan.cuda()?;
            // SAFETY: as above.
            unsafe { cuda::copy_within(view.context, view.device_pointer, from, size) }
        }
    }
}

impl View {
    fn new(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut raw = Box::new(ffi::Py_buffer::new());
        // SAFETY: a live object and a place for the answer.
        match unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut *raw, ffi::PyBUF_RECORDS_RO) }
        {
            0 => Ok(Self(raw)),
            _ => Err(PyErr::fetch(object.py())),
        }
    }
}

/// The type of an array that tells it by name only.
fn extension_type(object: &Bound<'_, PyAny>) -> PyResult<Option<DataType>> {
    let Some(dtype) = object.getattr_opt("dtype")? else { return Ok(None) };
    let element = element::extract(&dtype).ok();
    Ok(element.filter(|element| {
        element::letter(*element).is_none() && object.hasattr("view").unwrap_or(false)
    }))
}
