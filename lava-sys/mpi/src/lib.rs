//! The MPI plug-in of lava. liblava loads it with dlopen when a context joins an MPI job, and speaks to it through the
//! table that the only symbol gives. One build knows one MPI: the one whose `mpicc` (`$MPICC`) it was built with.

mod constants;
mod exit;
mod failure;
mod messages;
mod port;
mod process;
#[path = "../../src/transport/mpi/table.rs"]
#[allow(dead_code, reason = "shared with liblava; each uses what it needs")]
mod table;

use table::Table;

static TABLE: Table = Table {
    version: table::VERSION,
    size: size_of::<Table>() as u32,
    facts: process::facts,
    initialise: process::initialise,
    join: port::join,
    leave: port::leave,
    abandon: port::abandon,
    send: messages::send,
    receive: messages::receive,
    test: messages::test,
    cancel: messages::cancel,
};

/// The functions of this plug-in, for ever.
#[unsafe(no_mangle)]
pub extern "C" fn lava_mpi_table() -> *const Table {
    &raw const TABLE
}
