//! A frame there and a frame back. An empty frame ends the round.

use std::time::Duration;

use lava::{Consumer, Producer};

use super::super::clock::Clock;
use super::super::round::{Round, Stopwatch};
use super::{Here, Seen, There};
use crate::failure::Failure;

const WARM_UP: usize = 200;
/// What rides in a descriptor needs no slot, and is sent by copying.
const INLINE: usize = 40;

/// Sends a frame of `size` bytes whose payload nobody looks at.
#[inline(always)]
fn send(producer: &mut Producer, payload: &[u8; INLINE], size: usize) -> Result<(), Failure> {
    if size <= INLINE {
        return Ok(producer.send_bytes(&payload[..size])?);
    }
    let loan = producer.loan(size)?;
    producer.send(loan).map_err(|error| Failure::from(lava::Error::from(error)))
}

/// Takes a frame and gives it back; tells its size.
#[inline(always)]
fn take(consumer: &mut Consumer) -> Result<usize, Failure> {
    match consumer.receive()? {
        Some(frame) => Ok(frame.len()),
        None => Err(Failure::Failed("the channel ended during the measurement".to_owned())),
    }
}

/// `nap`: how long each process spins before it sends.
pub(super) fn measure(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
    (size, channel): (usize, usize),
    nap: Duration,
) -> Result<Round, Failure> {
    let (producer, Some(back)) = (&mut here.producers[channel], here.backs.get_mut(channel)) else {
        return Err(Failure::Failed("a round trip needs a channel back".to_owned()));
    };
    let payload = [1; INLINE];
    let nap = clock.ticks_of(nap);
    let mut exchange = || {
        send(producer, &payload, size)?;
        take(back)
    };
    for _ in 0..if nap == 0 { WARM_UP } else { WARM_UP / 10 } {
        exchange()?;
    }
    let mut stopwatch = Stopwatch::start(clock, time);
    loop {
        if nap > 0 {
            Clock::pass(nap);
            stopwatch.restart_lap();
        }
        exchange()?;
        if !stopwatch.lap_without(nap) {
            break;
        }
    }
    here.producers[channel].send_bytes(&[])?;
    Ok(stopwatch.finish(2))
}

pub(super) fn answer(
    there: &mut There,
    clock: &Clock,
    (size, channel): (usize, usize),
    nap: Duration,
) -> Result<Seen, Failure> {
    // Only the first answering process has a channel back; the others have no part in this.
    let (Some(consumer), Some(back)) =
        (&mut there.consumers[channel], there.backs.get_mut(channel))
    else {
        return Ok(Seen::default());
    };
    let payload = [1; INLINE];
    let nap = clock.ticks_of(nap);
    while take(consumer)? != 0 {
        if nap > 0 {
            Clock::pass(nap);
        }
        send(back, &payload, size)?;
    }
    Ok(Seen::default())
}
