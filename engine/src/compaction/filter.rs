//! What becomes of one batch: dropped, kept as it is, thinned out, or left as an empty header that only says up to where
//! its producer had come. Offsets, sequences and the producer stay; a batch all of whose records stay is not touched.
//!
//! A record without value is a *tombstone*: it must stay long enough for every reader to see it. The first pass that keeps
//! one writes into its batch when that time is over (the *delete horizon*: bit 6 of the attributes, and the base timestamp
//! is that time; the records' times are told relative to it as ever). A later pass drops it.

use std::ops::Range;

use model::{
    BatchError, BatchHeader, Compression, Offset, Timestamp, TimestampType,
    batch::{
        CRC_FROM, HEADER_BYTES, LOG_OVERHEAD, crc32c,
        record::{Record, Records},
    },
    varint::{read_i32, read_i64, write_i32, write_i64},
};
use zerocopy::IntoBytes;

const HORIZON_BIT: i16 = 0x40;
const COMPRESSION_BITS: i16 = 0x07;

/// When a batch with a delete horizon may lose its tombstones.
pub(crate) fn delete_horizon(header: &BatchHeader) -> Option<Timestamp> {
    (header.attributes.get() & HORIZON_BIT != 0).then(|| header.base_timestamp())
}

/// What a pass knows of a batch before it looks at its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchFate {
    /// Nobody may read these records any more: an aborted transaction, or a marker that nothing needs.
    pub(crate) discard: bool,
    /// A marker that is not needed any more; it goes when its horizon is over.
    pub(crate) spent_marker: bool,
    /// It says where its producer is, or where the cleaned part of the log ends: at least its header stays.
    pub(crate) keep_header: bool,
}

/// The time of a pass, and how long tombstones stay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilterTime {
    pub(crate) now: Timestamp,
    pub(crate) delete_retention_ms: i64,
}

/// Says of each record of a batch whether it stays, some at a time.
pub(crate) struct Selection {
    header: BatchHeader,
    at: usize,
    left: i32,
    /// Where in the payload the records lie that stay.
    kept: Vec<Range<usize>>,
    tombstones: bool,
}

impl Selection {
    pub(crate) fn new(header: &BatchHeader) -> Self {
        Self {
            header: *header,
            at: 0,
            left: header.record_count().max(0),
            kept: Vec::new(),
            tombstones: false,
        }
    }

    /// Looks at up to `count` records more; `true` when that was the last one.
    pub(crate) fn look(
        &mut self,
        payload: &[u8],
        count: usize,
        stays: impl Fn(Offset, &Record<'_>) -> bool,
    ) -> Result<bool, BatchError> {
        for _ in 0..count {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let (record, end) = record_at(payload, self.at)?;
            if stays(offset_of(&self.header, &record), &record) {
                self.tombstones |= record.value.is_none();
                self.kept.push(self.at..end);
            }
            self.at = end;
        }
        match self.left {
            0 if self.at != payload.len() => Err(BatchError::BadRecords),
            left => Ok(left == 0),
        }
    }

    /// What is to be done with the batch.
    pub(crate) fn outcome(self, payload: &[u8], fate: BatchFate, time: FilterTime) -> Outcome {
        if self.kept.is_empty() {
            return match fate.keep_header {
                true if self.header.record_count() == 0 => Outcome::Same,
                true => Outcome::Header(empty_batch(&self.header)),
                false => Outcome::Drop,
            };
        }
        let due = self.tombstones || fate.spent_marker;
        let sets_horizon = due && delete_horizon(&self.header).is_none();
        if self.kept.len() == self.header.record_count() as usize && !sets_horizon {
            return Outcome::Same;
        }
        let horizon = match sets_horizon {
            true => Some(Timestamp(time.now.0.saturating_add(time.delete_retention_ms))),
            false => delete_horizon(&self.header),
        };
        Outcome::Thinned(thin_out(&self.header, payload, &self.kept, horizon))
    }
}

/// What becomes of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Drop,
    Same,
    /// A whole batch without records.
    Header(Vec<u8>),
    Thinned(Thinned),
}

/// A batch whose records are not compressed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Thinned {
    header: Vec<u8>,
    pub(crate) compression: Compression,
    /// What stays of the records.
    pub(crate) payload: Vec<u8>,
}

