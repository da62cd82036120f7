//! Which leader epoch began where, for one log: `leader-epoch-checkpoint`. A follower that comes back asks its leader
//! where an epoch ended and cuts its own log there, so a wrong answer here loses or keeps records that it must not.
//! Lives with its log on the owner's shard; writes nothing itself.
//!
//! ```text
//!   epochs        2          5                  7
//!   offsets   |---+----------+------------------+-------| log end
//!             0   10         40                 90      120
//!   epoch 2 ended at 40, epoch 5 at 90, epoch 7 at the log's end; 3 and 4 wrote nothing, so they "ended" at 40 as 2
//! ```

use model::{LeaderEpoch, Offset};

use crate::checkpoint::{CheckpointProblem, MalformedCheckpoint, read_entries, write_entries};

pub const LEADER_EPOCH_FILE: &str = "leader-epoch-checkpoint";
/// Elections that one log remembers. Beyond that the oldest is forgotten, and a replica that asks for it is told to
/// cut at the start of the next: too much, never too little.
pub const EPOCHS_MAX: usize = 100_000;

/// The first offset that an epoch wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochStart {
    pub epoch: LeaderEpoch,
    pub start_offset: Offset,
}

/// Up to where an epoch wrote: the answer to OffsetForLeaderEpoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EpochEnd {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

impl EpochEnd {
    pub const UNKNOWN: Self = Self { epoch: LeaderEpoch::NONE, end_offset: Offset::NONE };
}

/// Epochs and their starts, both strictly rising.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EpochCache {
    starts: Vec<EpochStart>,
}

impl EpochCache {
    pub fn read(bytes: &[u8]) -> Result<Self, MalformedCheckpoint> {
        // A file that a crash cut inside its last number would read well.
        if !bytes.ends_with(b"\n") {
            let line = bytes.split(|&b| b == b'\n').count();
            return Err(MalformedCheckpoint { line, problem: CheckpointProblem::Truncated });
        }
        let mut starts: Vec<EpochStart> = vec![];
        read_entries(bytes, EPOCHS_MAX, |fields| {
            let [epoch, start_offset] = fields else { return Err(CheckpointProblem::Entry) };
            let epoch = epoch.parse::<i32>().ok().filter(|e| *e >= 0).ok_or(CheckpointProblem::Entry)?;
            let offset =
                start_offset.parse::<i64>().ok().filter(|o| *o >= 0).ok_or(CheckpointProblem::Entry)?;
            let start = EpochStart { epoch: LeaderEpoch(epoch), start_offset: Offset(offset) };
            if starts.last().is_some_and(|l| l.epoch >= start.epoch || l.start_offset >= start.start_offset) {
                return Err(CheckpointProblem::Conflict);
            }
            starts.push(start);
            Ok(())
        })?;
        Ok(Self { starts })
    }

    pub fn write(&self) -> Vec<u8> {
        write_entries(self.starts.iter().map(|s| format!("{} {}", s.epoch, s.start_offset)))
    }

