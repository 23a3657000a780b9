//! What lava and a program that uses Vulkan itself tell each other. Vulkan's handles are plain pointers and numbers here,
//! so that nobody needs its headers.

/// A Vulkan device of the application, for a context that works on it instead of making its own:
/// `lava_context_options.vulkan`. Buffers and frames of the context can then be used by the application's own commands
/// without importing anything.
///
/// The instance and the device must have been created for Vulkan 1.2 or newer, the device with the feature
/// `timelineSemaphore` and the extension `VK_KHR_external_memory_fd`. Used where enabled:
/// `VK_KHR_external_semaphore_fd` (GPUs wait for frames of other processes; else the CPU does) and
/// `VK_EXT_external_memory_host` (copies straight from and to pinned host memory; else through a staging buffer).
///
/// The handles are borrowed until the context and all its producers, consumers, buffers and frames are gone.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_vulkan_device {
    /// `sizeof(lava_vulkan_device)` of the caller.
    pub struct_size: u32,
    /// Family of `queue`. It must be capable of compute or graphics.
    pub queue_family: u32,
    /// `VkInstance`.
    pub instance: *mut core::ffi::c_void,
    /// `VkPhysicalDevice`.
    pub physical_device: *mut core::ffi::c_void,
    /// `VkDevice`.
    pub device: *mut core::ffi::c_void,
    /// `VkQueue`. Lava submits copies to it, from any thread: see `lock`.
    pub queue: *mut core::ffi::c_void,
    /// `vkGetInstanceProcAddr` of the Vulkan that made the instance, cast to this type.
    pub get_instance_proc_addr: Option<unsafe extern "C" fn()>,
    /// Passed to `lock` and `unlock`.
    pub user: *mut core::ffi::c_void,
    /// Called before lava submits to `queue`, from any thread, so that nobody else submits meanwhile; it must not call
    /// lava, unwind or longjmp. NULL, with `unlock`: nobody but lava uses the queue.
    pub lock: Option<unsafe extern "C" fn(user: *mut core::ffi::c_void)>,
    /// Called after lava has submitted, by the thread that called `lock`.
    pub unlock: Option<unsafe extern "C" fn(user: *mut core::ffi::c_void)>,
}

/// A buffer of device memory in Vulkan's terms. Filled by `lava_buffer_get_vulkan`. All handles belong to lava.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_vulkan_buffer {
    /// `sizeof(lava_vulkan_buffer)` of the caller.
    pub struct_size: u32,
    /// Family of the queue that lava submits to. Commands of another family need an ownership transfer.
    pub queue_family: u32,
    /// `VkInstance`.
    pub instance: *mut core::ffi::c_void,
    /// `VkPhysicalDevice`.
    pub physical_device: *mut core::ffi::c_void,
    /// `VkDevice` to which `buffer` and `memory` belong: the application's own if it gave one to the context.
    pub device: *mut core::ffi::c_void,
    /// `VkBuffer`, bound to `memory`. Usage: transfer from and to, storage, uniform, vertex, index, indirect.
    pub buffer: u64,
    /// `VkDeviceMemory`.
    pub memory: u64,
    /// First usable byte within `buffer`.
    pub offset: u64,
    /// Usable bytes.
    pub size: u64,
    /// Bytes of `memory`.
    pub allocation_size: u64,
    /// Number, within `queue_family`, of a queue of `device` that lava never submits to, for the program's own commands;
    /// `UINT32_MAX` if there is none.
    pub queue_index: u32,
    /// 0.
    pub reserved: u32,
}
