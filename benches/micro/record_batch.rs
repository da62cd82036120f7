//! What a broker checks of a batch before it takes it: the frame, the CRC, the header. The records are not walked.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use engine::records::{ProduceRules, validate_produce};
use model::{
    BatchView, Timestamp, TimestampType,
    batch::{
        HEADER_BYTES,
        record::{Producer, batch_of},
    },
};

use crate::ceiling;

/// The sizes of a batch that the benches of record data share.
pub(crate) const SIZES: [(&str, usize); 3] = [("1 KiB", 1 << 10), ("16 KiB", 16 << 10), ("1 MiB", 1 << 20)];

const RULES: ProduceRules = ProduceRules {
    message_bytes_max: 2 << 20,
    segment_bytes_max: 1 << 30,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_max_ms: i64::MAX,
    timestamp_after_max_ms: i64::MAX,
    compacted: false,
    walk_records: false,
    decompressed_bytes_max: 0,
};

/// A batch of exactly this size with one record: what is measured does not look at records.
pub(crate) fn batch(bytes: usize) -> Vec<u8> {
    let of = |value_bytes: usize| {
        let value: Vec<u8> = (0..value_bytes).map(|n| (n * 31 % 251) as u8).collect();
        batch_of(0, 1, Producer::NONE, &[&value])
    };
    // What stands around the value grows with it, but not in the last bytes of a size.
    let nearly = bytes - 2 * HEADER_BYTES;
    let batch = of(nearly + bytes - of(nearly).len());
    assert_eq!(batch.len(), bytes);
    batch
}

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record_batch");
    for (name, bytes) in SIZES {
        let batch = batch(bytes);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_function(BenchmarkId::new("check", name), |b| {
            b.iter(|| BatchView::check(black_box(&batch)).expect("a good batch").header().record_count());
        });
        group.bench_function(BenchmarkId::new("validate_produce", name), |b| {
            b.iter(|| validate_produce(black_box(&batch), &RULES, Timestamp(1)).expect("a good batch"));
        });
        ceiling::crc32c(&mut group, name, &batch);
        ceiling::memcpy(&mut group, name, &batch);
    }
    group.finish();
}
