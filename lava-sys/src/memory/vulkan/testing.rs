//! Devices for unit tests: whatever Vulkan has here, lavapipe included. Tests say so and end where there is none.
#![allow(clippy::unwrap_used)]

use std::process::Command;
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

/// Whether this is the process that [`alone`] started for a test.
pub(crate) fn is_alone(test: &str) -> bool {
    std::env::var_os(ALONE).is_some_and(|name| name == test)
}

/// Runs one test once more in a process of its own, with further variables. For what belongs to a process: the loader's
/// variables, open descriptors, forks.
pub(crate) fn alone(test: &str, variables: &[(&str, &str)]) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, test)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && output.contains("1 passed"), "{output}{errors}");
}

const ALONE: &str = "LAVA_TEST_ALONE";
