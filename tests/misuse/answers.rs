//! Answers that are no errors, and errors for which nothing is wrong with the arguments: what is there is full, empty, closed,
//! read-only or out of reach.

use std::ffi::c_char;
use std::ptr::{null, null_mut};

use crate::calls::*;
use crate::gives;
use crate::sizes::check_info;
use crate::world::{SECOND, SIZE, World, sized};

/// A producer of the world's context without a consumer.
fn lonely(world: &World, options: lava_producer_options) -> *mut lava_producer {
    let mut producer = null_mut();
    let name = c"lonely".as_ptr();
    gives! { lava_producer_create(world.context, name, &options, &mut producer, null_mut()) => LAVA_OK; }
    producer
}

fn open(world: &World, options: lava_consumer_options) -> (lava_status, *mut lava_consumer) {
    let mut consumer = null_mut();
    let name = c"lonely".as_ptr();
    let status =
        unsafe { lava_consumer_create(world.context, name, &options, &mut consumer, null_mut()) };
    (status, consumer)
}

#[test]
fn everything_tells_about_itself() {
    let world = World::new();
    let (context, producer, consumer) = (world.context, world.producer, world.consumer);
    let mut text = vec![0 as c_char; 1 << 20];
    let (to, room, none) = (text.as_mut_ptr(), text.len(), null_mut::<usize>());
    let mut fd = -1;
    gives! {
        lava_context_describe(context, to, room, none, null_mut()) => LAVA_OK;
        lava_context_describe_mpi(context, to, room, none, null_mut()) => LAVA_OK;
        lava_context_list_channels(context, SECOND, to, room, none, null_mut()) => LAVA_OK;
        lava_producer_describe(producer, to, room, none, null_mut()) => LAVA_OK;
        lava_consumer_describe(consumer, to, room, none, null_mut()) => LAVA_OK;
        lava_consumer_get_event_fd(consumer, &mut fd, null_mut()) => LAVA_OK;
    }
    assert!(fd >= 0);
    check_info(sized(), |to| unsafe { lava_consumer_get_rejection(consumer, 0, to, null_mut()) });
    check_info(sized(), |to| unsafe {
        lava_producer_get_rejection(producer, 0, 0, to, null_mut())
    });
}

#[test]
fn without_a_consumer() {
    let world = World::new();
    let (producer, mut loan, mut sent) = (lonely(&world, sized()), null_mut(), 0);
    let (data, buffer) = ([0_u8; 100], world.buffer);
    let part = lava_bytes { data: data.as_ptr().cast(), size: data.len() };
    gives! { lava_producer_loan(producer, 100, 0, &mut loan) => LAVA_OK; }
    for (wait, answer) in [(0, "LAVA_WOULD_BLOCK"), (1, "LAVA_TIMED_OUT")] {
        let found = unsafe {
            [
                lava_producer_wait_consumers(producer, 1, wait, null_mut()),
                lava_producer_send(producer, loan, wait),
                lava_producer_send_many(producer, &loan, 1, wait, &mut sent),
                lava_producer_send_bytes(producer, part.data, part.size, wait),
                lava_producer_send_bytes_many(producer, &part, 1, wait, &mut sent),
                lava_producer_send_buffer(producer, buffer, 0, 9, 0, null(), wait, null_mut()),
            ]
        };
        assert_eq!((found.map(crate::world::name), sent), ([answer; 6], 0));
    }
    gives! {
        lava_frame_set_size(loan, 9) => LAVA_OK;
        lava_frame_set_tag(loan, 9) => LAVA_OK;
        lava_frame_set_timestamp(loan, 9) => LAVA_OK;
        lava_producer_wait_released(producer, null(), 0, null_mut()) => LAVA_OK;
        lava_frame_release(loan) => LAVA_OK;
    }
    unsafe { lava_producer_destroy(producer) };
}

