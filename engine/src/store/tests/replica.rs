//! What a follower's log takes from its leader, and what it refuses.

use model::{BatchHeader, TimestampType};

use super::*;

/// A leader's batch of so many records.
fn batch_at(base: i64, epoch: i32, count: usize) -> Vec<u8> {
    let mut batch = batch_of(0, 1000, Producer::NONE, &vec![&b"value"[..]; count]);
    crate::records::stamp(&mut batch, Offset(base), LeaderEpoch(epoch));
    batch
}

fn with_control_bit(mut batch: Vec<u8>) -> Vec<u8> {
    batch[22] |= 0x20;
    let crc = model::batch::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn read(store: &Store<MemDisk>, log: &SharedLog<MemFile>) -> Vec<u8> {
    let ends = log.ends();
    let range = ReadRange { from: ends.start, until: ends.end, bytes_max: 1 << 20, at_least_one: true };
    let read = block_on(store.read(log, range)).unwrap_or_else(|why| panic!("{why}"));
    read.slices.iter().flat_map(|slice| slice.to_vec()).collect()
}

#[test]
fn a_leaders_batches_stay_as_they_are() {
    let (_, store) = fresh(1);
    let stamping = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..config() };
    let log = open(&store, 0, stamping);
    assert_eq!(log.last_position(), (Offset(0), LeaderEpoch::NONE));
    let batches =
        [batch_at(3, 1, 2), batch_at(9, 1, 1), with_control_bit(batch_at(10, 4, 1)), batch_at(50, 7, 3)];
    let end = store.append_replica(&log, &batches.concat(), Timestamp(77));
    assert_eq!(end, Ok(Offset(53)));
    assert_eq!(read(&store, &log), batches.concat());
    assert_eq!(log.last_position(), (Offset(53), LeaderEpoch(7)));
    let end_of = |epoch| log.end_offset_for(LeaderEpoch(epoch)).end_offset.0;
    assert_eq!([1, 4, 7].map(end_of), [10, 50, 53]);
    commit_all(&store);
    assert_eq!(log.ends().acknowledged, Offset(53));
    // And it can be led from there.
    assert_eq!(append(&store, &log, 10).base_offset, Offset(53));
}

/// A broker was elected, wrote nothing, and another was elected: the new leader compared the last batch and sent what it
/// had of the same epoch, and the follower refused it for ever.
#[test]
fn an_epoch_that_wrote_nothing_is_the_next_leaders_to_give() {
    let (_, store) = fresh(1);
    let log = open(&store, 0, config());
    let append = |batch: Vec<u8>| store.append_replica(&log, &batch, Timestamp(0));
    assert_eq!(append(batch_at(0, 3, 2)), Ok(Offset(2)));
    log.lead(LeaderEpoch(5));
    assert_eq!((log.latest_epoch(), log.last_position().1), (Some(LeaderEpoch(5)), LeaderEpoch(3)));
    assert_eq!(append(batch_at(2, 3, 1)), Ok(Offset(3)));
    assert_eq!(log.latest_epoch(), Some(LeaderEpoch(3)));
    assert_eq!(append(batch_at(3, 2, 1)), Err(AppendError::OlderEpoch));
    assert_eq!(append(batch_at(3, 6, 1)), Ok(Offset(4)));
    assert_eq!(log.end_offset_for(LeaderEpoch(3)).end_offset, Offset(3));
}

