use std::ffi::c_char;
use std::ptr::{null, null_mut};

use crate::calls::*;

use crate::gives;
use crate::world::{World, crooked, other, sized};

#[test]
fn peers_outside_of_a_job() {
    let world = World::new();
    let (context, mut count) = (world.context, 7_u32);
    let mut place: lava_location = sized();
    let mut short = place;
    short.struct_size = 3;
    gives! {
        lava_context_get_peer_count(null(), 0, &mut count, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_peer_count(crooked(context), 0, &mut count, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_peer_count(other(world.buffer), 0, &mut count, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_get_peer_count(context, 0, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_peer_count(context, 0, crooked(&count), null_mut()) => LAVA_ERROR_INVALID_POINTER;
    }
    assert_eq!(count, 7, "written although the calls failed");
    gives! {
        lava_context_get_peer_location(null(), 0, &mut place, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_peer_location(crooked(context), 0, &mut place, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_peer_location(other(world.producer), 0, &mut place, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_get_peer_location(context, 0, null_mut(), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_peer_location(context, 0, &mut short, null_mut()) => LAVA_ERROR_INVALID_ARGUMENT;
        lava_context_get_peer_location(context, 0, crooked(&place), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_get_peer_location(context, 0, &mut place, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_context_get_peer_location(context, u32::MAX, &mut place, null_mut()) => LAVA_ERROR_NOT_FOUND;
        lava_context_get_peer_count(context, 0, &mut count, null_mut()) => LAVA_OK;
    }
    assert_eq!(count, 0, "this process is in no job");
}

#[test]
fn progress_and_description() {
    let world = World::new();
    let (mut needed, mut text) = (0_usize, [1 as c_char; 8]);
    let (context, room) = (world.context, text.len());
    gives! {
        lava_context_progress(null(), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_progress(crooked(context), 0, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_progress(other(world.buffer), 0, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_progress(context, 0, null_mut()) => LAVA_TIMED_OUT;
        lava_context_describe_mpi(null(), text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe_mpi(crooked(context), text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe_mpi(other(world.producer), text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_INVALID_HANDLE;
        lava_context_describe_mpi(context, null_mut(), 1 << 20, &mut needed, null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe_mpi(context, text.as_mut_ptr(), room, crooked(&needed), null_mut()) => LAVA_ERROR_INVALID_POINTER;
        lava_context_describe_mpi(context, text.as_mut_ptr(), room, &mut needed, null_mut()) => LAVA_ERROR_BUFFER_TOO_SMALL;
    }
    assert!(needed > room);
    assert_eq!(text, [1; 8], "text written although it did not fit");
}
