//! Records that have had their time, on the cruel disk: whatever operation the power goes at, the start that was shown is
//! there after it and never a later one than the rules allow, nothing above it is lost, and no dropped file stays.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use engine::{
    LogConfig, ReadRange, SharedLog, Store, StoreOptions,
    disk::mem::{MemDisk, MemFile},
    index::IndexLimits,
    journal,
    recovery::{Recovery, RecoveryError},
    retention::Retention,
};
use model::{
    BatchView, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

const DATA: &str = "/data";
const LOGS: i32 = 3;
const DELAY_MS: i64 = 300;
const KEEP_MS: i64 = 400;
const KEEP_BYTES: u64 = 6_000;

type MemLog = SharedLog<MemFile>;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future: Pin<Box<dyn Future<Output = T> + '_>> = Box::pin(future);
    for _ in 0..5_000_000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for ever");
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(partition))
}

/// One goes by time, one by size, and one by nothing but deletions.
fn config(partition: i32) -> LogConfig {
    let retention = match partition {
        0 => Retention { delete: true, ms: Some(KEEP_MS), bytes: None },
        1 => Retention { delete: true, ms: None, bytes: Some(KEEP_BYTES) },
        _ => Retention { delete: false, ms: Some(1), bytes: Some(0) },
    };
    LogConfig {
        segment_bytes: 3_000,
        retention,
        file_delete_delay_ms: DELAY_MS,
        index: IndexLimits { interval_bytes: 64, index_bytes_max: 1 << 16 },
        ..LogConfig::default()
    }
}

/// xorshift64
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// What the test alone knows of one log.
#[derive(Default, Clone)]
struct Ghost {
    /// Bytes and timestamp of each batch; one record each, so its place is its offset.
    batches: Vec<(Vec<u8>, i64)>,
    acknowledged: i64,
    /// The start that was shown, and the latest that somebody may have made durable.
    start: i64,
    start_max: i64,
}

impl Ghost {
    /// Where the log may begin, at most, when somebody looks at `now`.
    fn reach(&self, rules: Retention, now: i64) -> i64 {
        let by_time = |&(_, at): &&(Vec<u8>, i64)| rules.ms.is_some_and(|ms| now - at > ms);
        let old = self.batches[self.start as usize..].iter().take_while(by_time).count() as i64;
        let mut left = 0;
        let enough = |&(_, (batch, _)): &(usize, &(Vec<u8>, i64))| {
            left += batch.len() as u64;
            rules.bytes.is_some_and(|limit| left >= limit)
        };
        let sized = self.batches.iter().enumerate().rev().find(enough).map_or(0, |(place, _)| place as i64);
        if rules.delete { (self.start + old).max(sized).min(self.acknowledged) } else { 0 }
    }
}

type Opened = (Rc<Store<MemDisk>>, Vec<MemLog>);

async fn open(disk: &MemDisk, salt: u64, starts: &[Option<Offset>], now: i64) -> Result<Opened, String> {
    let options = StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt,
        journal_bytes_first: 64 << 10,
        journal_bytes_max: 128 << 10,
        cache_bytes_max: 1 << 20,
        checkpoint_ms: 200,
    };
    let journal_pages = PagePool::new(journal::POOL_BYTES);
    let store = Store::start(disk.clone(), PagePool::new(16 << 20), journal_pages, options);
    let store = store.await.map_err(|e| e.to_string())?;
    let mut logs = Vec::new();
    for (p, start) in (0..).zip(starts) {
        let opened = store.open_log(id(p), "t", config(p), *start, Timestamp(now)).await;
        logs.push(opened.map_err(|e| e.to_string())?);
    }
    Ok((store, logs))
}

async fn recover(disk: &MemDisk) -> Result<Vec<Option<Offset>>, RecoveryError> {
    let recovery = Recovery::scan(disk.clone(), PagePool::new(16 << 20), Path::new(DATA)).await?;
    for p in 0..LOGS {
        recovery.restore(id(p), "t").await?;
    }
    let starts = (0..LOGS).map(|p| recovery.log_start(id(p))).collect();
    recovery.sweep().await?;
    recovery.finish().await?;
    Ok(starts)
}

