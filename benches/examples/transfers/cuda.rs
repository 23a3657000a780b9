//! CUDA's own copies, on the first device, if there is a CUDA driver.
#![allow(clippy::missing_transmute_annotations, reason = "the fields say the types")]

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::mem::transmute;
use std::ptr::null_mut;
use std::sync::OnceLock;

use super::report;

type Code = c_int;

/// The functions of libcuda that are used here.
struct Cuda {
    allocate: unsafe extern "C" fn(*mut u64, usize) -> Code,
    free: unsafe extern "C" fn(u64) -> Code,
    allocate_host: unsafe extern "C" fn(*mut *mut c_void, usize, c_uint) -> Code,
    free_host: unsafe extern "C" fn(*mut c_void) -> Code,
    upload: unsafe extern "C" fn(u64, *const c_void, usize) -> Code,
    download: unsafe extern "C" fn(*mut c_void, u64, usize) -> Code,
    copy: unsafe extern "C" fn(u64, u64, usize) -> Code,
    finish: unsafe extern "C" fn() -> Code,
}

fn load() -> Option<Cuda> {
    // SAFETY: libcuda has no constructor that this program minds.
    let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
    if library.is_null() {
        return None;
    }
    let find = |name: &CStr| {
        // SAFETY: the library is open and the name ends with NUL.
        let found = unsafe { libc::dlsym(library, name.as_ptr()) };
        assert!(!found.is_null(), "libcuda has no {name:?}");
        found
    };
    // SAFETY: the functions have these types by cuda.h.
    unsafe {
        let init: unsafe extern "C" fn(c_uint) -> Code = transmute(find(c"cuInit"));
        let device: unsafe extern "C" fn(*mut c_int, c_int) -> Code =
            transmute(find(c"cuDeviceGet"));
        let retain: unsafe extern "C" fn(*mut *mut c_void, c_int) -> Code =
            transmute(find(c"cuDevicePrimaryCtxRetain"));
        let set: unsafe extern "C" fn(*mut c_void) -> Code = transmute(find(c"cuCtxSetCurrent"));
        let (mut ordinal, mut context) = (0, null_mut());
        if init(0) != 0 || device(&mut ordinal, 0) != 0 {
            return None;
        }
        assert_eq!(retain(&mut context, ordinal), 0);
        assert_eq!(set(context), 0);
        Some(Cuda {
            allocate: transmute(find(c"cuMemAlloc_v2")),
            free: transmute(find(c"cuMemFree_v2")),
            allocate_host: transmute(find(c"cuMemHostAlloc")),
            free_host: transmute(find(c"cuMemFreeHost")),
            upload: transmute(find(c"cuMemcpyHtoD_v2")),
            download: transmute(find(c"cuMemcpyDtoH_v2")),
            copy: transmute(find(c"cuMemcpyDtoD_v2")),
            finish: transmute(find(c"cuCtxSynchronize")),
        })
    }
}

/// The same copies as CUDA does them.
pub fn compare(size: u64) {
    static CUDA: OnceLock<Option<Cuda>> = OnceLock::new();
    let Some(cuda) = CUDA.get_or_init(load) else { return };
    let bytes = size as usize;
    let (mut one, mut two, mut pinned) = (0, 0, null_mut());
    let mut pageable = vec![1_u8; bytes];
    // SAFETY: everything is allocated with `bytes` here, and freed at the end.
    unsafe {
        assert_eq!((cuda.allocate)(&mut one, bytes), 0);
        assert_eq!((cuda.allocate)(&mut two, bytes), 0);
        assert_eq!((cuda.allocate_host)(&mut pinned, bytes, 0), 0);
        let near = pageable.as_mut_ptr().cast();
        report("device to device", "CUDA", size, 2, || {
            assert_eq!((cuda.copy)(one, two, bytes) | (cuda.finish)(), 0);
        });
        report("upload", "CUDA pinned", size, 1, || {
            assert_eq!((cuda.upload)(one, pinned, bytes) | (cuda.finish)(), 0);
        });
        report("download", "CUDA pinned", size, 1, || {
            assert_eq!((cuda.download)(pinned, one, bytes), 0);
        });
        report("upload", "CUDA pageable", size, 1, || {
            assert_eq!((cuda.upload)(one, near, bytes) | (cuda.finish)(), 0);
        });
        report("download", "CUDA pageable", size, 1, || {
            assert_eq!((cuda.download)(near, one, bytes), 0);
        });
        assert_eq!((cuda.free)(one) | (cuda.free)(two) | (cuda.free_host)(pinned), 0);
    }
}
