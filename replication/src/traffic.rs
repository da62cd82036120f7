//! What went into a partition. What goes out of it is counted where the answer leaves.

use std::ops::AddAssign;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    pub records_in: u64,
    pub bytes_in: u64,
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, more: Self) {
        self.records_in += more.records_in;
        self.bytes_in += more.bytes_in;
    }
}
