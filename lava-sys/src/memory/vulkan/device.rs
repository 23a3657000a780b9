//! An open device: its queue, its memory types, the functions of its extensions.

use std::ffi::{CStr, c_char};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ash::vk::{self, Handle as _};

use super::driver;
use super::failure::failed;
use super::info::{self, DeviceInfo, Heap, Sharing};
use super::instance::Instance;
use super::memory_types::{self, Kind};
use super::queues;
use super::settings::{ApplicationDevice, QueueLock};
use super::transfer::Transfer;
use crate::error::{Error, Result};
use crate::memory::Attached;
use crate::os::descriptor;
use crate::types::*;

/// Functions of the extensions that the device was opened with.
#[derive(Default)]
pub(super) struct Functions {
    pub(super) memory_fd: Option<ash::khr::external_memory_fd::Device>,
    pub(super) semaphore_fd: Option<ash::khr::external_semaphore_fd::Device>,
    pub(super) memory_host: Option<ash::ext::external_memory_host::Device>,
}

/// See the module. Any thread may use it.
pub struct Device {
    attached: Attached,
    pub(super) raw: ash::Device,
    pub(super) physical: vk::PhysicalDevice,
    pub(super) functions: Functions,
    pub(super) limits: vk::PhysicalDeviceLimits,
    pub(super) memory: vk::PhysicalDeviceMemoryProperties,
    pub(super) sharing: Sharing,
    pub(super) queue_family: u32,
    /// Whether the queue runs compute shaders.
    pub(super) computes: bool,
    /// How many queues the device was made with: lava submits to the first; a second is for the application.
    queue_count: u32,
    /// Vulkan wants one submitter at a time.
    queue: Mutex<vk::Queue>,
    pub(super) transfer: Transfer,
    /// What the driver's descriptors are, learned from one of its own: memory, semaphores.
    pub(super) memory_descriptor: OnceLock<descriptor::Kind>,
    pub(super) semaphore_descriptor: OnceLock<descriptor::Kind>,
    info: DeviceInfo,
    /// Whether lava made it.
    own: bool,
    /// The application's own lock of its queue.
    lock: Option<QueueLock>,
    /// Last: it must outlive the device.
    pub(super) instance: Arc<Instance>,
}

