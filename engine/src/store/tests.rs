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
use crate::{
    checkpoint::OffsetCheckpoint,
    disk::mem::{MemDisk, MemFile},
    recovery::Recovery,
    residents::Limits,
};

mod damage;
mod replica;
mod retention;
mod truncate;

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

fn used(disk: &MemDisk) -> usize {
    disk.files().iter().filter_map(|path| disk.contents(path)).map(|bytes| bytes.len()).sum()
}

fn maintain(store: &Store<MemDisk>) {
    block_on(store.maintain(Timestamp(100_000)));
}

fn commit_all(store: &Store<MemDisk>) {
    while !store.is_idle() {
        block_on(store.commit()).expect("a disk that works");
    }
}

/// The flag went with the next checkpoint, and without the log nothing was left for one.
#[test]
fn a_full_disk_is_forgotten_with_the_log_that_filled_it() {
    let (disk, store) = fresh(11);
    let log = open(&store, 0, config());
    append(&store, &log, 600 << 10);
    disk.set_capacity(used(&disk) + (10 << 10));
    maintain(&store);
    assert!(store.is_disk_full());
    block_on(store.delete_log(id(0), "t", [1; 16])).expect("a rename needs no room");
    maintain(&store);
    assert!(!store.is_disk_full(), "the next write tells");
    disk.set_capacity(usize::MAX);
    let log = open(&store, 1, config());
    append(&store, &log, 100);
}

#[test]
fn a_checkpoint_waits_for_room_for_its_recovery_points() {
    let (disk, store) = fresh(12);
    let log = open(&store, 0, config());
    append(&store, &log, 100);
    commit_all(&store);
    maintain(&store);
    // Within the block that the file has.
    append(&store, &log, 100);
    commit_all(&store);
    disk.set_capacity(used(&disk));
    maintain(&store);
    assert!(store.failure().is_none());
    assert!(store.is_disk_full());
    let live = store.journal.live_bytes();
    assert!(live > 0, "the journal keeps what the old recovery points need");
    disk.set_capacity(usize::MAX);
    maintain(&store);
    assert!(!store.is_disk_full() && store.journal.live_bytes() < live);
}

/// Polls a commit that finds no room, and answers it so that it can be polled further.
fn commit_without_room(disk: &MemDisk, store: &Rc<Store<MemDisk>>) -> Task<()> {
    disk.set_capacity(used(disk) + (64 << 10));
    let pump = store.clone();
    let mut commit: Task<()> = Box::pin(async move {
        pump.commit().await.expect("a full disk is waited for");
    });
    for _ in 0..100 {
        assert!(poll(&mut commit).is_none());
    }
    assert!(store.is_disk_full() && store.failure().is_none());
    // Housekeeping finds no room either, and nobody waits for anybody.
    maintain(store);
    assert!(store.is_disk_full() && poll(&mut commit).is_none());
    commit
}

#[test]
fn a_commit_of_a_large_batch_waits_for_room() {
    let (disk, store) = fresh(13);
    let log = open(&store, 0, config());
    append(&store, &log, 3 << 20);
    let commit = commit_without_room(&disk, &store);
    assert_eq!(log.ends().acknowledged, Offset(0));
    disk.set_capacity(usize::MAX);
    let pump = store.clone();
    run_all(vec![commit, Box::pin(async move { pump.maintain(Timestamp(100_000)).await })]);
    assert_eq!(log.ends().durable, Offset(1));
}

#[test]
fn a_commit_beside_the_journal_waits_for_room() {
    let (disk, store) = fresh(14);
    let log = open(&store, 0, config());
    append(&store, &log, 100);
    commit_all(&store);
    maintain(&store);
    // As on a file system that promises room and has none.
    log.state.borrow_mut().segments[0].allocated = 4 << 20;
    append(&store, &log, 400 << 10);
    assert!(log.is_ready_for_bypass());
    let commit = commit_without_room(&disk, &store);
    assert_eq!(log.ends().acknowledged, Offset(1));
    disk.set_capacity(usize::MAX);
    let pump = store.clone();
    run_all(vec![commit, Box::pin(async move { pump.maintain(Timestamp(100_000)).await })]);
    assert_eq!(log.ends().durable, Offset(2));
    // What it said survives.
    let after = disk.crash(99);
    let path = log.segment_path(Offset(0), names::SegmentFile::Log);
    assert!(after.contents(&path).is_some_and(|bytes| bytes.len() > 400 << 10));
}

fn small_segments() -> LogConfig {
    LogConfig { segment_bytes: 100 << 10, file_delete_delay_ms: 0, ..LogConfig::default() }
}

