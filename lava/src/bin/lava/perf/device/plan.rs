//! The rows of two processes that one exchange is held against another of.

use super::super::channel::{Exchange, GpuSetup, Setup, Waiting};
use super::super::row::{Bound, Row, Yardstick};
use super::Plan;

/// The setup that all rows with device memory begin with.
pub fn setup(plan: &Plan, frame_size: usize) -> Setup {
    Setup {
        frame_size,
        capacity: 4,
        queue_length: 64,
        waiting: Waiting::Polling,
        consumers: vec![1],
        back: false,
        timestamps: true,
        gpu: Some(GpuSetup {
            device: Some(*plan.device.uuid.as_bytes()),
            channels: vec![0],
            host_consumers: 0,
            lossy: false,
        }),
    }
}

/// The rows with their groups.
pub fn rows(plan: &Plan) -> Vec<(&'static str, Row)> {
    // On one processor, two processes cannot both spin.
    let waiting = if plan.processors > 1 { Waiting::Polling } else { Waiting::Blocking };
    [hand_off(plan, waiting), gpu_ready(plan, waiting), frame_read(plan, waiting)]
        .into_iter()
        .map(|row| (row.group, row))
        .collect()
}

/// Two channels there and back, one in device memory and one in host memory.
fn hand_off(plan: &Plan, waiting: Waiting) -> Row {
    let size = plan.frame;
    Row {
        group: "hand-off",
        what: "one way, device frame, untouched",
        size,
        setup: Setup {
            waiting,
            consumers: vec![1, 1],
            back: true,
            timestamps: false,
            ..setup(plan, size)
        },
        exchange: Exchange::RoundTrip { size, channel: 0 },
        yardstick: Yardstick::Other(Exchange::RoundTrip { size, channel: 1 }, "host frame"),
        bound: Some(Bound::TimeAtMost(1.2)),
        reference: None,
    }
}

fn gpu_ready(plan: &Plan, waiting: Waiting) -> Row {
    let size = plan.frame;
    Row {
        group: "gpu-ready",
        what: "one way, after the GPU's signal",
        size,
        setup: Setup { waiting, back: true, ..setup(plan, size) },
        exchange: Exchange::GpuReady { size },
        yardstick: Yardstick::Other(Exchange::GpuSignal, "signal, same process"),
        bound: Some(Bound::NanosecondsAtMost(15_000.0)),
        reference: None,
    }
}

fn frame_read(plan: &Plan, waiting: Waiting) -> Row {
    let size = plan.transfer;
    Row {
        group: "frame-read",
        what: "imported frame copied",
        size,
        setup: Setup { waiting, capacity: 1, back: true, ..setup(plan, size) },
        exchange: Exchange::ReadFrame { size },
        yardstick: Yardstick::Other(Exchange::ReadLocal { size }, "own memory copied"),
        bound: Some(Bound::SpeedAtLeast(0.95)),
        reference: None,
    }
}
