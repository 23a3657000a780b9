//! The rows: every combination worth a line, and the bounds that lava must keep.

use super::channel::{Exchange, Setup, Waiting};
use super::limit::Limit;
use super::row::{Bound, Row, Yardstick};

/// The groups of rows, with what each measures.
pub const GROUPS: [(&str, &str); 8] = [
    ("latency", "one way, a frame that rides in its descriptor, polling"),
    ("zero-copy", "one way, loan + send + receive + release, payload untouched, polling"),
    ("in-place", "a payload written and then read where it lies, one slot, polling"),
    ("copy", "a payload copied in by send_bytes and copied out, one slot, polling"),
    ("send-bytes", "what send_bytes costs the producer"),
    ("stream", "small frames one way, as many as go through, polling"),
    ("wake", "one way between two processes that sleep, blocking"),
    ("consumers", "what a frame costs the producer with more consumers"),
];

/// What the user chose.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Sizes of frames.
    pub sizes: Vec<usize>,
    /// Consumers of the rows with several.
    pub consumers: usize,
    /// Frames carry the time of their sending.
    pub timestamps: bool,
    /// Processors that the processes may have.
    pub processors: usize,
}

const INLINE: usize = 40;
/// A frame that takes a slot, as the larger ones do.
const SMALLEST_SLOT: usize = 64;
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// Slots of the rows of `send_bytes`, and their largest frame: eight of them are what the limits have room for
/// anyway.
const ROTATING: u32 = 8;
const LARGEST_ROTATING: usize = 8 * MIB;

/// The sizes of rows unless the user names others.
pub const SIZES: [usize; 9] = [8, INLINE, 64, KIB, 16 * KIB, 256 * KIB, MIB, 16 * MIB, 64 * MIB];

/// Every row, in the order of the table.
pub fn rows(choice: &Choice) -> Vec<Row> {
    let mut rows = Vec::new();
    for &size in &choice.sizes {
        rows.push(round_trip(choice, size, Waiting::Polling));
    }
    for &size in choice.sizes.iter().filter(|&&size| size > INLINE) {
        rows.push(in_place(choice, size));
    }
    for &size in choice.sizes.iter().filter(|&&size| size > INLINE) {
        rows.push(copy(choice, size));
    }
    for &size in choice.sizes.iter().filter(|&&size| (64 * KIB..=LARGEST_ROTATING).contains(&size))
    {
        rows.push(send_bytes(choice, size));
    }
    for size in [8, 64] {
        rows.extend([1, 64].map(|batch| stream(choice, size, batch, 1)));
    }
    rows.extend([1, 64].map(|batch| asleep(stream(choice, 8, batch, 1))));
    if choice.processors > choice.consumers {
        rows.extend([1, 64].map(|batch| stream(choice, 8, batch, choice.consumers)));
    }
    rows.extend([8, MIB].map(|size| round_trip(choice, size, Waiting::Blocking)));
    rows.extend([8, 4 * KIB].map(|size| more_consumers(choice, size)));
    rows
}

/// Largest payload that a limit of these rows needs in shared memory.
pub fn payload(choice: &Choice) -> usize {
    // `memcpy` rotates over as many places as the channel has slots.
    let rotating =
        choice.sizes.iter().filter(|&&size| size <= LARGEST_ROTATING).max().unwrap_or(&0);
    choice.sizes.iter().copied().max().unwrap_or(0).max(rotating * ROTATING as usize)
}

fn setup(choice: &Choice, size: usize) -> Setup {
    Setup {
        frame_size: size.max(INLINE),
        capacity: 4,
        queue_length: 64,
        waiting: Waiting::Polling,
        consumers: vec![1],
        back: false,
        timestamps: choice.timestamps,
        gpu: None,
    }
}

fn round_trip(choice: &Choice, size: usize, waiting: Waiting) -> Row {
    let inline = size <= INLINE;
    let (group, what, most) = match (waiting, inline) {
        (Waiting::Blocking, true) => ("wake", "one way, asleep", 1.1),
        (Waiting::Blocking, false) => ("wake", "one way, asleep, untouched", 1.1),
        (Waiting::Polling, true) => ("latency", "one way", 1.5),
        (Waiting::Polling, false) => ("zero-copy", "one way, untouched", 2.5),
    };
    let limits = match waiting {
        Waiting::Polling => vec![Limit::PingPong { pause: false }, Limit::PingPong { pause: true }],
        Waiting::Blocking => vec![Limit::Futex],
    };
    Row {
        group,
        what,
        size,
        setup: Setup { waiting, back: true, ..setup(choice, size) },
        exchange: match waiting {
            Waiting::Polling => Exchange::RoundTrip { size, channel: 0 },
            Waiting::Blocking => Exchange::Wake { size },
        },
        yardstick: Yardstick::Limits(limits),
        bound: Some(Bound::TimeAtMost(most)),
        reference: (waiting == Waiting::Polling && size > SMALLEST_SLOT)
            .then_some(Exchange::RoundTrip { size: SMALLEST_SLOT, channel: 0 }),
    }
}

