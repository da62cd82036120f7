//! A frame of the journal, from the runs of a commit to the pages that go to the disk: an entry for each run, the
//! checksum, and the copy. The disk behind it takes no time.
//!
//! Two passes over the bytes are the least: `crc32c` and `memcpy` together.

use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput};
use engine::journal::{
    Journal, Life, POOL_BYTES, RunBytes,
    frame::{self, Run, RunKind},
};
use futures_lite::future::block_on;
use model::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use rt::pages::PagePool;

use crate::{ceiling, null_disk::NullDisk, record_batch::batch};

const JOURNAL_BYTES: u64 = 256 << 20;

struct Shape {
    name: &'static str,
    run_count: usize,
    run_bytes: usize,
}

/// Many small partitions, some middling ones, and the largest frame but for one batch.
const SHAPES: [Shape; 3] = [
    Shape { name: "64 x 1 KiB", run_count: 64, run_bytes: 1 << 10 },
    Shape { name: "16 x 16 KiB", run_count: 16, run_bytes: 16 << 10 },
    Shape { name: "7 x 1 MiB", run_count: 7, run_bytes: 1 << 20 },
];

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal_frame");
    for shape in SHAPES {
        let pool = PagePool::new(16 << 20);
        let runs: Vec<RunBytes> = (0..shape.run_count).map(|n| run(&pool, n, shape.run_bytes)).collect();
        let body_bytes: usize = runs.iter().map(|r| r.run.body_bytes()).sum();
        let frame_bytes = frame::frame_bytes(body_bytes);
        let journal = block_on(start());
        group.throughput(Throughput::Bytes(frame_bytes as u64));
        group.bench_function(BenchmarkId::new("write", shape.name), |b| {
            b.iter(|| block_on(write(&journal, &runs, body_bytes)));
        });
        let plain: Vec<u8> = (0..frame_bytes).map(|n| n as u8).collect();
        ceiling::crc32c(&mut group, shape.name, &plain);
        ceiling::memcpy(&mut group, shape.name, &plain);
    }
    group.finish();
}

async fn start() -> Journal<NullDisk> {
    let disk = NullDisk { file_bytes: JOURNAL_BYTES };
    let life = Life { shard: 0, salt: 1, first_bytes: JOURNAL_BYTES };
    Journal::start(disk, PagePool::new(POOL_BYTES), Path::new("journal"), life).await.expect("a good disk")
}

async fn write(journal: &Journal<NullDisk>, runs: &[RunBytes], body_bytes: usize) {
    if !journal.fits(body_bytes) {
        // Once in many frames.
        journal.release_through(journal.last_sequence()).await.expect("a good disk");
    }
    journal.write(runs, true).await.expect("a good disk");
}

fn run(pool: &PagePool, n: usize, bytes: usize) -> RunBytes {
    let batch = batch(bytes);
    let mut page = pool.take(batch.len()).expect("the pool holds all runs");
    assert_eq!(page.append(&batch), batch.len());
    let run = Run {
        kind: RunKind::Inline,
        log: TopicPartition::new(TopicId([1; 16]), PartitionIndex(n as i32)),
        leader_epoch: LeaderEpoch(0),
        base_offset: Offset(0),
        next_offset: Offset(1),
        segment_base: Offset(0),
        position: 0,
        bytes: batch.len() as u32,
        crc: model::batch::crc32c(&batch),
    };
    RunBytes { run, slices: vec![page.slice(0..batch.len())] }
}
