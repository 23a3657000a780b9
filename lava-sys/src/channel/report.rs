//! What a connection tells of itself: for the C structs and for JSON.

use serde_json::{Value, json};

use super::routing::Rejection;
use crate::error::{Error, Result};
use crate::scope::Location;
use crate::transport::Transport;
use crate::types::*;

/// One connection, as one of its ends sees it.
#[derive(Debug, Clone)]
pub struct ConnectionReport {
    pub transport: Transport,
    pub copies: u32,
    /// `LAVA_CONNECTION_*`.
    pub state: u32,
    pub peer_process: u32,
    pub peer: Location,
    pub reason: String,
    pub rejections: Vec<Rejection>,
    pub frames: u64,
    pub bytes: u64,
    pub dropped: u64,
    pub queued: u64,
    pub held: u64,
    pub sleeps: u64,
    pub wakes: u64,
    /// Consumer: allocations of GPU memory that were imported, each once; no frame adds to it.
    pub imports: u64,
}

impl ConnectionReport {
    pub fn rejection(&self, index: u32) -> Result<&Rejection> {
        self.rejections.get(index as usize).ok_or_else(|| {
            Error::new(
                LAVA_ERROR_NOT_FOUND,
                format!(
                    "there is no rejection {index}; this connection has {}",
                    self.rejections.len()
                ),
            )
            .with_value(index.into())
        })
    }

    pub fn to_json(&self) -> Value {
        json!({
            "transport": self.transport.name(),
            "reason": self.reason,
            "copies": self.copies,
            "state": match self.state {
                LAVA_CONNECTION_OPEN => "open",
                LAVA_CONNECTION_CLOSED => "closed",
                _ => "lost",
            },
            "peer_process": self.peer_process,
            "peer": self.peer.to_string(),
            "rejected": self.rejections.iter().map(|one| json!({
                "transport": one.transport.name(),
                "reason": one.reason,
            })).collect::<Vec<_>>(),
            "frames": self.frames,
            "bytes": self.bytes,
            "dropped": self.dropped,
            "queued": self.queued,
            "held": self.held,
            "sleeps": self.sleeps,
            "wakes": self.wakes,
            "imports": self.imports,
        })
    }
}

/// Name of a `LAVA_POLICY_*`.
pub fn policy_name(policy: u32) -> &'static str {
    match policy {
        LAVA_POLICY_BLOCK => "block",
        LAVA_POLICY_DROP_NEWEST => "drop-newest",
        LAVA_POLICY_DROP_OLDEST => "drop-oldest",
        _ => "unknown",
    }
}
