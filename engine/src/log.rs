//! One partition's log on one shard: append, read, trim. It decides where bytes go; the store decides when they are
//! committed, and nobody but `write_out` touches the segment files of a running log.
//!
//! Appending is not async: when it returns, offset and order are fixed, and the bytes are in a page that is at once
//! journal source, segment source and cache.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    path::PathBuf,
    rc::{Rc, Weak},
};

use model::{
    BatchHeader, ErrorCode, LeaderEpoch, Offset, Timestamp, TimestampType, TopicPartition,
    batch::{Crc32c, HEADER_BYTES},
};
use rt::pages::PagePool;
use zerocopy::IntoBytes;

use crate::{
    compaction::CompactionConfig,
    epochs::{EpochCache, EpochEnd},
    index::{IndexLimits, relative_offset},
    producers::{ActiveProducer, ProducerStates, Verdict},
    records,
    retention::Retention,
};

pub(crate) mod cleaning;
pub(crate) mod cut;
pub(crate) mod expiry;
pub(crate) mod lifecycle;
pub(crate) mod open;
pub(crate) mod read;
mod replica;
pub(crate) mod segment;
pub(crate) mod tail;
pub(crate) mod write_out;

use cleaning::Cleaning;
use segment::Segment;
use tail::{Slices, Tail};

/// When a produce may be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Durability {
    /// On stable storage.
    #[default]
    Flushed,
    /// The device has it; a power cut may take it.
    Written,
    /// Appended in memory; written later.
    Memory,
}

/// What of a topic's configuration the log itself obeys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogConfig {
    pub durability: Durability,
    pub segment_bytes: u64,
    pub segment_ms: i64,
    /// Taken off `segment_ms`, up to so much, so that logs do not all roll at once.
    pub segment_jitter_ms: i64,
    pub retention: Retention,
    /// How long the files of a dropped segment stay.
    pub file_delete_delay_ms: i64,
    pub index: IndexLimits,
    pub timestamp_type: TimestampType,
    /// `None`: the topic is not compacted.
    pub compaction: Option<CompactionConfig>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Flushed,
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            // Who says nothing loses nothing.
            retention: Retention::default(),
            file_delete_delay_ms: 60_000,
            index: IndexLimits { interval_bytes: 4096, index_bytes_max: 10 << 20 },
            timestamp_type: TimestampType::CreateTime,
            compaction: None,
        }
    }
}

