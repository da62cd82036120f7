//! The part of the log that followers may still need, in memory: from the last snapshot to the end.
//!
//! ```text
//!      snapshot      entries                                  a position is a place between entries,
//!   ------------+---------+-----+-----------+-----+           together with the epoch of the entry before it
//!             start       |     |           |    end
//!               |<- hw ----------->|  durable ->|
//! ```
//! Positions are offsets, as everywhere: an entry is a batch, and covers as many offsets as it has records.

use std::{collections::VecDeque, sync::Arc};

use model::{LeaderEpoch, Offset};

use super::quorum::Voters;

/// Everything before `offset`, the last of it written in `epoch`. Two logs that share a position are equal before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    pub offset: Offset,
    pub epoch: LeaderEpoch,
}

impl Position {
    /// Raft section 5.4.1: the later epoch, then the longer log. Committed entries are in every log that is no less.
    pub(super) fn is_up_to_date_with(self, other: Self) -> bool {
        (self.epoch, self.offset) >= (other.epoch, other.offset)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    Records {
        bytes: Arc<[u8]>,
        count: u32,
    },
    /// The first entry of an epoch: what earlier epochs left is committed with it (Raft section 5.4.2).
    LeaderChange,
    Voters(Voters),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub base: Offset,
    pub epoch: LeaderEpoch,
    pub payload: Payload,
}

impl Entry {
    pub fn next(&self) -> Offset {
        let count = match &self.payload {
            Payload::Records { count, .. } => i64::from(*count),
            Payload::LeaderChange | Payload::Voters(_) => 1,
        };
        Offset(self.base.0.saturating_add(count))
    }

    pub fn end(&self) -> Position {
        Position { offset: self.next(), epoch: self.epoch }
    }

    fn bytes(&self) -> usize {
        match &self.payload {
            Payload::Records { bytes, .. } => bytes.len(),
            Payload::LeaderChange | Payload::Voters(_) => 100,
        }
    }
}

/// Names one append to the disk, rising.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct PersistId(pub u64);

#[derive(Clone, Debug)]
pub struct Log {
    start: Position,
    voters_at_start: Voters,
    entries: VecDeque<Entry>,
    /// Up to where this broker's disk has it.
    durable: Offset,
    /// Appends on their way to the disk, and where they end.
    persisting: VecDeque<(PersistId, Offset)>,
    last_persist: PersistId,
}

impl Log {
    /// A log read from the disk.
    pub fn new(start: Position, voters: Voters, entries: Vec<Entry>) -> Self {
        let mut log = Self {
            start,
            voters_at_start: voters,
            entries: VecDeque::new(),
            durable: start.offset,
            persisting: VecDeque::new(),
            last_persist: PersistId(0),
        };
        for entry in entries {
            log.push(entry);
        }
        log.durable = log.end().offset;
        log
    }

    pub fn start(&self) -> Position {
        self.start
    }

    pub fn end(&self) -> Position {
        self.entries.back().map_or(self.start, Entry::end)
    }

