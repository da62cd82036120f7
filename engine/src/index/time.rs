//! From a timestamp to an offset from which a scan will meet it. An entry says: no batch up to this offset has a
//! timestamp above this one. Holds no file; twelve big-endian bytes an entry, in memory as on disk.
//!
//! Between entries the index remembers the largest timestamp so far, because producers' clocks go backwards and an
//! entry is only written when its timestamp rises.

use model::{Offset, Timestamp};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I64, U32},
};

use super::{CorruptIndex, RELATIVE_OFFSET_MAX, relative_offset};

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
struct Entry {
    timestamp: I64,
    relative_offset: U32,
}

const ENTRY_BYTES: usize = 12;
const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

/// The largest timestamp up to an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimeIndex {
    base_offset: Offset,
    entries_max: usize,
    entries: Vec<Entry>,
    max: TimestampOffset,
}

impl TimeIndex {
    pub fn new(base_offset: Offset, index_bytes_max: u32) -> Self {
        let max = TimestampOffset { timestamp: Timestamp::NONE, offset: base_offset };
        Self { base_offset, entries_max: index_bytes_max as usize / ENTRY_BYTES, entries: vec![], max }
    }

    /// Believes the bytes of an index file only where each entry could have been written by `append`. Zeros at the
    /// end are preallocated space.
    pub fn from_bytes(base_offset: Offset, index_bytes_max: u32, bytes: &[u8]) -> Result<Self, CorruptIndex> {
        let size = CorruptIndex::Size { bytes: bytes.len(), entry_bytes: ENTRY_BYTES };
        let entries = <[Entry]>::ref_from_bytes(bytes).map_err(|_| size)?;
        let used = entries.iter().rposition(|e| e.as_bytes() != [0; ENTRY_BYTES]).map_or(0, |last| last + 1);
        let entries = &entries[..used];
        let mut before = (-1, 0);
        for (entry, e) in entries.iter().enumerate() {
            let (timestamp, offset) = (e.timestamp.get(), e.relative_offset.get());
            if i64::from(offset) > RELATIVE_OFFSET_MAX {
                return Err(CorruptIndex::Outside { entry });
            }
            if timestamp <= before.0 || offset < before.1 {
                return Err(CorruptIndex::Order { entry });
            }
            before = (timestamp, offset);
        }
        let mut index = Self { entries: entries.to_vec(), ..Self::new(base_offset, index_bytes_max) };
        index.max = index.last_entry();
        Ok(index)
    }

    /// Takes note of a batch by its largest timestamp and its last offset.
    pub fn observe(&mut self, max_timestamp: Timestamp, last_offset: Offset) {
        if max_timestamp > self.max.timestamp {
            self.max = TimestampOffset { timestamp: max_timestamp, offset: last_offset };
        }
    }

    /// Writes down the largest timestamp so far, if it is news. The last place is kept free for `seal`.
    pub fn append(&mut self) {
        if !self.is_full() {
            self.push_max();
        }
    }

    /// The segment is rolled or closed: its largest timestamp must stand in the index, because retention goes by it.
    pub fn seal(&mut self) {
        if self.entries.len() < self.entries_max {
            self.push_max();
        }
    }

    fn push_max(&mut self) {
        let last = self.last_entry();
        if self.max.timestamp <= last.timestamp {
            return;
        }
        assert!(self.max.offset >= last.offset, "{:?} after {last:?}", self.max);
        let relative =
            relative_offset(self.base_offset, self.max.offset).expect("the log rolls before overflow");
        self.entries.push(Entry { timestamp: self.max.timestamp.0.into(), relative_offset: relative.into() });
    }

    /// The last entry with a timestamp at or below the target, or "none, from the segment's start": every batch
    /// before the returned offset is older than the target, or as old.
    pub fn lookup(&self, timestamp: Timestamp) -> TimestampOffset {
        let count = self.entries.partition_point(|e| e.timestamp.get() <= timestamp.0);
        count.checked_sub(1).map_or(self.nothing(), |i| self.entry(i))
    }

    /// Forgets every entry at or above `offset`, and with them the largest timestamp: the caller observes the
    /// batches that are left behind the last entry.
    pub fn truncate_to(&mut self, offset: Offset) {
        let relative = offset.0.saturating_sub(self.base_offset.0);
        let keep = self.entries.partition_point(|e| i64::from(e.relative_offset.get()) < relative);
        self.entries.truncate(keep);
        self.max = self.last_entry();
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() + 1 >= self.entries_max
    }

    /// The largest timestamp observed and the last offset of its batch; `NONE` and the base offset before any.
    pub fn max(&self) -> TimestampOffset {
        self.max
    }

