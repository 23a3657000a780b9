//! Other hosts by MPI. liblava never links MPI: a plug-in (`lava-sys/mpi`) does, and is loaded when a job is joined.

pub mod job;
pub mod port;
pub mod settings;
pub mod start;
