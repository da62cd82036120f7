//! A log that loses its end, and who else is at work on it meanwhile.

use model::{
    BatchView,
    batch::record::{BatchMeta, build_batch, write_record},
};

use super::*;
use crate::{
    checkpoint::OffsetCheckpoint,
    compaction::{CompactionConfig, DirtyRatio, Pace},
    retention::Retention,
};

/// A batch of records with keys; the value says who wrote it.
fn keyed(base: i64, epoch: i32, keys: &[u8], value: &str) -> Vec<u8> {
    let mut payload = vec![];
    for (n, key) in (0..).zip(keys) {
        write_record(&mut payload, n, 0, Some(&[*key]), Some(value.as_bytes()), &[]);
    }
    let meta = BatchMeta {
        base_offset: base,
        leader_epoch: epoch,
        attributes: 0,
        base_timestamp: 1000,
        max_timestamp: 1000,
        record_count: keys.len() as i32,
        producer: Producer::NONE,
    };
    build_batch(meta, &payload)
}

/// One record of some bytes.
pub(super) fn plain(base: i64, epoch: i32, bytes: usize) -> Vec<u8> {
    keyed(base, epoch, b"k", &"v".repeat(bytes))
}

pub(super) fn take(store: &Store<MemDisk>, log: &SharedLog<MemFile>, batch: &[u8]) -> Offset {
    store.append_replica(log, batch, Timestamp(0)).unwrap_or_else(|why| panic!("{why}"))
}

fn truncate(store: &Store<MemDisk>, log: &SharedLog<MemFile>, to: i64) -> Offset {
    block_on(store.truncate(log, Offset(to))).unwrap_or_else(|why| panic!("{why}"))
}

/// Offsets and epochs of the batches that a reader gets.
pub(super) fn read(store: &Store<MemDisk>, log: &SharedLog<MemFile>) -> Vec<(i64, i32)> {
    let (mut from, mut found) = (log.ends().start, vec![]);
    while from < log.ends().end {
        let range = ReadRange { from, until: log.ends().end, bytes_max: 1 << 20, at_least_one: true };
        let read = block_on(store.read(log, range)).unwrap_or_else(|why| panic!("{why}"));
        let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let batch = BatchView::check(rest).expect("a whole batch");
            found.push((batch.header().base_offset().0, batch.header().leader_epoch().0));
            from = batch.header().next_offset();
            rest = &rest[batch.bytes().len()..];
        }
    }
    found
}

pub(super) async fn recover(disk: &MemDisk) -> (Option<Offset>, Option<Offset>) {
    let recovery = Recovery::scan(disk.clone(), PagePool::new(64 << 20), Path::new(DATA)).await;
    let recovery = recovery.unwrap_or_else(|why| panic!("{why}"));
    recovery.restore(id(0), "t").await.unwrap_or_else(|why| panic!("{why}"));
    let known = (recovery.log_start(id(0)), recovery.cleaned_until(id(0)));
    recovery.finish().await.unwrap_or_else(|why| panic!("{why}"));
    known
}

pub(super) fn open_again(disk: &MemDisk, config: LogConfig) -> (Rc<Store<MemDisk>>, SharedLog<MemFile>) {
    let (start_at, cleaned) = block_on(recover(disk));
    let store = start(disk);
    store.know_cleaned(cleaned.map(|offset| (id(0), offset)));
    let opened = block_on(store.open_log(id(0), "t", config, start_at, Timestamp(0)));
    let log = opened.unwrap_or_else(|why| panic!("{why}"));
    (store, log)
}

/// Batches 0-1, 2-4, 10-11 and 20, of epochs 0, 0, 1 and 4.
fn with_gaps() -> (MemDisk, Rc<Store<MemDisk>>, SharedLog<MemFile>) {
    let (disk, store) = fresh(1);
    let log = open(&store, 0, config());
    for (base, epoch, keys) in [(0, 0, &b"ab"[..]), (2, 0, b"abc"), (10, 1, b"ab"), (20, 4, b"a")] {
        take(&store, &log, &keyed(base, epoch, keys, "first"));
    }
    (disk, store, log)
}

