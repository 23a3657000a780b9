//! Producers, consumers and their connections.

use super::buffer::{LAVA_FALLBACK_MAX, LAVA_REASON_SIZE};
use super::location::lava_location;

/// The writing end of a channel. Functions: `lava_producer_*`.
pub struct lava_producer {
    _private: [u8; 0],
}

/// One reading end of a channel. Functions: `lava_consumer_*`.
pub struct lava_consumer {
    _private: [u8; 0],
}

/// Most bytes of a channel's name: letters, digits, `.`, `_`, `-`, and `/` between parts. It begins with a letter or digit.
pub const LAVA_NAME_MAX: usize = 64;
/// Most consumers of one producer.
pub const LAVA_CONSUMERS_MAX: u32 = 64;
/// Most slots of a channel.
pub const LAVA_CAPACITY_MAX: u32 = 65536;
/// Most frames that wait in one connection's queue.
pub const LAVA_QUEUE_MAX: u32 = 65536;

/// When full: wait. A channel that nobody has opened counts as full, so nothing is lost silently.
pub const LAVA_POLICY_BLOCK: u32 = 0;
/// When full: the frame to be sent is dropped, for the consumers whose queue is full; counted.
pub const LAVA_POLICY_DROP_NEWEST: u32 = 1;
/// When full: the oldest frame that waits in the full queue is dropped; counted.
pub const LAVA_POLICY_DROP_OLDEST: u32 = 2;

/// Transport: shared host memory, no copy.
pub const LAVA_TRANSPORT_SHM: u32 = 1;
/// Transport: shared GPU memory, no copy.
pub const LAVA_TRANSPORT_VULKAN: u32 = 2;
/// Transport: GPU memory copied once to shared host memory.
pub const LAVA_TRANSPORT_STAGED: u32 = 4;
/// Transport: GPU memory copied to another GPU.
pub const LAVA_TRANSPORT_PEER: u32 = 8;
/// Transport: MPI, between hosts.
pub const LAVA_TRANSPORT_MPI: u32 = 16;

/// Producer flag: commit all pages of the pool at creation, so that a machine without memory fails there and not later
/// by SIGBUS.
pub const LAVA_PRODUCER_COMMIT: u32 = 1;
/// Producer flag: frames get no timestamp (saves a clock reading a frame).
pub const LAVA_PRODUCER_NO_TIMESTAMP: u32 = 2;
/// Producer flag: no fallback; the memory asked for, or `LAVA_ERROR_REQUIREMENT`.
pub const LAVA_PRODUCER_REQUIRE_MEMORY: u32 = 4;
/// Producer flag: `numa_node` is valid.
pub const LAVA_PRODUCER_ON_NODE: u32 = 8;

/// Options of `lava_producer_create`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_producer_options {
    /// `sizeof(lava_producer_options)` of the caller.
    pub struct_size: u32,
    /// `LAVA_POLICY_*`.
    pub policy: u32,
    /// Bytes of the largest frame; 0: 1 MiB.
    pub max_frame_size: u64,
    /// Slots: frames of more than `LAVA_FRAME_INLINE_SIZE` bytes that can be loaned, queued or held at once; 0: 8.
    pub capacity: u32,
    /// Frames that wait in each consumer's queue at most, rounded up to a power of two; 0: `capacity`, at least 64.
    pub queue_length: u32,
    /// `LAVA_MEMORY_*` of the pool.
    pub memory: u32,
    /// Set of `LAVA_PRODUCER_*` flags.
    pub flags: u32,
    /// Most consumers at once; 0: `LAVA_CONSUMERS_MAX`.
    pub max_consumers: u32,
    /// Alignment of every slot: a power of two, at most 2 MiB; 0: 64, or a page if `max_frame_size` is at least a page.
    pub alignment: u32,
    /// NUMA node of the pool, with `LAVA_PRODUCER_ON_NODE`.
    pub numa_node: u32,
    /// Memory to try, in this order, if `memory` cannot be had; as in `lava_buffer_options`.
    pub fallback_count: u32,
    /// `LAVA_MEMORY_*`, `fallback_count` of them.
    pub fallback: [u32; LAVA_FALLBACK_MAX],
    /// Set of `LAVA_TRANSPORT_*` that consumers may have; others are refused with the reason. 0: any.
    pub require_transports: u32,
    /// UUID of the pool's GPU, with `LAVA_MEMORY_DEVICE`; zero: the best.
    pub device_uuid: [u8; 16],
}

