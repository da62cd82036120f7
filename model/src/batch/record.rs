//! Records inside an uncompressed payload, and building a batch (for the metadata log, tools and tests).
//!
//! ```text
//!   length varint | attributes i8 | timestamp delta varlong | offset delta varint
//!   | key length varint, key | value length varint, value | header count varint, (key, value)*
//! ```

use zerocopy::IntoBytes;

use super::{BatchError, BatchHeader, CRC_FROM, HEADER_BYTES, LOG_OVERHEAD, crc32c};
use crate::varint::{read_i32, read_i64, write_i32, write_i64};

/// One record, borrowed from its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// The headers of one record, validated, parsed again as they are walked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Headers<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Headers<'a> {
    pub fn count(&self) -> usize {
        self.count
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let (key, after) = nullable(rest).ok()?;
            let (value, after) = nullable(after).ok()?;
            rest = after;
            Some((key?, value))
        })
    }
}

/// Walks the records of an uncompressed payload. Stops at the first error.
pub struct Records<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub fn new(payload: &'a [u8], record_count: i32) -> Self {
        Self { left: record_count, rest: payload }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        match record(self.rest) {
            Ok((record, rest)) => {
                self.rest = rest;
                Some(Ok(record))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}

fn record(bytes: &[u8]) -> Result<(Record<'_>, &[u8]), BatchError> {
    let bad = BatchError::BadRecords;
    let (length, rest) = read_i32(bytes).ok_or(bad)?;
    let length = usize::try_from(length).map_err(|_| bad)?;
    let (body, after) = rest.split_at_checked(length).ok_or(bad)?;
    let (_attributes, body) = body.split_first().ok_or(bad)?;
    let (timestamp_delta, body) = read_i64(body).ok_or(bad)?;
    let (offset_delta, body) = read_i32(body).ok_or(bad)?;
    let (key, body) = nullable(body)?;
    let (value, body) = nullable(body)?;
    let (count, body) = read_i32(body).ok_or(bad)?;
    let count = usize::try_from(count).map_err(|_| bad)?;
    let mut rest = body;
    for _ in 0..count {
        let (name, r) = nullable(rest)?;
        name.ok_or(bad)?;
        rest = nullable(r)?.1;
    }
    if !rest.is_empty() {
        return Err(bad);
    }
    let headers = Headers { count, bytes: body };
    Ok((Record { timestamp_delta, offset_delta, key, value, headers }, after))
}

type Field<'a> = (Option<&'a [u8]>, &'a [u8]);

fn nullable(bytes: &[u8]) -> Result<Field<'_>, BatchError> {
    let (length, rest) = read_i32(bytes).ok_or(BatchError::BadRecords)?;
    if length == -1 {
        return Ok((None, rest));
    }
    let length = usize::try_from(length).map_err(|_| BatchError::BadRecords)?;
    let (field, rest) = rest.split_at_checked(length).ok_or(BatchError::BadRecords)?;
    Ok((Some(field), rest))
}

/// Appends one record to `payload` in Kafka's layout.
pub fn write_record(
    payload: &mut Vec<u8>,
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&[u8], Option<&[u8]>)],
) {
    let mut body = vec![0u8];
    write_i64(timestamp_delta, &mut body);
    write_i32(offset_delta, &mut body);
    write_nullable(key, &mut body);
    write_nullable(value, &mut body);
    write_i32(headers.len() as i32, &mut body);
    for (name, value) in headers {
        write_nullable(Some(name), &mut body);
        write_nullable(*value, &mut body);
    }
    write_i32(body.len() as i32, payload);
    payload.extend_from_slice(&body);
}