impl Device {
    /// A device of lava's own.
    pub(super) fn open(
        instance: Arc<Instance>,
        physical: vk::PhysicalDevice,
        info: DeviceInfo,
    ) -> Result<Self> {
        instance.check_fork()?;
        // SAFETY: the handle is of this instance.
        let families =
            unsafe { instance.raw.get_physical_device_queue_family_properties(physical) };
        let family = queues::choose(&families).ok_or_else(|| {
            Error::new(LAVA_ERROR_DEVICE, format!("device {} has no compute queue", info.name))
        })?;
        let queue_count = families[family as usize].queue_count.min(2);
        let priorities = [1.0; 2];
        let queue = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(family)
            .queue_priorities(&priorities[..queue_count as usize])];
        let names = wanted_extensions(&info);
        let names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let mut timeline =
            vk::PhysicalDeviceTimelineSemaphoreFeatures::default().timeline_semaphore(true);
        let create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queue)
            .enabled_extension_names(&names)
            .push_next(&mut timeline);
        let order = driver::making();
        // SAFETY: the extensions and the feature were found by info::ask; all pointers live for the call.
        let raw = unsafe { instance.raw.create_device(physical, &create, None) }
            .map_err(|result| failed(result, format!("opening device {}", info.name)))?;
        // SAFETY: the family has this queue.
        let queue = unsafe { raw.get_device_queue(family, 0) };
        drop(order);
        Ok(Self::assemble(instance, physical, raw, info, (family, queue_count, queue), true))
    }

    /// The application's device: checked as far as Vulkan lets anybody look.
    pub(super) fn of_application(
        instance: Arc<Instance>,
        mut info: DeviceInfo,
        application: &ApplicationDevice,
    ) -> Result<Self> {
        let physical = vk::PhysicalDevice::from_raw(application.physical_device as u64);
        let handle = vk::Device::from_raw(application.device as u64);
        let family = application.queue_family;
        check_application(&instance, physical, handle, family, &mut info)?;
        // SAFETY: the handle is alive, as ApplicationDevice demands.
        let raw = unsafe { ash::Device::load(instance.raw.fp_v1_0(), handle) };
        let queue = vk::Queue::from_raw(application.queue as u64);
        let mut made = Self::assemble(instance, physical, raw, info, (family, 1, queue), false);
        made.lock = application.lock;
        Ok(made)
    }

    fn assemble(
        instance: Arc<Instance>,
        physical: vk::PhysicalDevice,
        raw: ash::Device,
        info: DeviceInfo,
        (queue_family, queue_count, queue): (u32, u32, vk::Queue),
        own: bool,
    ) -> Self {
        let functions = Functions {
            memory_fd: Some(ash::khr::external_memory_fd::Device::new(&instance.raw, &raw)),
            semaphore_fd: info
                .timeline_exportable
                .then(|| ash::khr::external_semaphore_fd::Device::new(&instance.raw, &raw)),
            memory_host: info
                .host_import
                .then(|| ash::ext::external_memory_host::Device::new(&instance.raw, &raw)),
        };
        let extensions = info::extensions(&instance, physical);
        // SAFETY: the handle is of this instance.
        let (limits, memory, families) = unsafe {
            (
                instance.raw.get_physical_device_properties(physical).limits,
                instance.raw.get_physical_device_memory_properties(physical),
                instance.raw.get_physical_device_queue_family_properties(physical),
            )
        };
        let computes = families
            .get(queue_family as usize)
            .is_some_and(|family| family.queue_flags.contains(vk::QueueFlags::COMPUTE));
        Self {
            attached: Attached::default(),
            functions,
            limits,
            memory,
            sharing: info::sharing(&instance, physical, &extensions),
            raw,
            physical,
            queue_family,
            computes,
            queue_count,
            queue: Mutex::new(queue),
            transfer: Transfer::default(),
            memory_descriptor: OnceLock::new(),
            semaphore_descriptor: OnceLock::new(),
            info,
            own,
            lock: None,
            instance,
        }
    }

    /// What it is; the heaps as they were when it was opened.
    /// Where a layer above keeps what it derived from this device.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// The heaps as they are now.
    pub fn heaps(&self) -> Vec<Heap> {
        info::heaps(&self.instance, self.physical, &info::extensions(&self.instance, self.physical))
    }

    /// Refuses work in a forked child: drivers do not survive `fork`.
    pub(super) fn check_fork(&self) -> Result<()> {
        self.instance.check_fork()
    }

    /// Whether this is a forked child: then everything of Vulkan is left as it is.
    pub(super) fn is_child(&self) -> bool {
        self.instance.is_child()
    }

    /// The queue of the same family that is the application's: none if the family has only one.
    pub(super) fn application_queue(&self) -> Option<u32> {
        (self.own && self.queue_count > 1).then_some(1)
    }

    /// Submits work to the queue, as one submitter of many.
    ///
    /// # Safety
    /// What the submits and the fence refer to belongs to this device and lives until the work is done.
    pub(super) unsafe fn submit(
        &self,
        work: &[vk::SubmitInfo<'_>],
        fence: vk::Fence,
    ) -> Result<()> {
        self.check_fork()?;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let _held = self.lock.as_ref().map(QueueLock::hold);
        let _order = driver::submitting();
        // SAFETY: the lock makes this the only submitter; the rest is the caller's promise.
        unsafe { self.raw.queue_submit(*queue, work, fence) }
            .map_err(|result| failed(result, format!("submitting work to {}", self.info.name)))
    }

    /// `vkAllocateMemory`, in its order among the driver's calls.
    ///
    /// # Safety
    /// As for Vulkan's.
    pub(super) unsafe fn allocate_memory(
        &self,
        info: &vk::MemoryAllocateInfo<'_>,
    ) -> ash::prelude::VkResult<vk::DeviceMemory> {
        let _order = driver::making();
        // SAFETY: the caller's promise.
        unsafe { self.raw.allocate_memory(info, None) }
    }

    /// The memory type for `kind` among `allowed` (a bit for each), as requirements give them.
    pub(super) fn memory_type(&self, allowed: u32, kind: Kind) -> Option<u32> {
        memory_types::choose(self.memory_types(), allowed, kind, self.info.kind)
    }

    pub(super) fn memory_types(&self) -> &[vk::MemoryType] {
        self.memory.memory_types_as_slice()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, family {})", self.info.name, self.queue_family)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_child() {
            return;
        }
        let _order = driver::making();
        // SAFETY: nobody else has the device any more.
        let idle = unsafe { self.transfer.destroy(&self.raw) };
        if !idle {
            // A device that hangs cannot be destroyed, and neither can its instance.
            std::mem::forget(Arc::clone(&self.instance));
        } else if self.own {
            // SAFETY: allocations and timelines hold an Arc of this, so all are gone; nothing of lava is submitted
            // without waiting for its end.
            unsafe { self.raw.destroy_device(None) };
        }
    }
}

