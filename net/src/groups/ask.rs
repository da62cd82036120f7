//! What is asked of a coordinator, and what it answers: values that cross shards.

use coordinator::group::{
    Actions, Answer, CommittedOffset, ConsumerGroupDescription, ConsumerGroupHeartbeat, Context,
    GroupCoordinator, GroupDescription, Heartbeat, JoinGroup, LeaveGroup, OffsetCommit, OffsetReader,
    SyncGroup, Ticket,
};
use model::TopicPartition;

#[derive(Debug)]
pub struct GroupAsk {
    /// The partition of `__consumer_offsets`: see `coordinator_of`.
    pub coordinator: TopicPartition,
    pub request: GroupRequest,
}

#[derive(Debug)]
pub enum GroupRequest {
    Join(JoinGroup),
    Sync(SyncGroup),
    Heartbeat(Heartbeat),
    Leave(LeaveGroup),
    CommitOffsets(OffsetCommit),
    /// Everything the group has committed if nothing is named.
    FetchOffsets {
        group_id: String,
        reader: OffsetReader,
        wanted: Option<Vec<(String, i32)>>,
    },
    DeleteOffsets {
        group_id: String,
        partitions: Vec<(String, i32)>,
    },
    Describe(String),
    Delete(String),
    ConsumerHeartbeat(ConsumerGroupHeartbeat),
    DescribeConsumer(String),
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

/// Requests that change something, or wait.
pub(super) fn decide(
    coordinator: &mut GroupCoordinator,
    cx: &Context<'_>,
    ticket: Ticket,
    request: &GroupRequest,
) -> Actions {
    match request {
        GroupRequest::Join(request) => coordinator.join(cx, ticket, request),
        GroupRequest::Sync(request) => coordinator.sync(cx, ticket, request),
        GroupRequest::Heartbeat(request) => coordinator.heartbeat(cx, ticket, request),
        GroupRequest::Leave(request) => coordinator.leave(cx, ticket, request),
        GroupRequest::CommitOffsets(request) => coordinator.commit_offsets(cx, ticket, request),
        GroupRequest::DeleteOffsets { group_id, partitions } => {
            coordinator.delete_offsets(ticket, group_id, partitions)
        }
        GroupRequest::Delete(group_id) => coordinator.delete_group(ticket, group_id),
        GroupRequest::ConsumerHeartbeat(request) => coordinator.consumer_heartbeat(cx, ticket, request),
        GroupRequest::FetchOffsets { .. } | GroupRequest::Describe(_) | GroupRequest::DescribeConsumer(_) => {
            unreachable!("reads are answered at once and have no ticket")
        }
    }
}

pub(super) fn known_offsets(
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
