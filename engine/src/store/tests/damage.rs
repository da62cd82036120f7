//! Logs that are corrupt below the durable mark: what is still served, what is cut when others have it, and what is kept.

use super::{
    truncate::{open_again, plain, read, recover, take},
    *,
};
use crate::{compaction::Pace, log::open::OpenError, store::damage::DAMAGED_FILES_MAX};

const BYTES: usize = 1500;
const COUNT: i64 = 20;

/// Two batches fill a segment.
fn small() -> LogConfig {
    LogConfig { segment_bytes: 4000, ..LogConfig::default() }
}

fn path(segment: i64, ending: &str) -> PathBuf {
    Path::new(DATA).join("t-0").join(format!("{segment:020}{ending}"))
}

/// Batches 0 to 19 of one record each in segments 0, 2, 4 ..., of which nothing is in memory.
fn cold() -> (MemDisk, Rc<Store<MemDisk>>, SharedLog<MemFile>) {
    let (disk, store) = fresh(1);
    let log = open(&store, 0, small());
    for base in 0..COUNT {
        take(&store, &log, &plain(base, 0, BYTES));
    }
    commit_all(&store);
    block_on(store.close()).expect("a disk that works");
    let (store, log) = open_again(&disk, small());
    assert_eq!(log.ends().end, Offset(COUNT));
    (disk, store, log)
}

/// A bit of the last batch in a segment.
fn rot(disk: &MemDisk, segment: i64) {
    let bytes = disk.contents(&path(segment, ".log")).expect("the segment is there").len();
    disk.flip(&path(segment, ".log"), bytes - 700, 4);
}

fn read_at(store: &Store<MemDisk>, log: &SharedLog<MemFile>, from: i64) -> Result<ReadBatches, ReadError> {
    let range = ReadRange { from: Offset(from), until: log.ends().end, bytes_max: 1000, at_least_one: true };
    block_on(store.read(log, range))
}

#[track_caller]
fn assert_whole(store: &Store<MemDisk>, log: &SharedLog<MemFile>, end: i64) {
    let expected: Vec<(i64, i32)> = (log.ends().start.0..end).map(|base| (base, 0)).collect();
    assert_eq!(read(store, log), expected);
}

/// What its leader has from there on.
fn fetch_again(store: &Store<MemDisk>, log: &SharedLog<MemFile>) {
    for base in log.ends().end.0..COUNT {
        take(store, log, &plain(base, 0, BYTES));
    }
    commit_all(store);
    assert_whole(store, log, COUNT);
}

#[test]
fn a_corrupt_log_takes_nothing_and_serves_what_is_good() {
    let (disk, store, log) = cold();
    rot(&disk, 6);
    let before: Vec<_> = disk.files().iter().map(|path| disk.contents(path)).collect();
    assert!(matches!(read_at(&store, &log, 7), Err(ReadError::Corrupt { segment: Offset(6), .. })));
    assert_eq!((log.damage(), store.damaged()), (Some(Offset(6)), vec![id(0)]));
    for from in [0, 5, 8, 19] {
        read_at(&store, &log, from).unwrap_or_else(|why| panic!("from {from}: {why}"));
    }
    assert!(read_at(&store, &log, 7).is_err());
    let refused = store.append_replica(&log, &plain(COUNT, 0, 10), Timestamp(0));
    assert_eq!(refused, Err(AppendError::Offline));
    assert!(matches!(block_on(store.truncate(&log, Offset(2))), Err(TruncateError::Offline)));
    let after: Vec<_> = disk.files().iter().map(|path| disk.contents(path)).collect();
    assert!(before == after, "something was changed on the disk");
}

#[test]
fn a_corrupt_segment_and_what_is_behind_it_goes_and_comes_again() {
    for (rotten, end) in [(&[6][..], 6), (&[14], 14), (&[0], 0), (&[4, 6], 4), (&[0, 2], 0)] {
        let (disk, store, log) = cold();
        rotten.iter().for_each(|&segment| rot(&disk, segment));
        let last = rotten[rotten.len() - 1];
        let bad = disk.contents(&path(last, ".log"));
        assert!(read_at(&store, &log, last + 1).is_err());
        // One that is not met yet is found by the cut itself, if it stands where the log will end.
        assert_eq!(block_on(store.cut_damage(&log)).expect("it can be cut"), Offset(end), "{rotten:?}");
        assert!(!log.is_offline() && store.damaged().is_empty());
        assert_whole(&store, &log, end);
        assert_eq!(disk.contents(&path(last, ".log.damaged")), bad, "{rotten:?}: it is kept as it was");
        // A start before anything came again, and one after.
        let (again, found) = open_again(&disk.crash(2), small());
        assert_whole(&again, &found, end);
        fetch_again(&store, &log);
        let disk = disk.crash(3);
        let (store, log) = open_again(&disk, small());
        assert_whole(&store, &log, COUNT);
        assert_eq!(disk.contents(&path(last, ".log.damaged")), bad, "{rotten:?}: a start keeps it");
    }
}

