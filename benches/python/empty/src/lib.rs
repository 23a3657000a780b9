//! Nothing.

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _empty(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
