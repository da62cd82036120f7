//! Record batches, made and taken apart.

use model::{
    BatchView, TimestampType,
    batch::{
        CRC_FROM, crc32c,
        record::{BatchMeta, Producer, Records, build_batch, write_record},
    },
};

const UNFOLDED_BYTES_MAX: usize = 64 << 20;
const CRC_AT: usize = 17;

/// One record as a consumer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rec {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) value: Vec<u8>,
}

impl Rec {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.value).expect("the tests write text")
    }
}

/// A batch of values without producer and key, all from the same moment.
pub(crate) fn batch_of<V: AsRef<[u8]>>(values: &[V]) -> Vec<u8> {
    batch_by(Producer::NONE, values)
}

pub(crate) fn batch_by<V: AsRef<[u8]>>(producer: Producer, values: &[V]) -> Vec<u8> {
    let stamped: Vec<(i64, &[u8])> = values.iter().map(|value| (1_700_000_000_000, value.as_ref())).collect();
    build(producer, &stamped)
}

/// A batch of values with their timestamps.
pub(crate) fn batch_at<V: AsRef<[u8]>>(values: &[(i64, V)]) -> Vec<u8> {
    let stamped: Vec<(i64, &[u8])> = values.iter().map(|(time, value)| (*time, value.as_ref())).collect();
    build(Producer::NONE, &stamped)
}

fn build(producer: Producer, values: &[(i64, &[u8])]) -> Vec<u8> {
    let base_timestamp = values.first().map_or(-1, |(time, _)| *time);
    let mut payload = Vec::new();
    for (delta, (time, value)) in (0..).zip(values) {
        write_record(&mut payload, delta, time - base_timestamp, None, Some(value), &[]);
    }
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: -1,
        attributes: 0,
        base_timestamp,
        max_timestamp: values.iter().map(|(time, _)| *time).max().unwrap_or(-1),
        record_count: values.len() as i32,
        producer,
    };
    build_batch(meta, &payload)
}

/// The batch with other bytes at a place, its checksum right again: what is left is what the bytes claim.
pub(crate) fn patched(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut patched = batch.to_vec();
    patched[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&patched[CRC_FROM..]);
    patched[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
    patched
}

/// The batches of one answer, each whole, with a checksum that is right.
pub(crate) fn batches(mut bytes: &[u8]) -> Vec<BatchView<'_>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let batch = BatchView::check(bytes).expect("a fetch answers with whole, sound batches");
        bytes = &bytes[batch.bytes().len()..];
        found.push(batch);
    }
    found
}

/// The records of one answer from an offset on, as a consumer keeps them.
pub(crate) fn records(bytes: &[u8], from: i64) -> Vec<Rec> {
    let mut found = Vec::new();
    for batch in batches(bytes) {
        let header = batch.header();
        let codec = header.compression().expect("a known codec");
        let payload = engine::compression::decompress(codec, batch.payload(), UNFOLDED_BYTES_MAX)
            .expect("the payload unfolds");
        let stamped = header.timestamp_type() == TimestampType::LogAppendTime;
        for record in Records::new(&payload, header.record_count()) {
            let record = record.expect("the records parse");
            let offset = header.base_offset().0 + i64::from(record.offset_delta);
            let created = header.base_timestamp().0 + record.timestamp_delta;
            let timestamp = if stamped { header.max_timestamp().0 } else { created };
            if offset >= from {
                found.push(Rec { offset, timestamp, value: record.value.unwrap_or_default().to_vec() });
            }
        }
    }
    found
}
