//! `lava perf` in an MPI job: the first two ranks, on one host or two. No limit of the machine stands beside it: what MPI
//! itself does in the same place is measured by its own benchmarks.

use std::time::{Duration, Instant};

use lava::{
    ConnectionInfo, Consumer, ConsumerOptions, Context, ContextOptions, Frame, Loan, Location,
    Outcome, Producer, ProducerOptions, Received, Scope, Transport,
};
use serde::Serialize;
use serde_json::Value;

use super::Arguments;
use crate::endpoint::{Connection, patiently};
use crate::failure::{Doing, Failure};
use crate::statistics::Summary;
use crate::table::{Align, Table};
use crate::units::{Timeout, format_nanoseconds, format_rate, format_size, format_throughput};
use crate::{interrupt, output, progress};

const SIZES: [usize; 9] =
    [8, 64, 1 << 10, 8 << 10, 64 << 10, 512 << 10, 1 << 20, 4 << 20, 16 << 20];
const QUICK: [usize; 4] = [8, 64, 64 << 10, 1 << 20];
/// How long a rank may take to come, and a frame to be taken.
const PATIENCE: Duration = Duration::from_secs(30);
/// A frame with this tag is sent back; any other is not.
const ECHO: u64 = 1;
/// Slots of a channel: as many as go into so many bytes, within bounds.
const POOL: usize = 64 << 20;

/// The JSON document.
#[derive(Debug, Serialize)]
struct Report {
    version: String,
    /// Of the two ranks.
    hosts: [String; 2],
    mpi: Value,
    connection: Connection,
    rows: Vec<Row>,
}

/// Frames of one size.
#[derive(Debug, Serialize)]
struct Row {
    size: usize,
    slots: u32,
    /// Nanoseconds one way: half of a round trip, polling, payload untouched.
    latency: Summary,
    /// Sent as fast as they are taken, payload untouched.
    frames_per_second: f64,
    bytes_per_second: f64,
}

/// The context to measure with, and the ranks of the job that this process is in, if it is not alone in it.
pub fn ranks(arguments: &Arguments) -> Result<Option<(Context, Vec<Location>)>, Failure> {
    let options = match arguments.transport {
        Some(wanted) if Transport::from(wanted) == Transport::Mpi => {
            ContextOptions::new().scope(Scope::Remote)
        }
        _ => ContextOptions::new(),
    };
    let context = Context::create(&options)?;
    let ranks = context.peers(PATIENCE)?;
    Ok((ranks.len() > 1).then_some((context, ranks)))
}

/// Plays this rank's part.
pub fn run(
    arguments: &Arguments,
    context: &Context,
    ranks: &[Location],
    json: bool,
) -> Result<(), Failure> {
    let sizes = match (arguments.sizes.is_empty(), arguments.quick) {
        (false, _) => arguments
            .sizes
            .iter()
            .map(|&size| usize::try_from(size).doing("--sizes"))
            .collect::<Result<Vec<_>, _>>()?,
        (true, true) => QUICK.to_vec(),
        (true, false) => SIZES.to_vec(),
    };
    // One runtime directory may serve several jobs.
    let name = format!("perf/{}", ranks[0].process());
    match Location::current(context)?.rank() {
        Some(0) => measure(arguments, context, (ranks, &name), &sizes, json),
        Some(1) => sizes.iter().try_for_each(|&size| answer(arguments, context, &name, size)),
        _ => Ok(()),
    }
}

fn slots(size: usize) -> u32 {
    (POOL / size.max(1)).clamp(4, 256) as u32
}

fn produce(
    arguments: &Arguments,
    context: &Context,
    name: &str,
    size: usize,
) -> Result<Producer, Failure> {
    let options = ProducerOptions::new().max_frame_size(size as u64).capacity(slots(size));
    let options = if arguments.timestamps { options } else { options.no_timestamp() };
    Ok(Producer::create(context, name, &options)?)
}

fn consume(arguments: &Arguments, context: &Context, name: &str) -> Result<Consumer, Failure> {
    let options = ConsumerOptions::new().timeout(PATIENCE);
    let options = match arguments.transport {
        Some(wanted) => options.require_transport(wanted.into()),
        None => options,
    };
    // SAFETY: the producer is another rank of this program, which does not write to a frame after sending it.
    let options = unsafe { options.trust_producer() };
    Ok(Consumer::open(context, name, &options)?)
}