#[test]
fn without_a_slot_or_a_frame() {
    let world = World::new();
    let (producer, consumer) = (world.producer, world.consumer);
    let (mut loans, mut one, mut count) = ([null_mut(); 64], null_mut(), 0);
    let size = SIZE as u64;
    gives! { lava_producer_loan_many(producer, size, loans.as_mut_ptr(), 64, 0, &mut count) => LAVA_OK; }
    let taken = count;
    assert!((1..64).contains(&taken));
    for (wait, answer) in [(0, "LAVA_WOULD_BLOCK"), (1, "LAVA_TIMED_OUT")] {
        let found = unsafe {
            [
                lava_producer_loan(producer, size, wait, &mut one),
                lava_producer_loan_many(producer, size, &mut one, 1, wait, &mut count),
                lava_producer_wait_released(producer, null(), wait, null_mut()),
                lava_consumer_receive(consumer, wait, &mut one),
                lava_consumer_receive_many(consumer, &mut one, 1, wait, &mut count),
            ]
        };
        assert_eq!((found.map(crate::world::name), count), ([answer; 5], 0));
    }
    gives! { lava_frame_release_many(loans.as_ptr(), taken) => LAVA_OK; }
}

#[test]
fn more_than_a_frame_may_have() {
    let world = World::new();
    let (data, mut sent) = (vec![0_u8; 2 << 20], 9);
    let part = lava_bytes { data: data.as_ptr().cast(), size: data.len() };
    gives! {
        lava_producer_send_bytes(world.producer, part.data, part.size, 0) => LAVA_ERROR_TOO_LARGE;
        lava_producer_send_bytes_many(world.producer, &part, 1, 0, &mut sent) => LAVA_ERROR_TOO_LARGE;
    }
    assert_eq!(sent, 0);
}

#[test]
fn a_channel_that_has_ended() {
    let world = World::new();
    let producer = lonely(&world, sized());
    let (status, consumer) = open(&world, sized());
    let (mut frame, mut count) = (null_mut(), 9);
    unsafe { lava_producer_destroy(producer) };
    gives! {
        status => LAVA_OK;
        lava_consumer_receive(consumer, SECOND, &mut frame) => LAVA_CLOSED;
        lava_consumer_receive_many(consumer, &mut frame, 1, SECOND, &mut count) => LAVA_CLOSED;
    }
    assert!(frame.is_null() && count == 0);
    unsafe { lava_consumer_destroy(consumer) };
}

#[test]
fn a_channel_that_cannot_be_had() {
    let world = World::new();
    let none: lava_consumer_options = sized();
    gives! { open(&world, lava_consumer_options { timeout_ns: 1, ..none }).0 => LAVA_TIMED_OUT; }
    let producer = lonely(&world, lava_producer_options { max_consumers: 1, ..sized() });
    let (status, consumer) = open(&world, none);
    let by_mpi = lava_consumer_options { require_transports: LAVA_TRANSPORT_MPI, ..none };
    gives! {
        status => LAVA_OK;
        open(&world, none).0 => LAVA_ERROR_REFUSED;
    }
    unsafe { lava_consumer_destroy(consumer) };
    gives! { open(&world, by_mpi).0 => LAVA_ERROR_REQUIREMENT; }
    unsafe { lava_producer_destroy(producer) };
    let on_gpu = lava_producer_options {
        memory: LAVA_MEMORY_DEVICE,
        flags: LAVA_PRODUCER_REQUIRE_MEMORY,
        device_uuid: [0xee; 16],
        ..sized()
    };
    let (mut made, name) = (null_mut(), c"lonely".as_ptr());
    gives! { lava_producer_create(world.context, name, &on_gpu, &mut made, null_mut()) => LAVA_ERROR_REQUIREMENT; }
}

/// A context that is told that all others are on other hosts.
#[test]
fn a_producer_out_of_reach() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = std::ffi::CString::new(directory.path().to_str().expect("UTF-8")).expect("no NUL");
    let options = lava_context_options {
        runtime_directory: path.as_ptr(),
        scope: LAVA_SCOPE_REMOTE,
        ..sized()
    };
    let (mut context, mut consumer) = (null_mut(), null_mut());
    let name = c"far".as_ptr();
    gives! {
        lava_context_create(&options, &mut context, null_mut()) => LAVA_OK;
        lava_consumer_create(context, name, null(), &mut consumer, null_mut()) => LAVA_ERROR_UNREACHABLE;
    }
    unsafe { lava_context_destroy(context) };
}

