//! What one log remembers of its idempotent and transactional producers, so that a retry is answered and not appended
//! again. Lives with its log on the owner's shard. Time is an argument; files are in `snapshot`.
//!
//! The state says nothing that the log does not: it is a fold over the batch headers, a snapshot only shortens it, and
//! whoever finds a snapshot corrupt folds again from an earlier one (`replay`).
//!
//! Unlike Apache Kafka, a producer expires by when it was last seen here, not by the timestamps that it chose for its
//! records: a replay of old data keeps its protection.

use std::collections::{BTreeMap, BTreeSet};

use model::{BatchError, BatchHeader, Offset, ProducerEpoch, ProducerId, Timestamp};

mod active;
pub mod snapshot;
#[cfg(test)]
mod tests;

use crate::records::EndMarker;
pub use active::ActiveProducer;
pub use snapshot::CorruptSnapshot;
use snapshot::SnapshotEntry;

/// Retries of this many batches are recognised, as clients have at most five requests in flight.
pub const BATCHES_REMEMBERED: usize = 5;
/// Producers that one log remembers, some 300 bytes each. Beyond it the one longest unseen goes, as if expired.
pub const PRODUCERS_MAX: usize = 16_384;

const NO_SEQUENCE: i32 = -1;
const NO_COORDINATOR_EPOCH: i32 = -1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerLimits {
    /// `producer.id.expiration.ms`
    pub expiration_ms: i64,
    pub producers_max: usize,
}

impl Default for ProducerLimits {
    fn default() -> Self {
        Self { expiration_ms: 86_400_000, producers_max: PRODUCERS_MAX }
    }
}

/// May a batch be appended?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Append,
    /// It is in the log already: answer with these.
    Duplicate {
        base_offset: Offset,
        last_offset: Offset,
        timestamp: Timestamp,
    },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER
    OutOfOrder {
        expected: i32,
    },
    /// INVALID_PRODUCER_EPOCH
    StaleEpoch {
        current: ProducerEpoch,
    },
    /// INVALID_TXN_STATE: a plain write in the middle of a transaction
    InTransaction,
    /// Every producer that could be forgotten for this one has a transaction open.
    TooManyProducers,
}

/// A transaction that a marker has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompletedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// Of the marker.
    pub last_offset: Offset,
    pub committed: bool,
    /// Where the first transaction begins that is open still, or the offset behind the marker.
    pub last_stable_offset: Offset,
}

/// A batch as far as a retry of it must be recognised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct SentBatch {
    last_sequence: i32,
    offset_delta: i32,
    last_offset: Offset,
    timestamp: Timestamp,
}

impl SentBatch {
    const NONE: Self = Self {
        last_sequence: NO_SEQUENCE,
        offset_delta: 0,
        last_offset: Offset::NONE,
        timestamp: Timestamp::NONE,
    };

    fn base_offset(&self) -> Offset {
        Offset(self.last_offset.0.saturating_sub(i64::from(self.offset_delta)))
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct ProducerState {
    epoch: ProducerEpoch,
    coordinator_epoch: i32,
    /// Kafka's, from the records; stands in snapshots.
    last_timestamp: Timestamp,
    /// Ours, by the broker's clock; decides when to forget.
    seen: Timestamp,
    open_transaction: Option<Offset>,
    /// Oldest first, all of `epoch`.
    batches: [SentBatch; BATCHES_REMEMBERED],
    batch_count: usize,
}

impl ProducerState {
    fn new(epoch: ProducerEpoch, now: Timestamp) -> Self {
        Self {
            epoch,
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            last_timestamp: Timestamp::NONE,
            seen: now,
            open_transaction: None,
            batches: [SentBatch::NONE; BATCHES_REMEMBERED],
            batch_count: 0,
        }
    }

    fn batches(&self) -> &[SentBatch] {
        &self.batches[..self.batch_count]
    }

    fn last_sequence(&self) -> i32 {
        self.batches().last().map_or(NO_SEQUENCE, |b| b.last_sequence)
    }

    fn enter_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batch_count = 0;
        }
    }

    fn remember(&mut self, batch: SentBatch) {
        if self.batch_count == BATCHES_REMEMBERED {
            self.batches.rotate_left(1);
            self.batch_count -= 1;
        }
        self.batches[self.batch_count] = batch;
        self.batch_count += 1;
    }
}

