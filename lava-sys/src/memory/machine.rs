//! The facts about this machine that AUTO and the strategies ask for.

use super::auto::{Facts, Peer};
use super::request::{Need, Request};
use super::units::Bytes;
use crate::error::{Error, Result};
use crate::os::{host, huge, limits, numa};
use crate::types::LAVA_ERROR_OUT_OF_MEMORY;

/// Looks at the machine for [`super::auto::choose`].
pub(super) fn facts(request: &Request, need: &Need) -> Facts {
    let nodes = numa::nodes();
    let here = if nodes.len() > 1 { numa::current_node().ok() } else { None };
    Facts {
        size: need.size,
        peer: peer(request),
        node: need.node,
        node_count: nodes.len(),
        node_free: here.and_then(numa::free_memory),
        reserved: huge::reserved(),
        transparent: huge::transparent(kind(need)),
        transparent_size: huge::transparent_page_size(),
        lockable: lockable(),
        available: limits::available_memory(),
        gpu: request.device_uuid != [0; 16],
    }
}

fn peer(request: &Request) -> Peer {
    let here = host::boot_id();
    let known = |boot_id: [u8; 16]| boot_id != [0; 16];
    match &request.peer {
        Some(peer) if known(peer.boot_id) && known(here) && peer.boot_id != here => Peer::Far,
        _ => Peer::Near,
    }
}

/// Which setting of transparent huge pages is about the memory needed.
pub(super) fn kind(need: &Need) -> huge::Kind {
    if need.shareable { huge::Kind::Shared } else { huge::Kind::Private }
}

/// Bytes that this process may still lock; `None`: no limit.
pub(super) fn lockable() -> Option<u64> {
    if limits::may_lock_without_limit() {
        return None;
    }
    limits::lock_limit().soft.map(|limit| limit.saturating_sub(limits::locked_bytes()))
}

/// Refuses to commit more than there is: the kernel would kill processes instead of saying no.
pub(super) fn ensure_available(size: u64) -> Result<()> {
    match limits::available_memory() {
        Some(available) if size > available => {
            let (size_text, there) = (Bytes(size), Bytes(available));
            let message = format!(
                "committing {size_text} needs more memory than is free: {there}; ask for less, or free some"
            );
            Err(Error::new(LAVA_ERROR_OUT_OF_MEMORY, message).with_value(available))
        }
        _ => Ok(()),
    }
}
