//! What the subcommands that open channels share: names of transports and memory, waiting that Ctrl-C ends,
//! connections as JSON.

use std::time::{Duration, Instant};

use lava::{ConnectionInfo, Memory, Producer, ProducerOptions, Transport, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::{Doing, Failure};
use crate::units::Timeout;
use crate::{interrupt, output};

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
    /// A GPU's own memory; host memory where there is no GPU
    Device,
}

impl From<MemoryName> for Memory {
    fn from(name: MemoryName) -> Self {
        match name {
            MemoryName::Auto => Memory::Auto,
            MemoryName::Standard => Memory::Standard,
            MemoryName::Numa => Memory::Numa,
            MemoryName::Huge => Memory::Huge,
            MemoryName::Pinned => Memory::Pinned,
            MemoryName::Device => Memory::Device,
        }
    }
}

/// Where a receiver wants its frames, as its `--memory` takes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ReceiveMemory {
    /// As they come, with the fewest copies
    #[default]
    Any,
    /// In host memory
    Host,
    /// On a GPU
    Device,
}

impl ReceiveMemory {
    /// The word that the command line takes.
    pub fn word(self) -> &'static str {
        match self {
            ReceiveMemory::Any => "any",
            ReceiveMemory::Host => "host",
            ReceiveMemory::Device => "device",
        }
    }
}

impl From<ReceiveMemory> for Memory {
    fn from(name: ReceiveMemory) -> Self {
        match name {
            ReceiveMemory::Any => Memory::Auto,
            ReceiveMemory::Host => Memory::Standard,
            ReceiveMemory::Device => Memory::Device,
        }
    }
}

/// A producer's options for frames in `memory` of `device`. Without a GPU the frames lie in host memory.
pub fn with_memory(
    options: ProducerOptions,
    memory: Memory,
    device: Option<Uuid>,
) -> ProducerOptions {
    let options = options.memory(memory);
    let options = match device {
        Some(device) => options.device(device),
        None => options,
    };
    match memory {
        Memory::Device => options.fallback(&[Memory::Standard]),
        _ => options,
    }
}

/// What became of the memory that was asked for, and why: a line for people.
#[derive(Clone, Debug, Serialize)]
pub struct PoolMemory {
    /// What the frames lie in.
    pub memory: String,
    /// Why, and what failed before.
    pub reason: String,
}

impl PoolMemory {
    /// As the producer describes itself.
    pub fn of(producer: &Producer) -> Result<Self, Failure> {
        let description: Value = serde_json::from_str(&producer.describe()?)
            .doing("reading the channel's description")?;
        let text = |name: &str| description["memory"][name].as_str().unwrap_or_default().to_owned();
        Ok(PoolMemory { memory: text("kind"), reason: text("reason") })
    }

    /// Says clearly that a GPU was asked for and is not there.
    pub fn note_fallback(&self, wanted: Memory) {
        if wanted == Memory::Device && self.memory != "device" {
            output::note(format_args!(
                "lava: no GPU memory, frames lie in host memory: {}",
                self.reason
            ));
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
