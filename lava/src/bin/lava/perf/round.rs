//! One short stretch of measuring, and the waiting that all measured code shares.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use super::clock::{Clock, ticks};
use crate::failure::Failure;
use crate::interrupt;

/// In the blocking rows, how long each process spins before it sends, so that the other one is surely asleep.
pub const NAP: Duration = Duration::from_micros(50);

/// Messages of a streaming row that are timed together: more than a queue holds, and few enough that most
/// stretches see no interruption.
pub const STRETCH: u32 = 2048;

/// Longest time that a process waits for the other within a round.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What one round measured.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Nanoseconds each: of every message, or the mean of a stretch where messages are not timed singly.
    pub samples: Vec<f32>,
    /// Messages that the round moved.
    pub messages: u64,
    /// Nanoseconds that they took.
    pub elapsed: f64,
}

/// Times messages one after the other until the round's time is over.
#[derive(Debug)]
pub struct Stopwatch<'a> {
    clock: &'a Clock,
    first: u64,
    last: u64,
    end: u64,
    /// Ticks of a message, or of `parts` equal parts of it.
    laps: Vec<u64>,
}

impl<'a> Stopwatch<'a> {
    /// Starts now.
    pub fn start(clock: &'a Clock, time: Duration) -> Self {
        // Writes to the pages now, so that no page fault falls into the measuring.
        let mut laps = vec![1; 1 << 16];
        laps.clear();
        let first = ticks();
        Stopwatch { clock, first, last: first, end: first + clock.ticks_of(time), laps }
    }

    /// One more message is through. False when the time is over.
    #[inline(always)]
    pub fn lap(&mut self) -> bool {
        let now = ticks();
        self.laps.push(now - self.last);
        self.last = now;
        now < self.end
    }

    /// As [`Stopwatch::lap`], less `paused` ticks that passed on purpose.
    #[inline(always)]
    pub fn lap_without(&mut self, paused: u64) -> bool {
        let now = ticks();
        self.laps.push((now - self.last).saturating_sub(paused));
        self.last = now;
        now < self.end
    }

    /// Leaves out what happens until now.
    #[inline(always)]
    pub fn restart_lap(&mut self) {
        self.last = ticks();
    }

    /// The round; each lap consisted of `parts` messages in a row, such as a ping and a pong.
    pub fn finish(self, parts: u32) -> Round {
        let samples =
            self.laps.iter().map(|&lap| (self.clock.nanoseconds(lap) / f64::from(parts)) as f32);
        Round {
            samples: samples.collect(),
            messages: self.laps.len() as u64 * u64::from(parts),
            elapsed: self.clock.nanoseconds(self.last - self.first),
        }
    }
}

/// Spins until `done`, with the processor's pause instruction or without; fails on Ctrl-C and after [`PATIENCE`].
#[inline(always)]
pub fn spin<const PAUSE: bool>(mut done: impl FnMut() -> bool) -> Result<(), Failure> {
    let mut deadline = None;
    loop {
        for _ in 0..1 << 20 {
            if done() {
                return Ok(());
            }
            if PAUSE {
                spin_loop();
            }
        }
        look_up(&mut deadline)?;
    }
}

#[cold]
fn look_up(deadline: &mut Option<Instant>) -> Result<(), Failure> {
    interrupt::check()?;
    if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + PATIENCE) {
        return Err(Failure::Failed("the other process does not answer".to_owned()));
    }
    Ok(())
}

/// Times a call again and again.
pub fn repeat(
    clock: &Clock,
    time: Duration,
    mut call: impl FnMut() -> Result<(), Failure>,
) -> Result<Round, Failure> {
    call()?;
    let mut stopwatch = Stopwatch::start(clock, time);
    loop {
        call()?;
        if !stopwatch.lap() {
            return Ok(stopwatch.finish(1));
        }
    }
}
