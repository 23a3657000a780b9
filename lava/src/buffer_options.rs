//! What memory a buffer is to be.

use lava_sys::*;

use crate::buffer::Memory;
use crate::bytes::CStruct;
use crate::device::Uuid;
use crate::location::Location;

/// Options of [`Buffer::allocate`](crate::Buffer::allocate).
#[derive(Clone, Debug)]
pub struct BufferOptions {
    size: u64,
    memory: Memory,
    alignment: u64,
    flags: u32,
    numa_node: u32,
    fallback: Vec<Memory>,
    peer: Option<Location>,
    device: Option<Uuid>,
}

impl BufferOptions {
    /// A buffer of `size` bytes for this process, in memory of lava's choice.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self {
            size,
            memory: Memory::Auto,
            alignment: 0,
            flags: 0,
            numa_node: 0,
            fallback: Vec::new(),
            peer: None,
            device: None,
        }
    }

    /// Where the memory comes from.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// What to try, in this order, if that cannot be had; at most 5. Default: lava chooses.
    #[must_use]
    pub fn fallback(mut self, fallback: &[Memory]) -> Self {
        self.fallback = fallback.to_vec();
        self
    }

    /// No fallback: the memory asked for, or an error.
    #[must_use]
    pub fn require(self) -> Self {
        self.flag(LAVA_BUFFER_REQUIRE)
    }

    /// Alignment of the first byte: a power of two, at most 2 MiB. Default: 64, or a page if shareable.
    #[must_use]
    pub fn alignment(mut self, alignment: u64) -> Self {
        self.alignment = alignment;
        self
    }

    /// Other processes can import it, and channels can send it without copying.
    #[must_use]
    pub fn shareable(self) -> Self {
        self.flag(LAVA_BUFFER_SHAREABLE)
    }

    /// Importers may write too. Such a buffer cannot be sent through a channel, nor seen as a slice.
    #[must_use]
    pub fn writable_by_importers(self) -> Self {
        self.flag(LAVA_BUFFER_WRITABLE_BY_IMPORTERS)
    }

    /// Commits all pages now, so that a machine without memory fails here and not later by SIGBUS.
    #[must_use]
    pub fn commit(self) -> Self {
        self.flag(LAVA_BUFFER_COMMIT)
    }

    /// The NUMA node. Default: that of the calling thread.
    #[must_use]
    pub fn numa_node(mut self, node: u32) -> Self {
        self.numa_node = node;
        self.flag(LAVA_BUFFER_ON_NODE)
    }

    /// Whom the buffer is for: a hint for [`Memory::Auto`].
    #[must_use]
    pub fn peer(mut self, peer: Location) -> Self {
        self.peer = Some(peer);
        self
    }

    /// The GPU whose memory it is to be, or that will copy from and to it if it is pinned. Default: the best.
    #[must_use]
    pub fn device(mut self, device: Uuid) -> Self {
        self.device = Some(device);
        self
    }

    /// Device memory that the CPU can reach too. Slower for the GPU, and often very slow for the CPU to read.
    #[must_use]
    pub fn host_visible(self) -> Self {
        self.flag(LAVA_BUFFER_HOST_VISIBLE)
    }

    /// Device memory is not zeroed first; it may show what another process left there. Other memory is always zero.
    #[must_use]
    pub fn uninitialized(self) -> Self {
        self.flag(LAVA_BUFFER_UNINITIALIZED)
    }

    fn flag(mut self, flag: u32) -> Self {
        self.flags |= flag;
        self
    }

    /// The C options, which borrow from these.
    pub(crate) fn to_raw(&self) -> lava_buffer_options {
        let mut raw = lava_buffer_options::sized();
        raw.size = self.size;
        raw.memory = self.memory.to_raw();
        raw.alignment = self.alignment;
        raw.flags = self.flags;
        raw.numa_node = self.numa_node;
        (raw.fallback_count, raw.fallback) = Memory::fallbacks(&self.fallback);
        raw.peer = self.peer.as_ref().map_or(std::ptr::null(), |peer| peer.as_raw());
        raw.device_uuid = self.device.map_or([0; 16], |device| *device.as_bytes());
        raw
    }
}
