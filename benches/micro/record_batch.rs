//! What a broker checks of a batch before it takes it: the frame, the CRC, the header. The records are not walked, but by a
//! topic with a codec of its own: then they are unpacked, walked and packed again.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use engine::{
    compression::compress,
    records::{Codec, ProduceRules, recompress, validate_produce},
};
use model::{
    BatchView, Compression, Timestamp, TimestampType,
    batch::{
        HEADER_BYTES,
        record::{BatchMeta, Producer, batch_of, build_batch, write_record},
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
    decompressed_bytes_max: 2 << 20,
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
    recompression(criterion);
}

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// 1 MiB of records of about 200 bytes that pack to about a third, by the codec of a producer.
fn lines(codec: Compression) -> Vec<u8> {
    let mut payload = vec![];
    let mut count = 0;
    let mut z = 1u64;
    while payload.len() < (1 << 20) - 256 {
        let value: String = (0..12)
            .map(|_| {
                z = z.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("field{}={:06x} ", z >> 62, z >> 40)
            })
            .collect();
        write_record(&mut payload, count, i64::from(count), None, Some(value.as_bytes()), &[]);
        count += 1;
    }
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: -1,
        attributes: codec.id(),
        base_timestamp: 0,
        max_timestamp: i64::from(count) - 1,
        record_count: count,
        producer: Producer::NONE,
    };
    build_batch(meta, &compress(codec, None, &payload))
}

/// From lz4 to each other codec, and from none to lz4: the throughput is that of unpacked records.
fn recompression(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recompress");
    group.throughput(Throughput::Bytes(1 << 20)).sample_size(20);
    for to in CODECS {
        let from = if to == Compression::Lz4 { Compression::None } else { Compression::Lz4 };
        let batch = lines(from);
        let codec = Codec { compression: to, level: None };
        group.bench_function(BenchmarkId::new("1 MiB", format!("{from:?} to {to:?}")), |b| {
            b.iter(|| {
                recompress(black_box(&batch), &RULES, codec, Timestamp(1 << 30)).expect("a good batch")
            });
        });
    }
    group.finish();
}
