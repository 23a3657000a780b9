//! Points in CUDA's streams that lava learns of: a timeline gets a value when a stream has come so far.
//!
//! Two streams reach their points in any order, and a timeline only rises: so each point that is still to be reached has
//! a timeline of its own. There are as many as frames were ever being read at once; each is made and imported once.

use std::sync::{Arc, Mutex, PoisonError};

use super::view::{imported, signal};
use crate::error::{Error, Result};
use crate::memory::Buffer;
use crate::memory::vulkan::{Device, Timeline};
use crate::types::LAVA_ERROR_UNSUPPORTED;

use super::raw::Stream;

/// The timelines of one buffer's readers, each with the last value that it was or is to be given.
#[derive(Debug, Default)]
pub struct Points(Mutex<Vec<(Arc<Timeline>, u64)>>);

impl Points {
    /// A timeline that nobody is to signal any more, and its next value.
    fn take(&self, device: &Arc<Device>) -> Result<(Arc<Timeline>, u64)> {
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = |(timeline, value): &&mut (Arc<Timeline>, u64)| {
            timeline.value().is_ok_and(|now| now >= *value)
        };
        if let Some((timeline, value)) = points.iter_mut().find(reached) {
            *value += 1;
            return Ok((Arc::clone(timeline), *value));
        }
        let timeline = Arc::new(Timeline::new(device, true)?);
        points.push((Arc::clone(&timeline), 1));
        Ok((timeline, 1))
    }
}

/// The timeline gets the value when all that is in `stream` now has been done. Returns at once.
///
/// # Safety
/// `stream` is a stream of the primary context of the buffer's GPU, or one of CUDA's constants.
pub unsafe fn reached(buffer: &Arc<Buffer>, stream: Stream) -> Result<(Arc<Timeline>, u64)> {
    let device = buffer.device().ok_or_else(|| {
        let what = "this frame is not device memory: release it when the stream is done";
        Error::new(LAVA_ERROR_UNSUPPORTED, what)
    })?;
    let (timeline, value) = imported(buffer)?.points.take(device)?;
    // SAFETY: the caller's promise.
    if let Err(error) = unsafe { signal(&timeline, value, stream) } {
        // Nobody else will: without it the timeline could not be used again.
        let _ = timeline.signal(value);
        return Err(error);
    }
    Ok((timeline, value))
}
