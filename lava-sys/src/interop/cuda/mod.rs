//! Buffers and timeline semaphores of Vulkan's as CUDA sees them.
//!
//! The driver's library is loaded with the first view. What is derived from a value is made once and kept in the value
//! itself ([`Attached`](crate::memory::Attached)): a GPU's primary context in its device, an import in its buffer or
//! timeline; each ends with what it was made of.

mod descriptor;
mod device;
mod library;
mod memory;
mod points;
mod raw;
mod semaphore;
mod view;

pub use points::reached;
pub use view::{View, signal, wait};

#[cfg(test)]
mod tests;
