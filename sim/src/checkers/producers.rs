//! What a log remembers of its producers is what a walk over all of its batches says: seen through what it answers to a
//! retry and to a gap, and through the snapshot that a stop in order leaves.

use std::path::Path;

use engine::{
    AppendError, SharedLog, Store,
    producers::{ProducerLimits, ProducerStates, snapshot},
    properties::names::{SegmentFile, SegmentFileName},
};
use model::{BatchView, LeaderEpoch, Offset, Timestamp};
use zerocopy::IntoBytes;

use crate::{
    disk::{SimDisk, SimFile},
    ghost::GhostLog,
};

/// Sends the last batch of each producer again, and one that leaves a gap. Neither changes anything.
pub fn check(what: &str, ghost: &GhostLog, store: &Store<SimDisk>, log: &SharedLog<SimFile>, now: Timestamp) {
    let before = log.ends();
    for (id, (sent, base)) in &ghost.producers {
        // Of a producer whose records are all deleted the log may remember nothing.
        if *base < before.start {
            continue;
        }
        let batch = ghost.from(*base).first().expect("the ghost has what its producers sent");
        let retry = store.append(log, &batch.bytes, LeaderEpoch(0), now);
        let Ok(appended) = retry else { panic!("{what}: a retry of producer {id} got {retry:?}") };
        assert!(appended.duplicate, "{what}: a retry of producer {id} was appended again");
        assert_eq!(
            (appended.base_offset, appended.next_offset),
            (*base, batch.next),
            "{what}: the retry of producer {id}"
        );
        let mut gap = batch.bytes.to_vec();
        let wrong = sent.next_sequence().wrapping_add(5) & i32::MAX;
        // Base sequence, outside of what `append` checks again.
        gap[53..57].copy_from_slice(&wrong.to_be_bytes());
        let refused = store.append(log, &gap, LeaderEpoch(0), now);
        assert_eq!(refused, Err(AppendError::OutOfOrderSequence), "{what}: a gap of producer {id}");
    }
    assert_eq!(log.ends(), before, "{what}: a retry changed the log");
}

/// The snapshot at the end of a log that was closed against a fold over all its batches.
pub fn check_snapshot(what: &str, ghost: &GhostLog, disk: &SimDisk, dir: &Path, start: Offset, end: Offset) {
    let path = dir.join(SegmentFileName::live(end, SegmentFile::Snapshot).to_string());
    let Some(bytes) = disk.mem().contents(&path) else {
        assert!(ghost.batches.is_empty(), "{what}: {} is missing", path.display());
        return;
    };
    let mut states = ProducerStates::new(ProducerLimits::default(), start);
    for batch in ghost.from(start) {
        let view = BatchView::frame(&batch.bytes).expect("a batch of ours");
        states.applied(view.header(), batch.base, Timestamp(0));
    }
    let folded = states.snapshot();
    let found = snapshot::read(&bytes).unwrap_or_else(|why| panic!("{what}: {}: {why}", path.display()));
    let expected = snapshot::read(&folded).expect("a snapshot of ours");
    for entry in expected {
        let mut same = found.iter().find(|f| f.producer_id == entry.producer_id).copied();
        if let Some(same) = same.as_mut().filter(|_| ghost.compacted) {
            // The newest record of the batch may be gone, and its time with it.
            same.timestamp = entry.timestamp;
        }
        let same = same.as_ref();
        assert_eq!(same, Some(entry), "{what}: producer {}", entry.producer_id.get());
    }
    // Those whose records were deleted may be remembered too.
    if start == Offset::ZERO && !ghost.compacted {
        assert_eq!(found.as_bytes(), expected.as_bytes(), "{what}: {}", path.display());
    }
}
