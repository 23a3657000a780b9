//! The memory that comes with a producer's messages: checked, then mapped or imported.

use std::os::fd::OwnedFd;

use super::link::protocol;
use crate::error::Result;
use crate::memory::{Buffer, Memory, MemoryContext};
use crate::os::mapping::Mapping;
use crate::transport::Transport;
use crate::transport::metadata::{self, Metadata};
use crate::transport::ready::Watch;
use crate::transport::shm::map_peer_region;
use crate::transport::vulkan::{self, Exported};
use crate::types::*;
use crate::wire;

/// GPU memory has a recipe with room for the pool, and may have a semaphore; host memory has neither.
pub fn memory_fits(welcome: &wire::Welcome) -> bool {
    let on_device = welcome.memory == LAVA_MEMORY_DEVICE;
    let recipe = &welcome.recipe;
    if on_device != (welcome.transport == LAVA_TRANSPORT_VULKAN) {
        return false;
    }
    if !on_device {
        return *recipe == wire::Recipe::default() && welcome.ready == wire::ready::HOST;
    }
    welcome.pool_size <= recipe.buffer_size
        && recipe.buffer_size <= recipe.allocation_size
        && welcome.ready <= wire::ready::TIMELINE
}

/// What comes with a welcome, in this process.
pub struct Mapped {
    pub descriptors: Mapping,
    pub metadata: Metadata,
    pub pool: Buffer,
    pub watch: Option<Watch>,
}

/// Maps or imports what comes with a welcome. The inner error: why GPU memory cannot be imported here.
pub fn map_all(
    welcome: &wire::Welcome,
    transport: Transport,
    fds: Vec<OwnedFd>,
    context: &MemoryContext,
) -> Result<std::result::Result<Mapped, String>> {
    let expected = 3 + usize::from(welcome.ready == wire::ready::TIMELINE);
    let count = fds.len();
    let mut fds = fds.into_iter();
    let (Some(descriptors), Some(metadata), Some(pool), semaphore, true) =
        (fds.next(), fds.next(), fds.next(), fds.next(), count == expected)
    else {
        let what = format!("{count} descriptors came with the welcome, not {expected}");
        return Err(protocol(what));
    };
    let descriptors =
        map_peer_region(&descriptors, wire::descriptor_region_size(welcome.queue_length))?;
    let metadata = map_peer_region(&metadata, metadata::region_size(welcome.capacity))?;
    let metadata = Metadata::new(metadata, welcome.capacity);
    if transport != Transport::Vulkan {
        let memory = Memory::requested(welcome.memory).map_err(|error| protocol(error.message))?;
        let pool = Buffer::from_peer(pool, welcome.pool_size, memory, welcome.pages)?;
        return Ok(Ok(Mapped { descriptors, metadata, pool, watch: None }));
    }
    let exported = Exported { fd: pool, recipe: welcome.recipe };
    let imported = vulkan::import(exported, welcome.pool_size, context).and_then(|pool| {
        let watch = semaphore.map(|fd| vulkan::watch(&pool, fd)).transpose()?;
        Ok((pool, watch))
    });
    match imported {
        Ok((pool, watch)) => Ok(Ok(Mapped { descriptors, metadata, pool, watch })),
        Err(error) if error.status == LAVA_ERROR_PROTOCOL => Err(error),
        Err(error) => Ok(Err(error.message)),
    }
}

/// A buffer of the producer's application.
pub fn map_buffer(buffer: &wire::Buffer, fd: OwnedFd, context: &MemoryContext) -> Result<Buffer> {
    if buffer.size > buffer.file_size {
        return Err(protocol(format!(
            "a buffer of {} bytes in a file of {}",
            buffer.size, buffer.file_size
        )));
    }
    if buffer.memory == LAVA_MEMORY_DEVICE {
        return vulkan::import(Exported { fd, recipe: buffer.recipe }, buffer.size, context);
    }
    if buffer.recipe != wire::Recipe::default() {
        return Err(protocol("host memory with a recipe of GPU memory".into()));
    }
    let memory = Memory::requested(buffer.memory).map_err(|error| protocol(error.message))?;
    Buffer::from_peer(fd, buffer.file_size, memory, buffer.pages)
}
