//! The promise of the storage engine, on the cruel disk: after a crash at any operation a log holds a prefix of what was
//! appended, and all of what was acknowledged. Lives follow each other, and recovery itself crashes too.

use std::{
    cell::RefCell,
    future::Future,
    path::Path,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use engine::{
    Durability, LogConfig, ReadRange, SharedLog, Store, StoreOptions,
    disk::mem::{MemDisk, MemFile},
    index::IndexLimits,
    journal,
    recovery::{Recovery, RecoveryError},
};
use model::{
    BatchView, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

const DATA: &str = "/data";
const LOGS: i32 = 3;

/// xorshift64
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What the test alone knows to be true of one log.
#[derive(Default, Clone)]
struct Ghost {
    appended: Vec<Vec<u8>>,
    /// Batches that were acknowledged: the first so many.
    acknowledged: usize,
    end: i64,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Polls all tasks in turn until the first one is done.
fn run_until_first_ends(mut tasks: Vec<Task>) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut first_done = false;
    for _ in 0..5_000_000 {
        for (i, task) in tasks.iter_mut().enumerate() {
            if task.as_mut().poll(&mut cx) == Poll::Ready(()) && i == 0 {
                first_done = true;
                break;
            }
        }
        if first_done {
            return;
        }
    }
    panic!("the scenario hangs");
}

fn block_on<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let out = Rc::new(RefCell::new(None));
    let slot = out.clone();
    run_until_first_ends(vec![Box::pin(async move {
        *slot.borrow_mut() = Some(future.await);
    })]);
    out.take().expect("ran to its end")
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(partition))
}

fn config(partition: i32) -> LogConfig {
    LogConfig {
        durability: if partition == 2 { Durability::Written } else { Durability::Flushed },
        segment_bytes: 600 << 10,
        index: IndexLimits { interval_bytes: 64, index_bytes_max: 1 << 16 },
        ..LogConfig::default()
    }
}

fn options(salt: u64) -> StoreOptions {
    StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt,
        journal_bytes_first: 256 << 10,
        journal_bytes_max: 512 << 10,
        cache_bytes_max: 1 << 20,
        checkpoint_ms: 400,
    }
}

type MemLog = SharedLog<MemFile>;

async fn open(disk: &MemDisk, salt: u64) -> std::io::Result<(Rc<Store<MemDisk>>, Vec<MemLog>)> {
    let store = Store::start(
        disk.clone(),
        PagePool::new(64 << 20),
        PagePool::new(journal::POOL_BYTES),
        options(salt),
    )
    .await?;
    let mut logs = Vec::new();
    for p in 0..LOGS {
        let opened = store.open_log(id(p), "t", config(p), None, Timestamp(0)).await;
        logs.push(opened.map_err(|e| std::io::Error::other(e.to_string()))?);
    }
    Ok((store, logs))
}

async fn recover(disk: &MemDisk) -> Result<(), RecoveryError> {
    let recovery = Recovery::scan(disk.clone(), PagePool::new(64 << 20), Path::new(DATA)).await?;
    let named: Vec<_> = (0..LOGS).map(|p| (id(p), "t".to_owned())).collect();
    for restored in recovery.restore_all(&named, |_| ()).await {
        restored?;
    }
    recovery.sweep().await?;
    recovery.finish().await
}

