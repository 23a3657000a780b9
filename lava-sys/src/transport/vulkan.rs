//! Transport `vulkan`: the pool is one GPU allocation, exported once for each consumer and imported once by each. Rings
//! and alarms are those of [`super::shm`].

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::ready::{Semaphore, Signals, Watch};
use crate::error::{Error, Result};
use crate::memory::vulkan::{self, Device, Timeline};
use crate::memory::{Buffer, MemoryContext};
use crate::types::*;
use crate::wire::Recipe;

/// What a consumer needs to import a producer's GPU memory.
#[derive(Debug)]
pub struct Exported {
    pub fd: OwnedFd,
    pub recipe: Recipe,
}

/// A buffer in GPU memory with a descriptor for one consumer. Its owner exports once for each: what comes of exporting
/// an import again depends on the driver.
pub fn export(buffer: &Buffer) -> Result<Exported> {
    let recipe = buffer.recipe().ok_or_else(|| {
        Error::new(
            LAVA_ERROR_UNSUPPORTED,
            "this buffer in GPU memory cannot be shared: allocate it with LAVA_BUFFER_SHAREABLE",
        )
    })?;
    Ok(Exported { fd: buffer.export_fd()?, recipe: bytemuck::cast(recipe) })
}

/// The GPU that a buffer lies on; None: host memory.
pub fn device_uuid(buffer: &Buffer) -> Option<[u8; 16]> {
    buffer.device().map(|device| device.info().device_uuid)
}

/// What people call it.
pub fn device_name(buffer: &Buffer) -> Option<&str> {
    buffer.device().map(|device| device.info().name.as_str())
}

/// Opens a GPU that this process itself names: only then a peer's memory may lie on one that is the CPU in disguise. Why
/// it cannot be opened, the import tells.
pub fn allow(context: &MemoryContext, device_uuid: [u8; 16]) {
    if device_uuid != [0; 16] {
        let _ = context.gpus().open(vulkan::Which::Uuid(device_uuid));
    }
}

/// The memory that a producer sent, as it is there.
pub fn import(exported: Exported, size: u64, context: &MemoryContext) -> Result<Buffer> {
    let recipe: vulkan::Recipe = bytemuck::cast(exported.recipe);
    Buffer::from_peer_device(exported.fd, &recipe, size, context)
}

fn device(pool: &Buffer) -> Result<&Arc<Device>> {
    pool.device().ok_or_else(|| Error::new(LAVA_ERROR_INTERNAL, "the pool has no GPU"))
}

/// The semaphore of a new channel with its pool in GPU memory.
pub fn signals(pool: &Buffer) -> Result<Signals> {
    let device = device(pool)?;
    let shared = device.info().timeline_exportable;
    let timeline = Timeline::new(device, shared)
        .map_err(|error| error.context("the semaphore of the channel's frames"))?;
    Ok(Signals::new(Arc::new(timeline), shared))
}

/// The semaphore of a producer, on the device of its pool.
pub fn watch(pool: &Buffer, fd: OwnedFd) -> Result<Watch> {
    Ok(Watch::new(Arc::new(Timeline::import(device(pool)?, fd)?)))
}

impl Semaphore for Timeline {
    fn value(&self) -> Result<u64> {
        self.value()
    }

    fn wait(&self, value: u64, timeout_ns: u64) -> Result<bool> {
        self.wait(value, timeout_ns)
    }

    fn signal(&self, value: u64) -> Result<()> {
        self.signal(value)
    }

    fn raw(&self) -> u64 {
        self.raw()
    }

    fn export(&self) -> Result<OwnedFd> {
        self.export()
    }

    fn timeline(&self) -> Option<&Timeline> {
        Some(self)
    }
}