#[test]
fn a_crash_at_any_step_of_it_leaves_a_log_that_can_be_opened() {
    for operation in 1.. {
        let (disk, store, log) = cold();
        rot(&disk, 6);
        assert!(read_at(&store, &log, 7).is_err());
        disk.fail_at(Some(disk.operations() + operation));
        let done = block_on(store.cut_damage(&log));
        if !disk.is_dead() {
            done.expect("nothing failed");
            assert!(operation > 5, "it hardly did anything");
            return;
        }
        let (store, log) = open_again(&disk.crash(operation), small());
        let end = log.ends().end.0;
        assert!((6..=COUNT).contains(&end), "operation {operation}: the log ends at {end}");
        for from in (0..end).filter(|&from| from / 2 != 3) {
            read_at(&store, &log, from)
                .unwrap_or_else(|why| panic!("operation {operation}, from {from}: {why}"));
        }
        if end > 7 {
            assert!(read_at(&store, &log, 7).is_err());
            assert_eq!(block_on(store.cut_damage(&log)).expect("it can be cut"), Offset(6));
        }
        fetch_again(&store, &log);
    }
}

fn open_rotten(store: &Store<MemDisk>) -> OpenError {
    match block_on(store.open_log(id(0), "t", small(), None, Timestamp(0))) {
        Ok(_) => panic!("it is corrupt, and was opened"),
        Err(error) => error,
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_opened_without_what_is_corrupt() {
    let (disk, store, _) = cold();
    block_on(store.close()).expect("a disk that works");
    for (rotten, end) in [(&[18][..], 18), (&[16, 18], 16)] {
        let disk = disk.crash(4);
        block_on(recover(&disk));
        rotten.iter().for_each(|&segment| rot(&disk, segment));
        let bad = disk.contents(&path(18, ".log"));
        let store = start(&disk);
        let segment = open_rotten(&store).damaged_segment();
        assert_eq!(segment, Some(Offset(18)));
        assert_eq!(store.unopened().len(), 1);
        let opened = store.open_without(Offset(18), (id(0), "t"), small(), Timestamp(0));
        let log = block_on(opened).unwrap_or_else(|why| panic!("{why}"));
        assert!(store.unopened().is_empty());
        assert_eq!(log.ends().end, Offset(end), "{rotten:?}");
        assert_eq!(disk.contents(&path(18, ".log.damaged")), bad);
        let (again, found) = open_again(&disk.crash(5), small());
        assert_whole(&again, &found, end);
        fetch_again(&store, &log);
        let (store, log) = open_again(&disk.crash(6), small());
        assert_whole(&store, &log, COUNT);
    }
}

#[test]
fn a_log_that_is_corrupt_all_over_begins_anew() {
    let (disk, store, _) = cold();
    block_on(store.close()).expect("a disk that works");
    (0..COUNT).step_by(2).for_each(|segment| rot(&disk, segment));
    let store = start(&disk);
    open_rotten(&store);
    let opened = store.open_without(Offset(18), (id(0), "t"), small(), Timestamp(0));
    let log = block_on(opened).unwrap_or_else(|why| panic!("{why}"));
    fetch_again(&store, &log);
}

/// What a person may want does not fill the disk.
#[test]
fn few_damaged_segments_are_kept() {
    let (disk, store, log) = cold();
    for round in 0..DAMAGED_FILES_MAX + 2 {
        disk.put(&path(100 + round as i64, ".log.damaged"), vec![1]);
    }
    rot(&disk, 6);
    assert!(read_at(&store, &log, 7).is_err());
    block_on(store.cut_damage(&log)).expect("it can be cut");
    assert_eq!(disk.contents(&path(6, ".log.damaged")), None);
    fetch_again(&store, &log);
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

#[test]
fn rot_that_nobody_reads_is_found() {
    let (disk, store, log) = cold();
    block_on(store.scrub(&log, &Free));
    assert!(!log.is_offline(), "nothing is wrong");
    rot(&disk, 8);
    rot(&disk, 12);
    block_on(store.scrub(&log, &Free));
    assert_eq!(log.damage(), Some(Offset(8)));
}

/// The base offset and the epoch of a batch lie outside its checksum.
#[test]
fn rot_beside_the_checksum_is_found() {
    for at in [7, 15] {
        let (disk, store, log) = cold();
        disk.flip(&path(8, ".log"), at, 1);
        block_on(store.scrub(&log, &Free));
        assert_eq!(log.damage(), Some(Offset(8)), "byte {at}");
    }
}
