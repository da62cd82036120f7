//! The two clocks that handlers read, as a value: tests and the simulator bring their own.

use model::{Millis, Timestamp};

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    now: fn() -> Millis,
    wall: fn() -> Timestamp,
}

impl Clock {
    pub fn new(now: fn() -> Millis, wall: fn() -> Timestamp) -> Self {
        Self { now, wall }
    }

    pub fn system() -> Self {
        Self::new(rt::timer::now, rt::timer::wall)
    }

    /// Monotonic: deadlines.
    pub fn now(&self) -> Millis {
        (self.now)()
    }

    /// Wall clock: timestamps of records.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }
}
