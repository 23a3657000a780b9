//! The namespaces that this process lives in.

use std::os::unix::fs::MetadataExt as _;

/// Kinds of namespace that decide what two processes can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    Pid,
    Mount,
    Ipc,
}

/// The inode that names the namespace on this kernel; 0 if /proc does not tell.
pub fn inode(namespace: Namespace) -> u64 {
    let path = match namespace {
        Namespace::Pid => "/proc/self/ns/pid",
        Namespace::Mount => "/proc/self/ns/mnt",
        Namespace::Ipc => "/proc/self/ns/ipc",
    };
    std::fs::metadata(path).map_or(0, |metadata| metadata.ino())
}
