//! Other hosts by MPI. liblava never links MPI: a plug-in (`lava-sys/mpi`) does, and is loaded when a job is joined.

mod accepting;
pub mod incoming;
pub mod job;
mod launcher;
mod library;
pub mod mailbox;
mod message;
pub mod outgoing;
mod plugin;
pub mod port;
mod send_ring;
pub mod settings;
pub mod start;
mod table;

pub use message::{SLACK, SMALL};

#[cfg(test)]
pub mod double;
