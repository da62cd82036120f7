use model::{
    BatchView, ErrorCode, TimestampType,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};
use proptest::prelude::*;

use super::*;
use crate::compression::decompress;

const BYTES_MAX: usize = 1 << 20;
const NOW: Timestamp = Timestamp(1_000_000);
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const IDEMPOTENT: Producer = Producer { id: 40, epoch: 3, base_sequence: 1712 };

fn rules() -> ProduceRules {
    ProduceRules {
        message_bytes_max: BYTES_MAX,
        segment_bytes_max: BYTES_MAX,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 1000,
        compacted: false,
        walk_records: false,
        decompressed_bytes_max: BYTES_MAX,
    }
}

fn plain(compression: Compression) -> Codec {
    Codec { compression, level: None }
}

/// A record as a client has it in hand.
#[derive(Clone, Debug)]
struct Sent {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn payload(sent: &[Sent]) -> Vec<u8> {
    let mut payload = vec![];
    for (n, record) in sent.iter().enumerate() {
        let headers: Vec<_> =
            record.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref())).collect();
        let delta = record.timestamp - sent[0].timestamp;
        write_record(&mut payload, n as i32, delta, record.key.as_deref(), record.value.as_deref(), &headers);
    }
    payload
}

fn meta(sent: &[Sent], codec: Compression, attributes: i16) -> BatchMeta {
    BatchMeta {
        base_offset: 0,
        leader_epoch: -1,
        attributes: attributes | codec.id(),
        base_timestamp: sent[0].timestamp,
        max_timestamp: sent.iter().map(|record| record.timestamp).max().unwrap_or(-1),
        record_count: sent.len() as i32,
        producer: IDEMPOTENT,
    }
}

fn batch(sent: &[Sent], codec: Compression, attributes: i16) -> Vec<u8> {
    build_batch(meta(sent, codec, attributes), &compress(codec, None, &payload(sent)))
}

fn text(n: usize) -> Sent {
    let value = "the wheel turns ".repeat(n % 50).into_bytes();
    Sent { timestamp: NOW.0 - n as i64, key: Some(vec![n as u8]), value: Some(value), headers: vec![] }
}

fn texts(count: usize) -> Vec<Sent> {
    (0..count).map(text).collect()
}

fn code(bytes: &[u8], rules: ProduceRules, codec: Codec) -> ErrorCode {
    recompress(bytes, &rules, codec, NOW).map_or_else(|error| error.code(), |_| ErrorCode::None)
}

#[test]
fn levels_are_used() {
    let noisy: Vec<Sent> = (0..2000).map(|n| Sent { timestamp: n * n % 977, ..text(n as usize) }).collect();
    let sent = batch(&noisy, Compression::None, 0);
    let bytes = |compression, level| {
        let (_, packed) = recompress(&sent, &rules(), Codec { compression, level }, NOW).unwrap();
        packed.expect("another codec").len()
    };
    assert!(bytes(Compression::Gzip, Some(9)) < bytes(Compression::Gzip, Some(1)));
    assert!(bytes(Compression::Zstd, Some(19)) < bytes(Compression::Zstd, Some(-50)));
    assert_eq!(bytes(Compression::Gzip, None), bytes(Compression::Gzip, Some(6)));
    assert_eq!(bytes(Compression::Zstd, None), bytes(Compression::Zstd, Some(3)));
}

#[test]
fn what_comes_of_a_batch_must_fit_as_well() {
    let sent = batch(&texts(500), Compression::Zstd, 0);
    let raw_bytes = HEADER_BYTES + payload(&texts(500)).len();
    assert!(sent.len() * 10 < raw_bytes, "it was to be packed well: {} of {raw_bytes}", sent.len());
    let check = |message: usize, segment: usize, expected| {
        let rules = ProduceRules { message_bytes_max: message, segment_bytes_max: segment, ..rules() };
        assert_eq!(code(&sent, rules, plain(Compression::None)), expected, "{message} {segment}");
    };
    check(raw_bytes, raw_bytes, ErrorCode::None);
    check(raw_bytes - 1, BYTES_MAX, ErrorCode::MessageTooLarge);
    check(sent.len() - 1, BYTES_MAX, ErrorCode::MessageTooLarge);
    check(raw_bytes, raw_bytes - 1, ErrorCode::RecordListTooLarge);
    // Too large as it was sent, however small it would become.
    let loose = batch(&texts(500), Compression::None, 0);
    let rules = ProduceRules { message_bytes_max: loose.len() - 1, ..rules() };
    assert_eq!(code(&loose, rules, plain(Compression::Zstd)), ErrorCode::MessageTooLarge);
}

