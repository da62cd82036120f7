//! What nothing that touches every byte can beat: a copy of the bytes, and a checksum over them.

use std::hint::black_box;

use criterion::{BenchmarkGroup, BenchmarkId, Throughput, measurement::WallTime};

/// Into the same place again and again: both sides are as near to the core as their size allows.
pub(crate) fn memcpy(group: &mut BenchmarkGroup<'_, WallTime>, parameter: &str, bytes: &[u8]) {
    memcpy_over(group, parameter, bytes, bytes.len());
}

/// Onwards through `span_bytes`, then from the start again: a log does not write where it wrote before.
pub(crate) fn memcpy_over(
    group: &mut BenchmarkGroup<'_, WallTime>,
    parameter: &str,
    bytes: &[u8],
    span_bytes: usize,
) {
    // Ones, because zeroed memory would be given by the kernel only when it is written.
    let mut span = vec![1u8; span_bytes];
    let mut at = 0;
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function(BenchmarkId::new("memcpy", parameter), |b| {
        b.iter(|| {
            if at + bytes.len() > span.len() {
                at = 0;
            }
            let to = &mut span[at..at + bytes.len()];
            to.copy_from_slice(black_box(bytes));
            black_box(to);
            at += bytes.len();
        });
    });
}

pub(crate) fn crc32c(group: &mut BenchmarkGroup<'_, WallTime>, parameter: &str, bytes: &[u8]) {
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function(BenchmarkId::new("crc32c", parameter), |b| {
        b.iter(|| model::batch::crc32c(black_box(bytes)));
    });
}
