//! The group coordinator: consumer groups, who is in them, what each member reads, and the offsets they commit.
//!
//! One [`GroupCoordinator`] is the state of one partition of `__consumer_offsets`, on the shard that leads it. It is a
//! value: requests, time and randomness go in, [`Actions`] come out. It waits for nothing and writes nothing; whoever
//! drives it appends the records, answers the tickets, and calls [`GroupCoordinator::tick`] when
//! [`GroupCoordinator::next_deadline`] has come.

mod actions;
mod answer;
mod assignor;
mod classic;
mod commits;
mod config;
mod consumer;
mod coordinator;
mod describe;
mod expiry;
mod figures;
mod kind;
mod offsets;
mod protocol;
pub mod record;
mod replay;
mod request;
mod settling;

pub use actions::{Actions, Append, AppendId, Context, Ticket, TopicFacts, Topics};
pub use answer::{
    Answer, ConsumerGroupHeartbeatAnswer, JoinGroupAnswer, JoinedMember, LeaveGroupAnswer, LeftMember,
    OffsetCommitAnswer, OffsetDeleteAnswer, SyncGroupAnswer,
};
pub use classic::ClassicState;
pub use config::{GroupConfig, MigrationPolicy};
pub use consumer::{ConsumerGroupState, MemberState};
pub use coordinator::GroupCoordinator;
pub use describe::{
    ConsumerGroupDescription, ConsumerMemberDescription, GroupDescription, ListedGroup, MemberDescription,
};
pub use offsets::CommittedOffset;
pub use record::{BadRecord, GroupRecord};
pub use replay::Replay;
pub use request::{
    ConsumerGroupHeartbeat, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, OffsetCommit, OffsetReader,
    OffsetToCommit, SyncGroup,
};

#[cfg(test)]
mod tests;
