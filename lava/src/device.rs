//! GPUs: what there is, and which of them a context uses.

use std::ffi::c_char;
use std::fmt;
use std::str::FromStr;

use lava_sys::*;

use crate::bytes::{CStruct, text};
use crate::context::Context;
use crate::error::{Error, Result};

/// Which GPUs a context uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Devices {
    /// What the environment says, `LAVA_VULKAN=auto|off|cpu`; else discrete, integrated and virtual ones. A device that is
    /// the CPU in disguise (lavapipe) is used only if it is named by its UUID.
    Auto,
    /// None; Vulkan is never loaded.
    Off,
    /// All, also those that are the CPU in disguise.
    All,
}

impl Devices {
    pub(crate) fn to_raw(self) -> u32 {
        match self {
            Self::Auto => LAVA_VULKAN_AUTO,
            Self::Off => LAVA_VULKAN_OFF,
            Self::All => LAVA_VULKAN_ALL,
        }
    }
}

/// Names a GPU or a driver: the same in every process of a host, and in CUDA.
///
/// ```
/// let uuid: lava::Uuid = "0a1b2c3d-0000-0000-0000-0000000000ff".parse().unwrap();
/// assert_eq!(uuid.as_bytes()[..4], [0x0a, 0x1b, 0x2c, 0x3d]);
/// assert_eq!(uuid.to_string(), "0a1b2c3d-0000-0000-0000-0000000000ff");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The UUID of its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// `None` for zero, which stands for no device in C.
    pub(crate) fn from_raw(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(formatter, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Uuid({self})")
    }
}

impl FromStr for Uuid {
    type Err = Error;

    /// 32 hexadecimal digits; hyphens are ignored.
    fn from_str(text: &str) -> Result<Self> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .filter(|digit| *digit != '-')
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let Some(digits) = digits.filter(|digits| digits.len() == 32) else {
            let message =
                format!("'{text}' is not a UUID: 32 hexadecimal digits, with or without hyphens");
            return Err(Error::invalid(text.len() as u64, message));
        };
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the host's memory.
    Integrated,
    /// A GPU in a virtual machine.
    Virtual,
    /// The CPU.
    Cpu,
    /// None of these.
    Other,
}

/// One heap of a device's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceHeap {
    /// Bytes.
    pub size: u64,
    /// Bytes that this process may use at present, if the driver tells.
    pub budget: Option<u64>,
    /// Bytes that this process uses, if the driver tells.
    pub used: Option<u64>,
    /// The device's own memory.
    pub device_local: bool,
}

/// Where a device is on the PCI bus. Displays as `0000:3b:00.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PciAddress {
    /// Domain.
    pub domain: u32,
    /// Bus.
    pub bus: u32,
    /// Device.
    pub device: u32,
    /// Function.
    pub function: u32,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(formatter, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

/// A GPU, as [`Context::devices`] lists it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Device {
    /// Names it in options.
    pub uuid: Uuid,
    /// UUID of its driver. Memory can be shared only where both UUIDs are equal.
    pub driver_uuid: Uuid,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// PCI vendor, such as 0x10de.
    pub vendor_id: u32,
    /// PCI device.
    pub device_id: u32,
    /// Name of its driver.
    pub driver_name: String,
    /// What the driver says of itself, usually its version.
    pub driver_info: String,
    /// Vulkan version: major, minor, patch.
    pub vulkan_version: (u32, u32, u32),
    /// Where it is on the PCI bus.
    pub pci: Option<PciAddress>,
    /// Its memory.
    pub heaps: Vec<DeviceHeap>,
    /// Most bytes of one allocation, and so of one buffer.
    pub max_allocation: u64,
    /// Its memory can be shared with other processes.
    pub exportable: bool,
    /// Its timeline semaphores can be shared with other processes, so that a GPU can wait for a frame.
    pub timeline_exportable: bool,
    /// It can copy straight from and to pinned host memory whose address and size are multiples of this.
    pub host_import_alignment: Option<u64>,
    /// Why lava cannot use it, and what to do about it; `None`: it can. A CPU device must still be asked for:
    /// [`Devices::All`], or its UUID.
    pub unusable: Option<String>,
}

