//! The host mirror of a pool in GPU memory: made with the first consumer that needs it, with the same slots. A frame is
//! copied into it once, whatever the number of those consumers, and lies in the slot of the same number.

use std::sync::{Arc, Mutex};

use super::service::lock;
use super::shared::Geometry;
use crate::error::{Error, Result};
use crate::memory::{Buffer, Memory, MemoryContext, Request};
use crate::transport::vulkan;
use crate::types::*;

/// The mirror of one channel.
#[derive(Debug, Default)]
pub struct Staging(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    mirror: Option<Arc<Buffer>>,
    /// Why frames cannot be copied to the host any more, or never could.
    refusal: Option<String>,
}

impl Staging {
    /// The mirror, made now if it is not there. Called by the service thread.
    pub fn mirror(
        &self,
        pool: &Buffer,
        geometry: &Geometry,
        context: &MemoryContext,
    ) -> Result<Arc<Buffer>> {
        let mut state = lock(&self.0);
        if let Some(refusal) = &state.refusal {
            return Err(Error::new(LAVA_ERROR_DEVICE, refusal.clone()));
        }
        if let Some(mirror) = &state.mirror {
            return Ok(Arc::clone(mirror));
        }
        let request = Request {
            // Pinned, so that the GPU writes to it without a bounce; any other memory works, slower.
            memory: Memory::Pinned,
            size: geometry.stride * u64::from(geometry.capacity),
            alignment: 0,
            flags: LAVA_BUFFER_SHAREABLE,
            numa_node: None,
            fallback: vec![Memory::Auto],
            peer: None,
            device_uuid: vulkan::device_uuid(pool).unwrap_or_default(),
        };
        let made = Buffer::allocate(&request, context)
            .map_err(|error| error.context("the host mirror of the pool"))?;
        let mirror = Arc::new(made);
        state.mirror = Some(Arc::clone(&mirror));
        Ok(mirror)
    }

    /// The mirror, if it was made.
    pub fn made(&self) -> Option<Arc<Buffer>> {
        lock(&self.0).mirror.clone()
    }

    /// Why no more consumers are staged.
    pub fn refusal(&self) -> Option<String> {
        lock(&self.0).refusal.clone()
    }

    /// A copy failed for good.
    pub fn refuse(&self, reason: String) {
        lock(&self.0).refusal.get_or_insert(reason);
    }
}
