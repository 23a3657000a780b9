//! The demo's report for people.

use super::Report;
use crate::table::{Align, Table};
use crate::units::{format_nanoseconds, format_rate, format_size, format_throughput};

const COLUMNS: [(&str, Align); 9] = [
    ("consumer", Align::Left),
    ("transport", Align::Left),
    ("copies", Align::Right),
    ("latency p50", Align::Right),
    ("p99", Align::Right),
    ("frames", Align::Right),
    ("bytes", Align::Right),
    ("checksum", Align::Left),
    ("why", Align::Left),
];

/// A line on what was streamed, and a row for each consumer.
pub fn render(report: &Report) -> String {
    let mut table = Table::new(&COLUMNS);
    for consumer in &report.consumers {
        // None was measured where the clocks are two.
        let time = |value| match consumer.latency.count {
            0 => "-".to_owned(),
            _ => format_nanoseconds(value),
        };
        table.row([
            format!("process {}", consumer.process),
            consumer.transport.clone(),
            consumer.copies.to_string(),
            time(consumer.latency.p50),
            time(consumer.latency.p99),
            format_rate(consumer.frames_per_second),
            format_throughput(consumer.bytes_per_second),
            if consumer.verified { "ok" } else { "WRONG" }.to_owned(),
            consumer.reason.clone(),
        ]);
    }
    format!(
        "{} of {} in {} frames of {}, through {} slots of {} memory, to {} processes in {:.2} s\n\n{}\n\
         Latency is from sending to receiving, at full load: the time in the queue is part of it.\n",
        format_size(report.bytes),
        report.file,
        report.frames,
        format_size(report.frame_size),
        report.capacity,
        report.memory.memory,
        report.consumers.len(),
        report.seconds,
        table.render(),
    )
}