#[test]
fn a_buffer_that_others_wrote() {
    let world = World::new();
    let (mut handle, mut imported) = (sized(), null_mut());
    let mut byte = 0_u8;
    let data = (&raw mut byte).cast();
    gives! {
        lava_buffer_export(world.buffer, &mut handle, null_mut()) => LAVA_OK;
        lava_buffer_import(world.context, &handle, &mut imported, null_mut()) => LAVA_OK;
        lava_buffer_read(imported, 0, data, 1, null_mut()) => LAVA_OK;
        lava_buffer_write(imported, 0, data, 1, null_mut()) => LAVA_ERROR_PERMISSION;
        lava_buffer_fill(imported, 0, 1, 0, null_mut()) => LAVA_ERROR_PERMISSION;
        lava_buffer_copy(imported, 0, world.buffer, 0, 1, null_mut()) => LAVA_ERROR_PERMISSION;
        lava_producer_send_buffer(world.producer, imported, 0, 1, 0, null(), 0, null_mut()) => LAVA_ERROR_UNSUPPORTED;
    }
    unsafe { lava_buffer_destroy(imported) };
    drop(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(handle.fd) });
}

#[test]
fn a_buffer_of_this_process_alone() {
    let world = World::new();
    let (mut handle, mut private, mut view) = (sized(), null_mut(), sized::<lava_cuda_view>());
    let options = lava_buffer_options { size: 100, ..sized() };
    let far_too_large = lava_buffer_options { size: 1 << 46, ..options };
    let mut none = null_mut();
    view.struct_size = 8;
    gives! {
        lava_buffer_allocate(world.context, &options, &mut private, null_mut()) => LAVA_OK;
        lava_buffer_export(private, &mut handle, null_mut()) => LAVA_ERROR_UNSUPPORTED;
        lava_buffer_get_cuda(private, &mut view, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_buffer_allocate(world.context, &far_too_large, &mut none, null_mut()) => LAVA_ERROR_OUT_OF_MEMORY;
    }
    unsafe { lava_buffer_destroy(private) };
}

#[test]
fn a_frame_within_its_descriptor() {
    let world = World::new();
    let (mut frame, mut buffer, mut offset, mut view) = (null_mut(), null_mut(), 0, sized());
    let mut short: lava_cuda_view = sized();
    short.struct_size = 8;
    gives! {
        lava_producer_send_buffer(world.producer, world.buffer, 0, SIZE as u64, 0, null(), SECOND, null_mut()) => LAVA_OK;
        lava_consumer_receive(world.consumer, SECOND, &mut frame) => LAVA_OK;
        lava_frame_get_cuda(frame, &mut short, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_frame_release(frame) => LAVA_OK;
        lava_frame_get_cuda(frame, &mut view, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send_bytes(world.producer, [1_u8].as_ptr().cast(), 1, SECOND) => LAVA_OK;
        lava_consumer_receive(world.consumer, SECOND, &mut frame) => LAVA_OK;
        lava_frame_get_buffer(frame, &mut buffer, &mut offset, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_frame_get_cuda(frame, &mut view, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_frame_release(frame) => LAVA_OK;
    }
}

#[test]
fn directories_that_will_not_do() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open).expect("own directory");
    let create = |path: &std::path::Path| {
        let path = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
        let options = lava_context_options { runtime_directory: path.as_ptr(), ..sized() };
        let mut context = null_mut();
        unsafe { lava_context_create(&options, &mut context, null_mut()) }
    };
    gives! {
        create(directory.path()) => LAVA_ERROR_PERMISSION;
        create("/dev/null/below".as_ref()) => LAVA_ERROR_OS;
    }
}
