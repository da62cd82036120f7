//! Our producer state, folded over Kafka's logs, makes Kafka's snapshots.

use engine::{
    producers::{CompletedTransaction, ProducerLimits, ProducerStates, Verdict, snapshot},
    properties::names::SegmentFile,
};
use model::{Offset, Timestamp};

mod golden;
use golden::{batches, files};

const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Folds a whole partition and stops at each offset of which there is a snapshot.
fn fold(dir: &str) -> (Vec<(Offset, Vec<u8>)>, Vec<CompletedTransaction>) {
    let wanted: Vec<Offset> = files(dir, SegmentFile::Snapshot).iter().map(|f| f.0).collect();
    let mut states = ProducerStates::new(ProducerLimits::default(), Offset(0));
    let (mut snapshots, mut completed) = (vec![], vec![]);
    for (_, log) in files(dir, SegmentFile::Log) {
        for (_, view) in batches(&log) {
            completed.extend(states.replay(view.header(), view.payload(), NOW).expect("a whole batch"));
            if wanted.contains(&states.map_end()) {
                snapshots.push((states.map_end(), states.snapshot()));
            }
        }
    }
    (snapshots, completed)
}

#[test]
fn snapshots_equal_kafkas_byte_for_byte() {
    for dir in ["plain-0", "idempotent-0", "txn-0", "stamped-0", "compacted-0", "epochs-0"] {
        let kafkas = files(dir, SegmentFile::Snapshot);
        assert!(!kafkas.is_empty());
        assert_eq!(fold(dir).0, kafkas, "{dir}");
    }
}

#[test]
fn kafkas_snapshots_are_read_and_written() {
    for dir in ["idempotent-0", "txn-0"] {
        for (offset, bytes) in files(dir, SegmentFile::Snapshot) {
            let states =
                ProducerStates::from_snapshot(&bytes, offset, ProducerLimits::default(), NOW).unwrap();
            assert_eq!(states.producer_count(), snapshot::read(&bytes).unwrap().len());
            assert_eq!(states.snapshot(), bytes);
        }
    }
}

#[test]
fn a_snapshot_inside_a_transaction_remembers_it() {
    let (offset, bytes) = files("txn-0", SegmentFile::Snapshot).remove(0);
    assert_eq!(offset, Offset(3));
    let states = ProducerStates::from_snapshot(&bytes, offset, ProducerLimits::default(), NOW).unwrap();
    assert_eq!(states.first_open_offset(), Some(Offset(0)));
}

#[test]
fn transactions_end_as_they_did() {
    let (_, completed) = fold("txn-0");
    let told: Vec<_> = completed
        .iter()
        .map(|c| (c.producer_id.0, c.first_offset.0, c.last_offset.0, c.committed, c.last_stable_offset.0))
        .collect();
    let (a, c) = (told[0].0, told[3].0);
    assert_ne!(a, c);
    assert_eq!(told, [(a, 0, 3, true, 4), (a, 4, 6, false, 7), (a, 9, 14, false, 7), (c, 7, 15, true, 16)]);

    // The aborted ones stand in Kafka's index: version 2, then producer, first, last and last stable offset, 8 each.
    let index = files("txn-0", SegmentFile::TransactionIndex).remove(0).1;
    let aborted: Vec<[i64; 4]> = index
        .chunks_exact(34)
        .map(|e| [2, 10, 18, 26].map(|at| i64::from_be_bytes(e[at..at + 8].try_into().unwrap())))
        .collect();
    let ours: Vec<_> = completed
        .iter()
        .filter(|c| !c.committed)
        .map(|c| [c.producer_id.0, c.first_offset.0, c.last_offset.0, c.last_stable_offset.0])
        .collect();
    assert_eq!(aborted, ours);
}

/// What Kafka took, we would have taken; what it would have called a retry, we call one.
#[test]
fn every_batch_of_a_client_is_judged_as_kafka_judged_it() {
    for dir in ["idempotent-0", "txn-0"] {
        let mut states = ProducerStates::new(ProducerLimits::default(), Offset(0));
        for (_, log) in files(dir, SegmentFile::Log) {
            for (_, view) in batches(&log) {
                let header = view.header();
                if header.is_control() {
                    states.replay(header, view.payload(), NOW).unwrap();
                    continue;
                }
                assert_eq!(states.check(header), Verdict::Append, "{dir} {}", header.base_offset());
                states.applied(header, header.base_offset(), NOW);
                let expected = Verdict::Duplicate {
                    base_offset: header.base_offset(),
                    last_offset: header.last_offset(),
                    timestamp: header.max_timestamp(),
                };
                assert_eq!(states.check(header), expected);
            }
        }
        assert!(states.producer_count() > 1);
        assert_eq!(states.first_open_offset(), None);
    }
}
