//! `lava recv`: what `lava send` sends, to a file or standard output, complete and verified or with exit code 1.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::ProgressBar;
use lava::{Consumer, ConsumerOptions, Context, ErrorKind, Frame, Received};
use serde::Serialize;

use crate::checksum::Checksum;
use crate::endpoint::{Connection, ReceiveMemory, TransportName, patiently};
use crate::failure::{Doing, Failure};
use crate::gpu::DeviceArgument;
use crate::stream::{Progress, Step};
use crate::units::{Timeout, format_size, format_throughput, parse_timeout};
use crate::{output, progress};

/// Arguments of `lava recv`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The channel
    name: String,
    /// Where to write; `-` is standard output. A file is written as FILE.part and renamed when it is complete
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Where the frames are wanted
    #[arg(long, value_name = "MEMORY", value_enum, default_value_t)]
    memory: ReceiveMemory,
    #[command(flatten)]
    device: DeviceArgument,
    /// Only one of these transports will do
    #[arg(long, value_name = "TRANSPORT", value_enum, value_delimiter = ',')]
    require: Vec<TransportName>,
    /// Most copies that lava may make of a frame
    #[arg(long, value_name = "N")]
    max_copies: Option<u32>,
    /// How long to wait for the sender to come, and for a sender that does not go on
    #[arg(long, value_name = "TIME", default_value = "forever", value_parser = parse_timeout)]
    timeout: Timeout,
}

/// What was received.
#[derive(Debug, Serialize)]
struct Report {
    name: String,
    output: String,
    bytes: u64,
    seconds: f64,
    bytes_per_second: f64,
    checksum: Checksum,
    connection: Connection,
}

/// Runs the subcommand.
pub fn run(arguments: &Arguments, json: bool) -> Result<(), Failure> {
    let to_stdout = arguments.output == Path::new("-");
    if json && to_stdout {
        return Err(Failure::Usage(
            "--json needs -o FILE: standard output is for the data".to_owned(),
        ));
    }
    let context = Context::new()?;
    let mut consumer = open(&context, arguments)?;
    let mut target = Target::open(&arguments.output)?;
    let mut progress = Progress::default();
    let start = Instant::now();
    let received = receive(&mut consumer, arguments.timeout, &mut progress, &mut target);
    if let Err(failure) = received {
        let bytes = format_size(progress.received.bytes());
        let kept = target.abandoned();
        return Err(match failure {
            Failure::Failed(why) => Failure::Failed(format!("{why}; {bytes} were received{kept}")),
            other => other,
        });
    }
    target.complete()?;
    let (bytes, seconds) = (progress.received.bytes(), start.elapsed().as_secs_f64());
    let report = Report {
        name: arguments.name.clone(),
        output: arguments.output.display().to_string(),
        bytes,
        seconds,
        bytes_per_second: bytes as f64 / seconds,
        checksum: progress.received.checksum(),
        connection: consumer.connection()?.into(),
    };
    if json {
        return output::write_json(&report);
    }
    output::note(format_args!(
        "received {} in {seconds:.2} s ({}), checksum {} verified, transport {}: {}",
        format_size(bytes),
        format_throughput(report.bytes_per_second),
        report.checksum,
        report.connection.transport,
        report.connection.reason,
    ));
    Ok(())
}

fn open(context: &Context, arguments: &Arguments) -> Result<Consumer, Failure> {
    let options = arguments.device.consumer(ConsumerOptions::new(), arguments.memory.into());
    let options = arguments
        .require
        .iter()
        .fold(options, |options, &name| options.require_transport(name.into()));
    let options = match arguments.max_copies {
        Some(copies) => options.max_copies(copies),
        None => options,
    };
    let mut why = String::new();
    let consumer = patiently(arguments.timeout, |slice| {
        match Consumer::open(context, &arguments.name, &options.clone().timeout(slice)) {
            Ok(consumer) => Ok(Some(consumer)),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
                why = error.to_string();
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    })?;
    consumer.ok_or(Failure::Failed(why))
}

fn receive(
    consumer: &mut Consumer,
    timeout: Timeout,
    progress: &mut Progress,
    target: &mut Target,
) -> Result<(), Failure> {
    let mut bar = ProgressBar::hidden();
    // Frames lie in memory that the sender can still write to: what is checked must be what is written.
    let mut copy = Vec::new();
    loop {
        let Some(frame) = next(consumer, timeout)? else {
            return Err(Failure::Failed("the sender does not go on; see --timeout".to_owned()));
        };
        copy.resize(frame.len(), 0);
        frame.read_at(0, &mut copy)?;
        let tag = frame.info().tag;
        drop(frame);
        match progress.take(tag, &copy)? {
            Step::Begin(length) => bar = progress::bytes(length, "receiving"),
            Step::Data(_) => target.write(&copy)?,
            Step::Complete => {
                bar.finish_and_clear();
                return Ok(());
            }
        }
        bar.set_position(progress.received.bytes());
    }
}

/// The next frame; `None` when the time is over. The end of the channel is a failure here: the stream's own end
/// comes first.
fn next(consumer: &mut Consumer, timeout: Timeout) -> Result<Option<Frame>, Failure> {
    patiently(timeout, |slice| match consumer.receive_timeout(slice)? {
        Received::Frame(frame) => Ok(Some(frame)),
        Received::Empty => Ok(None),
        Received::Closed => Err(Failure::Failed("the sender stopped before the end".to_owned())),
    })
}

/// Where the data goes.
struct Target {
    file: File,
    name: String,
    /// The file that is being written, and what it is renamed to.
    part: Option<(PathBuf, PathBuf)>,
}

impl Target {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            let output =
                io::stdout().as_fd().try_clone_to_owned().doing("opening standard output")?;
            return Ok(Target {
                file: output.into(),
                name: "standard output".to_owned(),
                part: None,
            });
        }
        // A device or pipe is written to as it is; renaming would replace it.
        let special = fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        if special {
            let file = File::options()
                .write(true)
                .open(path)
                .doing(format_args!("opening {}", path.display()))?;
            return Ok(Target { file, name: path.display().to_string(), part: None });
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).doing(format_args!("creating {}", part.display()))?;
        Ok(Target { file, name: part.display().to_string(), part: Some((part, path.to_owned())) })
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.file.write_all(data).doing(format_args!("writing to {}", self.name))
    }

    fn complete(self) -> Result<(), Failure> {
        match &self.part {
            Some((part, path)) => fs::rename(part, path).doing(format_args!(
                "renaming {} to {}",
                part.display(),
                path.display()
            )),
            None => Ok(()),
        }
    }

    /// Tells where the incomplete data is; an empty file is removed.
    fn abandoned(&self) -> String {
        let Some((part, _)) = &self.part else { return String::new() };
        if self.file.metadata().is_ok_and(|metadata| metadata.len() == 0)
            && fs::remove_file(part).is_ok()
        {
            return String::new();
        }
        format!(" and are in {}", part.display())
    }
}
