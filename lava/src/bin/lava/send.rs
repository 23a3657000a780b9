//! `lava send`: a file or standard input to any number of receivers, each byte written once, into memory that all
//! of them map.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use lava::{Context, Loan, Memory, Outcome, Producer, ProducerOptions};
use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;

use crate::checksum::{Checker, Checksum};
use crate::endpoint::{Connection, MemoryName, PoolMemory, TransportName, patiently, with_memory};
use crate::failure::{Doing, Failure};
use crate::gpu::DeviceArgument;
use crate::units::{Timeout, format_size, format_throughput, parse_positive_size, parse_timeout};
use crate::{interrupt, output, progress, stream};

/// Arguments of `lava send`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The channel
    name: String,
    /// What to send; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Wait for so many receivers before the first byte
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    receivers: u32,
    /// Bytes of the largest frame
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_positive_size)]
    frame_size: u64,
    /// Frames that may be on their way at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65536))]
    capacity: u32,
    /// Memory of the frames
    #[arg(long, value_name = "MEMORY", value_enum, default_value_t)]
    memory: MemoryName,
    #[command(flatten)]
    device: DeviceArgument,
    /// Only receivers that can have one of these transports
    #[arg(long, value_name = "TRANSPORT", value_enum, value_delimiter = ',')]
    require: Vec<TransportName>,
    /// How long to wait for receivers, and for a receiver that does not go on
    #[arg(long, value_name = "TIME", default_value = "forever", value_parser = parse_timeout)]
    timeout: Timeout,
}

/// What was sent.
#[derive(Debug, Serialize)]
struct Report {
    name: String,
    bytes: u64,
    frames: u64,
    seconds: f64,
    bytes_per_second: f64,
    checksum: Checksum,
    /// What the frames lay in, and why.
    memory: PoolMemory,
    receivers: Vec<Connection>,
    /// Receivers that went away before the end.
    lost: usize,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let mut input = Input::open(&arguments.file)?;
    let frame_size = usize::try_from(arguments.frame_size).doing("--frame-size")?;
    let context = Context::new()?;
    let mut sender = Sender {
        producer: Producer::create(&context, &arguments.name, &options(arguments))?,
        timeout: arguments.timeout,
        sent: Checker::default(),
        frames: 0,
        receivers: 0,
        piece: Vec::new(),
    };
    let memory = PoolMemory::of(&sender.producer)?;
    memory.note_fallback(arguments.device.memory(arguments.memory.into()));
    sender.wait_receivers(arguments)?;
    let start = Instant::now();
    let bar = progress::bytes(input.length, "sending");
    sender.control(stream::BEGIN, &stream::begin(input.length))?;
    while sender.piece(&mut input, frame_size)? {
        bar.set_position(sender.sent.bytes());
    }
    // Before the end: receivers go when they have it.
    let receivers = sender.producer.connections()?.into_iter().map(Connection::from).collect();
    let end = stream::end(&sender.sent);
    sender.control(stream::END, &end)?;
    sender.drain(&bar)?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    report(arguments, &sender, memory, receivers, seconds, json)
}

fn options(arguments: &Arguments) -> ProducerOptions {
    // Control frames have up to 16 bytes.
    let options = ProducerOptions::new()
        .max_frame_size(arguments.frame_size.max(16))
        .capacity(arguments.capacity);
    let memory = arguments.device.memory(arguments.memory.into());
    let options = with_memory(options, memory, arguments.device.device);
    arguments.require.iter().fold(options, |options, &name| options.require_transport(name.into()))
}

fn report(
    arguments: &Arguments,
    sender: &Sender,
    memory: PoolMemory,
    receivers: Vec<Connection>,
    seconds: f64,
    json: bool,
) -> Result<(), Failure> {
    let report = Report {
        name: arguments.name.clone(),
        bytes: sender.sent.bytes(),
        frames: sender.frames,
        seconds,
        bytes_per_second: sender.sent.bytes() as f64 / seconds,
        checksum: sender.sent.checksum(),
        memory,
        lost: sender.receivers.saturating_sub(receivers.len()),
        receivers,
    };
    if json {
        output::write_json(&report)?;
    } else {
        output::note(format_args!(
            "sent {} in {seconds:.2} s ({}) to {} receivers, checksum {}",
            format_size(report.bytes),
            format_throughput(report.bytes_per_second),
            report.receivers.len(),
            report.checksum,
        ));
    }
    match (report.lost, json) {
        (0, _) => Ok(()),
        (_, true) => Err(Failure::Reported),
        (lost, false) => Err(Failure::Failed(format!("{lost} receivers went away before the end"))),
    }
}

/// The producer with what it has sent.
struct Sender {
    producer: Producer,
    timeout: Timeout,
    sent: Checker,
    frames: u64,
    /// Receivers at the beginning.
    receivers: usize,
    /// What is read for memory that only a GPU reaches.
    piece: Vec<u8>,
}

