//! What nodes say to each other. Any message may be lost, doubled, late or overtaken; none may do harm then.

use model::{BrokerId, LeaderEpoch, Offset};

use super::log::{Entry, Position};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub from: BrokerId,
    pub to: BrokerId,
    /// The sender's: who has an older one learns from it.
    pub epoch: LeaderEpoch,
    pub body: Body,
}

/// Counts the leader's rounds of asking whether it still leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Round(pub u64);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// Would you vote for me in the next epoch? Nobody's state changes by it (Raft thesis, section 9.6).
    PreVote {
        end: Position,
    },
    /// To a sender that may have gone on since: `epoch` is the one that it was in.
    PreVoteAnswer {
        epoch: LeaderEpoch,
        granted: bool,
    },
    /// Vote for me in my epoch. `transfer`: the leader itself wants it, so nobody clings to that one.
    Vote {
        end: Position,
        transfer: bool,
    },
    VoteAnswer {
        granted: bool,
    },
    /// Entries that follow a position; without any it says that the leader is there.
    Append {
        before: Position,
        entries: Vec<Entry>,
        high_watermark: Offset,
        round: Round,
    },
    /// Equal to the leader's log, and durable, up to `matched`.
    Appended {
        matched: Offset,
        round: Round,
    },
    /// The entries asked to follow at `before`, and that position is not there. `agree`: the last position that may be.
    Diverged {
        before: Offset,
        agree: Position,
        round: Round,
    },
    /// The entries that follow are no more: take my snapshot that ends at this position, or a later one.
    Snapshot {
        id: Position,
        round: Round,
    },
    /// The snapshot is on its way.
    Installing {
        round: Round,
    },
    /// A broker that is no voter would like to be sent the log.
    Observe,
    /// Not by me; by this one, if by anyone.
    NotLeader {
        leader: Option<BrokerId>,
    },
    /// The receiver may start an election at once: it has everything (Raft thesis, section 3.10).
    TimeoutNow,
}

impl Body {
    /// Whether a node of that epoch could mean it. What is not is passed over.
    pub(super) fn is_sound(&self, epoch: LeaderEpoch) -> bool {
        let Self::Append { before, entries, high_watermark, .. } = self else { return true };
        let mut end = *before;
        let follows = entries.iter().all(|entry| {
            let fits = entry.base == end.offset && entry.epoch >= end.epoch && entry.next() > entry.base;
            end = entry.end();
            fits
        });
        follows && before.offset >= Offset::ZERO && *high_watermark >= Offset::ZERO && end.epoch <= epoch
    }
}
