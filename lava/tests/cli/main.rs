//! The command line `lava`, run as a user runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod demo;
mod gpu;
mod perf;
mod reports;
mod support;
mod transfer;
mod usage;
