//! The metadata log as record batches: what stands in a batch of it, and what a batch says. Values of records are metadata
//! records; between them stand control batches, that say who led from there on and who the voters are.

use model::{
    BatchView, BrokerId, Compression, Offset, Timestamp,
    batch::{
        BatchError,
        record::{Producer, Records, batch_of},
    },
};

use super::{
    control_records,
    image::BadApply,
    record::{BadRecord, MetadataRecord},
};
use crate::raft::{Entry, Payload};

/// Why bytes are no batch of the metadata log, or no snapshot of it.
#[derive(Debug, thiserror::Error)]
pub enum BadBatch {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Record(#[from] BadRecord),
    #[error(transparent)]
    Apply(#[from] BadApply),
    #[error("it was written by Apache Kafka's controller, whose records are not understood here")]
    Foreign,
    #[error("the record at offset {0} has no value")]
    NoValue(Offset),
    #[error("offsets {end} to {base} are missing, or an epoch is")]
    Gap { end: Offset, base: Offset },
    #[error("a control record {0}")]
    Control(&'static str),
    #[error("control records of type {0} are not understood here")]
    UnknownControl(i16),
    #[error("a part of a snapshot stands in the log")]
    SnapshotInLog,
    #[error("the snapshot has no end")]
    NotWhole,
    #[error("the snapshot names no voters")]
    NoVoters,
    #[error("the epoch of a broker has 8 bytes")]
    BrokerEpoch,
}

/// One batch: the records are there together or not at all.
pub fn batch(records: &[MetadataRecord], now: Timestamp) -> Vec<u8> {
    assert!(!records.is_empty());
    let values: Vec<Vec<u8>> = records.iter().map(MetadataRecord::encode).collect();
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    batch_of(0, now.0, Producer::NONE, &values)
}

/// The records of one batch, of which the first has offset `base`.
pub fn records(base: Offset, batch: &[u8]) -> Result<Vec<(Offset, MetadataRecord)>, BadBatch> {
    let batch = BatchView::check(batch)?;
    let header = batch.header();
    if header.is_control() || header.compression() != Ok(Compression::None) {
        return Err(BadBatch::Foreign);
    }
    let mut records = Vec::new();
    for record in Records::new(batch.payload(), header.record_count()) {
        let record = record?;
        let offset = base + i64::from(record.offset_delta);
        let value = record.value.ok_or(BadBatch::NoValue(offset))?;
        records.push((offset, MetadataRecord::decode(value)?));
    }
    Ok(records)
}

/// The entry that a batch of the log is. What its records say is not looked at.
pub fn entry(batch: &BatchView<'_>) -> Result<Entry, BadBatch> {
    let header = batch.header();
    let payload = if header.is_control() {
        control_records::read(batch)?
    } else {
        Payload::Records { bytes: batch.bytes().into(), count: header.record_count().unsigned_abs() }
    };
    Ok(Entry { base: header.base_offset(), epoch: header.leader_epoch(), payload })
}

/// The entry as it stands in the log: with its offset and its epoch, which `leader` led.
pub fn batch_of_entry(entry: &Entry, leader: BrokerId, now: Timestamp) -> Vec<u8> {
    let mut bytes = match &entry.payload {
        Payload::Records { bytes, .. } => bytes.to_vec(),
        Payload::LeaderChange => control_records::leader_change(leader, now),
        Payload::Voters(voters) => control_records::voters(voters, now),
    };
    model::batch::stamp(&mut bytes, entry.base, entry.epoch);
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{LeaderEpoch, TopicId};

    use super::*;
    use crate::{
        metadata::{RemoveTopicRecord, TopicRecord},
        raft::Voters,
    };

    #[test]
    fn an_entry_is_read_back_from_its_batch() {
        let records = [
            MetadataRecord::Topic(TopicRecord { id: TopicId([1; 16]), name: "t".to_owned() }),
            MetadataRecord::RemoveTopic(RemoveTopicRecord { id: TopicId([1; 16]) }),
        ];
        let bytes: Arc<[u8]> = batch(&records, Timestamp(5)).into();
        let voters: Voters = [1, 2, 3].into_iter().map(BrokerId).collect();
        for payload in [Payload::Records { bytes, count: 2 }, Payload::LeaderChange, Payload::Voters(voters)]
        {
            let written = Entry { base: Offset(7), epoch: LeaderEpoch(3), payload };
            let bytes = batch_of_entry(&written, BrokerId(1), Timestamp(9));
            let read = entry(&BatchView::check(&bytes).unwrap()).unwrap();
            assert_eq!((read.base, read.epoch, read.next()), (written.base, written.epoch, written.next()));
            match (&read.payload, &written.payload) {
                (Payload::Records { bytes, .. }, Payload::Records { .. }) => {
                    let read = super::records(read.base, bytes).unwrap();
                    let expected: Vec<_> = (7..).map(Offset).zip(records.clone()).collect();
                    assert_eq!(read, expected);
                }
                (read, written) => assert_eq!(read, written),
            }
        }
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let foreign = batch_of(0, 0, Producer::NONE, &[b"\x01\x03\x00"]);
        assert!(records(Offset::ZERO, &foreign).is_err());
        let control = control_records::leader_change(BrokerId(1), Timestamp(5));
        assert!(matches!(records(Offset::ZERO, &control), Err(BadBatch::Foreign)));
        assert!(records(Offset::ZERO, &control[..30]).is_err());
        let header = control_records::snapshot_header(Timestamp(5));
        let refused = entry(&BatchView::check(&header).unwrap());
        assert!(matches!(refused, Err(BadBatch::SnapshotInLog)));
    }
}
