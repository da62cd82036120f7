//! Looks inside record batches where the header alone cannot answer, and patches what a leader may patch. Nothing here
//! is on the way of a plain produce or fetch but `stamp`. What a client may send is in `produce`, what is made of it for
//! a topic with a codec of its own in `recompress`.
//!
//! All batches that are looked into have been framed and their checksum is good; their records may be anything still.

use std::borrow::Cow;

use model::{
    BatchError, BatchHeader, BatchView, LeaderEpoch, Offset, Timestamp, TimestampType,
    batch::{
        CRC_FROM, HEADER_BYTES, crc32c,
        record::{Record, Records},
    },
    varint::read_i32,
};
use zerocopy::FromBytes;

pub mod produce;
pub mod recompress;

use crate::compression::{DecompressError, decompress};
pub use crate::index::TimestampOffset;
pub use produce::{
    ProduceError, ProduceRules, RecordError, RecordProblem, validate_but_crc, validate_produce,
};
pub use recompress::{Codec, recompress};

const LOG_APPEND_TIME_BIT: i16 = 0x08;

/// Why the records of a batch cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordsError {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Decompress(#[from] DecompressError),
}

/// The first record at or above `start_offset` that is not older than `target`, within one batch.
pub fn find_timestamp(
    batch: &[u8],
    target: Timestamp,
    start_offset: Offset,
    decompressed_bytes_max: usize,
) -> Result<Option<TimestampOffset>, RecordsError> {
    let view = BatchView::frame(batch)?;
    let header = view.header();
    if header.max_timestamp() < target || header.last_offset() < start_offset {
        return Ok(None);
    }
    let payload = payload_of(&view, decompressed_bytes_max)?;
    for record in Walk::new(&payload, header.record_count()) {
        let found = place_of(header, &record?);
        if found.timestamp >= target && found.offset >= start_offset {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The first of the records with the largest timestamp. `None`: the batch is empty, or no record has a timestamp.
pub fn max_timestamp_record(
    batch: &[u8],
    decompressed_bytes_max: usize,
) -> Result<Option<TimestampOffset>, RecordsError> {
    let view = BatchView::frame(batch)?;
    let payload = payload_of(&view, decompressed_bytes_max)?;
    let mut max: Option<TimestampOffset> = None;
    for record in Walk::new(&payload, view.header().record_count()) {
        let found = place_of(view.header(), &record?);
        if found.timestamp > max.map_or(Timestamp::NONE, |m| m.timestamp) {
            max = Some(found);
        }
    }
    Ok(max)
}

/// Gives a batch its place in the log. Both fields are outside the checksum.
pub fn stamp(batch: &mut [u8], base_offset: Offset, leader_epoch: LeaderEpoch) {
    let header = header_of(batch);
    header.base_offset = base_offset.0.into();
    header.partition_leader_epoch = leader_epoch.0.into();
}

/// Gives every record of a batch the broker's time, for `message.timestamp.type=LogAppendTime`. The timestamps of the
/// records themselves stay as they are and no longer count.
pub fn restamp_log_append_time(batch: &mut [u8], now: Timestamp) {
    let header = header_of(batch);
    header.attributes = (header.attributes.get() | LOG_APPEND_TIME_BIT).into();
    header.max_timestamp = now.0.into();
    let crc = crc32c(&batch[CRC_FROM..]);
    header_of(batch).crc = crc.into();
}

fn header_of(batch: &mut [u8]) -> &mut BatchHeader {
    BatchHeader::mut_from_bytes(&mut batch[..HEADER_BYTES]).expect("a header's size, at any alignment")
}

fn payload_of<'a>(view: &BatchView<'a>, bytes_max: usize) -> Result<Cow<'a, [u8]>, RecordsError> {
    Ok(decompress(view.header().compression()?, view.payload(), bytes_max)?)
}

fn place_of(header: &BatchHeader, record: &Record<'_>) -> TimestampOffset {
    let offset = Offset(header.base_offset().0.saturating_add(i64::from(record.offset_delta)));
    TimestampOffset { timestamp: timestamp_of(header, record), offset }
}

fn timestamp_of(header: &BatchHeader, record: &Record<'_>) -> Timestamp {
    match header.timestamp_type() {
        TimestampType::CreateTime => {
            Timestamp(header.base_timestamp().0.saturating_add(record.timestamp_delta))
        }
        TimestampType::LogAppendTime => header.max_timestamp(),
    }
}

/// Walks all records of an uncompressed payload and wants nothing left behind the last one. Stops at the first error.
struct Walk<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    fn new(payload: &'a [u8], record_count: i32) -> Self {
        Self { left: record_count.max(0), rest: payload }
    }

    fn step(&mut self) -> Option<Record<'a>> {
        let (length, body) = read_i32(self.rest)?;
        let prefix_bytes = self.rest.len() - body.len();
        let record_bytes = prefix_bytes.checked_add(usize::try_from(length).ok()?)?;
        let (record, rest) = self.rest.split_at_checked(record_bytes)?;
        self.rest = rest;
        Records::new(record, 1).next()?.ok()
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let surplus = !std::mem::take(&mut self.rest).is_empty();
            return surplus.then_some(Err(BatchError::BadRecords));
        }
        self.left -= 1;
        let record = self.step();
        if record.is_none() {
            (self.left, self.rest) = (0, &[]);
        }
        Some(record.ok_or(BatchError::BadRecords))
    }
}

/// The record of a control batch that ends a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndMarker {
    pub committed: bool,
    pub coordinator_epoch: i32,
}

impl EndMarker {
    /// Reads a control batch, which is never compressed. `None`: it is empty or of another kind.
    pub fn read(header: &BatchHeader, payload: &[u8]) -> Result<Option<Self>, BatchError> {
        assert!(header.is_control());
        let Some(record) = Records::new(payload, header.record_count()).next().transpose()? else {
            return Ok(None);
        };
        // Key: version i16, type i16. Value: version i16, coordinator epoch i32. Later versions may append.
        let key = record.key.and_then(|k| k.first_chunk::<4>()).ok_or(BatchError::BadRecords)?;
        let committed = match i16::from_be_bytes([key[2], key[3]]) {
            0 => false,
            1 => true,
            _ => return Ok(None),
        };
        let value = record.value.and_then(|v| v.first_chunk::<6>()).ok_or(BatchError::BadRecords)?;
        let coordinator_epoch = i32::from_be_bytes([value[2], value[3], value[4], value[5]]);
        Ok(Some(Self { committed, coordinator_epoch }))
    }
}

#[cfg(test)]
mod tests;
