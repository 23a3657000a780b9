//! What a device is and can do, asked of the driver without opening it.

use std::ffi::{CStr, c_char};

use ash::vk;

use super::instance::{Instance, VERSION, version_text};
use super::queues;
use super::recipe::USAGE;
use crate::error::Result;

/// What kind of device it is, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    Discrete,
    Integrated,
    Virtual,
    Other,
    /// The processor plays GPU (lavapipe): for tests, and only when asked for.
    Cpu,
}

impl DeviceKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Cpu => "cpu",
        }
    }

    fn of(kind: vk::PhysicalDeviceType) -> Self {
        match kind {
            vk::PhysicalDeviceType::DISCRETE_GPU => Self::Discrete,
            vk::PhysicalDeviceType::INTEGRATED_GPU => Self::Integrated,
            vk::PhysicalDeviceType::VIRTUAL_GPU => Self::Virtual,
            vk::PhysicalDeviceType::CPU => Self::Cpu,
            _ => Self::Other,
        }
    }
}

/// Where a device sits on the PCI bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u32,
    pub device: u32,
    pub function: u32,
}

impl std::fmt::Display for PciAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

/// One pool of memory of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heap {
    pub size: u64,
    /// How much this process may have of it, by the driver's estimate.
    pub budget: Option<u64>,
    /// How much this process has of it.
    pub used: Option<u64>,
    pub device_local: bool,
}

impl Heap {
    /// What can still be allocated, if the driver tells.
    pub fn free(&self) -> Option<u64> {
        Some(self.budget?.saturating_sub(self.used?))
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    pub name: String,
    pub vendor_id: u32,
    pub device_id: u32,
    pub kind: DeviceKind,
    pub device_uuid: [u8; 16],
    pub driver_uuid: [u8; 16],
    pub driver_name: String,
    pub driver_info: String,
    /// As Vulkan packs it.
    pub api_version: u32,
    pub pci: Option<PciAddress>,
    pub heaps: Vec<Heap>,
    /// Buffers can be shared with other processes.
    pub exportable: bool,
    /// Timeline semaphores can be shared with other processes.
    pub timeline_exportable: bool,
    /// Host memory can be used by the device in its place.
    pub host_import: bool,
    /// What address and size of such memory are multiples of.
    pub host_import_alignment: u64,
    /// Bytes of the largest allocation.
    pub max_allocation: u64,
    /// Why lava cannot use it.
    pub usable: std::result::Result<(), String>,
}

/// Whether and how a buffer can be shared.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sharing {
    pub(super) possible: bool,
    /// Only with an allocation of its own.
    pub(super) dedicated_only: bool,
}

/// The names of the extensions that a device offers.
pub(super) struct Extensions(Vec<vk::ExtensionProperties>);

impl Extensions {
    pub(super) fn has(&self, name: &CStr) -> bool {
        self.0.iter().any(|found| found.extension_name_as_c_str() == Ok(name))
    }
}

pub(super) fn extensions(instance: &Instance, device: vk::PhysicalDevice) -> Extensions {
    // SAFETY: the handle is of this instance. A device that does not answer offers none.
    Extensions(
        unsafe { instance.raw.enumerate_device_extension_properties(device) }.unwrap_or_default(),
    )
}

/// Asks a device all that can be asked without opening it.
pub(super) fn ask(instance: &Instance, device: vk::PhysicalDevice) -> Result<DeviceInfo> {
    instance.check_fork()?;
    // SAFETY: the handle is of this instance.
    let basic = unsafe { instance.raw.get_physical_device_properties(device) };
    let mut info = DeviceInfo {
        name: text(&basic.device_name),
        vendor_id: basic.vendor_id,
        device_id: basic.device_id,
        kind: DeviceKind::of(basic.device_type),
        device_uuid: [0; 16],
        driver_uuid: [0; 16],
        driver_name: String::new(),
        driver_info: String::new(),
        api_version: basic.api_version,
        pci: None,
        heaps: Vec::new(),
        exportable: false,
        timeline_exportable: false,
        host_import: false,
        host_import_alignment: 0,
        max_allocation: 0,
        usable: Ok(()),
    };
    if basic.api_version < VERSION {
        // Such a device must not be asked anything that is newer than it.
        let version = version_text(basic.api_version);
        info.usable = Err(format!("it has Vulkan {version}, 1.2 is needed; update the driver"));
        return Ok(info);
    }
    let extensions = extensions(instance, device);
    ask_properties(instance, device, &extensions, &mut info);
    info.heaps = heaps(instance, device, &extensions);
    info.exportable = sharing(instance, device, &extensions).possible;
    info.timeline_exportable = shares_timelines(instance, device, &extensions);
    info.usable = usable(instance, device, &extensions);
    Ok(info)
}

fn ask_properties(
    instance: &Instance,
    device: vk::PhysicalDevice,
    extensions: &Extensions,
    info: &mut DeviceInfo,
) {
    let mut identity = vk::PhysicalDeviceIDProperties::default();
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut limits = vk::PhysicalDeviceMaintenance3Properties::default();
    let mut pci = vk::PhysicalDevicePCIBusInfoPropertiesEXT::default();
    let mut host = vk::PhysicalDeviceExternalMemoryHostPropertiesEXT::default();
    let (has_pci, has_host) = (
        extensions.has(ash::ext::pci_bus_info::NAME),
        extensions.has(ash::ext::external_memory_host::NAME),
    );
    let mut all = vk::PhysicalDeviceProperties2::default()
        .push_next(&mut identity)
        .push_next(&mut driver)
        .push_next(&mut limits);
    if has_pci {
        all = all.push_next(&mut pci);
    }
    if has_host {
        all = all.push_next(&mut host);
    }
    // SAFETY: the handle is of this instance and has Vulkan 1.2; what is chained is of 1.2 or of an extension it has.
    unsafe { instance.raw.get_physical_device_properties2(device, &mut all) };
    info.device_uuid = identity.device_uuid;
    info.driver_uuid = identity.driver_uuid;
    info.driver_name = text(&driver.driver_name);
    info.driver_info = text(&driver.driver_info);
    info.max_allocation = limits.max_memory_allocation_size;
    info.pci = has_pci.then_some(PciAddress {
        domain: pci.pci_domain,
        bus: pci.pci_bus,
        device: pci.pci_device,
        function: pci.pci_function,
    });
    info.host_import = has_host;
    info.host_import_alignment = host.min_imported_host_pointer_alignment;
}

