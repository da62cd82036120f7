//! What several handlers ask of topics.

use std::sync::Arc;

use coordinator::{
    Image,
    metadata::{Partition, Topic},
};
use model::{ErrorCode, PartitionIndex, TopicId, TopicPartition};

/// Kafka's own topics: clients may read and describe them, not produce to them.
pub(super) fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// 1 to 249 of `[a-zA-Z0-9._-]`, but not a path.
pub(super) fn is_legal_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && name != "." && name != ".." && name.bytes().all(legal)
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

/// For requests that name topics and partitions by name only.
pub(super) fn find_by_name(image: &Image, topic: &str, index: i32) -> Result<TopicPartition, ErrorCode> {
    let topic = Named::Name(topic).find(image)?;
    Ok(find_partition(topic, index)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_are_those_of_kafka() {
        let long = "x".repeat(250);
        for (name, good) in
            [("a", true), ("a.b_c-D9", true), ("", false), (".", false), ("..", false), ("...", true), ("a/b", false), (&long, false), (&long[1..], true)]
        {
            assert_eq!(is_legal_name(name), good, "{name}");
        }
    }
}
