//! Kafka's text files, read and written again.

use std::collections::BTreeSet;

use engine::{
    checkpoint::{LOG_START_OFFSET_FILE, OffsetCheckpoint, RECOVERY_POINT_FILE, REPLICATION_OFFSET_FILE},
    epochs::{EpochCache, LEADER_EPOCH_FILE},
    properties::{
        META_PROPERTIES_FILE, MetaProperties, PARTITION_METADATA_FILE, PartitionMetadata, Properties,
        names::SegmentFile,
    },
};
use model::{BrokerId, LeaderEpoch, Offset, PartitionIndex};

mod golden;
use golden::{batches, files, read};

const DIRS: [&str; 6] = ["plain-0", "idempotent-0", "txn-0", "stamped-0", "compacted-0", "epochs-0"];

#[test]
fn checkpoints_differ_from_kafkas_only_in_their_order() {
    for name in [RECOVERY_POINT_FILE, REPLICATION_OFFSET_FILE, LOG_START_OFFSET_FILE] {
        let kafkas = read(name);
        let checkpoint = OffsetCheckpoint::read(&kafkas).unwrap();
        let ours = checkpoint.write();
        let lines =
            |bytes: &[u8]| -> BTreeSet<Vec<u8>> { bytes.split(|&b| b == b'\n').map(Vec::from).collect() };
        assert_eq!(lines(&ours), lines(&kafkas), "{name}");
        assert_eq!(ours.len(), kafkas.len());
    }
    let recovery_points = OffsetCheckpoint::read(&read(RECOVERY_POINT_FILE)).unwrap();
    assert_eq!(recovery_points.get("plain", PartitionIndex(0)), Some(Offset(80)));
}

#[test]
fn leader_epochs_are_those_of_the_batches() {
    for dir in DIRS {
        let kafkas = read(&format!("{dir}/{LEADER_EPOCH_FILE}"));
        assert_eq!(EpochCache::read(&kafkas).unwrap().write(), kafkas);
        let mut folded = EpochCache::default();
        for (_, log) in files(dir, SegmentFile::Log) {
            for (_, view) in batches(&log) {
                folded.assign(view.header().leader_epoch(), view.header().base_offset());
            }
        }
        // Apache Kafka notes an epoch when a leader is elected, and forgets it again if it wrote nothing: of the last
        // one an entry at the log's end may stay.
        let mut read = EpochCache::read(&kafkas).unwrap();
        let last = files(dir, SegmentFile::Log).pop().unwrap().1;
        read.truncate_from_end(batches(&last).last().unwrap().1.header().next_offset());
        assert_eq!(read, folded, "{dir}");
    }
    let epochs = EpochCache::read(&read(&format!("epochs-0/{LEADER_EPOCH_FILE}"))).unwrap();
    assert_eq!(epochs.end_offset_for(LeaderEpoch(1), Offset(2)).end_offset, Offset(1));
}

#[test]
fn meta_properties_are_understood() {
    let kafkas = read(META_PROPERTIES_FILE);
    let meta = MetaProperties::read(&kafkas).unwrap();
    assert_eq!(meta.cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
    assert_eq!(meta.node_id, BrokerId(3));
    assert!(meta.directory_id.is_some());
    assert_eq!(Properties::read(&meta.write()).unwrap(), Properties::read(&kafkas).unwrap());
}

#[test]
fn partition_metadata_equals_kafkas_byte_for_byte() {
    for dir in DIRS {
        let kafkas = read(&format!("{dir}/{PARTITION_METADATA_FILE}"));
        assert_eq!(PartitionMetadata::read(&kafkas).unwrap().write(), kafkas);
    }
}
