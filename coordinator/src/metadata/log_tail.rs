//! Which entries of a log on the disk follow the snapshot beside it. Most logs begin in the snapshot or at its end and go on
//! behind it. But the snapshot of another broker is durable before the log it replaces is gone, and a crash between the two
//! leaves a log with another past: nothing of it is committed behind the snapshot, so all of it goes.
//!
//! ```text
//!   snapshot    |-------------------->E
//!   its own log        |--|-----|-----|---|--|        a batch ends at E, in E's epoch: what follows, follows
//!   another            |--|-----|--------|---|        none does
//! ```

use super::batches::BadBatch;
use crate::raft::{Entry, Position};

/// Asked about every entry of the log, in order.
#[derive(Clone, Copy, Debug)]
pub struct LogTail {
    start: Position,
    end: Position,
    is_other: bool,
}

impl LogTail {
    /// `start`: where the snapshot ends; the default without one.
    pub fn new(start: Position) -> Self {
        Self { start, end: start, is_other: false }
    }

    /// Whether the entry follows what is there. If not, the snapshot has it, or the log is another one.
    pub fn takes(&mut self, entry: &Entry) -> Result<bool, BadBatch> {
        let end = entry.end();
        if end.offset <= self.start.offset {
            self.is_other |= end.offset == self.start.offset && end.epoch != self.start.epoch;
            return Ok(false);
        }
        if self.end == self.start {
            self.is_other |= entry.base < self.start.offset || entry.epoch < self.start.epoch;
        }
        if self.is_other {
            return Ok(false);
        }
        if entry.base != self.end.offset || entry.epoch < self.end.epoch {
            return Err(BadBatch::Gap { end: self.end.offset, base: entry.base });
        }
        self.end = end;
        Ok(true)
    }

    /// All of the log must go: it has not the past that the snapshot has.
    pub fn is_other(&self) -> bool {
        self.is_other
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{LeaderEpoch, Offset};

    use super::*;
    use crate::raft::Payload;

    /// Entries as (base, records, epoch); which of them follow, and whether the log is another one.
    fn check(start: (i64, i32), entries: &[(i64, u32, i32)], follow: &[i64], is_other: bool) {
        let mut tail = LogTail::new(Position { offset: Offset(start.0), epoch: LeaderEpoch(start.1) });
        let mut taken = vec![];
        for &(base, count, epoch) in entries {
            let payload = Payload::Records { bytes: Arc::from([]), count };
            let entry = Entry { base: Offset(base), epoch: LeaderEpoch(epoch), payload };
            if tail.takes(&entry).unwrap() {
                taken.push(base);
            }
        }
        assert_eq!((&taken[..], tail.is_other()), (follow, is_other), "{start:?} {entries:?}");
    }

    #[test]
    fn a_log_goes_on_behind_its_snapshot() {
        check((0, 0), &[(0, 1, 1), (1, 3, 1), (4, 1, 2)], &[0, 1, 4], false);
        check((4, 1), &[(0, 1, 1), (1, 3, 1), (4, 1, 2), (5, 2, 2)], &[4, 5], false);
        check((4, 1), &[(4, 1, 1), (5, 1, 2)], &[4, 5], false);
        check((4, 1), &[(0, 1, 1), (1, 3, 1)], &[], false);
        check((4, 1), &[(0, 1, 1)], &[], false);
        check((4, 1), &[], &[], false);
    }

    #[test]
    fn a_log_with_another_past_goes_whole() {
        // In epoch 2 the entries at 1 were replaced by others.
        check((4, 2), &[(0, 1, 1), (1, 3, 1), (4, 1, 1)], &[], true);
        check((4, 2), &[(0, 1, 1), (1, 3, 1)], &[], true);
        check((4, 2), &[(0, 1, 1), (1, 3, 3), (4, 1, 3)], &[], true);
        // A batch lies across the end of the snapshot.
        check((4, 2), &[(0, 1, 1), (1, 5, 1)], &[], true);
        check((4, 2), &[(0, 1, 1), (1, 5, 1), (6, 1, 1)], &[], true);
        check((4, 2), &[(4, 1, 1)], &[], true);
    }

    #[test]
    fn a_log_with_a_gap_is_damaged() {
        let entry = |base, epoch| Entry {
            base: Offset(base),
            epoch: LeaderEpoch(epoch),
            payload: Payload::LeaderChange,
        };
        for (first, second) in [(entry(0, 1), entry(2, 1)), (entry(0, 2), entry(1, 1))] {
            let mut tail = LogTail::new(Position::default());
            assert!(tail.takes(&first).unwrap());
            assert!(matches!(tail.takes(&second), Err(BadBatch::Gap { .. })));
        }
        assert!(LogTail::new(Position::default()).takes(&entry(1, 1)).is_err());
    }
}
