//! A consumer process of the demo: hashes every byte, where it lies if the CPU reaches it, and reports as JSON.

use std::time::Duration;

use lava::{Consumer, ConsumerOptions, Context, Frame, Memory};
use rustix::time::{ClockId, clock_gettime};

use super::ConsumerReport;
use crate::checksum::Checker;
use crate::child::Parent;
use crate::endpoint::{ReceiveMemory, transport_word};
use crate::failure::Failure;
use crate::gpu::DeviceArgument;
use crate::statistics::Summary;

/// Arguments of a consumer process.
#[derive(Debug, clap::Args)]
pub struct ConsumerArguments {
    pub(super) name: String,
    #[arg(long, value_enum, default_value_t)]
    pub(super) memory: ReceiveMemory,
    #[command(flatten)]
    pub(super) device: DeviceArgument,
    #[arg(long)]
    pub(super) parent: u32,
}

/// Runs the process: one report, or the reason why there is none.
pub fn consume(arguments: &ConsumerArguments) -> Result<(), Failure> {
    let parent = Parent::attach(arguments.parent)?;
    let report = receive(arguments).map_err(|failure| failure.to_string());
    parent.tell(&report)
}

/// Nanoseconds of the clock that stamps frames.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(super) fn receive(arguments: &ConsumerArguments) -> Result<ConsumerReport, Failure> {
    let context = Context::new()?;
    let options = ConsumerOptions::new().timeout(Duration::from_secs(10));
    let options = arguments.device.consumer(options, arguments.memory.into());
    // SAFETY: the producer is the parent process, the same program, which does not write to a frame after sending it.
    let options = unsafe { options.trust_producer() };
    let mut consumer = Consumer::open(&context, &arguments.name, &options)?;
    let mut checker = Checker::default();
    let mut copy = Vec::new();
    let mut latencies = Vec::new();
    let mut first = None;
    while let Some(frame) = consumer.receive()? {
        let sent = frame.info().timestamp_ns;
        first.get_or_insert(sent);
        latencies.push(now().saturating_sub(sent) as f32);
        check(&frame, &mut checker, &mut copy)?;
    }
    let seconds = now().saturating_sub(first.unwrap_or_else(now)) as f64 / 1e9;
    let connection = consumer.connection()?;
    let frames = latencies.len() as u64;
    Ok(ConsumerReport {
        process: std::process::id(),
        transport: transport_word(connection.transport),
        reason: connection.reason,
        copies: connection.copies,
        frames,
        bytes: checker.bytes(),
        seconds,
        frames_per_second: frames as f64 / seconds,
        bytes_per_second: checker.bytes() as f64 / seconds,
        latency: Summary::of(&mut latencies).unwrap_or_default(),
        checksum: checker.checksum(),
        verified: false,
    })
}

/// Adds the frame's bytes where they lie; by way of `copy` where only a GPU reaches them.
fn check(frame: &Frame, checker: &mut Checker, copy: &mut Vec<u8>) -> Result<(), Failure> {
    if frame.info().memory != Memory::Device {
        checker.add(frame.bytes()?);
        return Ok(());
    }
    copy.resize(frame.len(), 0);
    frame.read_at(0, copy)?;
    checker.add(copy);
    Ok(())
}
