//! Frames in buffers of the producer's application: a descriptor can come before the service thread has taken in the buffer
//! that it names.

use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use super::consumer::Consumer;
use super::service::lock;
use crate::error::Hot;
use crate::memory::Buffer;
use crate::os::clock::Deadline;
use crate::transport::descriptor::Words;
use crate::transport::frame::FrameRef;
use crate::types::*;

/// Longest wait for a buffer whose descriptor came before it, however many calls wait: it is in the socket already.
const BUFFER_WAIT_NS: u64 = 1_000_000_000;

/// A descriptor whose buffer did not come within the call that took it: the next call goes on with it.
#[derive(Debug)]
pub struct Late {
    words: Words,
    position: u64,
    /// When the producer has broken its word.
    until: Deadline,
}

impl Consumer {
    /// First byte of a range in a buffer that the producer passed, and that buffer; `LAVA_WOULD_BLOCK` if the service
    /// thread has not taken it in yet.
    #[cold]
    pub(super) fn in_buffer(
        &mut self,
        number: u32,
        offset: u64,
        size: u64,
    ) -> Hot<(NonNull<u8>, Arc<Buffer>)> {
        // Before the look: what came before the end is there, if it came at all.
        let lost = self.lost();
        let buffer = match lock(&self.shared.buffers).get(&number) {
            Some(buffer) => Arc::clone(buffer),
            None => return Err(lost.unwrap_or(LAVA_WOULD_BLOCK)),
        };
        if offset.checked_add(size).is_none_or(|end| end > buffer.size()) {
            return Err(LAVA_ERROR_PROTOCOL);
        }
        // GPU memory has no address here.
        let start = buffer.data().unwrap_or(NonNull::dangling());
        Ok((self.at(start, offset), buffer))
    }

    /// A descriptor came before its buffer, which came over the socket before the frame was published.
    #[cold]
    pub(super) fn keep_late(&mut self, words: Words, position: u64) -> Hot<Option<FrameRef>> {
        self.late = Some(Late { words, position, until: Deadline::after(BUFFER_WAIT_NS) });
        self.take_late()
    }

    /// The frame whose buffer was missing. Waits for it no longer than the call may.
    #[cold]
    pub(super) fn take_late(&mut self) -> Hot<Option<FrameRef>> {
        let Some(Late { words, position, until }) = self.late.take() else { return Ok(None) };
        let deadline = Deadline::after(self.timeout_ns);
        loop {
            match self.accept(&words, position) {
                Err(LAVA_WOULD_BLOCK) if until.passed() => {
                    return Err(self.give_up(LAVA_ERROR_PROTOCOL));
                }
                Err(LAVA_WOULD_BLOCK) if deadline.passed() => {
                    self.late = Some(Late { words, position, until });
                    self.keep_event_readable();
                    let at_once = self.timeout_ns == LAVA_NO_WAIT;
                    return Err(if at_once { LAVA_WOULD_BLOCK } else { LAVA_TIMED_OUT });
                }
                Err(LAVA_WOULD_BLOCK) => self.wait_for_buffers(deadline.min(until)),
                Err(status) => return Err(self.give_up(status)),
                Ok(frame) => return Ok(Some(frame)),
            }
        }
    }

    /// Sleeps until the service thread has taken in another buffer or the producer is lost, or for a moment.
    fn wait_for_buffers(&self, deadline: Deadline) {
        let buffers = lock(&self.shared.buffers);
        // One that came between the look and the lock is seen after a moment.
        let longest = Duration::from_nanos(deadline.left_ns().min(1_000_000));
        let waited = self.shared.buffers_changed.wait_timeout(buffers, longest);
        drop(waited);
    }
}