impl Thinned {
    /// The whole batch, its payload compressed by the caller as the batch was.
    pub(crate) fn compressed(self, compress: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut batch = self.header;
        match self.compression {
            Compression::None => batch.extend_from_slice(&self.payload),
            _ => batch.extend_from_slice(&compress(&self.payload)),
        }
        seal(batch)
    }
}

/// The key of a record, and its place, as far as compaction looks.
pub(crate) fn offset_of(header: &BatchHeader, record: &Record<'_>) -> Offset {
    Offset(header.base_offset().0.saturating_add(i64::from(record.offset_delta)))
}

/// The record that begins here, and where it ends.
pub(crate) fn record_at(payload: &[u8], at: usize) -> Result<(Record<'_>, usize), BatchError> {
    let bytes = &payload[at..];
    let (length, body) = read_i32(bytes).ok_or(BatchError::BadRecords)?;
    let prefix_bytes = bytes.len() - body.len();
    let length = usize::try_from(length).map_err(|_| BatchError::BadRecords)?;
    let end = prefix_bytes.checked_add(length).ok_or(BatchError::BadRecords)?;
    let record = bytes.get(..end).ok_or(BatchError::BadRecords)?;
    let record = Records::new(record, 1).next().ok_or(BatchError::BadRecords)??;
    Ok((record, at + end))
}

fn thin_out(
    header: &BatchHeader,
    payload: &[u8],
    kept: &[Range<usize>],
    horizon: Option<Timestamp>,
) -> Thinned {
    let mut base_timestamp = horizon;
    let mut newest = Timestamp(i64::MIN);
    let mut out = Vec::with_capacity(kept.iter().map(Range::len).sum());
    for range in kept {
        let record = &payload[range.clone()];
        let timestamp = timestamp_of(header, record);
        newest = newest.max(timestamp);
        let base = *base_timestamp.get_or_insert(timestamp);
        write_moved(record, timestamp.0.wrapping_sub(base.0), &mut out);
    }
    let mut thinned = *header;
    thinned.record_count = (kept.len() as i32).into();
    thinned.base_timestamp = base_timestamp.expect("something is kept").0.into();
    if header.timestamp_type() == TimestampType::CreateTime {
        thinned.max_timestamp = newest.0.into();
    }
    if horizon.is_some() {
        thinned.attributes = (header.attributes.get() | HORIZON_BIT).into();
    }
    let compression = header.compression().expect("it was checked with the batch");
    Thinned { header: thinned.as_bytes().to_vec(), compression, payload: out }
}

/// A record that was parsed before, up to the delta of its time: its length's end, its attributes, the delta, the rest.
fn parts(record: &[u8]) -> (u8, i64, &[u8]) {
    let parsed = read_i32(record)
        .and_then(|(_, body)| body.split_first())
        .and_then(|(&attributes, body)| read_i64(body).map(|(delta, rest)| (attributes, delta, rest)));
    parsed.expect("it was parsed before")
}

fn timestamp_of(header: &BatchHeader, record: &[u8]) -> Timestamp {
    match header.timestamp_type() {
        TimestampType::CreateTime => Timestamp(header.base_timestamp().0.wrapping_add(parts(record).1)),
        TimestampType::LogAppendTime => header.max_timestamp(),
    }
}

/// The record with another delta.
fn write_moved(record: &[u8], new_delta: i64, out: &mut Vec<u8>) {
    let (attributes, delta, rest) = parts(record);
    if delta == new_delta {
        return out.extend_from_slice(record);
    }
    let mut head = vec![attributes];
    write_i64(new_delta, &mut head);
    write_i32((head.len() + rest.len()) as i32, out);
    out.extend_from_slice(&head);
    out.extend_from_slice(rest);
}

/// A batch without records: its offsets, its producer and its newest time are all that it says.
fn empty_batch(header: &BatchHeader) -> Vec<u8> {
    let mut empty = *header;
    empty.attributes = (header.attributes.get() & !(COMPRESSION_BITS | HORIZON_BIT)).into();
    empty.base_timestamp = Timestamp::NONE.0.into();
    empty.record_count = 0.into();
    seal(empty.as_bytes().to_vec())
}

/// Length and checksum of a whole batch.
fn seal(mut batch: Vec<u8>) -> Vec<u8> {
    let mut header = BatchHeader::read(&batch).expect("it begins with a header");
    header.length = ((batch.len() - LOG_OVERHEAD) as i32).into();
    batch[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    header.crc = crc32c(&batch[CRC_FROM..]).into();
    batch[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    batch
}

#[cfg(test)]
mod tests;
