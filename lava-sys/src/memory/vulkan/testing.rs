//! Devices for unit tests: whatever Vulkan has here, lavapipe included. Tests say so and end where there is none.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, OnceLock};

use super::{Allowed, Device, GpuSettings, Gpus, Which};
use crate::log::Log;

/// All devices allowed.
pub(crate) fn gpus() -> Arc<Gpus> {
    Gpus::new(GpuSettings { allowed: Allowed::All, application: None }, Log::none())
}

/// One device for all tests of the process: opening one takes long.
pub(crate) fn device() -> Option<Arc<Device>> {
    static GPUS: OnceLock<Arc<Gpus>> = OnceLock::new();
    match GPUS.get_or_init(gpus).open(Which::Best) {
        Ok(device) => Some(device),
        Err(error) => {
            println!("skipped: no Vulkan device: {error}");
            None
        }
    }
}
