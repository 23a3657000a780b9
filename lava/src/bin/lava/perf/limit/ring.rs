//! A single-producer single-consumer ring as anybody would write it: an index at each end, each side remembering
//! the other's.

use std::hint::black_box;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use super::super::clock::Clock;
use super::super::round::{Round, STRETCH, Stopwatch, spin};
use super::super::shared::{PING as HEAD, PONG as TAIL, RING, Shared};
use super::STOP;
use crate::failure::Failure;

const ENTRIES: u64 = 1024;

pub(super) fn prepare(memory: &Shared) {
    memory.word(HEAD).store(0, Relaxed);
    memory.word(TAIL).store(0, Relaxed);
}

fn slot<const WORDS: usize>(index: u64) -> usize {
    RING + (index % ENTRIES) as usize * WORDS * 8
}

pub(super) fn measure<const WORDS: usize>(
    memory: &Shared,
    clock: &Clock,
    time: Duration,
    batch: usize,
) -> Result<Round, Failure> {
    let (head_word, tail_word) = (memory.word(HEAD), memory.word(TAIL));
    let (mut head, mut tail) = (0, 0);
    let mut push = |value: u64| {
        if head - tail == ENTRIES {
            head_word.store(head, Release);
            spin::<false>(|| {
                tail = tail_word.load(Acquire);
                head - tail < ENTRIES
            })?;
        }
        let slot = slot::<WORDS>(head);
        for word in 0..WORDS {
            memory.atomic(slot + word * 8).store(value, Relaxed);
        }
        head += 1;
        if head % batch as u64 == 0 {
            head_word.store(head, Release);
        }
        Ok::<u64, Failure>(head)
    };
    for _ in 0..STRETCH {
        push(1)?;
    }
    let mut stopwatch = Stopwatch::start(clock, time);
    loop {
        for _ in 0..STRETCH {
            push(1)?;
        }
        if !stopwatch.lap() {
            break;
        }
    }
    let sent = push(STOP)?;
    head_word.store(sent, Release);
    Ok(stopwatch.finish(STRETCH))
}

pub(super) fn answer<const WORDS: usize>(memory: &Shared) -> Result<(), Failure> {
    let (head_word, tail_word) = (memory.word(HEAD), memory.word(TAIL));
    let (mut head, mut tail, mut sum) = (0, 0, 0_u64);
    loop {
        spin::<false>(|| {
            head = head_word.load(Acquire);
            head != tail
        })?;
        let mut last = 0;
        while tail != head {
            let slot = slot::<WORDS>(tail);
            for word in 0..WORDS {
                last = memory.atomic(slot + word * 8).load(Relaxed);
                sum = sum.wrapping_add(last);
            }
            tail += 1;
        }
        tail_word.store(tail, Release);
        if last == STOP {
            black_box(sum);
            return Ok(());
        }
    }
}
