use std::ffi::{CStr, c_char, c_void};
use std::ptr::{null, null_mut};

use crate::calls::*;

use crate::gives;
use crate::sizes::{check_info, check_options};
use crate::world::{World, crooked, other, sized};

#[test]
fn status_names_never_fail() {
    for status in [LAVA_OK, LAVA_CLOSED, LAVA_ERROR_FORKED, 4, -14, i32::MIN, i32::MAX] {
        let name = unsafe { CStr::from_ptr(lava_status_name(status)) };
        assert!(name.to_bytes().starts_with(b"LAVA_"), "{status}: {name:?}");
    }
    assert_eq!(unsafe { CStr::from_ptr(lava_status_name(-14)) }, c"LAVA_UNKNOWN_STATUS");
}

#[test]
fn context_create() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = std::ffi::CString::new(directory.path().to_str().expect("UTF-8")).expect("no NUL");
    let right = lava_context_options { runtime_directory: path.as_ptr(), ..sized() };
    let mut context = null_mut();
    gives! {
        lava_context_create(&right, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_create(&right, crooked(&context), null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
    let create = |options: *const lava_context_options| {
        let mut context = std::ptr::dangling_mut();
        let status = unsafe { lava_context_create(options, &mut context, null_mut()) };
        assert_eq!(status != LAVA_OK, context.is_null(), "a handle output is NULL after a failure");
        unsafe { lava_context_destroy(context) };
        status
    };
    check_options(right, create);
    for wrong in [
        lava_context_options { scope: 3, ..right },
        lava_context_options { runtime_directory: c"relative".as_ptr(), ..right },
        lava_context_options { runtime_directory: c"".as_ptr(), ..right },
    ] {
        gives! { create(&wrong) => LAVA_ERROR_INVALID_ARGUMENT; }
    }
    unsafe { lava_context_destroy(null_mut()) };
    gives! { lava_context_create(&right, &mut context, null_mut()) => LAVA_OK; }
    unsafe { lava_context_destroy(context) };
}

unsafe extern "C" fn write(_: *mut c_void, _: u32, _: *const c_char) {}

#[test]
fn log_sink() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = std::ffi::CString::new(directory.path().to_str().expect("UTF-8")).expect("no NUL");
    let create = |log: *const lava_log_sink| {
        let options = lava_context_options { runtime_directory: path.as_ptr(), log, ..sized() };
        let mut context = null_mut();
        let status = unsafe { lava_context_create(&options, &mut context, null_mut()) };
        unsafe { lava_context_destroy(context) };
        status
    };
    let right = lava_log_sink { write: Some(write), ..sized() };
    check_options(right, create);
    gives! {
        create(&lava_log_sink { write: None, ..right }) => LAVA_ERROR_INVALID_POINTER;
        create(&lava_log_sink { level: 5, ..right }) => LAVA_ERROR_INVALID_ARGUMENT;
    }
}

#[test]
fn context_texts() {
    let world = World::new();
    let (mut needed, mut text) = (0_usize, [1 as c_char; 8]);
    let (context, room) = (world.context, text.len());
    gives! {
        lava_context_describe(null(), text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe(crooked(context), text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe(other(world.buffer), text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_describe(context, null_mut(), 1 << 20, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe(context, text.as_mut_ptr(), room, crooked(&needed), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe(context, text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_BUFFER_TOO_SMALL;
        lava_context_describe(context, text.as_mut_ptr(), room, null_mut(), null_mut()) => LAVA_ERROR_BUFFER_TOO_SMALL;
        lava_context_list_channels(null(), 0, text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_list_channels(crooked(context), 0, text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_list_channels(other(world.producer), 0, text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_list_channels(context, 0, null_mut(), 1 << 20, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_list_channels(context, 0, text.as_mut_ptr(), 1, null_mut(), null_mut()) => LAVA_ERROR_BUFFER_TOO_SMALL;
    }
    assert_eq!(text, [1; 8], "text written although it did not fit");
}

#[test]
fn locations() {
    let world = World::new();
    let mut here: lava_location = sized();
    gives! {
        lava_location_current(null(), &mut here, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_location_current(crooked(world.context), &mut here, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_location_current(other(world.buffer), &mut here, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_location_current(world.context, &mut here, null_mut()) => LAVA_OK;
    }
    check_info(sized(), |to| unsafe { lava_location_current(world.context, to, null_mut()) });

    let mut text = [0 as c_char; LAVA_LOCATION_TEXT_SIZE];
    let mut needed = 0_usize;
    check_options(here, |from| unsafe {
        lava_location_format(from, text.as_ptr().cast_mut(), text.len(), null_mut(), null_mut())
    });
    gives! {
        lava_location_format(null(), text.as_mut_ptr(), text.len(), &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_location_format(&here, null_mut(), text.len(), &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_location_format(&here, text.as_mut_ptr(), text.len(), crooked(&needed), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_location_format(&here, text.as_mut_ptr(), 3, &mut needed, null_mut()) => LAVA_ERROR_BUFFER_TOO_SMALL;
        lava_location_format(&here, text.as_mut_ptr(), text.len(), &mut needed, null_mut()) => LAVA_OK;
        lava_location_parse(null(), &mut here, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_location_parse(c"nowhere".as_ptr(), &mut here, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_location_parse(c"\xff\xfe".as_ptr(), &mut here, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
    }
    check_info(sized(), |to| unsafe { lava_location_parse(text.as_ptr(), to, null_mut()) });
}

#[test]
fn scope_detect() {
    let world = World::new();
    let (context, mut here, mut report) = (world.context, sized(), sized());
    gives! {
        lava_location_current(context, &mut here, null_mut()) => LAVA_OK;
        lava_scope_detect(null(), &here, &here, &mut report, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_scope_detect(crooked(context), &here, &here, &mut report, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_scope_detect(other(world.consumer), &here, &here, &mut report, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_scope_detect(context, null(), &here, &mut report, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_scope_detect(context, &here, null(), &mut report, null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
    check_options(here, |a| unsafe {
        lava_scope_detect(context, a, &here, &raw mut report, null_mut())
    });
    check_options(here, |b| unsafe {
        lava_scope_detect(context, &here, b, &raw mut report, null_mut())
    });
    check_info(sized(), |to| unsafe { lava_scope_detect(context, &here, &here, to, null_mut()) });
    let mut unended = here;
    unended.host = [b'x' as c_char; LAVA_LOCATION_HOST_SIZE];
    gives! { lava_scope_detect(context, &unended, &here, &mut report, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT; }
}
