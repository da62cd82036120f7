//! What the edge has to do.

use model::{BrokerId, LeaderEpoch, Offset};

use super::{
    hard_state::HardState,
    log::{Entry, PersistId, Position},
    message::Message,
};

/// A question whether this node leads, at some moment after it was asked. The edge makes them up, never one twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReadId(pub u64);

/// In the order in which they must be done. Appends and truncations need only be *begun* in this order, the hard
/// state must be durable before the next action: a vote that is told and then forgotten elects two leaders.
#[must_use]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Durable before anything after it.
    Save(HardState),
    /// To the end of the log on the disk; `Node::persisted` when it is durable.
    Append {
        id: PersistId,
        entries: Vec<Entry>,
    },
    /// Everything from this offset on goes from the log on the disk.
    Truncate(Offset),
    Send(Message),
    /// Everything before this offset is committed, and durable here: it may be applied.
    Commit(Offset),
    /// This node leads now. What it proposed before, in another epoch, may or may not have been committed.
    Lead(LeaderEpoch),
    /// Another one leads, or nobody that is known.
    Follow {
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
    },
    /// A question that `Node::read` took: this node led when it was asked, and this was committed by then at least.
    ReadReady {
        id: ReadId,
        high_watermark: Offset,
    },
    /// This node leads no more, so it cannot tell.
    ReadFailed(ReadId),
    /// That node says what cannot be, if this one remembers right: another leads in this node's own epoch, or what is
    /// committed here is something else there. It was passed over; one of the two has lost or forged what it had.
    Contradiction {
        from: BrokerId,
        what: &'static str,
    },
    /// Ask that node for its snapshot, whole; `Node::installed` when it and its position are durable. Said again and
    /// again until then, so that a failed try may be given up.
    FetchSnapshot {
        from: BrokerId,
        id: Position,
    },
}
