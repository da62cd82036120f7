//! Which log is compacted next, how far, and which of its segments become one. Facts go in, a decision comes out.
//!
//! ```text
//!   start        first dirty                first uncleanable            end
//!     |## clean ##|###### cleanable ##########|... not yet ...|. active .|
//! ```
//! Not yet: not acknowledged, inside a transaction, younger than `min.compaction.lag.ms`, or not *settled*: the journal may
//! still hold records of the segment and would put them where they were.
//!
//! As Apache Kafka decides, but for two things. A segment is cleaned as a whole or not at all, so the limit is always where
//! one begins. And index sizes are bounded by what their segments can need, because those of closed segments are not kept.

use model::{Offset, Timestamp};

use crate::index::{IndexLimits, RELATIVE_OFFSET_MAX};

/// What of a topic's configuration its compaction obeys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompactionConfig {
    /// `min.compaction.lag.ms`
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_lag_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_dirty_ratio: DirtyRatio,
}

/// A share of a log, never "not a number".
#[derive(Clone, Copy, Debug)]
pub struct DirtyRatio(f64);

impl DirtyRatio {
    /// What is no number counts as 1, so that nothing is dirty enough.
    pub fn new(ratio: f64) -> Self {
        Self(if ratio.is_nan() { 1.0 } else { ratio })
    }
}

impl PartialEq for DirtyRatio {
    fn eq(&self, other: &Self) -> bool {
        self.0.total_cmp(&other.0).is_eq()
    }
}

impl Eq for DirtyRatio {}

