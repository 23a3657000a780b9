use std::ptr::{null, null_mut};

use crate::calls::*;

use crate::gives;
use crate::sizes::{check_info, check_options};
use crate::world::{SECOND, World, crooked, other, sized};

/// A world whose context may use every Vulkan device; None, with a line that says so, where there is none.
fn with_device() -> Option<World> {
    let world = World::with(|options| options.vulkan_devices = LAVA_VULKAN_ALL);
    let mut count = 0;
    match unsafe { lava_context_get_device_count(world.context, &mut count, null_mut()) } {
        LAVA_OK => Some(world),
        status => {
            assert_eq!(crate::world::name(status), "LAVA_ERROR_DEVICE");
            println!("skipped: no Vulkan device");
            None
        }
    }
}

#[test]
fn context_options_of_vulkan() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = std::ffi::CString::new(directory.path().to_str().expect("UTF-8")).expect("no NUL");
    let right = lava_context_options {
        runtime_directory: path.as_ptr(),
        vulkan_devices: LAVA_VULKAN_OFF,
        ..sized()
    };
    let create = |options: *const lava_context_options| {
        let mut context = null_mut();
        let status = unsafe { lava_context_create(options, &mut context, null_mut()) };
        unsafe { lava_context_destroy(context) };
        status
    };
    check_options(right, create);
    let nothing: lava_vulkan_device = sized();
    let mut short = nothing;
    short.struct_size = 8;
    gives! {
        create(&lava_context_options { vulkan_devices: 3, ..right }) => LAVA_ERROR_INVALID_ARGUMENT;
        create(&lava_context_options { reserved: 1, ..right }) => LAVA_ERROR_UNSUPPORTED;
        create(&lava_context_options { vulkan: &nothing, ..right }) => LAVA_ERROR_INVALID_ARGUMENT;
        create(&lava_context_options { vulkan: &nothing, vulkan_devices: 0, ..right }) => LAVA_ERROR_INVALID_POINTER;
        create(&lava_context_options { vulkan: crooked(&nothing), vulkan_devices: 0, ..right }) => LAVA_ERROR_INVALID_POINTER;
        create(&lava_context_options { vulkan: &short, vulkan_devices: 0, ..right }) => LAVA_ERROR_INVALID_ARGUMENT;
    }
}

#[test]
fn a_context_without_vulkan_says_so() {
    let world = World::with(|options| options.vulkan_devices = LAVA_VULKAN_OFF);
    let (mut count, mut info, mut error) = (7, sized(), sized::<lava_error>());
    let mut buffer = null_mut();
    let device = lava_buffer_options {
        size: 100,
        memory: LAVA_MEMORY_DEVICE,
        flags: LAVA_BUFFER_REQUIRE,
        ..sized()
    };
    gives! {
        lava_context_get_device_count(world.context, &mut count, &mut error) => LAVA_ERROR_DEVICE;
        lava_context_get_device(world.context, 0, &mut info, null_mut()) => LAVA_ERROR_DEVICE;
        lava_buffer_allocate(world.context, &device, &mut buffer, null_mut()) => LAVA_ERROR_REQUIREMENT;
    }
    assert_eq!(count, 7);
    assert_ne!(error.message[0], 0);
}

