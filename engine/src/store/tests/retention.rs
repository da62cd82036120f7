//! Records that have had their time: which go, what of them is found afterwards, and how their files end.

use super::*;
use crate::{index::IndexLimits, retention::Retention};

const KEEP_MS: i64 = 1_000;
const DELAY_MS: i64 = 500;

fn by_time() -> LogConfig {
    LogConfig {
        segment_bytes: 100 << 10,
        retention: Retention { delete: true, ms: Some(KEEP_MS), bytes: None },
        file_delete_delay_ms: DELAY_MS,
        index: IndexLimits { interval_bytes: 4096, index_bytes_max: 10 << 20 },
        ..LogConfig::default()
    }
}

fn append_at(store: &Store<MemDisk>, log: &SharedLog<MemFile>, bytes: usize, time: i64, now: i64) {
    let value = vec![b'x'; bytes];
    let batch = batch_of(0, time, Producer::NONE, &[&value[..]]);
    store.append(log, &batch, LeaderEpoch(1), Timestamp(now)).expect("there is room");
}

fn retain(store: &Store<MemDisk>, log: &SharedLog<MemFile>, now: i64) -> Offset {
    let high = log.ends().acknowledged;
    block_on(store.retain(&[(log.clone(), high)], Timestamp(now)));
    log.ends().start
}

fn files(disk: &MemDisk, suffix: &str) -> usize {
    disk.files().iter().filter(|path| path.to_string_lossy().ends_with(suffix)).count()
}

/// Five segments of one record each, whose timestamps are 100, 200 ... 500.
fn five_segments(seed: u64, config: LogConfig) -> (MemDisk, Rc<Store<MemDisk>>, SharedLog<MemFile>) {
    let (disk, store) = fresh(seed);
    let log = open(&store, 0, config);
    for n in 1..=5 {
        append_at(&store, &log, 90 << 10, 100 * n, 0);
    }
    commit_all(&store);
    maintain(&store);
    (disk, store, log)
}

#[test]
fn files_wait_for_their_delay_and_no_reader_finds_them() {
    let (disk, store, log) = five_segments(21, by_time());
    assert_eq!(retain(&store, &log, KEEP_MS + 300), Offset(2));
    assert_eq!(files(&disk, ".log"), 3);
    assert!(files(&disk, "0.log.deleted") == 1 && files(&disk, ".timeindex.deleted") == 2);
    let range = ReadRange { from: Offset(1), until: Offset(5), bytes_max: 1 << 20, at_least_one: true };
    assert!(matches!(block_on(store.read(&log, range)), Err(ReadError::OutOfRange)));
    let before = used(&disk);
    assert_eq!(block_on(store.remove_dropped(Timestamp(10_000))), Some(Timestamp(10_000 + DELAY_MS)));
    assert_eq!(
        block_on(store.remove_dropped(Timestamp(10_000 + DELAY_MS - 1))),
        Some(Timestamp(10_000 + DELAY_MS))
    );
    assert_eq!((used(&disk), store.dropped_count()), (before, 2));
    assert_eq!(block_on(store.remove_dropped(Timestamp(10_000 + DELAY_MS))), None);
    assert_eq!((files(&disk, ".deleted"), store.dropped_count()), (0, 0));
    assert!(used(&disk) < before - (180 << 10));
}

#[test]
fn a_quiet_log_ends_up_empty_and_goes_on_where_it_was() {
    let (disk, store, log) = five_segments(22, by_time());
    assert_eq!(retain(&store, &log, KEEP_MS + 1_000), Offset(5));
    assert_eq!((files(&disk, ".log"), log.bytes()), (0, 0));
    // Nothing more happens to it.
    assert_eq!(retain(&store, &log, KEEP_MS + 9_000), Offset(5));
    append_at(&store, &log, 100, 20_000, 20_000);
    commit_all(&store);
    assert_eq!((log.ends().start, log.ends().durable), (Offset(5), Offset(6)));
    block_on(store.close()).expect("a disk that works");
    assert_eq!(files(&disk, "005.log"), 1);
}