#[test]
fn a_log_is_cut_where_a_batch_ends() {
    fn check(to: i64, end: i64, epoch: i32) {
        for committed in [false, true] {
            let (_, store, log) = with_gaps();
            if committed {
                commit_all(&store);
            }
            assert_eq!(truncate(&store, &log, to), Offset(end), "to {to}");
            assert_eq!(log.last_position(), (Offset(end), LeaderEpoch(epoch)), "to {to}");
            assert!(log.ends().acknowledged <= Offset(end));
            commit_all(&store);
            assert_eq!(log.ends().acknowledged, Offset(end));
            assert!(read(&store, &log).iter().all(|&(base, _)| base < end));
            assert_eq!(take(&store, &log, &keyed(end, 9, b"xyz", "second")), Offset(end + 3));
            assert_eq!(read(&store, &log).last(), Some(&(end, 9)));
        }
    }
    check(i64::MAX, 21, 4);
    check(21, 21, 4);
    check(20, 12, 1);
    check(15, 12, 1);
    check(12, 12, 1);
    check(11, 5, 0);
    check(10, 5, 0);
    check(5, 5, 0);
    check(4, 2, 0);
    check(1, 0, -1);
    check(0, 0, -1);
    check(-5, 0, -1);
}

/// It would stand in the way of what the next leader has of epochs before.
#[test]
fn an_epoch_that_wrote_nothing_is_forgotten() {
    let (disk, store) = fresh(2);
    let log = open(&store, 0, config());
    take(&store, &log, &keyed(0, 3, b"a", "first"));
    log.lead(LeaderEpoch(7));
    commit_all(&store);
    maintain(&store);
    let next = keyed(1, 4, b"a", "second");
    assert_eq!(truncate(&store, &log, 1), Offset(1));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(3)));
    take(&store, &log, &next);
    commit_all(&store);
    let (store, log) = open_again(&disk.crash(3), config());
    assert_eq!(read(&store, &log), [(0, 3), (1, 4)]);
    assert_eq!(log.end_offset_for(LeaderEpoch(3)).end_offset, Offset(1));
}

#[test]
fn a_full_disk_leaves_the_log_as_it_is() {
    let (disk, store) = fresh(4);
    let log = open(&store, 0, config());
    for base in 0..4 {
        take(&store, &log, &plain(base, base as i32, 10 << 10));
    }
    commit_all(&store);
    disk.set_capacity(used(&disk));
    assert!(matches!(block_on(store.truncate(&log, Offset(2))), Err(TruncateError::Full)));
    assert_eq!(read(&store, &log).len(), 4);
    disk.set_capacity(usize::MAX);
    assert_eq!(truncate(&store, &log, 2), Offset(2));
    maintain(&store);
    take(&store, &log, &plain(2, 9, 10));
    commit_all(&store);
    let (store, log) = open_again(&disk.crash(5), config());
    assert_eq!(read(&store, &log), [(0, 0), (1, 1), (2, 9)]);
}

/// After a restart with fewer shards the file of one that is no more said that the log was synced up to where it had ended,
/// and the start missed that.
#[test]
fn what_an_earlier_life_said_of_a_log_that_was_cut_is_not_believed() {
    let (disk, store) = fresh(6);
    let log = open(&store, 0, config());
    for base in 0..4 {
        take(&store, &log, &plain(base, 0, 100));
    }
    block_on(store.close()).expect("a disk that works");
    let journals = Path::new(DATA).join(JOURNAL_DIR);
    let points = disk.contents(&journals.join("0.recovery-points")).expect("it was written");
    assert!(OffsetCheckpoint::read(&points).expect("a checkpoint").life() > 0);
    disk.put(&journals.join("3.recovery-points"), points);
    disk.put(&journals.join("3.log-starts"), b"0\n1\nCQkJCQkJCQkJCQkJCQkJCQ 0 3\n".to_vec());
    let (store, log) = open_again(&disk, config());
    assert_eq!(log.ends().start, Offset(3));
    block_on(store.restart_at(&log, Offset(0))).unwrap_or_else(|why| panic!("{why}"));
    take(&store, &log, &plain(0, 1, 100));
    take(&store, &log, &plain(1, 1, 100));
    commit_all(&store);
    maintain(&store);
    truncate(&store, &log, 1);
    let disk = disk.crash(7);
    let (store, log) = open_again(&disk, config());
    assert_eq!((log.ends().start, read(&store, &log)), (Offset(0), vec![(0, 1)]));
    // Its own file goes on to say so, in later lives too.
    block_on(store.restart_at(&log, Offset(0))).unwrap_or_else(|why| panic!("{why}"));
    block_on(store.close()).expect("a disk that works");
    let (_, log) = open_again(&disk.crash(8), config());
    assert_eq!(log.ends().end, Offset(0));
}

