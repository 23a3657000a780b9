//! `lava perf`: lava against the physical limits of this machine. Two pinned processes; every row runs in short
//! rounds that alternate with its limit, so that what else the machine does meets both alike. In an MPI job the first two
//! ranks are measured instead ([`job`]).

mod channel;
mod clock;
pub mod cpu;
mod device;
mod idle;
mod job;
mod limit;
pub mod plan;
mod plot;
mod report;
pub mod round;
pub mod row;
pub mod session;
mod shared;
mod target;
mod touch;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::endpoint::TransportName;
use crate::failure::{Doing, Failure};
use crate::gpu::DeviceArgument;
use crate::units::{parse_duration, parse_positive_size};
use crate::{interrupt, output, progress};
use channel::Waiting;
use plan::Choice;
use row::{Measured, Row};
use session::Session;
pub use session::{PeerArguments, answer};

/// Arguments of `lava perf`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What the frames lie in: host memory against the limits of the machine, or a GPU's against CUDA and Vulkan
    #[arg(long, value_name = "MEMORY", value_enum, default_value_t)]
    memory: PerfMemory,
    #[command(flatten)]
    device: DeviceArgument,
    /// In an MPI job: measure this transport, also where the ranks could have another [default: what they have]
    #[arg(long, value_name = "TRANSPORT", value_enum)]
    transport: Option<TransportName>,
    /// Short: few rounds, few sizes
    #[arg(long)]
    quick: bool,
    /// Only rows of these groups: latency, zero-copy, in-place, copy, send-bytes, stream, wake, consumers, idle; of
    /// device memory: hand-off, gpu-ready, device-copy, transfer, frame-read, staged, setup
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    rows: Vec<String>,
    /// Sizes of frames [default: 8 B to 64 MiB]
    #[arg(long, value_name = "SIZE", value_delimiter = ',', value_parser = parse_positive_size)]
    sizes: Vec<u64>,
    /// Consumers of the rows with several
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=64))]
    consumers: u32,
    /// Rounds of lava and of the limit for each row [default: 24, quick: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: Option<u32>,
    /// Time of a round [default: 12ms, quick: 6ms]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    round_time: Option<Duration>,
    /// Processors to pin the processes to; the first is the producer's [default: chosen, own cores first]
    #[arg(long, value_name = "CPU", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Run each round above all other processes, so that a busy machine disturbs less; needs privileges
    #[arg(long)]
    realtime: bool,
    /// Let frames carry the time of their sending, as they do by default outside of this measurement
    #[arg(long)]
    timestamps: bool,
    /// Write the rows as comma-separated values
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw time by size as an SVG picture
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Exit with 1 if a target is missed
    #[arg(long)]
    check: bool,
}

/// The memory that is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum PerfMemory {
    /// Host memory
    #[default]
    Host,
    /// A GPU's own memory
    Device,
}

/// The JSON document.
#[derive(Debug, Serialize)]
struct Report {
    version: String,
    machine: Machine,
    notes: Vec<String>,
    rows: Vec<Measured>,
    idle: Option<idle::Idle>,
    targets: Vec<target::Verdict>,
}

#[derive(Debug, Serialize)]
struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    /// Processor of each process; the first is the producer's.
    pinned: Vec<usize>,
}

const IDLE: &str = "idle";
const IDLE_TIME: Duration = Duration::from_secs(1);

/// Runs the subcommand.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    if let Some((context, ranks)) = job::ranks(arguments)? {
        return job::run(arguments, &context, &ranks, json);
    }
    if arguments.transport.is_some() {
        let words = "--transport is for ranks of an MPI job: mpirun -n 2 lava perf --transport mpi";
        return Err(Failure::Usage(words.to_owned()));
    }
    if arguments.memory == PerfMemory::Device || arguments.device.device.is_some() {
        return device::run(arguments, json);
    }
    let known: Vec<&str> = plan::GROUPS.iter().map(|(name, _)| *name).chain([IDLE]).collect();
    let groups = groups(arguments, &known)?;
    let allowed = cpu::allowed()?;
    let choice = choose(arguments, &allowed)?;
    let cpus = pinned(arguments, &allowed, choice.consumers + 1)?;
    let mut notes = Vec::new();
    let mut rows: Vec<Row> = plan::rows(&choice)
        .into_iter()
        .filter(|row| groups.contains(&row.group.to_owned()))
        .collect();
    if allowed.len() == 1 {
        rows.retain(|row| row.setup.waiting == Waiting::Blocking);
        notes.push("one processor only: rows of two processes that spin are left out".to_owned());
    } else if choice.processors <= choice.consumers {
        notes.push(format!(
            "{} processors: {} consumers share one, and rows that stream to several are left out",
            choice.processors, choice.consumers
        ));
    }
    let mut session = Session::start(cpus, plan::payload(&choice), arguments.realtime)?;
    let (measured, idle) =
        measure(arguments, &mut session, &rows, groups.contains(&IDLE.to_owned()))?;
    let targets = target::verdicts(&measured, idle.as_ref());
    let report = describe(&session, allowed.len(), notes, measured, idle, targets);
    write(arguments, &report, json)?;
    let missed = report.targets.iter().any(|verdict| !verdict.kept);
    if arguments.check && missed { Err(Failure::Reported) } else { Ok(()) }
}

