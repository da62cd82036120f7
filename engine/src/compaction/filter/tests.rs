use std::collections::BTreeMap;

use model::{
    BatchView,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};
use proptest::prelude::*;

use super::*;
use crate::{
    compression::{compress, decompress},
    index::{IndexLimits, SegmentIndexes},
};

const NOT_KEPT: BatchFate = BatchFate { discard: false, spent_marker: false, keep_header: false };
const KEPT: BatchFate = BatchFate { keep_header: true, ..NOT_KEPT };
const TIME: FilterTime = FilterTime { now: Timestamp(50_000), delete_retention_ms: 1000 };

/// Key, value, timestamp.
type Rec = (Option<&'static [u8]>, Option<&'static [u8]>, i64);

fn batch(base_offset: i64, attributes: i16, records: &[Rec]) -> Vec<u8> {
    let base = records[0].2;
    let mut payload = vec![];
    for (n, (key, value, time)) in records.iter().enumerate() {
        write_record(&mut payload, n as i32, time - base, *key, *value, &[(b"h", None)]);
    }
    let meta = BatchMeta {
        base_offset,
        leader_epoch: 3,
        attributes,
        base_timestamp: base,
        max_timestamp: records.iter().map(|r| r.2).max().unwrap(),
        record_count: records.len() as i32,
        producer: Producer { id: 7, epoch: 1, base_sequence: 40 },
    };
    let header = BatchHeader::read(&build_batch(meta, &[])).unwrap();
    build_batch(meta, &compress(header.compression().unwrap(), None, &payload))
}

/// Runs a batch through the filter; `stays` is asked by offset.
fn filter(batch: &[u8], fate: BatchFate, stays: impl Fn(i64) -> bool) -> Outcome {
    let header = BatchHeader::read(batch).unwrap();
    let codec = header.compression().unwrap();
    let mut selection = Selection::new(&header);
    if fate.discard || header.record_count() == 0 {
        return selection.outcome(&[], fate, TIME);
    }
    let payload = decompress(codec, &batch[HEADER_BYTES..], 1 << 20).unwrap();
    while !selection.look(&payload, 2, |offset, _| stays(offset.0)).unwrap() {}
    selection.outcome(&payload, fate, TIME)
}

fn thinned(outcome: Outcome) -> Vec<u8> {
    let Outcome::Thinned(thinned) = outcome else { panic!("{outcome:?}") };
    let codec = thinned.compression;
    thinned.compressed(|payload| compress(codec, None, payload))
}

/// Offset, timestamp, key, value of each record.
type Read = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn read(batch: &[u8]) -> Vec<Read> {
    let view = BatchView::check(batch).expect("a whole batch");
    let header = *view.header();
    let payload = decompress(header.compression().unwrap(), view.payload(), 1 << 20).unwrap();
    Records::new(&payload, header.record_count())
        .map(|record| {
            let record = record.expect("it parses");
            assert_eq!(record.headers.count(), 1);
            let time = header.base_timestamp().0 + record.timestamp_delta;
            (
                offset_of(&header, &record).0,
                time,
                record.key.map(<[u8]>::to_vec),
                record.value.map(<[u8]>::to_vec),
            )
        })
        .collect()
}

const THREE: [Rec; 3] =
    [(Some(b"a"), Some(b"1"), 1000), (Some(b"b"), Some(b"2"), 900), (Some(b"c"), Some(b"3"), 1500)];

#[test]
fn a_batch_is_dropped_kept_thinned_or_emptied() {
    let three = batch(10, 0, &THREE);
    assert_eq!(filter(&three, NOT_KEPT, |_| true), Outcome::Same);
    assert_eq!(filter(&three, KEPT, |_| true), Outcome::Same);
    assert_eq!(filter(&three, NOT_KEPT, |_| false), Outcome::Drop);
    assert_eq!(filter(&three, BatchFate { discard: true, ..NOT_KEPT }, |_| true), Outcome::Drop);
    let Outcome::Header(empty) = filter(&three, KEPT, |_| false) else { panic!("its header stays") };
    assert_eq!(filter(&three, BatchFate { discard: true, ..KEPT }, |_| true), Outcome::Header(empty.clone()));
    // An empty one stays as it is, or goes.
    assert_eq!(filter(&empty, KEPT, |_| true), Outcome::Same);
    assert_eq!(filter(&empty, NOT_KEPT, |_| true), Outcome::Drop);
}