/// The heaps as they are now.
pub(super) fn heaps(
    instance: &Instance,
    device: vk::PhysicalDevice,
    extensions: &Extensions,
) -> Vec<Heap> {
    let told = extensions.has(ash::ext::memory_budget::NAME);
    let mut budget = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
    let mut memory = vk::PhysicalDeviceMemoryProperties2::default();
    if told {
        memory = memory.push_next(&mut budget);
    }
    // SAFETY: the handle is of this instance; the chained struct is of an extension that it has.
    unsafe { instance.raw.get_physical_device_memory_properties2(device, &mut memory) };
    let heaps = memory.memory_properties.memory_heaps_as_slice().to_vec();
    let heap = |(index, heap): (usize, &vk::MemoryHeap)| Heap {
        size: heap.size,
        budget: told.then_some(budget.heap_budget[index]),
        used: told.then_some(budget.heap_usage[index]),
        device_local: heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL),
    };
    heaps.iter().enumerate().map(heap).collect()
}

/// Whether lava's buffers can be shared by OPAQUE_FD.
pub(super) fn sharing(
    instance: &Instance,
    device: vk::PhysicalDevice,
    extensions: &Extensions,
) -> Sharing {
    if !extensions.has(ash::khr::external_memory_fd::NAME) {
        return Sharing::default();
    }
    let asked = vk::PhysicalDeviceExternalBufferInfo::default()
        .usage(USAGE)
        .handle_type(vk::ExternalMemoryHandleTypeFlags::OPAQUE_FD);
    let mut answer = vk::ExternalBufferProperties::default();
    // SAFETY: the handle is of this instance.
    unsafe {
        instance.raw.get_physical_device_external_buffer_properties(device, &asked, &mut answer)
    };
    let features = answer.external_memory_properties.external_memory_features;
    Sharing {
        possible: features.contains(
            vk::ExternalMemoryFeatureFlags::EXPORTABLE | vk::ExternalMemoryFeatureFlags::IMPORTABLE,
        ),
        dedicated_only: features.contains(vk::ExternalMemoryFeatureFlags::DEDICATED_ONLY),
    }
}

/// Asked with the timeline type: that binary semaphores can be shared implies nothing.
fn shares_timelines(
    instance: &Instance,
    device: vk::PhysicalDevice,
    extensions: &Extensions,
) -> bool {
    if !extensions.has(ash::khr::external_semaphore_fd::NAME) {
        return false;
    }
    let mut kind =
        vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
    let asked = vk::PhysicalDeviceExternalSemaphoreInfo::default()
        .handle_type(vk::ExternalSemaphoreHandleTypeFlags::OPAQUE_FD)
        .push_next(&mut kind);
    let mut answer = vk::ExternalSemaphoreProperties::default();
    // SAFETY: the handle is of this instance.
    unsafe {
        instance.raw.get_physical_device_external_semaphore_properties(device, &asked, &mut answer)
    };
    answer.external_semaphore_features.contains(
        vk::ExternalSemaphoreFeatureFlags::EXPORTABLE
            | vk::ExternalSemaphoreFeatureFlags::IMPORTABLE,
    )
}

fn usable(
    instance: &Instance,
    device: vk::PhysicalDevice,
    extensions: &Extensions,
) -> std::result::Result<(), String> {
    if !extensions.has(ash::khr::external_memory_fd::NAME) {
        return Err("its driver lacks VK_KHR_external_memory_fd; update the driver".into());
    }
    let mut timeline = vk::PhysicalDeviceTimelineSemaphoreFeatures::default();
    let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut timeline);
    // SAFETY: the handle is of this instance and has Vulkan 1.2.
    unsafe { instance.raw.get_physical_device_features2(device, &mut features) };
    if timeline.timeline_semaphore == vk::FALSE {
        return Err("its driver lacks the feature timelineSemaphore; update the driver".into());
    }
    // SAFETY: the handle is of this instance.
    let families = unsafe { instance.raw.get_physical_device_queue_family_properties(device) };
    if queues::choose(&families).is_none() {
        return Err("it has no queue for compute work".into());
    }
    Ok(())
}

/// Text in a driver's fixed array, up to its NUL or its end.
fn text(characters: &[c_char]) -> String {
    let bytes: Vec<u8> =
        characters.iter().map(|character| *character as u8).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_better_than_a_chip_and_anything_than_the_cpu() {
        use DeviceKind::*;
        assert!([Discrete, Integrated, Virtual, Other, Cpu].is_sorted());
    }

    #[test]
    fn drivers_text_ends_at_its_nul_or_at_the_end() {
        assert_eq!(text(&[b'a' as c_char, 0, b'b' as c_char]), "a");
        assert_eq!(text(&[b'a' as c_char; 3]), "aaa");
    }
}
