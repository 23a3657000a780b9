//! `lava info`: what this machine offers to lava, each kind of memory tried by a real allocation, and how to mend
//! what is missing. In an MPI job rank 0 tells it.

mod gpu_text;
mod gpus;
mod host;
mod memory;
mod mpi;
mod peer;
mod probe;
mod text;
mod trial;

use lava::Context;
use serde::Serialize;
use serde_json::Value;

use crate::failure::{Doing, Failure};
use crate::{output, units};
pub use peer::{PeerArguments, answer};
pub use probe::{ProbeArguments, probe};

/// Arguments of `lava info`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Bytes to allocate when trying each kind of memory
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = units::parse_positive_size)]
    size: u64,
}

/// Everything that the report has.
#[derive(Debug, Serialize)]
struct Report {
    version: String,
    host: host::Host,
    numa_nodes: Vec<host::NumaNode>,
    huge_pages: host::HugePages,
    limits: host::Limits,
    memory: Vec<memory::Attempt>,
    gpus: gpus::Gpus,
    mpi: mpi::Mpi,
    /// What the library says of itself: settings with their origin, location, runtime directory.
    context: Value,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let context = Context::new()?;
    let mpi = mpi::Mpi::look(&context)?;
    if mpi.is_told_by_another() {
        return Ok(());
    }
    let (major, minor, patch) = lava::version();
    let report = Report {
        version: format!("{major}.{minor}.{patch}"),
        host: host::Host::look(),
        numa_nodes: host::numa_nodes(),
        huge_pages: host::HugePages::look(),
        limits: host::Limits::look(),
        memory: memory::try_all(&context, arguments.size),
        gpus: gpus::Gpus::look(),
        mpi,
        context: serde_json::from_str(&context.describe()?)
            .doing("reading the library's description")?,
    };
    if json { output::write_json(&report) } else { output::write(&text::render(&report)) }
}
