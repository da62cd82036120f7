//! Topics are created and deleted.

use std::collections::BTreeMap;

use model::{BrokerId, PartitionIndex, TopicId};

use super::{Controller, Decision, Refusal};
use crate::config::ConfigEntry;

/// One topic of a CreateTopics request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateTopic {
    pub name: String,
    pub placement: Placement,
    /// Null values are as good as absent keys.
    pub configs: Vec<(String, Option<String>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placement {
    /// -1 asks for the broker's default.
    Counts { partitions: i32, replication_factor: i16 },
    /// Replicas of each partition, the preferred leader first.
    Manual(BTreeMap<PartitionIndex, Vec<BrokerId>>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    pub name: String,
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    pub configs: Vec<ConfigEntry>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedTopic {
    pub name: String,
    pub id: TopicId,
}

impl Controller<'_> {
    /// One result a topic, in the order asked. `new_id` gives random 128-bit values. With `validate_only` the answers
    /// are the same and there are no records.
    pub fn create_topics(
        &self,
        topics: &[CreateTopic],
        validate_only: bool,
        new_id: &mut dyn FnMut() -> TopicId,
    ) -> Decision<Vec<Result<CreatedTopic, Refusal>>> {
        let _ = (topics, validate_only, new_id);
        todo!()
    }

    /// What Metadata does for a topic that is not there: a topic with the broker's defaults.
    pub fn auto_create(
        &self,
        name: &str,
        new_id: &mut dyn FnMut() -> TopicId,
    ) -> Decision<Result<CreatedTopic, Refusal>> {
        let _ = (name, new_id);
        todo!()
    }

    pub fn delete_topics(&self, topics: &[TopicRef]) -> Decision<Vec<Result<DeletedTopic, Refusal>>> {
        let _ = topics;
        todo!()
    }
}
