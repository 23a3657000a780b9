//! One payload in shared memory: written and read where it lies, or copied in and out, in turns that a word each
//! orders.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use super::super::clock::Clock;
use super::super::round::{Round, Stopwatch, spin};
use super::super::shared::{PING, PONG, Shared};
use super::super::touch;
use super::STOP;
use crate::failure::Failure;

/// Hands the payload over and back, `produce` and `consume` each while only their process may touch it.
fn measure_turns(
    memory: &Shared,
    clock: &Clock,
    time: Duration,
    mut produce: impl FnMut(u64),
) -> Result<Round, Failure> {
    let (ping, pong) = (memory.word(PING), memory.word(PONG));
    let mut exchange = |turn: u64| {
        produce(turn);
        ping.store(turn, Release);
        spin::<false>(|| pong.load(Acquire) == turn)
    };
    exchange(1)?;
    exchange(2)?;
    let mut stopwatch = Stopwatch::start(clock, time);
    for turn in 3.. {
        exchange(turn)?;
        if !stopwatch.lap() {
            break;
        }
    }
    ping.store(STOP, Release);
    Ok(stopwatch.finish(1))
}

fn answer_turns(memory: &Shared, mut consume: impl FnMut()) -> Result<(), Failure> {
    let (ping, pong) = (memory.word(PING), memory.word(PONG));
    let mut turn = 0;
    loop {
        let mut seen = turn;
        spin::<false>(|| {
            seen = ping.load(Acquire);
            seen != turn
        })?;
        if seen == STOP {
            return Ok(());
        }
        turn = seen;
        consume();
        pong.store(turn, Release);
    }
}

fn check(memory: &Shared, size: usize) -> Result<*mut u8, Failure> {
    if size > memory.payload_size() {
        return Err(Failure::Failed(format!("{size} bytes do not fit into the shared memory")));
    }
    Ok(memory.payload())
}

pub(super) fn measure_in_place(
    memory: &Shared,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let payload = check(memory, size)?;
    // SAFETY: the payload has `size` bytes, and until the turn is given the other process does not touch it.
    measure_turns(memory, clock, time, |turn| unsafe { touch::fill(payload, size, turn as u8) })
}

pub(super) fn answer_in_place(memory: &Shared, size: usize) -> Result<(), Failure> {
    let payload = check(memory, size)?;
    answer_turns(memory, || {
        // SAFETY: the payload has `size` bytes, is page-aligned, and is this process's until the turn is given back.
        unsafe { touch::sum(payload, size) };
    })
}

pub(super) fn measure_in_out(
    memory: &Shared,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let payload = check(memory, size)?;
    let source = vec![1_u8; size];
    // SAFETY: both have `size` bytes, and until the turn is given the other process does not touch the payload.
    measure_turns(memory, clock, time, |_| unsafe { touch::copy(source.as_ptr(), payload, size) })
}

pub(super) fn answer_in_out(memory: &Shared, size: usize) -> Result<(), Failure> {
    let payload = check(memory, size)?;
    let mut target = vec![1_u8; size];
    // SAFETY: both have `size` bytes, and the payload is this process's until the turn is given back.
    answer_turns(memory, || unsafe { touch::copy(payload, target.as_mut_ptr(), size) })
}

pub(super) fn measure_memcpy(
    memory: &Shared,
    clock: &Clock,
    time: Duration,
    size: usize,
    places: usize,
) -> Result<Round, Failure> {
    let payload = check(memory, size * places)?;
    let source = vec![1_u8; size];
    let place = |number: usize| payload.wrapping_add(number % places * size);
    for number in 0..places * 2 {
        // SAFETY: the place lies within the payload, which the other process does not touch in this round.
        unsafe { touch::copy(source.as_ptr(), place(number), size) };
    }
    let mut stopwatch = Stopwatch::start(clock, time);
    for number in 0.. {
        // SAFETY: as above.
        unsafe { touch::copy(source.as_ptr(), place(number), size) };
        if !stopwatch.lap() {
            break;
        }
    }
    Ok(stopwatch.finish(1))
}
