//! Vulkan's results as lava's errors.

use ash::vk;

use super::super::units::Bytes;
use crate::error::Error;
use crate::types::*;

/// A failed Vulkan call. `what` says which, and on what.
pub(super) fn failed(result: vk::Result, what: impl std::fmt::Display) -> Error {
    let (status, words) = match result {
        vk::Result::ERROR_OUT_OF_HOST_MEMORY => {
            (LAVA_ERROR_OUT_OF_MEMORY, "the driver is out of host memory")
        }
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY => {
            (LAVA_ERROR_OUT_OF_MEMORY, "the device is out of memory")
        }
        vk::Result::ERROR_TOO_MANY_OBJECTS => {
            (LAVA_ERROR_LIMIT, "the driver allows no more objects: use fewer, larger buffers")
        }
        vk::Result::ERROR_DEVICE_LOST => (
            LAVA_ERROR_DEVICE,
            "the device is lost (a fault or a reset; see the kernel's log): make a new context",
        ),
        vk::Result::ERROR_INVALID_EXTERNAL_HANDLE => {
            (LAVA_ERROR_PROTOCOL, "the driver does not know the descriptor")
        }
        vk::Result::ERROR_MEMORY_MAP_FAILED => {
            (LAVA_ERROR_OUT_OF_MEMORY, "the driver cannot map it into this process")
        }
        _ => (LAVA_ERROR_DEVICE, "the driver failed"),
    };
    let mut error = Error::new(status, format!("{what}: {words} ({})", name(result)));
    error.vk = result.as_raw();
    error
}

/// The result's name, as in Vulkan's documents.
fn name(result: vk::Result) -> String {
    match result {
        vk::Result::ERROR_OUT_OF_HOST_MEMORY => "VK_ERROR_OUT_OF_HOST_MEMORY".into(),
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY => "VK_ERROR_OUT_OF_DEVICE_MEMORY".into(),
        vk::Result::ERROR_INITIALIZATION_FAILED => "VK_ERROR_INITIALIZATION_FAILED".into(),
        vk::Result::ERROR_DEVICE_LOST => "VK_ERROR_DEVICE_LOST".into(),
        vk::Result::ERROR_MEMORY_MAP_FAILED => "VK_ERROR_MEMORY_MAP_FAILED".into(),
        vk::Result::ERROR_LAYER_NOT_PRESENT => "VK_ERROR_LAYER_NOT_PRESENT".into(),
        vk::Result::ERROR_EXTENSION_NOT_PRESENT => "VK_ERROR_EXTENSION_NOT_PRESENT".into(),
        vk::Result::ERROR_FEATURE_NOT_PRESENT => "VK_ERROR_FEATURE_NOT_PRESENT".into(),
        vk::Result::ERROR_INCOMPATIBLE_DRIVER => "VK_ERROR_INCOMPATIBLE_DRIVER".into(),
        vk::Result::ERROR_TOO_MANY_OBJECTS => "VK_ERROR_TOO_MANY_OBJECTS".into(),
        vk::Result::ERROR_INVALID_EXTERNAL_HANDLE => "VK_ERROR_INVALID_EXTERNAL_HANDLE".into(),
        vk::Result::ERROR_UNKNOWN => "VK_ERROR_UNKNOWN".into(),
        other => format!("VkResult {}", other.as_raw()),
    }
}

/// There is no usable device; `why` ends with the remedy.
pub(super) fn no_device(why: impl Into<String>) -> Error {
    Error::new(LAVA_ERROR_DEVICE, why)
}

/// A failed allocation, with what the device had.
pub(super) fn out_of_memory(
    result: vk::Result,
    size: u64,
    heap: (usize, u64, Option<u64>),
) -> Error {
    let (index, total, free) = heap;
    let free = free.map_or_else(
        || "the driver does not tell how much is free".into(),
        |free| format!("{} of it free", Bytes(free)),
    );
    failed(
        result,
        format!("allocating {} on heap {index} of {} ({free})", Bytes(size), Bytes(total)),
    )
    .with_value(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_device_is_told_with_its_numbers() {
        let full = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
        let error = out_of_memory(full, 3 << 30, (1, 8 << 30, Some(1 << 30)));
        assert_eq!((error.status, error.vk, error.value), (LAVA_ERROR_OUT_OF_MEMORY, -2, 3 << 30));
        for words in
            ["3 GiB", "heap 1 of 8 GiB", "1 GiB of it free", "VK_ERROR_OUT_OF_DEVICE_MEMORY"]
        {
            assert!(error.message.contains(words), "{error}");
        }
        let silent = out_of_memory(full, 1, (0, 8 << 30, None));
        assert!(silent.message.contains("does not tell"), "{silent}");
    }
}
