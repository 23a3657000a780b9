//! Small frames one way, as many as go through. An empty frame ends the round; each consumer counts itself in when it has it.

use std::hint::black_box;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::Duration;

use lava::{Bytes, Frame, Frames, Timeout};

use super::super::clock::{Clock, ticks};
use super::super::round::{Round, spin};
use super::super::shared::{PONG as ENDED, Shared};
use super::{Here, Seen, There};
use crate::failure::Failure;

const WARM_UP: u64 = 8192;

pub(super) fn measure_single(
    here: &mut Here,
    channel: usize,
    memory: &Shared,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let payload = vec![1_u8; size];
    let producer = &mut here.producers[channel];
    for _ in 0..WARM_UP {
        producer.send_bytes(&payload)?;
    }
    let start = ticks();
    let end = start + clock.ticks_of(time);
    let mut sent = 0_u64;
    while !sent.is_multiple_of(1024) || ticks() < end {
        producer.send_bytes(black_box(&payload))?;
        sent += 1;
    }
    finish(here, channel, memory, clock, start, sent)
}

pub(super) fn measure_batch(
    here: &mut Here,
    channel: usize,
    memory: &Shared,
    clock: &Clock,
    time: Duration,
    (size, batch): (usize, usize),
) -> Result<Round, Failure> {
    let payload = vec![1_u8; size];
    let parts: Vec<Bytes<'_>> = vec![Bytes::from(&payload[..]); batch];
    let producer = &mut here.producers[channel];
    let mut send = || match producer.send_bytes_many(black_box(&parts), Timeout::FOREVER)? {
        sent if sent == batch => Ok(sent as u64),
        sent => Err(Failure::Failed(format!("{sent} of {batch} frames of a batch were sent"))),
    };
    let mut warm = 0;
    while warm < WARM_UP {
        warm += send()?;
    }
    let start = ticks();
    let end = start + clock.ticks_of(time);
    let mut sent = 0;
    while ticks() < end {
        for _ in 0..16 {
            sent += send()?;
        }
    }
    finish(here, channel, memory, clock, start, sent)
}

fn finish(
    here: &mut Here,
    channel: usize,
    memory: &Shared,
    clock: &Clock,
    start: u64,
    sent: u64,
) -> Result<Round, Failure> {
    let producer = &mut here.producers[channel];
    let consumers = producer.consumer_count() as u64;
    producer.send_bytes(&[])?;
    spin::<true>(|| memory.word(ENDED).load(Acquire) == consumers)?;
    Ok(Round::mean(sent, clock.nanoseconds(ticks() - start)))
}

/// Reads the first word of a payload; false for the empty frame that ends the round.
#[inline(always)]
fn read(frame: &Frame) -> bool {
    if frame.len() < 8 {
        return !frame.is_empty();
    }
    // SAFETY: the payload has at least 8 bytes, is aligned to 8, and is mapped as long as the frame lives. A volatile
    // read, so that the compiler keeps it.
    black_box(unsafe { frame.as_ptr().cast::<u64>().read_volatile() });
    true
}

pub(super) fn answer_single(
    there: &mut There,
    channel: usize,
    memory: &Shared,
) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[channel] else { return Ok(Seen::default()) };
    while let Some(frame) = consumer.receive()? {
        if !read(&frame) {
            return end(memory);
        }
    }
    Err(Failure::Failed("the channel ended during the measurement".to_owned()))
}

pub(super) fn answer_batch(
    there: &mut There,
    channel: usize,
    memory: &Shared,
    batch: usize,
) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[channel] else { return Ok(Seen::default()) };
    let mut frames = Frames::with_capacity(batch);
    while consumer.receive_many(&mut frames, Timeout::FOREVER)?.is_some() {
        let mut open = true;
        for frame in &frames {
            open &= read(frame);
        }
        if !open {
            frames.clear();
            return end(memory);
        }
    }
    Err(Failure::Failed("the channel ended during the measurement".to_owned()))
}

fn end(memory: &Shared) -> Result<Seen, Failure> {
    memory.word(ENDED).fetch_add(1, Release);
    Ok(Seen::default())
}
