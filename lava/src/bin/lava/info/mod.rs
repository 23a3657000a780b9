//! `lava info`: what this machine offers to lava, each kind of memory tried by a real allocation, and how to mend
//! what is missing.

mod gpu_text;
mod gpus;
mod host;
mod memory;
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
    mpi: Absent,
    /// What the library says of itself: settings with their origin, location, runtime directory.
    context: Value,
}

/// Something that this version does not have.
#[derive(Debug, Serialize)]
struct Absent {
    supported: bool,
    note: &'static str,
}

const MPI: Absent =
    Absent { supported: false, note: "not supported in this version: channels stay on one host" };

/// Runs the subcommand.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let context = Context::new()?;
    let (major, minor, patch) = lava::version();
    let report = Report {
        version: format!("{major}.{minor}.{patch}"),
        host: host::Host::look(),
        numa_nodes: host::numa_nodes(),
        huge_pages: host::HugePages::look(),
        limits: host::Limits::look(),
        memory: memory::try_all(&context, arguments.size),
        gpus: gpus::Gpus::look(),
        mpi: MPI,
        context: serde_json::from_str(&context.describe()?)
            .doing("reading the library's description")?,
    };
    if json { output::write_json(&report) } else { output::write(&text::render(&report)) }
}
