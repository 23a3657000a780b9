//! The C table between liblava and its MPI plug-in. This file is compiled into both; both check [`VERSION`] and the sizes.
//!
//! Every function that gives an `i32` gives one of the codes here, and fills `Failure` unless it is [`OK`]. Outputs are
//! written only with [`OK`]. Nothing unwinds.

use std::ffi::c_void;

/// Changes with every change in this file.
pub const VERSION: u32 = 2;

/// Name of the plug-in's only symbol: a function without arguments that gives the table, which lives for ever.
pub const SYMBOL: &str = "lava_mpi_table";
/// Type of that symbol.
pub type TableFunction = unsafe extern "C" fn() -> *const Table;

pub const OK: i32 = 0;
/// Cancelled (a completion), or the port is closed because MPI ends.
pub const CLOSED: i32 = 1;
/// A message was longer than its place.
pub const TRUNCATED: i32 = 2;
/// MPI says no; the failure has its words.
pub const FAILED: i32 = 3;
/// Another context of this process has the port.
pub const BUSY: i32 = 4;
/// The caller broke a rule of this table.
pub const MISUSE: i32 = 5;

/// In place of a request: the message is with MPI, which does not need its memory any more.
pub const SENT: u64 = u64::MAX;

/// The plug-in was built with Open MPI.
pub const OPEN_MPI: u32 = 1;
/// The plug-in was built with MPICH, or another MPI with MPICH's ABI.
pub const MPICH: u32 = 2;

/// Why a call failed.
#[repr(C)]
pub struct Failure {
    /// MPI's error class, or 0.
    pub class: i32,
    /// Bytes of `text` that are used.
    pub length: u32,
    /// UTF-8.
    pub text: [u8; 504],
}

/// The state of MPI in this process.
#[repr(C)]
pub struct Facts {
    /// [`OPEN_MPI`] or [`MPICH`].
    pub family: u32,
    /// Version of the standard.
    pub standard: [u32; 2],
    pub initialised: u32,
    pub finalised: u32,
    /// 0 (single) to 3 (multiple); -1: not initialised.
    pub thread_level: i32,
    /// Ranks and own rank in MPI_COMM_WORLD; -1: not initialised.
    pub world_size: i32,
    pub world_rank: i32,
    /// 1: the plug-in initialised it.
    pub initialised_here: u32,
    /// Bytes of `library` that are used.
    pub length: u32,
    /// What the library says of itself, UTF-8.
    pub library: [u8; 1024],
}

/// What [`Table::join`] is told.
#[repr(C)]
pub struct Join {
    /// Fortran's handle of the application's communicator, if `has_communicator` is not 0; else all ranks.
    pub communicator: i64,
    pub has_communicator: u32,
    pub reserved: u32,
    /// What this rank tells all, `bytes` bytes; the same number on every rank.
    pub mine: *const u8,
    pub bytes: usize,
    /// Is called with the number of ranks and gives the place for what all ranks tell, in the order of the ranks, or NULL.
    pub place: unsafe extern "C" fn(user: *mut c_void, ranks: i32) -> *mut u8,
    pub user: *mut c_void,
}

/// What [`Table::join`] gives.
#[repr(C)]
pub struct Joined {
    /// For the other functions, until [`Table::leave`].
    pub port: *mut c_void,
    pub rank: i32,
    pub size: i32,
    pub tag_limit: i32,
    pub reserved: u32,
}

/// A message that has ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Done {
    pub request: u64,
    pub bytes: u64,
    /// -1 for one that was sent.
    pub source: i32,
    pub tag: i32,
    /// [`OK`], [`CLOSED`], [`TRUNCATED`], [`FAILED`].
    pub code: i32,
    pub reserved: u32,
}

/// The functions. Those with a port may be called from any thread, one at a time for each port.
#[repr(C)]
pub struct Table {
    pub version: u32,
    pub size: u32,
    /// Any time, any thread.
    pub facts: unsafe extern "C" fn(facts: *mut Facts),
    /// Initialises MPI for all threads, unless it is. It is then finalised when the process exits. Blocks until all ranks
    /// of the job are there.
    pub initialise: unsafe extern "C" fn(failure: *mut Failure) -> i32,
    /// Makes a communicator of lava's own and tells all ranks what each one tells. Blocks until all ranks are there.
    pub join: unsafe extern "C" fn(
        options: *const Join,
        joined: *mut Joined,
        failure: *mut Failure,
    ) -> i32,
    /// Ends the port. 1: nothing is under way any more. 0: some messages did not end in time, and their memory must stay.
    pub leave: unsafe extern "C" fn(port: *mut c_void) -> u32,
    /// A rank is dead: nothing waits for it, and MPI is not finalised at exit.
    pub abandon: unsafe extern "C" fn(port: *mut c_void),
    /// `request` may become [`SENT`].
    pub send: unsafe extern "C" fn(
        port: *mut c_void,
        from: *const u8,
        bytes: i32,
        to: i32,
        tag: i32,
        request: *mut u64,
        failure: *mut Failure,
    ) -> i32,
    /// `from` and `tag` -1: any.
    pub receive: unsafe extern "C" fn(
        port: *mut c_void,
        into: *mut u8,
        bytes: i32,
        from: i32,
        tag: i32,
        request: *mut u64,
        failure: *mut Failure,
    ) -> i32,
    /// `done` has room for `count`; at least 1.
    pub test: unsafe extern "C" fn(
        port: *mut c_void,
        requests: *const u64,
        count: usize,
        done: *mut Done,
        done_count: *mut usize,
        failure: *mut Failure,
    ) -> i32,
    pub cancel: unsafe extern "C" fn(port: *mut c_void, request: u64),
}
