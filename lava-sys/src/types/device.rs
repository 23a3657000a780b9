//! GPUs: what there is, and which of them a context may use.

use super::buffer::LAVA_REASON_SIZE;

/// Which GPUs a context uses: what the environment says, `LAVA_VULKAN=auto|off|cpu`; else discrete, integrated and virtual
/// ones. A device that is the CPU in disguise (lavapipe) is used only if it is named by its UUID.
pub const LAVA_VULKAN_AUTO: u32 = 0;
/// Which GPUs a context uses: none. Vulkan is never loaded.
pub const LAVA_VULKAN_OFF: u32 = 1;
/// Which GPUs a context uses: all, also those that are the CPU in disguise.
pub const LAVA_VULKAN_ALL: u32 = 2;

/// Kind of a device, as in `VkPhysicalDeviceType`: none of the others.
pub const LAVA_DEVICE_KIND_OTHER: u32 = 0;
/// Kind of a device, as in `VkPhysicalDeviceType`: a GPU that shares the host's memory.
pub const LAVA_DEVICE_KIND_INTEGRATED: u32 = 1;
/// Kind of a device, as in `VkPhysicalDeviceType`: a GPU with memory of its own.
pub const LAVA_DEVICE_KIND_DISCRETE: u32 = 2;
/// Kind of a device, as in `VkPhysicalDeviceType`: a GPU in a virtual machine.
pub const LAVA_DEVICE_KIND_VIRTUAL: u32 = 3;
/// Kind of a device, as in `VkPhysicalDeviceType`: the CPU.
pub const LAVA_DEVICE_KIND_CPU: u32 = 4;

/// Device flag: it has what lava needs; else `reason` says what is missing. A CPU device must still be asked for:
/// `LAVA_VULKAN_ALL`, or its UUID.
pub const LAVA_DEVICE_USABLE: u32 = 1;
/// Device flag: its memory can be shared with other processes.
pub const LAVA_DEVICE_EXPORTABLE: u32 = 2;
/// Device flag: its timeline semaphores can be shared with other processes, so that a GPU can wait for a frame.
pub const LAVA_DEVICE_TIMELINE_EXPORTABLE: u32 = 4;
/// Device flag: it can copy straight from and to pinned host memory.
pub const LAVA_DEVICE_HOST_IMPORT: u32 = 8;
/// Device flag: the fields `pci_*` are valid.
pub const LAVA_DEVICE_HAS_PCI_ADDRESS: u32 = 16;
/// Device flag: the heaps' `budget` and `used` are valid.
pub const LAVA_DEVICE_HAS_BUDGET: u32 = 32;

/// Heap flag: the device's own memory.
pub const LAVA_DEVICE_HEAP_LOCAL: u32 = 1;

/// Most heaps of a device.
pub const LAVA_DEVICE_HEAPS_MAX: usize = 16;
/// Bytes of a device's texts, with their NUL.
pub const LAVA_DEVICE_NAME_SIZE: usize = 256;

/// One heap of a device's memory.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_device_heap {
    /// Bytes.
    pub size: u64,
    /// Bytes that this process may use at present, with `LAVA_DEVICE_HAS_BUDGET`; else 0.
    pub budget: u64,
    /// Bytes that this process uses, with `LAVA_DEVICE_HAS_BUDGET`; else 0.
    pub used: u64,
    /// Set of `LAVA_DEVICE_HEAP_*` flags.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

/// A GPU. Filled by `lava_context_get_device`. It is named by its UUID: the same in every process of a host, and in CUDA.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_device_info {
    /// `sizeof(lava_device_info)` of the caller.
    pub struct_size: u32,
    /// `LAVA_DEVICE_KIND_*`.
    pub kind: u32,
    /// UUID of the device.
    pub device_uuid: [u8; 16],
    /// UUID of its driver. Memory can be shared only where both UUIDs are equal.
    pub driver_uuid: [u8; 16],
    /// Set of `LAVA_DEVICE_*` flags.
    pub flags: u32,
    /// Vulkan version, as `VK_MAKE_API_VERSION` packs it.
    pub api_version: u32,
    /// PCI vendor, such as 0x10de.
    pub vendor_id: u32,
    /// PCI device.
    pub device_id: u32,
    /// PCI address, with `LAVA_DEVICE_HAS_PCI_ADDRESS`: domain.
    pub pci_domain: u32,
    /// PCI address: bus.
    pub pci_bus: u32,
    /// PCI address: device.
    pub pci_device: u32,
    /// PCI address: function.
    pub pci_function: u32,
    /// Most bytes of one allocation, and so of one buffer.
    pub max_allocation: u64,
    /// With `LAVA_DEVICE_HOST_IMPORT`: address and size of host memory must be multiples of this; else 0.
    pub host_import_alignment: u64,
    /// Entries of `heaps`.
    pub heap_count: u32,
    /// 0.
    pub reserved: u32,
    /// Its memory, `heap_count` of them.
    pub heaps: [lava_device_heap; LAVA_DEVICE_HEAPS_MAX],
    /// Name. UTF-8, NUL-terminated, as all texts here.
    pub name: [core::ffi::c_char; LAVA_DEVICE_NAME_SIZE],
    /// Name of its driver.
    pub driver_name: [core::ffi::c_char; LAVA_DEVICE_NAME_SIZE],
    /// What the driver says of itself, usually its version.
    pub driver_info: [core::ffi::c_char; LAVA_DEVICE_NAME_SIZE],
    /// Why lava cannot use it, and what to do about it; empty with `LAVA_DEVICE_USABLE`.
    pub reason: [core::ffi::c_char; LAVA_REASON_SIZE],
}
