//! Two clocks that must never be mixed. Both are arguments everywhere; only `rt` reads them.

use std::{ops, time::Duration};

/// Wall clock, milliseconds since 1970: record timestamps and retention only, never safety.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const NONE: Self = Self(-1);
}

/// Monotonic clock, milliseconds since the process (or the simulated world) started: deadlines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub u64);

impl ops::Add<Duration> for Millis {
    type Output = Self;
    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(later.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Millis {
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