/// A partition that left this broker and came back empty: what was known of it made the start miss its records.
#[test]
fn a_log_that_was_deleted_and_comes_back_begins_anew() {
    let (disk, store) = fresh(9);
    let log = open(&store, 0, config());
    take(&store, &log, &plain(0, 0, 100));
    commit_all(&store);
    maintain(&store);
    block_on(store.delete_log(id(0), "t", [1; 16])).expect("a disk that works");
    let log = open(&store, 0, config());
    assert_eq!(log.ends().end, Offset(0));
    let (store, log) = open_again(&disk.crash(10), config());
    assert_eq!((log.ends().end, read(&store, &log)), (Offset(0), vec![]));
}

/// Polls the first of them some times before the others join in.
fn run_after(polls: u64, mut first: Task<()>, mut others: Vec<Task<()>>) {
    for _ in 0..polls {
        if poll(&mut first).is_some() {
            return run_all(others);
        }
    }
    others.push(first);
    run_all(others);
}

fn cut_beside(store: &Rc<Store<MemDisk>>, log: &SharedLog<MemFile>, to: i64) -> Task<()> {
    let (store, log) = (store.clone(), log.clone());
    Box::pin(async move {
        store.truncate(&log, Offset(to)).await.unwrap_or_else(|why| panic!("{why}"));
    })
}

struct Free;

impl Pace for Free {
    async fn spent(&self, _bytes: usize) {}
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }
    fn is_stopping(&self) -> bool {
        false
    }
}

/// What a pass has read of segments that are cut meanwhile must not come back when others of their names are there.
#[test]
fn a_pass_of_compaction_that_a_cut_meets_brings_nothing_back() {
    let compacted = LogConfig {
        segment_bytes: 2000,
        compaction: Some(CompactionConfig {
            min_dirty_ratio: DirtyRatio::new(0.0),
            ..CompactionConfig::default()
        }),
        ..LogConfig::default()
    };
    for seed in 1..120 {
        let (disk, store) = fresh(seed);
        let log = open(&store, 0, compacted);
        for base in 0..40 {
            take(&store, &log, &keyed(base, 0, &[b'a' + (base % 7) as u8], &"old".repeat(100)));
        }
        commit_all(&store);
        maintain(&store);
        let to = (seed * 7 % 30) as i64;
        let cut_at: Rc<Cell<i64>> = Rc::default();
        let pass: Task<()> = {
            let store = store.clone();
            Box::pin(async move {
                let budget = CompactionBudget { key_bytes: 1 << 16, load_factor: 0.9, seed: [1, 2] };
                store.compact_one(Timestamp(5000), budget, &Free).await;
            })
        };
        let life: Task<()> = {
            let (store, log, cut_at) = (store.clone(), log.clone(), cut_at.clone());
            Box::pin(async move {
                let end = store.truncate(&log, Offset(to)).await.unwrap_or_else(|why| panic!("{why}"));
                // Lower where the pass has taken what was before.
                assert!(end <= Offset(to));
                cut_at.set(end.0);
                // Where the others were, so that their names come back.
                for base in end.0..40 {
                    let batch = keyed(base, 1, &[b'a' + (base % 5) as u8], &"new".repeat(100));
                    store.append_replica(&log, &batch, Timestamp(0)).unwrap_or_else(|why| panic!("{why}"));
                }
                while !store.is_idle() {
                    store.commit().await.expect("a disk that works");
                }
                store.maintain(Timestamp(200_000)).await;
            })
        };
        run_after(seed * 13 % 400, pass, vec![life]);
        assert!(store.failure().is_none() && !log.is_offline(), "seed {seed}");
        assert!(!log.state.borrow().cleaning.set_aside, "seed {seed}");
        let check = |store: &Store<MemDisk>, log: &SharedLog<MemFile>, what: &str| {
            let found = read(store, log);
            assert_eq!(log.ends().end, Offset(40), "seed {seed} {what}");
            let to = cut_at.get();
            for &(base, epoch) in &found {
                assert!((epoch == 1) == (base >= to), "seed {seed} {what}, cut at {to}: {found:?}");
            }
            // The last of each key stays.
            assert!((35..40).all(|base| found.contains(&(base, 1))), "seed {seed} {what}: {found:?}");
        };
        check(&store, &log, "before");
        let (store, log) = open_again(&disk.crash(seed), compacted);
        check(&store, &log, "after");
    }
}

