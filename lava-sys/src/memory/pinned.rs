//! Locked pages: present from the start, never moved to disk.

use super::machine;
use super::numa;
use super::request::{MemoryContext, Need};
use super::standard::describe;
use super::storage::{Attempt, Made, Refusal, Storage, small_pages};
use super::units::{Bytes, cut};
use super::vulkan::{Allocation, Which};
use crate::error::{Error, Result};
use crate::os::mapping::Mapping;
use crate::os::{limits, numa as nodes, pages};
use crate::types::*;

pub(super) fn allocate(need: &Need, context: &MemoryContext) -> Attempt {
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
    let mut storage = small_pages(need, &prepare)?;
    let mut what = format!("locked {}", describe(&storage));
    if let Some(told) = show_to_gpu(&mut storage, need.device_uuid, context) {
        what += &told;
    }
    Ok(Made {
        storage,
        pages: LAVA_PAGES_SMALL,
        page_size: limits::page_size(),
        node: need.node,
        what,
    })
}

/// Lets a GPU use the pages in place, so that it copies from and to them without a detour: the GPU that was named, else
/// the best of those that are open. Tells what came of it; `None` if there is no GPU to think of.
///
/// Only where this process may write: drivers refuse pages that are mapped read-only.
pub(super) fn show_to_gpu(
    storage: &mut Storage,
    named: [u8; 16],
    context: &MemoryContext,
) -> Option<String> {
    let (mapping, gpu) = match storage {
        Storage::Private { mapping, gpu } | Storage::Shared { mapping, gpu, .. } => (mapping, gpu),
        Storage::Heap(_) | Storage::Device { .. } => return None,
    };
    let device = if named != [0; 16] {
        context.gpus().open(Which::Uuid(named))
    } else {
        Ok(context.gpus().opened().into_iter().min_by_key(|device| device.info().kind)?)
    };
    let imported = device.and_then(|device| {
        // SAFETY: a writable mapping of its own, which the storage drops after the allocation.
        unsafe { Allocation::import_host(&device, mapping.start(), mapping.size() as u64) }
    });
    match imported {
        Ok(allocation) => {
            let told = format!(", which {} uses in place", allocation.device().info().name);
            *gpu = Some(allocation);
            Some(told)
        }
        Err(error) => Some(format!(", which no GPU uses in place: {}", cut(&error.message, 80))),
    }
}

fn over_limit(size: u64, lockable: u64) -> Refusal {
    let error = Error::new(LAVA_ERROR_LIMIT, limit_message(size)).with_value(lockable);
    let limit = limits::lock_limit()
        .soft
        .map_or_else(|| "no limit".into(), |limit| Bytes(limit).to_string());
    Refusal { short: format!("{} is over RLIMIT_MEMLOCK ({limit})", Bytes(size)), error }
}

/// What `mlock` said, in the terms of the limit where that is the cause: it counts whole pages, and other threads lock
/// memory too.
fn refused(size: u64, error: Error) -> Error {
    let whole = size.next_multiple_of(limits::page_size());
    if machine::lockable().is_some_and(|lockable| whole > lockable) {
        return Error { status: LAVA_ERROR_LIMIT, message: limit_message(size), ..error };
    }
    error
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::super::buffer::Buffer;
    use super::super::kind::Memory;
    use super::super::request::Request;
    use super::super::request::tests::{context, request};
    use super::*;

    const CHILD: &str = "LAVA_TEST_LOW_LOCK_LIMIT";
    const LIMIT: u64 = 256 << 10;

    /// Limits belong to a process, so this test runs itself once more in one of its own.
    #[test]
    fn a_low_limit_is_named_and_fallen_back_from() {
        if std::env::var_os(CHILD).is_some() {
            limits::lower_lock_limit(LIMIT).unwrap();
            return under_a_low_limit();
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::pinned::tests::a_low_limit_is_named_and_fallen_back_from"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && output.contains("1 passed"), "{output}");
    }

    fn under_a_low_limit() {
        let allocate = |request: &Request| Buffer::allocate(request, &context());
        for shareable in [0, LAVA_BUFFER_SHAREABLE] {
            let fits =
                allocate(&request(Memory::Pinned, LIMIT / 2, LAVA_BUFFER_REQUIRE | shareable))
                    .unwrap();
            assert!(fits.flags() & LAVA_BUFFER_COMMIT != 0 && limits::locked_bytes() == LIMIT / 2);

            let error = allocate(&request(Memory::Pinned, LIMIT, LAVA_BUFFER_REQUIRE | shareable))
                .unwrap_err();
            assert_eq!((error.status, error.value), (LAVA_ERROR_REQUIREMENT, LIMIT / 2));
            for words in
                ["locking 256 KiB", "RLIMIT_MEMLOCK: 256 KiB", "128 KiB are in use", "ulimit -l"]
            {
                assert!(error.message.contains(words), "{error}");
            }
            assert!(error.message.len() < LAVA_ERROR_MESSAGE_SIZE, "{error}");

            let instead = allocate(&request(Memory::Pinned, LIMIT, shareable)).unwrap();
            assert_eq!(instead.memory(), Memory::Standard);
            assert!(
                instead.reason().contains("not pinned: 256 KiB is over RLIMIT_MEMLOCK"),
                "{}",
                instead.reason()
            );
            drop(fits);
            assert_eq!(limits::locked_bytes(), 0);
        }
        let mapping = Mapping::private(LIMIT as usize * 2).unwrap();
        let error = refused(LIMIT * 2, pages::lock(&mapping).unwrap_err());
        assert_eq!(error.status, LAVA_ERROR_LIMIT, "{error}");
    }
}
