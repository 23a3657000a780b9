//! Time: nanoseconds of `CLOCK_MONOTONIC`, which all processes of a host share.

use rustix::time::{ClockId, Timespec};

/// Now.
#[inline]
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// A moment to wait for, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(u64);

impl Deadline {
    pub const NEVER: Self = Self(u64::MAX);

    /// `timeout_ns` from now; `u64::MAX`: never.
    pub fn after(timeout_ns: u64) -> Self {
        if timeout_ns == u64::MAX { Self::NEVER } else { Self(now_ns().saturating_add(timeout_ns)) }
    }

    pub fn passed(self) -> bool {
        self != Self::NEVER && now_ns() >= self.0
    }

    /// Nanoseconds that are left; `u64::MAX` if it never comes.
    pub fn left_ns(self) -> u64 {
        if self == Self::NEVER { u64::MAX } else { self.0.saturating_sub(now_ns()) }
    }

    /// As an absolute time of `CLOCK_MONOTONIC`; None if it never comes.
    pub fn timespec(self) -> Option<Timespec> {
        (self != Self::NEVER).then(|| to_timespec(self.0))
    }

    /// What is left, as a duration for poll and epoll; None if it never comes.
    pub fn left_timespec(self) -> Option<Timespec> {
        (self != Self::NEVER).then(|| to_timespec(self.left_ns()))
    }
}

fn to_timespec(ns: u64) -> Timespec {
    Timespec { tv_sec: (ns / 1_000_000_000) as _, tv_nsec: (ns % 1_000_000_000) as _ }
}
