//! One line of the measurement: what is done, against which limit, and what it must reach.

use std::time::Duration;

use serde::Serialize;

use super::channel::{Exchange, Setup, Waiting};
use super::limit::Limit;
use super::round::Round;
use super::session::Session;
use crate::failure::Failure;
use crate::statistics::Summary;

/// What a row is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Yardstick {
    /// The best of these.
    Limits(Vec<Limit>),
    /// `memcpy` of so many bytes, to as many places as lava used.
    Memcpy(usize),
    /// Another exchange of lava, with its name.
    Other(Exchange, &'static str),
}

/// What a row's ratio must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Time of lava by time of the limit, at most.
    TimeAtMost(f64),
    /// Speed of lava by speed of the limit, at least.
    SpeedAtLeast(f64),
    /// Median time in nanoseconds, at most, whatever the limit does.
    NanosecondsAtMost(f64),
}

/// A line of the measurement.
#[derive(Clone, Debug)]
pub struct Row {
    /// The kind of row, as `--rows` selects it.
    pub group: &'static str,
    /// What is done.
    pub what: &'static str,
    /// Bytes of a frame.
    pub size: usize,
    /// The channels.
    pub setup: Setup,
    /// What is done with them.
    pub exchange: Exchange,
    /// What it is held against.
    pub yardstick: Yardstick,
    /// What it must reach, if it is in the list of targets.
    pub bound: Option<Bound>,
    /// The same with another size, over the same channels, to see whether the size matters.
    pub reference: Option<Exchange>,
}

/// What a row came to.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub group: &'static str,
    pub what: &'static str,
    pub size: usize,
    pub waiting: Waiting,
    pub consumers: usize,
    /// Nanoseconds of a frame.
    pub lava: Summary,
    pub frames_per_second: f64,
    pub bytes_per_second: f64,
    pub limit_name: String,
    /// Nanoseconds of the same by the limit.
    pub limit: Summary,
    /// Every limit that was tried; the row is held against the fastest.
    pub limits: Vec<(String, Summary)>,
    /// Median time of lava by median time of the fastest limit, round by round, and of these the median: 1 is the
    /// limit, less is faster. What the machine does to a whole second meets both sides of each quotient.
    pub time_ratio: f64,
    pub bound: Option<Bound>,
    /// Whether the bound is kept.
    pub kept: Option<bool>,
    /// Median time by median time of the smallest frame over the same channels, as `time_ratio`.
    pub size_ratio: Option<f64>,
}

/// What the rounds of one side come to.
#[derive(Default)]
pub struct Sum {
    samples: Vec<f32>,
    messages: u64,
    elapsed: f64,
    /// The median of each round.
    medians: Vec<f64>,
}

impl Sum {
    /// Takes in a round.
    pub fn add(&mut self, mut round: Round) {
        self.medians.push(Summary::of(&mut round.samples).map_or(f64::NAN, |summary| summary.p50));
        self.samples.extend(round.samples);
        self.messages += round.messages;
        self.elapsed += round.elapsed;
    }

    fn summary(&mut self) -> Result<Summary, Failure> {
        Summary::of(&mut self.samples)
            .ok_or_else(|| Failure::Failed("nothing was measured".to_owned()))
    }
}

/// See [`Measured::time_ratio`].
fn time_ratio(lava: &Sum, limits: &[(String, Sum)]) -> f64 {
    let fastest =
        |round: usize| limits.iter().map(|(_, sum)| sum.medians[round]).fold(f64::NAN, f64::min);
    let ratios =
        lava.medians.iter().enumerate().map(|(round, time)| (time / fastest(round)) as f32);
    Summary::of(&mut ratios.collect::<Vec<f32>>()).map_or(f64::NAN, |summary| summary.p50)
}

