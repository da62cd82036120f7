//! What several handlers ask of topics.

use std::sync::Arc;

use super::Step;
pub(super) use coordinator::controller::is_internal;
use coordinator::{
    Image, Refusal,
    controller::names::check_name,
    metadata::{Partition, Topic},
};
use model::{ErrorCode, PartitionIndex, TopicId, TopicPartition};

pub(super) fn is_legal_name(name: &str) -> bool {
    check_name(name).is_ok()
}

/// A topic as a request names it: by name in old versions, by id in new ones.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named<'a> {
    Name(&'a str),
    Id(TopicId),
}

impl Named<'_> {
    pub(super) fn find(self, image: &Image) -> Result<&Arc<Topic>, ErrorCode> {
        match self {
            Self::Name(name) => image.topic(name).ok_or(ErrorCode::UnknownTopicOrPartition),
            Self::Id(id) => image.topic_by_id(id).ok_or(ErrorCode::UnknownTopicId),
        }
    }
}

pub(super) fn find_partition(topic: &Topic, index: i32) -> Result<(TopicPartition, &Partition), ErrorCode> {
    let index = PartitionIndex(index);
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok((TopicPartition::new(topic.id, index), partition))
}

/// Partitions that one request may name. Many more are nothing a client has use for, and would keep the shard from others.
pub(super) const PARTITIONS_PER_REQUEST_MAX: usize = 200_000;

/// By topic, how many partitions are named: if that is too many in all, what becomes of the request.
pub(super) fn too_many(counts: impl IntoIterator<Item = usize>) -> Option<Step> {
    let count = counts.into_iter().fold(0, usize::saturating_add);
    (count > PARTITIONS_PER_REQUEST_MAX).then(|| Step::Close(format!("a request for {count} partitions")))
}

/// Partitions that one request may change: the records that change them are one unit, which must not be too large.
pub(super) const CHANGES_PER_REQUEST_MAX: usize = 10_000;

pub(super) fn refuse_too_many_changes(count: usize) -> Option<Refusal> {
    let sentence =
        || format!("The request would change {count} partitions; one may change {CHANGES_PER_REQUEST_MAX}.");
    (count > CHANGES_PER_REQUEST_MAX).then(|| Refusal::new(ErrorCode::PolicyViolation, sentence()))
}

/// For requests that name topics and partitions by name only.
pub(super) fn find_by_name(image: &Image, topic: &str, index: i32) -> Result<TopicPartition, ErrorCode> {
    let topic = Named::Name(topic).find(image)?;
    Ok(find_partition(topic, index)?.0)
}
