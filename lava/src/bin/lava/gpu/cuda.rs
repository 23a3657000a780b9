//! The few functions of CUDA's driver that checks and measurements need, loaded at run time. Its absence is normal.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;

use lava::Uuid;
use libloading::Library;

type Status = c_int;

/// CUDA's driver on one GPU, with the GPU's primary context.
#[derive(Debug)]
pub struct Cuda {
    calls: Calls,
    device: c_int,
}

#[derive(Debug)]
struct Calls {
    error_string: unsafe extern "C" fn(Status, *mut *const c_char) -> Status,
    init: unsafe extern "C" fn(c_uint) -> Status,
    device_count: unsafe extern "C" fn(*mut c_int) -> Status,
    device: unsafe extern "C" fn(*mut c_int, c_int) -> Status,
    device_uuid: unsafe extern "C" fn(*mut [u8; 16], c_int) -> Status,
    retain: unsafe extern "C" fn(*mut *mut c_void, c_int) -> Status,
    release: unsafe extern "C" fn(c_int) -> Status,
    set_current: unsafe extern "C" fn(*mut c_void) -> Status,
    synchronize: unsafe extern "C" fn() -> Status,
    allocate: unsafe extern "C" fn(*mut u64, usize) -> Status,
    free: unsafe extern "C" fn(u64) -> Status,
    allocate_host: unsafe extern "C" fn(*mut *mut c_void, usize, c_uint) -> Status,
    free_host: unsafe extern "C" fn(*mut c_void) -> Status,
    to_device: unsafe extern "C" fn(u64, *const c_void, usize) -> Status,
    to_host: unsafe extern "C" fn(*mut c_void, u64, usize) -> Status,
    within: unsafe extern "C" fn(u64, u64, usize) -> Status,
    /// Keeps the functions above mapped.
    _library: Library,
}

impl Calls {
    fn load() -> Result<Self, libloading::Error> {
        // SAFETY: CUDA's driver library runs no code at its loading that could break this process.
        let library = unsafe { Library::new("libcuda.so.1")? };
        macro_rules! call {
            ($name:literal) => {
                // SAFETY: the field has the type that cuda.h gives this function.
                unsafe { *library.get($name)? }
            };
        }
        Ok(Calls {
            error_string: call!(b"cuGetErrorString\0"),
            init: call!(b"cuInit\0"),
            device_count: call!(b"cuDeviceGetCount\0"),
            device: call!(b"cuDeviceGet\0"),
            device_uuid: call!(b"cuDeviceGetUuid\0"),
            retain: call!(b"cuDevicePrimaryCtxRetain\0"),
            release: call!(b"cuDevicePrimaryCtxRelease_v2\0"),
            set_current: call!(b"cuCtxSetCurrent\0"),
            synchronize: call!(b"cuCtxSynchronize\0"),
            allocate: call!(b"cuMemAlloc_v2\0"),
            free: call!(b"cuMemFree_v2\0"),
            allocate_host: call!(b"cuMemHostAlloc\0"),
            free_host: call!(b"cuMemFreeHost\0"),
            to_device: call!(b"cuMemcpyHtoD_v2\0"),
            to_host: call!(b"cuMemcpyDtoH_v2\0"),
            within: call!(b"cuMemcpyDtoD_v2\0"),
            _library: library,
        })
    }

    fn check(&self, what: &str, status: Status) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        let mut text = std::ptr::null();
        // SAFETY: the place is valid; the text is CUDA's own and lives as long as the library.
        let text = unsafe {
            (self.error_string)(status, &raw mut text);
            if text.is_null() { c"unknown" } else { CStr::from_ptr(text) }
        };
        Err(format!("{what}: CUDA error {status}, {}", text.to_string_lossy()))
    }

    /// CUDA's number of the GPU with this UUID.
    fn find(&self, uuid: Uuid) -> Result<c_int, String> {
        let mut count = 0;
        // SAFETY: `init` has succeeded; every place is valid.
        self.check("cuDeviceGetCount", unsafe { (self.device_count)(&raw mut count) })?;
        for ordinal in 0..count {
            let (mut device, mut own) = (0, [0; 16]);
            // SAFETY: as above.
            self.check("cuDeviceGet", unsafe { (self.device)(&raw mut device, ordinal) })?;
            // SAFETY: as above.
            self.check("cuDeviceGetUuid", unsafe { (self.device_uuid)(&raw mut own, device) })?;
            if own == *uuid.as_bytes() {
                return Ok(device);
            }
        }
        Err(format!("none of CUDA's {count} devices has the UUID {uuid}"))
    }
}

impl Cuda {
    /// CUDA on the GPU with this UUID, its context current in this thread; the error says why there is none.
    pub fn open(uuid: Uuid) -> Result<Self, String> {
        let calls = Calls::load().map_err(|error| format!("no CUDA: {error}"))?;
        // SAFETY: 0 is the only allowed flag.
        calls.check("cuInit", unsafe { (calls.init)(0) })?;
        let device = calls.find(uuid)?;
        let mut context = std::ptr::null_mut();
        // SAFETY: the device is CUDA's own; the place is valid.
        calls.check("cuDevicePrimaryCtxRetain", unsafe {
            (calls.retain)(&raw mut context, device)
        })?;
        let cuda = Cuda { calls, device };
        // SAFETY: the context is retained until the drop.
        cuda.calls.check("cuCtxSetCurrent", unsafe { (cuda.calls.set_current)(context) })?;
        Ok(cuda)
    }

