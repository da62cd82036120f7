use model::{
    Compression,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};
use proptest::prelude::*;

use super::*;
use crate::compression::compress;

const BYTES_MAX: usize = 1 << 20;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// A batch as a client makes it: the records' timestamps, and a key on each or on none.
fn batch(base: i64, codec: Compression, timestamps: &[i64], key: Option<&[u8]>) -> Vec<u8> {
    let base_timestamp = timestamps.first().copied().unwrap_or(-1);
    let mut payload = vec![];
    for (i, timestamp) in timestamps.iter().enumerate() {
        write_record(&mut payload, i as i32, timestamp - base_timestamp, key, Some(b"value"), &[]);
    }
    let meta = BatchMeta {
        base_offset: base,
        leader_epoch: -1,
        attributes: CODECS.iter().position(|&c| c == codec).unwrap() as i16,
        base_timestamp,
        max_timestamp: timestamps.iter().copied().max().unwrap_or(-1),
        record_count: timestamps.len() as i32,
        producer: Producer::NONE,
    };
    build_batch(meta, &compress(codec, None, &payload))
}

/// Changes header fields and makes the checksum good again.
fn with_header(mut batch: Vec<u8>, change: impl FnOnce(&mut BatchHeader)) -> Vec<u8> {
    change(header_of(&mut batch));
    let crc = crc32c(&batch[CRC_FROM..]);
    header_of(&mut batch).crc = crc.into();
    batch
}

fn pair(found: Option<TimestampOffset>) -> Option<(i64, i64)> {
    found.map(|f| (f.timestamp.0, f.offset.0))
}

#[test]
fn a_time_is_found_inside_the_batch() {
    fn check(target: i64, start: i64, expected: Option<(i64, i64)>) {
        for codec in CODECS {
            let batch = batch(100, codec, &[50, 40, 70, 60], None);
            let found = find_timestamp(&batch, Timestamp(target), Offset(start), BYTES_MAX).unwrap();
            assert_eq!(pair(found), expected, "{codec:?} {target} {start}");
        }
    }
    check(0, 0, Some((50, 100)));
    check(50, 0, Some((50, 100)));
    check(51, 0, Some((70, 102)));
    check(70, 0, Some((70, 102)));
    check(71, 0, None);
    check(0, 101, Some((40, 101)));
    check(45, 101, Some((70, 102)));
    check(70, 103, None);
    check(0, 104, None);
}

#[test]
fn the_largest_timestamp_is_found() {
    fn check(timestamps: &[i64], expected: Option<(i64, i64)>) {
        for codec in CODECS {
            let found = max_timestamp_record(&batch(100, codec, timestamps, None), BYTES_MAX).unwrap();
            assert_eq!(pair(found), expected, "{codec:?} {timestamps:?}");
        }
    }
    check(&[], None);
    check(&[-1, -1], None);
    check(&[5], Some((5, 100)));
    check(&[50, 70, 60, 70], Some((70, 101)));
}