fn measure(
    arguments: &Arguments,
    context: &Context,
    (ranks, name): (&[Location], &str),
    sizes: &[usize],
    json: bool,
) -> Result<(), Failure> {
    let time = Duration::from_millis(if arguments.quick { 100 } else { 500 });
    let time = arguments.round_time.unwrap_or(time);
    let bar = progress::steps(sizes.len());
    let (mut rows, mut connection) = (Vec::new(), None);
    for &size in sizes {
        interrupt::check()?;
        bar.set_message(format!("frames of {}", format_size(size as u64)));
        let mut pair = Pair {
            ping: produce(arguments, context, &format!("{name}.{size}.ping"), size)?,
            pong: consume(arguments, context, &format!("{name}.{size}.pong"))?,
            size,
        };
        let came = pair.ping.wait_consumers(1, PATIENCE)?;
        if came != Outcome::Done {
            return Err(Failure::Failed("rank 1 does not come".to_owned()));
        }
        rows.push(pair.row(time)?);
        connection = Some(pair.pong.connection()?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    report(context, ranks, connection, rows, json)
}

fn report(
    context: &Context,
    ranks: &[Location],
    connection: Option<ConnectionInfo>,
    rows: Vec<Row>,
    json: bool,
) -> Result<(), Failure> {
    let (major, minor, patch) = lava::version();
    let connection = connection.ok_or_else(|| Failure::Usage("--sizes is empty".to_owned()))?;
    let report = Report {
        version: format!("{major}.{minor}.{patch}"),
        hosts: [ranks[0].host().to_owned(), ranks[1].host().to_owned()],
        mpi: serde_json::from_str(&context.describe_mpi()?).doing("reading what MPI is")?,
        connection: connection.into(),
        rows,
    };
    if json { output::write_json(&report) } else { output::write(&render(&report)) }
}

const COLUMNS: [(&str, Align); 5] = [
    ("size", Align::Right),
    ("p50", Align::Right),
    ("p99", Align::Right),
    ("frames", Align::Right),
    ("bytes", Align::Right),
];

fn render(report: &Report) -> String {
    let mut table = Table::new(&COLUMNS);
    for row in &report.rows {
        table.row([
            format_size(row.size as u64),
            format_nanoseconds(row.latency.p50),
            format_nanoseconds(row.latency.p99),
            format_rate(row.frames_per_second),
            format_throughput(row.bytes_per_second),
        ]);
    }
    format!(
        "lava {}, rank 0 on {} and rank 1 on {}, {}\ntransport {}: {}\n\n{}\n\
         p50 and p99 are one way, half of a round trip; frames and bytes as fast as they are taken.\n",
        report.version,
        report.hosts[0],
        report.hosts[1],
        report.mpi["job"]["library"].as_str().unwrap_or("MPI"),
        report.connection.transport,
        report.connection.reason,
        table.render(),
    )
}

/// The channels of one size, as the first rank has them.
struct Pair {
    ping: Producer,
    pong: Consumer,
    size: usize,
}

impl Pair {
    fn row(&mut self, time: Duration) -> Result<Row, Failure> {
        // What is done for the first time is not measured.
        for _ in 0..slots(self.size).min(16) {
            self.round_trip()?;
        }
        let (mut samples, start) = (Vec::new(), Instant::now());
        while samples.len() < 20 || start.elapsed() < time {
            interrupt::check()?;
            let begin = Instant::now();
            self.round_trip()?;
            samples.push(begin.elapsed().as_nanos() as f32 / 2.0);
        }
        let (mut frames, start) = (0_u64, Instant::now());
        while frames < 20 || start.elapsed() < time {
            interrupt::check()?;
            for _ in 0..16 {
                send(&mut self.ping, self.size, 0)?;
            }
            frames += 16;
        }
        let all = patiently(Timeout(Some(PATIENCE)), |slice| {
            Ok(self.ping.wait_released(None, slice)?.is_done().then_some(()))
        })?;
        all.ok_or_else(stalled)?;
        // The answer comes after everything.
        self.round_trip()?;
        let rate = frames as f64 / start.elapsed().as_secs_f64();
        Ok(Row {
            size: self.size,
            slots: slots(self.size),
            latency: Summary::of(&mut samples).unwrap_or_default(),
            frames_per_second: rate,
            bytes_per_second: rate * self.size as f64,
        })
    }

    fn round_trip(&mut self) -> Result<(), Failure> {
        send(&mut self.ping, self.size, ECHO)?;
        match next(&mut self.pong)? {
            Some(frame) if frame.len() == self.size => Ok(()),
            Some(frame) => {
                Err(Failure::Failed(format!("{} bytes came for {}", frame.len(), self.size)))
            }
            None => Err(Failure::Failed("rank 1 ended early".to_owned())),
        }
    }
}

fn stalled() -> Failure {
    Failure::Failed("the other rank does not go on".to_owned())
}

fn send(producer: &mut Producer, size: usize, tag: u64) -> Result<(), Failure> {
    let mut loan: Loan = producer.loan_timeout(size, PATIENCE)?.ok_or_else(stalled)?;
    loan.set_tag(tag)?;
    Ok(producer.send_timeout(loan, PATIENCE).map_err(lava::Error::from)?)
}

/// The next frame; `None`: the other rank is done.
fn next(consumer: &mut Consumer) -> Result<Option<Frame>, Failure> {
    match consumer.receive_timeout(PATIENCE)? {
        Received::Frame(frame) => Ok(Some(frame)),
        Received::Closed => Ok(None),
        Received::Empty => Err(stalled()),
    }
}

/// The second rank's part of one size.
fn answer(
    arguments: &Arguments,
    context: &Context,
    name: &str,
    size: usize,
) -> Result<(), Failure> {
    let mut pong = produce(arguments, context, &format!("{name}.{size}.pong"), size)?;
    let mut ping = consume(arguments, context, &format!("{name}.{size}.ping"))?;
    if pong.wait_consumers(1, PATIENCE)? != Outcome::Done {
        return Err(Failure::Failed("rank 0 does not come".to_owned()));
    }
    while let Some(frame) = next(&mut ping)? {
        let tag = frame.info().tag;
        drop(frame);
        if tag == ECHO {
            send(&mut pong, size, 0)?;
        }
    }
    Ok(())
}