#[test]
fn a_bomb_is_refused_as_too_large() {
    let bomb = [Sent { value: Some(vec![0; BYTES_MAX]), ..text(1) }];
    for from in &CODECS[1..] {
        let sent = batch(&bomb, *from, 0);
        let to = if *from == Compression::Lz4 { Compression::Zstd } else { Compression::Lz4 };
        let rules = ProduceRules { decompressed_bytes_max: 5000, ..rules() };
        assert_eq!(code(&sent, rules, plain(to)), ErrorCode::MessageTooLarge, "{from:?}");
    }
}

#[test]
fn what_is_wrong_inside_a_batch_has_its_code() {
    let zstd = plain(Compression::Zstd);
    let records = texts(5);
    let good = batch(&records, Compression::Gzip, 0);
    assert_eq!(code(&good, rules(), zstd), ErrorCode::None);
    // The checksum.
    let mut flipped = good.clone();
    flipped[70] ^= 1;
    assert_eq!(code(&flipped, rules(), zstd), ErrorCode::CorruptMessage);
    // The checksum is right, the codec's bytes are not.
    let packed = compress(Compression::Gzip, None, &payload(&records));
    let cut = build_batch(meta(&records, Compression::Gzip, 0), &packed[..packed.len() - 9]);
    assert_eq!(code(&cut, rules(), zstd), ErrorCode::InvalidRecord);
    // The records do not parse, or are more than the header says.
    let junk = build_batch(meta(&records, Compression::None, 0), &[7; 40]);
    assert_eq!(code(&junk, rules(), zstd), ErrorCode::InvalidRecord);
    let surplus = build_batch(meta(&records[..4], Compression::None, 0), &payload(&records));
    assert_eq!(code(&surplus, rules(), zstd), ErrorCode::InvalidRecord);
    // Offsets with a hole.
    let mut holey = vec![];
    write_record(&mut holey, 0, 0, None, Some(b"a"), &[]);
    write_record(&mut holey, 2, 0, None, Some(b"b"), &[]);
    let holey = build_batch(meta(&records[..2], Compression::None, 0), &holey);
    assert_eq!(code(&holey, rules(), zstd), ErrorCode::InvalidRecord);
    // A control batch, a codec that nobody knows, a clock that is the broker's.
    assert_eq!(code(&batch(&records, Compression::None, 0x20), rules(), zstd), ErrorCode::InvalidRecord);
    let unknown = batch(&records, Compression::None, 7);
    assert_eq!(code(&unknown, rules(), zstd), ErrorCode::UnsupportedCompressionType);
    assert_eq!(code(&batch(&records, Compression::None, 8), rules(), zstd), ErrorCode::InvalidTimestamp);
}

#[test]
fn every_record_keeps_to_the_topics_rules() {
    let compacted = ProduceRules { compacted: true, ..rules() };
    let mut records = texts(5);
    records[3].key = None;
    let sent = batch(&records, Compression::Lz4, 0);
    let error = recompress(&sent, &compacted, plain(Compression::None), NOW).unwrap_err();
    assert_eq!(error.record_errors().iter().map(|e| e.batch_index).collect::<Vec<_>>(), [3]);
    // An old record behind new ones: the header alone does not show it.
    records[2].timestamp = NOW.0 - 5000;
    let bounded = ProduceRules { timestamp_before_max_ms: 1000, ..rules() };
    let sent = batch(&records, Compression::Lz4, 0);
    let error = recompress(&sent, &bounded, plain(Compression::None), NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidTimestamp);
    assert_eq!(error.record_errors().iter().map(|e| e.batch_index).collect::<Vec<_>>(), [2]);
    let stamped = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..bounded };
    assert_eq!(code(&sent, stamped, plain(Compression::None)), ErrorCode::None);
}