impl Row {
    /// Measures lava and the limits in turns, `rounds` short rounds each.
    pub fn measure(
        &self,
        session: &mut Session,
        rounds: u32,
        time: Duration,
    ) -> Result<Measured, Failure> {
        session.open(&self.setup)?;
        let yards = self.yards(session, time)?;
        let mut lava = Sum::default();
        let mut limits: Vec<Sum> = yards.iter().map(|_| Sum::default()).collect();
        let mut reference = Sum::default();
        for _ in 0..rounds {
            for (yard, sum) in yards.iter().zip(&mut limits) {
                sum.add(yard.run(session, time)?);
            }
            lava.add(session.exchange(self.exchange, time)?.0);
            if let Some(exchange) = self.reference {
                reference.add(session.exchange(exchange, time)?.0);
            }
        }
        session.close()?;
        let size_ratio = self.reference.map(|_| {
            let reference = ("smallest".to_owned(), reference);
            time_ratio(&lava, std::slice::from_ref(&reference))
        });
        let limits = yards.iter().map(Yard::name).zip(limits).collect();
        Ok(Measured { size_ratio, ..self.head().conclude(lava, limits)? })
    }

    fn yards(&self, session: &mut Session, time: Duration) -> Result<Vec<Yard>, Failure> {
        Ok(match &self.yardstick {
            Yardstick::Limits(limits) => limits.iter().copied().map(Yard::Limit).collect(),
            Yardstick::Other(exchange, name) => vec![Yard::Other(*exchange, name)],
            Yardstick::Memcpy(size) => {
                let places = session.exchange(self.exchange, time)?.1.places.max(1);
                let places = places.min(session.payload_size() / size).max(1);
                vec![Yard::Limit(Limit::Memcpy { size: *size, places })]
            }
        })
    }

    fn head(&self) -> Head {
        Head {
            group: self.group,
            what: self.what,
            size: self.size,
            waiting: self.setup.waiting,
            consumers: self.consumers(),
            bound: self.bound,
        }
    }

    fn consumers(&self) -> usize {
        match self.exchange {
            Exchange::Stream { channel, .. } | Exchange::Burst { channel, .. } => {
                self.setup.consumers[channel]
            }
            _ => self.setup.consumers[0],
        }
    }
}

/// What a line is about, before anything is measured.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub group: &'static str,
    pub what: &'static str,
    pub size: usize,
    pub waiting: Waiting,
    pub consumers: usize,
    pub bound: Option<Bound>,
}

impl Head {
    /// The line of both sides' rounds; there is at least one limit, named.
    pub fn conclude(
        self,
        mut lava: Sum,
        mut limits: Vec<(String, Sum)>,
    ) -> Result<Measured, Failure> {
        let time_ratio = time_ratio(&lava, &limits);
        let named = limits.iter_mut().map(|(name, sum)| Ok((std::mem::take(name), sum.summary()?)));
        let limits = named.collect::<Result<Vec<_>, Failure>>()?;
        let best = limits.iter().min_by(|a, b| a.1.p50.total_cmp(&b.1.p50)).cloned();
        let (limit_name, limit) = best.ok_or_else(|| "a row needs a limit".to_owned())?;
        let frames_per_second = lava.messages as f64 / lava.elapsed * 1e9;
        let summary = lava.summary()?;
        let Head { group, what, size, waiting, consumers, bound } = self;
        Ok(Measured {
            group,
            what,
            size,
            waiting,
            consumers,
            lava: summary,
            frames_per_second,
            bytes_per_second: frames_per_second * size as f64,
            limit_name,
            limit,
            limits,
            time_ratio,
            bound,
            kept: bound.map(|bound| bound.is_kept(time_ratio, summary.p50)),
            size_ratio: None,
        })
    }
}

impl Bound {
    /// Whether a ratio of times, or the median time in nanoseconds, keeps it.
    pub fn is_kept(self, time_ratio: f64, nanoseconds: f64) -> bool {
        match self {
            Bound::TimeAtMost(most) => time_ratio <= most,
            Bound::SpeedAtLeast(least) => 1.0 / time_ratio >= least,
            Bound::NanosecondsAtMost(most) => nanoseconds <= most,
        }
    }
}

/// A yardstick as it is run.
enum Yard {
    Limit(Limit),
    Other(Exchange, &'static str),
}

impl Yard {
    fn run(&self, session: &mut Session, time: Duration) -> Result<Round, Failure> {
        match *self {
            Yard::Limit(limit) => session.limit(limit, time),
            Yard::Other(exchange, _) => session.exchange(exchange, time).map(|(round, _)| round),
        }
    }

    fn name(&self) -> String {
        match *self {
            Yard::Limit(Limit::Memcpy { places, .. }) => format!("memcpy, {places} places"),
            Yard::Limit(limit) => limit.name().to_owned(),
            Yard::Other(_, name) => name.to_owned(),
        }
    }
}
