//! A coordinator's state is what its partition of `__consumer_offsets` says: the records are replayed from the log's start
//! to its end before the first request. Until then clients are told to come again.

use std::rc::Rc;

use coordinator::group::{GroupCoordinator, GroupRecord, Replay};
use engine::{Disk, compression, records::EndMarker};
use model::{BatchView, Offset, batch::record::Records};
use replication::{Isolation, Partition, ReadFrom, Serves};

use super::{Groups, Hosted};

/// Read at once; the log is compacted, so that there is little of it.
const READ_BYTES: usize = 1 << 20;
/// A batch that another broker compressed may unfold to this much.
const UNFOLDED_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("{0}")]
    Read(#[from] replication::PartitionError),
    #[error("offset {offset}: {why}")]
    Batch { offset: Offset, why: String },
}

impl<D: Disk> Groups<D> {
    pub(crate) async fn load(self: Rc<Self>, partition: Rc<Partition<D>>) {
        let id = partition.id();
        let begun = self.clock.now();
        let epoch = partition.leader_epoch();
        let loaded = self.replay(&partition).await;
        // The metadata may have taken the partition away meanwhile, and given it back.
        if self.epochs.borrow().get(&id) != Some(&epoch) {
            return;
        }
        let vanished = match self.coordinators.borrow_mut().get_mut(&id) {
            Some(Hosted::Loading { vanished }) => std::mem::take(vanished),
            _ => return,
        };
        match loaded {
            Ok(coordinator) => {
                let took = self.clock.now().since(begun);
                tracing::debug!(partition = %id.partition, groups = coordinator.group_count(), ?took, "group offsets loaded");
                self.ready(id, coordinator);
                self.delete_topics(id, &vanished);
            }
            Err(why) => {
                tracing::error!(
                    partition = %id.partition, %why,
                    "the offsets log cannot be read, so its groups have no coordinator; restore the segment from a backup"
                );
                self.coordinators.borrow_mut().insert(id, Hosted::Lost);
            }
        }
    }

    async fn replay(&self, partition: &Partition<D>) -> Result<GroupCoordinator, LoadError> {
        let mut replay = Replay::new(self.config.borrow().clone());
        let (end, mut next) = (partition.log().ends().end, partition.watermarks().log_start);
        while next < end {
            // What earlier leaders left is committed with what this one writes.
            let isolation = Isolation::All;
            let serves = Serves::Leader;
            let from =
                ReadFrom { offset: next, bytes_max: READ_BYTES, at_least_one: true, isolation, serves };
            let read = partition.read(&self.store, from).await?;
            let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            for batch in BatchView::check_all(&bytes) {
                let bad = |why: String| LoadError::Batch { offset: next, why };
                let batch = batch.map_err(|e| bad(e.to_string()))?;
                replay_batch(&mut replay, &batch).map_err(bad)?;
                next = batch.header().next_offset();
            }
            if bytes.is_empty() {
                return Err(LoadError::Batch {
                    offset: next,
                    why: format!("nothing is there, but the log ends at {end}"),
                });
            }
            // Other partitions and other groups are served meanwhile.
            rt::yield_if_needed().await;
        }
        Ok(replay.done())
    }
}

/// Compaction may leave a batch without records, and holes between batches.
fn replay_batch(replay: &mut Replay, batch: &BatchView<'_>) -> Result<(), String> {
    let header = batch.header();
    if header.is_control() {
        let marker = EndMarker::read(header, batch.payload()).map_err(|e| e.to_string())?;
        marker.inspect(|marker| replay.end_transaction(header.producer_id(), marker.committed));
        return Ok(());
    }
    let codec = header.compression().map_err(|e| e.to_string())?;
    let payload =
        compression::decompress(codec, batch.payload(), UNFOLDED_BYTES_MAX).map_err(|e| e.to_string())?;
    for record in Records::new(&payload, header.record_count()) {
        let record = record.map_err(|e| e.to_string())?;
        let Some(key) = record.key else { continue };
        match GroupRecord::decode(key, record.value) {
            Ok(Some(record)) if header.is_transactional() => {
                replay.transactional(header.producer_id(), record);
            }
            Ok(Some(record)) => replay.record(record),
            // Of a kind that came later than this broker.
            Ok(None) => {}
            Err(bad) => return Err(bad.to_string()),
        }
    }
    Ok(())
}
