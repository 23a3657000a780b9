//! `lava perf --memory device`: GPU memory against CUDA and Vulkan themselves, and against host memory, in the same run.

mod import;
mod local;
mod plan;
mod staged;
mod verdict;

use std::time::Duration;

use lava::{BufferOptions, Context, Device, DeviceKind, Memory};
use serde::Serialize;

use super::channel::Waiting;
use super::row::{Head, Measured, Sum};
use super::session::Session;
use super::{Arguments, Machine, cpu, machine, report, target};
use crate::failure::{Doing, Failure};
use crate::gpu::cuda::Cuda;
use crate::{interrupt, output, progress};

/// The groups of rows, with what each measures.
pub const GROUPS: [(&str, &str); 6] = [
    ("hand-off", "one way, device frame untouched, polling"),
    ("gpu-ready", "from the GPU's signal until another process's CPU has the frame"),
    ("device-copy", "a buffer copied to another of the same GPU"),
    ("transfer", "a buffer written from and read to host memory"),
    ("frame-read", "a frame copied by its consumer, against memory of its own"),
    ("staged", "device frames to a consumer in host memory"),
];
/// The group that is no row.
const SETUP: &str = "setup";

/// What the rows are made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub device: Device,
    /// Bytes of a frame of which only the hand-off is measured.
    pub frame: usize,
    /// Bytes of a copy within the GPU.
    pub copy: usize,
    /// Bytes of a copy between host and GPU, and of a frame that is read.
    pub transfer: usize,
    /// Bytes of a staged frame.
    pub staged: usize,
    pub rounds: u32,
    /// Processors that the processes may have.
    pub processors: usize,
    /// Of rounds with small frames, and of those that move many bytes.
    pub time: Duration,
    pub long_time: Duration,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Report {
    version: String,
    machine: Machine,
    device: DeviceReport,
    notes: Vec<String>,
    rows: Vec<Measured>,
    /// Rows that cannot run here, and why.
    skipped: Vec<Skipped>,
    setup: Option<import::Setup>,
    staged: Option<staged::Company>,
    targets: Vec<target::Verdict>,
}

#[derive(Debug, Serialize)]
struct DeviceReport {
    name: String,
    uuid: String,
    driver: String,
    cuda: bool,
}

/// A row that was not measured.
#[derive(Clone, Debug, Serialize)]
pub struct Skipped {
    pub group: &'static str,
    pub why: String,
}

/// What has been measured so far.
#[derive(Debug, Default)]
pub struct Results {
    pub rows: Vec<Measured>,
    pub skipped: Vec<Skipped>,
    pub setup: Option<import::Setup>,
    pub staged: Option<staged::Company>,
}

impl Results {
    /// Keeps what a group came to. One that cannot be had here is left out with the reason; Ctrl-C ends all.
    fn take<T>(
        &mut self,
        group: &'static str,
        outcome: Result<T, Failure>,
    ) -> Result<Option<T>, Failure> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(Failure::Interrupted) => Err(Failure::Interrupted),
            Err(failure) => {
                self.skipped.push(Skipped { group, why: failure.to_string() });
                Ok(None)
            }
        }
    }
}

/// Runs the measurement.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    if arguments.plot.is_some() || !arguments.sizes.is_empty() {
        let message = "--plot and --sizes are for rows of host memory";
        return Err(Failure::Usage(message.to_owned()));
    }
    let groups = super::groups(arguments, &names())?;
    let chosen = |name: &str| groups.iter().any(|group| group == name);
    let context = Context::new()?;
    let allowed = cpu::allowed()?;
    let plan = Plan::new(arguments, choose(&context, arguments)?, allowed.len());
    let cuda = Cuda::open(plan.device.uuid);
    let mut results = Results::default();
    let bar = progress::steps(groups.len());
    let step = |name: &'static str| {
        bar.set_message(name);
        bar.inc(1);
        interrupt::check().map(|()| chosen(name))
    };
    // Before this process is pinned: copies through host memory may use several processors.
    if step("device-copy")? {
        local::copy(&plan, &context, cuda.as_ref(), &mut results)?;
    }
    if step("transfer")? {
        local::transfers(&plan, &context, cuda.as_ref(), &mut results)?;
    }
    let cpus = super::pinned(arguments, &allowed, 3)?;
    let mut session = Session::start(cpus, 0, arguments.realtime)?;
    for (group, row) in plan::rows(&plan) {
        if step(group)? {
            let time = plan.round_time(row.size);
            let outcome = row.measure(&mut session, plan.rounds, time);
            let measured = results.take(group, outcome)?;
            results.rows.extend(measured);
        }
    }
    if step("staged")? {
        staged::measure(&plan, &mut session, cuda.as_ref(), &mut results)?;
    }
    if step(SETUP)? {
        let outcome = import::measure(&plan, &mut session);
        results.setup = results.take(SETUP, outcome)?;
    }
    bar.finish_and_clear();
    conclude(arguments, &plan, &session, cuda.err(), results, json)
}

fn names() -> Vec<&'static str> {
    GROUPS.iter().map(|(name, _)| *name).chain([SETUP]).collect()
}

