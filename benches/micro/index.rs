//! Look-ups in full indexes of the default size, at places drawn beforehand, beside the standard library's binary
//! search of the same entries as plain numbers.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    hint::black_box,
};

use criterion::{Criterion, Throughput};
use engine::index::{OffsetIndex, TimeIndex};
use model::{Offset, Timestamp};

/// `segment.index.bytes`
const INDEX_BYTES: u32 = 10 << 20;
/// Records and bytes between two entries, and milliseconds between their timestamps.
const OFFSET_STEP: usize = 5;
const POSITION_STEP: usize = 800;
const TIME_STEP: usize = 3;
const TARGETS: usize = 1 << 16;

pub(crate) fn benches(criterion: &mut Criterion) {
    offsets(criterion);
    times(criterion);
}

fn offsets(criterion: &mut Criterion) {
    let mut index = OffsetIndex::new(Offset(0), INDEX_BYTES);
    let mut plain: Vec<(u32, u32)> = vec![];
    while !index.is_full() {
        let n = plain.len() + 1;
        let (offset, position) = ((n * OFFSET_STEP) as u32, (n * POSITION_STEP) as u32);
        index.append(Offset(i64::from(offset)), position);
        plain.push((offset, position));
    }
    assert_eq!(index.as_bytes().len(), INDEX_BYTES as usize);
    let search = |target: i64| at_or_below(&plain, plain.binary_search_by_key(&(target as u32), |e| e.0));
    let targets = draw(plain.len() * OFFSET_STEP);
    for &target in &targets {
        assert_eq!(index.lookup(Offset(target)).position, search(target).unwrap_or_default().1);
    }
    compare(criterion, "index_offset", &targets, |target| index.lookup(Offset(target)), search);
}

fn times(criterion: &mut Criterion) {
    let mut index = TimeIndex::new(Offset(0), INDEX_BYTES);
    let mut plain: Vec<(i64, u32)> = vec![];
    while !index.is_full() {
        let n = plain.len() + 1;
        let (timestamp, offset) = ((n * TIME_STEP) as i64, (n * OFFSET_STEP) as u32);
        index.observe(Timestamp(timestamp), Offset(i64::from(offset)));
        index.append();
        plain.push((timestamp, offset));
    }
    assert_eq!(index.entry_count(), plain.len());
    let search = |target: i64| at_or_below(&plain, plain.binary_search_by_key(&target, |e| e.0));
    let targets = draw(plain.len() * TIME_STEP);
    for &target in &targets {
        let expected = i64::from(search(target).unwrap_or_default().1);
        assert_eq!(index.lookup(Timestamp(target)).offset, Offset(expected));
    }
    compare(criterion, "index_time", &targets, |target| index.lookup(Timestamp(target)), search);
}

fn compare<A, B>(
    criterion: &mut Criterion,
    name: &str,
    targets: &[i64],
    lookup: impl Fn(i64) -> A,
    search: impl Fn(i64) -> B,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    let mut target = targets.iter().cycle();
    let mut next = || *black_box(target.next().expect("a cycle"));
    group.bench_function("lookup", |b| b.iter(|| lookup(next())));
    group.bench_function("binary_search", |b| b.iter(|| search(next())));
    group.finish();
}

fn at_or_below<T: Copy>(entries: &[T], found: Result<usize, usize>) -> Option<T> {
    let at = found.map_or_else(|after| after.checked_sub(1), Some)?;
    Some(entries[at])
}

/// Places all over `0..end`, in an order that no predictor knows, the same in each run.
fn draw(end: usize) -> Vec<i64> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    (0..TARGETS).map(|n| (hasher.hash_one(n) % end as u64) as i64).collect()
}
