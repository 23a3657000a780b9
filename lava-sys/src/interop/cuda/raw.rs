//! What lava uses of the CUDA driver's interface, as `cuda.h` declares it. Sizes and offsets are those that a C compiler
//! gave for the header of CUDA 12.9; the driver promises that they never change for these names.

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem::{offset_of, size_of};

/// `CUresult`.
pub type Code = c_int;
/// `CUdevice`.
pub type DeviceNumber = c_int;
/// `CUdeviceptr`.
pub type Pointer = u64;
/// `CUcontext`.
pub type Context = *mut c_void;
/// `CUstream`. NULL and 1: the legacy default stream; 2: that of the calling thread.
pub type Stream = *mut c_void;
/// `CUexternalMemory`.
pub type ExternalMemory = *mut c_void;
/// `CUexternalSemaphore`.
pub type ExternalSemaphore = *mut c_void;

pub const SUCCESS: Code = 0;
pub const OUT_OF_MEMORY: Code = 2;
pub const NOT_INITIALIZED: Code = 3;
pub const STUB_LIBRARY: Code = 34;
pub const NO_DEVICE: Code = 100;
pub const NOT_PERMITTED: Code = 800;
pub const NOT_SUPPORTED: Code = 801;
pub const SYSTEM_DRIVER_MISMATCH: Code = 803;
pub const INVALID_HANDLE: Code = 400;
pub const HOST_MEMORY_ALREADY_REGISTERED: Code = 712;

/// `CU_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD`.
pub const MEMORY_OPAQUE_FD: c_uint = 1;
/// `CUDA_EXTERNAL_MEMORY_DEDICATED`.
pub const MEMORY_DEDICATED: c_uint = 1;
/// `CU_EXTERNAL_SEMAPHORE_HANDLE_TYPE_TIMELINE_SEMAPHORE_FD`.
pub const SEMAPHORE_TIMELINE_FD: c_uint = 9;
/// `CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP`: pinned for every context, and in the GPU's address space.
pub const HOST_PORTABLE_AND_MAPPED: c_uint = 3;

/// The member `fd` of the union of handles, with the room that the others (two pointers) take.
#[repr(C, align(8))]
pub struct Handle {
    pub fd: c_int,
    pub unused: [c_uint; 3],
}

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC`.
#[repr(C)]
pub struct MemoryHandle {
    pub kind: c_uint,
    pub handle: Handle,
    pub size: u64,
    pub flags: c_uint,
    pub reserved: [c_uint; 16],
}

/// `CUDA_EXTERNAL_MEMORY_BUFFER_DESC`.
#[repr(C)]
pub struct MappedRange {
    pub offset: u64,
    pub size: u64,
    pub flags: c_uint,
    pub reserved: [c_uint; 16],
}

/// `CUDA_EXTERNAL_SEMAPHORE_HANDLE_DESC`.
#[repr(C)]
pub struct SemaphoreHandle {
    pub kind: c_uint,
    pub handle: Handle,
    pub flags: c_uint,
    pub reserved: [c_uint; 16],
}

/// `CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS` and `…_SIGNAL_PARAMS`, which differ only in members that are not for timelines.
#[repr(C)]
pub struct TimelineValue {
    pub value: u64,
    pub other_kinds: [u64; 8],
    pub flags: c_uint,
    pub reserved: [c_uint; 16],
}

const _: () = {
    assert!(size_of::<MemoryHandle>() == 104);
    assert!(offset_of!(MemoryHandle, kind) == 0);
    assert!(offset_of!(MemoryHandle, handle) == 8);
    assert!(offset_of!(MemoryHandle, size) == 24);
    assert!(offset_of!(MemoryHandle, flags) == 32);
    assert!(offset_of!(MemoryHandle, reserved) == 36);

    assert!(size_of::<MappedRange>() == 88);
    assert!(offset_of!(MappedRange, offset) == 0);
    assert!(offset_of!(MappedRange, size) == 8);
    assert!(offset_of!(MappedRange, flags) == 16);
    assert!(offset_of!(MappedRange, reserved) == 20);

    assert!(size_of::<SemaphoreHandle>() == 96);
    assert!(offset_of!(SemaphoreHandle, kind) == 0);
    assert!(offset_of!(SemaphoreHandle, handle) == 8);
    assert!(offset_of!(SemaphoreHandle, flags) == 24);
    assert!(offset_of!(SemaphoreHandle, reserved) == 28);

    assert!(size_of::<TimelineValue>() == 144);
    assert!(offset_of!(TimelineValue, value) == 0);
    assert!(offset_of!(TimelineValue, flags) == 72);
    assert!(offset_of!(TimelineValue, reserved) == 76);
};

/// Declares the table of the driver's functions, and how each is found by the name that it has in the library.
macro_rules! functions {
    ($($(#[$doc:meta])* $field:ident: $symbol:literal ($($argument:ty),*);)*) => {
        /// The driver's functions, by the names of the versions that have the argument types given here.
        #[derive(Debug)]
        pub struct Functions {
            $($(#[$doc])* pub $field: unsafe extern "C" fn($($argument),*) -> Code,)*
        }

        impl Functions {
            /// Finds all of them, or names the first that is missing.
            ///
            /// # Safety
            /// The library is CUDA's driver, and stays loaded as long as the functions are called.
            pub unsafe fn find(library: &libloading::Library) -> Result<Self, &'static str> {
                // SAFETY: in that library these names have these types (cuda.h).
                unsafe {
                    Ok(Self { $($field: match library.get(concat!($symbol, "\0").as_bytes()) {
                        Ok(found) => *found,
                        Err(_) => return Err($symbol),
                    },)* })
                }
            }
        }
    };
}

functions! {
    init: "cuInit" (c_uint);
    driver_version: "cuDriverGetVersion" (*mut c_int);
    error_name: "cuGetErrorName" (Code, *mut *const c_char);
    error_text: "cuGetErrorString" (Code, *mut *const c_char);
    device_count: "cuDeviceGetCount" (*mut c_int);
    device: "cuDeviceGet" (*mut DeviceNumber, c_int);
    device_uuid: "cuDeviceGetUuid" (*mut [u8; 16], DeviceNumber);
    primary_retain: "cuDevicePrimaryCtxRetain" (*mut Context, DeviceNumber);
    primary_release: "cuDevicePrimaryCtxRelease_v2" (DeviceNumber);
    push: "cuCtxPushCurrent_v2" (Context);
    pop: "cuCtxPopCurrent_v2" (*mut Context);
    import_memory: "cuImportExternalMemory" (*mut ExternalMemory, *const MemoryHandle);
    map_buffer: "cuExternalMemoryGetMappedBuffer" (*mut Pointer, ExternalMemory, *const MappedRange);
    free: "cuMemFree_v2" (Pointer);
    destroy_memory: "cuDestroyExternalMemory" (ExternalMemory);
    import_semaphore: "cuImportExternalSemaphore" (*mut ExternalSemaphore, *const SemaphoreHandle);
    wait: "cuWaitExternalSemaphoresAsync" (*const ExternalSemaphore, *const TimelineValue, c_uint, Stream);
    signal: "cuSignalExternalSemaphoresAsync" (*const ExternalSemaphore, *const TimelineValue, c_uint, Stream);
    destroy_semaphore: "cuDestroyExternalSemaphore" (ExternalSemaphore);
    register_host: "cuMemHostRegister_v2" (*mut c_void, usize, c_uint);
    host_pointer: "cuMemHostGetDevicePointer_v2" (*mut Pointer, *mut c_void, c_uint);
    unregister_host: "cuMemHostUnregister" (*mut c_void);
}
