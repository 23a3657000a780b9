//! The extension module `lava._lava`, which the Python package `lava` is made of.
//!
//! It uses the safe crate `lava`, and so the C ABI only. One class or concept per file:
//! * [`context`], [`producer`], [`consumer`], [`frame`], [`buffer`], [`location`]: the classes
//! * [`loan`]: what a frame is, and how a loan is sent; [`payload`]: what views and capsules keep alive
//! * [`protocol`]: how arrays are shown; [`view`]: the buffer protocol; [`dlpack`]; [`interface`]: CUDA's
//! * [`source`]: what can be sent; [`element`]: data types; [`tensor`]: shapes
//! * [`watch`]: event loops; [`wait`], [`opening`], [`interrupt`], [`fork`], [`log`], [`failure`]: manners; [`cuda`]: the driver; [`command`]: `python -m lava`

mod buffer;
mod command;
mod consumer;
mod context;
mod cuda;
mod dlpack;
mod element;
mod failure;
mod fork;
mod frame;
mod interface;
mod interrupt;
mod loan;
mod location;
mod log;
mod opening;
mod payload;
mod producer;
mod protocol;
mod source;
mod tensor;
mod view;
mod wait;
mod watch;

use pyo3::prelude::*;

/// Every class may be used from any thread, with or without a global lock.
#[pymodule(gil_used = false)]
fn _lava(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<context::Context>()?;
    module.add_class::<producer::Producer>()?;
    module.add_class::<consumer::Consumer>()?;
    module.add_class::<frame::Frame>()?;
    module.add_class::<buffer::Buffer>()?;
    module.add_class::<location::Location>()?;
    module.add_class::<location::ScopeReport>()?;
    module.add_function(wrap_pyfunction!(command::run, module)?)?;
    let (major, minor, patch) = lava::version();
    module.add("__version__", format!("{major}.{minor}.{patch}"))?;
    fork::watch(module)
}