fn write_nullable(field: Option<&[u8]>, out: &mut Vec<u8>) {
    match field {
        None => write_i32(-1, out),
        Some(bytes) => {
            write_i32(bytes.len() as i32, out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Who produced a batch, for idempotence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
}

impl Producer {
    pub const NONE: Self = Self { id: -1, epoch: -1, base_sequence: -1 };
}

/// What a batch's header says beside its records.
#[derive(Clone, Copy, Debug)]
pub struct BatchMeta {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub record_count: i32,
    pub producer: Producer,
}

/// Puts a header before a payload: length and checksum filled in.
pub fn build_batch(meta: BatchMeta, payload: &[u8]) -> Vec<u8> {
    let mut header = BatchHeader {
        base_offset: meta.base_offset.into(),
        length: ((HEADER_BYTES - LOG_OVERHEAD + payload.len()) as i32).into(),
        partition_leader_epoch: meta.leader_epoch.into(),
        magic: 2,
        crc: 0.into(),
        attributes: meta.attributes.into(),
        last_offset_delta: (meta.record_count - 1).into(),
        base_timestamp: meta.base_timestamp.into(),
        max_timestamp: meta.max_timestamp.into(),
        producer_id: meta.producer.id.into(),
        producer_epoch: meta.producer.epoch.into(),
        base_sequence: meta.producer.base_sequence.into(),
        record_count: meta.record_count.into(),
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(payload);
    header.crc = crc32c(&out[CRC_FROM..]).into();
    out[..HEADER_BYTES].copy_from_slice(header.as_bytes());
    out
}

/// A plain uncompressed batch of values, all with one timestamp.
pub fn batch_of(base_offset: i64, timestamp: i64, producer: Producer, values: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![];
    for (i, value) in values.iter().enumerate() {
        write_record(&mut payload, i as i32, 0, None, Some(value), &[]);
    }
    let meta = BatchMeta {
        base_offset,
        leader_epoch: 0,
        attributes: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        record_count: values.len() as i32,
        producer,
    };
    build_batch(meta, &payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::BatchView;

    #[test]
    fn a_batch_checks_and_its_records_come_back() {
        let bytes = batch_of(7, 1000, Producer::NONE, &[b"one", b"two", b""]);
        let view = BatchView::check(&bytes).unwrap();
        view.check_dense().unwrap();
        assert_eq!(view.header().last_offset().0, 9);
        let records: Vec<_> = Records::new(view.payload(), 3).map(|r| r.unwrap().value.unwrap()).collect();
        assert_eq!(records, [&b"one"[..], b"two", b""]);
    }

    #[test]
    fn batches_are_walked_up_to_the_first_that_is_wrong() {
        let batch = |base| batch_of(base, 1000, Producer::NONE, &[b"x"]);
        let whole = [batch(0), batch(1), batch(2)].concat();
        let bases = BatchView::check_all(&whole).map(|batch| batch.unwrap().header().base_offset().0);
        assert_eq!(bases.collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(BatchView::check_all(&[]).count(), 0);
        let cut = &whole[..whole.len() - 1];
        let walked: Vec<bool> = BatchView::check_all(cut).map(|batch| batch.is_ok()).collect();
        assert_eq!(walked, [true, true, false]);
    }

    #[test]
    fn every_flipped_bit_behind_the_magic_is_seen() {
        let bytes = batch_of(7, 1000, Producer::NONE, &[b"one", b"two"]);
        for bit in 17 * 8..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(BatchView::check(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn checksums_agree_with_another_implementation() {
        for n in [0usize, 1, 3, 60, 61, 4096, 70_000] {
            let bytes: Vec<u8> = (0..n).map(|i| (i * 31 + 7) as u8).collect();
            assert_eq!(super::super::crc32c(&bytes), crc32c::crc32c(&bytes));
            let mut parts = super::super::Crc32c::default();
            parts.update(&bytes[..n / 2]);
            parts.update(&bytes[n / 2..]);
            assert_eq!(parts.finish(), crc32c::crc32c(&bytes));
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), count in any::<i32>()) {
            let _ = BatchView::check(&bytes);
            for r in Records::new(&bytes, count).flatten() { let _ = r.headers.iter().count(); }
        }

        #[test]
        fn records_round_trip(
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)),
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)),
            name in proptest::collection::vec(any::<u8>(), 0..9), delta in any::<i64>(),
        ) {
            let mut payload = vec![];
            write_record(&mut payload, 3, delta, key.as_deref(), value.as_deref(), &[(&name, None), (&name, Some(b"x"))]);
            let record = Records::new(&payload, 1).next().unwrap().unwrap();
            prop_assert_eq!(record.key, key.as_deref());
            prop_assert_eq!(record.value, value.as_deref());
            prop_assert_eq!(record.timestamp_delta, delta);
            prop_assert_eq!(record.headers.iter().collect::<Vec<_>>(), vec![(&name[..], None), (&name[..], Some(&b"x"[..]))]);
        }
    }
}
