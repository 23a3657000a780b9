//! What is measured of lava: frames between two or more processes, through the safe interface.

mod cost;
mod round_trip;
mod stream;
mod turn;
mod wiring;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::round::{NAP, Round};
use crate::failure::Failure;
pub use wiring::{Here, There};

/// How a process waits for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Waiting {
    /// It spins and never sleeps.
    Polling,
    /// It sleeps at once.
    Blocking,
}

/// The channels that an exchange needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Bytes of the largest frame.
    pub frame_size: usize,
    /// Slots.
    pub capacity: u32,
    /// Frames that wait in a queue at most.
    pub queue_length: u32,
    /// How all of them wait.
    pub waiting: Waiting,
    /// A channel for each element, with so many consumers.
    pub consumers: Vec<usize>,
    /// One more channel, from the first consumer's process back.
    pub back: bool,
    /// Frames carry the time of their sending.
    pub timestamps: bool,
}

/// What is done with the channels. Plain data, so that all processes get the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exchange {
    /// A frame there and a frame back, untouched: `send_bytes` where it fits into a descriptor, else a loan.
    RoundTrip {
        /// Bytes.
        size: usize,
    },
    /// The same, but each process waits until the other is surely asleep before it sends.
    Wake {
        /// Bytes.
        size: usize,
    },
    /// One slot used again and again: written in place by the producer, read in place by the consumer.
    InPlace {
        /// Bytes.
        size: usize,
    },
    /// One slot used again and again: `send_bytes` by the producer, copied out by the consumer.
    CopyInOut {
        /// Bytes.
        size: usize,
    },
    /// As many small frames one way as go through, one a call or `batch` a call.
    Stream {
        /// Bytes.
        size: usize,
        /// Frames a call.
        batch: usize,
        /// Which channel.
        channel: usize,
    },
    /// What `send_bytes` costs the producer; the consumer gives frames back unread.
    SendBytes {
        /// Bytes.
        size: usize,
    },
    /// What a loan and its sending cost the producer, untouched, while queues have room.
    Burst {
        /// Bytes.
        size: usize,
        /// Which channel.
        channel: usize,
    },
}

/// What the answering process saw.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Different places in memory in which payloads lay.
    pub places: usize,
}

impl Exchange {
    /// Measures for `time`, while the others run [`Exchange::answer`].
    pub fn measure(self, here: &mut Here, clock: &Clock, time: Duration) -> Result<Round, Failure> {
        match self {
            Exchange::RoundTrip { size } => {
                round_trip::measure(here, clock, time, size, Duration::ZERO)
            }
            Exchange::Wake { size } => round_trip::measure(here, clock, time, size, NAP),
            Exchange::InPlace { size } => turn::measure_in_place(here, clock, time, size),
            Exchange::CopyInOut { size } => turn::measure_in_out(here, clock, time, size),
            Exchange::Stream { size, batch: 1, channel } => {
                stream::measure_single(here, channel, clock, time, size)
            }
            Exchange::Stream { size, batch, channel } => {
                stream::measure_batch(here, channel, clock, time, (size, batch))
            }
            Exchange::SendBytes { size } => cost::measure_send_bytes(here, clock, time, size),
            Exchange::Burst { size, channel } => {
                cost::measure_burst(here, channel, clock, time, size)
            }
        }
    }

    /// The part of the process that has consumer number `number`.
    pub fn answer(self, there: &mut There, clock: &Clock) -> Result<Seen, Failure> {
        match self {
            Exchange::RoundTrip { size } => round_trip::answer(there, clock, size, Duration::ZERO),
            Exchange::Wake { size } => round_trip::answer(there, clock, size, NAP),
            Exchange::InPlace { .. } => turn::answer_in_place(there),
            Exchange::CopyInOut { size } => turn::answer_in_out(there, size),
            Exchange::Stream { batch: 1, channel, .. } => stream::answer_single(there, channel),
            Exchange::Stream { batch, channel, .. } => stream::answer_batch(there, channel, batch),
            Exchange::SendBytes { .. } => cost::answer_send_bytes(there),
            Exchange::Burst { channel, .. } => cost::answer_burst(there, channel),
        }
    }
}
