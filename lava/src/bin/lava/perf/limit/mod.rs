//! What the machine itself can do between two processes, without any library: the yardsticks.

mod copy;
mod futex;
mod ping_pong;
mod ring;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::round::Round;
use super::shared::Shared;
use crate::failure::Failure;

/// A yardstick. Plain data, so that the other process gets the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// One cache line in each direction, written in turn; spinning with the pause instruction or without.
    PingPong {
        /// With the pause instruction.
        pause: bool,
    },
    /// Two processes that wake each other by futex; the other one is surely asleep each time.
    Futex,
    /// A single-producer single-consumer ring of `words` 64-bit words a message, its index published every `batch`.
    Ring {
        /// 1 or 8.
        words: usize,
        /// Messages per publication.
        batch: usize,
    },
    /// One payload in shared memory, written by one process and then read by the other, where it lies.
    InPlace {
        /// Bytes.
        size: usize,
    },
    /// The same, but copied from private memory and to private memory.
    CopyInOut {
        /// Bytes.
        size: usize,
    },
    /// One process copies private memory into shared memory, to one place after the other.
    Memcpy {
        /// Bytes.
        size: usize,
        /// Places.
        places: usize,
    },
}

/// What a word holds when the round is over.
const STOP: u64 = u64::MAX;

impl Limit {
    /// Measures for `time`, while the other process runs [`Limit::answer`].
    pub fn measure(self, memory: &Shared, clock: &Clock, time: Duration) -> Result<Round, Failure> {
        match self {
            Limit::PingPong { pause: false } => ping_pong::measure::<false>(memory, clock, time),
            Limit::PingPong { pause: true } => ping_pong::measure::<true>(memory, clock, time),
            Limit::Futex => futex::measure(memory, clock, time),
            Limit::Ring { words: 1, batch } => ring::measure::<1>(memory, clock, time, batch),
            Limit::Ring { batch, .. } => ring::measure::<8>(memory, clock, time, batch),
            Limit::InPlace { size } => copy::measure_in_place(memory, clock, time, size),
            Limit::CopyInOut { size } => copy::measure_in_out(memory, clock, time, size),
            Limit::Memcpy { size, places } => {
                copy::measure_memcpy(memory, clock, time, size, places)
            }
        }
    }

    /// Prepares the words; only while the other process does nothing.
    pub fn prepare(self, memory: &Shared) {
        match self {
            Limit::Ring { .. } => ring::prepare(memory),
            _ => ping_pong::prepare(memory),
        }
    }

    /// Ends the other process's part of any limit but the ring, when this process will not.
    pub fn stop(memory: &Shared) {
        ping_pong::stop(memory);
    }

    /// The other process's part, until the measuring one says stop.
    pub fn answer(self, memory: &Shared, clock: &Clock) -> Result<(), Failure> {
        match self {
            Limit::PingPong { pause: false } => ping_pong::answer::<false>(memory),
            Limit::PingPong { pause: true } => ping_pong::answer::<true>(memory),
            Limit::Futex => futex::answer(memory, clock),
            Limit::Ring { words: 1, .. } => ring::answer::<1>(memory),
            Limit::Ring { .. } => ring::answer::<8>(memory),
            Limit::InPlace { size } => copy::answer_in_place(memory, size),
            Limit::CopyInOut { size } => copy::answer_in_out(memory, size),
            Limit::Memcpy { .. } => Ok(()),
        }
    }

    /// What the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Limit::PingPong { pause: false } => "ping-pong",
            Limit::PingPong { pause: true } => "ping-pong, pause",
            Limit::Futex => "bare futex",
            Limit::Ring { batch: 1, .. } => "plain ring",
            Limit::Ring { .. } => "plain ring, batched",
            Limit::InPlace { .. } => "fill + read",
            Limit::CopyInOut { .. } => "memcpy in + out",
            Limit::Memcpy { .. } => "memcpy",
        }
    }
}
