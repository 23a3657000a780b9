//! Time stamps cheap enough to take one for every message: the processor's counter where it is constant, else the
//! system's monotonic clock.

use std::time::{Duration, Instant};

/// Turns ticks into nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    nanoseconds_per_tick: f64,
}

/// Now, in ticks. Instructions before it are done when it is taken.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub fn ticks() -> u64 {
    let mut processor = 0;
    // SAFETY: every x86-64 processor that runs Linux in user mode has RDTSCP; it writes `processor` only.
    unsafe { core::arch::x86_64::__rdtscp(&raw mut processor) }
}

/// Now, in ticks.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub fn ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

impl Clock {
    /// Measures the tick against the monotonic clock; takes 20 ms.
    pub fn calibrate() -> Self {
        let (start, first) = (Instant::now(), ticks());
        std::thread::sleep(Duration::from_millis(20));
        let (elapsed, last) = (start.elapsed(), ticks());
        Clock { nanoseconds_per_tick: elapsed.as_nanos() as f64 / (last - first).max(1) as f64 }
    }

    /// Nanoseconds of a number of ticks.
    pub fn nanoseconds(&self, ticks: u64) -> f64 {
        ticks as f64 * self.nanoseconds_per_tick
    }

    /// Spins for a number of ticks.
    pub fn pass(ticks_to_pass: u64) {
        let start = ticks();
        while ticks() - start < ticks_to_pass {
            std::hint::spin_loop();
        }
    }

    /// Ticks of a time.
    pub fn ticks_of(&self, time: Duration) -> u64 {
        (time.as_nanos() as f64 / self.nanoseconds_per_tick) as u64
    }
}
