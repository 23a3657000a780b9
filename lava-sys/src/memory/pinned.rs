//! Locked pages: present from the start, never moved to disk.

use super::machine;
use super::numa;
use super::request::Need;
use super::standard::describe;
use super::storage::{Attempt, Made, Refusal, small_pages};
use super::units::Bytes;
use crate::error::{Error, Result};
use crate::os::mapping::Mapping;
use crate::os::{limits, numa as nodes, pages};
use crate::types::*;

pub(super) fn allocate(need: &Need) -> Attempt {
    if let Some(node) = need.node {
        numa::ensure_exists(&nodes::nodes(), node)?;
    }
    if let Some(lockable) = machine::lockable().filter(|lockable| need.size > *lockable) {
        return Err(over_limit(need.size, lockable));
    }
    machine::ensure_available(need.size)?;
    let prepare = |mapping: &Mapping| -> Result<()> {
        if let Some(node) = need.node {
            numa::bind(mapping, node)?;
        }
        pages::lock(mapping).map_err(|error| refused(need.size, error))
    };
    let storage = small_pages(need, &prepare)?;
    let what = format!("locked {}", describe(&storage));
    Ok(Made {
        storage,
        pages: LAVA_PAGES_SMALL,
        page_size: limits::page_size(),
        node: need.node,
        what,
    })
}

fn over_limit(size: u64, lockable: u64) -> Refusal {
    let error = Error::new(LAVA_ERROR_LIMIT, limit_message(size)).with_value(lockable);
    let limit = limits::lock_limit()
        .soft
        .map_or_else(|| "no limit".into(), |limit| Bytes(limit).to_string());
    Refusal { short: format!("{} is over RLIMIT_MEMLOCK ({limit})", Bytes(size)), error }
}

/// What `mlock` said, where the limit was reached by another thread meanwhile or the kernel counts otherwise.
fn refused(size: u64, error: Error) -> Error {
    match error.status {
        LAVA_ERROR_OUT_OF_MEMORY | LAVA_ERROR_PERMISSION => {
            Error { status: LAVA_ERROR_LIMIT, message: limit_message(size), ..error }
        }
        _ => error,
    }
}

fn limit_message(size: u64) -> String {
    let limit = limits::lock_limit();
    let text = |limit: Option<u64>| {
        limit.map_or_else(|| "unlimited".into(), |limit| Bytes(limit).to_string())
    };
    format!(
        "locking {} is over RLIMIT_MEMLOCK: {} (hard limit {}), of which {} are in use; raise it: `ulimit -l unlimited`, \
         LimitMEMLOCK=infinity (systemd), --ulimit memlock=-1 (containers), /etc/security/limits.conf, or CAP_IPC_LOCK",
        Bytes(size),
        text(limit.soft),
        text(limit.hard),
        Bytes(limits::locked_bytes()),
    )
}
