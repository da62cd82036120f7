//! The two sparse indexes of one segment, in Kafka's formats: by offset and by timestamp. Pure arithmetic; a segment
//! on its owner's shard holds them in memory and writes `as_bytes` beside the log.
//!
//! ```text
//!   .index      (relative offset u32, position u32)*     last offset of a batch, where that batch begins
//!   .timeindex  (timestamp i64, relative offset u32)*    largest timestamp so far, last offset of its batch
//! ```
//! An index is a hint: it is checked before it is believed, it can always be rebuilt by walking the segment, and a
//! missing entry costs a longer scan, never an answer.

use model::{BatchHeader, Offset};

pub mod offset;
pub mod time;

pub use offset::{OffsetIndex, OffsetPosition};
pub use time::{TimeIndex, TimestampOffset};

/// Offsets within a segment are stored relative to its base and are signed in Kafka.
pub const RELATIVE_OFFSET_MAX: i64 = i32::MAX as i64;

/// Why the bytes of an index file are not used. The caller rebuilds the index from its segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CorruptIndex {
    #[error("{bytes} bytes are not a whole number of {entry_bytes}-byte entries")]
    Size { bytes: usize, entry_bytes: usize },
    #[error("entry {entry} does not rise above the one before it")]
    Order { entry: usize },
    #[error("entry {entry} points outside its segment")]
    Outside { entry: usize },
}

/// `index.interval.bytes` and `segment.index.bytes`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexLimits {
    pub interval_bytes: u32,
    pub index_bytes_max: u32,
}

/// Says which batches get an entry: the first that begins more than the interval behind the last one that did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexInterval {
    interval_bytes: u32,
    since_entry_bytes: u64,
}

impl IndexInterval {
    pub fn new(interval_bytes: u32) -> Self {
        Self { interval_bytes, since_entry_bytes: 0 }
    }

    /// Called once for each batch in log order: does it get an entry?
    pub fn step(&mut self, batch_bytes: u32) -> bool {
        let due = self.since_entry_bytes > u64::from(self.interval_bytes);
        if due {
            self.since_entry_bytes = 0;
        }
        self.since_entry_bytes += u64::from(batch_bytes);
        due
    }

    pub fn reset(&mut self) {
        self.since_entry_bytes = 0;
    }
}

/// Both indexes of a segment, fed batch by batch: by an append, and by a scan that rebuilds them, with the same result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentIndexes {
    pub offset: OffsetIndex,
    pub time: TimeIndex,
    interval: IndexInterval,
}

impl SegmentIndexes {
    pub fn new(base_offset: Offset, limits: IndexLimits) -> Self {
        Self::of(
            OffsetIndex::new(base_offset, limits.index_bytes_max),
            TimeIndex::new(base_offset, limits.index_bytes_max),
            limits,
        )
    }

    /// Takes indexes that were read from files. The largest timestamp behind the last time entry is not known from
    /// the file: `time.observe` every batch from `offset.lookup(time.last_entry().offset)` on.
    pub fn of(offset: OffsetIndex, time: TimeIndex, limits: IndexLimits) -> Self {
        Self { offset, time, interval: IndexInterval::new(limits.interval_bytes) }
    }

    /// Takes note of the batch that begins at `position`. Its base offset is the one assigned by the log.
    pub fn append(&mut self, header: &BatchHeader, position: u32, batch_bytes: u32) {
        let last_offset = header.last_offset();
        self.time.observe(header.max_timestamp(), last_offset);
        if self.interval.step(batch_bytes) {
            self.offset.append(last_offset, position);
            self.time.append();
        }
    }

    /// Forgets every entry at or above `offset`. What `of` says of the largest timestamp holds here as well.
    pub fn truncate_to(&mut self, offset: Offset) {
        self.offset.truncate_to(offset);
        self.time.truncate_to(offset);
        self.interval.reset();
    }

    /// The segment is rolled or cleanly closed: its largest timestamp becomes the last time entry.
    pub fn seal(&mut self) {
        self.time.seal();
    }

    /// Time to roll, whatever the segment's size.
    pub fn is_full(&self) -> bool {
        self.offset.is_full() || self.time.is_full()
    }
}

/// `offset` relative to `base_offset`, if a segment with that base may hold it.
pub(crate) fn relative_offset(base_offset: Offset, offset: Offset) -> Option<u32> {
    let relative = offset.0.checked_sub(base_offset.0)?;
    if relative > RELATIVE_OFFSET_MAX { None } else { u32::try_from(relative).ok() }
}

