//! `lava demo`: a real file through one channel to two other processes, verified there.

mod consumer;
mod job;
mod source;
mod text;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use lava::{Context, Loan, Memory, Outcome, Producer, ProducerOptions};
use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::child::Helper;
use crate::endpoint::{MemoryName, PoolMemory, ReceiveMemory, patiently, with_memory};
use crate::failure::Failure;
use crate::gpu::DeviceArgument;
use crate::statistics::Summary;
use crate::units::{Timeout, parse_positive_size};
use crate::{interrupt, output, progress};
pub use consumer::{ConsumerArguments, consume};
use source::Source;

/// Arguments of `lava demo`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What to stream [default: this executable]
    file: Option<PathBuf>,
    /// Bytes to stream, repeating or cutting the file [default: the file once; this executable repeated to 1GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_positive_size)]
    size: Option<u64>,
    /// Bytes of a frame
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
    /// Where the consumers want their frames, in turns [default: any; of device memory: any,host]
    #[arg(long, value_name = "MEMORY", value_enum, value_delimiter = ',')]
    consumer_memory: Vec<ReceiveMemory>,
    /// Consumer processes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    consumers: u32,
}

/// The JSON document.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    bytes: u64,
    frames: u64,
    frame_size: u64,
    capacity: u32,
    checksum: Checksum,
    seconds: f64,
    /// What the frames lay in, and why.
    memory: PoolMemory,
    consumers: Vec<ConsumerReport>,
    verified: bool,
}

/// What a consumer process saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConsumerReport {
    pub process: u32,
    pub transport: String,
    /// Why this transport.
    pub reason: String,
    pub copies: u32,
    pub frames: u64,
    pub bytes: u64,
    /// From the first frame's sending until the last frame was read.
    pub seconds: f64,
    pub frames_per_second: f64,
    pub bytes_per_second: f64,
    /// Nanoseconds from a frame's sending until it was received. The time in the queue is part of it.
    pub latency: Summary,
    pub checksum: Checksum,
    /// Set by the parent: the checksum is that of the file.
    #[serde(default)]
    pub verified: bool,
}

/// How long processes may take to start, and a frame to be taken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the subcommand.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let context = Context::new()?;
    if let Some(ranks) = job::ranks(&context)? {
        return job::run(arguments, &context, &ranks, json);
    }
    let source = Source::open(arguments.file.as_deref(), arguments.size)?;
    let name = format!("demo/{}", std::process::id());
    let options =
        ProducerOptions::new().max_frame_size(arguments.frame_size).capacity(arguments.capacity);
    let wanted = arguments.device.memory(arguments.memory.into());
    let options = with_memory(options, wanted, arguments.device.device);
    let mut producer = Producer::create(&context, &name, &options)?;
    let memory = PoolMemory::of(&producer)?;
    memory.note_fallback(wanted);
    let mut helpers = start_consumers(arguments, &name, memory.memory == "device")?;
    wait_consumers(&mut producer, &mut helpers)?;
    let bar = progress::bytes(Some(source.size), "reading");
    let checksum = source.checksum(|position| bar.set_position(position))?;
    bar.set_message("streaming");
    bar.reset();
    let start = Instant::now();
    let frames = stream(&source, &mut producer, arguments.frame_size, |position| {
        bar.set_position(position)
    })?;
    // The end of the channel; what was sent is still received.
    drop(producer);
    let mut consumers = Vec::new();
    for helper in &mut helpers {
        let mut report = hear(helper)?;
        report.verified = report.checksum == checksum && report.bytes == source.size;
        consumers.push(report);
    }
    bar.finish_and_clear();
    let report = Report {
        file: source.path().display().to_string(),
        bytes: source.size,
        frames,
        frame_size: arguments.frame_size,
        capacity: arguments.capacity,
        memory,
        checksum,
        seconds: start.elapsed().as_secs_f64(),
        verified: consumers.iter().all(|consumer| consumer.verified),
        consumers,
    };
    if json {
        output::write_json(&report)?
    } else {
        output::write(&text::render(&report))?
    }
    if report.verified { Ok(()) } else { Err(Failure::Reported) }
}

/// The consumer processes. Of device memory, every second one wants host memory, so that both ways are shown.
fn start_consumers(
    arguments: &Arguments,
    name: &str,
    on_gpu: bool,
) -> Result<Vec<Helper>, Failure> {
    let wishes = match (&arguments.consumer_memory[..], on_gpu) {
        ([], true) => &[ReceiveMemory::Any, ReceiveMemory::Host],
        ([], _) => &[ReceiveMemory::Any][..],
        (wishes, _) => wishes,
    };
    let consumers = (1..=arguments.consumers).zip(wishes.iter().cycle());
    consumers
        .map(|(number, wish)| {
            let mut words =
                ["demo-consumer", name, "--memory", wish.word()].map(str::to_owned).to_vec();
            // Who names the GPU allows it to the consumers too.
            if let (true, Some(device)) =
                (on_gpu && *wish != ReceiveMemory::Host, arguments.device.device)
            {
                words.extend(["--device".to_owned(), device.to_string()]);
            }
            Helper::start(format!("consumer {number}"), &words)
        })
        .collect()
}

fn hear(helper: &mut Helper) -> Result<ConsumerReport, Failure> {
    Ok(helper.hear::<Result<ConsumerReport, String>>(PATIENCE)??)
}

/// Waits for all consumers. One that failed has said why.
fn wait_consumers(producer: &mut Producer, helpers: &mut [Helper]) -> Result<(), Failure> {
    let count = helpers.len() as u32;
    let come = patiently(Timeout(Some(PATIENCE)), |slice| {
        if producer.wait_consumers(count, slice)? == Outcome::Done {
            return Ok(Some(()));
        }
        for helper in &mut *helpers {
            if helper.has_something_to_say()? {
                hear(helper)?;
            }
        }
        Ok(None)
    })?;
    come.ok_or_else(|| {
        Failure::Failed(format!("{count} consumers did not connect within {PATIENCE:?}"))
    })
}

/// Reads the file into the channel's memory, a frame at a time; returns the number of frames.
fn stream(
    source: &Source,
    producer: &mut Producer,
    frame_size: u64,
    mut progress: impl FnMut(u64),
) -> Result<u64, Failure> {
    let consumers = producer.consumer_count();
    let (mut position, mut frames) = (0, 0);
    let mut piece = Vec::new();
    while position < source.size {
        let size = frame_size.min(source.size - position) as usize;
        let loan =
            patiently(Timeout(Some(PATIENCE)), |slice| Ok(producer.loan_timeout(size, slice)?))?;
        let mut loan =
            loan.ok_or_else(|| Failure::Failed("the consumers do not go on".to_owned()))?;
        fill(source, position, &mut loan, &mut piece)?;
        producer.send_timeout(loan, PATIENCE).map_err(lava::Error::from)?;
        if producer.consumer_count() < consumers {
            return Err(Failure::Failed("a consumer process ended early".to_owned()));
        }
        (position, frames) = (position + size as u64, frames + 1);
        progress(position);
        interrupt::check()?;
    }
    Ok(frames)
}

/// Reads the next piece into the frame; by way of `piece` where only a GPU reaches the frame.
fn fill(
    source: &Source,
    position: u64,
    loan: &mut Loan,
    piece: &mut Vec<u8>,
) -> Result<(), Failure> {
    if loan.info().memory != Memory::Device {
        return source.read(position, loan.bytes_mut()?);
    }
    piece.resize(loan.len(), 0);
    source.read(position, piece)?;
    Ok(loan.write_at(0, piece)?)
}
