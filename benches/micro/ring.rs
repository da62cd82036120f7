//! One operation at a time through a shard's ring and back to its task, beside the same thing as a plain system call of
//! a thread that waits for it. A ring is not made for one operation at a time, so this is its worst side: the price of
//! a round trip, of which many share one when there is load.
//!
//! The shard does not spin: it sleeps while it waits, as an idle broker does.

use std::{
    fs,
    hint::black_box,
    os::unix::{
        fs::{FileExt, OpenOptionsExt},
        process::parent_id,
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use rt::{
    ExecutorOptions, Shard,
    file::{Access, File},
    pages::{BLOCK, Page},
    ring::{Flush, Ring},
    run_single,
};

const FILE_BLOCKS: u64 = 4096;
/// How long a shard runs before its clock starts: its pages are registered meanwhile, behind everybody's back.
const WARM_UP: Duration = Duration::from_millis(20);
/// Each sample starts a shard.
const SAMPLES: usize = 20;
const BLOCK_OF_BYTES: Throughput = Throughput::Bytes(BLOCK as u64);

pub(crate) fn benches(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder");
    let path = dir.path().join("blocks");
    // Written once before: no measured write makes the file system allocate.
    fs::write(&path, vec![1; FILE_BLOCKS as usize * BLOCK]).expect("room for the file");
    fs::File::open(&path).and_then(|file| file.sync_all()).expect("a file that can be flushed");
    nops(criterion, &path);
    reads(criterion, &path);
    writes(criterion, &path);
}

fn nops(criterion: &mut Criterion, path: &Path) {
    let mut group = through_ring(criterion, "ring_nop", Throughput::Elements(1), Operation::Nop, path);
    group.bench_function("getppid", |b| b.iter(parent_id));
    group.finish();
}

fn reads(criterion: &mut Criterion, path: &Path) {
    let mut group = through_ring(criterion, "ring_read_4k", BLOCK_OF_BYTES, Operation::Read, path);
    let file = open_direct(path, 0);
    let mut block = Block::new();
    let mut places = (0..).map(place);
    group.bench_function("pread", |b| {
        b.iter(|| {
            let at = places.next().expect("an endless range");
            file.read_exact_at(&mut block.0, at).expect("a good disk");
            black_box(&mut block);
        });
    });
    group.finish();
}

fn writes(criterion: &mut Criterion, path: &Path) {
    let operation = Operation::DurableWrite;
    let mut group = through_ring(criterion, "ring_durable_write_4k", BLOCK_OF_BYTES, operation, path);
    let file = open_direct(path, libc::O_DSYNC);
    let block = Block::new();
    let mut places = (0..).map(place);
    group.bench_function("pwrite", |b| {
        b.iter(|| {
            file.write_all_at(&block.0, places.next().expect("an endless range")).expect("a good disk")
        });
    });
    group.finish();
}

/// Begins a group with the operation's way through the ring.
fn through_ring<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    throughput: Throughput,
    operation: Operation,
    path: &Path,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(SAMPLES);
    group.throughput(throughput);
    group.bench_function("ring", |b| {
        b.iter_custom(|iters| {
            let path = path.to_owned();
            let took = run_single(ExecutorOptions::default(), move |shard| {
                time_operations(shard, operation, path, iters)
            });
            took.expect("a shard that starts")
        });
    });
    group
}

#[derive(Clone, Copy)]
enum Operation {
    Nop,
    Read,
    DurableWrite,
}

async fn time_operations(shard: Shard, operation: Operation, path: PathBuf, iters: u64) -> Duration {
    let file = File::open(path, Access::ReadWrite).await.expect("a file system with O_DIRECT");
    let mut page = shard.pages.take(BLOCK).expect("a fresh pool");
    let began = Instant::now();
    while began.elapsed() < WARM_UP {
        operation.perform(&shard.ring, &file, &mut page, 0).await;
    }
    let began = Instant::now();
    for n in 0..iters {
        operation.perform(&shard.ring, &file, &mut page, place(n)).await;
    }
    began.elapsed()
}

impl Operation {
    async fn perform(self, ring: &Ring, file: &File, page: &mut Page, at: u64) {
        match self {
            Self::Nop => ring.nop().await.expect("a good ring"),
            Self::Read => assert_eq!(ring.read(file, at, page.whole()).await.expect("a good disk"), BLOCK),
            Self::DurableWrite => {
                let blocks = vec![page.blocks(0..BLOCK)];
                ring.write(file, at, blocks, Flush::Dsync).await.expect("a good disk");
            }
        }
    }
}

/// Where the n-th operation goes: all over the file, the same for both.
fn place(n: u64) -> u64 {
    // An odd factor visits every block.
    n.wrapping_mul(2_654_435_761) % FILE_BLOCKS * BLOCK as u64
}

fn open_direct(path: &Path, flags: i32) -> fs::File {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_DIRECT | flags);
    options.open(path).expect("a file system with O_DIRECT")
}

/// Aligned as O_DIRECT demands.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

impl Block {
    fn new() -> Box<Self> {
        Box::new(Self([1; BLOCK]))
    }
}
