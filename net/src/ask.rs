//! What one shard asks the owner of partitions, and what it is told: values, small, `Send`. Record bytes in them are
//! counted slices: of the request's frame on the way in, of pages on the way out. They are never copied to cross.

use std::sync::Arc;

use bytes::Bytes;
use coordinator::{
    group::ListedGroup,
    quotas::{Charge, rate::Charged},
};
use engine::{epochs::EpochEnd, producers::ActiveProducer};
use model::{BrokerId, ErrorCode, LeaderEpoch, Millis, Offset, Timestamp, TopicPartition};
use replication::{Isolation, Serves};
use rt::pages::PageSlice;

use crate::groups::{GroupAnswer, GroupAsk};

/// One message to one owner: all that a request wants of its partitions.
#[derive(Debug)]
pub enum Ask {
    Produce(ProduceAsk),
    Fetch(FetchAsk),
    Offsets(OffsetsAsk),
    EpochEnds(Vec<EpochEndPart>),
    DeleteRecords(Vec<DeleteRecordsPart>),
    /// Bytes of the partitions named; all that the shard owns if none is.
    Sizes(Option<Vec<TopicPartition>>),
    Producers(Vec<TopicPartition>),
    /// Of the coordinator of one group.
    Group(Box<GroupAsk>),
    /// All groups coordinated on the shard that pass.
    ListGroups {
        states: Vec<String>,
        types: Vec<String>,
    },
    /// Of the shard that keeps a rate.
    Charge(Charge),
}

/// A small request lies in a buffer of this size, and its records keep all of it.
const ASK_BYTES: usize = 16 << 10;

impl Ask {
    /// What it keeps of the asker's memory until its owner has taken it in. The same at both ends.
    pub(crate) fn bytes(&self) -> usize {
        let records = match self {
            Self::Produce(ask) => ask.parts.iter().map(|part| part.batch.len()).sum(),
            // Their connection waits for the answer before it takes another.
            _ => 0,
        };
        ASK_BYTES + records
    }
}

/// Parts in the order of the ask.
#[derive(Debug)]
pub enum Answer {
    Produce(Vec<Produced>),
    Fetch(Vec<Fetched>),
    Offsets(Vec<FoundOffset>),
    EpochEnds(Vec<FoundEpochEnd>),
    DeleteRecords(Vec<DeletedRecords>),
    Sizes(Vec<Size>),
    Producers(Vec<Result<Vec<ActiveProducer>, ErrorCode>>),
    Group(Result<GroupAnswer, ErrorCode>),
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    Charge(Charged),
}

/// What a produce is answered at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acks {
    /// Nothing: errors close the connection.
    None,
    /// Safe here.
    Leader,
    /// Safe on every in-sync replica.
    All,
}

#[derive(Debug)]
pub struct ProduceAsk {
    pub acks: Acks,
    pub deadline: Millis,
    pub parts: Vec<ProducePart>,
}

/// One batch, checked by the shard that read it.
#[derive(Debug)]
pub struct ProducePart {
    pub id: TopicPartition,
    pub batch: Bytes,
    pub isr_min: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Produced {
    pub code: ErrorCode,
    pub base_offset: Offset,
    pub log_append_time: Timestamp,
    pub log_start: Offset,
}

#[derive(Clone, Debug)]
pub struct FetchAsk {
    pub isolation: Isolation,
    pub reader: Reader,
    pub bytes_max: usize,
    /// `None`: answer with what is there.
    pub wait: Option<FetchWait>,
    pub parts: Vec<FetchPart>,
}

/// Which replicas may answer a client's fetch (KIP-392).
#[derive(Clone, Debug)]
pub struct Reader {
    pub serves: Serves,
    /// Where a leader sends the client if it can: brokers that stand where it does. None if it is to stay.
    pub near: Arc<[BrokerId]>,
}

/// Answer when there are `bytes_min`, at the deadline, or when waiting makes no sense.
#[derive(Clone, Copy, Debug)]
pub struct FetchWait {
    pub bytes_min: usize,
    pub deadline: Millis,
}

#[derive(Clone, Debug)]
pub struct FetchPart {
    pub id: TopicPartition,
    /// What the client takes for the leader's epoch; -1: do not check.
    pub leader_epoch: LeaderEpoch,
    pub offset: Offset,
    /// Epoch of the last record the client has; -1: do not check.
    pub last_epoch: LeaderEpoch,
    pub bytes_max: usize,
}

#[derive(Debug)]
pub struct Fetched {
    pub code: ErrorCode,
    pub high: Offset,
    pub last_stable: Offset,
    pub log_start: Offset,
    pub diverging: Option<EpochEnd>,
    /// Ask there; there are no records then.
    pub preferred: Option<BrokerId>,
    /// None while a fetch waits: then there is only the count of them.
    pub slices: Vec<PageSlice>,
    pub bytes: usize,
}

impl Fetched {
    pub fn error(code: ErrorCode) -> Self {
        let none = Offset::NONE;
        let (diverging, preferred, slices) = (None, None, Vec::new());
        Self { code, high: none, last_stable: none, log_start: none, diverging, preferred, slices, bytes: 0 }
    }

    /// They are counted, and were not read or were let go of.
    pub(crate) fn lacks_records(&self) -> bool {
        self.bytes > 0 && self.slices.is_empty()
    }

    /// The client must hear of this at once: there is no point in waiting for more bytes.
    pub fn is_urgent(&self) -> bool {
        self.code != ErrorCode::None || self.diverging.is_some() || self.preferred.is_some()
    }
}

#[derive(Debug)]
pub struct OffsetsAsk {
    pub isolation: Isolation,
    pub parts: Vec<OffsetPart>,
}

#[derive(Clone, Debug)]
pub struct OffsetPart {
    pub id: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    pub at: OffsetAt,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OffsetAt {
    /// The end of what the client may see.
    Latest,
    Earliest,
    /// The record with the largest timestamp.
    MaxTimestamp,
    /// The first record that is not older.
    Timestamp(Timestamp),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundOffset {
    pub code: ErrorCode,
    pub offset: Offset,
    pub timestamp: Timestamp,
    pub leader_epoch: LeaderEpoch,
}

impl FoundOffset {
    pub fn error(code: ErrorCode) -> Self {
        Self { code, offset: Offset::NONE, timestamp: Timestamp::NONE, leader_epoch: LeaderEpoch::NONE }
    }
}

#[derive(Clone, Debug)]
pub struct EpochEndPart {
    pub id: TopicPartition,
    pub current_epoch: LeaderEpoch,
    pub epoch: LeaderEpoch,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundEpochEnd {
    pub code: ErrorCode,
    pub end: EpochEnd,
}

#[derive(Clone, Debug)]
pub struct DeleteRecordsPart {
    pub id: TopicPartition,
    /// -1: up to the high watermark.
    pub before: Offset,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedRecords {
    pub code: ErrorCode,
    pub log_start: Offset,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Size {
    pub id: TopicPartition,
    pub bytes: u64,
    /// Everything below is on stable storage here.
    pub durable: Offset,
}
