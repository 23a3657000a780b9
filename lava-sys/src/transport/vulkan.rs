//! Transport `vulkan`: the pool is one GPU allocation, exported once for each consumer and imported once by each. Rings
//! and alarms are those of [`super::shm`].

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::ready::{Semaphore, Signals, Watch};
use crate::error::{Error, Result};
use crate::memory::vulkan::Timeline;
use crate::memory::{Buffer, MemoryContext};
use crate::os::memfd;
use crate::types::*;
use crate::wire::Recipe;

/// What a consumer needs to import a producer's GPU memory.
#[derive(Debug)]
pub struct Exported {
    pub fd: OwnedFd,
    pub recipe: Recipe,
}

fn missing() -> Error {
    Error::new(LAVA_ERROR_UNSUPPORTED, "this build has no GPU support")
}

/// A new descriptor of a buffer in GPU memory, for one consumer: what one exported twice from an import holds is not
/// what was put in, on some drivers.
pub fn export(_buffer: &Buffer) -> Result<Exported> {
    Err(missing())
}

/// The GPU that a buffer lies on.
pub fn device_uuid(_buffer: &Buffer) -> Option<[u8; 16]> {
    None
}

/// The memory that a producer sent, as it is there.
pub fn import(_exported: Exported, _size: u64, _context: &MemoryContext) -> Result<Buffer> {
    Err(missing())
}

/// The semaphore of a new channel with its pool in GPU memory.
pub fn signals(_pool: &Buffer) -> Result<Signals> {
    Err(missing())
}

/// The semaphore of a producer, on the device of its pool.
pub fn watch(pool: &Buffer, fd: OwnedFd) -> Result<Watch> {
    let kept = memfd::duplicate(fd.as_fd())?;
    Ok(Watch::new(import_semaphore(pool, fd)?, kept))
}

fn import_semaphore(_pool: &Buffer, _fd: OwnedFd) -> Result<Arc<dyn Semaphore>> {
    Err(missing())
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
}
