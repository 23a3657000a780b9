//! The few functions of CUDA's driver that the example needs itself, from the library that lava has loaded as well.

use std::ffi::{c_char, c_int, c_uint, c_void};

use lava::CudaView;

type Code = c_int;
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A stream of the primary context of one GPU.
pub struct Stream {
    library: libloading::Library,
    context: *mut c_void,
    raw: *mut c_void,
}

impl Stream {
    pub fn new(view: &CudaView) -> Result<Self> {
        // SAFETY: CUDA's driver, which lava has loaded already to make the view.
        let library = unsafe { libloading::Library::new("libcuda.so.1") }?;
        let context = view.context as usize as *mut c_void;
        let mut stream = Self { library, context, raw: std::ptr::null_mut() };
        let mut raw = std::ptr::null_mut();
        // SAFETY: cuStreamCreate(CUstream *, unsigned flags); 1: does not wait for the default stream.
        stream.call("cuStreamCreate", |create: unsafe extern "C" fn(_, _) -> _| unsafe {
            create(&raw mut raw, 1 as c_uint)
        })?;
        stream.raw = raw;
        Ok(stream)
    }

    pub fn raw(&self) -> *mut c_void {
        self.raw
    }

    /// Copies from the GPU, in the stream. The bytes are there after [`Stream::finish`].
    pub fn read(&self, from: u64, to: &mut [u8]) -> Result<()> {
        // SAFETY: cuMemcpyDtoHAsync_v2(void *, CUdeviceptr, size_t, CUstream); the callers finish before `to` ends.
        self.call("cuMemcpyDtoHAsync_v2", |copy: unsafe extern "C" fn(_, _, _, _) -> _| unsafe {
            copy(to.as_mut_ptr().cast::<c_void>(), from, to.len(), self.raw)
        })
    }

    /// Copies to the GPU, in the stream.
    pub fn write(&self, to: u64, from: &[u8]) -> Result<()> {
        // SAFETY: cuMemcpyHtoDAsync_v2(CUdeviceptr, const void *, size_t, CUstream); pageable memory is copied at once.
        self.call("cuMemcpyHtoDAsync_v2", |copy: unsafe extern "C" fn(_, _, _, _) -> _| unsafe {
            copy(to, from.as_ptr().cast::<c_void>(), from.len(), self.raw)
        })
    }

    /// Waits until all is done.
    pub fn finish(&self) -> Result<()> {
        // SAFETY: cuStreamSynchronize(CUstream).
        self.call("cuStreamSynchronize", |finish: unsafe extern "C" fn(_) -> _| unsafe {
            finish(self.raw)
        })
    }

    /// Calls the function of this name, of type `F`, in the GPU's context.
    fn call<F: Copy>(&self, name: &str, call: impl FnOnce(F) -> Code) -> Result<()> {
        // SAFETY: the callers' types are those of cuda.h for the names; the context is that of a live view.
        let code = unsafe {
            let push: unsafe extern "C" fn(*mut c_void) -> Code =
                *self.library.get(b"cuCtxPushCurrent_v2")?;
            let pop: unsafe extern "C" fn(*mut *mut c_void) -> Code =
                *self.library.get(b"cuCtxPopCurrent_v2")?;
            let function: F = *self.library.get(name.as_bytes())?;
            if push(self.context) != 0 {
                return Err("cuCtxPushCurrent failed".into());
            }
            let code = call(function);
            let mut popped = std::ptr::null_mut();
            pop(&raw mut popped);
            code
        };
        if code == 0 { Ok(()) } else { Err(format!("{name}: {}", self.name_of(code)).into()) }
    }

    fn name_of(&self, code: Code) -> String {
        type GetName = unsafe extern "C" fn(Code, *mut *const c_char) -> Code;
        let mut name = std::ptr::null();
        // SAFETY: cuGetErrorName; its texts are constant.
        unsafe {
            let get = self.library.get::<GetName>(b"cuGetErrorName");
            match get.map(|get| get(code, &raw mut name)) {
                Ok(0) if !name.is_null() => {
                    std::ffi::CStr::from_ptr(name).to_string_lossy().into_owned()
                }
                _ => format!("CUresult {code}"),
            }
        }
    }
}