/// The extensions that lava's own device is opened with: those that the device offers and lava uses.
fn wanted_extensions(info: &DeviceInfo) -> Vec<&'static CStr> {
    let optional = [
        (info.timeline_exportable, ash::khr::external_semaphore_fd::NAME),
        (info.host_import, ash::ext::external_memory_host::NAME),
    ];
    let mut names = vec![ash::khr::external_memory_fd::NAME];
    names.extend(optional.into_iter().filter(|(offered, _)| *offered).map(|(_, name)| name));
    names
}

/// What an application's device must be made with, for documents and errors.
pub const REQUIRED: &str = "Vulkan 1.2 (apiVersion of the instance too), the feature timelineSemaphore, \
     VK_KHR_external_memory_fd, and a queue of a family with COMPUTE or GRAPHICS";

/// Vulkan does not tell what a device was made with; but functions of what is missing cannot be had.
fn check_application(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    device: vk::Device,
    family: u32,
    info: &mut DeviceInfo,
) -> Result<()> {
    let refuse = |what: String| {
        Err(Error::argument(format!(
            "the application's Vulkan device {what}; lava needs {REQUIRED}"
        )))
    };
    // SAFETY: the handle is of this instance, as ApplicationDevice demands.
    let families = unsafe { instance.raw.get_physical_device_queue_family_properties(physical) };
    let Some(found) = families.get(family as usize) else {
        return refuse(format!("has {} queue families, not number {family}", families.len()));
    };
    if !found.queue_flags.intersects(vk::QueueFlags::COMPUTE | vk::QueueFlags::GRAPHICS) {
        return refuse(format!(
            "has a queue of family {family}, which has neither COMPUTE nor GRAPHICS"
        ));
    }
    let has = |name: &CStr| {
        // SAFETY: the handle is alive; the name is NUL-terminated.
        unsafe { instance.raw.get_device_proc_addr(device, name.as_ptr()) }.is_some()
    };
    for (function, what) in [
        (c"vkWaitSemaphores", "was not made for Vulkan 1.2 (vkWaitSemaphores is missing)"),
        (c"vkGetMemoryFdKHR", "was made without VK_KHR_external_memory_fd"),
    ] {
        if !has(function) {
            return refuse(what.into());
        }
    }
    info.timeline_exportable &= has(c"vkGetSemaphoreFdKHR");
    info.host_import &= has(c"vkGetMemoryHostPointerPropertiesEXT");
    Ok(())
}
