//! Who and where a process is, and what two of them can share.

/// Bytes of `lava_location.host`, with its NUL.
pub const LAVA_LOCATION_HOST_SIZE: usize = 64;
/// Bytes that hold every formatted location, with its NUL.
pub const LAVA_LOCATION_TEXT_SIZE: usize = 384;
/// Bytes of `lava_scope_report.text`, with its NUL.
pub const LAVA_SCOPE_TEXT_SIZE: usize = 768;

/// Who and where a process is. Plain data: send it to other processes as the text of `lava_location_format`.
/// A field that is unknown is 0 (`rank`: -1).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct lava_location {
    /// `sizeof(lava_location)` of the caller.
    pub struct_size: u32,
    /// Process id in its own PID namespace.
    pub process: u32,
    /// Effective user id.
    pub user: u32,
    /// Rank in the MPI job, or -1.
    pub rank: i32,
    /// Identity of the context in that process: random, never 0.
    pub context: u64,
    /// Inode of the process's PID namespace.
    pub pid_namespace: u64,
    /// Inode of its mount namespace.
    pub mount_namespace: u64,
    /// Inode of its IPC namespace.
    pub ipc_namespace: u64,
    /// Device number of its runtime directory.
    pub runtime_device: u64,
    /// Inode of its runtime directory. Equal device and inode on one host: a shared directory.
    pub runtime_inode: u64,
    /// The kernel's boot id: equal only on one running kernel.
    pub boot_id: [u8; 16],
    /// Host name, UTF-8, NUL-terminated. Never used alone: many hosts share a name.
    pub host: [core::ffi::c_char; LAVA_LOCATION_HOST_SIZE],
}

/// Evidence: the caller or `LAVA_SCOPE` forced the answer.
pub const LAVA_EVIDENCE_FORCED: u32 = 1;
/// Evidence: both are the same process.
pub const LAVA_EVIDENCE_PROCESS: u32 = 2;
/// Evidence: the peer answered on its rendezvous socket. Proof.
pub const LAVA_EVIDENCE_RENDEZVOUS: u32 = 4;
/// Evidence: boot ids.
pub const LAVA_EVIDENCE_BOOT_ID: u32 = 8;
/// Evidence: the runtime directories, by device and inode.
pub const LAVA_EVIDENCE_RUNTIME_DIRECTORY: u32 = 16;
/// Evidence: mount namespaces.
pub const LAVA_EVIDENCE_MOUNT_NAMESPACE: u32 = 32;
/// Evidence: IPC namespaces.
pub const LAVA_EVIDENCE_IPC_NAMESPACE: u32 = 64;
/// Evidence: PID namespaces.
pub const LAVA_EVIDENCE_PID_NAMESPACE: u32 = 128;
/// Evidence: user ids.
pub const LAVA_EVIDENCE_USER: u32 = 256;
/// Evidence: host names.
pub const LAVA_EVIDENCE_HOST: u32 = 512;

/// The answer of `lava_scope_detect`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_scope_report {
    /// `sizeof(lava_scope_report)` of the caller.
    pub struct_size: u32,
    /// `LAVA_SCOPE_LOCAL` or `LAVA_SCOPE_REMOTE`.
    pub scope: u32,
    /// The one `LAVA_EVIDENCE_*` that decided.
    pub decided_by: u32,
    /// Set of `LAVA_EVIDENCE_*` that speak for one host.
    pub agrees: u32,
    /// Set of `LAVA_EVIDENCE_*` that speak against it. Evidence in neither set is unknown.
    pub differs: u32,
    /// Zero.
    pub reserved: u32,
    /// The decision and each piece of evidence in words, one a line. UTF-8, NUL-terminated.
    pub text: [core::ffi::c_char; LAVA_SCOPE_TEXT_SIZE],
}