#[cfg(test)]
mod tests {
    use model::batch::record::{Producer, batch_of};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_batch_gets_an_entry_when_more_than_the_interval_lies_before_it() {
        fn check(interval_bytes: u32, batches: &[u32], expected: &[bool]) {
            let mut interval = IndexInterval::new(interval_bytes);
            let got: Vec<bool> = batches.iter().map(|&bytes| interval.step(bytes)).collect();
            assert_eq!(got, expected, "interval {interval_bytes}, batches {batches:?}");
        }
        check(100, &[60, 60, 60, 60, 60], &[false, false, true, false, true]);
        check(100, &[100, 1, 1], &[false, false, true]);
        check(100, &[5000, 5000, 5000], &[false, true, true]);
        check(0, &[1, 1, 1], &[false, true, true]);
    }

    #[test]
    fn offsets_that_no_entry_can_hold_are_refused() {
        fn check(base: i64, offset: i64, expected: Option<u32>) {
            assert_eq!(relative_offset(Offset(base), Offset(offset)), expected, "{base} {offset}");
        }
        check(0, 0, Some(0));
        check(10, 9, None);
        check(10, 10 + RELATIVE_OFFSET_MAX, Some(i32::MAX as u32));
        check(10, 11 + RELATIVE_OFFSET_MAX, None);
        check(i64::MIN, i64::MAX, None);
    }

    /// What the indexes must answer, told by looking at every batch.
    struct Batch {
        header: BatchHeader,
        position: u32,
    }

    fn segment(base: i64, batches: &[(i64, u8)], limits: IndexLimits) -> (SegmentIndexes, Vec<Batch>) {
        let mut indexes = SegmentIndexes::new(Offset(base), limits);
        let (mut next, mut position) = (base, 0u32);
        let mut written = vec![];
        for &(timestamp, count) in batches {
            let values = vec![&b"v"[..]; usize::from(count)];
            let bytes = batch_of(next, timestamp, Producer::NONE, &values);
            let header = BatchHeader::read(&bytes).unwrap();
            indexes.append(&header, position, bytes.len() as u32);
            written.push(Batch { header, position });
            next += i64::from(count);
            position += bytes.len() as u32;
        }
        (indexes, written)
    }

    proptest! {
        #[test]
        fn a_scan_from_the_hint_never_misses(
            base in 0i64..1000, interval_bytes in 0u32..400, sealed in any::<bool>(),
            batches in proptest::collection::vec((0i64..40, 1u8..5), 1..60),
            index_bytes_max in 0u32..400,
        ) {
            let limits = IndexLimits { interval_bytes, index_bytes_max };
            let (mut indexes, written) = segment(base, &batches, limits);
            if sealed { indexes.seal(); }
            for batch in &written {
                for offset in batch.header.base_offset().0..=batch.header.last_offset().0 {
                    // The hint lies at or before the batch that holds the offset, and at a batch's beginning.
                    let found = indexes.offset.lookup(Offset(offset));
                    prop_assert!(found.position <= batch.position);
                    prop_assert!(written.iter().any(|b| b.position == found.position));
                }
            }
            for target in -1..41 {
                let first = written.iter().find(|b| b.header.max_timestamp().0 >= target);
                let start = indexes.time.lookup(model::Timestamp(target)).offset;
                if let Some(first) = first {
                    prop_assert!(start <= first.header.last_offset());
                }
            }
        }

        #[test]
        fn truncation_loses_only_what_it_must(
            base in 0i64..1000, interval_bytes in 0u32..400, cut in 0usize..60,
            batches in proptest::collection::vec((0i64..40, 1u8..5), 1..60),
        ) {
            let limits = IndexLimits { interval_bytes, index_bytes_max: 4096 };
            let cut = cut.min(batches.len());
            let (mut all, written) = segment(base, &batches, limits);
            let (kept, _) = segment(base, &batches[..cut], limits);
            let end = written.get(cut).map_or(Offset(i64::MAX), |b| b.header.base_offset());
            all.truncate_to(end);
            let from = all.offset.lookup(all.time.last_entry().offset).position;
            for batch in written.iter().take(cut).filter(|b| b.position >= from) {
                all.time.observe(batch.header.max_timestamp(), batch.header.last_offset());
            }
            prop_assert_eq!(all.offset, kept.offset);
            // The time index may keep an entry more: written late, it names an early batch.
            prop_assert_eq!(all.time.max(), kept.time.max());
            prop_assert!(all.time.entry_count() >= kept.time.entry_count());
        }
    }
}