async fn read_all(store: &Store<MemDisk>, log: &MemLog) -> Vec<Vec<u8>> {
    let mut batches = Vec::new();
    let mut from = log.ends().start;
    while from < log.ends().end {
        let range = ReadRange { from, until: log.ends().end, bytes_max: 100 << 10, at_least_one: true };
        let read = store.read(log, range).await.expect("what recovery left can be read");
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

fn batch(random: &mut Random, ghost: &Ghost) -> Vec<u8> {
    let bytes = match random.below(12) {
        0 => 210 << 10,
        1 => 5000,
        _ => random.below(300) as usize,
    };
    let count = 1 + random.below(3) as usize;
    let tag = format!("{}:{}:", ghost.appended.len(), random.next());
    let value: Vec<u8> = tag.bytes().chain(std::iter::repeat_n(b'x', bytes)).collect();
    batch_of(0, 1000 + ghost.end, Producer::NONE, &vec![&value[..]; count])
}

/// One life: appends with commits and housekeeping between them, until `steps` are over or the disk gives up.
fn live(disk: &MemDisk, ghosts: Rc<RefCell<Vec<Ghost>>>, seed: u64, steps: u64, close: bool) {
    let disk = disk.clone();
    block_on(async move {
        let mut random = Random(seed | 1);
        let Ok((store, logs)) = open(&disk, seed).await else { return };
        let mut now = 0;
        for _ in 0..steps {
            now += random.below(100) as i64;
            for _ in 0..1 + random.below(4) {
                let p = random.below(LOGS as u64) as usize;
                let bytes = batch(&mut random, &ghosts.borrow()[p]);
                let Ok(appended) = store.append(&logs[p], &bytes, LeaderEpoch(1), Timestamp(now)) else {
                    return;
                };
                let mut ghosts = ghosts.borrow_mut();
                let ghost = &mut ghosts[p];
                assert_eq!(appended.base_offset, Offset(ghost.end));
                let mut stored = bytes.clone();
                engine::records::stamp(&mut stored, appended.base_offset, LeaderEpoch(1));
                ghost.appended.push(stored);
                ghost.end = appended.next_offset.0;
            }
            let committed = commit_and_maintain(&store, random.below(3), now).await;
            if !committed {
                return;
            }
            for (p, log) in logs.iter().enumerate() {
                note_acknowledged(&mut ghosts.borrow_mut()[p], log);
            }
        }
        if close && store.close().await.is_ok() {
            for (p, log) in logs.iter().enumerate() {
                assert_eq!(log.ends().acknowledged, log.ends().end);
                note_acknowledged(&mut ghosts.borrow_mut()[p], log);
            }
        }
    });
}

/// Both pumps at once, as on a shard.
async fn commit_and_maintain(store: &Rc<Store<MemDisk>>, maintenances: u64, now: i64) -> bool {
    let mut commit: Pin<Box<dyn Future<Output = bool>>> = {
        let store = store.clone();
        Box::pin(async move {
            while !store.is_idle() {
                if store.commit().await.is_err() {
                    return false;
                }
            }
            true
        })
    };
    let mut maintain: Pin<Box<dyn Future<Output = ()>>> = {
        let store = store.clone();
        Box::pin(async move {
            for _ in 0..maintenances {
                store.maintain(Timestamp(now)).await;
            }
            // A full journal waits for housekeeping.
            while !store.is_idle() && store.failure().is_none() {
                store.maintain(Timestamp(now)).await;
                yield_once().await;
            }
        })
    };
    let (mut committed, mut maintained) = (None, false);
    std::future::poll_fn(|cx| {
        if committed.is_none()
            && let Poll::Ready(fine) = commit.as_mut().poll(cx)
        {
            committed = Some(fine);
        }
        maintained = maintained || maintain.as_mut().poll(cx).is_ready();
        if committed.is_some() && maintained { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    committed == Some(true)
}

async fn yield_once() {
    let mut polled = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

fn note_acknowledged(ghost: &mut Ghost, log: &MemLog) {
    // What `written` acknowledges a power cut may take: it is not part of the promise.
    let safe = if log.config().durability == Durability::Flushed {
        log.ends().acknowledged
    } else {
        log.ends().durable
    };
    let count = ghost
        .appended
        .iter()
        .take_while(|b| BatchView::frame(b).expect("a whole batch").header().next_offset() <= safe)
        .count();
    ghost.acknowledged = ghost.acknowledged.max(count);
}

/// What the disk holds against what the test knows; the unacknowledged rest is forgotten as the log forgot it.
fn check(disk: &MemDisk, ghosts: &Rc<RefCell<Vec<Ghost>>>, what: &str) {
    let disk = disk.clone();
    let ghosts = ghosts.clone();
    let what = what.to_owned();
    block_on(async move {
        let (store, logs) = open(&disk, 0xfeed).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        for (p, log) in logs.iter().enumerate() {
            let found = read_all(&store, log).await;
            let mut ghosts = ghosts.borrow_mut();
            let ghost = &mut ghosts[p];
            let n = found.len();
            assert!(
                n <= ghost.appended.len(),
                "{what}: log {p} holds {n} of {} batches",
                ghost.appended.len()
            );
            assert!(
                n >= ghost.acknowledged,
                "{what}: log {p} lost: {n} of {} acknowledged",
                ghost.acknowledged
            );
            for (i, batch) in found.iter().enumerate() {
                assert!(*batch == ghost.appended[i], "{what}: log {p}: batch {i} is another one");
            }
            ghost.appended.truncate(n);
            ghost.end = log.ends().end.0;
        }
        store.close().await.expect("a disk that works");
    });
}

fn fresh(seed: u64) -> MemDisk {
    let disk = MemDisk::new(seed);
    disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
    disk
}

/// A few lives in a row; the last one dies at operation `fail_at`, and the recovery after it dies once as well.
fn scenario(seed: u64, fail_at: Option<u64>) -> u64 {
    let ghosts = Rc::new(RefCell::new(vec![Ghost::default(); LOGS as usize]));
    let mut disk = fresh(seed);
    for life in 0..3 {
        let crashes = life == 2 || seed.is_multiple_of(3);
        let before = disk.operations();
        if life == 2 {
            disk.fail_at(fail_at.map(|n| before + n));
        }
        live(&disk, ghosts.clone(), seed.wrapping_mul(31) + life, 12, !crashes);
        let used = disk.operations() - before;
        disk = disk.crash(seed ^ (life << 32));
        if life == 2 && seed.is_multiple_of(2) {
            disk.fail_at(Some(1 + seed % 40));
            let dying = disk.clone();
            let died = block_on(async move { recover(&dying).await });
            assert!(died.is_err() || disk.operations() < 1 + seed % 40);
            disk.fail_at(None);
            disk = disk.crash(seed ^ 0xabcd);
        }
        let recovering = disk.clone();
        let what = format!("seed {seed} life {life} fail_at {fail_at:?}");
        block_on(async move { recover(&recovering).await }).unwrap_or_else(|e| panic!("{what}: {e}"));
        check(&disk, &ghosts, &what);
        if life == 2 {
            return used;
        }
    }
    unreachable!("the third life returns");
}

#[test]
fn many_lives_keep_what_was_acknowledged() {
    for seed in 1..150 {
        scenario(seed, None);
    }
}

#[test]
fn a_crash_at_each_operation_keeps_what_was_acknowledged() {
    for seed in 1..5 {
        let operations = scenario(seed, None);
        for n in 1..=operations {
            scenario(seed, Some(n));
        }
    }
}

#[test]
fn a_second_recovery_changes_nothing() {
    for seed in 1..30 {
        let ghosts = Rc::new(RefCell::new(vec![Ghost::default(); LOGS as usize]));
        let disk = fresh(seed);
        live(&disk, ghosts, seed, 20, false);
        let disk = disk.crash(seed);
        let image = |disk: &MemDisk| -> Vec<_> {
            disk.files()
                .into_iter()
                .filter(|p| !p.starts_with("/data/journal"))
                .map(|p| (disk.contents(&p), p))
                .collect()
        };
        let (first, second) = (disk.clone(), disk.clone());
        block_on(async move { recover(&first).await }).unwrap();
        let once = image(&disk);
        block_on(async move { recover(&second).await }).unwrap();
        assert!(once == image(&disk), "seed {seed}");
    }
}