/// Consumer flag: `max_copies` is valid.
pub const LAVA_CONSUMER_LIMIT_COPIES: u32 = 1;
/// Consumer flag: the application trusts the producer not to write to a frame after sending it. lava does not act on
/// it; wrappers use it to decide whether a frame's bytes may be seen as a plain slice.
pub const LAVA_CONSUMER_TRUST_PRODUCER: u32 = 2;

/// Options of `lava_consumer_create`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_consumer_options {
    /// `sizeof(lava_consumer_options)` of the caller.
    pub struct_size: u32,
    /// Set of `LAVA_CONSUMER_*` flags.
    pub flags: u32,
    /// Nanoseconds to wait for the producer to exist and accept; 0: ten seconds; 1 is as good as not waiting.
    pub timeout_ns: u64,
    /// Set of `LAVA_TRANSPORT_*` that will do; 0: any. None of them possible: `LAVA_ERROR_REQUIREMENT` with the reason.
    pub require_transports: u32,
    /// Most copies that lava may make of a frame on its way, with `LAVA_CONSUMER_LIMIT_COPIES`.
    pub max_copies: u32,
    /// Where the producer is; borrowed for the call; NULL: on this host, or wherever its name is found.
    pub producer: *const lava_location,
    /// `LAVA_MEMORY_*` that received frames are to lie in: `AUTO` as they come, with the fewest copies; `DEVICE` on a GPU:
    /// where the producer's pool is not memory that this process can import, each frame is copied to it when it is received
    /// (see `copies` of the connection), and without a GPU it is `LAVA_ERROR_REQUIREMENT`; any other in host memory.
    pub memory: u32,
    /// 0.
    pub reserved: u32,
    /// UUID of the GPU on which frames are wanted, with `LAVA_MEMORY_DEVICE`; zero: the producer's, else the best.
    pub device_uuid: [u8; 16],
}

/// State of a connection: frames flow.
pub const LAVA_CONNECTION_OPEN: u32 = 1;
/// State of a connection: the other end closed it.
pub const LAVA_CONNECTION_CLOSED: u32 = 2;
/// State of a connection: the other end died or broke the protocol.
pub const LAVA_CONNECTION_LOST: u32 = 3;

/// One producer-consumer pair. Filled by `lava_producer_get_connection` and `lava_consumer_get_connection`.
/// Counters count from the connection's beginning, as this side sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_connection_info {
    /// `sizeof(lava_connection_info)` of the caller.
    pub struct_size: u32,
    /// `LAVA_TRANSPORT_*`.
    pub transport: u32,
    /// Copies that lava makes of each frame between the loan and the received frame.
    pub copies: u32,
    /// `LAVA_CONNECTION_*`.
    pub state: u32,
    /// Process id of the other end as this process sees it; 0 if it is in a PID namespace that cannot be seen.
    pub peer_process: u32,
    /// Transports that were rejected: read them with `lava_*_get_rejection`.
    pub rejection_count: u32,
    /// Producer: frames published to this consumer. Consumer: frames received.
    pub frames: u64,
    /// Payload bytes of those frames.
    pub bytes: u64,
    /// Frames dropped for this consumer because its queue or the pool was full.
    pub dropped: u64,
    /// Frames published and not yet received.
    pub queued: u64,
    /// Frames received and not yet released (those that take a slot).
    pub held: u64,
    /// Times that this side went to sleep in the kernel while waiting.
    pub sleeps: u64,
    /// Times that this side woke the other with a system call.
    pub wakes: u64,
    /// Why this transport. UTF-8, NUL-terminated.
    pub reason: [core::ffi::c_char; LAVA_REASON_SIZE],
}

/// A transport that a connection could not have, and why.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_rejection {
    /// `sizeof(lava_rejection)` of the caller.
    pub struct_size: u32,
    /// `LAVA_TRANSPORT_*`.
    pub transport: u32,
    /// Why not. UTF-8, NUL-terminated.
    pub reason: [core::ffi::c_char; LAVA_REASON_SIZE],
}

/// One piece of memory to send: the element of `lava_producer_send_bytes_many`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_bytes {
    /// First byte; may be NULL if `size` is 0.
    pub data: *const core::ffi::c_void,
    /// Bytes.
    pub size: usize,
}
