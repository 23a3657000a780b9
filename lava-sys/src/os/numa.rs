//! NUMA nodes: which have memory, where this thread runs, binding pages to one.

use std::io;

use super::limits::kilobytes_of;
use super::mapping::Mapping;
use crate::error::{Error, Result};

const NODES: &str = "/sys/devices/system/node";

/// The nodes that have memory, ascending. A kernel that does not tell has node 0 only.
pub fn nodes() -> Vec<u32> {
    std::fs::read_to_string(format!("{NODES}/has_memory"))
        .ok()
        .and_then(|text| parse_list(text.trim()))
        .unwrap_or_else(|| vec![0])
}

/// A kernel's list such as `0-3,8`.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut nodes = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        nodes.extend((first <= last && last < NODES_MAX).then_some(first..=last)?);
    }
    Some(nodes)
}

/// The most nodes that a kernel can be built for.
const NODES_MAX: u32 = 1024;

/// The node of the processor that this thread runs on.
pub fn current_node() -> Result<u32> {
    let mut node: libc::c_uint = 0;
    // SAFETY: getcpu writes one unsigned int to `node`, and nothing to the two NULLs.
    let status = unsafe {
        libc::syscall(
            libc::SYS_getcpu,
            std::ptr::null_mut::<libc::c_uint>(),
            &raw mut node,
            std::ptr::null_mut::<libc::c_void>(),
        )
    };
    if status == 0 { Ok(node) } else { Err(Error::os(last_errno(), "getcpu")) }
}

/// Bytes of free memory on a node; `None` if the kernel does not tell.
pub fn free_memory(node: u32) -> Option<u64> {
    kilobytes_of(&format!("{NODES}/node{node}/meminfo"), "MemFree:")
}

/// Bytes of memory on a node; `None` if the kernel does not tell.
pub fn total_memory(node: u32) -> Option<u64> {
    kilobytes_of(&format!("{NODES}/node{node}/meminfo"), "MemTotal:")
}

/// Binds a mapping's pages to one node: pages touched from now on come from there or not at all. Of shared memory this
/// holds for every process that maps it.
pub fn bind(mapping: &Mapping, node: u32) -> Result<()> {
    const BITS: usize = libc::c_ulong::BITS as usize;
    if node >= NODES_MAX {
        return Err(Error::argument(format!("NUMA node {node} is beyond {NODES_MAX}"))
            .with_value(node.into()));
    }
    let mut mask = [0 as libc::c_ulong; NODES_MAX as usize / BITS];
    mask[node as usize / BITS] |= 1 << (node as usize % BITS);
    // SAFETY: the range is mapped, the mask has NODES_MAX bits (the kernel reads one less than it is told).
    let status = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            mapping.start().as_ptr(),
            mapping.size(),
            libc::MPOL_BIND,
            mask.as_ptr(),
            libc::c_ulong::from(NODES_MAX) + 1,
            0,
        )
    };
    if status == 0 {
        return Ok(());
    }
    Err(Error::os(last_errno(), format!("mbind to NUMA node {node}")).with_value(node.into()))
}

fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nodes_are_read() {
        assert_eq!(parse_list("0"), Some(vec![0]));
        assert_eq!(parse_list("0-2,8"), Some(vec![0, 1, 2, 8]));
        for wrong in ["", "a", "3-1", "0-4000000000", "1,"] {
            assert_eq!(parse_list(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pages_bound_to_a_node_come_from_it() {
        let node = nodes()[0];
        let mapping = Mapping::private(64 * 1024).unwrap();
        match bind(&mapping, node) {
            // Containers often forbid mbind.
            Err(error) if matches!(error.os, libc::EPERM | libc::ENOSYS) => {
                println!("skipped: {error}");
                return;
            }
            bound => bound.unwrap(),
        }
        const MPOL_F_ADDR: libc::c_ulong = 2;
        let mut mode: libc::c_int = -1;
        // SAFETY: MPOL_F_ADDR asks for the policy at an address that is mapped.
        let status = unsafe {
            libc::syscall(
                libc::SYS_get_mempolicy,
                &raw mut mode,
                std::ptr::null_mut::<libc::c_ulong>(),
                0,
                mapping.start().as_ptr(),
                MPOL_F_ADDR,
            )
        };
        assert_eq!((status, mode), (0, libc::MPOL_BIND));
    }

    #[test]
    fn a_node_that_does_not_exist_is_refused() {
        let mapping = Mapping::private(4096).unwrap();
        let absent = nodes().last().unwrap() + 1;
        assert_eq!(bind(&mapping, absent).unwrap_err().value, u64::from(absent));
        assert!(bind(&mapping, u32::MAX).unwrap_err().message.contains("4294967295"));
    }
}