/// Deleting records is how somebody makes room.
#[test]
fn records_are_deleted_on_a_full_disk() {
    let (disk, store) = fresh(15);
    let log = open(&store, 0, small_segments());
    for _ in 0..4 {
        append(&store, &log, 90 << 10);
    }
    commit_all(&store);
    maintain(&store);
    let before = used(&disk);
    disk.set_capacity(before);
    assert_eq!(block_on(store.delete_records(&log, Offset(2))).expect("there is a reserve"), Offset(2));
    block_on(store.remove_dropped(Timestamp(0)));
    assert!(used(&disk) < before - (180 << 10));
    let starts = disk.contents(&log_starts_path(Path::new(DATA), 0)).expect("it was written");
    assert!(String::from_utf8(starts).unwrap().contains(" 0 2\n"));
    // The next one has a reserve again.
    disk.set_capacity(usize::MAX);
    maintain(&store);
    disk.set_capacity(used(&disk));
    assert!(block_on(store.delete_records(&log, Offset(3))).is_ok());
}

/// A start that a crash takes back had been shown to readers.
#[test]
fn a_log_start_is_shown_once_it_is_durable() {
    let (disk, store) = fresh(16);
    let log = open(&store, 0, small_segments());
    for _ in 0..3 {
        append(&store, &log, 90 << 10);
    }
    disk.fail_at(Some(disk.operations() + 1));
    assert!(block_on(store.delete_records(&log, Offset(1))).is_err());
    assert_eq!(log.ends().start, Offset(0));
}

#[test]
fn records_of_two_logs_are_deleted_at_once() {
    for seed in 1..20 {
        let (disk, store) = fresh(seed);
        let tasks = (0..2).map(|p| {
            let log = open(&store, p, small_segments());
            append(&store, &log, 10);
            let store = store.clone();
            let deletion: Task<()> = Box::pin(async move {
                store.delete_records(&log, Offset(1)).await.expect("a disk that works");
            });
            deletion
        });
        run_all(tasks.collect());
        let starts = disk.contents(&log_starts_path(Path::new(DATA), 0)).expect("it was written");
        let starts = OffsetCheckpoint::read(&starts).expect("a checkpoint");
        assert_eq!(starts.by_id().map(|both| both.len()), Ok(2), "seed {seed}");
    }
}

/// A write that began late took what had been appended meanwhile along, which the round's frame does not describe.
#[test]
fn a_round_writes_what_it_gathered() {
    // One more than are written at a time; the disk must be slow with all of them, which its seed decides.
    const LOGS: i32 = 9;
    let config = LogConfig { segment_bytes: 1 << 20, ..LogConfig::default() };
    for seed in 1..500 {
        let (_, store) = fresh(seed);
        let logs: Vec<_> = (0..LOGS).map(|p| open(&store, p, config)).collect();
        for log in &logs {
            append(&store, log, 200 << 10);
        }
        commit_all(&store);
        maintain(&store);
        for log in &logs {
            append(&store, log, 200 << 10);
            assert!(log.is_ready_for_bypass());
        }
        let mut commit: Task<()> = {
            let store = store.clone();
            Box::pin(async move { drop(store.commit().await.expect("a disk that works")) })
        };
        if poll(&mut commit).is_some() {
            continue;
        }
        if logs.iter().any(|log| log.unwritten_bytes() == 0) {
            run_all(vec![commit]);
            continue;
        }
        let last = logs.last().expect("some");
        append(&store, last, 50 << 10);
        run_all(vec![commit]);
        assert!(last.unwritten_bytes() > 50 << 10, "it is the next round's");
        assert_eq!(last.ends().durable, Offset(2));
        return;
    }
    panic!("no seed has a disk that is slow enough");
}

/// A reader whose segment was removed while it opened the file heard of a broken disk.
#[test]
fn a_reader_of_a_segment_that_is_removed_is_out_of_range() {
    for polls in 0..40 {
        let (_, store) = fresh(polls + 1);
        let log = open(&store, 0, small_segments());
        for _ in 0..4 {
            append(&store, &log, 90 << 10);
        }
        commit_all(&store);
        block_on(store.close()).expect("a disk that works");
        store.logs.borrow_mut().clear();
        let log = open(&store, 0, small_segments());
        let range = ReadRange { from: Offset(0), until: Offset(4), bytes_max: 1 << 20, at_least_one: true };
        let mut reader: Task<Result<ReadBatches, ReadError>> = {
            let (store, log) = (store.clone(), log.clone());
            Box::pin(async move { store.read(&log, range).await })
        };
        let mut read = None;
        for _ in 0..polls {
            read = read.or_else(|| poll(&mut reader));
        }
        block_on(store.delete_records(&log, Offset(2))).expect("a disk that works");
        match read.unwrap_or_else(|| block_on(reader)) {
            Ok(_) | Err(ReadError::OutOfRange) => {}
            Err(other) => panic!("after {polls} polls: {other}"),
        }
        assert!(!log.is_offline());
    }
}

