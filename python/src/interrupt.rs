//! Ctrl-C, and whatever else Python wants of the main thread while it waits.

use pyo3::ffi;
use pyo3::prelude::*;

/// Runs signal handlers and pending calls, such as log lines; fails with what they raise.
pub(crate) fn check(py: Python<'_>) -> PyResult<()> {
    py.check_signals()?;
    // SAFETY: this thread is attached to the interpreter, and no exception is set.
    match unsafe { ffi::Py_MakePendingCalls() } {
        0 => Ok(()),
        _ => Err(PyErr::fetch(py)),
    }
}
