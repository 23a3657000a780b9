//! DLPack, versions 0 and 1, both ways.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyCapsule, PyDict};

use crate::cuda::{self, Stream};
use crate::element;
use crate::failure::Failure;
use crate::payload::{Memory, OwnBytes, Payload, Place, Shown};
use crate::tensor::{Array, Numbers, compact};

const CPU: i32 = 1;
const CUDA: i32 = 2;
const CUDA_HOST: i32 = 3;
const CUDA_MANAGED: i32 = 13;

const READ_ONLY: u64 = 1;
const IS_COPIED: u64 = 2;
/// The version that is exported.
const VERSION: Version = Version { major: 1, minor: 0 };

const NAME: &CStr = c"dltensor_versioned";
const USED: &CStr = c"used_dltensor_versioned";
const LEGACY_NAME: &CStr = c"dltensor";
const LEGACY_USED: &CStr = c"used_dltensor";

#[repr(C)]
#[derive(Clone, Copy)]
struct Version {
    major: u32,
    minor: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Device {
    kind: i32,
    number: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Type {
    code: u8,
    bits: u8,
    lanes: u16,
}

/// `DLTensor`.
#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device: Device,
    dimensions: i32,
    element: Type,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct Managed {
    version: Version,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
    flags: u64,
    tensor: Tensor,
}

/// `DLManagedTensor`, of version 0.
#[repr(C)]
struct LegacyManaged {
    tensor: Tensor,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut LegacyManaged)>,
}

/// What an exported tensor refers to.
struct Hold {
    shape: Numbers,
    strides: Numbers,
    _payload: Arc<Payload>,
}

/// The arguments of `__dlpack__`.
pub(crate) struct Request {
    pub(crate) stream: Option<i64>,
    pub(crate) max_version: Option<(u32, u32)>,
    pub(crate) device: Option<(i32, i32)>,
    pub(crate) copy: Option<bool>,
}

fn refuse(why: impl Into<String>) -> PyErr {
    PyBufferError::new_err(why.into())
}

/// The device type and number of `__dlpack_device__`.
pub(crate) fn device(place: Place) -> (i32, i32) {
    match place {
        Place::Host(_) => (CPU, 0),
        Place::Cuda { ordinal, .. } => (CUDA, ordinal),
    }
}

/// Makes a capsule. `read` copies the payload's bytes to the host, for memory that is elsewhere or that cannot be had in
/// place.
pub(crate) fn export<'py>(
    py: Python<'py>,
    shown: Shown,
    request: &Request,
) -> PyResult<Bound<'py, PyAny>> {
    let here = device(shown.place);
    let wanted = request.device.unwrap_or(here);
    if wanted != here && wanted != (CPU, 0) {
        return Err(refuse(format!(
            "the memory is on DLPack device {here:?}, and cannot be had on {wanted:?}"
        )));
    }
    let copied = request.copy == Some(true) || wanted != here;
    if copied && request.copy == Some(false) {
        return Err(refuse("the memory is a GPU's: without a copy it cannot be had on the CPU"));
    }
    let shown = if copied { copy(py, shown)? } else { shown };
    order(&shown, request.stream)?;
    let versioned = request.max_version.is_some_and(|version| version >= (1, 0));
    let on_host = matches!(shown.place, Place::Host(_));
    if !versioned && shown.read_only && on_host {
        return Err(refuse(
            "a received frame is read-only, which DLPack before 1.0 cannot say: use a library that asks for \
             max_version=(1, 0) (NumPy 2.1, PyTorch 2.9, CuPy 14), numpy.asarray, or copy=True",
        ));
    }
    let flags = if shown.read_only { READ_ONLY } else { 0 } | if copied { IS_COPIED } else { 0 };
    let (tensor, context) = tensor_of(shown);
    if versioned {
        let managed = Managed { version: VERSION, context, deleter: Some(delete), flags, tensor };
        capsule(py, managed, NAME, drop_capsule)
    } else {
        capsule(
            py,
            LegacyManaged { tensor, context, deleter: Some(delete_legacy) },
            LEGACY_NAME,
            drop_legacy_capsule,
        )
    }
}

/// The array in memory of this process alone.
fn copy(py: Python<'_>, shown: Shown) -> PyResult<Shown> {
    if matches!(shown.place, Place::Cuda { .. }) && !shown.array.is_compact() {
        return Err(refuse("an array that is not contiguous cannot be copied from a GPU"));
    }
    let size = shown.array.bytes();
    let own = OwnBytes::new(size);
    let to = own.start();
    let offset = shown.array.byte_offset;
    let mut array =
        Array { strides: compact(&shown.array.shape), byte_offset: 0, ..shown.array.clone() };
    if let Some(from) = shown.host() {
        // SAFETY: every element lies within the payload, as was checked when the tensor was set or received, and `to` has
        // `size` bytes; a producer that writes meanwhile spoils the copy only.
        unsafe { shown.array.gather(from, to) };
    } else {
        // SAFETY: new memory of that size, of which nobody else knows yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(to, size) };
        py.detach(|| shown.payload.read(offset, bytes))?;
    }
    array.byte_offset = 0;
    Ok(Shown {
        payload: Payload::new(Memory::Own(own)),
        place: Place::Host(to),
        read_only: false,
        array,
    })
}

