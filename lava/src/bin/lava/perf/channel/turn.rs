//! One slot used again and again: the producer gets it when the consumer has given it back, as in the limits with one
//! payload. An empty frame ends the round.

use std::time::Duration;

use super::super::clock::Clock;
use super::super::round::{Round, Stopwatch};
use super::super::touch;
use super::{Here, Seen, There};
use crate::failure::Failure;

pub(super) fn measure_in_place(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let producer = &mut here.producers[0];
    let mut exchange = |turn: u64| {
        let mut loan = producer.loan(size)?;
        let bytes = loan.bytes_mut()?;
        // SAFETY: the slice is exclusively this loan's.
        unsafe { touch::fill(bytes.as_mut_ptr(), bytes.len(), turn as u8) };
        producer.send(loan).map_err(lava::Error::from)
    };
    let round = time_turns(clock, time, &mut exchange)?;
    here.producers[0].send_bytes(&[])?;
    Ok(round)
}

pub(super) fn measure_in_out(
    here: &mut Here,
    clock: &Clock,
    time: Duration,
    size: usize,
) -> Result<Round, Failure> {
    let producer = &mut here.producers[0];
    let source = vec![1_u8; size];
    let round =
        time_turns(clock, time, &mut |_| producer.send_bytes(std::hint::black_box(&source)))?;
    here.producers[0].send_bytes(&[])?;
    Ok(round)
}

fn time_turns(
    clock: &Clock,
    time: Duration,
    exchange: &mut impl FnMut(u64) -> Result<(), lava::Error>,
) -> Result<Round, Failure> {
    exchange(1)?;
    exchange(2)?;
    let mut stopwatch = Stopwatch::start(clock, time);
    for turn in 3.. {
        exchange(turn)?;
        if !stopwatch.lap() {
            break;
        }
    }
    Ok(stopwatch.finish(1))
}

pub(super) fn answer_in_place(there: &mut There) -> Result<Seen, Failure> {
    answer(there, |frame| {
        // SAFETY: the payload is aligned to 8 and mapped as long as the frame lives; the producer of this
        // measurement does not write to it before it is released.
        unsafe { touch::sum(frame.as_ptr(), frame.len()) };
        Ok(())
    })
}

pub(super) fn answer_in_out(there: &mut There, size: usize) -> Result<Seen, Failure> {
    let mut target = vec![1_u8; size];
    answer(there, |frame| frame.read_at(0, std::hint::black_box(&mut target)))
}

fn answer(
    there: &mut There,
    mut consume: impl FnMut(&lava::Frame) -> lava::Result<()>,
) -> Result<Seen, Failure> {
    let Some(consumer) = &mut there.consumers[0] else { return Ok(Seen::default()) };
    while let Some(frame) = consumer.receive()? {
        if frame.is_empty() {
            return Ok(Seen::default());
        }
        consume(&frame)?;
    }
    Err(Failure::Failed("the channel ended during the measurement".to_owned()))
}
