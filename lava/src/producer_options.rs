//! How a channel is made: policy, slots, memory.

use lava_sys::*;

use crate::buffer::Memory;
use crate::bytes::CStruct;
use crate::connection::Transport;
use crate::device::Uuid;

/// What happens to a frame when a consumer's queue is full, or no slot is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Wait. A channel that nobody has opened counts as full, so nothing is lost silently.
    #[default]
    Block,
    /// The frame to be sent is dropped, for the consumers whose queue is full; counted.
    DropNewest,
    /// The oldest frame that waits in the full queue is dropped; counted.
    DropOldest,
}

/// Options of [`Producer::create`](crate::Producer::create).
#[derive(Clone, Debug)]
pub struct ProducerOptions {
    raw: lava_producer_options,
    fallback: Vec<Memory>,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        Self { raw: lava_producer_options::sized(), fallback: Vec::new() }
    }
}

impl ProducerOptions {
    /// The defaults: 8 slots of 1 MiB, policy block.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Slots: frames of more than 40 bytes that can be loaned, queued or held at once. Default: 8.
    #[must_use]
    pub fn capacity(mut self, slots: u32) -> Self {
        self.raw.capacity = slots;
        self
    }

    /// Bytes of the largest frame. Default: 1 MiB. Pages that are never written take no memory.
    #[must_use]
    pub fn max_frame_size(mut self, bytes: u64) -> Self {
        self.raw.max_frame_size = bytes;
        self
    }

    /// Frames that wait in each consumer's queue at most, rounded up to a power of two. Default: the capacity, at least 64.
    #[must_use]
    pub fn queue_length(mut self, frames: u32) -> Self {
        self.raw.queue_length = frames;
        self
    }

    /// What to do when full.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.raw.policy = match policy {
            Policy::Block => LAVA_POLICY_BLOCK,
            Policy::DropNewest => LAVA_POLICY_DROP_NEWEST,
            Policy::DropOldest => LAVA_POLICY_DROP_OLDEST,
        };
        self
    }

    /// Where the pool's memory comes from.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.raw.memory = memory.to_raw();
        self
    }

    /// What to try, in this order, if that cannot be had; at most 5. Default: lava chooses.
    #[must_use]
    pub fn fallback(mut self, fallback: &[Memory]) -> Self {
        self.fallback = fallback.to_vec();
        self
    }

    /// The GPU of the pool, with [`Memory::Device`]. Default: the best.
    #[must_use]
    pub fn device(mut self, device: Uuid) -> Self {
        self.raw.device_uuid = *device.as_bytes();
        self
    }

    /// No fallback: the memory asked for, or an error.
    #[must_use]
    pub fn require_memory(self) -> Self {
        self.flag(LAVA_PRODUCER_REQUIRE_MEMORY)
    }

    /// The pool's NUMA node. Default: that of the calling thread.
    #[must_use]
    pub fn numa_node(mut self, node: u32) -> Self {
        self.raw.numa_node = node;
        self.flag(LAVA_PRODUCER_ON_NODE)
    }

    /// Commits the pool's pages at creation, so that a machine without memory fails there and not later by SIGBUS.
    #[must_use]
    pub fn commit(self) -> Self {
        self.flag(LAVA_PRODUCER_COMMIT)
    }

    /// Frames get no timestamp, which saves a clock reading a frame.
    #[must_use]
    pub fn no_timestamp(self) -> Self {
        self.flag(LAVA_PRODUCER_NO_TIMESTAMP)
    }

    /// Most consumers at once. Default: 64, which is the limit.
    #[must_use]
    pub fn max_consumers(mut self, consumers: u32) -> Self {
        self.raw.max_consumers = consumers;
        self
    }

    /// Alignment of every slot: a power of two, at most 2 MiB. Default: 64, or a page if the slots are at least a page.
    #[must_use]
    pub fn alignment(mut self, bytes: u32) -> Self {
        self.raw.alignment = bytes;
        self
    }

    /// Consumers may have this transport; call it again for each one allowed. Others are refused. Default: any.
    #[must_use]
    pub fn require_transport(mut self, transport: Transport) -> Self {
        self.raw.require_transports |= transport.to_raw();
        self
    }

    fn flag(mut self, flag: u32) -> Self {
        self.raw.flags |= flag;
        self
    }

    pub(crate) fn to_raw(&self) -> lava_producer_options {
        let mut raw = self.raw;
        (raw.fallback_count, raw.fallback) = Memory::fallbacks(&self.fallback);
        raw
    }
}