/// Lets the consumer's stream wait for the bytes, and remembers it for the release.
fn order(shown: &Shown, stream: Option<i64>) -> PyResult<()> {
    if matches!(shown.place, Place::Host(_)) {
        return match stream {
            None | Some(-1) => Ok(()),
            Some(other) => {
                Err(refuse(format!("stream is {other}, but the memory is the CPU's; give None")))
            }
        };
    }
    let stream = match stream {
        None => Stream::Known(cuda::LEGACY),
        Some(-1) => Stream::Any,
        Some(0) => {
            return Err(
                Failure::argument("stream 0 may mean two things in CUDA; give 1 or 2").into()
            );
        }
        Some(number) => Stream::Known(
            usize::try_from(number)
                .map_err(|_| Failure::argument(format!("stream {number} is not a CUDA stream")))?,
        ),
    };
    if let (Stream::Known(number), Some(frame)) = (stream, shown.payload.frame()) {
        // SAFETY: the consumer gave the stream, of the device that it asked about, by the protocol.
        unsafe { cuda::follow_frame(number, frame)? };
    }
    shown.payload.note(stream);
    Ok(())
}

/// The tensor, and what it refers to.
fn tensor_of(shown: Shown) -> (Tensor, *mut c_void) {
    let (kind, number) = device(shown.place);
    let data = match shown.place {
        Place::Host(start) => start.wrapping_add(shown.array.byte_offset).cast(),
        Place::Cuda { pointer, .. } => (pointer as usize + shown.array.byte_offset) as *mut c_void,
    };
    let (code, bits, lanes) = element::code(shown.array.element);
    let hold = Box::new(Hold {
        shape: shown.array.shape,
        strides: shown.array.strides,
        _payload: shown.payload,
    });
    let tensor = Tensor {
        data,
        device: Device { kind, number },
        dimensions: hold.shape.len() as i32,
        element: Type { code, bits, lanes },
        shape: hold.shape.as_ptr().cast_mut(),
        strides: hold.strides.as_ptr().cast_mut(),
        byte_offset: 0,
    };
    (tensor, Box::into_raw(hold).cast())
}

fn capsule<'py, T>(
    py: Python<'py>,
    managed: T,
    name: &'static CStr,
    destroy: unsafe extern "C" fn(*mut ffi::PyObject),
) -> PyResult<Bound<'py, PyAny>> {
    let pointer = Box::into_raw(Box::new(managed));
    // SAFETY: the pointer is not NULL and the name is static. A failure leaks a few bytes, as only out of memory can fail.
    unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyCapsule_New(pointer.cast(), name.as_ptr(), Some(destroy)),
        )
    }
}

unsafe extern "C" fn delete(managed: *mut Managed) {
    // SAFETY: made by `capsule` and `tensor_of`, and deleted once by the protocol.
    unsafe {
        let managed = Box::from_raw(managed);
        drop(Box::from_raw(managed.context.cast::<Hold>()));
    }
}

unsafe extern "C" fn delete_legacy(managed: *mut LegacyManaged) {
    // SAFETY: as in `delete`.
    unsafe {
        let managed = Box::from_raw(managed);
        drop(Box::from_raw(managed.context.cast::<Hold>()));
    }
}

/// Destroys a capsule that nobody has used.
unsafe extern "C" fn drop_capsule(capsule: *mut ffi::PyObject) {
    // SAFETY: called by the capsule's end; a used one has another name.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, NAME.as_ptr()) == 1 {
            delete(ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr()).cast());
        }
    }
}

unsafe extern "C" fn drop_legacy_capsule(capsule: *mut ffi::PyObject) {
    // SAFETY: as in `drop_capsule`.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, LEGACY_NAME.as_ptr()) == 1 {
            delete_legacy(ffi::PyCapsule_GetPointer(capsule, LEGACY_NAME.as_ptr()).cast());
        }
    }
}

/// A tensor of another library; given back when it is dropped.
pub(crate) struct Foreign {
    managed: Either,
    pub(crate) array: Array,
    pub(crate) place: Place,
}

enum Either {
    Versioned(NonNull<Managed>),
    Legacy(NonNull<LegacyManaged>),
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SAFETY: taken over from the capsule, so the deleter is ours to call, once.
        unsafe {
            match self.managed {
                Either::Versioned(managed) => {
                    if let Some(deleter) = managed.as_ref().deleter {
                        deleter(managed.as_ptr());
                    }
                }
                Either::Legacy(managed) => {
                    if let Some(deleter) = managed.as_ref().deleter {
                        deleter(managed.as_ptr());
                    }
                }
            }
        }
    }
}

