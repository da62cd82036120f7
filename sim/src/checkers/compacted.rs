//! A compacted log holds the last record of each key where it was appended, and nothing that was never appended. What is
//! missing was superseded by a later record of its key, or was a tombstone, which goes once its time is over.

use std::collections::{BTreeMap, BTreeSet};

use model::{BatchView, Offset, Timestamp, batch::record::Records};

use crate::ghost::GhostLog;

/// One record: all that a reader sees of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub offset: Offset,
    pub time: Timestamp,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// The records of a batch that the workload has made: none of them is compressed.
pub fn records_of(batch: &[u8]) -> Vec<Seen> {
    let view = BatchView::check(batch).unwrap_or_else(|why| panic!("no whole batch: {why}"));
    let header = *view.header();
    let records = Records::new(view.payload(), header.record_count()).map(|record| {
        let record = record.unwrap_or_else(|why| panic!("a record does not parse: {why}"));
        Seen {
            offset: header.base_offset() + i64::from(record.offset_delta),
            time: Timestamp(header.base_timestamp().0 + record.timestamp_delta),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
        }
    });
    records.collect()
}

/// The records of `found`, batches read from `from` up to `until`, against what is known. Answers those from `from` on.
pub fn check(what: &str, ghost: &GhostLog, from: Offset, until: Offset, found: &[Vec<u8>]) -> Vec<Seen> {
    let appended: BTreeMap<Offset, Seen> = ghost
        .from(from)
        .iter()
        .flat_map(|batch| records_of(&batch.bytes))
        .map(|record| (record.offset, record))
        .collect();
    let (mut next, mut there) = (Offset::ZERO, vec![]);
    for batch in found {
        let header = *BatchView::frame(batch).expect("framed before").header();
        assert!(header.base_offset() >= next, "{what}: batches go back to {}", header.base_offset());
        next = header.next_offset();
        assert!(next <= until, "{what}: a reader saw offset {next}, and {until} was its limit");
        let known = ghost.from(header.base_offset()).first();
        let known = known.unwrap_or_else(|| panic!("{what}: {} was never appended", header.base_offset()));
        assert_eq!(
            (known.base, known.next, known.epoch),
            (header.base_offset(), next, header.leader_epoch()),
            "{what}: a batch is another one"
        );
        for record in records_of(batch) {
            assert_eq!(Some(&record), appended.get(&record.offset), "{what}: offset {}", record.offset);
            there.push(record);
        }
    }
    there.retain(|record| record.offset >= from);
    if !found.is_empty() {
        check_missing(what, &appended, &there, next);
    }
    there
}

/// Nothing below `end` is missing without a reason.
fn check_missing(what: &str, appended: &BTreeMap<Offset, Seen>, there: &[Seen], end: Offset) {
    let found: BTreeSet<Offset> = there.iter().map(|record| record.offset).collect();
    let mut last_of: BTreeMap<&Option<Vec<u8>>, Offset> = BTreeMap::new();
    for record in appended.values() {
        last_of.insert(&record.key, record.offset);
    }
    for record in appended.range(..end).map(|(_, record)| record).filter(|r| !found.contains(&r.offset)) {
        let superseded = last_of[&record.key] > record.offset;
        let older = there.iter().any(|r| r.key == record.key && r.offset < record.offset);
        assert!(
            superseded || record.value.is_none() && !older,
            "{what}: offset {} is missing, the last one of its key",
            record.offset
        );
    }
}
