//! The command line `lava`, run as a user runs it.

mod demo;
mod perf;
mod reports;
mod support;
mod transfer;
mod usage;
