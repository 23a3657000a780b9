//! Percentiles of many short times.

use serde::{Deserialize, Serialize};

/// What many times come to, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many times.
    pub count: u64,
    /// The smallest.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    pub p999: f64,
    /// The largest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

impl Summary {
    /// Sorts `samples` and sums them up; `None` if there are none.
    pub fn of(samples: &mut [f32]) -> Option<Self> {
        samples.sort_unstable_by(f32::total_cmp);
        let (&min, &max) = (samples.first()?, samples.last()?);
        let sum: f64 = samples.iter().map(|&sample| f64::from(sample)).sum();
        Some(Summary {
            count: samples.len() as u64,
            min: min.into(),
            p50: percentile(samples, 500),
            p99: percentile(samples, 990),
            p999: percentile(samples, 999),
            max: max.into(),
            mean: sum / samples.len() as f64,
        })
    }
}

/// Nearest rank: the smallest sample that so many of a thousand samples do not exceed.
fn percentile(sorted: &[f32], per_mille: usize) -> f64 {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    f64::from(sorted[rank.max(1) - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut samples: Vec<f32> = (1..=1000_u16).rev().map(f32::from).collect();
        let summary = Summary::of(&mut samples).expect("samples");
        assert_eq!((summary.p50, summary.p99, summary.p999), (500.0, 990.0, 999.0));
        assert_eq!((summary.min, summary.max, summary.count), (1.0, 1000.0, 1000));
        assert_eq!(summary.mean, 500.5);
    }

    #[test]
    fn one_sample_is_every_percentile_and_none_has_none() {
        let summary = Summary::of(&mut [7.0]).expect("a sample");
        assert_eq!((summary.p50, summary.p999, summary.max), (7.0, 7.0, 7.0));
        assert_eq!(Summary::of(&mut []), None);
    }
}
