//! Views of memory that CUDA cannot reach: the reason is told, and no driver is needed to tell it.

use std::sync::Arc;

use super::super::{View, wait};
use super::assert_says;
use crate::log::Log;
use crate::memory::vulkan::{Allowed, GpuSettings, Timeline, testing};
use crate::memory::{Buffer, Memory, MemoryContext, Request};
use crate::types::*;

#[test]
fn host_memory_that_no_gpu_knows_has_no_view() {
    let settings = GpuSettings { allowed: Allowed::Off, application: None };
    let request = Request {
        memory: Memory::Standard,
        size: 4096,
        alignment: 0,
        flags: 0,
        numa_node: None,
        fallback: Vec::new(),
        peer: None,
        device_uuid: [0; 16],
    };
    let buffer = Buffer::allocate(&request, &MemoryContext::new(Log::none(), settings)).unwrap();
    let error = View::of(&Arc::new(buffer)).unwrap_err();
    assert_says(&error, LAVA_ERROR_UNSUPPORTED, &["host memory (standard)", "LAVA_MEMORY_DEVICE"]);
}

#[test]
fn a_gpu_of_another_vendor_is_named() {
    let Some(device) = testing::device() else { return };
    if device.info().vendor_id == 0x10de {
        return println!("skipped: the GPU is NVIDIA's");
    }
    let timeline = Timeline::new(&device, false).unwrap();
    // SAFETY: NULL is the default stream.
    let error = unsafe { wait(&timeline, 1, std::ptr::null_mut()) }.unwrap_err();
    assert_says(&error, LAVA_ERROR_UNSUPPORTED, &[&device.info().name, "NVIDIA"]);
}