    pub fn durable(&self) -> Offset {
        self.durable
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Whole entries between two positions.
    pub fn range(&self, from: Offset, until: Offset) -> impl Iterator<Item = &Entry> {
        let first = self.entries.partition_point(|entry| entry.base < from);
        self.entries.range(first..).take_while(move |entry| entry.next() <= until)
    }

    /// Those that hold: the last in the log, committed or not (Raft section 4.1), and where they were written.
    pub fn voters(&self) -> (Offset, &Voters) {
        self.voters_from_last().next().expect("the start has some")
    }

    /// Those of the last change below an offset.
    pub(super) fn voters_below(&self, offset: Offset) -> &Voters {
        let mut voters = self.voters_from_last();
        voters.find(|(written, _)| *written < offset).map_or(&self.voters_at_start, |(_, voters)| voters)
    }

    /// Those before the last change, if the change is at or behind an offset.
    pub(super) fn voters_before_change(&self, from: Offset) -> Option<&Voters> {
        let mut voters = self.voters_from_last();
        let (written, _) = voters.next()?;
        voters.next().filter(|_| written >= from).map(|(_, voters)| voters)
    }

    fn voters_from_last(&self) -> impl Iterator<Item = (Offset, &Voters)> {
        let written = self.entries.iter().rev().filter_map(|entry| match &entry.payload {
            Payload::Voters(voters) => Some((entry.base, voters)),
            _ => None,
        });
        written.chain([(self.start.offset, &self.voters_at_start)])
    }

    /// The epoch before an offset, if an entry ends there.
    pub(super) fn epoch_before(&self, offset: Offset) -> Option<LeaderEpoch> {
        let position = self.floor(offset)?;
        (position.offset == offset).then_some(position.epoch)
    }

    /// The last position that is not behind an offset: nothing below the start.
    pub(super) fn floor(&self, offset: Offset) -> Option<Position> {
        if offset < self.start.offset {
            return None;
        }
        let ended = self.entries.partition_point(|entry| entry.next() <= offset);
        Some(ended.checked_sub(1).map_or(self.start, |last| self.entries[last].end()))
    }

    /// Where the last entry of an epoch no later than this one ends: the most that two logs may share, seen from one.
    pub(super) fn end_of_epoch(&self, epoch: LeaderEpoch) -> Position {
        let ended = self.entries.partition_point(|entry| entry.epoch <= epoch);
        ended.checked_sub(1).map_or(self.start, |last| self.entries[last].end())
    }

    /// Entries from a position on, at least one if there is one.
    pub(super) fn from(&self, offset: Offset, bytes_max: usize) -> Vec<Entry> {
        let mut bytes = 0;
        let first = self.entries.partition_point(|entry| entry.base < offset);
        let wanted = self.entries.range(first..).take_while(|entry| {
            let fits = bytes == 0 || bytes + entry.bytes() <= bytes_max;
            bytes += entry.bytes();
            fits
        });
        wanted.cloned().collect()
    }

    fn push(&mut self, entry: Entry) {
        let end = self.end();
        assert_eq!(entry.base, end.offset, "entries leave no gap");
        assert!(entry.epoch >= end.epoch, "epochs rise along the log");
        self.entries.push_back(entry);
    }

    /// The id to wait for.
    pub(super) fn append(&mut self, entries: impl IntoIterator<Item = Entry>) -> PersistId {
        for entry in entries {
            self.push(entry);
        }
        self.last_persist.0 += 1;
        self.persisting.push_back((self.last_persist, self.end().offset));
        self.last_persist
    }

    /// What is still on its way to the disk beyond that point will not count when it arrives.
    pub(super) fn truncate(&mut self, to: Offset) {
        assert!(self.epoch_before(to).is_some(), "a log is cut between entries");
        while self.entries.back().is_some_and(|entry| entry.next() > to) {
            self.entries.pop_back();
        }
        self.durable = self.durable.min(to);
        for (_, end) in &mut self.persisting {
            *end = (*end).min(to);
        }
    }

    /// Whether the durable end moved.
    pub(super) fn persisted(&mut self, up_to: PersistId) -> bool {
        let before = self.durable;
        while let Some(&(id, end)) = self.persisting.front()
            && id <= up_to
        {
            self.durable = self.durable.max(end);
            self.persisting.pop_front();
        }
        self.durable > before
    }

    /// Entries before a position are in a snapshot, and go.
    pub(super) fn drop_before(&mut self, offset: Offset) {
        assert!(offset <= self.durable);
        while let Some(entry) = self.entries.front()
            && entry.next() <= offset
        {
            if let Payload::Voters(voters) = &entry.payload {
                self.voters_at_start = voters.clone();
            }
            self.start = entry.end();
            self.entries.pop_front();
        }
    }

    /// All of it is another's snapshot now, and on the disk.
    pub(super) fn replace(&mut self, start: Position, voters: Voters) {
        self.entries.clear();
        self.persisting.clear();
        (self.start, self.voters_at_start, self.durable) = (start, voters, start.offset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The disk was still writing what has been cut since: that it arrives says nothing of what is there now.
    #[test]
    fn what_was_cut_does_not_become_durable() {
        let entry = |base, epoch| Entry {
            base: Offset(base),
            epoch: LeaderEpoch(epoch),
            payload: Payload::LeaderChange,
        };
        let mut log = Log::new(Position::default(), Voters::default(), Vec::new());
        let first = log.append([entry(0, 1), entry(1, 1), entry(2, 1)]);
        log.truncate(Offset(1));
        let second = log.append([entry(1, 2), entry(2, 2), entry(3, 2)]);
        assert!(log.persisted(first));
        assert_eq!(log.durable(), Offset(1));
        assert!(log.persisted(second));
        assert_eq!(log.durable(), Offset(4));
    }
}
