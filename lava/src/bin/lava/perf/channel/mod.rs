//! What is measured of lava: frames between two or more processes, through the safe interface.

mod cost;
mod gpu;
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
    /// For each channel one more, from the first consumer's process back.
    pub back: bool,
    /// Frames carry the time of their sending.
    pub timestamps: bool,
    /// Frames in device memory.
    pub gpu: Option<GpuSetup>,
}

/// What a setup has of GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuSetup {
    /// UUID; `None`: the best.
    pub device: Option<[u8; 16]>,
    /// The channels whose frames lie in device memory, with their channels back.
    pub channels: Vec<usize>,
    /// So many of the answering processes, the first ones, want frames in host memory.
    pub host_consumers: usize,
    /// Frames that find a full queue are dropped.
    pub lossy: bool,
}

/// What is done with the channels. Plain data, so that all processes get the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exchange {
    /// A frame there and a frame back, untouched: `send_bytes` where it fits into a descriptor, else a loan.
    RoundTrip {
        /// Bytes.
        size: usize,
        /// Which channel.
        channel: usize,
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
    /// From the moment when a GPU's queue gets the signal that a frame is ready, until a process that waits for it on
    /// the CPU has it.
    GpuReady {
        /// Bytes.
        size: usize,
    },
    /// The same signal, waited for by the process that submits it.
    GpuSignal,
    /// A frame's bytes copied within the GPU by the process that received it.
    ReadFrame {
        /// Bytes.
        size: usize,
    },
    /// The same copy from memory of its own.
    ReadLocal {
        /// Bytes.
        size: usize,
    },
    /// Frames as fast as they go through; the consumers give them back.
    Flow {
        /// Bytes.
        size: usize,
    },
    /// A frame each time that so many nanoseconds have passed.
    Paced {
        /// Bytes.
        size: usize,
        /// Nanoseconds from frame to frame.
        pause: u64,
    },
}

/// What the answering process saw.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Different places in memory in which payloads lay.
    pub places: usize,
    /// Frames that came over the Vulkan transport.
    pub vulkan_frames: u64,
}

impl Exchange {
    /// Measures for `time`, while the others run [`Exchange::answer`].
    pub fn measure(self, here: &mut Here, clock: &Clock, time: Duration) -> Result<Round, Failure> {
        match self {
            Exchange::RoundTrip { size, channel } => {
                round_trip::measure(here, clock, time, (size, channel), Duration::ZERO)
            }
            Exchange::Wake { size } => round_trip::measure(here, clock, time, (size, 0), NAP),
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
            Exchange::GpuReady { .. } => gpu::measure_ready(here, time),
            Exchange::GpuSignal => gpu::measure_signal(here, clock, time),
            Exchange::ReadFrame { size } => gpu::measure_frame(here, clock, time, size),
            Exchange::ReadLocal { size } => gpu::measure_local(here, clock, time, size),
            Exchange::Flow { size } => gpu::measure_flow(here, clock, time, size),
            Exchange::Paced { size, pause } => gpu::measure_paced(here, time, size, pause),
        }
    }

    /// The part of the process that has consumer number `number`.
    pub fn answer(self, there: &mut There, clock: &Clock) -> Result<Seen, Failure> {
        match self {
            Exchange::RoundTrip { size, channel } => {
                round_trip::answer(there, clock, (size, channel), Duration::ZERO)
            }
            Exchange::Wake { size } => round_trip::answer(there, clock, (size, 0), NAP),
            Exchange::InPlace { .. } => turn::answer_in_place(there),
            Exchange::CopyInOut { size } => turn::answer_in_out(there, size),
            Exchange::Stream { batch: 1, channel, .. } => stream::answer_single(there, channel),
            Exchange::Stream { batch, channel, .. } => stream::answer_batch(there, channel, batch),
            Exchange::SendBytes { .. } => cost::answer_send_bytes(there),
            Exchange::Burst { channel, .. } => cost::answer_burst(there, channel),
            Exchange::GpuReady { size } => gpu::answer_ready(there, size),
            Exchange::GpuSignal | Exchange::ReadLocal { .. } => Ok(Seen::default()),
            Exchange::ReadFrame { size } => gpu::answer_frame(there, size),
            Exchange::Flow { .. } | Exchange::Paced { .. } => gpu::answer_flow(there),
        }
    }
}