/// All producers of one log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProducerStates {
    limits: ProducerLimits,
    producers: BTreeMap<ProducerId, ProducerState>,
    /// Producers without an open transaction, longest unseen first: these may be forgotten.
    idle: BTreeSet<(Timestamp, ProducerId)>,
    /// First offsets of open transactions.
    open: BTreeSet<(Offset, ProducerId)>,
    map_end: Offset,
}

impl ProducerStates {
    /// Knows no producer, of a log that is looked at from `log_start` on.
    pub fn new(limits: ProducerLimits, log_start: Offset) -> Self {
        assert!(limits.producers_max > 0);
        Self {
            limits,
            producers: BTreeMap::new(),
            idle: BTreeSet::new(),
            open: BTreeSet::new(),
            map_end: log_start,
        }
    }

    /// What a leader does with a client's batch. Checks nothing of what `validate_produce` has checked; a batch
    /// without producer id is none of its business, one without sequence (a coordinator's) is checked by epoch only.
    pub fn check(&self, header: &BatchHeader) -> Verdict {
        if !header.has_producer() {
            return Verdict::Append;
        }
        let Some(state) = self.producers.get(&header.producer_id()) else {
            return self.check_unknown();
        };
        if let Some(batch) = find_duplicate(state, header) {
            let (base_offset, last_offset) = (batch.base_offset(), batch.last_offset);
            return Verdict::Duplicate { base_offset, last_offset, timestamp: batch.timestamp };
        }
        if header.producer_epoch() < state.epoch {
            return Verdict::StaleEpoch { current: state.epoch };
        }
        let expected = expected_sequence(state, header.producer_epoch());
        let sequence = header.base_sequence.get();
        if sequence >= 0 && sequence != expected {
            return Verdict::OutOfOrder { expected };
        }
        if state.open_transaction.is_some() && !header.is_transactional() {
            return Verdict::InTransaction;
        }
        Verdict::Append
    }

    /// With no state (retention, DeleteRecords, expiry) any first sequence will do.
    fn check_unknown(&self) -> Verdict {
        let full = self.producers.len() >= self.limits.producers_max && self.idle.is_empty();
        if full { Verdict::TooManyProducers } else { Verdict::Append }
    }

    /// The batch has its place in the log, at `base_offset`. Told of every data batch in log order, those without
    /// producer too; the header's timestamps are the ones that stand in the log.
    pub fn applied(&mut self, header: &BatchHeader, base_offset: Offset, now: Timestamp) {
        let offset_delta = header.last_offset_delta.get();
        let last_offset = Offset(base_offset.0.saturating_add(i64::from(offset_delta)));
        self.advance_to(Offset(last_offset.0.saturating_add(1)));
        if !header.has_producer() {
            return;
        }
        let batch = SentBatch {
            last_sequence: last_sequence(header),
            offset_delta,
            last_offset,
            timestamp: header.max_timestamp(),
        };
        let (epoch, transactional) = (header.producer_epoch(), header.is_transactional());
        self.update(header.producer_id(), epoch, now, |state| {
            state.remember(batch);
            state.last_timestamp = batch.timestamp;
            if transactional && state.open_transaction.is_none() {
                state.open_transaction = Some(base_offset);
            }
        });
    }

    /// A control batch has its place in the log. Only an end marker's own transaction is touched.
    pub fn marked(
        &mut self,
        header: &BatchHeader,
        offset: Offset,
        marker: EndMarker,
        now: Timestamp,
    ) -> Option<CompletedTransaction> {
        self.advance_to(Offset(offset.0.saturating_add(1)));
        if !header.has_producer() {
            return None;
        }
        let producer_id = header.producer_id();
        let mut first_offset = None;
        self.update(producer_id, header.producer_epoch(), now, |state| {
            first_offset = state.open_transaction.take();
            state.coordinator_epoch = marker.coordinator_epoch;
            state.last_timestamp = header.max_timestamp();
        });
        let last_stable_offset = self.first_open_offset().unwrap_or(self.map_end);
        let committed = marker.committed;
        first_offset.map(|first_offset| CompletedTransaction {
            producer_id,
            first_offset,
            last_offset: offset,
            committed,
            last_stable_offset,
        })
    }

