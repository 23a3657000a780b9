//! A context on a device that somebody else made.
#![allow(clippy::unwrap_used)]

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use ash::vk::{self, Handle as _};

use super::device::REQUIRED;
use super::*;
use crate::error::Result;
use crate::log::Log;
use crate::types::*;

/// An application with a device of its own.
struct Application {
    entry: ash::Entry,
    instance: ash::Instance,
    physical: vk::PhysicalDevice,
    device: ash::Device,
}

impl Application {
    fn new(extensions: &[&CStr]) -> Option<Self> {
        super::testing::device()?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_2);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        let names: Vec<_> = extensions.iter().map(|name| name.as_ptr()).collect();
        let queue = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
        let mut timeline =
            vk::PhysicalDeviceTimelineSemaphoreFeatures::default().timeline_semaphore(true);
        let create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queue)
            .enabled_extension_names(&names)
            .push_next(&mut timeline);
        // SAFETY: as Vulkan's documents say; destroyed in `drop`.
        unsafe {
            let entry = ash::Entry::load().unwrap();
            let instance = entry.create_instance(&info, None).unwrap();
            let physical = instance.enumerate_physical_devices().unwrap()[0];
            let device = instance.create_device(physical, &create, None).unwrap();
            Some(Self { entry, instance, physical, device })
        }
    }

    fn given(&self, lock: Option<QueueLock>) -> ApplicationDevice {
        // SAFETY: cast to the neutral type of the C ABI; the device has queue 0 of family 0.
        let (get, queue) = unsafe {
            let get: unsafe extern "C" fn() =
                std::mem::transmute(self.entry.static_fn().get_instance_proc_addr);
            (get, self.device.get_device_queue(0, 0))
        };
        ApplicationDevice {
            instance: self.instance.handle().as_raw() as usize,
            physical_device: self.physical.as_raw() as usize,
            device: self.device.handle().as_raw() as usize,
            queue: queue.as_raw() as usize,
            queue_family: 0,
            get_instance_proc_addr: get,
            lock,
        }
    }

    fn open(&self, change: impl FnOnce(&mut ApplicationDevice)) -> Result<std::sync::Arc<Device>> {
        let mut given = self.given(None);
        change(&mut given);
        let settings = GpuSettings { allowed: Allowed::Gpus, application: Some(given) };
        Gpus::new(settings, Log::none()).open(Which::Best)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        // SAFETY: the tests have dropped all that is of it.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}

/// How often the application's queue was locked and unlocked.
#[derive(Default)]
struct Locks([AtomicU32; 2]);

unsafe extern "C" fn lock(user: *mut c_void) {
    // SAFETY: the test passes live Locks.
    unsafe { &*user.cast::<Locks>() }.0[0].fetch_add(1, Ordering::Relaxed);
}

unsafe extern "C" fn unlock(user: *mut c_void) {
    // SAFETY: the test passes live Locks.
    unsafe { &*user.cast::<Locks>() }.0[1].fetch_add(1, Ordering::Relaxed);
}

#[test]
fn lava_works_on_the_applications_device_and_leaves_it_alive() {
    let names = [ash::khr::external_memory_fd::NAME, ash::ext::external_memory_host::NAME];
    let Some(application) = Application::new(&names) else { return };
    let locks = Locks::default();
    let user = std::ptr::from_ref(&locks).cast_mut().cast();
    let given = application.given(Some(QueueLock { user, lock, unlock }));
    let settings = GpuSettings { allowed: Allowed::Gpus, application: Some(given) };
    let gpus = Gpus::new(settings, Log::none());
    assert_eq!(gpus.list().unwrap().len(), 1);
    let device = gpus.open(Which::Best).unwrap();
    let one = Allocation::new(&device, 100_000, Kind::DeviceLocal, true).unwrap();
    device.fill(&one, 0, 100_000, 7).unwrap();
    let mut bytes = [0; 16];
    // SAFETY: 16 bytes.
    unsafe { device.download(&one, 99_984, bytes.as_mut_ptr(), 16) }.unwrap();
    assert_eq!(bytes, [7; 16]);
    let native = one.native();
    assert_eq!(native.device, application.device.handle().as_raw());
    assert_eq!((native.queue_family, native.queue_index), (0, None));
    // A device of lava's own, as another process has it, understands the memory.
    let uuid = device.info().device_uuid;
    let other = super::testing::gpus().open(Which::Uuid(uuid)).unwrap();
    drop(Allocation::import(&other, one.export().unwrap(), one.recipe()).unwrap());
    drop((one, device, gpus));
    // SAFETY: still alive.
    unsafe { application.device.device_wait_idle() }.unwrap();
    let [taken, given_back] = locks.0.map(AtomicU32::into_inner);
    assert!(taken >= 2 && taken == given_back, "{taken} {given_back}");
}

#[test]
fn a_device_without_what_lava_needs_is_refused_with_the_list() {
    let Some(bare) = Application::new(&[]) else { return };
    let refused = |change: fn(&mut ApplicationDevice), words: &str| {
        let error = bare.open(change).unwrap_err();
        assert_eq!(error.status, LAVA_ERROR_INVALID_ARGUMENT, "{error}");
        assert!(error.message.contains(words), "{error}");
        assert!(error.message.contains(REQUIRED), "{error}");
    };
    refused(|_| (), "without VK_KHR_external_memory_fd");
    refused(|given| given.queue_family = 77, "not number 77");
}

/// What was not enabled is not used.
#[test]
fn optional_extensions_are_used_only_if_enabled() {
    let Some(application) = Application::new(&[ash::khr::external_memory_fd::NAME]) else { return };
    let device = application.open(|_| ()).unwrap();
    assert!(!device.info().host_import && !device.info().timeline_exportable);
    assert!(Timeline::new(&device, true).is_err());
    drop(device);
}
