//! Ordinary pages bound to one NUMA node, before anything touches them.

use super::request::Need;
use super::standard::describe;
use super::storage::{Attempt, Made, Refusal, small_pages};
use super::units::Bytes;
use crate::error::{Error, Result};
use crate::os::mapping::Mapping;
use crate::os::{limits, numa};
use crate::types::*;

pub(super) fn allocate(need: &Need) -> Attempt {
    let node = node_of(need)?;
    ensure_room(need, node)?;
    let storage = small_pages(need, &|mapping| bind(mapping, node))?;
    let what = format!("{} on NUMA node {node}", describe(&storage));
    Ok(Made {
        storage,
        pages: LAVA_PAGES_SMALL,
        page_size: limits::page_size(),
        node: Some(node),
        what,
    })
}

/// The node asked for, else the calling thread's; where that has no memory, the first that has.
fn node_of(need: &Need) -> std::result::Result<u32, Refusal> {
    let nodes = numa::nodes();
    match need.node {
        Some(node) => {
            ensure_exists(&nodes, node)?;
            Ok(node)
        }
        None => {
            let here = numa::current_node()?;
            Ok(if nodes.contains(&here) { here } else { nodes.first().copied().unwrap_or(0) })
        }
    }
}

/// Refuses a node that this machine lacks, and names those that it has.
pub(super) fn ensure_exists(nodes: &[u32], node: u32) -> std::result::Result<(), Refusal> {
    if nodes.contains(&node) {
        return Ok(());
    }
    let list = nodes.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let message =
        format!("NUMA node {node} has no memory or does not exist; nodes with memory here: {list}");
    Err(Refusal {
        short: format!("no NUMA node {node}"),
        error: Error::argument(message).with_value(node.into()),
    })
}

/// Bound pages come from their node or the process is killed, so what cannot fit is refused here.
fn ensure_room(need: &Need, node: u32) -> std::result::Result<(), Refusal> {
    let total = numa::total_memory(node);
    let Some(total) = total.filter(|total| need.size > *total) else { return Ok(()) };
    let message = format!(
        "NUMA node {node} has {} of memory, {} were asked for; ask for less or for another node",
        Bytes(total),
        Bytes(need.size)
    );
    Err(Refusal {
        short: format!("node {node} has only {}", Bytes(total)),
        error: Error::new(LAVA_ERROR_OUT_OF_MEMORY, message).with_value(total),
    })
}

/// Binds a mapping, and says what to do where that is forbidden.
pub(super) fn bind(mapping: &Mapping, node: u32) -> Result<()> {
    numa::bind(mapping, node).map_err(|mut error| {
        if error.status == LAVA_ERROR_PERMISSION {
            error.message +=
                "; in a container, allow mbind: --cap-add SYS_NICE, or another seccomp profile";
        }
        error
    })
}