/// Everything goes before anything of it was written, and with it the reason to make the folder.
#[test]
fn a_log_that_was_never_written_can_be_emptied_and_closed() {
    for durability in [Durability::Flushed, Durability::Memory] {
        let (disk, store) = fresh(23);
        let log = open(&store, 0, LogConfig { durability, ..by_time() });
        append_at(&store, &log, 100, 100, 0);
        commit_all(&store);
        assert_eq!(retain(&store, &log, 5_000), Offset(1));
        maintain(&store);
        assert!(store.failure().is_none(), "{:?}", store.failure());
        block_on(store.close()).expect("a disk that works");
        // Its producers are there for the next start, and its folder says whose it is.
        assert_eq!((files(&disk, "001.snapshot"), files(&disk, "partition.metadata")), (1, 1));
        store.logs.borrow_mut().clear();
        let opened = store.open_log(id(0), "t", by_time(), Some(Offset(1)), Timestamp(0));
        let log = block_on(opened).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((log.ends().start, log.ends().end), (Offset(1), Offset(1)));
    }
}

#[test]
fn what_the_high_watermark_has_not_passed_stays() {
    let (_, store, log) = five_segments(24, by_time());
    block_on(store.retain(&[(log.clone(), Offset(3))], Timestamp(100_000)));
    assert_eq!(log.ends().start, Offset(3));
    append_at(&store, &log, 100, 100, 0);
    // In the active segment, and not acknowledged.
    assert_eq!(retain(&store, &log, 100_000), Offset(4));
}

/// A closed segment's newest timestamp is read once, and nothing of it stays in memory.
#[test]
fn a_look_at_many_closed_segments_costs_nothing_the_second_time() {
    let (disk, store, _) = five_segments(25, by_time());
    block_on(store.close()).expect("a disk that works");
    store.logs.borrow_mut().clear();
    let log = open(&store, 0, by_time());
    assert_eq!(retain(&store, &log, KEEP_MS + 50), Offset(0));
    let operations = disk.operations();
    for now in 51..=100 {
        assert_eq!(retain(&store, &log, KEEP_MS + now), Offset(0));
    }
    assert_eq!(disk.operations(), operations, "it was looked at again");
    assert!(log.state.borrow().segments.iter().take(4).all(|segment| segment.indexes.is_none()));
    assert_eq!(retain(&store, &log, KEEP_MS + 101), Offset(1));
}

/// The time index is a hint: one that says less than the truth must not cost a record.
#[test]
fn a_time_index_that_is_too_old_takes_no_record() {
    let (disk, store, log) = five_segments(26, by_time());
    block_on(store.close()).expect("a disk that works");
    store.logs.borrow_mut().clear();
    let path = log.segment_path(Offset(0), names::SegmentFile::TimeIndex);
    // 100 becomes 36.
    disk.flip(&path, 7, 0x40);
    let log = open(&store, 0, by_time());
    assert_eq!(retain(&store, &log, KEEP_MS + 100), Offset(0));
    assert_eq!(retain(&store, &log, KEEP_MS + 101), Offset(1));
}

#[test]
fn records_without_a_time_are_as_old_as_their_file() {
    let (disk, store) = fresh(27);
    let log = open(&store, 0, by_time());
    disk.set_now(Timestamp(50_000));
    for _ in 0..3 {
        append_at(&store, &log, 90 << 10, -1, 50_000);
    }
    commit_all(&store);
    assert_eq!(retain(&store, &log, 50_000 + KEEP_MS), Offset(0));
    maintain(&store);
    block_on(store.close()).expect("a disk that works");
    store.logs.borrow_mut().clear();
    let log = open(&store, 0, by_time());
    assert_eq!(retain(&store, &log, 50_000 + KEEP_MS), Offset(0));
    assert_eq!(retain(&store, &log, 50_000 + KEEP_MS + 1), Offset(3));
}

