//! What the world alone knows to be true of each log: everything that was ever appended to it, and how much of that was
//! promised to survive.

use std::{collections::BTreeMap, rc::Rc};

use engine::Ends;
use model::{LeaderEpoch, Offset, Timestamp};

/// A batch as it stands in the log.
#[derive(Clone)]
pub struct GhostBatch {
    pub bytes: Rc<[u8]>,
    pub base: Offset,
    pub next: Offset,
    pub epoch: LeaderEpoch,
    /// Of each record.
    pub timestamps: Vec<Timestamp>,
    pub producer: Option<Sent>,
}

/// Whose batch it is, and which of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    pub id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
    pub count: i32,
}

impl Sent {
    /// The sequence that is due after it.
    pub fn next_sequence(&self) -> i32 {
        ((i64::from(self.base_sequence) + i64::from(self.count)) & i64::from(i32::MAX)) as i32
    }
}

#[derive(Clone, Default)]
pub struct GhostLog {
    /// The cluster's metadata knows it, so no crash takes it back.
    pub leader_epoch: LeaderEpoch,
    /// In order, from offset 0 on, those below the start included.
    pub batches: Vec<GhostBatch>,
    pub end: Offset,
    /// Everything below survives a power cut.
    pub durable: Offset,
    /// Everything below survives the death of the process.
    pub written: Offset,
    /// The start is at least this: a deletion up to here was answered.
    pub start_min: Offset,
    /// And at most this: a deletion up to here was asked for, or records up to here had their time.
    pub start_max: Offset,
    /// Of its records some may be gone, see `checkers::compacted`.
    pub compacted: bool,
    /// Or this, while somebody looks at what has had its time.
    pub retained_max: Offset,
    /// The last batch of each producer.
    pub producers: BTreeMap<i64, (Sent, Offset)>,
}

impl GhostLog {
    pub fn push(&mut self, batch: GhostBatch) {
        assert_eq!(batch.base, self.end, "offsets have no holes");
        self.end = batch.next;
        if let Some(sent) = batch.producer {
            self.producers.insert(sent.id, (sent, batch.base));
        }
        self.batches.push(batch);
    }

    /// Hears what the log says of itself: each of these is a promise.
    pub fn hear(&mut self, ends: &Ends) {
        self.durable = self.durable.max(ends.durable);
        self.written = self.written.max(ends.written).max(ends.durable);
    }

    /// The batches from the one that holds `offset` on.
    pub fn from(&self, offset: Offset) -> &[GhostBatch] {
        &self.batches[self.batches.partition_point(|b| b.next <= offset)..]
    }

    /// A crash took everything from `end` on. What is left was found on the disk, so it stays.
    pub fn settle(&mut self, start: Offset, end: Offset) {
        self.batches.truncate(self.batches.partition_point(|b| b.next <= end));
        // A log whose records are all deleted may begin behind what a crash left of it.
        self.end = end;
        (self.durable, self.written) = (end, end);
        (self.start_min, self.start_max, self.retained_max) = (start, start, Offset::ZERO);
        self.producers.clear();
        for batch in &self.batches {
            if let Some(sent) = batch.producer {
                self.producers.insert(sent.id, (sent, batch.base));
            }
        }
    }
}
