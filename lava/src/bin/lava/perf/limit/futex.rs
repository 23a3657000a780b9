//! Two processes that sleep in the kernel and wake each other: the least that a blocking message and its answer cost.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex::{Flags, Timespec, wait, wake};

use super::super::clock::Clock;
use super::super::round::{NAP, PATIENCE, Round, Stopwatch};
use super::super::shared::{PING, PONG, Shared};
use crate::failure::Failure;
use crate::interrupt;

const WARM_UP: u32 = 20;
const STOP: u32 = u32::MAX;

pub(super) fn measure(memory: &Shared, clock: &Clock, time: Duration) -> Result<Round, Failure> {
    let (ping, pong) = (memory.futex(PING), memory.futex(PONG));
    let nap = clock.ticks_of(NAP);
    let exchange = |turn: u32| {
        send(ping, turn)?;
        sleep_while(pong, turn - 1).map(drop)
    };
    for turn in 1..=WARM_UP {
        exchange(turn)?;
    }
    let mut stopwatch = Stopwatch::start(clock, time);
    for turn in WARM_UP + 1.. {
        Clock::pass(nap);
        stopwatch.restart_lap();
        exchange(turn)?;
        if !stopwatch.lap_without(nap) {
            break;
        }
    }
    send(ping, STOP)?;
    Ok(stopwatch.finish(2))
}

pub(super) fn answer(memory: &Shared, clock: &Clock) -> Result<(), Failure> {
    let (ping, pong) = (memory.futex(PING), memory.futex(PONG));
    let nap = clock.ticks_of(NAP);
    let mut turn = 0;
    loop {
        turn = sleep_while(ping, turn)?;
        if turn == STOP {
            return Ok(());
        }
        Clock::pass(nap);
        send(pong, turn)?;
    }
}

fn send(word: &AtomicU32, turn: u32) -> Result<(), Failure> {
    word.store(turn, Release);
    wake(word, Flags::empty(), 1)
        .map_err(|error| Failure::Failed(format!("futex wake: {error}")))?;
    Ok(())
}

/// Sleeps until the word is no longer `old`, and returns what it is.
fn sleep_while(word: &AtomicU32, old: u32) -> Result<u32, Failure> {
    let slice = Timespec { tv_sec: 1, tv_nsec: 0 };
    let start = Instant::now();
    loop {
        match word.load(Acquire) {
            seen if seen != old => return Ok(seen),
            _ => match wait(word, Flags::empty(), old, Some(&slice)) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::TIMEDOUT) if start.elapsed() < PATIENCE => interrupt::check()?,
                Err(error) => return Err(Failure::Failed(format!("futex wait: {error}"))),
            },
        }
    }
}