impl LogConfig {
    /// Age at which a segment is left behind. Only closed ones are compacted, so `max.compaction.lag.ms` is one too.
    fn roll_ms(&self) -> i64 {
        let lag = self.compaction.map(|compaction| compaction.max_lag_ms).filter(|&lag| lag > 0);
        lag.map_or(self.segment_ms, |lag| lag.min(self.segment_ms))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    pub base_offset: Offset,
    /// Answer acks once the log is acknowledged up to here.
    pub next_offset: Offset,
    /// Set only where the topic stamps records itself.
    pub log_append_time: Timestamp,
    /// The batch was there already (a producer's retry).
    pub duplicate: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AppendError {
    #[error("the log is offline: its disk failed, is full, or its data is corrupt")]
    Offline,
    #[error("no memory page is free")]
    NoRoom,
    #[error("the batch is larger than a segment")]
    LargerThanSegment,
    #[error("the producer's sequence leaves a gap")]
    OutOfOrderSequence,
    #[error("the producer's epoch is old")]
    StaleProducerEpoch,
    #[error("the producer has a transaction open")]
    InTransaction,
    #[error("the batch is malformed")]
    Malformed,
    #[error("the log has no offsets left")]
    OutOfOffsets,
    #[error("the leader's batch begins below the log's end")]
    BelowEnd,
    #[error("the leader's batch is of an older epoch than the log")]
    OlderEpoch,
    #[error("the leader's batch leaves a gap that no segment spans")]
    GapTooLarge,
}

impl AppendError {
    pub fn code(self) -> ErrorCode {
        match self {
            Self::Offline | Self::NoRoom | Self::OutOfOffsets => ErrorCode::KafkaStorageError,
            Self::LargerThanSegment => ErrorCode::RecordListTooLarge,
            Self::OutOfOrderSequence => ErrorCode::OutOfOrderSequenceNumber,
            Self::StaleProducerEpoch => ErrorCode::InvalidProducerEpoch,
            Self::InTransaction => ErrorCode::InvalidTxnState,
            Self::Malformed => ErrorCode::InvalidRecord,
            Self::BelowEnd | Self::GapTooLarge => ErrorCode::OffsetOutOfRange,
            Self::OlderEpoch => ErrorCode::FencedLeaderEpoch,
        }
    }
}

/// A batch that waits for its commit.
pub(crate) struct Pending {
    pub(crate) segment_base: Offset,
    pub(crate) position: u32,
    pub(crate) bytes: u32,
    /// Where the log ended before it: its base offset, or less if it is a replica's that leaves a gap.
    pub(crate) follows: Offset,
    pub(crate) next_offset: Offset,
    pub(crate) leader_epoch: LeaderEpoch,
    pub(crate) slices: Slices,
}

/// How far a log is safe. Each moves forward only, but where a follower's log is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ends {
    pub start: Offset,
    /// Next offset to be given.
    pub end: Offset,
    /// The device has everything below.
    pub written: Offset,
    /// Everything below is on stable storage.
    pub durable: Offset,
    /// Everything below may be acknowledged under the topic's durability.
    pub acknowledged: Offset,
}

pub struct Log<F> {
    pub(crate) me: Weak<Self>,
    pub(crate) id: TopicPartition,
    pub(crate) dir: PathBuf,
    /// The folder is there.
    pub(crate) has_dir: Cell<bool>,
    /// Tells this log's cached chunks from those of a log that had the same name before.
    pub(crate) serial: u64,
    pub(crate) state: RefCell<LogState<F>>,
    /// One segment write of a log at a time: a block is never in flight twice.
    pub(crate) writing: Cell<bool>,
    pub(crate) writing_done: rt::notify::Notify,
    /// Bytes that went to segment files.
    pub(crate) written_out: model::figures::Count,
    /// Where its data was found corrupt: the lowest segment. It takes no records until that is cut off.
    pub(crate) damage: Cell<Option<Offset>>,
    pub(crate) deleted: Cell<bool>,
    /// Its end is on its way back: nothing may be appended.
    pub(crate) is_being_cut: Cell<bool>,
}

pub(crate) struct LogState<F> {
    pub(crate) config: LogConfig,
    /// Draws the jitter of its segments: another one for each log.
    pub(crate) jitter_seed: u32,
    pub(crate) segments: VecDeque<Segment<F>>,
    pub(crate) tail: Tail,
    pub(crate) producers: ProducerStates,
    pub(crate) epochs: EpochCache,
    pub(crate) pending: Vec<Pending>,
    /// Below this are batches that no journal has: they were appended while the topic was answered from memory.
    pub(crate) unjournaled: Offset,
    pub(crate) ends: Ends,
    /// Everything below is in the segment files.
    pub(crate) in_segments: Offset,
    /// Everything below is in synced segments: where recovery starts to look.
    pub(crate) recovery_point: Offset,
    pub(crate) epochs_changed: bool,
    /// The epochs' file was written. It is synced before the recovery point moves: a batch's epoch lies outside its
    /// checksum, and below that point the file vouches for it.
    pub(crate) epochs_unsynced: bool,
    /// The store failed: nothing is acknowledged any more, not even what arrived.
    pub(crate) frozen: bool,
    /// What lies below will never be cut, as whoever replicates the log says.
    pub(crate) committed: Offset,
    /// Producer snapshots on disk, oldest first.
    pub(crate) snapshots: Vec<Offset>,
    /// Producer snapshots of rolled segments, still to be written.
    pub(crate) snapshots_due: Vec<(Offset, Vec<u8>)>,
    /// On the store's list of logs with something to commit, or with something a checkpoint must write.
    pub(crate) queued: bool,
    pub(crate) unsynced: bool,
    pub(crate) unsynced_since: Timestamp,
    /// The recovery point that a start would find.
    pub(crate) point_on_disk: Offset,
    pub(crate) cleaning: Cleaning,
}

pub type SharedLog<F> = Rc<Log<F>>;

impl<F: Clone + 'static> Log<F> {
    pub fn id(&self) -> TopicPartition {
        self.id
    }

    pub fn ends(&self) -> Ends {
        self.state.borrow().ends
    }

    pub fn config(&self) -> LogConfig {
        self.state.borrow().config
    }

    pub fn set_config(&self, config: LogConfig) {
        let mut state = self.state.borrow_mut();
        state.config = config;
        state.cleaning.may_have_holes |= config.compaction.is_some();
        state.acknowledge();
    }

    /// What lies below will never be cut: only that may be compacted. Without a word about it, that is everything.
    pub fn set_committed(&self, offset: Offset) {
        self.state.borrow_mut().committed = offset;
    }

    pub fn is_offline(&self) -> bool {
        self.damage.get().is_some()
    }

    /// The first segment that is not what was written, if one was met.
    pub fn damage(&self) -> Option<Offset> {
        self.damage.get()
    }

    /// Up to where it is compacted, if a pass ever began.
    pub fn cleaned_until(&self) -> Option<Offset> {
        self.state.borrow().cleaning.until
    }

    /// Bytes of records the log holds, as DescribeLogDirs shows them.
    pub fn bytes(&self) -> u64 {
        self.state.borrow().segments.iter().map(|s| s.bytes).sum()
    }