/// Takes an object's tensor, as it is after the work in CUDA's legacy stream.
pub(crate) fn import(object: &Bound<'_, PyAny>) -> PyResult<Foreign> {
    let py = object.py();
    let (kind, _): (i32, i32) = object.call_method0("__dlpack_device__")?.extract()?;
    let arguments = PyDict::new(py);
    if matches!(kind, CUDA | CUDA_MANAGED) {
        arguments.set_item("stream", cuda::LEGACY)?;
    }
    let versioned = arguments.copy()?;
    versioned.set_item("max_version", (1, 0))?;
    let capsule = match object.call_method("__dlpack__", (), Some(&versioned)) {
        // Libraries of before version 1 do not know the argument.
        Err(error) if error.is_instance_of::<PyTypeError>(py) => {
            object.call_method("__dlpack__", (), Some(&arguments.into_py_dict(py)?))?
        }
        result => result?,
    };
    consume(capsule.cast::<PyCapsule>().map_err(PyErr::from)?)
}

/// Takes over what a capsule has.
fn consume(capsule: &Bound<'_, PyCapsule>) -> PyResult<Foreign> {
    let object = capsule.as_ptr();
    let take = |name: &CStr, used: &CStr| -> PyResult<Option<NonNull<c_void>>> {
        // SAFETY: a capsule; its name is compared by the call.
        if unsafe { ffi::PyCapsule_IsValid(object, name.as_ptr()) } != 1 {
            return Ok(None);
        }
        // SAFETY: it has that name. Renaming it is how the protocol passes ownership.
        let pointer = unsafe {
            let pointer = ffi::PyCapsule_GetPointer(object, name.as_ptr());
            if ffi::PyCapsule_SetName(object, used.as_ptr()) != 0 {
                return Err(PyErr::fetch(capsule.py()));
            }
            pointer
        };
        Ok(NonNull::new(pointer))
    };
    if let Some(pointer) = take(NAME, USED)? {
        let managed = pointer.cast::<Managed>();
        // SAFETY: the capsule's name says what it has.
        let version = unsafe { (*managed.as_ptr()).version };
        if version.major != VERSION.major {
            // SAFETY: version and deleter stay where they are in all versions.
            unsafe {
                if let Some(deleter) = managed.as_ref().deleter {
                    deleter(managed.as_ptr());
                }
            }
            let Version { major, minor } = version;
            return Err(refuse(format!(
                "the object gives DLPack {major}.{minor}, this module knows 1"
            )));
        }
        // SAFETY: as above.
        return foreign(Either::Versioned(managed), unsafe { &(*managed.as_ptr()).tensor });
    }
    if let Some(pointer) = take(LEGACY_NAME, LEGACY_USED)? {
        let managed = pointer.cast::<LegacyManaged>();
        // SAFETY: the capsule's name says what it has.
        return foreign(Either::Legacy(managed), unsafe { &(*managed.as_ptr()).tensor });
    }
    Err(refuse("the object's __dlpack__ gave a capsule that is none of DLPack's, or a used one"))
}

fn foreign(managed: Either, tensor: &Tensor) -> PyResult<Foreign> {
    let unknown = Place::Host(std::ptr::null_mut());
    let array = Array {
        element: element::UINT8,
        shape: Numbers::new(),
        strides: Numbers::new(),
        byte_offset: 0,
    };
    // From here on it is given back in every case.
    let mut foreign = Foreign { managed, array, place: unknown };
    let dimensions = usize::try_from(tensor.dimensions)
        .map_err(|_| refuse("the tensor has a negative dimension count"))?;
    let list = |start: *const i64| match start.is_null() || dimensions == 0 {
        true => Numbers::new(),
        // SAFETY: the protocol says that there are so many.
        false => Numbers::from_slice(unsafe { std::slice::from_raw_parts(start, dimensions) }),
    };
    let shape = list(tensor.shape);
    let strides = (!tensor.strides.is_null()).then(|| list(tensor.strides));
    let Type { code, bits, lanes } = tensor.element;
    foreign.array = Array::foreign(element::from_code(code, bits, lanes), shape, strides)?;
    let start = tensor.data as usize + tensor.byte_offset as usize;
    foreign.place = match tensor.device.kind {
        CPU | CUDA_HOST => Place::Host(start as *mut u8),
        CUDA | CUDA_MANAGED => {
            let context =
                if foreign.array.bytes() == 0 { 0 } else { cuda::context_of(start as u64)? };
            Place::Cuda { pointer: start as u64, ordinal: tensor.device.number, context }
        }
        other => {
            return Err(refuse(format!(
                "memory of DLPack device type {other} cannot be sent; copy it to the CPU"
            )));
        }
    };
    Ok(foreign)
}