struct World {
    disk: MemDisk,
    ghosts: Vec<Ghost>,
    random: Random,
    now: i64,
    dropped: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let disk = MemDisk::new(seed);
        disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
        let ghosts = vec![Ghost::default(); LOGS as usize];
        Self { disk, ghosts, random: Random(seed | 1), now: 1000, dropped: 0 }
    }

    /// Appends, commits, housekeeping and looks at what has had its time, until the steps or the disk are at an end.
    fn live(&mut self, (store, logs): &Opened, steps: u64) {
        for _ in 0..steps {
            self.now += self.random.below(120) as i64;
            self.disk.set_now(Timestamp(self.now));
            for _ in 0..self.random.below(8) {
                self.append(store, &logs[self.random.0 as usize % LOGS as usize]);
                self.random.below(2);
            }
            while !store.is_idle() {
                if block_on(store.commit()).is_err() {
                    return;
                }
            }
            for (ghost, log) in self.ghosts.iter_mut().zip(logs) {
                ghost.acknowledged = log.ends().acknowledged.0;
            }
            if self.random.below(3) == 0 {
                block_on(store.maintain(Timestamp(self.now)));
            }
            if self.random.below(8) == 0 {
                self.delete_records(store, &logs[2]);
            }
            self.retain(store, logs);
            block_on(store.remove_dropped(Timestamp(self.now)));
        }
    }

    fn append(&mut self, store: &Store<MemDisk>, log: &MemLog) {
        let ghost = &mut self.ghosts[log.id().partition.0 as usize];
        let value = vec![b'a' + (ghost.batches.len() % 26) as u8; self.random.below(900) as usize];
        let batch = batch_of(0, self.now, Producer::NONE, &[&value[..]]);
        let Ok(appended) = store.append(log, &batch, LeaderEpoch(1), Timestamp(self.now)) else { return };
        assert_eq!(appended.base_offset.0, ghost.batches.len() as i64);
        let mut stored = batch;
        engine::records::stamp(&mut stored, appended.base_offset, LeaderEpoch(1));
        ghost.batches.push((stored, self.now));
    }

    fn delete_records(&mut self, store: &Store<MemDisk>, log: &MemLog) {
        let ghost = &mut self.ghosts[log.id().partition.0 as usize];
        let span = (ghost.acknowledged - ghost.start) as u64;
        let start = ghost.start + self.random.below(span + 1) as i64;
        ghost.start_max = ghost.start_max.max(start);
        if let Ok(start) = block_on(store.delete_records(log, Offset(start))) {
            ghost.start = start.0;
        }
    }

    fn retain(&mut self, store: &Store<MemDisk>, logs: &[MemLog]) {
        for (p, ghost) in (0..).zip(&mut self.ghosts) {
            ghost.start_max = ghost.start_max.max(ghost.reach(config(p).retention, self.now));
        }
        let of: Vec<_> = logs.iter().map(|log| (log.clone(), log.ends().acknowledged)).collect();
        block_on(store.retain(&of, Timestamp(self.now)));
        for (ghost, log) in self.ghosts.iter_mut().zip(logs) {
            let start = log.ends().start.0;
            assert!(ghost.start <= start && start <= ghost.start_max, "{start} of {}", ghost.start_max);
            self.dropped += usize::from(start > ghost.start);
            ghost.start = start;
            if !self.disk.is_dead() {
                ghost.start_max = start;
            }
        }
    }

    /// What a start finds against what is known; the unacknowledged rest is forgotten as the log forgot it.
    fn check(&mut self, (store, logs): &Opened, what: &str) {
        for (ghost, log) in self.ghosts.iter_mut().zip(logs) {
            let ends = log.ends();
            let what = format!("{what}: log {}", log.id().partition);
            assert!(
                (ghost.start..=ghost.start_max).contains(&ends.start.0),
                "{what} begins at {}, not from {} to {}",
                ends.start,
                ghost.start,
                ghost.start_max
            );
            assert!(ends.end.0 >= ghost.acknowledged, "{what} ends at {}", ends.end);
            let found = block_on(read_all(store, log));
            let expected = &ghost.batches[ends.start.0 as usize..ends.end.0 as usize];
            assert_eq!(found.len(), expected.len(), "{what}");
            assert!(found.iter().zip(expected).all(|(found, (batch, _))| found == batch), "{what}");
            ghost.batches.truncate(ends.end.0 as usize);
            (ghost.acknowledged, ghost.start, ghost.start_max) = (ends.end.0, ends.start.0, ends.start.0);
        }
        // Those of the last life wait for nothing.
        block_on(store.remove_dropped(Timestamp(self.now)));
        let left: Vec<PathBuf> = dropped_files(&self.disk);
        assert!(left.is_empty(), "{what}: {left:?}");
    }
}

