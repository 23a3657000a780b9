//! Two pinned processes, with the code, the rows and the limits of `lava perf`. A round's mean stands for each
//! iteration, since two processes cannot start and stop for every one.
#![allow(
    missing_docs,
    dead_code,
    unused_imports,
    reason = "the modules are those of the command line"
)]

#[path = "../../lava/src/bin/lava/child.rs"]
mod child;
#[path = "../../lava/src/bin/lava/endpoint.rs"]
mod endpoint;
#[path = "../../lava/src/bin/lava/failure.rs"]
mod failure;
#[path = "../../lava/src/bin/lava/gpu/mod.rs"]
mod gpu;
#[path = "../../lava/src/bin/lava/interrupt.rs"]
mod interrupt;
#[path = "../../lava/src/bin/lava/output.rs"]
mod output;
#[path = "../../lava/src/bin/lava/perf/mod.rs"]
mod perf;
#[path = "../../lava/src/bin/lava/progress.rs"]
mod progress;
#[path = "../../lava/src/bin/lava/statistics.rs"]
mod statistics;
#[path = "../../lava/src/bin/lava/table.rs"]
mod table;
#[path = "../../lava/src/bin/lava/units.rs"]
mod units;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use criterion::{BenchmarkId, Criterion};

use failure::Failure;
use perf::plan::{self, Choice};
use perf::round::Round;
use perf::row::{Row, Yardstick};
use perf::session::Session;
use perf::{PeerArguments, cpu};

/// This executable again, as the answering process.
#[derive(Parser)]
struct Peer {
    #[command(flatten)]
    arguments: PeerArguments,
}

const SIZES: [usize; 4] = [8, 64, 64 << 10, 1 << 20];
const ROUND: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("perf-peer") => perf::answer(&Peer::parse_from(std::env::args().skip(1)).arguments),
        _ => measure(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(failure);
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Failure> {
    let allowed = cpu::allowed()?;
    if allowed.len() < 2 {
        println!("skipped: two processes that spin need two processors");
        return Ok(());
    }
    let choice = Choice {
        sizes: SIZES.to_vec(),
        consumers: 2,
        timestamps: false,
        processors: allowed.len(),
    };
    let mut criterion = Criterion::default().configure_from_args();
    let mut session = Session::start(cpu::choose(&allowed, 3), plan::payload(&choice), false)?;
    for row in plan::rows(&choice) {
        row_and_limits(&mut criterion, &mut session, &row)?;
    }
    criterion.final_summary();
    Ok(())
}

fn row_and_limits(
    criterion: &mut Criterion,
    session: &mut Session,
    row: &Row,
) -> Result<(), Failure> {
    session.open(&row.setup)?;
    let mut group = criterion.benchmark_group(format!("{}/{}", row.group, row.what));
    let mut failed = None;
    let mut bench = |name: &str, run: &mut dyn FnMut() -> Result<Round, Failure>| {
        group.bench_function(BenchmarkId::new(name, row.size), |bencher| {
            bencher.iter_custom(|iterations| match run() {
                Ok(round) => Duration::from_secs_f64(
                    round.elapsed / round.messages as f64 / 1e9 * iterations as f64,
                ),
                Err(failure) => {
                    failed = Some(failure);
                    Duration::from_nanos(iterations)
                }
            });
        });
    };
    bench("lava", &mut || session.exchange(row.exchange, ROUND).map(|(round, _)| round));
    if let Yardstick::Limits(limits) = &row.yardstick {
        for &limit in limits {
            bench(limit.name(), &mut || session.limit(limit, ROUND));
        }
    }
    group.finish();
    session.close()?;
    failed.map_or(Ok(()), Err)
}
