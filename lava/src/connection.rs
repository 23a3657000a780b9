//! What a connection is: transport, reasons, counters.

use lava_sys::*;

use crate::bytes::text;
use crate::location::Location;

/// How frames move from a producer to a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Shared host memory, no copy.
    Shm,
    /// Shared GPU memory, no copy.
    Vulkan,
    /// GPU memory copied once to shared host memory.
    Staged,
    /// GPU memory copied to another GPU.
    Peer,
    /// MPI, between hosts.
    Mpi,
    /// One that this version does not know.
    Other(u32),
}

impl Transport {
    /// The bit of the C interface.
    pub(crate) fn to_raw(self) -> u32 {
        match self {
            Self::Shm => LAVA_TRANSPORT_SHM,
            Self::Vulkan => LAVA_TRANSPORT_VULKAN,
            Self::Staged => LAVA_TRANSPORT_STAGED,
            Self::Peer => LAVA_TRANSPORT_PEER,
            Self::Mpi => LAVA_TRANSPORT_MPI,
            Self::Other(bit) => bit,
        }
    }

    pub(crate) fn from_raw(bit: u32) -> Option<Self> {
        Some(match bit {
            0 => return None,
            LAVA_TRANSPORT_SHM => Self::Shm,
            LAVA_TRANSPORT_VULKAN => Self::Vulkan,
            LAVA_TRANSPORT_STAGED => Self::Staged,
            LAVA_TRANSPORT_PEER => Self::Peer,
            LAVA_TRANSPORT_MPI => Self::Mpi,
            other => Self::Other(other),
        })
    }
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Frames flow.
    Open,
    /// The other end closed it.
    Closed,
    /// The other end died or broke the protocol.
    Lost,
}

/// A transport that a connection could not have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// Which.
    pub transport: Transport,
    /// Why not.
    pub reason: String,
}

impl Rejection {
    pub(crate) fn from_raw(raw: &lava_rejection) -> Self {
        let transport = Transport::from_raw(raw.transport).unwrap_or(Transport::Other(0));
        Self { transport, reason: text(&raw.reason) }
    }
}

/// One producer-consumer pair. Counters count from the connection's beginning, as this side sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// How frames move.
    pub transport: Transport,
    /// Why so.
    pub reason: String,
    /// The transports that it could not have, and why.
    pub rejections: Vec<Rejection>,
    /// Copies that lava makes of each frame between the loan and the received frame.
    pub copies: u32,
    /// Whether frames flow.
    pub state: ConnectionState,
    /// The other end's process id as this process sees it; `None` in a PID namespace that cannot be seen.
    pub peer_process: Option<u32>,
    /// Where the other end is.
    pub peer: Location,
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
}

impl ConnectionInfo {
    pub(crate) fn from_raw(
        raw: &lava_connection_info,
        peer: lava_location,
        rejections: Vec<Rejection>,
    ) -> Self {
        Self {
            transport: Transport::from_raw(raw.transport).unwrap_or(Transport::Other(0)),
            reason: text(&raw.reason),
            rejections,
            copies: raw.copies,
            state: match raw.state {
                LAVA_CONNECTION_OPEN => ConnectionState::Open,
                LAVA_CONNECTION_CLOSED => ConnectionState::Closed,
                _ => ConnectionState::Lost,
            },
            peer_process: Some(raw.peer_process).filter(|process| *process != 0),
            peer: Location::from_raw(peer),
            frames: raw.frames,
            bytes: raw.bytes,
            dropped: raw.dropped,
            queued: raw.queued,
            held: raw.held,
            sleeps: raw.sleeps,
            wakes: raw.wakes,
        }
    }
}
