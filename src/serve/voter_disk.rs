//! What a voter keeps on this broker's disk beside the metadata log: its vote, snapshots of the metadata, and a note of how
//! much is committed.

use std::{io, rc::Rc, sync::Arc, time::Duration};

use coordinator::{
    Image,
    metadata::snapshot_file::{self, Snapshot},
    raft::{HardState, Position, Voters},
};
use engine::Disk;
use model::{Offset, Timestamp};
use quorum::{Consensus, Doing, Keep, NoSnapshot};

use super::{metadata_snapshot::Snapshots, quorum_state::QuorumState};

/// How old the note of what is committed may be.
const HINT_INTERVAL: Duration = Duration::from_secs(1);

pub struct VoterDisk {
    pub state: QuorumState,
    pub snapshots: Snapshots,
    pub cluster_id: String,
}

impl Keep for VoterDisk {
    fn save(&self, vote: HardState) -> Doing<'_, io::Result<()>> {
        let file = self.state.clone();
        Box::pin(rt::blocking(move || file.write(vote)))
    }

    fn write_snapshot(
        &self,
        image: Arc<Image>,
        voters: Voters,
        end: Position,
        now: Timestamp,
    ) -> Doing<'_, io::Result<()>> {
        let snapshots = self.snapshots.clone();
        Box::pin(rt::blocking_aside(move || {
            snapshots.write(end, &snapshot_file::encode(&image, &voters, end, now))
        }))
    }

    fn take_snapshot(&self, end: Position, bytes: Vec<u8>) -> Doing<'_, Result<Snapshot, NoSnapshot>> {
        let (snapshots, cluster_id) = (self.snapshots.clone(), self.cluster_id.clone());
        let taken = rt::blocking_aside(move || -> anyhow::Result<Snapshot> {
            let snapshot = snapshot_file::decode(&bytes, end, &cluster_id)?;
            snapshots.write(end, &bytes)?;
            Ok(snapshot)
        });
        Box::pin(async { Ok(taken.await?) })
    }
}

/// Notes from time to time what is committed, for ever. One task.
pub async fn run_hints<D: Disk>(consensus: Rc<Consensus<D>>, state: QuorumState) {
    let mut noted = Offset::NONE;
    loop {
        let applied = consensus.applied();
        if applied > noted {
            let file = state.clone();
            if let Err(error) = rt::blocking(move || file.write_committed(applied)).await {
                tracing::warn!(%error, "how much of the metadata is committed could not be noted");
            }
            noted = applied;
        }
        rt::timer::sleep(HINT_INTERVAL).await;
    }
}
