//! Frames that were given back: every function finds them, as long as their owner lives.

use std::ptr::null_mut;

use crate::calls::*;

use crate::gives;
use crate::world::{SECOND, World, sized};

/// A received frame that was released.
fn released(world: &World) -> *mut lava_frame {
    let mut frame = null_mut();
    gives! {
        lava_producer_send_bytes(world.producer, [0_u8; 100].as_ptr().cast(), 100, SECOND) => LAVA_OK;
        lava_consumer_receive(world.consumer, SECOND, &mut frame) => LAVA_OK;
        lava_frame_release(frame) => LAVA_OK;
    }
    frame
}

#[test]
fn reading_a_released_frame() {
    let world = World::new();
    let frame = released(&world);
    let (mut data, mut buffer, mut offset) = ([7_u8; 8], null_mut(), 9_u64);
    let (mut info, mut tensor, mut sync) = (sized(), sized(), sized());
    let none = null_mut();
    gives! {
        lava_frame_get_info(frame, &mut info) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_get_tensor(frame, &mut tensor, none) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_read(frame, 0, data.as_mut_ptr().cast(), 8) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_get_buffer(frame, &mut buffer, &mut offset, none) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_get_ready(frame, &mut sync, none) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_wait_ready(frame, 0) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_wait_cuda(frame, null_mut(), none) => LAVA_ERROR_INVALID_HANDLE;
    }
    assert_eq!((data, buffer.is_null(), offset), ([7; 8], true, 9));
}

#[test]
fn writing_to_a_released_frame() {
    let world = World::new();
    let frame = released(&world);
    let mut sync = sized();
    let none = null_mut();
    gives! {
        lava_frame_set_size(frame, 1) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_set_tag(frame, 1) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_set_timestamp(frame, 1) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_set_tensor(frame, std::ptr::null(), none) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_write(frame, 0, [1_u8].as_ptr().cast(), 1) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_next_ready(frame, &mut sync, none) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_set_ready_cuda(frame, null_mut(), none) => LAVA_ERROR_INVALID_HANDLE;
        lava_producer_send(world.producer, frame, 0) => LAVA_ERROR_INVALID_HANDLE;
    }
}

#[test]
fn giving_a_released_frame_back_again() {
    let world = World::new();
    let frame = released(&world);
    let sync: lava_frame_sync = sized();
    let none = null_mut();
    gives! {
        lava_frame_release(frame) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_release_many(&frame, 1) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_release_after(frame, &sync, none) => LAVA_ERROR_INVALID_HANDLE;
        lava_frame_release_cuda(frame, null_mut(), none) => LAVA_ERROR_INVALID_HANDLE;
    }
}
