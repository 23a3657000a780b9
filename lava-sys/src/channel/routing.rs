//! Which transport a connection gets, and why the others were rejected: pure, so that every case can be tested.

use crate::scope::{Report, Scope};
use crate::transport::Transport;

/// A transport that a connection could not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub transport: Transport,
    pub reason: String,
}

/// What is known of the two ends.
#[derive(Debug, Clone)]
pub struct Ends<'a> {
    /// The pool is GPU memory.
    pub pool_on_device: bool,
    pub scope: &'a Report,
    /// Set of `LAVA_TRANSPORT_*` that the consumer accepts; 0: any.
    pub consumer_accepts: u32,
    /// Set of `LAVA_TRANSPORT_*` that the producer accepts; 0: any.
    pub producer_accepts: u32,
    /// Most copies that the consumer accepts.
    pub max_copies: u32,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub transport: Option<Transport>,
    pub reason: String,
    pub rejections: Vec<Rejection>,
}

/// Chooses the first possible transport in order of preference.
pub fn choose(ends: &Ends<'_>) -> Route {
    let mut rejections = Vec::new();
    for transport in Transport::ALL {
        match impossible(transport, ends) {
            None => {
                return Route {
                    transport: Some(transport),
                    reason: why(transport, ends),
                    rejections,
                };
            }
            Some(reason) => rejections.push(Rejection { transport, reason }),
        }
    }
    let reason = rejections
        .iter()
        .map(|one| format!("{}: {}", one.transport.name(), one.reason))
        .collect::<Vec<_>>()
        .join("; ");
    Route { transport: None, reason: format!("no transport will do: {reason}"), rejections }
}

fn why(transport: Transport, ends: &Ends<'_>) -> String {
    let first = ends.scope.summary();
    match transport {
        Transport::Shm => format!("the pool is host memory, and both map it: {first}"),
        other => format!("{}: {first}", other.name()),
    }
}

/// Why a transport is impossible; None if it is possible.
fn impossible(transport: Transport, ends: &Ends<'_>) -> Option<String> {
    let local = ends.scope.scope == Scope::Local;
    let possible = match transport {
        Transport::Shm if !local => Some("the two cannot share memory".to_owned()),
        Transport::Shm if ends.pool_on_device => Some("the pool is GPU memory".to_owned()),
        Transport::Shm => None,
        Transport::Vulkan | Transport::Staged | Transport::Peer if !ends.pool_on_device => {
            Some("the pool is host memory".to_owned())
        }
        Transport::Vulkan | Transport::Staged | Transport::Peer => {
            Some("this version of lava has no GPU transports".to_owned())
        }
        Transport::Mpi if local => Some("the two share memory".to_owned()),
        Transport::Mpi => Some("this version of lava has no MPI transport".to_owned()),
    };
    possible.or_else(|| unwanted(transport, ends))
}

fn unwanted(transport: Transport, ends: &Ends<'_>) -> Option<String> {
    let number = transport.number();
    if ends.consumer_accepts != 0 && ends.consumer_accepts & number == 0 {
        return Some(format!("the consumer requires {}", Transport::names(ends.consumer_accepts)));
    }
    if ends.producer_accepts != 0 && ends.producer_accepts & number == 0 {
        return Some(format!("the producer requires {}", Transport::names(ends.producer_accepts)));
    }
    if transport.copies() > ends.max_copies {
        return Some(format!(
            "it makes {} copies of a frame, the consumer allows {}",
            transport.copies(),
            ends.max_copies
        ));
    }
    None
}
