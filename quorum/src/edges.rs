//! What the consensus asks of whoever runs it.

use std::{error::Error, future::Future, io, pin::Pin, sync::Arc};

use coordinator::{
    Image,
    metadata::snapshot_file::Snapshot,
    raft::{Entry, HardState, Node, Position, Voters},
};
use model::{BrokerId, Offset, Timestamp};
use replication::{stream::NoLane, transport::Lane};

pub type Doing<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Why there is no snapshot, for a sentence.
pub type NoSnapshot = Box<dyn Error>;

/// What a voter keeps on its disk beside the metadata log.
pub trait Keep {
    /// Durable on return.
    fn save(&self, vote: HardState) -> Doing<'_, io::Result<()>>;

    /// Of everything below `end`. Durable on return; older ones are gone then.
    fn write_snapshot(
        &self,
        image: Arc<Image>,
        voters: Voters,
        end: Position,
        now: Timestamp,
    ) -> Doing<'_, io::Result<()>>;

    /// As `write_snapshot`, of what another broker wrote, if it is one.
    fn take_snapshot(&self, end: Position, bytes: Vec<u8>) -> Doing<'_, Result<Snapshot, NoSnapshot>>;
}

/// The way to other brokers.
pub trait Reach {
    /// A lane for messages of the consensus, or why there is none now.
    fn lane(&self, to: BrokerId) -> Doing<'_, Result<Lane, NoLane>>;

    /// That broker's snapshot: where it ends, and its bytes.
    fn snapshot(&self, of: BrokerId) -> Doing<'_, Result<(Position, Vec<u8>), NoSnapshot>>;
}

/// Hears what a node does just when it does it, and may judge it.
pub trait Watch {
    /// It was elected.
    fn leads(&self, _: &Node) {}

    /// These are about to stand in its log.
    fn appends(&self, _: &Node, _: &[Entry]) {}

    /// Everything between the two is committed.
    fn commits(&self, _: &Node, _from: Offset, _to: Offset) {}

    /// It has folded everything below `end` to that image.
    fn knows(&self, _: &Node, _end: Offset, _: &Image) {}

    /// Its log is cut there.
    fn cuts(&self, _: &Node, _to: Offset) {}

    /// Its log begins there from now on, behind a snapshot of its own.
    fn shortens(&self, _: &Node, _to: Offset) {}

    /// Its log begins anew there, behind another broker's snapshot.
    fn begins_anew(&self, _: &Node, _at: Offset) {}

    /// What another one says cannot be true if what this one knows is.
    fn contradicts(&self, _: &Node, _other: BrokerId, _what: &str) {}
}

/// Nobody.
#[derive(Debug)]
pub struct Unwatched;

impl Watch for Unwatched {}
