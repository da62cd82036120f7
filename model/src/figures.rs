//! What is counted while the broker runs: plain cells that belong to one shard, and the values in which their contents
//! leave it. Counting costs a few instructions; nothing here is shared, so nothing is locked.

use std::cell::Cell;

/// Rises.
#[derive(Default, Debug)]
pub struct Count(Cell<u64>);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.set(self.0.get().wrapping_add(more));
    }

    pub fn value(&self) -> u64 {
        self.0.get()
    }
}

/// Upper bounds of latencies in nanoseconds, from 50 us to 10 s.
pub const LATENCY_NS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Upper bounds of sizes in bytes, from 4 KiB to 16 MiB.
pub const SIZE_BYTES: &[u64] = &[4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];
/// Upper bounds of how many of something belong together.
pub const HOW_MANY: &[u64] = &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500];

/// How many observations were at most as large as each of a few bounds, and how many larger than all.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    counts: Box<[Cell<u64>]>,
    sum: Count,
}

impl Histogram {
    /// # Panics
    /// If the bounds do not rise.
    pub fn new(bounds: &'static [u64]) -> Self {
        assert!(bounds.is_sorted_by(|a, b| a < b), "bounds rise: {bounds:?}");
        Self { bounds, counts: vec![Cell::new(0); bounds.len() + 1].into(), sum: Count::default() }
    }

    pub fn observe(&self, value: u64) {
        let count = &self.counts[self.bounds.partition_point(|&bound| bound < value)];
        count.set(count.get() + 1);
        self.sum.add(value);
    }

    pub fn distribution(&self) -> Distribution {
        let counts = self.counts.iter().map(Cell::get).collect();
        Distribution { bounds: self.bounds, counts, sum: self.sum.value() }
    }
}

/// What a histogram held at one moment, or several of them together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distribution {
    pub bounds: &'static [u64],
    /// One for each bound, what lies above the bound before it; and one for what lies above all.
    pub counts: Vec<u64>,
    pub sum: u64,
}

impl Distribution {
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// # Panics
    /// If the other one has other bounds.
    pub fn add(&mut self, other: &Self) {
        assert_eq!(self.bounds, other.bounds, "like with like");
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, more)| *mine += more);
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_at_the_first_bound_that_holds_it() {
        let histogram = Histogram::new(&[10, 20]);
        [0, 10, 11, 20, 21, 1000].into_iter().for_each(|value| histogram.observe(value));
        let mut seen = histogram.distribution();
        assert_eq!((&seen.counts[..], seen.sum, seen.count()), (&[2, 2, 2][..], 1062, 6));
        seen.add(&histogram.distribution());
        assert_eq!((&seen.counts[..], seen.sum, seen.count()), (&[4, 4, 4][..], 2124, 12));
    }

    #[test]
    fn the_bounds_in_use_rise() {
        for bounds in [LATENCY_NS, SIZE_BYTES, HOW_MANY] {
            assert_eq!(Histogram::new(bounds).distribution().count(), 0);
        }
    }
}