#[test]
fn log_append_time_counts_for_every_record() {
    let mut batch = batch(100, Compression::Lz4, &[50, 40, 70], None);
    restamp_log_append_time(&mut batch, Timestamp(60));
    let view = BatchView::check(&batch).unwrap();
    assert_eq!(view.header().timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(view.header().max_timestamp(), Timestamp(60));
    let found = |target| find_timestamp(&batch, Timestamp(target), Offset(0), BYTES_MAX).unwrap();
    assert_eq!(pair(found(55)), Some((60, 100)));
    assert_eq!(pair(found(61)), None);
    assert_eq!(pair(max_timestamp_record(&batch, BYTES_MAX).unwrap()), Some((60, 100)));
}

#[test]
fn a_stamp_leaves_the_checksum_good() {
    let mut batch = batch(0, Compression::None, &[50], None);
    stamp(&mut batch, Offset(1712), LeaderEpoch(9));
    let view = BatchView::check(&batch).unwrap();
    assert_eq!((view.header().base_offset(), view.header().leader_epoch()), (Offset(1712), LeaderEpoch(9)));
}

#[test]
fn a_bomb_inside_a_batch_is_an_error() {
    let mut payload = vec![];
    write_record(&mut payload, 0, 0, None, Some(&vec![0; 1 << 20]), &[]);
    let packed = compress(Compression::Zstd, None, &payload);
    let bomb = with_header(batch(0, Compression::Zstd, &[50], None), |h| {
        h.length = ((HEADER_BYTES - 12 + packed.len()) as i32).into();
    });
    let bomb = [&bomb[..HEADER_BYTES], &packed].concat();
    let error = find_timestamp(&bomb, Timestamp(0), Offset(0), 1000).unwrap_err();
    assert_eq!(error, RecordsError::Decompress(DecompressError::TooLarge { bytes_max: 1000 }));
}

#[test]
fn end_markers_are_read() {
    fn check(key: &[u8], value: &[u8], expected: Result<Option<(bool, i32)>, BatchError>) {
        let mut payload = vec![];
        write_record(&mut payload, 0, 0, Some(key), Some(value), &[]);
        let control = with_header(batch(0, Compression::None, &[50], None), |h| h.attributes = 0x30.into());
        let header = BatchHeader::read(&control).unwrap();
        let got = EndMarker::read(&header, &payload).map(|m| m.map(|m| (m.committed, m.coordinator_epoch)));
        assert_eq!(got, expected, "{key:?} {value:?}");
    }
    check(&[0, 0, 0, 1], &[0, 0, 0, 0, 0, 9], Ok(Some((true, 9))));
    check(&[0, 0, 0, 0], &[0, 0, 0, 0, 0, 9], Ok(Some((false, 9))));
    check(&[0, 1, 0, 0, 7], &[0, 1, 0, 0, 0, 9, 7], Ok(Some((false, 9))));
    check(&[0, 0, 0, 2], &[], Ok(None));
    check(&[0, 0, 0], &[0, 0, 0, 0, 0, 9], Err(BatchError::BadRecords));
    check(&[0, 0, 0, 1], &[0, 0, 0, 0, 9], Err(BatchError::BadRecords));
}

const NOW: Timestamp = Timestamp(1_000_000);

fn rules() -> ProduceRules {
    ProduceRules {
        message_bytes_max: 2000,
        segment_bytes_max: 1500,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 1000,
        compacted: false,
        walk_records: false,
        decompressed_bytes_max: BYTES_MAX,
    }
}

fn code(bytes: &[u8], rules: ProduceRules) -> ErrorCode {
    let all = validate_produce(bytes, &rules, NOW).map_or_else(|e| e.code(), |_| ErrorCode::None);
    let but_crc = validate_but_crc(bytes, &rules, NOW).map_or_else(|e| e.code(), |_| ErrorCode::None);
    assert!(all == but_crc || all == ErrorCode::CorruptMessage);
    all
}

use model::ErrorCode;

#[test]
fn a_clients_batch_is_taken() {
    for codec in CODECS {
        for walk_records in [false, true] {
            let batch = batch(0, codec, &[999_000, 1_000_900], None);
            let header = validate_produce(&batch, &ProduceRules { walk_records, ..rules() }, NOW).unwrap();
            assert_eq!(header.record_count(), 2);
        }
    }
}

#[test]
fn what_is_wrong_with_a_batch_has_its_code() {
    fn check(bytes: Vec<u8>, expected: ErrorCode) {
        assert_eq!(code(&bytes, rules()), expected);
    }
    let good = || batch(0, Compression::None, &[5], None);
    let changed = |change: fn(&mut BatchHeader)| with_header(good(), change);
    check(good(), ErrorCode::None);
    check(vec![], ErrorCode::InvalidRecord);
    check([good(), good()].concat(), ErrorCode::InvalidRecord);
    check([good(), vec![0]].concat(), ErrorCode::InvalidRecord);
    check(good()[..70].to_vec(), ErrorCode::CorruptMessage);
    check(good()[..10].to_vec(), ErrorCode::CorruptMessage);
    check(changed(|h| h.magic = 1), ErrorCode::InvalidRecord);
    check(changed(|h| h.magic = 0)[..30].to_vec(), ErrorCode::InvalidRecord);
    check(changed(|h| h.magic = 3), ErrorCode::CorruptMessage);
    check(changed(|h| h.magic = -1), ErrorCode::CorruptMessage);
    check(changed(|h| h.length = 10.into()), ErrorCode::CorruptMessage);
    check(changed(|h| h.length = (-1).into()), ErrorCode::CorruptMessage);
    check(changed(|h| h.base_offset = 1.into()), ErrorCode::InvalidRecord);
    check(changed(|h| h.record_count = 2.into()), ErrorCode::InvalidRecord);
    check(changed(|h| h.record_count = 0.into()), ErrorCode::InvalidRecord);
    check(changed(|h| h.last_offset_delta = (-1).into()), ErrorCode::InvalidRecord);
    check(changed(|h| h.attributes = 0x20.into()), ErrorCode::InvalidRecord);
    check(changed(|h| h.attributes = 5.into()), ErrorCode::UnsupportedCompressionType);
    check(changed(|h| h.attributes = 8.into()), ErrorCode::InvalidTimestamp);
    check(changed(|h| h.producer_id = 7.into()), ErrorCode::InvalidRecord);
    check(batch(0, Compression::None, &[5; 140], None), ErrorCode::RecordListTooLarge);
    check(batch(0, Compression::None, &[5; 300], None), ErrorCode::MessageTooLarge);
    let mut flipped = good();
    flipped[63] ^= 1;
    check(flipped, ErrorCode::CorruptMessage);
}

#[test]
fn timestamps_keep_to_the_topics_limits() {
    fn check(timestamps: &[i64], before: i64, expected: ErrorCode, records: &[i32]) {
        let rules = ProduceRules { timestamp_before_max_ms: before, ..rules() };
        let plain = batch(0, Compression::None, timestamps, None);
        let errors = validate_produce(&plain, &rules, NOW).err();
        let indices: Vec<_> = errors.iter().flat_map(|e| e.record_errors()).map(|e| e.batch_index).collect();
        assert_eq!(code(&plain, rules), expected, "{timestamps:?} {before}");
        assert_eq!(indices, records, "{timestamps:?} {before}");
        let stamped = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..rules };
        assert_eq!(code(&plain, stamped), ErrorCode::None);
    }
    check(&[1_001_000], i64::MAX, ErrorCode::None, &[]);
    check(&[1_001_001], i64::MAX, ErrorCode::InvalidTimestamp, &[0]);
    check(&[0, 1_001_001, 5, i64::MAX], i64::MAX, ErrorCode::InvalidTimestamp, &[1, 3]);
    check(&[-1], 10, ErrorCode::None, &[]);
    check(&[-5], i64::MAX, ErrorCode::None, &[]);
    check(&[999_990], 10, ErrorCode::None, &[]);
    check(&[1_000_000, 999_989], 10, ErrorCode::InvalidTimestamp, &[1]);
}

