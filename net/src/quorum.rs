//! The quorum that keeps the metadata log, as values: what its leader knows of everybody in it, and how it is to change.

use std::time::Duration;

use model::{BrokerId, LeaderEpoch, Offset, Timestamp};

/// As the leader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuorumState {
    pub leader: BrokerId,
    pub epoch: LeaderEpoch,
    pub high_watermark: Offset,
    /// In order of their ids; the leader is among them unless it is leaving.
    pub voters: Vec<QuorumReplica>,
    /// In order of their ids.
    pub observers: Vec<QuorumReplica>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuorumReplica {
    pub id: BrokerId,
    /// Durable there; `Offset::NONE`: this leader has not heard of it yet.
    pub end: Offset,
    /// When it last said how far it is; None: never to this leader.
    pub last_fetch: Option<Timestamp>,
    /// When it last had everything.
    pub last_caught_up: Option<Timestamp>,
}

/// One voter more or less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChangeVoters {
    pub change: VoterChange,
    pub id: BrokerId,
    /// Of the voter's data; None: whichever it has.
    pub directory_id: Option<[u8; 16]>,
    /// How long it may take.
    pub timeout: Duration,
    /// To be answered once it is committed; or else as soon as it is written.
    pub until_committed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VoterChange {
    Add,
    Remove,
}