#[test]
fn what_a_header_says_of_its_producer_stays() {
    for codec in 0..=4 {
        for kind in [codec, codec | 0x10] {
            let before = batch(10, kind, &THREE);
            let old = *BatchView::check(&before).unwrap().header();
            let Outcome::Header(empty) = filter(&before, KEPT, |_| false) else { panic!("{kind}") };
            for (after, count) in [(thinned(filter(&before, KEPT, |o| o == 11)), 1), (empty, 0)] {
                let new = *BatchView::check(&after).unwrap().header();
                assert_eq!((new.base_offset(), new.last_offset()), (Offset(10), Offset(12)));
                assert_eq!(new.leader_epoch(), old.leader_epoch());
                assert_eq!(
                    (new.producer_id(), new.producer_epoch()),
                    (old.producer_id(), old.producer_epoch())
                );
                assert_eq!(new.base_sequence, old.base_sequence);
                assert_eq!((new.record_count(), new.is_transactional()), (count, old.is_transactional()));
                let compressed = new.attributes.get() & COMPRESSION_BITS;
                assert_eq!(compressed, if count == 0 { 0 } else { codec });
            }
        }
    }
}

#[test]
fn records_that_stay_keep_their_offsets_and_times() {
    for codec in 0..=4 {
        let before = batch(10, codec, &THREE);
        let all = read(&before);
        for kept in 1..7 {
            let stays = |offset: i64| kept >> (offset - 10) & 1 == 1;
            let after = thinned(filter(&before, NOT_KEPT, stays));
            let expected: Vec<_> = all.iter().filter(|r| stays(r.0)).cloned().collect();
            assert_eq!(read(&after), expected, "codec {codec}, kept {kept:03b}");
            let header = BatchHeader::read(&after).unwrap();
            assert_eq!(header.base_timestamp().0, expected[0].1, "as Kafka: that of the first one");
            assert_eq!(header.max_timestamp().0, expected.iter().map(|r| r.1).max().unwrap());
        }
    }
}

#[test]
fn the_brokers_own_time_stays() {
    let mut stamped = batch(10, 0, &THREE);
    crate::records::restamp_log_append_time(&mut stamped, Timestamp(7777));
    let after = thinned(filter(&stamped, NOT_KEPT, |o| o != 10));
    let header = BatchHeader::read(&after).unwrap();
    assert_eq!(
        (header.max_timestamp(), header.timestamp_type()),
        (Timestamp(7777), TimestampType::LogAppendTime)
    );
    let Outcome::Header(empty) = filter(&stamped, KEPT, |_| false) else { panic!("its header stays") };
    assert_eq!(BatchHeader::read(&empty).unwrap().max_timestamp(), Timestamp(7777));
}

#[test]
fn the_first_pass_that_keeps_a_tombstone_sets_its_horizon() {
    for codec in 0..=4 {
        let before = batch(10, codec, &[(Some(b"a"), None, 1000), (Some(b"b"), Some(b"2"), 1200)]);
        let once = thinned(filter(&before, NOT_KEPT, |_| true));
        let header = *BatchView::check(&once).unwrap().header();
        assert_eq!(delete_horizon(&header), Some(Timestamp(51_000)));
        assert_eq!(header.max_timestamp(), Timestamp(1200));
        assert_eq!(read(&once), read(&before));
        // The second one leaves it alone, also where something else goes.
        assert_eq!(filter(&once, NOT_KEPT, |_| true), Outcome::Same);
        let thinner = thinned(filter(&once, NOT_KEPT, |o| o == 10));
        assert_eq!(delete_horizon(BatchView::check(&thinner).unwrap().header()), Some(Timestamp(51_000)));
        assert_eq!(read(&thinner), read(&before)[..1]);
        let thinner = thinned(filter(&once, NOT_KEPT, |o| o == 11));
        assert_eq!(read(&thinner), read(&before)[1..]);
    }
    // A tombstone that goes needs none.
    let before = batch(10, 0, &[(Some(b"a"), None, 1000), (Some(b"b"), Some(b"2"), 1200)]);
    let after = thinned(filter(&before, NOT_KEPT, |o| o == 11));
    assert_eq!(delete_horizon(&BatchHeader::read(&after).unwrap()), None);
}

#[test]
fn a_marker_that_is_not_needed_gets_a_horizon_too() {
    let marker = batch(10, 0x30, &[(Some(b"\0\0\0\x01"), Some(b"\0\0\0\0\0\0"), 1000)]);
    assert_eq!(filter(&marker, NOT_KEPT, |_| true), Outcome::Same);
    let spent = BatchFate { spent_marker: true, ..NOT_KEPT };
    let once = thinned(filter(&marker, spent, |_| true));
    assert_eq!(delete_horizon(BatchView::check(&once).unwrap().header()), Some(Timestamp(51_000)));
    assert_eq!(filter(&once, spent, |_| true), Outcome::Same);
}

#[test]
fn records_that_do_not_parse_are_told() {
    let good = batch(10, 0, &THREE);
    let header = BatchHeader::read(&good).unwrap();
    let payload = &good[HEADER_BYTES..];
    for cut in 0..payload.len() {
        let mut selection = Selection::new(&header);
        assert!(selection.look(&payload[..cut], 10, |_, _| true).is_err(), "cut at {cut}");
    }
    let longer = [payload, b"\0"].concat();
    assert!(Selection::new(&header).look(&longer, 10, |_, _| true).is_err());
}

