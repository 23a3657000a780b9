//! Many durations in one line.

use std::time::Duration;

/// Durations, to be told as percentiles.
#[derive(Debug, Default, Clone)]
pub(crate) struct Durations(Vec<Duration>);

impl Durations {
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    pub(crate) fn longest(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    pub(crate) fn later_than(&self, limit: Duration) -> usize {
        self.0.iter().filter(|duration| **duration > limit).count()
    }

    /// `p50 … p99 … max …`.
    pub(crate) fn text(&self) -> String {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = |share: f64| {
            let index = (sorted.len().max(1) as f64 * share) as usize;
            sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        format!("p50 {:.2?}, p99 {:.2?}, max {:.2?}", at(0.5), at(0.99), self.longest())
    }
}
