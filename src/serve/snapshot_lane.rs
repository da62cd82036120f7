//! A snapshot of the metadata from one broker to another, in pieces.
//!
//! ```text
//!   asks: an empty frame
//!   gets: end offset 8 | epoch 4 | bytes in all 8, then pieces of up to 1 MiB; or the end of the lane, if there is none
//! ```

use std::{fs, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use coordinator::raft::Position;
use model::{BrokerId, LeaderEpoch, Offset};
use net::control::CONTROL_SHARD;
use replication::transport::Lane;

use super::{
    metadata_snapshot::Snapshots,
    peers::{Peers, Purpose},
};

const PIECE_BYTES: usize = 1 << 20;
/// Far more than the metadata of a cluster with as many partitions as there may be.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 30;
const HEAD_BYTES: usize = 20;
/// The other side may hang on its disk.
const PIECE_LIMIT: Duration = Duration::from_secs(30);

/// The latest that broker has.
pub async fn fetch(peers: &Peers, from: BrokerId) -> anyhow::Result<(Position, Vec<u8>)> {
    let mut lane = peers.open(from, CONTROL_SHARD, Purpose::Snapshot).await?;
    lane.sender.send(&[]).await?;
    let head = piece(&mut lane, HEAD_BYTES).await?.context("it has no snapshot")?;
    let (end, bytes_in_all) = read_head(&head).context("the head of a snapshot does not parse")?;
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < bytes_in_all {
        let piece = piece(&mut lane, PIECE_BYTES).await?.context("the snapshot broke off")?;
        if piece.is_empty() || (bytes.len() + piece.len()) as u64 > bytes_in_all {
            bail!("the pieces of the snapshot are not what its head says");
        }
        bytes.extend_from_slice(&piece);
    }
    Ok((end, bytes))
}

async fn piece(lane: &mut Lane, bytes_max: usize) -> anyhow::Result<Option<Bytes>> {
    let received = rt::timer::timeout(PIECE_LIMIT, lane.receiver.receive(bytes_max)).await;
    Ok(received.context("nothing more of the snapshot comes")??)
}

pub async fn serve(snapshots: Snapshots, mut lane: Lane) -> anyhow::Result<()> {
    lane.receiver.receive(0).await?;
    let read = rt::blocking(move || -> std::io::Result<_> {
        match snapshots.latest()? {
            Some((end, path)) => Ok(Some((end, fs::read(path)?))),
            None => Ok(None),
        }
    });
    let Some((end, bytes)) = read.await? else {
        lane.sender.finish();
        return Ok(());
    };
    let head =
        [&end.offset.0.to_be_bytes()[..], &end.epoch.0.to_be_bytes(), &(bytes.len() as u64).to_be_bytes()]
            .concat();
    lane.sender.send(&[&head]).await?;
    for piece in bytes.chunks(PIECE_BYTES) {
        lane.sender.send(&[piece]).await?;
        rt::yield_if_needed().await;
    }
    lane.sender.finish();
    // The other side has it all once it ends the lane too.
    let _ = lane.receiver.receive(0).await;
    Ok(())
}

fn read_head(head: &[u8]) -> Option<(Position, u64)> {
    let (offset, rest) = head.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let bytes = u64::from_be_bytes(*rest.first_chunk()?);
    let (offset, epoch) = (Offset(i64::from_be_bytes(*offset)), LeaderEpoch(i32::from_be_bytes(*epoch)));
    let sound = offset > Offset::ZERO && epoch.0 >= 0 && bytes <= SNAPSHOT_BYTES_MAX;
    sound.then_some((Position { offset, epoch }, bytes))
}