#[test]
fn device_list() {
    let Some(world) = with_device() else { return };
    let (context, mut count, mut info) = (world.context, 0, sized());
    gives! {
        lava_context_get_device_count(null(), &mut count, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_device_count(crooked(context), &mut count, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_device_count(other(world.buffer), &mut count, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_get_device_count(context, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_device_count(context, crooked(&count), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_device_count(context, &mut count, null_mut()) => LAVA_OK;
        lava_context_get_device(null(), 0, &mut info, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_device(crooked(context), 0, &mut info, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_device(other(world.buffer), 0, &mut info, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_get_device(context, count, &mut info, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_context_get_device(context, u32::MAX, &mut info, null_mut()) => LAVA_ERROR_NOT_FOUND;
    }
    check_info(sized(), |to| unsafe { lava_context_get_device(context, 0, to, null_mut()) });
}

#[test]
fn device_options_of_buffers() {
    let world = World::with(|options| options.vulkan_devices = LAVA_VULKAN_ALL);
    let right = lava_buffer_options {
        size: 100,
        memory: LAVA_MEMORY_DEVICE,
        flags: LAVA_BUFFER_REQUIRE,
        ..sized()
    };
    let allocate = |options: &lava_buffer_options| {
        let mut buffer = null_mut();
        let status =
            unsafe { lava_buffer_allocate(world.context, options, &mut buffer, null_mut()) };
        unsafe { lava_buffer_destroy(buffer) };
        status
    };
    gives! { allocate(&lava_buffer_options { device_uuid: [0xee; 16], ..right }) => LAVA_ERROR_REQUIREMENT; }
}

#[test]
fn buffer_get_vulkan() {
    let Some(world) = with_device() else { return };
    let (buffer, mut out) = (world.buffer, sized());
    gives! {
        lava_buffer_get_vulkan(null(), &mut out, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_get_vulkan(crooked(buffer), &mut out, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_get_vulkan(other(world.context), &mut out, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_get_vulkan(buffer, &mut out, null_mut()) => LAVA_ERROR_UNSUPPORTED;
    }
    let options = lava_buffer_options {
        size: 100,
        memory: LAVA_MEMORY_DEVICE,
        flags: LAVA_BUFFER_REQUIRE | LAVA_BUFFER_SHAREABLE,
        ..sized()
    };
    let mut device = null_mut();
    let status = unsafe { lava_buffer_allocate(world.context, &options, &mut device, null_mut()) };
    if status == LAVA_ERROR_REQUIREMENT {
        return println!("skipped: no Vulkan device whose memory can be shared");
    }
    gives! { status => LAVA_OK; }
    check_info(sized(), |to| unsafe { lava_buffer_get_vulkan(device, to, null_mut()) });
    device_import(&world, device);
    unsafe { lava_buffer_destroy(device) };
}

/// Every wrong claim that lava can see is refused before the driver sees it.
fn device_import(world: &World, device: *const lava_buffer) {
    let mut right: lava_buffer_handle = sized();
    gives! { lava_buffer_export(device, &mut right, null_mut()) => LAVA_OK; }
    let import = |handle: *const lava_buffer_handle| {
        let mut buffer = other(world.context);
        let status = unsafe { lava_buffer_import(world.context, handle, &mut buffer, null_mut()) };
        assert_eq!(status != LAVA_OK, buffer.is_null(), "a handle output is NULL after a failure");
        unsafe { lava_buffer_destroy(buffer) };
        status
    };
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().expect("sockets");
    let socket = std::os::fd::AsRawFd::as_raw_fd(&socket);
    for wrong in [
        lava_buffer_handle { fd: -1, ..right },
        lava_buffer_handle { fd: i32::MAX, ..right },
        lava_buffer_handle { fd: socket, ..right },
        lava_buffer_handle { kind: LAVA_HANDLE_MEMFD, ..right },
        lava_buffer_handle { memory: LAVA_MEMORY_STANDARD, ..right },
        lava_buffer_handle { size: 0, ..right },
        lava_buffer_handle { size: right.allocation_size + 1, ..right },
        lava_buffer_handle { allocation_size: u64::MAX, ..right },
        lava_buffer_handle { offset: u64::MAX - 4096, ..right },
        lava_buffer_handle { memory_type: 32, ..right },
        lava_buffer_handle { memory_type: u32::MAX, ..right },
        lava_buffer_handle { dedicated: 2, ..right },
        lava_buffer_handle { flags: u32::MAX, ..right },
        lava_buffer_handle { device_uuid: [0; 16], ..right },
        lava_buffer_handle { driver_uuid: [7; 16], ..right },
    ] {
        let status = import(&wrong);
        assert!(status < 0, "imported {wrong:?}");
        assert_ne!(status, LAVA_ERROR_INTERNAL, "{wrong:?}");
    }
    check_options(right, import);
    drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(right.fd) });
}

#[test]
fn frames_in_the_order_of_gpu_work() {
    let world = World::new();
    let (frame, loan) = (world.frame, world.loan);
    let mut sync = sized::<lava_frame_sync>();
    gives! {
        lava_frame_get_ready(null(), &mut sync, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_ready(crooked(frame), &mut sync, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_ready(frame, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_wait_ready(null(), 0) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_wait_ready(crooked(frame), 0) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_wait_ready(frame, 0) => LAVA_OK;
        lava_frame_next_ready(null_mut(), &mut sync, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_next_ready(crooked(loan), &mut sync, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_next_ready(frame, &mut sync, null_mut()) => LAVA_ERROR_FRAME_STATE;
        lava_frame_next_ready(loan, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
    check_info(sized(), |to| unsafe { lava_frame_get_ready(frame, to, null_mut()) });
    check_info(sized(), |to| unsafe { lava_frame_next_ready(loan, to, null_mut()) });
    gives! { lava_frame_get_ready(frame, &mut sync, null_mut()) => LAVA_OK; }
    assert_eq!((sync.kind, sync.semaphore, sync.value), (LAVA_SYNC_NONE, 0, 0));
}

#[test]
fn frame_release_after() {
    let world = World::new();
    let (frame, loan) = (world.frame, world.loan);
    let right = lava_frame_sync { kind: LAVA_SYNC_TIMELINE, semaphore: 8, value: 1, ..sized() };
    let mut short = right;
    short.struct_size = 8;
    gives! {
        lava_frame_release_after(null_mut(), &right, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_after(crooked(frame), &right, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_after(frame, null(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_after(frame, crooked(&right), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_after(frame, &short, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_frame_release_after(loan, &right, null_mut()) => LAVA_ERROR_FRAME_STATE;
        lava_frame_release_after(frame, &lava_frame_sync { kind: 3, ..right }, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_frame_release_after(frame, &lava_frame_sync { semaphore: 0, ..right }, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_frame_release_after(frame, &right, null_mut()) => LAVA_ERROR_UNSUPPORTED;
    }
    let mut last = null_mut();
    gives! {
        lava_producer_send_bytes(world.producer, [1_u8; 100].as_ptr().cast(), 100, SECOND) => LAVA_OK;
        lava_consumer_receive(world.consumer, SECOND, &mut last) => LAVA_OK;
        lava_frame_release_after(last, &lava_frame_sync { kind: LAVA_SYNC_NONE, ..right }, null_mut()) => LAVA_OK;
        lava_frame_release(last) => LAVA_ERROR_INVALID_HANDLE;
    }
}

#[test]
fn views_of_cuda() {
    let world = World::new();
    let (buffer, frame, loan) = (world.buffer, world.frame, world.loan);
    let mut view = sized();
    gives! {
        lava_buffer_get_cuda(null(), &mut view, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_get_cuda(crooked(buffer), &mut view, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_buffer_get_cuda(other(world.context), &mut view, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_buffer_get_cuda(buffer, &mut view, null_mut()) => LAVA_ERROR_UNSUPPORTED;
        lava_frame_get_cuda(null(), &mut view, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_cuda(crooked(frame), &mut view, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_cuda(frame, &mut view, null_mut()) => LAVA_ERROR_UNSUPPORTED;
        lava_frame_wait_cuda(null(), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_wait_cuda(crooked(frame), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_wait_cuda(frame, null_mut(), null_mut()) => LAVA_OK;
        lava_frame_set_ready_cuda(null_mut(), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_ready_cuda(crooked(loan), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_ready_cuda(frame, null_mut(), null_mut()) => LAVA_ERROR_FRAME_STATE;
        lava_frame_set_ready_cuda(loan, null_mut(), null_mut()) => LAVA_OK;
        lava_frame_release_cuda(null_mut(), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_cuda(crooked(frame), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_cuda(loan, null_mut(), null_mut()) => LAVA_ERROR_FRAME_STATE;
        lava_frame_release_cuda(frame, null_mut(), null_mut()) => LAVA_ERROR_UNSUPPORTED;
    }
}