impl Default for CompactionConfig {
    fn default() -> Self {
        Self {
            min_lag_ms: 0,
            max_lag_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
            min_dirty_ratio: DirtyRatio(0.5),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentFacts {
    pub(crate) base: Offset,
    /// Where the next segment begins.
    pub(crate) next_base: Offset,
    pub(crate) bytes: u64,
    /// Closed, whole on stable storage, and nothing of it is in a journal that a start would believe.
    pub(crate) settled: bool,
    /// Of the first batch; `None` if nobody looked.
    pub(crate) first_timestamp: Option<Timestamp>,
    /// The same of the newest record.
    pub(crate) largest_timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LogFacts {
    /// The active one included, which is the last.
    pub(crate) segments: Vec<SegmentFacts>,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    /// Where the last pass ended, if there was one.
    pub(crate) cleaned_until: Option<Offset>,
    /// Everything below is acknowledged and in no open transaction.
    pub(crate) stable: Offset,
}

/// What of a log there is to clean.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Cleanable {
    pub(crate) first_dirty: Offset,
    /// Where a segment begins.
    pub(crate) first_uncleanable: Offset,
    pub(crate) clean_bytes: u64,
    pub(crate) cleanable_bytes: u64,
    /// Something dirty is older than `max.compaction.lag.ms`.
    pub(crate) overdue: bool,
}

impl LogFacts {
    /// Where the part begins that no pass has looked at. A mark outside the log is none: all of it counts as dirty.
    pub(crate) fn first_dirty(&self) -> Offset {
        self.cleaned_until.filter(|&offset| self.start <= offset && offset <= self.end).unwrap_or(self.start)
    }

    /// Closed segments with something that no pass has looked at.
    pub(crate) fn dirty_segments(&self) -> impl Iterator<Item = &SegmentFacts> {
        let first_dirty = self.first_dirty();
        self.closed().iter().filter(move |s| s.next_base > first_dirty)
    }

    fn closed(&self) -> &[SegmentFacts] {
        self.segments.split_last().map_or(&[], |(_, closed)| closed)
    }

    /// The same log after a checkpoint.
    pub(crate) fn once_settled(mut self) -> Self {
        self.segments.iter_mut().for_each(|segment| segment.settled = true);
        self
    }

    pub(crate) fn cleanable(&self, config: &CompactionConfig, now: Timestamp) -> Cleanable {
        let first_dirty = self.first_dirty();
        let first_uncleanable = self.first_uncleanable(config, now);
        let (mut clean_bytes, mut cleanable_bytes) = (0, 0);
        for segment in self.closed() {
            if segment.next_base <= first_dirty {
                clean_bytes += segment.bytes;
            } else if segment.next_base <= first_uncleanable {
                cleanable_bytes += segment.bytes;
            }
        }
        let overdue = self.is_overdue(config, now);
        Cleanable { first_dirty, first_uncleanable, clean_bytes, cleanable_bytes, overdue }
    }

    fn first_uncleanable(&self, config: &CompactionConfig, now: Timestamp) -> Offset {
        let first_dirty = self.first_dirty();
        let young_from = now.0.saturating_sub(config.min_lag_ms.max(0));
        let stops = |s: &SegmentFacts| {
            let young = config.min_lag_ms > 0
                && s.next_base > first_dirty
                && s.largest_timestamp.is_none_or(|newest| newest.0 > young_from);
            !s.settled || s.next_base > self.stable || young
        };
        let first = self.closed().iter().find(|s| stops(s));
        let active = self.segments.last().map_or(self.end, |s| s.base);
        first.map_or(active, |s| s.base)
    }

    fn is_overdue(&self, config: &CompactionConfig, now: Timestamp) -> bool {
        let until = now.0.saturating_sub(config.max_lag_ms.max(0));
        // As in Kafka a batch without a time is never late.
        let first_times = self.dirty_segments().filter_map(|s| s.first_timestamp).filter(|t| t.0 > 0);
        first_times.min().is_some_and(|earliest| earliest.0 < until)
    }
}

impl Cleanable {
    pub(crate) fn dirty_share(&self) -> f64 {
        let total = self.clean_bytes + self.cleanable_bytes;
        if total == 0 { 0.0 } else { self.cleanable_bytes as f64 / total as f64 }
    }

    pub(crate) fn is_due(&self, config: &CompactionConfig) -> bool {
        self.cleanable_bytes > 0 && (self.overdue || self.dirty_share() > config.min_dirty_ratio.0)
    }
}

/// Bounds of a segment that several become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupLimits {
    pub(crate) segment_bytes: u64,
    pub(crate) index: IndexLimits,
}

/// Neighbours that together are no larger than a segment may be, so that segments do not shrink away. As ranges of
/// positions, in order.
pub(crate) fn group(segments: &[SegmentFacts], limits: GroupLimits) -> Vec<std::ops::Range<usize>> {
    let mut groups = Vec::new();
    let mut first = 0;
    let mut bytes = 0;
    for (n, segment) in segments.iter().enumerate() {
        let joined = bytes + segment.bytes;
        let fits = joined <= limits.segment_bytes
            && index_bytes(joined, limits.index) <= u64::from(limits.index.index_bytes_max)
            // An empty one has no offsets to be told.
            && (segment.bytes == 0 || segment.next_base.0 - 1 - segments[first].base.0 <= RELATIVE_OFFSET_MAX);
        if n > first && !fits {
            groups.push(first..n);
            (first, bytes) = (n, 0);
        }
        bytes += segment.bytes;
    }
    if first < segments.len() {
        groups.push(first..segments.len());
    }
    groups
}

/// The most that the time index of so many bytes can take: it has the larger entries.
fn index_bytes(bytes: u64, limits: IndexLimits) -> u64 {
    const TIME_ENTRY_BYTES: u64 = 12;
    bytes / (u64::from(limits.interval_bytes) + 1) * TIME_ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Closed segments of 100 bytes and ten offsets each, and an active one.
    fn log(closed: i64) -> LogFacts {
        let segment = |n: i64| SegmentFacts {
            base: Offset(n * 10),
            next_base: Offset(n * 10 + 10),
            bytes: 100,
            settled: n < closed,
            first_timestamp: Some(Timestamp(1000 + n * 100)),
            largest_timestamp: Some(Timestamp(1090 + n * 100)),
        };
        let end = Offset(closed * 10 + 10);
        let segments = (0..=closed).map(segment).collect();
        LogFacts { segments, start: Offset(0), end, cleaned_until: None, stable: end }
    }

    fn check(
        facts: &LogFacts,
        config: CompactionConfig,
        now: i64,
        range: (i64, i64),
        bytes: (u64, u64),
        due: bool,
    ) {
        let got = facts.cleanable(&config, Timestamp(now));
        let what = format!("{facts:?} {config:?} at {now}: {got:?}");
        assert_eq!((got.first_dirty.0, got.first_uncleanable.0), range, "{what}");
        assert_eq!((got.clean_bytes, got.cleanable_bytes), bytes, "{what}");
        assert_eq!(got.is_due(&config), due, "{what}");
    }

    #[test]
    fn closed_segments_are_cleaned_once_enough_is_dirty() {
        let config = CompactionConfig::default();
        check(&log(0), config, 5000, (0, 0), (0, 0), false);
        check(&log(3), config, 5000, (0, 30), (0, 300), true);
        let cleaned = |until| LogFacts { cleaned_until: Some(Offset(until)), ..log(4) };
        check(&cleaned(40), config, 5000, (40, 40), (400, 0), false);
        check(&cleaned(30), config, 5000, (30, 40), (300, 100), false);
        // More than half, not half.
        check(&cleaned(20), config, 5000, (20, 40), (200, 200), false);
        check(&cleaned(10), config, 5000, (10, 40), (100, 300), true);
        // In the midst of a segment, where a key map was full.
        check(&cleaned(15), config, 5000, (15, 40), (100, 300), true);
        let eager = CompactionConfig { min_dirty_ratio: DirtyRatio::new(0.0), ..config };
        check(&cleaned(30), eager, 5000, (30, 40), (300, 100), true);
        check(&cleaned(40), eager, 5000, (40, 40), (400, 0), false);
        let never = CompactionConfig { min_dirty_ratio: DirtyRatio::new(f64::NAN), ..config };
        check(&log(3), never, 5000, (0, 30), (0, 300), false);
    }

    #[test]
    fn a_mark_outside_the_log_is_none() {
        let config = CompactionConfig::default();
        let with =
            |start, until| LogFacts { start: Offset(start), cleaned_until: Some(Offset(until)), ..log(3) };
        check(&with(12, 5), config, 5000, (12, 30), (100, 200), true);
        check(&with(12, 41), config, 5000, (12, 30), (100, 200), true);
        check(&with(12, 40), config, 5000, (40, 30), (300, 0), false);
    }

    #[test]
    fn what_may_still_change_is_left_alone() {
        let config = CompactionConfig::default();
        let mut facts = log(3);
        facts.stable = Offset(29);
        check(&facts, config, 5000, (0, 20), (0, 200), true);
        facts.stable = Offset(9);
        check(&facts, config, 5000, (0, 0), (0, 0), false);
        let mut facts = log(3);
        facts.segments[1].settled = false;
        check(&facts, config, 5000, (0, 10), (0, 100), true);
    }

    #[test]
    fn young_records_are_left_alone() {
        let lag = |min_lag_ms| CompactionConfig { min_lag_ms, ..CompactionConfig::default() };
        // The newest records of the three are at 1090, 1190 and 1290.
        check(&log(3), lag(100), 1390, (0, 30), (0, 300), true);
        check(&log(3), lag(101), 1390, (0, 20), (0, 200), true);
        check(&log(3), lag(201), 1390, (0, 10), (0, 100), true);
        check(&log(3), lag(301), 1390, (0, 0), (0, 0), false);
        let mut unknown = log(3);
        unknown.segments[0].largest_timestamp = None;
        check(&unknown, lag(100), 1390, (0, 0), (0, 0), false);
        check(&unknown, lag(0), 1390, (0, 30), (0, 300), true);
        // Of what is clean already nobody asks.
        unknown.cleaned_until = Some(Offset(10));
        check(&unknown, lag(100), 1390, (10, 30), (100, 200), true);
    }

    #[test]
    fn what_waited_too_long_is_due_however_little_it_is() {
        let lag = |max_lag_ms| CompactionConfig { max_lag_ms, ..CompactionConfig::default() };
        let mut facts = LogFacts { cleaned_until: Some(Offset(30)), ..log(4) };
        // The first batch of what is dirty is at 1300.
        check(&facts, lag(100), 1400, (30, 40), (300, 100), false);
        check(&facts, lag(99), 1400, (30, 40), (300, 100), true);
        facts.segments[3].first_timestamp = Some(Timestamp(0));
        check(&facts, lag(99), 1400, (30, 40), (300, 100), false);
        facts.segments[3].first_timestamp = None;
        check(&facts, lag(99), 1400, (30, 40), (300, 100), false);
        // Overdue, and nothing of it may be cleaned yet.
        let mut facts = LogFacts { cleaned_until: Some(Offset(30)), ..log(4) };
        facts.stable = Offset(39);
        check(&facts, lag(99), 1400, (30, 30), (300, 0), false);
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a group is a range, and there may be one")]
    fn neighbours_become_one_segment_while_they_fit() {
        fn check(bytes: &[u64], segment_bytes: u64, index: (u32, u32), expected: &[std::ops::Range<usize>]) {
            let mut facts = log(bytes.len() as i64).segments;
            facts.pop();
            facts.iter_mut().zip(bytes).for_each(|(s, &b)| s.bytes = b);
            let index = IndexLimits { interval_bytes: index.0, index_bytes_max: index.1 };
            assert_eq!(group(&facts, GroupLimits { segment_bytes, index }), expected, "{bytes:?}");
        }
        const ROOMY: (u32, u32) = (4096, 1 << 20);
        check(&[], 100, ROOMY, &[]);
        check(&[300], 100, ROOMY, &[0..1]);
        check(&[50, 50, 1, 99, 0, 1], 100, ROOMY, &[0..2, 2..5, 5..6]);
        check(&[300, 10, 300], 100, ROOMY, &[0..1, 1..2, 2..3]);
        check(&[0, 0, 0], 100, ROOMY, &[0..3]);
        check(&[100, 100, 100, 100], 1000, (9, 240), &[0..2, 2..4]);
    }

    #[test]
    fn a_group_spans_no_more_offsets_than_an_index_can_tell() {
        let mut facts = log(4).segments;
        facts.pop();
        facts[2].next_base = Offset(RELATIVE_OFFSET_MAX + 2);
        facts[3].base = facts[2].next_base;
        facts[3].next_base = facts[3].base + 10;
        let limits = GroupLimits {
            segment_bytes: 1000,
            index: IndexLimits { interval_bytes: 4096, index_bytes_max: 1 << 20 },
        };
        assert_eq!(group(&facts, limits), [0..2, 2..4]);
        facts[2].bytes = 0;
        assert_eq!(group(&facts, limits), [0..3, 3..4]);
    }
}
