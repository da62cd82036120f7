//! Apache Kafka's own tool reads what we write. Needs a Kafka 4.x distribution, so it runs only when asked:
//! `KAFKA_HOME=... cargo test -p engine --test golden_dump -- --ignored`

use std::{env, fs, path::Path, process::Command};

use engine::{
    compression::compress,
    index::{IndexLimits, SegmentIndexes},
    producers::{ProducerLimits, ProducerStates},
    properties::names::{SegmentFile, SegmentFileName},
    records::{restamp_log_append_time, stamp},
};
use model::{
    BatchHeader, Compression, LeaderEpoch, Offset, Timestamp,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};

const BASE: Offset = Offset(5_000_000_000);
const T: i64 = 1_700_000_000_000;
const BATCHES: i32 = 200;
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Batch `n` as a client sends it: three records, a codec in turn, one of four producers.
fn batch(n: i32) -> Vec<u8> {
    let codec = n as usize % CODECS.len();
    let mut payload = vec![];
    for i in 0..3 {
        let (key, value) = (format!("key-{n}-{i}"), format!("value-{n}-{i} ").repeat(20));
        let headers = [(&b"h"[..], None), (&b"i"[..], Some(&b"x"[..]))];
        let key = Some(key.as_bytes()).filter(|_| i != 1);
        write_record(&mut payload, i, i64::from(i), key, Some(value.as_bytes()), &headers);
    }
    let timestamp = T + i64::from(n * 7 % 31) * 100 + i64::from(n);
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: -1,
        attributes: codec as i16,
        base_timestamp: timestamp,
        max_timestamp: timestamp + 2,
        record_count: 3,
        producer: Producer { id: i64::from(n % 4), epoch: 7, base_sequence: n / 4 * 3 },
    };
    build_batch(meta, &compress(CODECS[codec], None, &payload))
}

/// Writes a segment with all that goes with it.
fn write_segment(dir: &Path) {
    let limits = IndexLimits { interval_bytes: 1000, index_bytes_max: 1 << 20 };
    let mut indexes = SegmentIndexes::new(BASE, limits);
    let mut producers = ProducerStates::new(ProducerLimits::default(), BASE);
    let (mut log, mut end) = (vec![], BASE);
    for n in 0..BATCHES {
        let mut batch = batch(n);
        if n % 50 == 49 {
            restamp_log_append_time(&mut batch, Timestamp(T + 9000 + i64::from(n)));
        }
        stamp(&mut batch, end, LeaderEpoch(4));
        let header = BatchHeader::read(&batch).expect("our own batch");
        indexes.append(&header, log.len() as u32, batch.len() as u32);
        producers.applied(&header, end, Timestamp(T));
        log.extend(batch);
        end = header.next_offset();
    }
    indexes.seal();
    let write = |base_offset, file, bytes: &[u8]| {
        let name = SegmentFileName::live(base_offset, file).to_string();
        fs::write(dir.join(name), bytes).expect("a temporary folder");
    };
    write(BASE, SegmentFile::Log, &log);
    write(BASE, SegmentFile::OffsetIndex, indexes.offset.as_bytes());
    write(BASE, SegmentFile::TimeIndex, indexes.time.as_bytes());
    write(end, SegmentFile::Snapshot, &producers.snapshot());
}

fn dump(dir: &Path, base_offset: Offset, file: SegmentFile, options: &[&str]) -> String {
    let home = env::var("KAFKA_HOME").expect("KAFKA_HOME");
    let output = Command::new(Path::new(&home).join("bin/kafka-dump-log.sh"))
        .args(options)
        .arg("--files")
        .arg(dir.join(SegmentFileName::live(base_offset, file).to_string()))
        .output()
        .expect("kafka-dump-log runs");
    let text = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned()).concat();
    assert!(output.status.success() && !text.contains("Exception"), "{file:?}: {text}");
    for complaint in ["mismatch", "Mismatch", "out of order", "corrupt"] {
        assert!(!text.contains(complaint), "{file:?}: {text}");
    }
    // The tool finds the first record of any segment, Kafka's own too, not consecutive to -1.
    assert!(text.matches("is followed by").count() <= 1, "{file:?}: {text}");
    text
}

#[test]
#[ignore = "needs a Kafka distribution"]
fn kafka_dump_log_reads_what_we_write() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write_segment(dir.path());
    let end = BASE + i64::from(BATCHES) * 3;

    let log = dump(dir.path(), BASE, SegmentFile::Log, &["--deep-iteration", "--print-data-log"]);
    assert_eq!(log.matches("isvalid: true").count(), BATCHES as usize, "{log}");
    assert_eq!(log.matches("| offset: ").count(), BATCHES as usize * 3);
    for n in 0..BATCHES {
        assert!(log.contains(&format!("key: key-{n}-2")), "batch {n}");
        assert!(log.contains(&format!("payload: value-{n}-1 value-{n}-1 ")), "batch {n}");
    }
    assert_eq!(log.matches("LogAppendTime: ").count(), 4 * 4);

    let index = dump(dir.path(), BASE, SegmentFile::OffsetIndex, &["--index-sanity-check"]);
    assert!(index.contains("passed sanity check"), "{index}");
    let entries = dump(dir.path(), BASE, SegmentFile::OffsetIndex, &[]);
    assert!(entries.matches("position: ").count() > 10, "{entries}");
    dump(dir.path(), BASE, SegmentFile::OffsetIndex, &["--verify-index-only"]);
    let time = dump(dir.path(), BASE, SegmentFile::TimeIndex, &["--index-sanity-check"]);
    assert!(time.contains("passed sanity check"), "{time}");
    dump(dir.path(), BASE, SegmentFile::TimeIndex, &["--verify-index-only"]);
    assert!(dump(dir.path(), BASE, SegmentFile::TimeIndex, &[]).matches("timestamp: ").count() > 3);

    let snapshot = dump(dir.path(), end, SegmentFile::Snapshot, &[]);
    assert_eq!(snapshot.matches("producerEpoch: 7").count(), 4, "{snapshot}");
    assert!(snapshot.contains("lastSequence: 149"), "{snapshot}");
}
