//! What a consumer has beyond its rings when the producer's pool is GPU memory.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::connect::Established;
use super::consumer::Consumer;
use super::context::Context;
use super::survivor;
use crate::error::{Hot, Result};
use crate::memory::Memory;
use crate::transport::Transport;
use crate::transport::descriptor::{Origin, Place};
use crate::transport::frame::FrameRef;
use crate::transport::slab::DeviceEnd;
use crate::types::LAVA_ERROR_PROTOCOL;

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
        u64::from(pool) + self.shared.imports.load(Ordering::Relaxed)
    }

    /// As `accept_place`, in a pool of GPU memory.
    #[cold]
    pub(super) fn accept_on_device(
        &mut self,
        place: Place,
        position: u64,
        at: u64,
        origin: Origin,
    ) -> Hot<FrameRef> {
        let ready = place.ready;
        match &self.established.watch {
            Some(watch) if ready != 0 => watch.announce(ready)?,
            None if ready != 0 => return Err(LAVA_ERROR_PROTOCOL),
            _ => {}
        }
        let mut frame = self.frames.take(|_| ());
        let cell = frame.cell_mut();
        cell.start_slot(place.slot, position, NonNull::dangling(), place.size, origin);
        cell.place_received(at, ready);
        if place.tensor {
            cell.set_received_tensor(self.established.metadata.read(place.slot));
        }
        Ok(frame)
    }
}