    /// The same fold over batches as they stand in the log, in order, without a verdict: for recovery and followers.
    /// `payload` is looked at only if the batch is a control batch.
    pub fn replay(
        &mut self,
        header: &BatchHeader,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<Option<CompletedTransaction>, BatchError> {
        if !header.is_control() {
            self.applied(header, header.base_offset(), now);
            return Ok(None);
        }
        let marker = EndMarker::read(header, payload)?;
        self.advance_to(header.next_offset());
        // Another kind of control batch, or one that compaction has emptied: nothing is left to end.
        Ok(marker.and_then(|marker| self.marked(header, header.base_offset(), marker, now)))
    }

    fn update(
        &mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        now: Timestamp,
        change: impl FnOnce(&mut ProducerState),
    ) {
        let mut state = self.remove(id).unwrap_or_else(|| ProducerState::new(epoch, now));
        state.enter_epoch(epoch);
        state.seen = now;
        change(&mut state);
        self.insert(id, state);
    }

    fn insert(&mut self, id: ProducerId, state: ProducerState) {
        if self.producers.len() >= self.limits.producers_max
            && let Some(&(_, oldest)) = self.idle.first()
        {
            self.remove(oldest);
        }
        match state.open_transaction {
            Some(offset) => self.open.insert((offset, id)),
            None => self.idle.insert((state.seen, id)),
        };
        let before = self.producers.insert(id, state);
        assert!(before.is_none(), "producer {id} stood in the map");
        assert_eq!(self.producers.len(), self.idle.len() + self.open.len());
    }

    fn remove(&mut self, id: ProducerId) -> Option<ProducerState> {
        let state = self.producers.remove(&id)?;
        let found = match state.open_transaction {
            Some(offset) => self.open.remove(&(offset, id)),
            None => self.idle.remove(&(state.seen, id)),
        };
        assert!(found, "producer {id} stood in neither order");
        Some(state)
    }

    /// Forgets the producers not seen for `producer.id.expiration.ms` and says how many. Open transactions keep
    /// theirs alive.
    pub fn expire(&mut self, now: Timestamp) -> usize {
        let before = self.producers.len();
        while let Some(&(seen, id)) = self.idle.first() {
            if now.0.saturating_sub(seen.0) < self.limits.expiration_ms {
                break;
            }
            self.remove(id);
        }
        before - self.producers.len()
    }

    /// The offset behind the last batch that is folded in; also moved when the log's start overtakes it.
    pub fn advance_to(&mut self, offset: Offset) {
        self.map_end = self.map_end.max(offset);
    }

    /// Names the snapshot file that `snapshot` would fill.
    pub fn map_end(&self) -> Offset {
        self.map_end
    }

    /// Where the first open transaction begins: the last stable offset does not pass it.
    pub fn first_open_offset(&self) -> Option<Offset> {
        self.open.first().map(|&(offset, _)| offset)
    }

    /// Is this batch the one that says where its producer is, or the one that would say it if a crash took everything from
    /// `durable` on? Then compaction leaves its header, and of a producer of which nothing below is remembered every one.
    pub(crate) fn holds_sequence(&self, header: &BatchHeader, durable: Offset) -> bool {
        if !header.has_producer() {
            return false;
        }
        let Some(state) = self.producers.get(&header.producer_id()) else { return false };
        let Some(last) = state.batches().last() else {
            return header.is_control() && header.producer_epoch() == state.epoch;
        };
        let safe = state.batches().iter().rfind(|batch| batch.last_offset < durable);
        last.last_offset == header.last_offset()
            || safe.is_none_or(|safe| safe.last_offset == header.last_offset())
    }

    /// Of a log that was cut, made anew from what is left of it: when each was seen is known from before the cut.
    pub(crate) fn with_times_of(mut self, before: &Self) -> Self {
        self.limits = before.limits;
        let ids: Vec<ProducerId> = self.producers.keys().copied().collect();
        for id in ids {
            let Some(mut state) = self.remove(id) else { continue };
            // Whom nobody remembered was forgotten in time.
            if let Some(known) = before.producers.get(&id) {
                state.seen = known.seen;
                self.insert(id, state);
            }
        }
        self
    }

    pub fn producer_count(&self) -> usize {
        self.producers.len()
    }

    pub fn set_expiration_ms(&mut self, expiration_ms: i64) {
        self.limits.expiration_ms = expiration_ms;
    }

    /// The bytes of a `.snapshot` file: the last batch of each producer, by producer id.
    pub fn snapshot(&self) -> Vec<u8> {
        let entries = self.producers.iter().map(|(&id, state)| {
            let last = state.batches().last().unwrap_or(&SentBatch::NONE);
            SnapshotEntry {
                producer_id: id.0.into(),
                epoch: state.epoch.0.into(),
                last_sequence: last.last_sequence.into(),
                last_offset: last.last_offset.0.into(),
                offset_delta: last.offset_delta.into(),
                timestamp: state.last_timestamp.0.into(),
                coordinator_epoch: state.coordinator_epoch.into(),
                first_open_offset: state.open_transaction.unwrap_or(Offset::NONE).0.into(),
            }
        });
        snapshot::write(entries)
    }

    /// The state as of `map_end`, the offset in the file's name. Of each producer only the last batch is known again,
    /// and it counts as seen now.
    pub fn from_snapshot(
        bytes: &[u8],
        map_end: Offset,
        limits: ProducerLimits,
        now: Timestamp,
    ) -> Result<Self, CorruptSnapshot> {
        let mut entries = snapshot::read(bytes)?.to_vec();
        entries.sort_by_key(|e| e.producer_id.get());
        if let Some(twice) = entries.windows(2).find(|w| w[0].producer_id == w[1].producer_id) {
            return Err(CorruptSnapshot::Conflict { producer_id: ProducerId(twice[0].producer_id.get()) });
        }
        // Kafka keeps no bound: of more than are remembered here, the newest stay, and whoever is in a transaction.
        entries.sort_by_key(|e| e.timestamp.get());
        let mut surplus = entries.len().saturating_sub(limits.producers_max);
        entries.retain(|e| {
            let goes = surplus > 0 && e.first_open_offset.get() < 0;
            surplus -= usize::from(goes);
            !goes
        });
        let mut states = Self::new(limits, map_end);
        for entry in entries {
            states.insert(ProducerId(entry.producer_id.get()), from_entry(&entry, now));
        }
        Ok(states)
    }
}

fn from_entry(entry: &SnapshotEntry, now: Timestamp) -> ProducerState {
    let mut state = ProducerState::new(ProducerEpoch(entry.epoch.get()), now);
    state.coordinator_epoch = entry.coordinator_epoch.get();
    state.last_timestamp = Timestamp(entry.timestamp.get());
    state.open_transaction = Some(Offset(entry.first_open_offset.get())).filter(|o| *o >= Offset::ZERO);
    if entry.last_offset.get() >= 0 {
        state.remember(SentBatch {
            last_sequence: entry.last_sequence.get(),
            offset_delta: entry.offset_delta.get(),
            last_offset: Offset(entry.last_offset.get()),
            timestamp: state.last_timestamp,
        });
    }
    state
}

fn find_duplicate<'a>(state: &'a ProducerState, header: &BatchHeader) -> Option<&'a SentBatch> {
    if header.producer_epoch() != state.epoch || header.base_sequence.get() < 0 {
        return None;
    }
    // One end and the same number of records: the other end is the same.
    let (last, delta) = (last_sequence(header), header.last_offset_delta.get());
    state.batches().iter().find(|b| b.last_sequence == last && b.offset_delta == delta)
}

/// The next sequence of a producer: a new epoch begins at 0, and 0 follows 2147483647.
fn expected_sequence(state: &ProducerState, epoch: ProducerEpoch) -> i32 {
    match state.last_sequence() {
        _ if epoch > state.epoch => 0,
        i32::MAX => 0,
        last => last + 1,
    }
}

fn last_sequence(header: &BatchHeader) -> i32 {
    let base = header.base_sequence.get();
    if base < 0 {
        return NO_SEQUENCE;
    }
    let last = i64::from(base) + i64::from(header.last_offset_delta.get().max(0));
    // 2147483647 is followed by 0, so the ring has 2^31 places.
    (last & i64::from(i32::MAX)) as i32
}