impl Sender {
    fn wait_receivers(&mut self, arguments: &Arguments) -> Result<(), Failure> {
        let (count, name) = (arguments.receivers, &arguments.name);
        let come = patiently(self.timeout, |slice| {
            Ok(self.producer.wait_consumers(count, slice)?.is_done().then_some(()))
        })?;
        self.receivers = self.producer.consumer_count();
        let came = self.receivers;
        come.ok_or_else(|| {
            Failure::Failed(format!("{came} of {count} receivers opened `{name}` in time"))
        })
    }

    /// Sends the next piece of `input`, as much as one read gives; false at its end.
    fn piece(&mut self, input: &mut Input, frame_size: usize) -> Result<bool, Failure> {
        input.wait_readable()?;
        let mut loan = self.loan(frame_size)?;
        let length = if loan.info().memory == Memory::Device {
            self.piece.resize(frame_size, 0);
            let length = input.read(&mut self.piece)?;
            self.sent.add(&self.piece[..length]);
            loan.write_at(0, &self.piece[..length])?;
            length
        } else {
            let bytes = loan.bytes_mut()?;
            let length = input.read(bytes)?;
            self.sent.add(&bytes[..length]);
            length
        };
        if length == 0 {
            return Ok(false);
        }
        loan.set_len(length)?;
        loan.set_tag(stream::DATA)?;
        self.send(loan)?;
        self.frames += 1;
        Ok(true)
    }

    fn control(&mut self, tag: u64, payload: &[u8]) -> Result<(), Failure> {
        let mut loan = self.loan(payload.len())?;
        loan.write_at(0, payload)?;
        loan.set_tag(tag)?;
        self.send(loan)
    }

    fn loan(&mut self, size: usize) -> Result<Loan, Failure> {
        let loan = patiently(self.timeout, |slice| {
            self.check_receivers()?;
            Ok(self.producer.loan_timeout(size, slice)?)
        })?;
        loan.ok_or_else(|| self.stalled())
    }

    fn send(&mut self, loan: Loan) -> Result<(), Failure> {
        let mut waiting = Some(loan);
        let sent = patiently(self.timeout, |slice| {
            self.check_receivers()?;
            let Some(loan) = waiting.take() else { return Ok(Some(())) };
            match self.producer.send_timeout(loan, slice) {
                Ok(()) => Ok(Some(())),
                Err(error) if error.is_full() => {
                    waiting = Some(error.loan);
                    Ok(None)
                }
                Err(error) => Err(lava::Error::from(error).into()),
            }
        })?;
        sent.ok_or_else(|| self.stalled())
    }

    /// A channel without consumers counts as full; here it means that nobody will get the rest.
    fn check_receivers(&self) -> Result<(), Failure> {
        if self.producer.consumer_count() > 0 {
            return Ok(());
        }
        Err(Failure::Failed(format!(
            "every receiver went away after {}",
            format_size(self.sent.bytes())
        )))
    }

    fn stalled(&self) -> Failure {
        let bytes = format_size(self.sent.bytes());
        Failure::Failed(format!(
            "a receiver did not go on in time; {bytes} were sent; see --timeout"
        ))
    }

    /// Waits until everything is received, so that success here means that it has arrived.
    fn drain(&mut self, bar: &ProgressBar) -> Result<(), Failure> {
        bar.set_message("waiting for receivers");
        let drained = patiently(self.timeout, |slice| {
            Ok((self.producer.wait_released(None, slice)? == Outcome::Done).then_some(()))
        })?;
        drained.ok_or_else(|| self.stalled())
    }
}

/// A file or standard input.
struct Input {
    file: File,
    name: String,
    /// Bytes, if it is a regular file.
    length: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        let (file, name) = if path == Path::new("-") {
            let input = io::stdin().as_fd().try_clone_to_owned().doing("opening standard input")?;
            (File::from(input), "standard input".to_owned())
        } else {
            let name = path.display().to_string();
            (File::open(path).doing(format_args!("opening {name}"))?, name)
        };
        let metadata = file.metadata().doing(format_args!("looking at {name}"))?;
        if metadata.is_dir() {
            return Err(Failure::Usage(format!("{name} is a directory; name a file")));
        }
        Ok(Input { file, name, length: metadata.is_file().then_some(metadata.len()) })
    }

    /// Waits for a pipe or terminal to have something, so that Ctrl-C is not stuck in a read.
    fn wait_readable(&self) -> Result<(), Failure> {
        if self.length.is_some() {
            return interrupt::check();
        }
        let slice = interrupt::SLICE.try_into().doing("time")?;
        loop {
            interrupt::check()?;
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&slice)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(error) => return Err(error).doing(format_args!("polling {}", self.name)),
            }
        }
    }

    fn read(&mut self, target: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match self.file.read(target) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.doing(format_args!("reading {}", self.name)),
            }
        }
    }
}
