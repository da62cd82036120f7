//! Our indexes, fed with Kafka's segments, come out as Kafka's.

use engine::{
    index::{IndexLimits, OffsetIndex, SegmentIndexes, TimeIndex},
    properties::names::SegmentFile,
    records::find_timestamp,
};
use model::{Offset, Timestamp};

mod golden;
use golden::{batches, files};

const INDEX_BYTES_MAX: u32 = 10 << 20;

fn rebuild(base: Offset, log: &[u8], interval_bytes: u32) -> SegmentIndexes {
    let mut indexes =
        SegmentIndexes::new(base, IndexLimits { interval_bytes, index_bytes_max: INDEX_BYTES_MAX });
    for (position, view) in batches(log) {
        indexes.append(view.header(), position, view.bytes().len() as u32);
    }
    indexes.seal();
    indexes
}

#[test]
fn indexes_equal_kafkas_byte_for_byte() {
    fn check(dir: &str, interval_bytes: u32) {
        let offset_files = files(dir, SegmentFile::OffsetIndex);
        let time_files = files(dir, SegmentFile::TimeIndex);
        let logs = files(dir, SegmentFile::Log);
        assert!(!logs.is_empty());
        for (i, (base, log)) in logs.iter().enumerate() {
            let indexes = rebuild(*base, log, interval_bytes);
            assert_eq!(indexes.offset.as_bytes(), offset_files[i].1, "{dir} {base}");
            assert_eq!(indexes.time.as_bytes(), time_files[i].1, "{dir} {base}");
            let offset =
                OffsetIndex::from_bytes(*base, INDEX_BYTES_MAX, &offset_files[i].1, log.len() as u32);
            assert_eq!(offset.as_ref(), Ok(&indexes.offset));
            let time = TimeIndex::from_bytes(*base, INDEX_BYTES_MAX, &time_files[i].1);
            assert_eq!(time.as_ref(), Ok(&indexes.time));
        }
    }
    check("plain-0", 512);
    check("idempotent-0", 4096);
    check("txn-0", 4096);
    check("stamped-0", 4096);
    check("compacted-0", 4096);
}

/// Each clean stop seals the active segment, so a segment that lived through two has two last entries.
#[test]
fn a_segment_sealed_twice_is_believed() {
    let time = files("epochs-0", SegmentFile::TimeIndex).remove(0).1;
    let index = TimeIndex::from_bytes(Offset(0), INDEX_BYTES_MAX, &time).unwrap();
    assert_eq!(index.entry_count(), 2);
    let log = files("epochs-0", SegmentFile::Log).remove(0).1;
    assert_eq!(index.max(), rebuild(Offset(0), &log, 4096).time.max());
}

#[test]
fn the_hints_lead_to_every_record_by_time() {
    for (base, log) in files("plain-0", SegmentFile::Log) {
        let indexes = rebuild(base, &log, 512);
        let batches = batches(&log);
        let times: Vec<i64> = batches.iter().map(|(_, b)| b.header().max_timestamp().0).collect();
        for target in times.iter().flat_map(|t| [t - 1, *t, t + 1]) {
            let target = Timestamp(target);
            let hint = indexes.offset.lookup(indexes.time.lookup(target).offset).position;
            let scan = |from: u32| {
                let mut rest = batches.iter().filter(|(position, _)| *position >= from);
                rest.find_map(|(_, b)| find_timestamp(b.bytes(), target, base, 1 << 20).unwrap())
            };
            assert_eq!(scan(hint), scan(0), "{target:?}");
        }
    }
}