impl Device {
    fn from_raw(raw: &lava_device_info) -> Self {
        let has = |flag| raw.flags & flag != 0;
        let version = raw.api_version;
        Self {
            uuid: Uuid(raw.device_uuid),
            driver_uuid: Uuid(raw.driver_uuid),
            name: text(&raw.name),
            kind: match raw.kind {
                LAVA_DEVICE_KIND_DISCRETE => DeviceKind::Discrete,
                LAVA_DEVICE_KIND_INTEGRATED => DeviceKind::Integrated,
                LAVA_DEVICE_KIND_VIRTUAL => DeviceKind::Virtual,
                LAVA_DEVICE_KIND_CPU => DeviceKind::Cpu,
                _ => DeviceKind::Other,
            },
            vendor_id: raw.vendor_id,
            device_id: raw.device_id,
            driver_name: text(&raw.driver_name),
            driver_info: text(&raw.driver_info),
            vulkan_version: (version >> 22 & 0x7f, version >> 12 & 0x3ff, version & 0xfff),
            pci: has(LAVA_DEVICE_HAS_PCI_ADDRESS).then_some(PciAddress {
                domain: raw.pci_domain,
                bus: raw.pci_bus,
                device: raw.pci_device,
                function: raw.pci_function,
            }),
            heaps: heaps(raw, has(LAVA_DEVICE_HAS_BUDGET)),
            max_allocation: raw.max_allocation,
            exportable: has(LAVA_DEVICE_EXPORTABLE),
            timeline_exportable: has(LAVA_DEVICE_TIMELINE_EXPORTABLE),
            host_import_alignment: has(LAVA_DEVICE_HOST_IMPORT)
                .then_some(raw.host_import_alignment),
            unusable: (!has(LAVA_DEVICE_USABLE)).then(|| why(&raw.reason)),
        }
    }
}

fn heaps(raw: &lava_device_info, has_budget: bool) -> Vec<DeviceHeap> {
    let heaps = raw.heaps.iter().take(raw.heap_count as usize);
    heaps
        .map(|heap| DeviceHeap {
            size: heap.size,
            budget: has_budget.then_some(heap.budget),
            used: has_budget.then_some(heap.used),
            device_local: heap.flags & LAVA_DEVICE_HEAP_LOCAL != 0,
        })
        .collect()
}

fn why(reason: &[c_char]) -> String {
    let reason = text(reason);
    if reason.is_empty() { "the library gives no reason".to_owned() } else { reason }
}

impl Context {
    /// The GPUs of this machine, best first: also those that this context cannot use, with the reason. Loads Vulkan if
    /// nothing has yet.
    ///
    /// # Errors
    /// `Device`: no Vulkan, no driver, or no device; the message says which, and what to install. `Forked`.
    ///
    /// ```
    /// # fn main() -> lava::Result<()> {
    /// let context = lava::Context::new()?;
    /// match context.devices() {
    ///     Ok(devices) => devices.iter().for_each(|device| println!("{} {}", device.uuid, device.name)),
    ///     Err(error) => println!("no GPU: {error}"), // a normal state: host memory works without
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn devices(&self) -> Result<Vec<Device>> {
        let (context, mut count) = (self.0.as_ptr(), 0);
        // SAFETY: the context is live, the count is a place for the answer.
        Error::check(|error| unsafe { lava_context_get_device_count(context, &mut count, error) })?;
        let device = |index| {
            let mut raw = lava_device_info::sized();
            // SAFETY: as above.
            Error::check(|error| unsafe {
                lava_context_get_device(context, index, &mut raw, error)
            })
            .map(|()| Device::from_raw(&raw))
        };
        (0..count).map(device).collect()
    }
}
