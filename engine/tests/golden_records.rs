//! What real clients put into batches, looked into.

use engine::{
    compression::{compress, decompress},
    properties::names::SegmentFile,
    records::{
        Codec, ProduceRules, find_timestamp, max_timestamp_record, recompress, stamp, validate_produce,
    },
};
use model::{BatchView, Compression, LeaderEpoch, Offset, Timestamp, TimestampType, batch::record::Records};
use zerocopy::IntoBytes;

mod golden;
use golden::{batches, files};

const BYTES_MAX: usize = 1 << 20;
const T: i64 = 1_700_000_000_000;
const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

/// Offsets, timestamps and values as a walk with nothing but the codec and the parser finds them.
fn walk(dir: &str, codec: Compression) -> Vec<(i64, i64, Option<String>)> {
    let mut found = vec![];
    for (_, log) in files(dir, SegmentFile::Log) {
        for (_, view) in batches(&log) {
            let header = view.header();
            if header.record_count() > 1 {
                assert_eq!(header.compression(), Ok(codec), "{dir}");
            }
            let payload = decompress(header.compression().expect("a codec"), view.payload(), BYTES_MAX)
                .expect("a payload");
            assert_eq!(decompress(codec, &compress(codec, None, &payload), BYTES_MAX), Ok(payload.clone()));
            for record in Records::new(&payload, header.record_count()) {
                let record = record.expect("a record");
                let timestamp = match header.timestamp_type() {
                    TimestampType::CreateTime => header.base_timestamp().0 + record.timestamp_delta,
                    TimestampType::LogAppendTime => header.max_timestamp().0,
                };
                let value = record.value.map(|v| String::from_utf8(v.to_vec()).expect("text"));
                found.push((header.base_offset().0 + i64::from(record.offset_delta), timestamp, value));
            }
        }
    }
    found
}

#[test]
fn every_clients_codecs_are_read() {
    for (name, codec) in CODECS {
        let java = walk(&format!("java-{name}-0"), codec);
        let expected: Vec<_> = (0..50)
            .map(|i| {
                let start = if i < 40 { T } else { T + 100_000 };
                let value = format!("value {i} {}", "tailrace ".repeat(i as usize % 5));
                (i, start + (i * 7 % 13) * 1000, Some(value))
            })
            .collect();
        assert_eq!(java, expected, "{name}");
        for client in ["kcat", "python"] {
            let values: Vec<_> =
                walk(&format!("{client}-{name}-0"), codec).into_iter().map(|r| (r.0, r.2.unwrap())).collect();
            let line = |i| format!("line {i} of {client}, tailrace tailrace tailrace");
            assert_eq!(values, (0..50).map(|i| (i, line(i))).collect::<Vec<_>>(), "{client} {name}");
        }
    }
}

#[test]
fn times_are_found_in_every_clients_batches() {
    let mut dirs: Vec<_> = vec![("stamped-0".to_owned(), Compression::Lz4)];
    dirs.push(("plain-0".to_owned(), Compression::None));
    dirs.push(("compacted-0".to_owned(), Compression::None));
    for (name, codec) in CODECS {
        dirs.extend(["java", "kcat", "python"].map(|client| (format!("{client}-{name}-0"), codec)));
    }
    for (dir, codec) in dirs {
        let records = walk(&dir, codec);
        let logs = files(&dir, SegmentFile::Log);
        let find = |target, start| {
            logs.iter().flat_map(|(_, log)| batches(log)).find_map(|(_, b)| {
                find_timestamp(b.bytes(), Timestamp(target), Offset(start), BYTES_MAX).unwrap()
            })
        };
        let times: Vec<i64> = records.iter().map(|r| r.1).collect();
        for target in times.iter().flat_map(|t| [t - 1, *t, t + 1]) {
            for start in [0, records[records.len() / 2].0] {
                let naive = records.iter().find(|r| r.1 >= target && r.0 >= start).map(|r| (r.0, r.1));
                assert_eq!(find(target, start).map(|f| (f.offset.0, f.timestamp.0)), naive, "{dir} {target}");
            }
        }
        for (_, view) in logs.iter().flat_map(|(_, log)| batches(log)) {
            let max = max_timestamp_record(view.bytes(), BYTES_MAX).unwrap();
            assert_eq!(max.map(|m| m.timestamp), Some(view.header().max_timestamp()), "{dir}");
        }
    }
}