/// A thousand partitions that lose records at once cost one write of their starts.
#[test]
fn many_starts_are_moved_with_one_write() {
    const LOGS: i32 = 40;
    let (disk, store) = fresh(28);
    let logs: Vec<_> = (0..LOGS).map(|p| open(&store, p, by_time())).collect();
    for log in &logs {
        append_at(&store, log, 100, 100, 0);
    }
    commit_all(&store);
    let looked: Vec<_> = logs.iter().map(|log| (log.clone(), Offset(1))).collect();
    let before = disk.operations();
    let moved = block_on(store.retain(&looked, Timestamp(100_000)));
    assert_eq!(moved.len(), LOGS as usize);
    // A rename for each of the five files that a segment may have, and one file of starts.
    assert_eq!(disk.operations() - before, 5 * LOGS as u64 + 1);
    let starts = disk.contents(&log_starts_path(Path::new(DATA), 0)).expect("it was written");
    let starts = crate::checkpoint::OffsetCheckpoint::read(&starts).expect("a checkpoint");
    assert_eq!(starts.by_id().map(|all| all.len()), Ok(40));
}

/// That is how a full disk gets room by itself: nothing waits for its delay.
#[test]
fn a_full_disk_gets_room_from_what_has_had_its_time() {
    let (disk, store, log) = five_segments(29, by_time());
    append_at(&store, &log, 600, 100_000, 0);
    commit_all(&store);
    let other = open(&store, 1, config());
    append(&store, &other, 600 << 10);
    disk.set_capacity(used(&disk));
    maintain(&store);
    assert!(store.is_disk_full());
    assert_eq!(retain(&store, &log, 50_000), Offset(4));
    assert_eq!(block_on(store.remove_dropped(Timestamp(50_000))), None, "nothing waits");
    disk.set_capacity(used(&disk) + (700 << 10));
    maintain(&store);
    assert!(!store.is_disk_full());
}

#[test]
fn a_log_that_cannot_be_opened_keeps_its_start() {
    let (disk, store, log) = five_segments(30, by_time());
    block_on(store.delete_records(&log, Offset(3))).expect("a disk that works");
    block_on(store.close()).expect("a disk that works");
    store.logs.borrow_mut().clear();
    let path = log.segment_path(Offset(4), names::SegmentFile::Log);
    disk.flip(&path, 1000, 1);
    let opened = block_on(store.open_log(id(0), "t", by_time(), Some(Offset(3)), Timestamp(0)));
    assert!(opened.is_err());
    let other = open(&store, 1, by_time());
    append(&store, &other, 100);
    block_on(store.delete_records(&other, Offset(1))).expect("a disk that works");
    let starts = disk.contents(&log_starts_path(Path::new(DATA), 0)).expect("it was written");
    assert!(String::from_utf8(starts).unwrap().contains(" 0 3\n"));
}

#[test]
fn segments_roll_by_their_first_records_clock_less_a_jitter() {
    let (_, store) = fresh(31);
    let rolls = |partition: i32, jitter: i64, times: [i64; 2], now: i64| {
        let config = LogConfig { segment_ms: 1_000, segment_jitter_ms: jitter, ..LogConfig::default() };
        let log = open(&store, partition, config);
        append_at(&store, &log, 10, times[0], 0);
        append_at(&store, &log, 10, times[1], now);
        log.state.borrow().segments.len() > 1
    };
    assert!(!rolls(0, 0, [5, 1_005], 9_000));
    assert!(rolls(1, 0, [5, 1_006], 0));
    // Where no record has a time, the broker's clock has one.
    assert!(!rolls(2, 0, [-1, -1], 1_000));
    assert!(rolls(3, 0, [-1, -1], 1_001));
    let early = (10..30).filter(|&p| rolls(p, 1_000, [0, 500], 0)).count();
    assert!((3..18).contains(&early), "{early} of 20 rolled at half their time");
}
