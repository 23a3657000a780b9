//! What sending costs the producer, apart from how long frames take. An empty frame ends the round.

use std::collections::HashSet;
use std::time::Duration;

use lava::{Producer, Received, Timeout};

use super::super::clock::Clock;
use super::super::round::{Round, Stopwatch};
use super::{Here, Seen, There};
use crate::failure::Failure;

/// Frames of a burst: fewer than the slots and the queue have room for, so that the producer never waits within one.
pub const BURST: u32 = 32;

pub(super) fn measure_send_bytes(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let producer = &mut here.producers[0];
    let source = vec![1_u8; size];
    for _ in 0..32 {
        producer.send_bytes(&source)?;
    }
    let mut stopwatch = Stopwatch::start(clock, time);
    loop {
        producer.send_bytes(std::hint::black_box(&source))?;
        if !stopwatch.lap() {
            break;
        }
    }
    producer.send_bytes(&[])?;
    Ok(stopwatch.finish(1))
}

pub(super) fn answer_send_bytes(there: &mut There) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[0] else { return Ok(Seen::default()) };
    let mut places = HashSet::new();
    while let Some(frame) = consumer.receive()? {
        if frame.is_empty() {
            return Ok(Seen { places: places.len(), ..Seen::default() });
        }
        places.insert(frame.as_ptr().addr());
    }
    Err(Failure::Failed("the channel ended during the measurement".to_owned()))
}

fn burst(producer: &mut Producer, size: usize) -> Result<(), Failure> {
    for _ in 0..BURST {
        let loan = producer.loan(size)?;
        producer.send(loan).map_err(|error| Failure::from(lava::Error::from(error)))?;
    }
    Ok(())
}

pub(super) fn measure_burst(
    here: &mut Here,
    channel: usize,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let producer = &mut here.producers[channel];
    for _ in 0..8 {
        burst(producer, size)?;
        let _ = producer.wait_released(None, Timeout::FOREVER)?;
    }
    let mut stopwatch = Stopwatch::start(clock, time);
    loop {
        burst(producer, size)?;
        let more = stopwatch.lap();
        // Consumers catch up outside of the measured time.
        let _ = producer.wait_released(None, Timeout::FOREVER)?;
        stopwatch.restart_lap();
        if !more {
            break;
        }
    }
    producer.send_bytes(&[])?;
    Ok(stopwatch.finish(BURST))
}

/// Looks for frames now and then and never sleeps within lava, so that the producer pays for no wake-up.
pub(super) fn answer_burst(there: &mut There, channel: usize) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[channel] else { return Ok(Seen::default()) };
    loop {
        match consumer.try_receive()? {
            Received::Frame(frame) if frame.is_empty() => return Ok(Seen::default()),
            Received::Frame(_) => {}
            Received::Empty => std::thread::sleep(Duration::from_micros(20)),
            Received::Closed => {
                return Err(Failure::Failed("the channel ended during the measurement".to_owned()));
            }
        }
    }
}
