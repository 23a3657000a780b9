//! `python -m lava`: the command line, in this process.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line with `arguments`, of which the first is its name, and returns the exit code. `program` starts it
/// again, for its helper processes.
#[pyfunction]
pub(crate) fn run(py: Python<'_>, arguments: Vec<OsString>, program: Vec<OsString>) -> u8 {
    py.detach(|| lava_cli::hosted(arguments, program))
}