fn in_place(choice: &Choice, size: usize) -> Row {
    Row {
        group: "in-place",
        what: "written and read in place",
        size,
        setup: Setup { capacity: 1, ..setup(choice, size) },
        exchange: Exchange::InPlace { size },
        yardstick: Yardstick::Limits(vec![Limit::InPlace { size }]),
        bound: (size >= MIB).then_some(Bound::SpeedAtLeast(0.95)),
        reference: None,
    }
}

fn copy(choice: &Choice, size: usize) -> Row {
    Row {
        group: "copy",
        what: "copied in and out",
        size,
        setup: Setup { capacity: 1, ..setup(choice, size) },
        exchange: Exchange::CopyInOut { size },
        yardstick: Yardstick::Limits(vec![Limit::CopyInOut { size }]),
        bound: None,
        reference: None,
    }
}

fn send_bytes(choice: &Choice, size: usize) -> Row {
    Row {
        group: "send-bytes",
        what: "send_bytes, unread",
        size,
        setup: Setup { capacity: ROTATING, ..setup(choice, size) },
        exchange: Exchange::SendBytes { size },
        yardstick: Yardstick::Memcpy(size),
        bound: (size == MIB).then_some(Bound::SpeedAtLeast(0.9)),
        reference: None,
    }
}

fn stream(choice: &Choice, size: usize, batch: usize, consumers: usize) -> Row {
    let what = match (batch, consumers) {
        (1, 1) => "stream, one call a frame",
        (_, 1) => "stream, 64 frames a call",
        (1, _) => "stream to several, one call a frame",
        (_, _) => "stream to several, 64 frames a call",
    };
    let least = if batch == 1 { 0.2 } else { 0.8 };
    Row {
        group: "stream",
        what,
        size,
        setup: Setup {
            capacity: 1024,
            queue_length: 1024,
            consumers: vec![consumers],
            ..setup(choice, size)
        },
        exchange: Exchange::Stream { size, batch, channel: 0 },
        yardstick: Yardstick::Limits(vec![Limit::Ring { words: size / 8, batch: 1 }]),
        bound: (size == 8 && consumers == 1).then_some(Bound::SpeedAtLeast(least)),
        reference: None,
    }
}

/// The same with processes that sleep when they have to wait.
fn asleep(row: Row) -> Row {
    let setup = Setup { waiting: Waiting::Blocking, ..row.setup };
    Row { setup, bound: None, ..row }
}

/// Two channels, one with a consumer and one with several: the rounds of the first are the yardstick of the second.
fn more_consumers(choice: &Choice, size: usize) -> Row {
    let setup = Setup { capacity: 64, consumers: vec![1, choice.consumers], ..setup(choice, size) };
    Row {
        group: "consumers",
        what: if size <= INLINE {
            "loan + send, in the descriptor"
        } else {
            "loan + send, untouched"
        },
        size,
        setup,
        exchange: Exchange::Burst { size, channel: 1 },
        yardstick: Yardstick::Other(Exchange::Burst { size, channel: 0 }, "one consumer"),
        bound: (choice.consumers == 2).then_some(Bound::TimeAtMost(1.3)),
        reference: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice() -> Choice {
        Choice { sizes: SIZES.to_vec(), consumers: 2, timestamps: false, processors: 4 }
    }

    #[test]
    fn every_group_has_rows_and_every_row_a_group() {
        let rows = rows(&choice());
        for (group, _) in GROUPS {
            assert!(rows.iter().any(|row| row.group == group), "{group}");
        }
        for row in rows {
            assert!(GROUPS.iter().any(|(group, _)| *group == row.group), "{}", row.group);
        }
    }

    #[test]
    fn every_measured_target_has_a_row_with_its_bound() {
        let rows = rows(&choice());
        let bound = |group: &str, size: usize| {
            rows.iter().find(|row| row.group == group && row.size == size).and_then(|row| row.bound)
        };
        assert_eq!(bound("latency", 8), Some(Bound::TimeAtMost(1.5)));
        assert_eq!(bound("latency", 40), Some(Bound::TimeAtMost(1.5)));
        assert_eq!(bound("zero-copy", 64), Some(Bound::TimeAtMost(2.5)));
        assert_eq!(bound("zero-copy", 64 * MIB), Some(Bound::TimeAtMost(2.5)));
        assert_eq!(bound("in-place", MIB), Some(Bound::SpeedAtLeast(0.95)));
        assert_eq!(bound("in-place", 64 * MIB), Some(Bound::SpeedAtLeast(0.95)));
        assert_eq!(bound("send-bytes", MIB), Some(Bound::SpeedAtLeast(0.9)));
        assert_eq!(bound("wake", 8), Some(Bound::TimeAtMost(1.1)));
        assert_eq!(bound("consumers", 4 * KIB), Some(Bound::TimeAtMost(1.3)));
    }
}
