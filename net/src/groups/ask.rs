//! What is asked of a coordinator, and what it answers: values that cross shards.

use coordinator::group::{
    Actions, Answer, CommittedOffset, ConsumerGroupDescription, ConsumerGroupHeartbeat, Context,
    GroupCoordinator, GroupDescription, Heartbeat, JoinGroup, LeaveGroup, OffsetCommit, OffsetReader,
    SyncGroup, Ticket,
};
use model::{ErrorCode, TopicPartition};

#[derive(Debug)]
pub struct GroupAsk {
    /// The partition of `__consumer_offsets`: see `coordinator_of`.
    pub coordinator: TopicPartition,
    pub request: GroupRequest,
}

#[derive(Debug)]
pub enum GroupRequest {
    Command(GroupCommand),
    Query(GroupQuery),
}

/// Changes something, or waits.
#[derive(Debug)]
pub enum GroupCommand {
    Join(JoinGroup),
    Sync(SyncGroup),
    Heartbeat(Heartbeat),
    Leave(LeaveGroup),
    CommitOffsets(OffsetCommit),
    DeleteOffsets { group_id: String, partitions: Vec<(String, i32)> },
    Delete(String),
    ConsumerHeartbeat(ConsumerGroupHeartbeat),
}

/// Is answered at once, by what is known.
#[derive(Debug)]
pub enum GroupQuery {
    /// Everything the group has committed if nothing is named.
    FetchOffsets {
        group_id: String,
        reader: OffsetReader,
        wanted: Option<Vec<(String, i32)>>,
    },
    Describe(String),
    DescribeConsumer(String),
}

impl From<GroupCommand> for GroupRequest {
    fn from(command: GroupCommand) -> Self {
        Self::Command(command)
    }
}

impl From<GroupQuery> for GroupRequest {
    fn from(query: GroupQuery) -> Self {
        Self::Query(query)
    }
}

#[derive(Debug)]
pub enum GroupAnswer {
    Done(Answer),
    /// In the order asked.
    Offsets(Vec<KnownOffset>),
    Described(GroupDescription),
    /// None: there is no such group of the new protocol.
    DescribedConsumer(Option<ConsumerGroupDescription>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownOffset {
    pub topic: String,
    pub partition: i32,
    pub committed: Option<CommittedOffset>,
}

impl GroupCommand {
    pub(super) fn decide(
        &self,
        coordinator: &mut GroupCoordinator,
        cx: &Context<'_>,
        ticket: Ticket,
    ) -> Actions {
        match self {
            Self::Join(request) => coordinator.join(cx, ticket, request),
            Self::Sync(request) => coordinator.sync(cx, ticket, request),
            Self::Heartbeat(request) => coordinator.heartbeat(cx, ticket, request),
            Self::Leave(request) => coordinator.leave(cx, ticket, request),
            Self::CommitOffsets(request) => coordinator.commit_offsets(cx, ticket, request),
            Self::DeleteOffsets { group_id, partitions } => {
                coordinator.delete_offsets(ticket, group_id, partitions)
            }
            Self::Delete(group_id) => coordinator.delete_group(ticket, group_id),
            Self::ConsumerHeartbeat(request) => coordinator.consumer_heartbeat(cx, ticket, request),
        }
    }
}

impl GroupQuery {
    pub(super) fn answer(&self, coordinator: &GroupCoordinator) -> Result<GroupAnswer, ErrorCode> {
        match self {
            Self::FetchOffsets { group_id, reader, wanted } => {
                coordinator.admit_fetch(group_id, reader)?;
                Ok(GroupAnswer::Offsets(known_offsets(coordinator, group_id, wanted.as_deref())))
            }
            Self::Describe(group_id) => Ok(GroupAnswer::Described(coordinator.describe(group_id))),
            Self::DescribeConsumer(group_id) => {
                Ok(GroupAnswer::DescribedConsumer(coordinator.describe_consumer(group_id)))
            }
        }
    }
}

fn known_offsets(
    coordinator: &GroupCoordinator,
    group_id: &str,
    wanted: Option<&[(String, i32)]>,
) -> Vec<KnownOffset> {
    let known =
        |topic: &str, partition, committed| KnownOffset { topic: topic.to_owned(), partition, committed };
    match wanted {
        Some(wanted) => wanted
            .iter()
            .map(|(topic, p)| known(topic, *p, coordinator.committed(group_id, topic, *p).cloned()))
            .collect(),
        None => coordinator
            .all_committed(group_id)
            .map(|(topic, p, committed)| known(topic, p, Some(committed.clone())))
            .collect(),
    }
}
