//! A record batch from a client or a disk: framed, checked, judged against a topic's rules, packed anew by another codec,
//! looked into by timestamp and unpacked with a limit.
//!
//! Byte 0 says how the rest is prepared; without `SEAL` nearly every input ends at the checksum.

use std::borrow::Cow;

use engine::{
    compression::decompress,
    records::{
        Codec, EndMarker, ProduceRules, find_timestamp, max_timestamp_record, recompress,
        restamp_log_append_time, stamp, validate_but_crc, validate_produce,
    },
};
use model::{
    BatchHeader, BatchView, Compression, LeaderEpoch, Offset, Timestamp, TimestampType,
    batch::{CRC_FROM, HEADER_BYTES, crc32c, record::Records},
};

use super::input::Input;

/// Length, magic and checksum are made right before anything looks at the batch.
const SEAL: u8 = 0x01;
const COMPACTED: u8 = 0x02;
const STAMPED: u8 = 0x04;
const BOUNDED_TIME: u8 = 0x08;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const UNPACKED_BYTES_MAX: usize = 1 << 20;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.u8();
    let batch =
        if flags & SEAL != 0 { Cow::Owned(sealed(input.rest())) } else { Cow::Borrowed(input.rest()) };
    judge(&batch, &rules(flags));
    repack(&batch, &rules(flags));
    look_inside(&batch);
    for compression in &CODECS[1..] {
        unpack(*compression, input.rest());
    }
}

/// A batch with the length and the checksum of what is there.
pub fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut batch = bytes.to_vec();
    batch.resize(batch.len().max(HEADER_BYTES), 0);
    let length = (batch.len() - 12) as u32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = 2;
    let crc = crc32c(&batch[CRC_FROM..]);
    batch[17..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn rules(flags: u8) -> ProduceRules {
    let bounded = flags & BOUNDED_TIME != 0;
    ProduceRules {
        message_bytes_max: 64 << 10,
        segment_bytes_max: 32 << 10,
        timestamp_type: if flags & STAMPED != 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        },
        timestamp_before_max_ms: if bounded { 1000 } else { i64::MAX },
        timestamp_after_max_ms: if bounded { 1000 } else { 3_600_000 },
        compacted: flags & COMPACTED != 0,
        walk_records: true,
        decompressed_bytes_max: UNPACKED_BYTES_MAX,
    }
}

fn judge(batch: &[u8], rules: &ProduceRules) {
    let verdict = validate_produce(batch, rules, NOW);
    let but_crc = validate_but_crc(batch, rules, NOW);
    let Ok(header) = verdict else {
        let crc_is_good = BatchView::frame(batch).is_ok_and(|view| view.check_crc().is_ok());
        assert!(but_crc.is_err() || !crc_is_good, "refused for its checksum alone, which is right");
        if let Err(error) = &verdict {
            let _ = (error.code(), error.record_errors().len(), error.to_string());
        }
        return;
    };
    assert!(but_crc.is_ok(), "{but_crc:?}");
    let view = BatchView::check(batch).expect("what a client may send is a whole batch");
    assert_eq!(view.bytes().len(), batch.len());
    assert!(batch.len() <= rules.segment_bytes_max);
    let payload =
        decompress(header.compression().expect("known"), view.payload(), rules.decompressed_bytes_max);
    let payload = payload.expect("its records were walked");
    let records: Vec<_> = Records::new(&payload, header.record_count()).collect();
    assert_eq!(records.len() as i32, header.record_count());
    for (record, offset_delta) in records.iter().zip(0..) {
        let record = record.as_ref().expect("its records were walked");
        assert_eq!(record.offset_delta, offset_delta);
        assert!(record.key.is_some() || !rules.compacted);
        assert_eq!(record.headers.iter().count(), record.headers.count());
    }
    // The latest record is among the batch's own, and a search for its time finds one no later.
    if let Some(max) = max_timestamp_record(batch, UNPACKED_BYTES_MAX).expect("walked") {
        assert!(header.base_offset() <= max.offset && max.offset <= header.last_offset());
        let found = find_timestamp(batch, max.timestamp, Offset::ZERO, UNPACKED_BYTES_MAX).expect("walked");
        // The header may promise less than a record holds; then nothing is looked for.
        assert!(found.is_none_or(|f| f.offset <= max.offset));
    }
    placed(batch);
}

/// What a topic with a codec of its own makes of a batch is a batch that a client could have sent, of the same records.
fn repack(batch: &[u8], rules: &ProduceRules) {
    for compression in CODECS {
        let codec = Codec { compression, level: Some(1) };
        let Ok((header, packed)) = recompress(batch, rules, codec, NOW) else { continue };
        let Some(packed) = packed else {
            assert!(header.compression() == Ok(compression) && validate_produce(batch, rules, NOW).is_ok());
            continue;
        };
        let repacked = validate_produce(&packed, rules, NOW).expect("good, by the same rules");
        assert_eq!(repacked.compression(), Ok(compression));
        assert_eq!(repacked.record_count(), header.record_count());
        let unfold = |header: &BatchHeader, batch: &[u8]| {
            decompress(
                header.compression().expect("known"),
                &batch[HEADER_BYTES..],
                rules.decompressed_bytes_max,
            )
            .expect("it was walked")
            .into_owned()
        };
        assert!(unfold(&header, batch) == unfold(&repacked, &packed), "other records");
    }
}

/// What the broker itself does to a batch keeps it a batch.
fn placed(batch: &[u8]) {
    let mut own = batch.to_vec();
    stamp(&mut own, Offset(77), LeaderEpoch(3));
    let view = BatchView::check(&own).expect("offset and epoch are outside the checksum");
    assert_eq!((view.header().base_offset(), view.header().leader_epoch()), (Offset(77), LeaderEpoch(3)));
    restamp_log_append_time(&mut own, NOW);
    let view = BatchView::check(&own).expect("the checksum is made anew");
    assert_eq!(view.header().timestamp_type(), TimestampType::LogAppendTime);
    let found = find_timestamp(&own, NOW, Offset::ZERO, UNPACKED_BYTES_MAX).expect("walked");
    assert!(found.is_some_and(|f| f.timestamp == NOW && f.offset == Offset(77)));
}

/// As a log would: whatever has a good frame may be looked into.
fn look_inside(batch: &[u8]) {
    let Ok(view) = BatchView::frame(batch) else { return };
    let header = view.header();
    assert_eq!(header.total_bytes(), Ok(view.bytes().len()));
    let _ = (view.check_crc(), view.check_header(), view.check_dense(), header.next_offset());
    for target in [i64::MIN, -1, 0, NOW.0, i64::MAX] {
        for start in [i64::MIN, 0, i64::MAX] {
            let _ = find_timestamp(batch, Timestamp(target), Offset(start), UNPACKED_BYTES_MAX);
        }
    }
    let _ = max_timestamp_record(batch, UNPACKED_BYTES_MAX);
    for record in Records::new(view.payload(), header.record_count()).flatten() {
        let _ = record.headers.iter().count();
    }
    if header.is_control() {
        let _ = EndMarker::read(header, view.payload());
    }
}

fn unpack(compression: Compression, payload: &[u8]) {
    if let Ok(unpacked) = decompress(compression, payload, UNPACKED_BYTES_MAX) {
        assert!(unpacked.len() <= UNPACKED_BYTES_MAX);
        let tight = decompress(compression, payload, unpacked.len()).expect("exactly as much as it is");
        assert!(tight == unpacked);
        if let Some(less) = unpacked.len().checked_sub(1) {
            assert!(decompress(compression, payload, less).is_err(), "a limit that is passed is an error");
        }
    }
}