/// Closed segments kept the file and the indexes that a reader had once wanted, for ever.
#[test]
fn closed_segments_let_go_of_what_nobody_reads() {
    const SEGMENTS: i64 = 40;
    let (_, store) = fresh(18);
    let log = open(&store, 0, LogConfig { segment_bytes: 4096, ..LogConfig::default() });
    for _ in 0..SEGMENTS {
        append(&store, &log, 3000);
    }
    commit_all(&store);
    let open_files = |log: &SharedLog<MemFile>| {
        log.state.borrow().segments.iter().filter(|segment| segment.file.is_some()).count()
    };
    let with_indexes = |log: &SharedLog<MemFile>| {
        log.state.borrow().segments.iter().filter(|segment| segment.indexes.is_some()).count()
    };
    maintain(&store);
    assert!(open_files(&log) <= 1, "a checkpoint closes what it has synced: {}", open_files(&log));
    block_on(store.close()).expect("a disk that works");
    store.logs.borrow_mut().clear();
    let log = open(&store, 0, LogConfig { segment_bytes: 4096, ..LogConfig::default() });
    let cache = |limits| {
        let cache = ChunkCache::new(store.disk.clone(), store.pages.clone(), 1 << 20);
        cache.with_limits(limits)
    };
    let read_all = |cache: &ChunkCache<MemDisk>| {
        for from in 0..SEGMENTS {
            let range =
                ReadRange { from: Offset(from), until: Offset(SEGMENTS), bytes_max: 1, at_least_one: true };
            let read = block_on(log.read(cache, range)).unwrap_or_else(|why| panic!("{why}"));
            assert!(read.bytes > 3000);
        }
    };
    let few_files = cache(Limits { files: 4, index_bytes: usize::MAX });
    read_all(&few_files);
    // The active segment keeps its own.
    assert!((2..=5).contains(&open_files(&log)), "{}", open_files(&log));
    for segment in &mut log.state.borrow_mut().segments {
        (segment.file, segment.indexes) = (None, segment.indexes.take().filter(|_| !segment.finished));
    }
    let few_indexes = cache(Limits { files: usize::MAX, index_bytes: 2000 });
    read_all(&few_indexes);
    assert!((2..=10).contains(&with_indexes(&log)), "{}", with_indexes(&log));
    read_all(&few_indexes);
}

/// One more than are written at a time, so that the last one's write waits for its slot.
const DELETED: i32 = 17;

/// A topic is deleted while housekeeping writes it, and another of its name begins; the power goes at an operation.
/// Answers how many operations there were.
fn succession(seed: u64, fail_at: Option<u64>) -> u64 {
    let what = format!("seed {seed}, fail at {fail_at:?}");
    let (disk, store) = fresh(seed);
    // Housekeeping alone writes these.
    let in_memory = LogConfig { durability: Durability::Memory, ..config() };
    let logs: Vec<_> = (0..DELETED).map(|p| open(&store, p, in_memory)).collect();
    for log in &logs {
        append(&store, log, 520 << 10);
    }
    let before = disk.operations();
    disk.fail_at(fail_at.map(|n| before + n));
    let successor = TopicPartition::new(TopicId([8; 16]), PartitionIndex(DELETED - 1));
    let acknowledged: Rc<Cell<Option<Offset>>> = Rc::default();
    let life: Task<()> = {
        let (store, acknowledged) = (store.clone(), acknowledged.clone());
        Box::pin(async move {
            if store.delete_log(id(DELETED - 1), "t", [1; 16]).await.is_err() {
                return;
            }
            acknowledged.set(Some(Offset(0)));
            let Ok(new) = store.open_log(successor, "t", config(), None, Timestamp(0)).await else { return };
            append_if_it_may(&store, &new);
            while !store.is_idle() {
                if store.commit().await.is_err() {
                    return;
                }
                acknowledged.set(Some(new.ends().acknowledged));
            }
            store.maintain(Timestamp(200_000)).await;
        })
    };
    let housekeeping: Task<()> = {
        let store = store.clone();
        Box::pin(async move { store.maintain(Timestamp(100_000)).await })
    };
    run_all(vec![housekeeping, life]);
    let used = disk.operations() - before;
    let Some(acknowledged) = acknowledged.get() else { return used };
    let disk = disk.crash(seed ^ fail_at.unwrap_or(0));
    let recovered = block_on(async {
        let recovery = Recovery::scan(disk.clone(), PagePool::new(64 << 20), Path::new(DATA)).await?;
        recovery.restore(successor, "t").await?;
        recovery.sweep().await?;
        recovery.finish().await
    });
    recovered.unwrap_or_else(|why| panic!("{what}: {why}"));
    let opened = start(&disk);
    let opened = block_on(opened.open_log(successor, "t", config(), None, Timestamp(0)));
    let new = opened.unwrap_or_else(|why| panic!("{what}: {why}"));
    assert!(new.ends().end >= acknowledged, "{what}: {acknowledged} was acknowledged");
    assert!(new.ends().end <= Offset(1), "{what}: it has records of another topic");
    used
}

fn append_if_it_may(store: &Store<MemDisk>, log: &SharedLog<MemFile>) {
    let batch = batch_of(0, 1000, Producer::NONE, &[b"new"]);
    let _ = store.append(log, &batch, LeaderEpoch(1), Timestamp(0));
}

#[test]
fn a_deleted_topics_successor_survives_a_crash_at_each_operation() {
    // Every third of them with each seed.
    for seed in 1..4 {
        let operations = succession(seed, None);
        for n in (seed..=operations).step_by(3) {
            succession(seed, Some(n));
        }
    }
}