    /// New device memory, filled with repetitions of `content`.
    pub fn device_memory(&self, size: usize, content: &[u8]) -> Result<DeviceMemory<'_>, String> {
        let mut address = 0;
        // SAFETY: the context is current; the place is valid.
        self.calls.check("cuMemAlloc", unsafe { (self.calls.allocate)(&raw mut address, size) })?;
        let memory = DeviceMemory { cuda: self, address, size };
        for at in (0..size).step_by(content.len().max(1)) {
            let length = content.len().min(size - at);
            // SAFETY: the range is within the new memory; the content has that length.
            let status = unsafe {
                (self.calls.to_device)(address + at as u64, content.as_ptr().cast(), length)
            };
            self.calls.check("cuMemcpyHtoD", status)?;
        }
        Ok(memory)
    }

    /// New pinned host memory, filled with repetitions of `content`.
    pub fn pinned_memory(&self, size: usize, content: &[u8]) -> Result<PinnedMemory<'_>, String> {
        let mut start = std::ptr::null_mut();
        // SAFETY: the context is current; the place is valid; 0 are no flags.
        self.calls.check("cuMemHostAlloc", unsafe {
            (self.calls.allocate_host)(&raw mut start, size, 0)
        })?;
        let start = NonNull::new(start.cast::<u8>()).ok_or("cuMemHostAlloc gave NULL")?;
        for at in (0..size).step_by(content.len().max(1)) {
            let length = content.len().min(size - at);
            // SAFETY: the range is within the new memory, which is not the content's.
            unsafe { start.add(at).as_ptr().copy_from_nonoverlapping(content.as_ptr(), length) };
        }
        Ok(PinnedMemory { cuda: self, start, size })
    }

    /// Copies `target.len()` bytes from an address of the device, and waits.
    ///
    /// # Safety
    /// The address must be the device's and have so many bytes.
    pub unsafe fn read(&self, target: &mut [u8], address: u64) -> Result<(), String> {
        // SAFETY: the caller's promise; the target has its length.
        let status =
            unsafe { (self.calls.to_host)(target.as_mut_ptr().cast(), address, target.len()) };
        self.calls.check("cuMemcpyDtoH", status)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // SAFETY: retained once by `open`; memory of the context borrows `self` and is gone.
        unsafe { (self.calls.release)(self.device) };
    }
}

/// Memory of the GPU.
#[derive(Debug)]
pub struct DeviceMemory<'a> {
    cuda: &'a Cuda,
    address: u64,
    size: usize,
}

impl DeviceMemory<'_> {
    /// Copies the whole of `source`, which has the same size, within the GPU, and waits.
    pub fn copy_from(&mut self, source: &DeviceMemory<'_>) -> Result<(), String> {
        let (calls, size) = (&self.cuda.calls, self.size.min(source.size));
        // SAFETY: both have `size` bytes.
        let status = unsafe { (calls.within)(self.address, source.address, size) };
        calls.check("cuMemcpyDtoD", status)?;
        // SAFETY: the context is current.
        calls.check("cuCtxSynchronize", unsafe { (calls.synchronize)() })
    }

    /// Copies from pinned memory of the same size, and waits.
    pub fn upload(&mut self, source: &PinnedMemory<'_>) -> Result<(), String> {
        let (calls, size) = (&self.cuda.calls, self.size.min(source.size));
        // SAFETY: both have `size` bytes.
        let status = unsafe { (calls.to_device)(self.address, source.start.as_ptr().cast(), size) };
        calls.check("cuMemcpyHtoD", status)?;
        // SAFETY: the context is current.
        calls.check("cuCtxSynchronize", unsafe { (calls.synchronize)() })
    }

    /// Copies to pinned memory of the same size, and waits.
    pub fn download(&self, target: &mut PinnedMemory<'_>) -> Result<(), String> {
        let (calls, size) = (&self.cuda.calls, self.size.min(target.size));
        // SAFETY: both have `size` bytes.
        let status = unsafe { (calls.to_host)(target.start.as_ptr().cast(), self.address, size) };
        calls.check("cuMemcpyDtoH", status)
    }
}

impl Drop for DeviceMemory<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated by this context and not used again.
        unsafe { (self.cuda.calls.free)(self.address) };
    }
}

/// Locked host memory that the GPU reaches directly.
#[derive(Debug)]
pub struct PinnedMemory<'a> {
    cuda: &'a Cuda,
    start: NonNull<u8>,
    size: usize,
}

impl Drop for PinnedMemory<'_> {
    fn drop(&mut self) {
        // SAFETY: allocated by this context and not used again.
        unsafe { (self.cuda.calls.free_host)(self.start.as_ptr().cast()) };
    }
}
