//! The child process that loads Vulkan, lists the devices, and tries each one that may be used.

use lava::{Context, Device, DeviceHeap, DeviceKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gpus::{Capability, Gpu, Heap};
use super::trial;
use crate::child::Parent;
use crate::failure::{Doing, Failure};

/// Arguments of the process.
#[derive(Debug, clap::Args)]
pub struct ProbeArguments {
    #[arg(long)]
    parent: u32,
}

/// What it says to `lava info`, in this order; `Trying` and `Tried` for each trial.
#[derive(Debug, Serialize, Deserialize)]
pub enum Saying {
    /// There are no GPUs: why, and the fix.
    Nothing(String),
    Devices(Vec<Gpu>),
    Trying(String),
    Tried {
        /// Index among the devices.
        device: usize,
        capability: Capability,
    },
    Done,
}

/// Runs the process.
pub fn probe(arguments: &ProbeArguments) -> Result<(), Failure> {
    let parent = Parent::attach(arguments.parent)?;
    let context = Context::new()?;
    match context.devices() {
        Err(error) => parent.tell(&Saying::Nothing(error.to_string()))?,
        Ok(devices) => {
            let reasons = reasons(&context, &devices)?;
            let shown = devices.iter().zip(&reasons);
            parent.tell(&Saying::Devices(shown.map(|(it, why)| shown_as(it, why)).collect()))?;
            for (index, (device, reason)) in devices.iter().zip(&reasons).enumerate() {
                if reason.is_none() {
                    try_all(&parent, &context, (index, device))?;
                }
            }
        }
    }
    parent.tell(&Saying::Done)
}

/// Why each device is not used. One that is the CPU in disguise is used only by who asks for it.
fn reasons(context: &Context, devices: &[Device]) -> Result<Vec<Option<String>>, Failure> {
    let settings: Value =
        serde_json::from_str(&context.describe()?).doing("reading the library's description")?;
    let asked = settings["vulkan"] != "auto";
    let reason = |device: &Device| match (device.kind, &device.unusable) {
        (DeviceKind::Cpu, None) if !asked => {
            Some("present, not used unless LAVA_VULKAN=cpu, or named by its UUID".to_owned())
        }
        (_, unusable) => unusable.clone(),
    };
    Ok(devices.iter().map(reason).collect())
}

fn try_all(
    parent: &Parent,
    context: &Context,
    (index, device): (usize, &Device),
) -> Result<(), Failure> {
    for trial in trial::ALL {
        parent.tell(&Saying::Trying(format!("{}, {}", device.name, trial.name)))?;
        let outcome = (trial.run)(context, device);
        let (available, note) = match outcome {
            Ok(note) => (true, note),
            Err(failure) => (false, format!("{failure}; {}", trial.without)),
        };
        let capability = Capability { name: trial.name.to_owned(), available, note };
        parent.tell(&Saying::Tried { device: index, capability })?;
    }
    Ok(())
}

fn shown_as(device: &Device, reason: &Option<String>) -> Gpu {
    let (major, minor, patch) = device.vulkan_version;
    Gpu {
        name: device.name.clone(),
        kind: kind_word(device.kind).to_owned(),
        uuid: device.uuid.to_string(),
        driver_uuid: device.driver_uuid.to_string(),
        vendor: format!("{:#06x}", device.vendor_id),
        device: format!("{:#06x}", device.device_id),
        driver: device.driver_name.clone(),
        driver_info: device.driver_info.clone(),
        vulkan: format!("{major}.{minor}.{patch}"),
        pci_address: device.pci.map(|address| address.to_string()),
        heaps: device.heaps.iter().map(Heap::from).collect(),
        max_allocation: device.max_allocation,
        used: reason.is_none(),
        reason: reason.clone(),
        capabilities: Vec::new(),
    }
}

impl From<&DeviceHeap> for Heap {
    fn from(heap: &DeviceHeap) -> Self {
        Heap {
            bytes: heap.size,
            budget_bytes: heap.budget,
            used_bytes: heap.used,
            device_local: heap.device_local,
        }
    }
}

fn kind_word(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Discrete => "discrete GPU",
        DeviceKind::Integrated => "integrated GPU",
        DeviceKind::Virtual => "virtual GPU",
        DeviceKind::Cpu => "CPU",
        _ => "other",
    }
}
