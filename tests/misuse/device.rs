use std::ptr::{null, null_mut};

use lava_sys::*;

use crate::gives;
use crate::sizes::{check_info, check_options};
use crate::world::{World, crooked, other, sized};

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
