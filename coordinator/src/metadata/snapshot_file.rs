//! A snapshot as bytes, for a disk and for another broker.
//!
//! ```text
//!   control batch: snapshot header | control batch: voters | batches of records ... | control batch: snapshot footer
//! ```
//! The values are metadata records as in the log; the key of a broker's is its epoch (8 bytes). Bytes without the footer are
//! not whole.

use model::{
    BatchView, Offset, Timestamp,
    batch::record::{BatchMeta, Producer, Records, build_batch, write_record},
};

use super::{
    batches::BadBatch, control_records, image::Image, record::MetadataRecord, snapshot::SnapshotRecord,
};
use crate::raft::{Payload, Position, Voters};

const RECORDS_PER_BATCH: usize = 500;

#[derive(Debug)]
pub struct Snapshot {
    pub end: Position,
    pub voters: Voters,
    pub image: Image,
}

pub fn encode(image: &Image, voters: &Voters, end: Position, now: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = Offset::ZERO;
    let mut push = |mut batch: Vec<u8>, count: usize| {
        model::batch::stamp(&mut batch, next, end.epoch);
        next = next + i64::try_from(count).expect("a snapshot fits in memory");
        bytes.extend_from_slice(&batch);
    };
    push(control_records::snapshot_header(now), 1);
    push(control_records::voters(voters, now), 1);
    for records in image.to_snapshot().chunks(RECORDS_PER_BATCH) {
        push(batch(records, now), records.len());
    }
    push(control_records::snapshot_footer(now), 1);
    bytes
}

fn batch(records: &[SnapshotRecord], now: Timestamp) -> Vec<u8> {
    let mut payload = Vec::new();
    for (delta, SnapshotRecord { record, broker_epoch }) in (0..).zip(records) {
        let key = broker_epoch.map(i64::to_be_bytes);
        let key = key.as_ref().map(|key| &key[..]);
        write_record(&mut payload, delta, 0, key, Some(&record.encode()), &[]);
    }
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: 0,
        attributes: 0,
        base_timestamp: now.0,
        max_timestamp: now.0,
        record_count: i32::try_from(records.len()).expect("a batch is small"),
        producer: Producer::NONE,
    };
    build_batch(meta, &payload)
}

/// What came from a disk or a network is trusted in nothing.
pub fn decode(bytes: &[u8], end: Position, cluster_id: &str) -> Result<Snapshot, BadBatch> {
    let mut voters = None;
    let mut records = Vec::new();
    let mut whole = false;
    for batch in BatchView::check_all(bytes) {
        let batch = batch?;
        if batch.header().is_control() {
            match control_records::read_any(&batch)? {
                control_records::Control::Log(Payload::Voters(named)) => voters = Some(named),
                control_records::Control::SnapshotFooter => whole = true,
                control_records::Control::SnapshotHeader | control_records::Control::Log(_) => {}
            }
        } else {
            for record in Records::new(batch.payload(), batch.header().record_count()) {
                let record = record?;
                let broker_epoch = record
                    .key
                    .map(|key| key.try_into().map(i64::from_be_bytes).map_err(|_| BadBatch::BrokerEpoch));
                let value = record.value.ok_or(BadBatch::NoValue(batch.header().base_offset()))?;
                let record = MetadataRecord::decode(value)?;
                records.push(SnapshotRecord { record, broker_epoch: broker_epoch.transpose()? });
            }
        }
    }
    if !whole {
        return Err(BadBatch::NotWhole);
    }
    let voters = voters.ok_or(BadBatch::NoVoters)?;
    let image = Image::of_snapshot(cluster_id, end.offset, records)?;
    Ok(Snapshot { end, voters, image })
}

#[cfg(test)]
mod tests {
    use model::{BrokerId, LeaderEpoch, TopicId};

    use super::*;
    use crate::metadata::TopicRecord;

    fn image(topics: u8) -> Image {
        let mut image = Image::new("c");
        for n in 0..topics {
            let topic = TopicRecord { id: TopicId([n + 1; 16]), name: format!("topic-{n}") };
            image.apply(Offset(i64::from(n)), &MetadataRecord::Topic(topic)).unwrap();
        }
        image
    }

    fn at(offset: i64) -> Position {
        Position { offset: Offset(offset), epoch: LeaderEpoch(2) }
    }

    #[test]
    fn a_snapshot_that_is_not_whole_is_refused() {
        let voters: Voters = [BrokerId(1)].into_iter().collect();
        let bytes = encode(&image(3), &voters, at(3), Timestamp(5));
        assert!(decode(&bytes, at(3), "c").is_ok());
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut], at(3), "c").is_err(), "{cut}");
        }
        for bit in (17 * 8..bytes.len() * 8).step_by(7) {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // Bits of a header that lie outside the checksum change nothing here.
            drop(decode(&bad, at(3), "c"));
        }
    }
}
