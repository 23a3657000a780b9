//! For programs that use Vulkan themselves. Handles are plain numbers, as `ash::vk::Handle::as_raw` gives them.

use std::ffi::c_void;
use std::fmt;

use lava_sys::*;

use crate::bytes::CStruct;

/// A Vulkan device of the application, for [`ContextOptions::vulkan_device`](crate::ContextOptions::vulkan_device): the
/// context then works on it instead of making its own.
///
/// The instance and the device must have been created for Vulkan 1.2 or newer, the device with the feature
/// `timelineSemaphore` and the extension `VK_KHR_external_memory_fd`. Used where enabled: `VK_KHR_external_semaphore_fd`
/// (GPUs wait for frames of other processes; else the CPU does) and `VK_EXT_external_memory_host` (copies straight from and
/// to pinned host memory; else through a staging buffer).
#[derive(Clone, Copy)]
pub struct VulkanDevice {
    /// `VkInstance`.
    pub instance: u64,
    /// `VkPhysicalDevice`.
    pub physical_device: u64,
    /// `VkDevice`.
    pub device: u64,
    /// `VkQueue`. Lava submits copies to it, from any thread.
    pub queue: u64,
    /// Family of the queue, capable of compute or graphics.
    pub queue_family: u32,
    /// `vkGetInstanceProcAddr` of the Vulkan that made the instance, cast to this type.
    pub get_instance_proc_addr: unsafe extern "C" fn(),
    /// Locks the queue, so that the application can submit to it too. `None`: nobody but lava uses it.
    pub lock: Option<QueueLock>,
}

/// How lava takes and gives back an application's queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLock {
    /// Passed to both functions.
    pub user: *mut c_void,
    /// Called before lava submits, from any thread; must not call lava or unwind.
    pub lock: unsafe extern "C" fn(user: *mut c_void),
    /// Called after lava has submitted, by the same thread.
    pub unlock: unsafe extern "C" fn(user: *mut c_void),
}

// SAFETY: both functions may be called from any thread, as `ContextOptions::vulkan_device` demands; `user` is only passed
// to them.
unsafe impl Send for QueueLock {}
// SAFETY: as above.
unsafe impl Sync for QueueLock {}

impl VulkanDevice {
    pub(crate) fn to_raw(self) -> lava_vulkan_device {
        let pointer = |handle: u64| handle as usize as *mut c_void;
        let mut raw = lava_vulkan_device::sized();
        raw.instance = pointer(self.instance);
        raw.physical_device = pointer(self.physical_device);
        raw.device = pointer(self.device);
        raw.queue = pointer(self.queue);
        raw.queue_family = self.queue_family;
        raw.get_instance_proc_addr = Some(self.get_instance_proc_addr);
        if let Some(lock) = self.lock {
            raw.user = lock.user;
            raw.lock = Some(lock.lock);
            raw.unlock = Some(lock.unlock);
        }
        raw
    }
}

impl fmt::Debug for VulkanDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, queue, queue_family, .. } = self;
        write!(formatter, "VulkanDevice({device:#x}, queue {queue:#x} of family {queue_family})")
    }
}
