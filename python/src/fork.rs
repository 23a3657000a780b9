//! A forked child must not use what it inherited: locks may be held by threads that it does not have.
//! The library finds that out for its own handles; this is for what the module itself locks.

use std::sync::atomic::{AtomicU32, Ordering};

use lava_sys::LAVA_ERROR_FORKED;
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

use crate::failure::Failure;

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// When an object was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Birth(u32);

impl Birth {
    pub(crate) fn now() -> Self {
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Fails in a process that was forked since.
    #[inline]
    pub(crate) fn check(self) -> Result<(), Failure> {
        if self.0 == GENERATION.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(Failure::new(
            LAVA_ERROR_FORKED,
            "the object belongs to the parent of this forked process; make a lava.Context here, or start processes \
             with the method 'spawn'",
        ))
    }
}

#[pyfunction]
fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Counts this process's forks from now on.
pub(crate) fn watch(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let count = wrap_pyfunction!(after_fork_in_child, module)?;
    let arguments = [("after_in_child", count)].into_py_dict(py)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&arguments))?;
    Ok(())
}