    /// A leader of `epoch` appends at `start_offset`. Whatever contradicts it goes: the log is what this leader says.
    /// True if the cache changed and its file must be written.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        assert!(epoch.0 >= 0, "epoch {epoch}");
        assert!(start_offset.0 >= 0, "offset {start_offset}");
        if self.latest().is_some_and(|l| l.epoch == epoch && l.start_offset <= start_offset) {
            return false;
        }
        while self.latest().is_some_and(|l| l.epoch >= epoch || l.start_offset >= start_offset) {
            self.starts.pop();
        }
        if self.starts.len() == EPOCHS_MAX {
            self.starts.remove(0);
        }
        self.starts.push(EpochStart { epoch, start_offset });
        true
    }

    /// Where the largest epoch at or below the one asked for ended, as Kafka answers it:
    /// the latest epoch ends at the log's end; a future one is unknown; one before all known ones ends where those
    /// begin.
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end: Offset) -> EpochEnd {
        if epoch == LeaderEpoch::NONE {
            return EpochEnd::UNKNOWN;
        }
        if self.latest().is_some_and(|l| l.epoch == epoch) {
            return EpochEnd { epoch, end_offset: log_end };
        }
        let next = self.starts.partition_point(|s| s.epoch <= epoch);
        let Some(higher) = self.starts.get(next) else { return EpochEnd::UNKNOWN };
        let floor = next.checked_sub(1).map_or(epoch, |i| self.starts[i].epoch);
        EpochEnd { epoch: floor, end_offset: higher.start_offset }
    }

    /// The epoch that wrote `offset`, if it is remembered.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        let count = self.starts.partition_point(|s| s.start_offset <= offset);
        count.checked_sub(1).map(|i| self.starts[i].epoch)
    }

    /// The log now ends at `end_offset`. True if the cache changed.
    pub fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let keep = self.starts.partition_point(|s| s.start_offset < end_offset);
        let changed = keep < self.starts.len();
        self.starts.truncate(keep);
        changed
    }

    /// The log now begins at `start_offset`: the epoch in force there begins there. True if the cache changed.
    pub fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let count = self.starts.partition_point(|s| s.start_offset <= start_offset);
        let Some(last) = count.checked_sub(1) else { return false };
        if last == 0 && self.starts[0].start_offset == start_offset {
            return false;
        }
        self.starts.drain(..last);
        self.starts[0].start_offset = start_offset;
        true
    }

    pub fn clear(&mut self) {
        self.starts.clear();
    }

    pub fn latest(&self) -> Option<EpochStart> {
        self.starts.last().copied()
    }

    pub fn earliest(&self) -> Option<EpochStart> {
        self.starts.first().copied()
    }

    pub fn entries(&self) -> &[EpochStart] {
        &self.starts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cache(starts: &[(i32, i64)]) -> EpochCache {
        let mut cache = EpochCache::default();
        for &(epoch, offset) in starts {
            cache.assign(LeaderEpoch(epoch), Offset(offset));
        }
        cache
    }

    fn pairs(cache: &EpochCache) -> Vec<(i32, i64)> {
        cache.entries().iter().map(|s| (s.epoch.0, s.start_offset.0)).collect()
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        fn check(epoch: i32, expected: (i32, i64)) {
            let end = cache(&[(2, 10), (5, 40), (7, 90)]).end_offset_for(LeaderEpoch(epoch), Offset(120));
            assert_eq!((end.epoch.0, end.end_offset.0), expected, "epoch {epoch}");
        }
        check(-1, (-1, -1));
        check(0, (0, 10));
        check(1, (1, 10));
        check(2, (2, 40));
        check(3, (2, 40));
        check(4, (2, 40));
        check(5, (5, 90));
        check(6, (5, 90));
        check(7, (7, 120));
        check(8, (-1, -1));
        let empty = EpochCache::default().end_offset_for(LeaderEpoch(0), Offset(120));
        assert_eq!(empty, EpochEnd::UNKNOWN);
    }

    #[test]
    fn what_contradicts_a_new_epoch_goes() {
        fn check(epoch: i32, offset: i64, expected: &[(i32, i64)]) {
            let mut cache = cache(&[(2, 10), (5, 40), (7, 90)]);
            let before = cache.clone();
            let changed = cache.assign(LeaderEpoch(epoch), Offset(offset));
            assert_eq!(pairs(&cache), expected, "assign {epoch} {offset}");
            assert_eq!(changed, cache != before);
        }
        check(8, 100, &[(2, 10), (5, 40), (7, 90), (8, 100)]);
        check(7, 95, &[(2, 10), (5, 40), (7, 90)]);
        check(7, 90, &[(2, 10), (5, 40), (7, 90)]);
        // The epoch before wrote nothing.
        check(8, 90, &[(2, 10), (5, 40), (8, 90)]);
        check(7, 80, &[(2, 10), (5, 40), (7, 80)]);
        check(8, 10, &[(8, 10)]);
        check(6, 100, &[(2, 10), (5, 40), (6, 100)]);
        check(0, 0, &[(0, 0)]);
    }

    #[test]
    fn truncation_moves_the_ends() {
        fn check(start: i64, end: i64, expected: &[(i32, i64)]) {
            let mut cache = cache(&[(2, 10), (5, 40), (7, 90)]);
            let before = cache.clone();
            let from_end = cache.truncate_from_end(Offset(end));
            let from_start = cache.truncate_from_start(Offset(start));
            assert_eq!(pairs(&cache), expected, "start {start}, end {end}");
            assert_eq!(from_end || from_start, cache != before);
        }
        check(0, 200, &[(2, 10), (5, 40), (7, 90)]);
        check(10, 91, &[(2, 10), (5, 40), (7, 90)]);
        check(0, 90, &[(2, 10), (5, 40)]);
        check(0, 10, &[]);
        check(11, 200, &[(2, 11), (5, 40), (7, 90)]);
        check(40, 200, &[(5, 40), (7, 90)]);
        check(100, 200, &[(7, 100)]);
    }

    #[test]
    fn offsets_know_their_epoch() {
        let cache = cache(&[(2, 10), (5, 40)]);
        let epochs: Vec<_> =
            [9, 10, 39, 40, 99].iter().map(|&o| cache.epoch_for(Offset(o)).map(|e| e.0)).collect();
        assert_eq!(epochs, [None, Some(2), Some(2), Some(5), Some(5)]);
    }

    #[test]
    fn kafkas_text_is_read_and_written() {
        let text = b"0\n2\n2 10\n5 40\n";
        assert_eq!(EpochCache::read(text).unwrap(), cache(&[(2, 10), (5, 40)]));
        assert_eq!(cache(&[(2, 10), (5, 40)]).write(), text);
        fn check(text: &str, expected: (usize, CheckpointProblem)) {
            let error = EpochCache::read(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.problem), expected, "{text:?}");
        }
        check("0\n2\n2 10\n2 40\n", (4, CheckpointProblem::Conflict));
        check("0\n2\n2 10\n5 10\n", (4, CheckpointProblem::Conflict));
        check("0\n1\n-1 10\n", (3, CheckpointProblem::Entry));
        check("0\n1\n1 10 3\n", (3, CheckpointProblem::Entry));
    }

    proptest! {
        /// The oracle remembers the epoch of every single offset, as the records themselves do.
        #[test]
        fn answers_agree_with_the_records(
            runs in proptest::collection::vec((1i32..4, 1i64..6), 1..12), asked in 0i32..30,
            start in 0i64..20, end in 0i64..60,
        ) {
            let (mut cache, mut log, mut epoch) = (EpochCache::default(), vec![], 0);
            for (step, count) in runs {
                epoch += step;
                cache.assign(LeaderEpoch(epoch), Offset(log.len() as i64));
                log.extend(std::iter::repeat_n(epoch, count as usize));
            }
            let end = end.min(log.len() as i64);
            let start = start.min(end);
            cache.truncate_from_end(Offset(end));
            if start < end { cache.truncate_from_start(Offset(start)); }
            log.truncate(end as usize);
            let live = if start < end { &log[start as usize..] } else { &log[..] };
            let base = if start < end { start } else { 0 };

            let naive = match live.iter().rposition(|&e| e <= asked) {
                _ if live.iter().all(|&e| e < asked) => (-1, -1),
                None => (asked, base),
                Some(last) => (live[last], base + last as i64 + 1),
            };
            let got = cache.end_offset_for(LeaderEpoch(asked), Offset(end));
            prop_assert_eq!((got.epoch.0, got.end_offset.0), naive);
            for (i, &e) in live.iter().enumerate() {
                prop_assert_eq!(cache.epoch_for(Offset(base + i as i64)), Some(LeaderEpoch(e)));
            }
            prop_assert_eq!(EpochCache::read(&cache.write()).unwrap(), cache);
        }

        #[test]
        fn starts_always_rise(assigned in proptest::collection::vec((0i32..9, 0i64..30), 0..30)) {
            let cache = cache(&assigned);
            prop_assert!(cache.entries().windows(2).all(|w| w[0].epoch < w[1].epoch && w[0].start_offset < w[1].start_offset));
            if let Some(&(epoch, _)) = assigned.last() {
                prop_assert_eq!(cache.latest().unwrap().epoch.0, epoch);
            }
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = EpochCache::read(&bytes);
        }
    }
}