    pub fn segment_count(&self) -> usize {
        self.state.borrow().segments.len()
    }

    /// Memory that its newest bytes lie in.
    pub fn tail_bytes(&self) -> usize {
        self.state.borrow().tail.bytes()
    }

    /// As DescribeProducers shows them.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.state.borrow().producers.active()
    }

    /// The epoch and end offset for OffsetForLeaderEpoch.
    pub fn end_offset_for(&self, epoch: LeaderEpoch) -> EpochEnd {
        let state = self.state.borrow();
        state.epochs.end_offset_for(epoch, state.ends.end)
    }

    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.state.borrow().epochs.latest().map(|e| e.epoch)
    }

    /// Forgets the producers that were not seen for so long, and says how many.
    pub fn expire_producers(&self, now: Timestamp, expiration_ms: i64) -> usize {
        let mut state = self.state.borrow_mut();
        state.producers.set_expiration_ms(expiration_ms);
        state.producers.expire(now)
    }

    /// Its end is not known before that is over: nothing may be appended, or said of it.
    pub fn is_being_cut(&self) -> bool {
        self.is_being_cut.get()
    }

    /// This broker leads from here on: the epoch begins at the log's end, whether or not anything is appended.
    pub fn lead(&self, epoch: LeaderEpoch) {
        let mut state = self.state.borrow_mut();
        let end = state.ends.end;
        state.epochs_changed |= state.epochs.assign(epoch, end);
    }

    /// Appends one checked batch. `now` stamps LogAppendTime topics and ages producers.
    pub(crate) fn append(
        &self,
        pool: &PagePool,
        batch: &[u8],
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        assert!(!self.is_being_cut.get(), "an append to a log that is being cut");
        if self.is_offline() || self.deleted.get() {
            return Err(AppendError::Offline);
        }
        let mut state = self.state.borrow_mut();
        if state.config.timestamp_type == TimestampType::LogAppendTime {
            let mut stamped = batch.to_vec();
            records::restamp_log_append_time(&mut stamped, now);
            let mut appended = state.append(pool, &stamped, leader_epoch, now)?;
            if !appended.duplicate {
                appended.log_append_time = now;
            }
            return Ok(appended);
        }
        state.append(pool, batch, leader_epoch, now)
    }
}

impl<F: Clone> LogState<F> {
    fn append(
        &mut self,
        pool: &PagePool,
        batch: &[u8],
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        let mut header = BatchHeader::read(batch).map_err(|_| AppendError::Malformed)?;
        if let Some(original) = self.check_producer(&header)? {
            return Ok(original);
        }
        if batch.len() as u64 > self.config.segment_bytes {
            return Err(AppendError::LargerThanSegment);
        }
        let base_offset = self.ends.end;
        header.base_offset = base_offset.0.into();
        header.partition_leader_epoch = leader_epoch.0.into();
        self.place(pool, &header, &batch[HEADER_BYTES..], now)?;
        self.producers.applied(&header, base_offset, now);
        let log_append_time = Timestamp::NONE;
        Ok(Appended { base_offset, next_offset: self.ends.end, log_append_time, duplicate: false })
    }

    /// Puts a batch behind all others, at the offset that its header says: the log's end, or above. After an error the log
    /// ends where it did.
    fn place(
        &mut self,
        pool: &PagePool,
        header: &BatchHeader,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), AppendError> {
        let (end, bytes) = (self.ends.end, HEADER_BYTES + body.len());
        assert!(header.base_offset() >= end, "{header:?} in a log that ends at {end}");
        // Only a directory made by others gets here.
        if header.next_offset() == Offset(i64::MAX) {
            return Err(AppendError::OutOfOffsets);
        }
        // A segment begins where the one before ends, so that recovery finds no gap between their names.
        if relative_offset(end, header.last_offset()).is_none() {
            return Err(AppendError::GapTooLarge);
        }
        if self.must_roll(header, bytes as u64, now) {
            self.roll(end, now);
        }
        let active = self.segments.back_mut().expect("a log has an active segment");
        let position = active.bytes;
        let room =
            self.tail.make_room(pool, active.base, position, bytes, now.0).ok_or(AppendError::NoRoom)?;
        // From here on nothing fails.
        let slices = self.tail.append(active.base, position, [header.as_bytes(), body], room);
        active.bytes += bytes as u64;
        active.first_timestamp.get_or_insert(header.max_timestamp());
        if header.max_timestamp().0 < 0 {
            active.largest_timestamp = Some(now);
        }
        let indexes = active.indexes.as_mut().expect("an active segment has its indexes");
        indexes.append(header, position as u32, bytes as u32);
        self.pending.push(Pending {
            segment_base: active.base,
            position: position as u32,
            bytes: bytes as u32,
            follows: end,
            next_offset: header.next_offset(),
            leader_epoch: header.leader_epoch(),
            slices,
        });
        self.epochs_changed |= self.epochs.assign(header.leader_epoch(), header.base_offset());
        self.ends.end = header.next_offset();
        if !self.unsynced {
            self.unsynced_since = now;
        }
        self.acknowledge();
        Ok(())
    }

