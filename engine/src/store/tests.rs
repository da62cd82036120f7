//! What the store promises about deletion, full disks and turns, on the memory disk.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use model::{
    PartitionIndex, TopicId,
    batch::record::{Producer, batch_of},
};

use super::*;
use crate::disk::mem::{MemDisk, MemFile};

const DATA: &str = "/data";
/// Polls after which a future that still waits will wait for ever.
const POLLS_MAX: usize = 200_000;

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

fn poll<T>(task: &mut Task<T>) -> Option<T> {
    match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

fn block_on<T>(task: impl Future<Output = T>) -> T {
    let mut task = std::pin::pin!(task);
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(done) = task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
    panic!("it waits for ever");
}

/// Polls them in turn, over and over, until all have ended.
fn run_all(mut tasks: Vec<Task<()>>) {
    for _ in 0..POLLS_MAX {
        tasks.retain_mut(|task| poll(task).is_none());
        if tasks.is_empty() {
            return;
        }
    }
    panic!("they wait for ever");
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(partition))
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 4 << 20, ..LogConfig::default() }
}

fn start(disk: &MemDisk) -> Rc<Store<MemDisk>> {
    let options = StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt: 7,
        journal_bytes_first: 8 << 20,
        journal_bytes_max: 8 << 20,
        cache_bytes_max: 4 << 20,
        checkpoint_ms: 400,
    };
    let journal_pages = PagePool::new(crate::journal::POOL_BYTES);
    let store = Store::start(disk.clone(), PagePool::new(64 << 20), journal_pages, options);
    block_on(store).expect("a disk that works")
}

fn fresh(seed: u64) -> (MemDisk, Rc<Store<MemDisk>>) {
    let disk = MemDisk::new(seed);
    disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
    let store = start(&disk);
    (disk, store)
}

fn open(store: &Store<MemDisk>, partition: i32, config: LogConfig) -> SharedLog<MemFile> {
    let opened = store.open_log(id(partition), "t", config, None, Timestamp(0));
    block_on(opened).unwrap_or_else(|why| panic!("{why}"))
}

fn append(store: &Store<MemDisk>, log: &SharedLog<MemFile>, bytes: usize) -> Appended {
    let value = vec![b'x'; bytes];
    let batch = batch_of(0, 1000, Producer::NONE, &[&value[..]]);
    store.append(log, &batch, LeaderEpoch(1), Timestamp(0)).expect("there is room")
}

/// Deleted logs have left nothing under their names.
fn assert_gone(disk: &MemDisk, partition: i32, what: &str) {
    let dir = Path::new(DATA).join(names::dir_name("t", PartitionIndex(partition)));
    let left: Vec<_> = disk.files().into_iter().filter(|path| path.starts_with(&dir)).collect();
    assert!(left.is_empty(), "{what}: {left:?}");
}

/// A second try for the turn once ended the first one's turn, so two writers had the log at a time.
#[test]
fn a_turn_that_was_refused_takes_nothing_from_its_holder() {
    let (_, store) = fresh(1);
    let log = open(&store, 0, config());
    let held = log.try_turn();
    assert!(held.is_some());
    assert!(log.try_turn().is_none());
    assert!(log.try_turn().is_none());
    drop(held);
    assert!(log.try_turn().is_some());
}

/// A destage that waited for its turn wrote the log after the deletion had renamed its folder, and made the folder anew.
#[test]
fn a_deleted_log_is_not_written_by_who_waited_meanwhile() {
    for seed in 1..40 {
        let (disk, store) = fresh(seed);
        let logs: Vec<_> = (0..20).map(|p| open(&store, p, config())).collect();
        for log in &logs {
            append(&store, log, 600 << 10);
        }
        let start_of_first = logs[19].ends().end;
        let deletion: Task<()> = {
            let store = store.clone();
            Box::pin(async move {
                for p in (0..20).rev() {
                    let deleted = store.delete_log(id(p), "t", [p as u8; 16]).await;
                    deleted.expect("a disk that works");
                }
            })
        };
        let housekeeping: Task<()> = {
            let store = store.clone();
            Box::pin(async move { store.maintain(Timestamp(1000)).await })
        };
        let trimming: Task<()> = {
            let (store, log) = (store.clone(), logs[19].clone());
            Box::pin(async move {
                store.delete_records(&log, start_of_first).await.expect("a disk that works");
            })
        };
        let mut tasks = vec![housekeeping, trimming];
        // The housekeeping has chosen its logs before the first of them is deleted.
        for _ in 0..seed % 7 {
            tasks.retain_mut(|task| poll(task).is_none());
        }
        tasks.push(deletion);
        run_all(tasks);
        assert!(store.failure().is_none());
        for p in 0..20 {
            assert_gone(&disk, p, &format!("seed {seed}"));
        }
    }
}

/// Under the name of a deleted log a new topic may begin: a reader of the old one must not get the new one's records.
#[test]
fn a_reader_of_a_deleted_log_gets_no_bytes_of_its_successor() {
    let (_, store) = fresh(3);
    let log = open(&store, 0, config());
    append(&store, &log, 100 << 10);
    run_all(vec![Box::pin({
        let store = store.clone();
        async move { drop(store.commit().await) }
    })]);
    block_on(store.close()).expect("a disk that works");
    // Opened again, so that its file is not open yet and nothing but its last block is in memory.
    store.logs.borrow_mut().clear();
    let log = open(&store, 0, config());
    log.state.borrow_mut().segments[0].file = None;
    block_on(store.delete_log(id(0), "t", [1; 16])).expect("a disk that works");
    let successor = TopicPartition::new(TopicId([8; 16]), PartitionIndex(0));
    let opened = store.open_log(successor, "t", config(), None, Timestamp(0));
    let new = block_on(opened).unwrap_or_else(|why| panic!("{why}"));
    append(&store, &new, 100 << 10);
    block_on(store.close()).expect("a disk that works");
    let ends = log.ends();
    let range = ReadRange { from: ends.start, until: ends.end, bytes_max: 1 << 20, at_least_one: true };
    assert!(block_on(store.read(&log, range)).is_err());
}
