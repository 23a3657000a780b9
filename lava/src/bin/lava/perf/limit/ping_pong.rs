//! Two cache lines, one a direction: the least that a message and its answer cost.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use super::super::clock::Clock;
use super::super::round::{Round, Stopwatch, spin};
use super::super::shared::{PING, PONG, Shared};
use super::STOP;
use crate::failure::Failure;

const WARM_UP: u64 = 1000;

pub(super) fn prepare(memory: &Shared) {
    memory.word(PING).store(0, Relaxed);
    memory.word(PONG).store(0, Relaxed);
}

pub(super) fn stop(memory: &Shared) {
    memory.word(PING).store(STOP, Release);
}

pub(super) fn measure<const PAUSE: bool>(
    memory: &Shared,
    clock: &Clock,
    time: Duration,
) -> Result<Round, Failure> {
    let (ping, pong) = (memory.word(PING), memory.word(PONG));
    let exchange = |turn: u64| {
        ping.store(turn, Release);
        spin::<PAUSE>(|| pong.load(Acquire) == turn)
    };
    for turn in 1..=WARM_UP {
        exchange(turn)?;
    }
    let mut stopwatch = Stopwatch::start(clock, time);
    for turn in WARM_UP + 1.. {
        exchange(turn)?;
        if !stopwatch.lap() {
            break;
        }
    }
    ping.store(STOP, Release);
    Ok(stopwatch.finish(2))
}

pub(super) fn answer<const PAUSE: bool>(memory: &Shared) -> Result<(), Failure> {
    let (ping, pong) = (memory.word(PING), memory.word(PONG));
    let mut turn = 0;
    loop {
        let mut seen = turn;
        spin::<PAUSE>(|| {
            seen = ping.load(Acquire);
            seen != turn
        })?;
        if seen == STOP {
            return Ok(());
        }
        turn = seen;
        pong.store(turn, Release);
    }
}
