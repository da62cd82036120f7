//! What a log knows of its compaction, and the one moment in which a compacted segment takes the place of others.

use model::Offset;

use super::{Log, LogConfig, LogState, segment::Segment};
use crate::compaction::plan::{LogFacts, SegmentFacts};

/// How far a log is compacted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cleaning {
    /// Where the last pass ended. A mark of 0 says that one began.
    pub(crate) until: Option<Offset>,
    /// A pass may have taken batches out of it, now or in an earlier life: offsets rise, and need not follow each other.
    pub(crate) may_have_holes: bool,
    /// A batch of a leader has left a gap.
    pub(crate) has_gap: bool,
    /// The mark was written in this life: a start knows that there may be holes.
    pub(crate) is_told: bool,
    /// Its data is corrupt: no further pass until the next start.
    pub(crate) set_aside: bool,
    /// Rises whenever a file takes the place of another.
    pub(crate) edition: u64,
}

impl Cleaning {
    pub(crate) fn of(config: LogConfig, until: Option<Offset>) -> Self {
        let may_have_holes = until.is_some() || config.compaction.is_some();
        Self { until, may_have_holes, has_gap: false, is_told: false, set_aside: false, edition: 0 }
    }

    /// What a start must be told of this log: also that there is a gap, which is as if a pass had begun.
    pub(crate) fn mark(&self) -> Option<Offset> {
        self.until.or(self.has_gap.then_some(Offset::ZERO))
    }

    /// There is a gap, and a start would take it for a loss.
    pub(crate) fn must_be_told(&self) -> bool {
        self.has_gap && !self.is_told
    }
}

/// A segment that a pass reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    pub(crate) base: Offset,
    /// Where the segment behind it begins.
    pub(crate) next_base: Offset,
    pub(crate) bytes: u64,
    pub(crate) edition: u64,
}

impl<F: Clone> LogState<F> {
    /// The position of a segment, if it is still the same file.
    pub(crate) fn segment_of_edition(&self, base: Offset, edition: u64) -> Option<usize> {
        let i = self.segments.binary_search_by_key(&base, |s| s.base).ok()?;
        (self.segments[i].edition == edition).then_some(i)
    }

    /// One that no segment has, where there is no such segment.
    pub(crate) fn edition_of(&self, base: Offset) -> u64 {
        let i = self.segments.binary_search_by_key(&base, |s| s.base);
        i.map_or(u64::MAX, |i| self.segments[i].edition)
    }

    pub(crate) fn facts(&self) -> LogFacts {
        let next_bases = self.segments.iter().skip(1).map(|s| s.base).chain([self.ends.end]);
        let segments = self.segments.iter().zip(next_bases).enumerate();
        let segment_facts = |(i, (segment, next_base)): (usize, (&Segment<F>, Offset))| SegmentFacts {
            base: segment.base,
            next_base,
            bytes: segment.bytes,
            settled: self.is_settled(i) && next_base <= self.point_on_disk,
            first_timestamp: segment.first_timestamp,
            largest_timestamp: segment.largest_timestamp,
        };
        let open = self.producers.first_open_offset().unwrap_or(Offset(i64::MAX));
        LogFacts {
            segments: segments.map(segment_facts).collect(),
            start: self.ends.start,
            end: self.ends.end,
            cleaned_until: self.cleaning.until,
            stable: self.ends.acknowledged.min(self.ends.durable).min(open).min(self.committed),
        }
    }

    pub(crate) fn sources_below(&self, limit: Offset) -> Vec<Source> {
        let pairs = self.segments.iter().zip(self.segments.iter().skip(1));
        let below = pairs.take_while(|(_, next)| next.base <= limit);
        below
            .map(|(s, next)| Source {
                base: s.base,
                next_base: next.base,
                bytes: s.bytes,
                edition: s.edition,
            })
            .collect()
    }

    /// Are these still the log's segments, side by side?
    pub(crate) fn has(&self, sources: &[Source]) -> bool {
        let Some(first) = sources.first() else { return false };
        let Some(i) = self.segment_of_edition(first.base, first.edition) else { return false };
        let segments = self.segments.iter().skip(i);
        i + sources.len() < self.segments.len()
            && sources
                .iter()
                .zip(segments)
                .all(|(source, s)| (source.base, source.edition) == (s.base, s.edition))
    }

    /// The compacted segment is in the place of its sources from now on: readers find it, and what they hold of the others
    /// stays good until they look again.
    pub(crate) fn replace(&mut self, sources: &[Source], mut segment: Segment<F>) {
        assert!(self.has(sources), "the sources are still there");
        assert_eq!(segment.base, sources[0].base);
        self.cleaning.edition += 1;
        segment.edition = self.cleaning.edition;
        let i = self.segments.partition_point(|s| s.base < segment.base);
        self.tail.drop_segments(sources[0].base, sources[sources.len() - 1].base);
        self.segments.drain(i..i + sources.len());
        self.segments.insert(i, segment);
    }
}

impl<F: Clone + 'static> Log<F> {
    /// The compacted segment has its name: its file may be closed and opened again.
    pub(crate) fn replaced(&self, base: Offset) {
        let mut state = self.state.borrow_mut();
        if let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) {
            let segment = &mut state.segments[i];
            segment.replacing = false;
            (segment.file, segment.indexes) = (None, None);
        }
    }
}