/// The GPU that the user names, else the best that may be used.
fn choose(context: &Context, arguments: &Arguments) -> Result<Device, Failure> {
    let devices = context.devices()?;
    // Opening it tells whether it may be used: a device that is the CPU in disguise only if it is asked for.
    let options = BufferOptions::new(4096).memory(Memory::Device).require();
    let options = match arguments.device.device {
        Some(uuid) => options.device(uuid),
        None => options,
    };
    let opened = lava::Buffer::allocate(context, &options)?.info()?.device;
    let found = devices.into_iter().find(|device| Some(device.uuid) == opened);
    found.ok_or_else(|| Failure::Failed("lava does not list the GPU that it opened".to_owned()))
}

impl Plan {
    fn new(arguments: &Arguments, device: Device, processors: usize) -> Self {
        // On the CPU in disguise the numbers say nothing, and memory is scarce.
        let small = arguments.quick || device.kind == DeviceKind::Cpu;
        let memory: u64 = device.heaps.iter().filter(|it| it.device_local).map(|it| it.size).sum();
        let largest = usize::try_from((memory / 8).min(device.max_allocation)).unwrap_or(MIB);
        let (rounds, time, long) = if small { (4, 4, 20) } else { (16, 12, 60) };
        let size = |full: usize, quick: usize| if small { quick } else { full.min(largest) };
        Plan {
            device,
            frame: 64 * KIB,
            copy: size(1 << 30, 16 * MIB),
            transfer: size(256 * MIB, 8 * MIB),
            staged: size(16 * MIB, MIB),
            processors,
            rounds: arguments.rounds.unwrap_or(rounds),
            time: arguments.round_time.unwrap_or(Duration::from_millis(time)),
            long_time: arguments.round_time.unwrap_or(Duration::from_millis(long)),
        }
    }

    /// How three processes wait: those that share a processor must not spin.
    pub fn waiting(&self) -> Waiting {
        if self.processors > 2 { Waiting::Polling } else { Waiting::Blocking }
    }

    fn round_time(&self, size: usize) -> Duration {
        if size >= MIB { self.long_time } else { self.time }
    }
}

/// Measures two sides in turns.
pub fn compare<C>(
    head: Head,
    plan: &Plan,
    common: &mut C,
    mut lava: impl FnMut(&mut C, Duration) -> Result<super::round::Round, Failure>,
    (name, mut limit): (
        String,
        impl FnMut(&mut C, Duration) -> Result<super::round::Round, Failure>,
    ),
) -> Result<Measured, Failure> {
    let (mut ours, mut theirs) = (Sum::default(), Sum::default());
    for _ in 0..plan.rounds {
        interrupt::check()?;
        theirs.add(limit(common, plan.long_time)?);
        ours.add(lava(common, plan.long_time)?);
    }
    head.conclude(ours, vec![(name, theirs)])
}

fn conclude(
    arguments: &Arguments,
    plan: &Plan,
    session: &Session,
    no_cuda: Option<String>,
    results: Results,
    json: bool,
) -> Result<(), Failure> {
    let targets = verdict::verdicts(&results);
    let device = &plan.device;
    let (major, minor, patch) = lava::version();
    let report = Report {
        version: format!("{major}.{minor}.{patch}"),
        machine: machine(session, plan.processors),
        device: DeviceReport {
            name: device.name.clone(),
            uuid: device.uuid.to_string(),
            driver: format!("{} {}", device.driver_name, device.driver_info),
            cuda: no_cuda.is_none(),
        },
        notes: notes(plan, no_cuda),
        rows: results.rows,
        skipped: results.skipped,
        setup: results.setup,
        staged: results.staged,
        targets,
    };
    write(arguments, &report, json)?;
    let missed = report.targets.iter().any(|verdict| !verdict.kept);
    if arguments.check && missed { Err(Failure::Reported) } else { Ok(()) }
}

fn notes(plan: &Plan, no_cuda: Option<String>) -> Vec<String> {
    let cpu = (plan.device.kind == DeviceKind::Cpu)
        .then(|| "this device is the CPU in disguise: the numbers say nothing of GPUs".to_owned());
    let cuda = no_cuda.map(|why| format!("{why}; copies are held against Vulkan and the CPU"));
    cpu.into_iter().chain(cuda).collect()
}

fn write(arguments: &Arguments, report: &Report, json: bool) -> Result<(), Failure> {
    if let Some(path) = &arguments.csv {
        std::fs::write(path, report::csv(&report.rows))
            .doing(format_args!("writing {}", path.display()))?;
    }
    if json {
        return output::write_json(report);
    }
    let (machine, device) = (&report.machine, &report.device);
    let mut text = format!(
        "lava {} on {}, {}, UUID {}; {} × {}, {}; processes on processors {:?}\n",
        report.version,
        device.name,
        device.driver,
        device.uuid,
        machine.processors,
        machine.processor,
        machine.kernel,
        machine.pinned
    );
    for note in &report.notes {
        text += &format!("note: {note}\n");
    }
    for Skipped { group, why } in &report.skipped {
        text += &format!("skipped: {group}: {why}\n");
    }
    text += &format!("\n{}\n{}", report::table(&report.rows), report::footer(&report.targets));
    output::write(&text)
}