#[test]
fn retention_and_deletion_beside_a_cut_get_their_turn() {
    let by_time = LogConfig {
        segment_bytes: 4000,
        retention: Retention { delete: true, ms: Some(1000), bytes: None },
        ..LogConfig::default()
    };
    for seed in 1..150 {
        let (disk, store) = fresh(seed);
        let log = open(&store, 0, by_time);
        for base in 0..20 {
            take(&store, &log, &plain(base, 0, 1500));
        }
        commit_all(&store);
        let deletes = seed % 3 == 0;
        let other: Task<()> = {
            let (store, log) = (store.clone(), log.clone());
            Box::pin(async move {
                if deletes {
                    store.delete_log(id(0), "t", [1; 16]).await.expect("a disk that works");
                } else if seed % 3 == 1 {
                    store.retain(&[(log.clone(), Offset(20))], Timestamp(100_000)).await;
                } else {
                    store.delete_records(&log, Offset(15)).await.expect("a disk that works");
                }
            })
        };
        let housekeeping: Task<()> = {
            let store = store.clone();
            Box::pin(async move { store.maintain(Timestamp(100_000)).await })
        };
        let cut: Task<()> = {
            let (store, log) = (store.clone(), log.clone());
            Box::pin(async move {
                match store.truncate(&log, Offset(9)).await {
                    Err(TruncateError::Offline) if deletes => {}
                    Err(TruncateError::Read(_)) if deletes => {}
                    cut => drop(cut.unwrap_or_else(|why| panic!("seed {seed}: {why}"))),
                }
            })
        };
        let (first, second) = if seed % 2 == 0 { (other, cut) } else { (cut, other) };
        run_after(seed % 70, first, vec![second, housekeeping]);
        assert!(store.failure().is_none() && !log.is_offline(), "seed {seed}");
        if deletes {
            assert_gone(&disk, 0, &format!("seed {seed}"));
            continue;
        }
        let ends = log.ends();
        assert!(ends.start <= ends.end, "seed {seed}: {ends:?}");
        let next = plain(ends.end.0, 1, 100);
        take(&store, &log, &next);
        commit_all(&store);
        let found = read(&store, &log);
        let (store, log) = open_again(&disk.crash(seed), by_time);
        assert_eq!((log.ends().start, log.ends().end), (ends.start, ends.end + 1), "seed {seed}");
        assert_eq!(read(&store, &log), found, "seed {seed}");
    }
}

#[test]
fn two_logs_are_cut_at_once_beside_commits_and_a_full_journal() {
    for seed in 1..40 {
        let (disk, store) = fresh(seed);
        let logs: Vec<_> = (0..3).map(|n| open(&store, n, config())).collect();
        for log in &logs {
            for base in 0..10 {
                take(&store, log, &plain(base, 0, 250 << 10));
            }
        }
        let pump: Task<()> = {
            let store = store.clone();
            Box::pin(async move {
                while !store.is_idle() {
                    store.commit().await.expect("a disk that works");
                }
            })
        };
        let housekeeping: Task<()> = {
            let store = store.clone();
            Box::pin(async move {
                for now in 0..20 {
                    store.maintain(Timestamp(now * 1000)).await;
                }
            })
        };
        let cuts = vec![cut_beside(&store, &logs[0], 4), cut_beside(&store, &logs[1], 7), housekeeping];
        run_after(seed % 30, pump, cuts);
        commit_all(&store);
        let ends: Vec<_> = logs.iter().map(|log| log.ends().acknowledged.0).collect();
        assert_eq!(ends, [4, 7, 10], "seed {seed}");
        let (store, log) = open_again(&disk.crash(seed), config());
        assert_eq!(read(&store, &log).len(), 4, "seed {seed}");
    }
}
