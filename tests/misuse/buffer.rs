use std::os::fd::AsRawFd;
use std::ptr::{null, null_mut};

use crate::calls::*;

use crate::gives;
use crate::sizes::{check_info, check_options};
use crate::world::{SIZE, World, crooked, other, sized};

#[test]
fn buffer_allocate() {
    let world = World::new();
    let right = lava_buffer_options { size: 100, ..sized() };
    let mut buffer = null_mut();
    gives! {
        lava_buffer_allocate(null(), &right, &mut buffer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_allocate(crooked(world.context), &right, &mut buffer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_allocate(other(world.buffer), &right, &mut buffer, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_allocate(world.context, null(), &mut buffer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_allocate(world.context, &right, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_allocate(world.context, &right, crooked(&buffer), null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
    let allocate = |options: *const lava_buffer_options| {
        let mut buffer = other(world.context);
        let status =
            unsafe { lava_buffer_allocate(world.context, options, &mut buffer, null_mut()) };
        assert_eq!(status != LAVA_OK, buffer.is_null(), "a handle output is NULL after a failure");
        unsafe { lava_buffer_destroy(buffer) };
        status
    };
    check_options(right, allocate);
    for wrong in [
        lava_buffer_options { size: 0, ..right },
        lava_buffer_options { memory: 99, ..right },
        lava_buffer_options { alignment: 3, ..right },
        lava_buffer_options { alignment: 1 << 40, ..right },
        lava_buffer_options { flags: 1 << 31, ..right },
        lava_buffer_options { flags: LAVA_BUFFER_IMPORTED, ..right },
        lava_buffer_options { fallback_count: 6, ..right },
        lava_buffer_options { fallback_count: 1, fallback: [99; LAVA_FALLBACK_MAX], ..right },
        lava_buffer_options { flags: LAVA_BUFFER_REQUIRE, fallback_count: 1, ..right },
    ] {
        gives! { allocate(&wrong) => LAVA_ERROR_INVALID_ARGUMENT; }
    }
    assert!(allocate(&lava_buffer_options { size: u64::MAX, ..right }) < 0);
    let mut here: lava_location = sized();
    gives! { lava_location_current(world.context, &mut here, null_mut()) => LAVA_OK; }
    check_options(here, |peer| {
        let mut options: lava_buffer_options = right;
        options.peer = peer;
        allocate(&options)
    });
    unsafe { lava_buffer_destroy(null_mut()) };
}

#[test]
fn buffer_data_and_info() {
    let world = World::new();
    let buffer = world.buffer;
    unsafe {
        assert!(lava_buffer_data(null()).is_null());
        assert!(lava_buffer_data(crooked(buffer)).is_null());
        assert!(lava_buffer_data(other(world.context)).is_null());
        assert!(!lava_buffer_data(buffer).is_null());
    }
    let mut info = sized();
    gives! {
        lava_buffer_get_info(null(), &mut info, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_get_info(crooked(buffer), &mut info, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_get_info(other(world.context), &mut info, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
    }
    check_info(sized(), |to| unsafe { lava_buffer_get_info(buffer, to, null_mut()) });
}

#[test]
fn buffer_read_and_write() {
    let world = World::new();
    let (buffer, mut data) = (world.buffer, [1_u8; 16]);
    let (to, from) = (data.as_mut_ptr().cast(), data.as_ptr().cast());
    let size = SIZE as u64;
    gives! {
        lava_buffer_read(null(), 0, to, 16, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_read(crooked(buffer), 0, to, 16, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_read(other(world.context), 0, to, 16, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_read(buffer, 0, null_mut(), 16, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_read(buffer, 0, null_mut(), 0, null_mut()) => LAVA_OK;
        lava_buffer_read(buffer, size - 15, to, 16, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_read(buffer, u64::MAX, to, 16, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_write(null_mut(), 0, from, 16, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_write(crooked(buffer), 0, from, 16, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_write(other(world.context), 0, from, 16, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_write(buffer, 0, null(), 16, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_write(buffer, size, null(), 0, null_mut()) => LAVA_OK;
        lava_buffer_write(buffer, size + 1, null(), 0, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_write(buffer, u64::MAX - 7, from, 16, null_mut()) => LAVA_ERROR_TOO_LARGE;
    }
    assert_eq!(data, [1; 16], "written although the read failed");
}

#[test]
fn buffer_copy_and_fill() {
    let world = World::new();
    let (buffer, size) = (world.buffer, SIZE as u64);
    gives! {
        lava_buffer_copy(null_mut(), 0, buffer, 0, 1, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_copy(buffer, 0, null(), 0, 1, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_copy(crooked(buffer), 0, buffer, 0, 1, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_copy(buffer, 0, crooked(buffer), 0, 1, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_copy(buffer, 0, other(world.context), 0, 1, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_copy(buffer, 1, buffer, 0, size, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_copy(buffer, 0, buffer, 1, size, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_copy(buffer, u64::MAX, buffer, 0, 2, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_copy(buffer, 1, buffer, 0, size - 1, null_mut()) => LAVA_OK;
        lava_buffer_fill(null_mut(), 0, 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_fill(crooked(buffer), 0, 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_fill(other(world.context), 0, 1, 0, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_fill(buffer, 1, size, 0, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_fill(buffer, 2, u64::MAX, 0, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_buffer_fill(buffer, size, 0, 0, null_mut()) => LAVA_OK;
    }
}

/// Exports and closes at once, so that the call can be repeated.
fn export(buffer: *const lava_buffer, handle: *mut lava_buffer_handle) -> lava_status {
    let status = unsafe { lava_buffer_export(buffer, handle, null_mut()) };
    if status == LAVA_OK {
        drop(unsafe {
            <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd((*handle).fd)
        });
    }
    status
}

#[test]
fn buffer_export() {
    let world = World::new();
    let mut handle = sized();
    gives! {
        export(null(), &mut handle) => LAVA_ERROR_INVALID_POINTER;
        export(crooked(world.buffer), &mut handle) => LAVA_ERROR_INVALID_POINTER;
        export(other(world.context), &mut handle) => LAVA_ERROR_INVALID_HANDLE;
    }
    check_info(sized(), |to| export(world.buffer, to));
}

#[test]
fn buffer_import() {
    let world = World::new();
    let (mut right, mut buffer) = (sized(), null_mut());
    gives! { lava_buffer_export(world.buffer, &mut right, null_mut()) => LAVA_OK; }
    let import = |handle: *const lava_buffer_handle| {
        let mut buffer = other(world.context);
        let status = unsafe { lava_buffer_import(world.context, handle, &mut buffer, null_mut()) };
        assert_eq!(status != LAVA_OK, buffer.is_null(), "a handle output is NULL after a failure");
        unsafe { lava_buffer_destroy(buffer) };
        status
    };
    check_options(right, import);
    let file = std::fs::File::open("/dev/null").expect("/dev/null");
    for wrong in [
        lava_buffer_handle { fd: -1, ..right },
        lava_buffer_handle { fd: i32::MAX, ..right },
        lava_buffer_handle { fd: file.as_raw_fd(), ..right },
        lava_buffer_handle { size: right.size + (1 << 20), ..right },
        lava_buffer_handle { size: 0, ..right },
        lava_buffer_handle { allocation_size: u64::MAX, ..right },
        lava_buffer_handle { offset: u64::MAX - 4096, ..right },
    ] {
        let status = import(&wrong);
        assert!(status < 0, "imported {wrong:?}");
        assert_ne!(status, LAVA_ERROR_INTERNAL, "{wrong:?}");
    }
    gives! {
        import(&lava_buffer_handle { kind: 99, ..right }) => LAVA_ERROR_UNSUPPORTED;
        import(&lava_buffer_handle { kind: LAVA_HANDLE_VULKAN_OPAQUE_FD, ..right }) => LAVA_ERROR_INVALID_ARGUMENT;
        import(null()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_import(null(), &right, &mut buffer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_import(crooked(world.context), &right, &mut buffer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_import(other(world.producer), &right, &mut buffer, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_import(world.context, &right, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_import(world.context, &right, crooked(&buffer), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        import(&right) => LAVA_OK;
    }
    drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(right.fd) });
}