/// The groups that the user chose of those that there are.
fn groups(arguments: &Arguments, known: &[&str]) -> Result<Vec<String>, Failure> {
    if arguments.rows.is_empty() {
        return Ok(known.iter().map(|&name| name.to_owned()).collect());
    }
    match arguments.rows.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => {
            Err(Failure::Usage(format!("no rows `{name}`: there are {}", known.join(", "))))
        }
        None => Ok(arguments.rows.clone()),
    }
}

fn choose(arguments: &Arguments, allowed: &[usize]) -> Result<Choice, Failure> {
    let sizes: Vec<usize> = match (arguments.sizes.is_empty(), arguments.quick) {
        (false, _) => {
            let sizes = arguments.sizes.iter().map(|&size| usize::try_from(size));
            sizes
                .collect::<Result<_, _>>()
                .map_err(|error| Failure::Usage(format!("--sizes: {error}")))?
        }
        (true, true) => vec![8, 64, 64 << 10, 1 << 20],
        (true, false) => plan::SIZES.to_vec(),
    };
    Ok(Choice {
        sizes,
        consumers: arguments.consumers as usize,
        timestamps: arguments.timestamps,
        processors: allowed.len(),
    })
}

/// A processor for each of `count` processes; the first is this one.
fn pinned(arguments: &Arguments, allowed: &[usize], count: usize) -> Result<Vec<usize>, Failure> {
    if arguments.cpus.is_empty() {
        return Ok(cpu::choose(allowed, count));
    }
    if let Some(cpu) = arguments.cpus.iter().find(|cpu| !allowed.contains(cpu)) {
        return Err(Failure::Usage(format!("--cpus: this process may not run on processor {cpu}")));
    }
    let (first, others) = (&arguments.cpus[..1], &arguments.cpus[1..]);
    let others = if others.is_empty() { first } else { others };
    Ok(first.iter().chain(others.iter().cycle()).copied().take(count).collect())
}

fn measure(
    arguments: &Arguments,
    session: &mut Session,
    rows: &[Row],
    with_idle: bool,
) -> Result<(Vec<Measured>, Option<idle::Idle>), Failure> {
    let (rounds, time) = if arguments.quick { (6, 6) } else { (24, 12) };
    let rounds = arguments.rounds.unwrap_or(rounds);
    let time = arguments.round_time.unwrap_or(Duration::from_millis(time));
    let bar = progress::steps(rows.len() + usize::from(with_idle));
    let mut measured = Vec::with_capacity(rows.len());
    for row in rows {
        interrupt::check()?;
        bar.set_message(format!("{}, {} bytes", row.what, row.size));
        measured.push(row.measure(session, rounds, time)?);
        bar.inc(1);
    }
    let idle = with_idle.then(|| idle::measure(session, IDLE_TIME)).transpose()?;
    bar.finish_and_clear();
    Ok((measured, idle))
}

fn describe(
    session: &Session,
    processors: usize,
    notes: Vec<String>,
    rows: Vec<Measured>,
    idle: Option<idle::Idle>,
    targets: Vec<target::Verdict>,
) -> Report {
    let (major, minor, patch) = lava::version();
    let machine = machine(session, processors);
    Report { version: format!("{major}.{minor}.{patch}"), machine, notes, rows, idle, targets }
}

fn machine(session: &Session, processors: usize) -> Machine {
    let system = rustix::system::uname();
    Machine {
        processor: cpu::model(),
        processors,
        kernel: format!(
            "{} {}",
            system.sysname().to_string_lossy(),
            system.release().to_string_lossy()
        ),
        pinned: session.cpus.clone(),
    }
}

fn write(arguments: &Arguments, report: &Report, json: bool) -> Result<(), Failure> {
    let Machine { processor, processors, kernel, pinned } = &report.machine;
    let title = format!("lava {} on {processors} × {processor}, {kernel}", report.version);
    if let Some(path) = &arguments.csv {
        std::fs::write(path, report::csv(&report.rows))
            .doing(format_args!("writing {}", path.display()))?;
    }
    if let Some(path) = &arguments.plot {
        let picture = plot::svg(&report.rows, &title);
        std::fs::write(path, picture).doing(format_args!("writing {}", path.display()))?;
    }
    if json {
        return output::write_json(report);
    }
    let mut text = format!("{title}; processes on processors {pinned:?}\n");
    for note in &report.notes {
        text += &format!("note: {note}\n");
    }
    text += &format!("\n{}\n{}", report::table(&report.rows), report::footer(&report.targets));
    output::write(&text)
}
