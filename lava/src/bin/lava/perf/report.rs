//! The measurement as a table and as CSV.

use std::fmt::Write;

use super::channel::Waiting;
use super::row::Measured;
use super::target::Verdict;
use crate::table::{Align, Table};
use crate::units::{format_nanoseconds, format_rate, format_size, format_throughput};

const COLUMNS: [(&str, Align); 11] = [
    ("group", Align::Left),
    ("what", Align::Left),
    ("size", Align::Right),
    ("p50", Align::Right),
    ("p99", Align::Right),
    ("p99.9", Align::Right),
    ("frames", Align::Right),
    ("bytes", Align::Right),
    ("limit", Align::Left),
    ("p50", Align::Right),
    ("time ÷ limit", Align::Right),
];

/// Groups whose rows are about moving bytes.
const MOVING: [&str; 7] =
    ["in-place", "copy", "send-bytes", "device-copy", "transfer", "frame-read", "staged"];

/// The rows.
pub fn table(rows: &[Measured]) -> String {
    let mut table = Table::new(&COLUMNS);
    for row in rows {
        let several = if row.consumers > 1 {
            format!(", {} consumers", row.consumers)
        } else {
            String::new()
        };
        let blocking = row.waiting == Waiting::Blocking && row.group != "wake";
        let what = format!("{}{several}{}", row.what, if blocking { ", blocking" } else { "" });
        // Means of whole rounds have no tail to speak of.
        let tail = |value: f64| {
            if row.lava.count < 100 { "-".to_owned() } else { format_nanoseconds(value) }
        };
        table.row([
            row.group.to_owned(),
            what,
            format_size(row.size as u64),
            format_nanoseconds(row.lava.p50),
            tail(row.lava.p99),
            tail(row.lava.p999),
            format_rate(row.frames_per_second),
            if MOVING.contains(&row.group) {
                format_throughput(row.bytes_per_second)
            } else {
                String::new()
            },
            row.limit_name.clone(),
            format_nanoseconds(row.limit.p50),
            format!("{:.2}", row.time_ratio),
        ]);
    }
    table.render()
}

/// The targets.
pub fn footer(verdicts: &[Verdict]) -> String {
    let mut table =
        Table::new(&[("target", Align::Left), ("measured", Align::Right), ("", Align::Left)]);
    for verdict in verdicts {
        let word = if verdict.kept { "pass" } else { "FAIL" };
        table.row([verdict.target.clone(), verdict.measured.clone(), word.to_owned()]);
    }
    table.render()
}

/// The rows as comma-separated values, times in nanoseconds.
pub fn csv(rows: &[Measured]) -> String {
    let mut text = "group,what,size,waiting,consumers,p50_ns,p99_ns,p999_ns,mean_ns,frames_per_second,bytes_per_second,\
                    limit,limit_p50_ns,limit_p99_ns,time_ratio,kept\n"
        .to_owned();
    for row in rows {
        let kept = row.kept.map_or_else(String::new, |kept| kept.to_string());
        let _ = writeln!(
            text,
            "{},\"{}\",{},{:?},{},{:.1},{:.1},{:.1},{:.1},{:.1},{:.1},\"{}\",{:.1},{:.1},{:.3},{kept}",
            row.group,
            row.what,
            row.size,
            row.waiting,
            row.consumers,
            row.lava.p50,
            row.lava.p99,
            row.lava.p999,
            row.lava.mean,
            row.frames_per_second,
            row.bytes_per_second,
            row.limit_name,
            row.limit.p50,
            row.limit.p99,
            row.time_ratio,
        );
    }
    text
}