    fn check_producer(&self, header: &BatchHeader) -> Result<Option<Appended>, AppendError> {
        match self.producers.check(header) {
            Verdict::Append => Ok(None),
            Verdict::Duplicate { base_offset, last_offset, timestamp } => {
                let stamped = self.config.timestamp_type == TimestampType::LogAppendTime;
                let log_append_time = if stamped { timestamp } else { Timestamp::NONE };
                Ok(Some(Appended {
                    base_offset,
                    next_offset: last_offset + 1,
                    log_append_time,
                    duplicate: true,
                }))
            }
            Verdict::OutOfOrder { .. } => Err(AppendError::OutOfOrderSequence),
            Verdict::StaleEpoch { .. } => Err(AppendError::StaleProducerEpoch),
            Verdict::InTransaction => Err(AppendError::InTransaction),
            Verdict::TooManyProducers => Err(AppendError::NoRoom),
        }
    }

    fn must_roll(&self, header: &BatchHeader, batch_bytes: u64, now: Timestamp) -> bool {
        let active = self.segments.back().expect("a log has an active segment");
        if active.bytes == 0 {
            return false;
        }
        let indexes = active.indexes.as_ref().expect("an active segment has its indexes");
        // By the records' own clock, where they have one.
        let age = match active.first_timestamp.filter(|first| first.0 >= 0) {
            Some(first) => header.max_timestamp().0.saturating_sub(first.0),
            None => now.0.saturating_sub(active.created.0),
        };
        let aged = age > self.config.roll_ms() - self.roll_jitter_ms(active.base);
        active.bytes + batch_bytes > self.config.segment_bytes
            || indexes.is_full()
            || !indexes.offset.fits(header.last_offset())
            || aged
    }

    /// What a segment's age is short of `segment.ms` when it is rolled: always the same of one segment.
    fn roll_jitter_ms(&self, base: Offset) -> i64 {
        let most = self.config.segment_jitter_ms.min(self.config.segment_ms);
        if most <= 0 {
            return 0;
        }
        let mut drawn = Crc32c::default();
        drawn.update(&self.jitter_seed.to_be_bytes());
        drawn.update(&base.0.to_be_bytes());
        i64::from(drawn.finish()) % most
    }

    /// A new active segment. Only memory changes here: its file is made when the first bytes are written out.
    fn roll(&mut self, base: Offset, now: Timestamp) {
        if let Some(active) = self.segments.back_mut()
            && let Some(indexes) = active.indexes.as_mut()
        {
            indexes.seal();
            let newest = indexes.time.max().timestamp;
            active.largest_timestamp = Some(newest).filter(|t| t.0 >= 0).or(active.largest_timestamp);
        }
        let mut segment = Segment::empty(base, self.config.index, now);
        // There may have been one of this name before the log was cut.
        segment.edition = self.cleaning.edition;
        self.snapshots_due.push((base, self.producers.snapshot()));
        self.segments.push_back(segment);
    }

    /// Moves what may be acknowledged after one of the ends moved.
    pub(crate) fn acknowledge(&mut self) {
        if self.frozen {
            return;
        }
        let reached = match self.config.durability {
            Durability::Flushed => self.ends.durable,
            Durability::Written => self.ends.written.max(self.ends.durable),
            Durability::Memory => self.ends.end,
        };
        self.ends.acknowledged = self.ends.acknowledged.max(reached);
        assert!(self.ends.start <= self.ends.end, "{:?}", self.ends);
        assert!(self.ends.acknowledged <= self.ends.end, "{:?}", self.ends);
        assert!(self.ends.durable <= self.ends.end, "{:?}", self.ends);
    }

    /// A commit carried everything below `next` to the device, and to stable storage if `flushed`.
    pub(crate) fn committed(&mut self, next: Offset, flushed: bool) {
        self.ends.written = self.ends.written.max(next);
        if flushed && !self.frozen {
            self.ends.durable = self.ends.durable.max(next);
        }
        self.acknowledge();
    }

    pub(crate) fn segment_index(&self, offset: Offset) -> Option<usize> {
        self.segments.partition_point(|s| s.base <= offset).checked_sub(1)
    }

    pub(crate) fn written_of(segments: &VecDeque<Segment<F>>, base: Offset) -> u64 {
        segments.binary_search_by_key(&base, |s| s.base).map_or(u64::MAX, |i| segments[i].written)
    }
}
