//! The clocks that handlers read, as a value: tests and the simulator bring their own.

use std::time::Duration;

use model::{Millis, Timestamp};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: fn() -> Millis,
    wall: fn() -> Timestamp,
    fine: fn() -> Duration,
}

impl Clock {
    pub fn new(now: fn() -> Millis, wall: fn() -> Timestamp, fine: fn() -> Duration) -> Self {
        Self { now, wall, fine }
    }

    pub fn system() -> Self {
        Self::new(rt::timer::now, rt::timer::wall, rt::timer::elapsed)
    }

    /// Monotonic: deadlines.
    pub fn now(&self) -> Millis {
        (self.now)()
    }

    /// Monotonic and fine: what work takes.
    pub fn fine(&self) -> Duration {
        (self.fine)()
    }

    /// Wall clock: timestamps of records.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }
}