fn dropped_files(disk: &MemDisk) -> Vec<PathBuf> {
    disk.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "deleted")).collect()
}

async fn read_all(store: &Store<MemDisk>, log: &MemLog) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let ends = log.ends();
    let mut from = ends.start;
    while from < ends.end {
        let range = ReadRange { from, until: ends.end, bytes_max: 100 << 10, at_least_one: true };
        let read = store.read(log, range).await.expect("what is there can be read");
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let view = BatchView::check(rest).expect("a reader gets whole batches");
            from = view.header().next_offset();
            batches.push(view.bytes().to_vec());
            rest = &rest[view.bytes().len()..];
        }
    }
    batches
}

/// Two lives; the second dies at operation `fail_at`, and so may the recovery after it. Answers its operations, and how
/// often a start moved.
fn scenario(seed: u64, fail_at: Option<u64>) -> (u64, usize) {
    let mut world = World::new(seed);
    let mut starts = vec![None; LOGS as usize];
    let mut used = 0;
    for life in 0..3 {
        let what = format!("seed {seed} life {life} fail_at {fail_at:?}");
        let opened = block_on(open(&world.disk, seed + life, &starts, world.now));
        let opened = opened.unwrap_or_else(|why| panic!("{what}: {why}"));
        world.check(&opened, &what);
        if life == 2 {
            break;
        }
        let before = world.disk.operations();
        if life == 1 {
            world.disk.fail_at(fail_at.map(|n| before + n));
        }
        world.live(&opened, 14);
        used = world.disk.operations() - before;
        // Every other first life ends in order, with files that still wait.
        if life == 0 && seed.is_multiple_of(2) {
            block_on(opened.0.close()).expect("a disk that works");
            starts = opened.1.iter().map(|log| Some(log.ends().start)).collect();
            continue;
        }
        drop(opened);
        world.disk = world.disk.crash(seed ^ life << 32);
        if life == 1 && seed.is_multiple_of(3) {
            world.disk.fail_at(Some(1 + seed % 40));
            let _ = block_on(recover(&world.disk));
            world.disk.fail_at(None);
            world.disk = world.disk.crash(seed ^ 0xabcd);
        }
        starts = block_on(recover(&world.disk)).unwrap_or_else(|why| panic!("{what}: {why}"));
    }
    (used, world.dropped)
}

#[test]
fn many_lives_lose_only_what_has_had_its_time() {
    let moved: usize = (1..150).map(|seed| scenario(seed, None).1).sum();
    assert!(moved > 600, "starts moved {moved} times: the test is too weak");
}

#[test]
fn a_crash_at_each_operation_loses_only_what_has_had_its_time() {
    for seed in 1..7 {
        let (operations, _) = scenario(seed, None);
        for n in 1..=operations {
            scenario(seed, Some(n));
        }
    }
}
