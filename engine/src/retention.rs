//! Which segments of a log have had their time: Kafka's rules, decided from numbers alone. Oldest first, each rule up to
//! the first segment that it keeps, and never anything that a reader of the high watermark has not been able to see.
//!
//! ```text
//!   1. below the start     the next segment begins at or below the log's start (DeleteRecords moved it)
//!   2. by size             what is left without the segment is still `retention.bytes` or more
//!   3. by time             its largest timestamp is more than `retention.ms` ago
//! ```
//! The active segment goes by size and time as others do, so that the last records of a quiet topic go too: whoever
//! carries the decision out begins a new segment first. An empty one stays.

use model::{Offset, Timestamp};

/// What of a topic's configuration decides here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// `cleanup.policy` has `delete`: without it only the log's start counts.
    pub delete: bool,
    /// `retention.ms`; none: records do not age.
    pub ms: Option<i64>,
    /// `retention.bytes`; none: a log may have any size.
    pub bytes: Option<u64>,
}

/// A segment as the rules see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFacts {
    /// Where the next segment begins, or the log ends.
    pub next: Offset,
    pub bytes: u64,
    /// Of its records, or when they were written if they have none. `None` while nobody has looked.
    pub largest_timestamp: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    Keep,
    /// The oldest segments, so many, go; perhaps all.
    Drop(usize),
    /// The largest timestamp of this segment must be known first.
    Look(usize),
}

impl Retention {
    /// Looks at the segments of a log, oldest first, that begins at `start`; `high` is its high watermark.
    pub fn decide(
        &self,
        segments: impl ExactSizeIterator<Item = SegmentFacts> + Clone,
        start: Offset,
        high: Offset,
        now: Timestamp,
    ) -> Decision {
        let count = segments.len();
        let mut left: u64 = segments.clone().map(|segment| segment.bytes).sum();
        let may_go = |&(i, segment): &(usize, SegmentFacts)| {
            segment.next <= high && (i + 1 < count || segment.bytes > 0)
        };
        let mut rest = segments.enumerate().take_while(may_go).peekable();
        let mut dropped = 0;
        while let Some((_, segment)) = rest.next_if(|(i, s)| i + 1 < count && s.next <= start) {
            left -= segment.bytes;
            dropped += 1;
        }
        if let Some(limit) = self.bytes.filter(|_| self.delete) {
            while let Some((_, segment)) = rest.next_if(|(_, s)| left - s.bytes >= limit) {
                left -= segment.bytes;
                dropped += 1;
            }
        }
        if let Some(limit) = self.ms.filter(|_| self.delete) {
            while let Some(&(i, segment)) = rest.peek() {
                let Some(largest) = segment.largest_timestamp else { return Decision::Look(i) };
                if now.0.saturating_sub(largest.0) <= limit {
                    break;
                }
                rest.next();
                dropped += 1;
            }
        }
        if dropped > 0 { Decision::Drop(dropped) } else { Decision::Keep }
    }
}

#[cfg(test)]
mod tests;
