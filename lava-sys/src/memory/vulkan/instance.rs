//! The Vulkan loader and an instance of it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ash::vk::{self, Handle as _};

use super::driver;
use super::failure::{failed, no_device};
use super::settings::ApplicationDevice;
use crate::error::{Error, Result};
use crate::os::fork::ForkGuard;
use crate::types::*;

/// The Vulkan version that lava is written for: timeline semaphores and UUIDs are part of it.
pub(super) const VERSION: u32 = vk::API_VERSION_1_2;

/// The loader, once it was found. Of the process and not of a context: `dlopen` is so too, and drivers do not survive
/// being unloaded. The guard knows a process that was forked since: drivers do not work there.
static LOADER: OnceLock<(ash::Entry, ForkGuard)> = OnceLock::new();

fn loader() -> Result<&'static ash::Entry> {
    if LOADER.get().is_none() {
        // SAFETY: libvulkan's initialisers are those of the system's own Vulkan loader.
        let entry = unsafe { ash::Entry::load() }.map_err(|error| {
            no_device(format!(
                "no Vulkan loader ({error}); install libvulkan1 (Debian, Ubuntu) or vulkan-loader (Fedora, Arch)"
            ))
        })?;
        // Another thread may have been first; then this one is dropped, and the library stays.
        let _ = LOADER.set((entry, ForkGuard::new()?));
    }
    match LOADER.get() {
        Some((_, guard)) if guard.is_child() => Err(forked()),
        Some((entry, _)) => Ok(entry),
        None => Err(Error::new(LAVA_ERROR_INTERNAL, "the Vulkan loader was lost")),
    }
}

fn forked() -> Error {
    Error::new(
        LAVA_ERROR_FORKED,
        "this process was forked after Vulkan was loaded, and drivers do not work in a forked child; \
         start a program there (exec), or fork before the first use of a GPU",
    )
}

/// An instance, lava's own or the application's. Destroyed with the last device of it.
pub(super) struct Instance {
    pub(super) raw: ash::Instance,
    /// Whether lava made it.
    own: bool,
    fork: ForkGuard,
}

impl Instance {
    /// An instance of lava's own.
    pub(super) fn new() -> Result<Arc<Self>> {
        let entry = loader()?;
        // SAFETY: the loader is never unloaded.
        let version = unsafe { entry.try_enumerate_instance_version() }
            .map_err(|result| failed(result, "asking for Vulkan's version"))?
            .unwrap_or(vk::API_VERSION_1_0);
        if version < VERSION {
            return Err(no_device(format!(
                "the Vulkan loader knows version {} only, 1.2 is needed; install a newer libvulkan1",
                version_text(version)
            )));
        }
        let application = vk::ApplicationInfo::default()
            .application_name(c"lava")
            .engine_name(c"lava")
            .api_version(VERSION);
        let info = vk::InstanceCreateInfo::default().application_info(&application);
        let order = driver::making();
        // SAFETY: `info` is complete and lives for the call.
        let raw = unsafe { entry.create_instance(&info, None) }.map_err(no_driver)?;
        drop(order);
        Ok(Arc::new(Self { raw, own: true, fork: ForkGuard::new()? }))
    }

    /// The application's instance.
    pub(super) fn of_application(application: &ApplicationDevice) -> Result<Arc<Self>> {
        // SAFETY: the application's vkGetInstanceProcAddr, cast to a neutral type on its way.
        let get_instance_proc_addr = unsafe {
            std::mem::transmute::<unsafe extern "C" fn(), vk::PFN_vkGetInstanceProcAddr>(
                application.get_instance_proc_addr,
            )
        };
        let functions = ash::StaticFn { get_instance_proc_addr };
        let handle = vk::Instance::from_raw(application.instance as u64);
        // SAFETY: the handle is alive and belongs to the function, as ApplicationDevice demands; the name ends with NUL.
        let newer =
            unsafe { get_instance_proc_addr(handle, c"vkGetPhysicalDeviceProperties2".as_ptr()) };
        if newer.is_none() {
            return Err(Error::argument(
                "the application's Vulkan instance was not made for Vulkan 1.2: set apiVersion",
            ));
        }
        // SAFETY: as above.
        let raw = unsafe { ash::Instance::load(&functions, handle) };
        Ok(Arc::new(Self { raw, own: false, fork: ForkGuard::new()? }))
    }

    /// Whether this is a forked child, where nothing of Vulkan may be called.
    pub(super) fn is_child(&self) -> bool {
        self.fork.is_child()
    }

    /// Refuses work in a forked child.
    pub(super) fn check_fork(&self) -> Result<()> {
        if self.is_child() { Err(forked()) } else { Ok(()) }
    }

    pub(super) fn physical_devices(&self) -> Result<Vec<vk::PhysicalDevice>> {
        self.check_fork()?;
        // The first time, the driver opens its devices.
        let _order = driver::making();
        // SAFETY: the instance lives.
        unsafe { self.raw.enumerate_physical_devices() }
            .map_err(|result| failed(result, "listing the Vulkan devices"))
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instance({:#x})", self.raw.handle().as_raw())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.own && !self.is_child() {
            let _order = driver::making();
            // SAFETY: devices hold an Arc of this, so all are destroyed.
            unsafe { self.raw.destroy_instance(None) };
        }
    }
}

/// Why there is no instance: nearly always because there is no driver.
fn no_driver(result: vk::Result) -> Error {
    if result != vk::Result::ERROR_INCOMPATIBLE_DRIVER {
        return Error { status: LAVA_ERROR_DEVICE, ..failed(result, "creating a Vulkan instance") };
    }
    let mut error =
        no_device(format!("no Vulkan driver was found{}; {DRIVERS}", chosen_by_environment()));
    error.vk = result.as_raw();
    error
}

/// What to do where there is no driver.
pub(super) const DRIVERS: &str = "install the GPU's driver (mesa-vulkan-drivers, or NVIDIA's); in a container, pass the \
     GPU in (--gpus all with NVIDIA_DRIVER_CAPABILITIES=all, or --device /dev/dri)";

/// Tells of the loader's variables, which hide drivers.
pub(super) fn chosen_by_environment() -> String {
    let names = [
        "VK_DRIVER_FILES",
        "VK_ICD_FILENAMES",
        "VK_LOADER_DRIVERS_SELECT",
        "VK_LOADER_DRIVERS_DISABLE",
    ];
    let set = names
        .into_iter()
        .find_map(|name| std::env::var_os(name).map(|value| format!(" ({name} is {value:?})")));
    set.unwrap_or_default()
}

/// `major.minor.patch`.
pub(super) fn version_text(version: u32) -> String {
    format!(
        "{}.{}.{}",
        vk::api_version_major(version),
        vk::api_version_minor(version),
        vk::api_version_patch(version)
    )
}
