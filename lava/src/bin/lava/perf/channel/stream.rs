//! Small frames one way, as many as go through. An empty frame ends the round.

use std::hint::black_box;
use std::time::Duration;

use lava::{Bytes, Frame, Frames, Timeout};

use super::super::clock::Clock;
use super::super::round::{Round, STRETCH, Stopwatch};
use super::{Here, Seen, There};
use crate::failure::Failure;

pub(super) fn measure_single(
    here: &mut Here,
    channel: usize,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let payload = vec![1_u8; size];
    let producer = &mut here.producers[channel];
    let mut stretch = || {
        for _ in 0..STRETCH {
            producer.send_bytes(black_box(&payload))?;
        }
        Ok(())
    };
    let round = time_stretches(clock, time, &mut stretch)?;
    producer.send_bytes(&[])?;
    Ok(round)
}

pub(super) fn measure_batch(
    here: &mut Here,
    channel: usize,
    clock: &Clock,
    time: Duration,
    (size, batch): (usize, usize),
) -> Result<Round, Failure> {
    let payload = vec![1_u8; size];
    let parts: Vec<Bytes<'_>> = vec![Bytes::from(&payload[..]); batch];
    let producer = &mut here.producers[channel];
    let mut stretch = || {
        for _ in 0..STRETCH as usize / batch {
            let sent = producer.send_bytes_many(black_box(&parts), Timeout::FOREVER)?;
            if sent != batch {
                return Err(Failure::Failed(format!(
                    "{sent} of {batch} frames of a batch were sent"
                )));
            }
        }
        Ok(())
    };
    let round = time_stretches(clock, time, &mut stretch)?;
    producer.send_bytes(&[])?;
    Ok(round)
}

fn time_stretches(
    clock: &Clock,
    time: Duration,
    stretch: &mut impl FnMut() -> Result<(), Failure>,
) -> Result<Round, Failure> {
    stretch()?;
    let mut stopwatch = Stopwatch::start(clock, time);
    loop {
        stretch()?;
        if !stopwatch.lap() {
            return Ok(stopwatch.finish(STRETCH));
        }
    }
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

pub(super) fn answer_single(there: &mut There, channel: usize) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[channel] else { return Ok(Seen::default()) };
    while let Some(frame) = consumer.receive()? {
        if !read(&frame) {
            return Ok(Seen::default());
        }
    }
    Err(Failure::Failed("the channel ended during the measurement".to_owned()))
}

pub(super) fn answer_batch(
    there: &mut There,
    channel: usize,
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
            return Ok(Seen::default());
        }
    }
    Err(Failure::Failed("the channel ended during the measurement".to_owned()))
}
