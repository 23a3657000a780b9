//! The context, its options and its log.

use super::vulkan::lava_vulkan_device;

/// All state of one user of the library: settings, log, service thread. There is no global state.
/// Functions: `lava_context_*`.
pub struct lava_context {
    _private: [u8; 0],
}

/// Scope of two locations is decided by evidence (the default).
pub const LAVA_SCOPE_AUTO: u32 = 0;
/// The two share a host and can share memory.
pub const LAVA_SCOPE_LOCAL: u32 = 1;
/// The two cannot share memory.
pub const LAVA_SCOPE_REMOTE: u32 = 2;

/// The MPI that the process has loaded, else the launcher's (the default).
pub const LAVA_MPI_AUTO: u32 = 0;
/// No MPI.
pub const LAVA_MPI_OFF: u32 = 1;
/// Open MPI, 4.0 or later.
pub const LAVA_MPI_OPENMPI: u32 = 2;
/// MPICH 3.3 or later, or an MPI with its binary interface.
pub const LAVA_MPI_MPICH: u32 = 3;

/// Log level: something failed.
pub const LAVA_LOG_ERROR: u32 = 1;
/// Log level: something is not as asked for, and lava went on.
pub const LAVA_LOG_WARN: u32 = 2;
/// Log level: connections come and go, strategies are chosen.
pub const LAVA_LOG_INFO: u32 = 3;
/// Log level: every step of a handshake.
pub const LAVA_LOG_DEBUG: u32 = 4;

/// Where a context's log lines go.
///
/// `write` is called from any thread, also from several at once; it must not call lava, unwind or longjmp.
/// `drop`, if not NULL, is called exactly once with `user`: when the context has ended, or when its creation failed.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_log_sink {
    /// `sizeof(lava_log_sink)` of the caller.
    pub struct_size: u32,
    /// The most talkative level wanted: `LAVA_LOG_*`; 0 means `LAVA_LOG_WARN`.
    pub level: u32,
    /// Passed to `write` and `drop`.
    pub user: *mut core::ffi::c_void,
    /// `(user, level, UTF-8 message, NUL-terminated, borrowed for the call)`. Must not be NULL.
    pub write: Option<
        unsafe extern "C" fn(
            user: *mut core::ffi::c_void,
            level: u32,
            message: *const core::ffi::c_char,
        ),
    >,
    /// Gives `user` back. May be NULL.
    pub drop: Option<unsafe extern "C" fn(user: *mut core::ffi::c_void)>,
}

/// Options of `lava_context_create`. An option set here wins over the environment variable of the same meaning.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lava_context_options {
    /// `sizeof(lava_context_options)` of the caller.
    pub struct_size: u32,
    /// Forced scope of every peer, for tests: `LAVA_SCOPE_*`. Environment: `LAVA_SCOPE=auto|local|remote`.
    pub scope: u32,
    /// Directory of the rendezvous sockets, borrowed for the call; NULL: `$LAVA_RUNTIME_DIR`, else
    /// `$XDG_RUNTIME_DIR/lava`, else `/tmp/lava-<uid>`. Created with mode 0700 if absent; must belong to this user.
    pub runtime_directory: *const core::ffi::c_char,
    /// Where log lines go, borrowed for the call; NULL: nowhere, or to standard error if `LAVA_LOG=LEVEL` is set.
    pub log: *const lava_log_sink,
    /// Nanoseconds that a waiting call spins before it sleeps; 0: the default (50 µs, or none on one processor);
    /// `LAVA_FOREVER`: never sleep. Environment: `LAVA_SPIN_NS`, where 0 means: sleep at once.
    pub spin_ns: u64,
    /// Which GPUs it may use: `LAVA_VULKAN_*`. Environment: `LAVA_VULKAN=auto|off|cpu`. Vulkan is loaded when a GPU is first
    /// needed, and its absence is no error before that.
    pub vulkan_devices: u32,
    /// 0.
    pub reserved: u32,
    /// A Vulkan device of the application to work on, the only one that the context then uses; the struct is borrowed for
    /// the call, its handles for longer. NULL: lava makes its own.
    pub vulkan: *const lava_vulkan_device,
    /// Which MPI reaches other hosts: `LAVA_MPI_*`. Environment: `LAVA_MPI=auto|off|openmpi|mpich|PATH` (of a plug-in, with
    /// a slash), searched for first in `LAVA_PLUGIN_DIR`. MPI is loaded and initialised when a channel end is made in a
    /// job of more than one rank, not before.
    pub mpi: u32,
    /// Not 0: `mpi_communicator` is the application's, which has initialised MPI.
    pub has_mpi_communicator: u32,
    /// `MPI_Comm_c2f` of a communicator whose ranks find each other, instead of all ranks of the job; every number is a
    /// valid one. It must live until this context has joined, and is used for nothing else: lava makes its own of it.
    pub mpi_communicator: i64,
}
