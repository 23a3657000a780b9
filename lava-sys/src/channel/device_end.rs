//! What a consumer has beyond its rings when the producer's pool is GPU memory.

use std::sync::Arc;

use super::connect::Established;
use super::consumer::Consumer;
use super::context::Context;
use super::survivor;
use crate::error::Result;
use crate::memory::Memory;
use crate::transport::Transport;
use crate::transport::slab::DeviceEnd;

/// For the frames of a new connection; None if they are plain host memory of the producer.
pub fn end(context: &Arc<Context>, established: &Established) -> Result<Option<DeviceEnd>> {
    if established.transport == Transport::Shm {
        return Ok(None);
    }
    if let Some(watch) = &established.watch {
        survivor::look_after(context, &established.socket, watch)?;
    }
    Ok(Some(DeviceEnd { watch: established.watch.clone(), deferred: context.deferred()? }))
}

/// How frames become ready; None where the question does not arise.
pub fn sync_name(established: &Established) -> Option<&'static str> {
    match (established.transport, &established.watch) {
        (Transport::Vulkan, Some(_)) => Some("timeline"),
        (Transport::Vulkan | Transport::Staged, None) => Some("host"),
        _ => None,
    }
}

impl Consumer {
    /// Allocations of GPU memory that this connection imported.
    pub(super) fn imports(&self) -> u64 {
        let pool = self.established.pool.memory() == Memory::Device;
        u64::from(pool) + self.shared.imports.load(std::sync::atomic::Ordering::Relaxed)
    }
}
