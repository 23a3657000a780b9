//! What lava must reach, and whether it did in this run: the footer of the table.

use serde::Serialize;

use super::idle::Idle;
use super::row::{Bound, Measured};
use crate::units::{format_nanoseconds, format_size};

/// A target and its outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What must be reached.
    pub target: String,
    /// What was reached.
    pub measured: String,
    /// Whether that will do.
    pub kept: bool,
}

/// How far the times of the untouched rows may lie apart.
const CONSTANT_WITHIN: f64 = 1.2;

/// The verdicts on what was measured; a target without its rows has none.
pub fn verdicts(rows: &[Measured], idle: Option<&Idle>) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = rows.iter().filter_map(bounded).collect();
    verdicts.extend(constant(rows));
    if let Some(idle) = idle {
        verdicts.push(Verdict {
            target: "idle: 0 % of a processor".to_owned(),
            measured: format!(
                "producer {:.2} %, consumer {:.2} %",
                idle.producer_percent, idle.consumer_percent
            ),
            kept: idle.processor_kept,
        });
        verdicts.push(Verdict {
            target: "a channel of 8 × 1 MiB: < 1 MiB resident until written".to_owned(),
            measured: format_size(idle.producer_resident + idle.consumer_resident),
            kept: idle.resident_kept,
        });
    }
    verdicts
}

fn bounded(row: &Measured) -> Option<Verdict> {
    let (bound, kept) = (row.bound?, row.kept?);
    let (demand, measured) = match bound {
        Bound::TimeAtMost(most) => {
            (format!("≤ {most} × {}", row.limit_name), format!("{:.2} ×", row.time_ratio))
        }
        Bound::SpeedAtLeast(least) => {
            let speed = 1.0 / row.time_ratio;
            (format!("≥ {least} × the speed of {}", row.limit_name), format!("{speed:.2} ×"))
        }
        Bound::NanosecondsAtMost(most) => {
            (format!("≤ {}", format_nanoseconds(most)), format_nanoseconds(row.lava.p50))
        }
    };
    let target = format!("{}: {}, {}: {demand}", row.group, row.what, format_size(row.size as u64));
    Some(Verdict { target, measured, kept })
}

/// Whether an untouched frame costs the same at every size.
fn constant(rows: &[Measured]) -> Option<Verdict> {
    let ratios: Vec<f64> = rows.iter().filter_map(|row| row.size_ratio).collect();
    if ratios.is_empty() {
        return None;
    }
    // The smallest frame by itself is 1.
    let most = ratios.iter().copied().fold(1.0, f64::max);
    let least = ratios.iter().copied().fold(1.0, f64::min);
    Some(Verdict {
        target: format!("zero-copy: constant over the sizes within {CONSTANT_WITHIN} ×"),
        measured: format!("{:.2} ×", most / least),
        kept: most / least <= CONSTANT_WITHIN,
    })
}
