//! The demo in an MPI job: the first rank streams to all others, which send their reports back through channels.

use std::time::Instant;

use lava::{Consumer, ConsumerOptions, Context, Location, Producer, ProducerOptions};

use super::source::Source;
use super::{
    Arguments, ConsumerArguments, ConsumerReport, PATIENCE, Report, consumer, stream, text,
};
use crate::checksum::Checksum;
use crate::endpoint::{PoolMemory, ReceiveMemory, patiently, with_memory};
use crate::failure::{Doing, Failure};
use crate::units::Timeout;
use crate::{output, progress};

/// Room for a report.
const REPORT: u64 = 64 << 10;

/// The ranks of the job that this process is in, if it is not alone in it.
pub fn ranks(context: &Context) -> Result<Option<Vec<Location>>, Failure> {
    let ranks = context.peers(PATIENCE)?;
    Ok((ranks.len() > 1).then_some(ranks))
}

/// Plays this rank's part.
pub fn run(
    arguments: &Arguments,
    context: &Context,
    ranks: &[Location],
    json: bool,
) -> Result<(), Failure> {
    let rank = Location::current(context)?.rank().unwrap_or(0) as usize;
    // One runtime directory may serve several jobs.
    let name = format!("demo/{}", ranks[0].process());
    if rank == 0 {
        produce(arguments, context, ranks, &name, json)
    } else {
        consume(arguments, context, ranks, &name, rank)
    }
}

fn report_name(name: &str, rank: usize) -> String {
    format!("{name}.report-{rank}")
}

fn produce(
    arguments: &Arguments,
    context: &Context,
    ranks: &[Location],
    name: &str,
    json: bool,
) -> Result<(), Failure> {
    let source = Source::open(arguments.file.as_deref(), arguments.size)?;
    let options =
        ProducerOptions::new().max_frame_size(arguments.frame_size).capacity(arguments.capacity);
    let wanted = arguments.device.memory(arguments.memory.into());
    let mut producer =
        Producer::create(context, name, &with_memory(options, wanted, arguments.device.device))?;
    let memory = PoolMemory::of(&producer)?;
    memory.note_fallback(wanted);
    let count = ranks.len() as u32 - 1;
    let come = patiently(Timeout(Some(PATIENCE)), |slice| {
        Ok(producer.wait_consumers(count, slice)?.is_done().then_some(()))
    })?;
    come.ok_or_else(|| {
        Failure::Failed(format!("{count} ranks did not connect within {PATIENCE:?}"))
    })?;
    let bar = progress::bytes(Some(source.size), "reading");
    let checksum = source.checksum(|position| bar.set_position(position))?;
    bar.set_message("streaming");
    bar.reset();
    let start = Instant::now();
    let frames = stream(&source, &mut producer, arguments.frame_size, |at| bar.set_position(at))?;
    drop(producer);
    let consumers = (1..ranks.len())
        .map(|rank| hear(context, &report_name(name, rank), (&checksum, source.size)))
        .collect::<Result<Vec<_>, _>>()?;
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

/// The report of one rank.
fn hear(
    context: &Context,
    name: &str,
    (checksum, bytes): (&Checksum, u64),
) -> Result<ConsumerReport, Failure> {
    let mut consumer = Consumer::open(context, name, &ConsumerOptions::new().timeout(PATIENCE))?;
    let frame = consumer
        .receive()?
        .ok_or_else(|| Failure::Failed("a rank ended without a report".to_owned()))?;
    let said: Result<ConsumerReport, String> =
        serde_json::from_slice(&frame.copy_to_vec::<u8>()?).doing("reading a report")?;
    let mut report = said?;
    report.verified = report.checksum == *checksum && report.bytes == bytes;
    Ok(report)
}

fn consume(
    arguments: &Arguments,
    context: &Context,
    ranks: &[Location],
    name: &str,
    rank: usize,
) -> Result<(), Failure> {
    let memory = match &arguments.consumer_memory[..] {
        [] => ReceiveMemory::Any,
        wishes => wishes[(rank - 1) % wishes.len()],
    };
    let part =
        ConsumerArguments { name: name.to_owned(), memory, device: arguments.device, parent: 0 };
    let mut report = consumer::receive(&part).map_err(|failure| failure.to_string());
    if let Ok(report) = &mut report
        && ranks[0].boot_id() != ranks[rank].boot_id()
    {
        // Frames carry the time of their sender's clock, which is another one.
        report.latency = crate::statistics::Summary::default();
    }
    let text = serde_json::to_vec(&report).doing("writing a report")?;
    let options = ProducerOptions::new().max_frame_size(REPORT).capacity(1);
    let mut producer = Producer::create(context, &report_name(name, rank), &options)?;
    let taken = producer.send_bytes_timeout(&text, PATIENCE)?.is_done()
        && producer.wait_released(None, PATIENCE)?.is_done();
    if !taken {
        return Err(Failure::Failed("the first rank does not take the report".to_owned()));
    }
    report.map(drop).map_err(Failure::Failed)
}
