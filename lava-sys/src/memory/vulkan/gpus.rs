//! The devices of one context. Nothing of Vulkan is loaded before the first call.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ash::vk::{self, Handle as _};

use super::device::Device;
use super::failure::no_device;
use super::info::{self, DeviceInfo, DeviceKind};
use super::instance::{DRIVERS, Instance, chosen_by_environment};
use super::settings::{Allowed, GpuSettings};
use crate::error::{Error, Result};
use crate::log::Log;

/// Which device is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Discrete before integrated before virtual; a CPU device only where those are allowed.
    Best,
    /// The one with this device UUID, a CPU device too.
    Uuid([u8; 16]),
}

impl Which {
    /// The device of an option: zero means the best.
    pub fn of_option(uuid: [u8; 16]) -> Self {
        if uuid == [0; 16] { Self::Best } else { Self::Uuid(uuid) }
    }
}

type Listed = (vk::PhysicalDevice, DeviceInfo);

/// See the module.
#[derive(Debug)]
pub struct Gpus {
    settings: GpuSettings,
    log: Log,
    /// A failure is kept too: what is missing does not appear while a context lives.
    instance: OnceLock<Result<Arc<Instance>>>,
    /// By device UUID. Opening is under the lock: two threads that want one device get one.
    open: Mutex<HashMap<[u8; 16], Arc<Device>>>,
}

impl Gpus {
    pub fn new(settings: GpuSettings, log: Log) -> Arc<Self> {
        Arc::new(Self { settings, log, instance: OnceLock::new(), open: Mutex::default() })
    }

    pub fn settings(&self) -> &GpuSettings {
        &self.settings
    }

    /// Every device of this machine, those that cannot or may not be used too; best first. Heaps are as they are now.
    pub fn list(&self) -> Result<Vec<DeviceInfo>> {
        Ok(self.find()?.into_iter().map(|(_, info)| info).collect())
    }

    /// Opens a device, or gives the one that is open.
    pub fn open(&self, which: Which) -> Result<Arc<Device>> {
        match which {
            Which::Best => self.open_best(),
            Which::Uuid(uuid) => self.open_named(uuid),
        }
    }

    /// Whether any device is open: then host memory is worth showing to it.
    pub fn opened(&self) -> Vec<Arc<Device>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.values().cloned().collect()
    }

    /// The device that memory of another process belongs to. Both UUIDs must be those of the exporter: OPAQUE_FD memory
    /// is only understood by the same driver for the same device.
    pub fn open_for_import(
        &self,
        device_uuid: [u8; 16],
        driver_uuid: [u8; 16],
    ) -> Result<Arc<Device>> {
        let found = self.find()?;
        let Some((physical, info)) = found.iter().find(|(_, info)| info.device_uuid == device_uuid)
        else {
            return Err(no_device(format!(
                "the memory is on device {}, which is not here; here are {}",
                uuid_text(&device_uuid),
                names(&found)
            )));
        };
        if info.driver_uuid != driver_uuid {
            return Err(no_device(format!(
                "the memory was made by driver {} and this process has driver {} for {}; use the same driver version \
                 at both ends",
                uuid_text(&driver_uuid),
                uuid_text(&info.driver_uuid),
                info.name
            )));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // A peer's word is not this user's: a CPU device that nobody here asked for stays shut.
        if !open.contains_key(&device_uuid) && !self.is_allowed(info) {
            return Err(no_device(format!(
                "the memory is on {}, a CPU device; {CPU_ALLOWED}",
                info.name
            )));
        }
        self.open_listed(&mut open, *physical, info)
    }

    fn open_best(&self) -> Result<Arc<Device>> {
        let found = self.find()?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let candidate = found.iter().find(|(_, info)| info.usable.is_ok() && self.is_allowed(info));
        match candidate {
            Some((physical, info)) => self.open_listed(&mut open, *physical, info),
            None => Err(self.none_usable(&found)),
        }
    }

    fn open_named(&self, uuid: [u8; 16]) -> Result<Arc<Device>> {
        let found = self.find()?;
        let Some((physical, info)) = found.iter().find(|(_, info)| info.device_uuid == uuid) else {
            return Err(no_device(format!(
                "no device has UUID {}; here are {}",
                uuid_text(&uuid),
                names(&found)
            )));
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.open_listed(&mut open, *physical, info)
    }

    fn open_listed(
        &self,
        open: &mut HashMap<[u8; 16], Arc<Device>>,
        physical: vk::PhysicalDevice,
        info: &DeviceInfo,
    ) -> Result<Arc<Device>> {
        if let Some(device) = open.get(&info.device_uuid) {
            return Ok(Arc::clone(device));
        }
        if let Err(why) = &info.usable {
            return Err(no_device(format!("device {} cannot be used: {why}", info.name)));
        }
        let instance = self.instance()?;
        let device = match &self.settings.application {
            Some(application) => Device::of_application(instance, info.clone(), application)?,
            None => Device::open(instance, physical, info.clone())?,
        };
        self.log.info(|| {
            let (uuid, kind) = (uuid_text(&info.device_uuid), info.kind.name());
            format!("device {} ({kind}, {uuid}): opened", info.name)
        });
        let device = Arc::new(device);
        open.insert(info.device_uuid, Arc::clone(&device));
        Ok(device)
    }

    fn instance(&self) -> Result<Arc<Instance>> {
        let made = self.instance.get_or_init(|| match &self.settings.application {
            Some(application) => Instance::of_application(application),
            None if self.settings.allowed == Allowed::Off => Err(no_device(
                "Vulkan is off for this context; unset LAVA_VULKAN=off (or lava_context_options.vulkan_devices)",
            )),
            None => Instance::new(),
        });
        made.clone()
    }

    /// All devices, best first; of equals in the driver's order.
    fn find(&self) -> Result<Vec<Listed>> {
        let instance = self.instance()?;
        let physical = match &self.settings.application {
            Some(application) => {
                vec![vk::PhysicalDevice::from_raw(application.physical_device as u64)]
            }
            None => instance.physical_devices()?,
        };
        let asked = physical.into_iter().map(|device| Ok((device, info::ask(&instance, device)?)));
        let mut found = asked.collect::<Result<Vec<Listed>>>()?;
        if found.is_empty() {
            let chosen = chosen_by_environment();
            return Err(no_device(format!("Vulkan has no device{chosen}; {DRIVERS}")));
        }
        found.sort_by_key(|(_, info)| info.kind);
        Ok(found)
    }

    fn is_allowed(&self, info: &DeviceInfo) -> bool {
        info.kind != DeviceKind::Cpu
            || self.settings.allowed == Allowed::All
            || self.settings.application.is_some()
    }

    fn none_usable(&self, found: &[Listed]) -> Error {
        let why = |(_, info): &Listed| match &info.usable {
            Err(why) => format!("{}: {why}", info.name),
            Ok(()) => format!("{} is a CPU device: {CPU_ALLOWED}", info.name),
        };
        let reasons: Vec<String> = found.iter().map(why).collect();
        no_device(format!("no usable GPU: {}; or {DRIVERS}", reasons.join("; ")))
    }
}

/// How to get a CPU device.
const CPU_ALLOWED: &str = "allow it with LAVA_VULKAN=cpu or name it by its UUID";

/// Names and UUIDs of devices, for an error message.
fn names(found: &[Listed]) -> String {
    let name = |(_, info): &Listed| format!("{} ({})", info.name, uuid_text(&info.device_uuid));
    found.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// A UUID as people write it.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let digits: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let (a, b, c, d, e) =
        (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}
