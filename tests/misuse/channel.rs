use std::ffi::c_char;
use std::ptr::{null, null_mut};

use crate::calls::*;

use crate::gives;
use crate::sizes::{check_info, check_options};
use crate::world::{SIZE, World, crooked, other, sized};

#[test]
fn producer_create() {
    let world = World::new();
    let (context, name) = (world.context, c"other".as_ptr());
    let mut producer = null_mut();
    gives! {
        lava_producer_create(null(), name, null(), &mut producer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_create(crooked(context), name, null(), &mut producer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_create(other(world.buffer), name, null(), &mut producer, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_create(context, null(), null(), &mut producer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_create(context, name, null(), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_create(context, name, null(), crooked(&producer), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_create(context, c"\xff".as_ptr(), null(), &mut producer, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_producer_create(context, c"world".as_ptr(), null(), &mut producer, null_mut()) => LAVA_ERROR_ALREADY_EXISTS;
    }
    let create = |options: *const lava_producer_options| {
        let mut producer = other(world.context);
        let status =
            unsafe { lava_producer_create(context, name, options, &mut producer, null_mut()) };
        assert_eq!(
            status != LAVA_OK,
            producer.is_null(),
            "a handle output is NULL after a failure"
        );
        unsafe { lava_producer_destroy(producer) };
        status
    };
    let right: lava_producer_options = sized();
    check_options(right, create);
    for wrong in [
        lava_producer_options { policy: 3, ..right },
        lava_producer_options { capacity: LAVA_CAPACITY_MAX + 1, ..right },
        lava_producer_options { queue_length: LAVA_QUEUE_MAX + 1, ..right },
        lava_producer_options { memory: 99, ..right },
        lava_producer_options { flags: 1 << 31, ..right },
        lava_producer_options { max_consumers: LAVA_CONSUMERS_MAX + 1, ..right },
        lava_producer_options { alignment: 48, ..right },
        lava_producer_options { alignment: 1 << 22, ..right },
        lava_producer_options { fallback_count: 6, ..right },
        lava_producer_options { fallback_count: 1, fallback: [99; LAVA_FALLBACK_MAX], ..right },
        lava_producer_options { require_transports: 1 << 31, ..right },
    ] {
        gives! { create(&wrong) => LAVA_ERROR_INVALID_ARGUMENT; }
    }
    let too_large = lava_producer_options { max_frame_size: u64::MAX, capacity: 2, ..right };
    let status = create(&too_large);
    assert!(status < 0 && status != LAVA_ERROR_INTERNAL, "{status}");
    unsafe { lava_producer_destroy(null_mut()) };
}

#[test]
fn consumer_create() {
    let world = World::new();
    let (context, name) = (world.context, c"world".as_ptr());
    let mut consumer = null_mut();
    gives! {
        lava_consumer_create(null(), name, null(), &mut consumer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_create(crooked(context), name, null(), &mut consumer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_create(other(world.buffer), name, null(), &mut consumer, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_consumer_create(context, null(), null(), &mut consumer, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_create(context, name, null(), null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_create(context, name, null(), crooked(&consumer), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_create(context, c"\xff".as_ptr(), null(), &mut consumer, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
    }
    let create = |options: *const lava_consumer_options| {
        let mut consumer = other(world.context);
        let status =
            unsafe { lava_consumer_create(context, name, options, &mut consumer, null_mut()) };
        assert_eq!(
            status != LAVA_OK,
            consumer.is_null(),
            "a handle output is NULL after a failure"
        );
        unsafe { lava_consumer_destroy(consumer) };
        status
    };
    let right: lava_consumer_options = sized();
    check_options(right, create);
    for wrong in [
        lava_consumer_options { flags: 1 << 31, ..right },
        lava_consumer_options { require_transports: 1 << 31, ..right },
    ] {
        gives! { create(&wrong) => LAVA_ERROR_INVALID_ARGUMENT; }
    }
    let mut here: lava_location = sized();
    gives! { lava_location_current(context, &mut here, null_mut()) => LAVA_OK; }
    check_options(here, |producer| create(&lava_consumer_options { producer, ..right }));
    unsafe { lava_consumer_destroy(null_mut()) };
}

#[test]
fn producer_loans_and_sends() {
    let world = World::new();
    let (producer, mut frame, mut count) = (world.producer, null_mut(), 9_usize);
    let not_a_producer: *mut lava_producer = other(world.context);
    gives! {
        lava_producer_loan(null_mut(), 1, 0, &mut frame) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan(crooked(producer), 1, 0, &mut frame) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan(not_a_producer, 1, 0, &mut frame) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_loan(producer, 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan(producer, 1, 0, crooked(&frame)) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan(producer, u64::MAX, 0, &mut frame) => LAVA_ERROR_TOO_LARGE;
        lava_producer_loan_many(null_mut(), 1, &mut frame, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan_many(crooked(producer), 1, &mut frame, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan_many(not_a_producer, 1, &mut frame, 1, 0, &mut count) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_loan_many(producer, 1, null_mut(), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan_many(producer, 1, crooked(&frame), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan_many(producer, 1, &mut frame, 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan_many(producer, 1, &mut frame, 1, 0, crooked(&count)) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_loan_many(producer, 1, null_mut(), 0, 0, &mut count) => LAVA_OK;
        lava_producer_loan_many(producer, u64::MAX, &mut frame, 1, 0, &mut count) => LAVA_ERROR_TOO_LARGE;
        lava_producer_send(null_mut(), world.loan, 0) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send(crooked(producer), world.loan, 0) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send(not_a_producer, world.loan, 0) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send(producer, null_mut(), 0) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send(producer, crooked(world.loan), 0) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send(producer, world.frame, 0) => LAVA_ERROR_FRAME_STATE;
        lava_producer_send_many(null_mut(), &world.loan, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_many(crooked(producer), &world.loan, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_many(not_a_producer, &world.loan, 1, 0, &mut count) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send_many(producer, null(), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_many(producer, crooked(&world.loan), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_many(producer, &null_mut(), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_many(producer, &world.loan, 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_many(producer, &world.loan, 1, 0, crooked(&count)) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_many(producer, &world.frame, 1, 0, &mut count) => LAVA_ERROR_FRAME_STATE;
        lava_producer_send_many(producer, null(), 0, 0, &mut count) => LAVA_OK;
    }
    assert_eq!((frame.is_null(), count), (true, 0));
}

#[test]
fn a_loan_belongs_to_its_producer() {
    let (first, second) = (World::new(), World::new());
    gives! { lava_producer_send(first.producer, second.loan, 0) => LAVA_ERROR_FRAME_STATE; }
}

#[test]
fn producer_sends_bytes_and_buffers() {
    let world = World::new();
    let (producer, buffer, mut count) = (world.producer, world.buffer, 9_usize);
    let not_a_producer: *mut lava_producer = other(world.context);
    let bytes = |data: *const u8, size| lava_bytes { data: data.cast(), size };
    let nothing = bytes(null(), 4);
    let size = SIZE as u64;
    let wrong_tensor = lava_tensor { dtype: 99, bits: 8, lanes: 1, ..sized() };
    gives! {
        lava_producer_send_bytes(null_mut(), null(), 0, 0) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes(crooked(producer), null(), 0, 0) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes(not_a_producer, null(), 0, 0) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send_bytes(producer, null(), 4, 0) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(null_mut(), &nothing, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(crooked(producer), &nothing, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(not_a_producer, &nothing, 1, 0, &mut count) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send_bytes_many(producer, null(), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(producer, crooked(&nothing), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(producer, &nothing, 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(producer, &nothing, 1, 0, crooked(&count)) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(producer, &nothing, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes_many(producer, null(), 0, 0, &mut count) => LAVA_OK;
        lava_producer_send_buffer(null_mut(), buffer, 0, 1, 0, null(), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_buffer(crooked(producer), buffer, 0, 1, 0, null(), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_buffer(not_a_producer, buffer, 0, 1, 0, null(), 0, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send_buffer(producer, null(), 0, 1, 0, null(), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_buffer(producer, crooked(buffer), 0, 1, 0, null(), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_buffer(producer, other(world.context), 0, 1, 0, null(), 0, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send_buffer(producer, buffer, 1, size, 0, null(), 0, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_producer_send_buffer(producer, buffer, u64::MAX, 2, 0, null(), 0, null_mut()) => LAVA_ERROR_TOO_LARGE;
        lava_producer_send_buffer(producer, buffer, 0, 1, 0, &wrong_tensor, 0, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_producer_send_buffer(producer, buffer, 0, 1, 0, crooked(&wrong_tensor), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
    assert_eq!(count, 0);
}

#[test]
fn producer_waits_and_tells() {
    let world = World::new();
    let (producer, mut text, mut needed) = (world.producer, [1 as c_char; 8], 0_usize);
    let not_a_producer: *mut lava_producer = other(world.context);
    let (mut info, mut rejection) = (sized(), sized());
    let index = LAVA_CONSUMERS_MAX;
    gives! {
        lava_producer_wait_consumers(null_mut(), 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_wait_consumers(crooked(producer), 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_wait_consumers(not_a_producer, 1, 0, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_wait_consumers(producer, LAVA_CONSUMERS_MAX + 1, 0, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_producer_wait_consumers(producer, 0, 0, null_mut()) => LAVA_OK;
        lava_producer_wait_released(null_mut(), null(), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_wait_released(crooked(producer), null(), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_wait_released(not_a_producer, null(), 0, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_wait_released(producer, crooked(world.buffer), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_wait_released(producer, other(world.context), 0, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_get_connection(null_mut(), 0, &mut info, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_get_connection(crooked(producer), 0, &mut info, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_get_connection(not_a_producer, 0, &mut info, null_mut(), null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_get_connection(producer, index, &mut info, null_mut(), null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_producer_get_rejection(null_mut(), 0, 0, &mut rejection, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_get_rejection(crooked(producer), 0, 0, &mut rejection, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_get_rejection(not_a_producer, 0, 0, &mut rejection, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_get_rejection(producer, index, 0, &mut rejection, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_producer_get_rejection(producer, 0, u32::MAX, &mut rejection, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_producer_describe(null_mut(), text.as_mut_ptr(), 8, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_describe(crooked(producer), text.as_mut_ptr(), 8, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_describe(not_a_producer, text.as_mut_ptr(), 8, &mut needed, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_describe(producer, null_mut(), 1 << 20, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_describe(producer, text.as_mut_ptr(), 8, null_mut(), null_mut()) => LAVA_ERROR_BUFFER_TOO_SMALL;
    }
    assert_eq!(text, [1; 8], "text written although it did not fit");
    unsafe {
        assert_eq!(lava_producer_connection_count(null_mut()), 0);
        assert_eq!(lava_producer_connection_count(crooked(producer)), 0);
        assert_eq!(lava_producer_connection_count(not_a_producer), 0);
        assert_eq!(lava_producer_connection_count(producer), 1);
    }
    check_info(sized(), |to| unsafe {
        lava_producer_get_connection(producer, 0, to, null_mut(), null_mut())
    });
    let mut peer: lava_location = sized();
    peer.struct_size = 3;
    gives! {
        lava_producer_get_connection(producer, 0, &mut info, &mut peer, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_producer_get_connection(producer, 0, &mut info, crooked(&peer), null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
}

#[test]
fn consumer_receives_and_tells() {
    let world = World::new();
    let (consumer, mut frame, mut count, mut fd) = (world.consumer, null_mut(), 9_usize, -7);
    let not_a_consumer: *mut lava_consumer = other(world.producer);
    let (mut info, mut rejection) = (sized(), sized());
    let (mut text, mut needed) = ([1 as c_char; 8], 0_usize);
    gives! {
        lava_consumer_receive(null_mut(), 0, &mut frame) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive(crooked(consumer), 0, &mut frame) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive(not_a_consumer, 0, &mut frame) => LAVA_ERROR_INVALID_HANDLE;
        lava_consumer_receive(consumer, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive(consumer, 0, crooked(&frame)) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive_many(null_mut(), &mut frame, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive_many(crooked(consumer), &mut frame, 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive_many(not_a_consumer, &mut frame, 1, 0, &mut count) => LAVA_ERROR_INVALID_HANDLE;
        lava_consumer_receive_many(consumer, null_mut(), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive_many(consumer, crooked(&frame), 1, 0, &mut count) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive_many(consumer, &mut frame, 1, 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive_many(consumer, &mut frame, 1, 0, crooked(&count)) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_receive_many(consumer, null_mut(), 0, 0, &mut count) => LAVA_OK;
        lava_consumer_get_event_fd(null_mut(), &mut fd, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_event_fd(crooked(consumer), &mut fd, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_event_fd(not_a_consumer, &mut fd, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_consumer_get_event_fd(consumer, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_event_fd(consumer, crooked(&fd), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_connection(null_mut(), &mut info, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_connection(crooked(consumer), &mut info, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_connection(not_a_consumer, &mut info, null_mut(), null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_consumer_get_rejection(null_mut(), 0, &mut rejection, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_rejection(crooked(consumer), 0, &mut rejection, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_get_rejection(not_a_consumer, 0, &mut rejection, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_consumer_get_rejection(consumer, u32::MAX, &mut rejection, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_consumer_describe(null_mut(), text.as_mut_ptr(), 8, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_describe(crooked(consumer), text.as_mut_ptr(), 8, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_describe(not_a_consumer, text.as_mut_ptr(), 8, &mut needed, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_consumer_describe(consumer, null_mut(), 1 << 20, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_consumer_describe(consumer, text.as_mut_ptr(), 8, null_mut(), null_mut()) => LAVA_ERROR_BUFFER_TOO_SMALL;
    }
    assert_eq!((frame.is_null(), count, fd, text), (true, 0, -7, [1; 8]));
    check_info(sized(), |to| unsafe {
        lava_consumer_get_connection(consumer, to, null_mut(), null_mut())
    });
    check_info(sized(), |peer: *mut lava_location| unsafe {
        let mut info = sized();
        if peer.is_null() {
            return LAVA_ERROR_INVALID_POINTER;
        }
        lava_consumer_get_connection(consumer, &mut info, peer, null_mut())
    });
}