#[test]
fn a_compressed_batch_is_judged_by_its_header() {
    for codec in &CODECS[1..] {
        assert_eq!(code(&batch(0, *codec, &[0, 1_001_001], None), rules()), ErrorCode::InvalidTimestamp);
        let before = ProduceRules { timestamp_before_max_ms: 10, ..rules() };
        assert_eq!(code(&batch(0, *codec, &[999_980], None), before), ErrorCode::InvalidTimestamp);
        // An old record hides behind a new one, unless records are walked.
        let hidden = batch(0, *codec, &[1_000_000, 999_980], None);
        assert_eq!(code(&hidden, before), ErrorCode::None);
        assert_eq!(code(&hidden, ProduceRules { walk_records: true, ..before }), ErrorCode::InvalidTimestamp);
    }
}

#[test]
fn a_compacted_topic_wants_keys() {
    for codec in CODECS {
        let rules = ProduceRules { compacted: true, ..rules() };
        assert_eq!(code(&batch(0, codec, &[5, 6], Some(b"")), rules), ErrorCode::None);
        let error = validate_produce(&batch(0, codec, &[5, 6], None), &rules, NOW).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidRecord);
        let expected = [0, 1].map(|batch_index| RecordError { batch_index, problem: RecordProblem::NoKey });
        assert_eq!(error.record_errors(), expected);
    }
    let rules = ProduceRules { compacted: true, message_bytes_max: 9000, ..rules() };
    let error = validate_produce(&batch(0, Compression::None, &[5; 400], None), &rules, NOW).unwrap_err();
    assert_eq!(error.record_errors().len(), produce::RECORD_ERRORS_MAX);
}

