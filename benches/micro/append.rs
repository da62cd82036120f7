//! An append: offset, indexes, producer state, and the copy of the batch into a page that is at once journal source,
//! segment source and cache. Durability `memory`, so that nothing else is done for it.
//!
//! `page` is that copy alone, into pages of the same pool; `memcpy` the same bytes through as much plain memory.

use std::{
    collections::VecDeque,
    hint::black_box,
    path::PathBuf,
    rc::Rc,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use engine::{Durability, LogConfig, SharedLog, Store, StoreOptions, disk::mem::MemDisk, journal};
use futures_lite::future::block_on;
use model::{LeaderEpoch, PartitionIndex, Timestamp, TopicId, TopicPartition};
use rt::pages::{BLOCK, PAGE_MAX, Page, PagePool};

use crate::{
    ceiling,
    record_batch::{SIZES, batch},
};

/// A log grows to this size, then another takes its place. More than any cache holds, so that a copy goes to memory
/// as it does in a broker.
const LOG_BYTES_MAX: usize = 64 << 20;
/// Also room for the anchors, and for what a page leaves free at its end.
const POOL_BYTES: usize = 2 * LOG_BYTES_MAX;
const NOW: Timestamp = Timestamp(1);

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for (name, bytes) in SIZES {
        let batch = batch(bytes);
        group.throughput(Throughput::Bytes(batch.len() as u64));
        let mut appender = Appender::new();
        group.bench_function(BenchmarkId::new("append", name), |b| {
            b.iter_custom(|iters| appender.append(&batch, iters));
        });
        let warm = WarmPool::new(POOL_BYTES);
        let mut tail = Tail::default();
        group.bench_function(BenchmarkId::new("page", name), |b| {
            b.iter(|| tail.append(&warm.pool, black_box(&batch)));
        });
        ceiling::memcpy_over(&mut group, name, &batch, LOG_BYTES_MAX);
    }
    group.finish();
}

/// A pool whose slabs have all been touched and stay mapped: what the kernel does for new memory is not measured.
struct WarmPool {
    pool: PagePool,
    /// A page of each slab, because a pool gives wholly free slabs back.
    _anchors: Vec<Page>,
}

impl WarmPool {
    fn new(bytes: usize) -> Self {
        let pool = PagePool::new(bytes);
        let (mut anchors, mut others) = (vec![], vec![]);
        let mut mapped = 0;
        while let Some(mut page) = pool.take(PAGE_MAX) {
            page.append_with(PAGE_MAX, |bytes| bytes.fill(1));
            if pool.mapped_bytes() > mapped {
                mapped = pool.mapped_bytes();
                anchors.push(page);
            } else {
                others.push(page);
            }
        }
        Self { pool, _anchors: anchors }
    }
}

/// A log of its own store, renewed when it is full.
struct Appender {
    warm: WarmPool,
    log: Option<OpenLog>,
    bytes: usize,
}

type OpenLog = (Rc<Store<MemDisk>>, SharedLog<engine::disk::mem::MemFile>);

impl Appender {
    fn new() -> Self {
        Self { warm: WarmPool::new(POOL_BYTES), log: None, bytes: 0 }
    }

    /// The time that the appends took, without that for new logs.
    fn append(&mut self, batch: &[u8], iters: u64) -> Duration {
        let mut took = Duration::ZERO;
        let mut left = iters;
        while left > 0 {
            if self.bytes + batch.len() > LOG_BYTES_MAX {
                self.log = None;
                self.bytes = 0;
            }
            let (store, log) = self.log.get_or_insert_with(|| block_on(open_log(&self.warm.pool)));
            let count = left.min(((LOG_BYTES_MAX - self.bytes) / batch.len()) as u64);
            let began = Instant::now();
            for _ in 0..count {
                let appended = store.append(log, black_box(batch), LeaderEpoch(0), NOW);
                black_box(appended.expect("there is room"));
            }
            took += began.elapsed();
            self.bytes += count as usize * batch.len();
            left -= count;
        }
        took
    }
}

async fn open_log(pool: &PagePool) -> OpenLog {
    let options = StoreOptions {
        data_dir: PathBuf::from("/data"),
        shard: 0,
        salt: 1,
        journal_bytes_first: 16 * BLOCK as u64,
        journal_bytes_max: 16 * BLOCK as u64,
        cache_bytes_max: 0,
        checkpoint_ms: i64::MAX,
    };
    let disk = MemDisk::new(1);
    disk.put(&options.data_dir.join("anchor"), vec![]);
    let journal_pool = PagePool::new(journal::POOL_BYTES);
    let store = Store::start(disk, pool.clone(), journal_pool, options).await.expect("an empty disk");
    let id = TopicPartition::new(TopicId([1; 16]), PartitionIndex(0));
    let config = LogConfig { durability: Durability::Memory, ..LogConfig::default() };
    let log = store.open_log(id, "bench", config, None, NOW).await.expect("an empty log");
    (store, log)
}

/// The pages of a log and nothing of its rules.
#[derive(Default)]
struct Tail(VecDeque<Page>);

impl Tail {
    fn append(&mut self, pool: &PagePool, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.0.back().is_none_or(|page| page.room() == 0) {
                if self.0.len() * PAGE_MAX >= LOG_BYTES_MAX {
                    self.0.pop_front();
                }
                self.0.push_back(pool.take(PAGE_MAX).expect("the pool holds a log"));
            }
            let page = self.0.back_mut().expect("pushed above");
            let taken = page.append(bytes);
            bytes = &bytes[taken..];
        }
    }
}