/// The records know better than the header.
#[test]
fn the_largest_timestamp_is_that_of_the_records() {
    let records = texts(5);
    for lie in [-1, 3, NOW.0 + 999, i64::MAX] {
        let meta = BatchMeta { max_timestamp: lie, ..meta(&records, Compression::None, 0) };
        let sent = build_batch(meta, &payload(&records));
        let (_, packed) = recompress(&sent, &rules(), plain(Compression::Snappy), NOW).unwrap();
        let packed = packed.expect("another codec");
        assert_eq!(BatchView::check(&packed).unwrap().header().max_timestamp(), NOW);
    }
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..max)
}

fn record() -> impl Strategy<Value = Sent> {
    let some = |max| proptest::option::of(bytes(max));
    (0i64..1000, some(9), some(200), proptest::collection::vec((bytes(5), some(5)), 0..3))
        .prop_map(|(before, key, value, headers)| Sent { timestamp: NOW.0 - before, key, value, headers })
}

proptest! {
    #[test]
    fn records_stay_what_they_were(
        sent in proptest::collection::vec(record(), 1..20), transactional in any::<bool>(), level in any::<i32>(),
    ) {
        let attributes = if transactional { 0x10 } else { 0 };
        for (from, to) in CODECS.iter().flat_map(|&from| CODECS.map(|to| (from, to))) {
            // Bits that nobody has defined do not pass.
            let unknown = if from == to { 0 } else { 0x40 };
            let batch = batch(&sent, from, attributes | unknown);
            let (header, packed) = recompress(&batch, &rules(), Codec { compression: to, level: Some(level) }, NOW).unwrap();
            prop_assert_eq!(header.compression(), Ok(from));
            let Some(packed) = packed else {
                prop_assert_eq!(from, to);
                continue;
            };
            prop_assert_ne!(from, to);
            let view = BatchView::check(&packed).unwrap();
            prop_assert_eq!(view.bytes().len(), packed.len());
            // The naive way: the client itself had used the other codec.
            let other = meta(&sent, to, attributes);
            let expected = build_batch(other, view.payload());
            prop_assert_eq!(&packed, &expected, "{:?} {:?}", from, to);
            let unfolded = decompress(to, view.payload(), BYTES_MAX).unwrap();
            prop_assert_eq!(&*unfolded, &payload(&sent)[..], "{:?} {:?}", from, to);
            // There and back again.
            let (_, back) = recompress(&packed, &rules(), plain(from), NOW).unwrap();
            let back = back.unwrap();
            let back = BatchView::check(&back).unwrap();
            let unfolded = decompress(from, back.payload(), BYTES_MAX).unwrap();
            prop_assert_eq!(&*unfolded, &payload(&sent)[..]);
        }
    }

    #[test]
    fn foreign_bytes_never_panic(
        bytes in bytes(200), attributes in 0i16..0x80, count in any::<i32>(), base in any::<i64>(), max in any::<i64>(),
        to in 0usize..5,
    ) {
        let meta = BatchMeta {
            base_offset: 0, leader_epoch: -1, attributes, base_timestamp: base, max_timestamp: max, record_count: count,
            producer: Producer::NONE,
        };
        let rules = ProduceRules { decompressed_bytes_max: 5000, message_bytes_max: 5000, ..rules() };
        for batch in [&bytes, &build_batch(BatchMeta { record_count: count.max(-5), ..meta }, &bytes)] {
            if let Ok((_, Some(packed))) = recompress(batch, &rules, plain(CODECS[to]), NOW) {
                prop_assert!(BatchView::check(&packed).is_ok() && packed.len() <= 5000);
            }
        }
    }
}
