//! The GPUs, looked at and tried in a child process: a driver that crashes or hangs is a line in the report.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::probe::Saying;
use crate::child::Helper;
use crate::failure::Failure;

/// What there is of GPUs.
#[derive(Debug, Serialize)]
pub struct Gpus {
    /// Vulkan and at least one device were found.
    pub found: bool,
    /// Why nothing was found, or what went wrong, and the fix.
    pub problem: Option<String>,
    pub devices: Vec<Gpu>,
}

/// One device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gpu {
    pub name: String,
    pub kind: String,
    pub uuid: String,
    pub driver_uuid: String,
    /// As Vulkan and PCI have them: `0x10de`.
    pub vendor: String,
    pub device: String,
    pub driver: String,
    pub driver_info: String,
    pub vulkan: String,
    pub pci_address: Option<String>,
    pub heaps: Vec<Heap>,
    /// Bytes of the largest buffer.
    pub max_allocation: u64,
    /// lava uses it where it chooses itself.
    pub used: bool,
    /// Why not, and the fix.
    pub reason: Option<String>,
    /// What was tried.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
}

/// One heap of a device's memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Heap {
    pub bytes: u64,
    pub budget_bytes: Option<u64>,
    pub used_bytes: Option<u64>,
    pub device_local: bool,
}

/// A capability and what came of trying it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capability {
    pub name: String,
    pub available: bool,
    /// What was seen; or what failed, what lava does instead, and the fix.
    pub note: String,
}

/// How long a driver may take to load, and each trial.
const PATIENCE: Duration = Duration::from_secs(30);

impl Gpus {
    /// Looks and tries.
    pub fn look() -> Self {
        let mut gpus = Gpus { found: false, problem: None, devices: Vec::new() };
        let mut doing = "Vulkan was loaded".to_owned();
        if let Err(failure) = gpus.hear_all(&mut doing) {
            gpus.problem = Some(format!("while {doing}: {failure}"));
        }
        gpus
    }

    fn hear_all(&mut self, doing: &mut String) -> Result<(), Failure> {
        let mut helper = Helper::start("the process that tries GPUs", &["info-gpus".to_owned()])?;
        loop {
            match helper.hear::<Saying>(PATIENCE)? {
                Saying::Nothing(problem) => self.problem = Some(problem),
                Saying::Devices(devices) => {
                    self.found = !devices.is_empty();
                    self.devices = devices;
                }
                Saying::Trying(what) => *doing = format!("{what} was tried"),
                Saying::Tried { device, capability } => {
                    if let Some(gpu) = self.devices.get_mut(device) {
                        gpu.capabilities.push(capability);
                    }
                }
                Saying::Done => return Ok(()),
            }
        }
    }
}
