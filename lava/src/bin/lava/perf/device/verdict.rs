//! The targets of GPU memory, and whether they were reached in this run.

use super::super::target::{self, Verdict};
use super::Results;
use crate::units::format_nanoseconds;

/// A round trip of a GPU tensor between two processes by PyTorch's multiprocessing queues (CUDA IPC), measured on an
/// H200 on 2026-11-22, in nanoseconds; and how many times lava must be faster.
const PYTORCH_ROUND_TRIP: f64 = 275_000.0;
const PYTORCH_TIMES: f64 = 50.0;
/// Part of its frames that a consumer on the GPU may lose to the company of a staged one.
const MOST_LOST: f64 = 0.05;

/// The verdicts on what was measured; a target without its rows has none.
pub fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut verdicts = target::verdicts(&results.rows, None);
    verdicts.extend(pytorch(results));
    verdicts.extend(results.staged.map(|company| {
        let lost = 1.0 - company.in_company / company.alone;
        Verdict {
            target: "staged: a consumer on the GPU loses < 5 % of its frames in company".to_owned(),
            measured: format!("{:.1} % of {:.0} frames/s", 100.0 * lost.max(0.0), company.alone),
            kept: lost < MOST_LOST,
        }
    }));
    verdicts.extend(results.setup.map(|setup| Verdict {
        target: "setup: one import per connection, none per frame".to_owned(),
        measured: format!(
            "{}, {} after {} frames; {:.1} ms",
            setup.imports, setup.imports_after, setup.frames, setup.milliseconds
        ),
        kept: (setup.imports, setup.imports_after) == (1, 1),
    }));
    verdicts
}

fn pytorch(results: &Results) -> Option<Verdict> {
    let row = results.rows.iter().find(|row| row.group == "hand-off")?;
    let round_trip = 2.0 * row.lava.p50;
    let times = PYTORCH_ROUND_TRIP / round_trip;
    Some(Verdict {
        target: format!(
            "hand-off: round trip ≥ {PYTORCH_TIMES} × faster than PyTorch's {} on an H200",
            format_nanoseconds(PYTORCH_ROUND_TRIP)
        ),
        measured: format!("{times:.0} ×"),
        kept: times >= PYTORCH_TIMES,
    })
}
