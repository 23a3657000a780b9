//! Device memory as CUDA sees it. CUDA's handles are plain pointers and numbers here, so that nobody needs its headers.

/// Device memory in CUDA's terms. Filled by `lava_buffer_get_cuda` and `lava_frame_get_cuda`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_cuda_view {
    /// `sizeof(lava_cuda_view)` of the caller.
    pub struct_size: u32,
    /// CUDA's number of the device in this process (`CUdevice`, the same as the runtime's).
    pub device_ordinal: i32,
    /// `CUdeviceptr` of the first byte, valid in `context`.
    pub device_pointer: u64,
    /// Bytes from there.
    pub size: u64,
    /// `CUcontext`: the device's primary context, which the CUDA runtime uses too.
    pub context: *mut core::ffi::c_void,
}
