use std::ptr::{null, null_mut};

use crate::calls::*;

use crate::gives;
use crate::sizes::{check_info, check_options};
use crate::world::{SECOND, SIZE, World, crooked, sized};

#[test]
fn frame_values() {
    let world = World::new();
    unsafe {
        assert!(lava_frame_data(null()).is_null());
        assert!(lava_frame_data(crooked(world.frame)).is_null());
        assert!(lava_frame_data_mut(null_mut()).is_null());
        assert!(lava_frame_data_mut(crooked(world.loan)).is_null());
        assert!(lava_frame_data_mut(world.frame).is_null());
        assert!(!lava_frame_data_mut(world.loan).is_null());
        assert_eq!(lava_frame_size(null()), 0);
        assert_eq!(lava_frame_size(crooked(world.frame)), 0);
        assert_eq!(lava_frame_size(world.frame), SIZE as u64);
    }
    let mut info = sized();
    gives! {
        lava_frame_get_info(null(), &mut info) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_info(crooked(world.frame), &mut info) => LAVA_ERROR_INVALID_POINTER;
    }
    check_info(sized(), |to| unsafe { lava_frame_get_info(world.frame, to) });
    check_info(sized(), |to| unsafe { lava_frame_get_info(world.loan, to) });
}

#[test]
fn frame_settings() {
    let world = World::new();
    let (loan, frame) = (world.loan, world.frame);
    let mut info = sized();
    gives! {
        lava_frame_get_info(loan, &mut info) => LAVA_OK;
        lava_frame_set_size(null_mut(), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_size(crooked(loan), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_size(frame, 1) => LAVA_ERROR_FRAME_STATE;
        lava_frame_set_size(loan, info.capacity + 1) => LAVA_ERROR_TOO_LARGE;
        lava_frame_set_size(loan, u64::MAX) => LAVA_ERROR_TOO_LARGE;
        lava_frame_set_tag(null_mut(), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_tag(crooked(loan), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_tag(frame, 1) => LAVA_ERROR_FRAME_STATE;
        lava_frame_set_timestamp(null_mut(), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_timestamp(crooked(loan), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_timestamp(frame, 1) => LAVA_ERROR_FRAME_STATE;
    }
    assert_eq!(unsafe { lava_frame_size(loan) }, SIZE as u64);
}

#[test]
fn frame_tensors() {
    let world = World::new();
    let (loan, frame) = (world.loan, world.frame);
    let mut right =
        lava_tensor { dtype: LAVA_DTYPE_FLOAT, bits: 32, lanes: 1, dimensions: 1, ..sized() };
    right.shape[0] = 16;
    check_options(right, |tensor| unsafe { lava_frame_set_tensor(loan, tensor, null_mut()) });
    for wrong in [
        lava_tensor { dtype: 3, ..right },
        lava_tensor { bits: 7, ..right },
        lava_tensor { bits: 0, ..right },
        lava_tensor { lanes: 0, ..right },
        lava_tensor { dimensions: 9, ..right },
        lava_tensor { dimensions: u32::MAX, ..right },
        lava_tensor { has_strides: 2, ..right },
        lava_tensor { shape: [i64::MIN; 8], ..right },
    ] {
        gives! { lava_frame_set_tensor(loan, &wrong, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT; }
    }
    let far = |stride: i64| {
        let mut tensor: lava_tensor = right;
        tensor.has_strides = 1;
        tensor.strides[0] = stride;
        tensor
    };
    for wrong in [
        lava_tensor { byte_offset: u64::MAX, ..right },
        lava_tensor { dimensions: 2, shape: [i64::MAX; 8], ..right },
        far(i64::MAX),
        far(i64::MIN),
        far(-1),
    ] {
        let status = unsafe { lava_frame_set_tensor(loan, &wrong, null_mut()) };
        assert!(
            [LAVA_ERROR_TOO_LARGE, LAVA_ERROR_INVALID_ARGUMENT].contains(&status),
            "{status}: {wrong:?}"
        );
    }
    let mut found = sized();
    gives! {
        lava_frame_set_tensor(null_mut(), &right, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_tensor(crooked(loan), &right, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_set_tensor(frame, &right, null_mut()) => LAVA_ERROR_FRAME_STATE;
        lava_frame_set_tensor(loan, &right, null_mut()) => LAVA_OK;
        lava_frame_get_tensor(null(), &mut found, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_tensor(crooked(loan), &mut found, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_tensor(frame, &mut found, null_mut()) => LAVA_ERROR_NOT_FOUND;
    }
    check_info(sized(), |to| unsafe { lava_frame_get_tensor(loan, to, null_mut()) });
    gives! { lava_frame_set_tensor(loan, null(), null_mut()) => LAVA_OK; }
}

#[test]
fn frame_read_and_write() {
    let world = World::new();
    let (loan, frame, mut data) = (world.loan, world.frame, [1_u8; 16]);
    let (to, from) = (data.as_mut_ptr().cast(), data.as_ptr().cast());
    let size = SIZE as u64;
    gives! {
        lava_frame_read(null(), 0, to, 16) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_read(crooked(frame), 0, to, 16) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_read(frame, 0, null_mut(), 16) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_read(frame, size, null_mut(), 0) => LAVA_OK;
        lava_frame_read(frame, size - 15, to, 16) => LAVA_ERROR_TOO_LARGE;
        lava_frame_read(frame, u64::MAX - 15, to, 16) => LAVA_ERROR_TOO_LARGE;
        lava_frame_write(null_mut(), 0, from, 16) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_write(crooked(loan), 0, from, 16) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_write(loan, 0, null(), 16) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_write(loan, size, null(), 0) => LAVA_OK;
        lava_frame_write(loan, size - 15, from, 16) => LAVA_ERROR_TOO_LARGE;
        lava_frame_write(frame, 0, from, 16) => LAVA_ERROR_FRAME_STATE;
    }
    assert_eq!(data, [1; 16], "written although the read failed");
}

#[test]
fn frame_get_buffer() {
    let world = World::new();
    let (frame, mut buffer, mut offset) = (world.frame, null_mut(), 9_u64);
    gives! {
        lava_frame_get_buffer(null(), &mut buffer, &mut offset, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_buffer(crooked(frame), &mut buffer, &mut offset, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_buffer(frame, null_mut(), &mut offset, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_buffer(frame, crooked(&buffer), &mut offset, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_buffer(frame, &mut buffer, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_get_buffer(frame, &mut buffer, crooked(&offset), null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
    assert_eq!((buffer.is_null(), offset), (true, 9));
    gives! { lava_frame_get_buffer(frame, &mut buffer, &mut offset, null_mut()) => LAVA_OK; }
    unsafe { lava_buffer_destroy(buffer) };
}

#[test]
fn frame_release() {
    let world = World::new();
    let mut frame = null_mut();
    gives! {
        lava_frame_release(null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release(crooked(world.frame)) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_many(null(), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_many(crooked(&world.frame), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release_many(null(), 0) => LAVA_OK;
        lava_frame_release_many(&null_mut(), 1) => LAVA_ERROR_INVALID_POINTER;
        lava_producer_send_bytes(world.producer, [0_u8; 100].as_ptr().cast(), 100, SECOND) => LAVA_OK;
        lava_consumer_receive(world.consumer, SECOND, &mut frame) => LAVA_OK;
    }
    let frames = [null_mut(), frame];
    // The second is released although the first could not be.
    gives! {
        lava_frame_release_many(frames.as_ptr(), 2) => LAVA_ERROR_INVALID_POINTER;
        lava_frame_release(frame) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_set_tag(frame, 1) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send(world.producer, frame, 0) => LAVA_ERROR_INVALID_HANDLE;
    }
    unsafe {
        assert!(lava_frame_data(frame).is_null());
        assert_eq!(lava_frame_size(frame), 0);
    }
}
