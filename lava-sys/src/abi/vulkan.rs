//! `lava_buffer_get_vulkan`.

use std::ffi::c_void;

use super::guard::{check_info, control, write_info};
use super::handle;
use crate::error::Error;
use crate::memory::vulkan::Native;
use crate::types::*;

/// Gives a buffer of device memory in Vulkan's terms, to use it in commands of the same `VkDevice`: of lava's, or of the
/// application's own if it gave one to the context. Lava does not know of such commands: the caller orders them and
/// lava's own reads, writes and copies, which are done when they return.
///
/// Ownership: the handles are borrowed until `buffer` is destroyed; they are not to be destroyed.
/// Threads:   any thread.
/// Blocks:    never.
/// Returns:   `LAVA_OK`; `LAVA_ERROR_UNSUPPORTED` (memory that no GPU knows of); `_INVALID_ARGUMENT` (struct_size).
/// Since:     0.1
///
/// # Safety
/// Pointers must be NULL or valid as documented.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lava_buffer_get_vulkan(
    buffer: *const lava_buffer,
    vulkan: *mut lava_vulkan_buffer,
    error: *mut lava_error,
) -> lava_status {
    control(error, || {
        // SAFETY: the caller's promise.
        let buffer = unsafe { handle::shared(buffer) }?;
        // SAFETY: the caller's promise.
        unsafe { check_info(vulkan) }?;
        let native = buffer.native().ok_or_else(|| {
            let memory = buffer.memory().name();
            Error::new(
                LAVA_ERROR_UNSUPPORTED,
                format!(
                    "this is {memory} memory, which no GPU knows of; allocate LAVA_MEMORY_DEVICE"
                ),
            )
        })?;
        // SAFETY: the caller's promise.
        unsafe { write_info(vulkan, &convert(&native)) }?;
        Ok(LAVA_OK)
    })
}

fn convert(native: &Native) -> lava_vulkan_buffer {
    let pointer = |handle: u64| handle as usize as *mut c_void;
    lava_vulkan_buffer {
        struct_size: 0,
        queue_family: native.queue_family,
        instance: pointer(native.instance),
        physical_device: pointer(native.physical_device),
        device: pointer(native.device),
        buffer: native.buffer,
        memory: native.memory,
        offset: native.offset,
        size: native.size,
        allocation_size: native.allocation_size,
        queue_index: native.queue_index.unwrap_or(u32::MAX),
        reserved: 0,
    }
}