/// The log that Kafka compacted was written with these batches: what comes out is the same, byte for byte.
#[test]
fn kafkas_own_bytes_come_out() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/compacted-0");
    let log = std::fs::read(golden.join("00000000000000000000.log")).unwrap();
    let mut rest = &log[..];
    let mut indexes =
        SegmentIndexes::new(Offset(0), IndexLimits { interval_bytes: 4096, index_bytes_max: 4096 });
    let mut tombstones = 0;
    while !rest.is_empty() {
        let view = BatchView::check(rest).unwrap();
        let header = *view.header();
        indexes.append(&header, (log.len() - rest.len()) as u32, view.bytes().len() as u32);
        // Put back what was taken away, and take it away again.
        let horizon = delete_horizon(&header);
        let mut payload = vec![];
        let records: Vec<_> =
            Records::new(view.payload(), header.record_count()).map(Result::unwrap).collect();
        let mut kept = vec![];
        for delta in 0..=header.last_offset_delta.get() {
            match records.iter().find(|r| r.offset_delta == delta) {
                Some(record) => {
                    kept.push(delta);
                    tombstones += usize::from(record.value.is_none());
                    write_record(&mut payload, delta, record.timestamp_delta, record.key, record.value, &[]);
                }
                None => write_record(&mut payload, delta, 1, Some(b"gone"), Some(b"x"), &[]),
            }
        }
        let mut original = header;
        original.record_count = (header.last_offset_delta.get() + 1).into();
        let time = FilterTime { now: horizon.unwrap_or(Timestamp(0)), delete_retention_ms: 0 };
        if horizon.is_some() {
            // As the producer sent it: all of its records at the largest time, without horizon.
            payload.clear();
            let only = &records[0];
            assert_eq!(records.len(), 1);
            original.attributes = (header.attributes.get() & !HORIZON_BIT).into();
            original.base_timestamp = header.max_timestamp;
            write_record(&mut payload, only.offset_delta, 0, only.key, only.value, &[]);
        }
        let mut selection = Selection::new(&original);
        let stays =
            |offset: Offset, _: &Record<'_>| kept.contains(&((offset.0 - header.base_offset().0) as i32));
        assert!(selection.look(&payload, 100, stays).unwrap());
        match selection.outcome(&payload, NOT_KEPT, time) {
            Outcome::Same => assert_eq!(records.len(), original.record_count() as usize),
            outcome => assert_eq!(thinned(outcome), view.bytes(), "at offset {}", header.base_offset()),
        }
        rest = &rest[view.bytes().len()..];
    }
    assert_eq!(tombstones, 1);
    indexes.seal();
    assert_eq!(
        indexes.time.as_bytes(),
        std::fs::read(golden.join("00000000000000000000.timeindex")).unwrap()
    );
}

proptest! {
    /// Against a list of records, over several passes.
    #[test]
    fn what_stays_is_what_a_list_says(
        records in proptest::collection::vec((0u8..4, any::<bool>(), -500i64..500), 1..12),
        codec in 0i16..5, passes in proptest::collection::vec(any::<u16>(), 1..4),
    ) {
        const KEYS: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        let records: Vec<Rec> = records
            .iter()
            .map(|&(key, value, time)| (Some(KEYS[usize::from(key)]), value.then_some(&b"value"[..]), 10_000 + time))
            .collect();
        let mut bytes = batch(100, codec, &records);
        let mut list: BTreeMap<i64, Read> = read(&bytes).into_iter().map(|r| (r.0, r)).collect();
        for mask in passes {
            let stays = |offset: i64| mask >> (offset - 100) & 1 == 1;
            list.retain(|&offset, _| stays(offset));
            match filter(&bytes, KEPT, stays) {
                Outcome::Same => {}
                Outcome::Header(empty) => bytes = empty,
                outcome => bytes = thinned(outcome),
            }
            prop_assert_eq!(read(&bytes), list.values().cloned().collect::<Vec<_>>());
            let header = BatchHeader::read(&bytes).unwrap();
            prop_assert_eq!(header.last_offset().0, 99 + records.len() as i64);
            let tombstones = list.values().any(|r| r.3.is_none());
            prop_assert!(!tombstones || delete_horizon(&header) == Some(Timestamp(51_000)));
        }
    }

    #[test]
    fn foreign_bytes_never_panic(
        payload in proptest::collection::vec(any::<u8>(), 0..100), count in -2i32..5, head in proptest::collection::vec(any::<u8>(), 61),
    ) {
        let mut header = BatchHeader::read(&head).unwrap();
        header.record_count = count.into();
        header.attributes = (header.attributes.get() & !COMPRESSION_BITS).into();
        let mut selection = Selection::new(&header);
        if let Ok(true) = selection.look(&payload, 10, |offset, _| offset.0 % 2 == 0) {
            let _ = selection.outcome(&payload, KEPT, TIME);
        }
    }
}
