//! What the subcommands that open channels share: names of transports and memory, waiting that Ctrl-C ends,
//! connections as JSON.

use std::time::{Duration, Instant};

use lava::{ConnectionInfo, Memory, Transport};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::interrupt;
use crate::units::Timeout;

/// A transport as `--require` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TransportName {
    /// Shared host memory
    Shm,
    /// Shared GPU memory
    Vulkan,
    /// GPU memory copied to shared host memory
    Staged,
    /// GPU memory copied to another GPU
    Peer,
    /// MPI, between hosts
    Mpi,
}

impl From<TransportName> for Transport {
    fn from(name: TransportName) -> Self {
        match name {
            TransportName::Shm => Transport::Shm,
            TransportName::Vulkan => Transport::Vulkan,
            TransportName::Staged => Transport::Staged,
            TransportName::Peer => Transport::Peer,
            TransportName::Mpi => Transport::Mpi,
        }
    }
}

/// The memory of a channel's slots as `--memory` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MemoryName {
    /// What lava chooses
    #[default]
    Auto,
    /// Ordinary pages
    Standard,
    /// Ordinary pages of one NUMA node
    Numa,
    /// Huge pages
    Huge,
    /// Locked pages
    Pinned,
}

impl From<MemoryName> for Memory {
    fn from(name: MemoryName) -> Self {
        match name {
            MemoryName::Auto => Memory::Auto,
            MemoryName::Standard => Memory::Standard,
            MemoryName::Numa => Memory::Numa,
            MemoryName::Huge => Memory::Huge,
            MemoryName::Pinned => Memory::Pinned,
        }
    }
}

/// The word for a transport in tables and JSON.
pub fn transport_word(transport: Transport) -> String {
    match transport {
        Transport::Shm => "shm".to_owned(),
        Transport::Vulkan => "vulkan".to_owned(),
        Transport::Staged => "staged".to_owned(),
        Transport::Peer => "peer".to_owned(),
        Transport::Mpi => "mpi".to_owned(),
        other => format!("{other:?}"),
    }
}

/// A connection in JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    pub transport: String,
    pub reason: String,
    pub copies: u32,
    pub peer_process: Option<u32>,
    pub frames: u64,
    pub bytes: u64,
    pub dropped: u64,
    /// Transports that it could not have, with the reason.
    pub rejected: Vec<(String, String)>,
}

impl From<ConnectionInfo> for Connection {
    fn from(info: ConnectionInfo) -> Self {
        let rejected = info.rejections.into_iter();
        Connection {
            transport: transport_word(info.transport),
            reason: info.reason,
            copies: info.copies,
            peer_process: info.peer_process,
            frames: info.frames,
            bytes: info.bytes,
            dropped: info.dropped,
            rejected: rejected.map(|it| (transport_word(it.transport), it.reason)).collect(),
        }
    }
}

/// Repeats a call that waits for a short time, until it has something, the time is over (`None`), or the user
/// presses Ctrl-C.
pub fn patiently<T>(
    timeout: Timeout,
    mut attempt: impl FnMut(Duration) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let start = Instant::now();
    loop {
        let left = timeout.0.map(|timeout| timeout.saturating_sub(start.elapsed()));
        let slice = left.map_or(interrupt::SLICE, |left| left.min(interrupt::SLICE));
        if let Some(value) = attempt(slice)? {
            return Ok(Some(value));
        }
        interrupt::check()?;
        if left == Some(slice) {
            return Ok(None);
        }
    }
}