#[test]
fn walked_records_must_parse_to_the_last_byte() {
    let rules = ProduceRules { walk_records: true, ..rules() };
    let good = batch(0, Compression::None, &[5, 6], None);
    let fewer = with_header(good.clone(), |h| {
        h.record_count = 1.into();
        h.last_offset_delta = 0.into();
    });
    assert_eq!(code(&fewer, rules), ErrorCode::InvalidRecord);
    let more = with_header(good.clone(), |h| {
        h.record_count = 3.into();
        h.last_offset_delta = 2.into();
    });
    assert_eq!(code(&more, rules), ErrorCode::InvalidRecord);
    let junk = with_header(good, |h| h.attributes = 1.into());
    assert_eq!(code(&junk, rules), ErrorCode::InvalidRecord);
}

proptest! {
    #[test]
    fn lookups_agree_with_a_walk_over_all_timestamps(
        timestamps in proptest::collection::vec(-1i64..30, 1..20), codec in 0usize..5,
        target in -2i64..32, start in 95i64..125, stamped in proptest::option::of(0i64..30),
    ) {
        let mut batch = batch(100, CODECS[codec], &timestamps, None);
        let mut naive: Vec<_> = timestamps.iter().zip(100..).map(|(&t, o)| (t, o)).collect();
        if let Some(now) = stamped {
            restamp_log_append_time(&mut batch, Timestamp(now));
            for record in &mut naive { record.0 = now; }
        }
        let found = find_timestamp(&batch, Timestamp(target), Offset(start), BYTES_MAX).unwrap();
        let first = naive.iter().find(|(t, o)| *t >= target && *o >= start).copied();
        prop_assert_eq!(pair(found), first);
        let max = naive.iter().map(|r| r.0).max().filter(|t| *t >= 0);
        let first_max = max.and_then(|max| naive.iter().find(|r| r.0 == max).copied());
        prop_assert_eq!(pair(max_timestamp_record(&batch, BYTES_MAX).unwrap()), first_max);
    }

    #[test]
    fn foreign_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), attributes in any::<i16>(), count in any::<i32>(),
        compacted in any::<bool>(), before in any::<i64>(), now in any::<i64>(),
    ) {
        let rules = ProduceRules {
            compacted, walk_records: true, timestamp_before_max_ms: before, decompressed_bytes_max: 5000, ..rules()
        };
        let mut batch = batch(0, Compression::None, &[5], None)[..HEADER_BYTES].to_vec();
        batch.extend(&bytes);
        let batch = with_header(batch, |h| {
            h.length = ((HEADER_BYTES - 12 + bytes.len()) as i32).into();
            h.attributes = (attributes & 0x1f).into();
            h.record_count = count.into();
            h.last_offset_delta = count.wrapping_sub(1).into();
        });
        for bytes in [&bytes, &batch] {
            let _ = validate_produce(bytes, &rules, Timestamp(now));
            let _ = validate_but_crc(bytes, &rules, Timestamp(now));
            let _ = find_timestamp(bytes, Timestamp(now), Offset(0), 5000);
            let _ = max_timestamp_record(bytes, 5000);
        }
    }
}
