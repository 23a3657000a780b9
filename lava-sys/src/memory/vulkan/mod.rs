//! GPUs through Vulkan: devices, their memory, timelines, transfers. The only place that sees `ash`.
//!
//! Vulkan is loaded at run time and may be absent; nothing is loaded before the first device is asked for. In a forked
//! child nothing of it is called, and what it holds there is leaked: drivers do not survive `fork`.

mod allocation;
#[cfg(test)]
mod application_tests;
mod device;
mod driver;
mod failure;
mod gpus;
mod import;
mod info;
mod instance;
#[cfg(test)]
mod lifetime_tests;
mod memory_types;
mod queues;
mod recipe;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timeline;
mod transfer;

pub use allocation::{Allocation, Native, buffer_size};
pub use device::Device;
pub use gpus::{Gpus, Which, uuid_text};
pub use info::{DeviceInfo, DeviceKind, Heap};
pub use memory_types::Kind;
pub use recipe::Recipe;
pub use settings::{Allowed, ApplicationDevice, GpuSettings, QueueLock};
pub use timeline::Timeline;
pub use transfer::copy_across;
#[allow(unused_imports, reason = "for measurements")]
pub use transfer::{Method, Shape};