    /// The last entry written, `NONE` and the base offset before any.
    pub fn last_entry(&self) -> TimestampOffset {
        self.entries.len().checked_sub(1).map_or(self.nothing(), |i| self.entry(i))
    }

    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.entries.as_bytes()
    }

    fn nothing(&self) -> TimestampOffset {
        TimestampOffset { timestamp: Timestamp::NONE, offset: self.base_offset }
    }

    fn entry(&self, i: usize) -> TimestampOffset {
        let e = self.entries[i];
        let offset = self.base_offset + i64::from(e.relative_offset.get());
        TimestampOffset { timestamp: Timestamp(e.timestamp.get()), offset }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(base: i64, batches: &[(i64, i64)]) -> TimeIndex {
        let mut index = TimeIndex::new(Offset(base), 4096);
        for &(timestamp, offset) in batches {
            index.observe(Timestamp(timestamp), Offset(offset));
            index.append();
        }
        index
    }

    #[test]
    fn only_a_rising_timestamp_makes_an_entry() {
        fn check(batches: &[(i64, i64)], expected: &[(i64, i64)]) {
            let index = index(100, batches);
            let got: Vec<_> = (0..index.entry_count())
                .map(|i| index.entry(i))
                .map(|e| (e.timestamp.0, e.offset.0))
                .collect();
            assert_eq!(got, expected, "{batches:?}");
        }
        check(&[], &[]);
        check(&[(-1, 100)], &[]);
        check(&[(0, 100)], &[(0, 100)]);
        check(&[(50, 100), (50, 101), (40, 102), (51, 103)], &[(50, 100), (51, 103)]);
    }

    #[test]
    fn lookup_finds_the_entry_at_or_below() {
        fn check(timestamp: i64, expected: (i64, i64)) {
            let found = index(100, &[(50, 105), (60, 120)]).lookup(Timestamp(timestamp));
            assert_eq!((found.timestamp.0, found.offset.0), expected, "{timestamp}");
        }
        check(i64::MIN, (-1, 100));
        check(49, (-1, 100));
        check(50, (50, 105));
        check(59, (50, 105));
        check(60, (60, 120));
        check(i64::MAX, (60, 120));
    }

    #[test]
    fn the_last_place_is_kept_for_the_seal() {
        let mut index = TimeIndex::new(Offset(0), 24);
        for n in 1..4 {
            index.observe(Timestamp(n), Offset(n));
            index.append();
        }
        assert!(index.is_full());
        assert_eq!(index.last_entry().timestamp, Timestamp(1));
        index.seal();
        assert_eq!(index.last_entry().timestamp, Timestamp(3));
        index.seal();
        assert_eq!(index.entry_count(), 2);
    }

    #[test]
    fn truncation_forgets_the_largest_timestamp_behind_the_last_entry() {
        let mut index = index(100, &[(50, 105), (60, 120)]);
        index.observe(Timestamp(70), Offset(130));
        index.truncate_to(Offset(120));
        assert_eq!(index.max(), TimestampOffset { timestamp: Timestamp(50), offset: Offset(105) });
        index.truncate_to(Offset(0));
        assert_eq!(index.max(), TimestampOffset { timestamp: Timestamp::NONE, offset: Offset(100) });
    }

    #[test]
    fn the_bytes_are_kafkas() {
        assert_eq!(index(100, &[(258, 105)]).as_bytes(), [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 5]);
    }

    #[test]
    fn files_are_believed_only_when_they_could_be_ours() {
        fn check(entries: &[(i64, u32)], expected: Result<usize, CorruptIndex>) {
            let mut bytes = vec![];
            for (timestamp, offset) in entries {
                bytes.extend(timestamp.to_be_bytes());
                bytes.extend(offset.to_be_bytes());
            }
            let got = TimeIndex::from_bytes(Offset(7), 4096, &bytes).map(|i| i.entry_count());
            assert_eq!(got, expected, "{entries:?}");
        }
        check(&[], Ok(0));
        check(&[(5, 0), (6, 0), (7, 1)], Ok(3));
        check(&[(5, 0), (5, 1)], Err(CorruptIndex::Order { entry: 1 }));
        check(&[(5, 2), (6, 1)], Err(CorruptIndex::Order { entry: 1 }));
        check(&[(-1, 1)], Err(CorruptIndex::Order { entry: 0 }));
        check(&[(5, 0x8000_0000)], Err(CorruptIndex::Outside { entry: 0 }));
        check(&[(5, 1), (0, 0), (0, 0)], Ok(1));
        check(&[(5, 1), (0, 0), (6, 2)], Err(CorruptIndex::Order { entry: 1 }));
        let odd = TimeIndex::from_bytes(Offset(7), 4096, &[0; 13]);
        assert_eq!(odd, Err(CorruptIndex::Size { bytes: 13, entry_bytes: 12 }));
    }

    proptest! {
        #[test]
        fn files_come_back(
            base in 0i64..1000, batches in proptest::collection::vec((-1i64..99, 0i64..9), 0..40),
        ) {
            let mut offset = base;
            let batches: Vec<_> = batches.iter().map(|&(t, step)| { offset += step; (t, offset) }).collect();
            let index = index(base, &batches);
            // A lone (0, base) looks like preallocated space and is given up; a scan finds it again.
            prop_assume!(index.as_bytes() != [0; ENTRY_BYTES]);
            prop_assert_eq!(TimeIndex::from_bytes(Offset(base), 4096, index.as_bytes()).unwrap(), index);
        }

        #[test]
        fn foreign_bytes_never_panic(
            base in any::<i64>(), bytes in proptest::collection::vec(any::<u8>(), 0..200), target in any::<i64>(),
        ) {
            if let Ok(mut index) = TimeIndex::from_bytes(Offset(base / 2), 4096, &bytes) {
                index.lookup(Timestamp(target));
                index.truncate_to(Offset(target));
            }
        }
    }
}