#[test]
fn what_does_not_fit_is_refused_and_what_is_before_it_stays() {
    fn check(second: Vec<u8>, expected: AppendError) {
        let (_, store) = fresh(1);
        let log = open(&store, 0, config());
        let first = batch_at(5, 3, 2);
        let both = [&first[..], &second].concat();
        assert_eq!(store.append_replica(&log, &both, Timestamp(0)), Err(expected));
        assert_eq!((log.ends().end, read(&store, &log)), (Offset(7), first));
        commit_all(&store);
        assert_eq!(log.ends().durable, Offset(7));
        assert_eq!(store.append_replica(&log, &batch_at(7, 3, 1), Timestamp(0)), Ok(Offset(8)));
    }
    check(batch_at(6, 3, 4), AppendError::BelowEnd);
    check(batch_at(-1, 3, 1), AppendError::BelowEnd);
    check(batch_at(7, 2, 1), AppendError::OlderEpoch);
    check(batch_at(7, -1, 1), AppendError::Malformed);
    check(batch_at(7, 3, 1)[..70].to_vec(), AppendError::Malformed);
    check(b"no batch".to_vec(), AppendError::Malformed);
    check(batch_at(7 + (1 << 31), 3, 1), AppendError::GapTooLarge);
    check(batch_at(i64::MAX - 1, 3, 1), AppendError::OutOfOffsets);
}

#[test]
fn a_batch_that_is_larger_than_a_segment_gets_one_of_its_own() {
    let (_, store) = fresh(1);
    let log = open(&store, 0, LogConfig { segment_bytes: 1000, ..config() });
    let value = vec![b'x'; 5000];
    let large = batch_of(10, 1000, Producer::NONE, &[&value[..]]);
    let batches = [batch_at(0, 0, 1), large, batch_at(30, 0, 1)].concat();
    assert_eq!(store.append_replica(&log, &batches, Timestamp(0)), Ok(Offset(31)));
    assert_eq!(log.segment_count(), 3);
    assert_eq!(read(&store, &log), batches);
}

/// Producers are as they were on the leader, whatever their sequences are.
#[test]
fn sequences_are_taken_as_they_come() {
    let (_, store) = fresh(1);
    let log = open(&store, 0, config());
    let batch = |base, base_sequence| {
        batch_of(base, 1000, Producer { id: 5, epoch: 2, base_sequence }, &[&b"v"[..], b"w"])
    };
    let batches = [batch(0, 40), batch(2, 7)].concat();
    assert_eq!(store.append_replica(&log, &batches, Timestamp(0)), Ok(Offset(4)));
    let next = store.append(&log, &batch(0, 9), LeaderEpoch(0), Timestamp(0));
    assert_eq!(next.map(|appended| appended.base_offset), Ok(Offset(4)));
    let retried = store.append(&log, &batch(0, 7), LeaderEpoch(0), Timestamp(0));
    assert_eq!(retried.map(|appended| (appended.base_offset, appended.duplicate)), Ok((Offset(2), true)));
}

#[test]
fn gaps_are_known_after_a_stop_and_after_a_crash() {
    for crashes in [false, true] {
        let (disk, store) = fresh(3);
        let log = open(&store, 0, small_segments());
        let value = vec![b'x'; 60 << 10];
        let mut batches: Vec<Vec<u8>> = Vec::new();
        for n in 0..6i64 {
            let batch = batch_of(n * 10, 1000, Producer::NONE, &[&value[..]]);
            let end = store.append_replica(&log, &batch, Timestamp(0));
            assert_eq!(end, Ok(BatchHeader::read(&batch).expect("a batch").next_offset()));
            batches.push(batch);
            if n == 3 {
                commit_all(&store);
                maintain(&store);
            }
        }
        commit_all(&store);
        let disk = if crashes {
            disk.crash(5)
        } else {
            block_on(store.close()).expect("a disk that works");
            disk
        };
        let recovery = block_on(Recovery::scan(disk.clone(), PagePool::new(64 << 20), Path::new(DATA)));
        let recovery = recovery.expect("a journal");
        block_on(recovery.restore(id(0), "t")).unwrap_or_else(|why| panic!("{why}"));
        let cleaned = recovery.cleaned_until(id(0));
        assert_eq!(cleaned, Some(Offset(0)));
        block_on(recovery.finish()).expect("a disk that works");
        let store = start(&disk);
        store.know_cleaned(cleaned.map(|offset| (id(0), offset)));
        let log = open(&store, 0, small_segments());
        assert_eq!(log.ends().end, Offset(51));
        assert!(read(&store, &log) == batches.concat());
    }
}
