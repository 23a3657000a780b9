//! What the scenes share.

pub(crate) mod actor;
pub(crate) mod bystanders;
pub(crate) mod census;
pub(crate) mod container;
pub(crate) mod durations;
pub(crate) mod inject;
pub(crate) mod nursery;
pub(crate) mod payload;
pub(crate) mod place;
pub(crate) mod pool;
pub(crate) mod raw;
pub(crate) mod seccomp;
pub(crate) mod stage;
pub(crate) mod system;

use std::time::{Duration, Instant};

/// Reached only by a failure, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Why a scene cannot be played here.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

/// What a scene gives back when it does not panic.
pub(crate) type Played = Result<(), Skip>;

/// Waits until `condition` holds, or fails with `what`.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// How often to repeat what is random: quick, normal and soak runs of `tests/run`.
pub(crate) fn times(normal: usize) -> usize {
    let length = std::env::var("LAVA_TESTS").unwrap_or_default();
    match length.as_str() {
        "quick" => (normal / 10).max(1),
        "soak" => normal * 100,
        _ => normal,
    }
}

/// Small random numbers: xorshift64*, seeded, so that a failure can be repeated with `ROBUSTNESS_SEED`.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// From the seed in the environment, else from the clock; printed, so that it is in the output of a failure.
    pub(crate) fn new() -> Self {
        let given = std::env::var("ROBUSTNESS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.map_or(1, |now| now.as_nanos() as u64)
        });
        eprintln!("seed {seed} (ROBUSTNESS_SEED)");
        Self(seed | 1)
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Sleeps or spins for a random time below `limit`.
    pub(crate) fn pause(&mut self, limit: Duration) {
        let until = Instant::now() + Duration::from_nanos(self.below(limit.as_nanos() as u64));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}
