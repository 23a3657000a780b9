//! What a channel costs while nothing happens: processor time of two processes, and memory until it is written to.

use std::time::Duration;

use serde::Serialize;

use super::channel::{Setup, Waiting};
use super::session::{Session, Usage};
use crate::failure::Failure;

/// Slots and bytes of each of the channel that is left idle.
const CAPACITY: u32 = 8;
const FRAME_SIZE: usize = 1 << 20;
/// Processor time that counts as none: a scheduler's tick in a hundred milliseconds would be 1 %.
const MOST_PROCESSOR_PERCENT: f64 = 0.1;
const MOST_RESIDENT: u64 = 1 << 20;

/// An idle channel of 8 × 1 MiB with one consumer that waits for a frame.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Idle {
    /// Seconds that it was idle.
    pub seconds: f64,
    /// Processor time of each process, in percent of one processor.
    pub producer_percent: f64,
    pub consumer_percent: f64,
    /// Bytes that became resident in each process when the channel was opened.
    pub producer_resident: u64,
    pub consumer_resident: u64,
    pub processor_kept: bool,
    pub resident_kept: bool,
}

/// Opens the channel and waits for `time`.
pub fn measure(session: &mut Session, time: Duration) -> Result<Idle, Failure> {
    // A channel opened before, so that what a context needs once is not counted as the channel's.
    let setup = Setup {
        frame_size: FRAME_SIZE,
        capacity: CAPACITY,
        queue_length: 64,
        waiting: Waiting::Blocking,
        consumers: vec![1],
        back: false,
        timestamps: true,
        gpu: None,
    };
    session.open(&setup)?;
    session.close()?;
    let before = [Usage::here(), session.usage()?];
    session.open(&setup)?;
    let opened = [Usage::here(), session.usage()?];
    let used = session.idle(time)?;
    session.close()?;
    let percent = |usage: Usage| usage.processor as f64 / time.as_nanos() as f64 * 100.0;
    let grown = |number: usize| opened[number].resident.saturating_sub(before[number].resident);
    let idle = Idle {
        seconds: time.as_secs_f64(),
        producer_percent: percent(used[0]),
        consumer_percent: percent(used[1]),
        producer_resident: grown(0),
        consumer_resident: grown(1),
        processor_kept: used.iter().all(|&usage| percent(usage) < MOST_PROCESSOR_PERCENT),
        resident_kept: grown(0) + grown(1) < MOST_RESIDENT,
    };
    Ok(idle)
}