/// A compacted batch keeps its offsets; the records that are left have holes between them.
#[test]
fn compaction_leaves_holes() {
    let log = files("compacted-0", SegmentFile::Log).remove(0).1;
    let thinned = batches(&log).into_iter().filter(|(_, b)| b.check_dense().is_err()).count();
    assert!(thinned > 0);
    let horizon = batches(&log).into_iter().filter(|(_, b)| b.header().attributes.get() & 0x40 != 0).count();
    assert!(horizon > 0);
}

#[test]
fn what_clients_send_is_taken() {
    let rules = ProduceRules {
        message_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        walk_records: true,
        decompressed_bytes_max: BYTES_MAX,
    };
    let mut count = 0;
    let clients = ["java", "kcat", "python"];
    let mut dirs: Vec<_> = CODECS.iter().flat_map(|(n, _)| clients.map(|c| format!("{c}-{n}-0"))).collect();
    dirs.extend(["plain-0".to_owned(), "idempotent-0".to_owned(), "txn-0".to_owned()]);
    for dir in dirs {
        for (_, log) in files(&dir, SegmentFile::Log) {
            for (_, view) in batches(&log).into_iter().filter(|(_, b)| !b.header().is_control()) {
                // As it was sent: a leader writes only what the checksum does not cover.
                let mut sent = view.bytes().to_vec();
                stamp(&mut sent, Offset(0), LeaderEpoch(-1));
                let header = validate_produce(&sent, &rules, view.header().max_timestamp()).unwrap();
                stamp(&mut sent, view.header().base_offset(), view.header().leader_epoch());
                assert_eq!(sent, view.bytes());
                assert_eq!(header.crc, BatchView::frame(&sent).unwrap().header().crc);
                count += 1;
            }
        }
    }
    assert!(count > 100);
}

#[test]
fn what_clients_send_is_packed_anew_by_every_codec() {
    let rules = ProduceRules {
        message_bytes_max: 1 << 20,
        segment_bytes_max: 1 << 20,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        compacted: false,
        walk_records: false,
        decompressed_bytes_max: BYTES_MAX,
    };
    let mut count = 0;
    let clients = ["java", "kcat", "python"];
    let mut dirs: Vec<_> = CODECS.iter().flat_map(|(n, _)| clients.map(|c| format!("{c}-{n}-0"))).collect();
    dirs.extend(["plain-0".to_owned(), "idempotent-0".to_owned()]);
    for dir in dirs {
        for (_, log) in files(&dir, SegmentFile::Log) {
            for view in batches(&log).into_iter().map(|(_, view)| view) {
                let mut sent = view.bytes().to_vec();
                stamp(&mut sent, Offset(0), LeaderEpoch(-1));
                let unfold = |view: &BatchView<'_>| {
                    let codec = view.header().compression().expect("a codec");
                    decompress(codec, view.payload(), BYTES_MAX).expect("a payload").into_owned()
                };
                for (_, compression) in CODECS {
                    let codec = Codec { compression, level: None };
                    let (header, packed) =
                        recompress(&sent, &rules, codec, view.header().max_timestamp()).unwrap();
                    let Some(packed) = packed else {
                        assert_eq!(header.compression(), Ok(compression), "{dir}");
                        continue;
                    };
                    let packed = BatchView::check(&packed).expect("a batch");
                    assert_eq!(packed.header().compression(), Ok(compression), "{dir}");
                    // Clients are honest: nothing but codec, length and checksum differs.
                    let mut same = *packed.header();
                    same.length = header.length;
                    same.crc = header.crc;
                    same.attributes = header.attributes;
                    assert_eq!(same.as_bytes(), header.as_bytes(), "{dir}");
                    assert!(unfold(&packed) == unfold(&view), "{dir} {compression:?}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 100, "{count}");
}
