//! Other hosts by MPI. liblava never links MPI: a plug-in (`lava-sys/mpi`) does, and is loaded when a job is joined.

pub mod job;
mod launcher;
mod library;
mod plugin;
pub mod port;
pub mod settings;
pub mod start;
mod table;
