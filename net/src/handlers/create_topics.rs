//! CreateTopics. 4 lets -1 stand for the broker's default counts, 5 answers with the topic's configuration, 7 with its
//! id.
//!
//! The rules are the controller's. The answer leaves when the topic's partitions are open on their shards, so
//! `timeout_ms` is not needed: nothing is left to wait for.

use std::{collections::BTreeSet, rc::Rc};

use coordinator::{
    Refusal,
    config::ConfigEntry,
    controller::{CreateTopic, CreatedTopic},
};
use engine::Disk;
use model::{BrokerId, PartitionIndex};

use super::{Handled, Step};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::create_topics::{
        CreatableTopicConfigs, CreatableTopicResult, CreatableTopicView, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let topics: Vec<CreateTopic> = view.topics.iter().map(read).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let validate_only = view.validate_only;
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let created = match shard.control().propose(Proposal::CreateTopics { topics, validate_only }).await {
            Outcome::CreateTopics(created) => created,
            other => vec![Err(other.refusal()); names.len()],
        };
        let mut seen = BTreeSet::new();
        // A name that comes twice is refused, and that is told once.
        let once = names.iter().zip(&created).filter(|(name, _)| seen.insert(*name));
        let topics = once.map(|(name, created)| entry(name, created)).collect();
        Step::answer(&request, &Response { topics, ..Response::default() })
    }))
}

fn read(topic: CreatableTopicView<'_>) -> CreateTopic {
    let brokers = |ids: crate::wire::Array<'_, i32>| ids.iter().map(BrokerId).collect();
    CreateTopic {
        name: topic.name.to_owned(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|a| (PartitionIndex(a.partition_index), brokers(a.broker_ids)))
            .collect(),
        configs: topic.configs.iter().map(|c| (c.name.to_owned(), c.value.map(str::to_owned))).collect(),
    }
}

fn entry<'a>(name: &'a str, outcome: &'a Result<CreatedTopic, Refusal>) -> CreatableTopicResult<'a> {
    match outcome {
        Ok(topic) => CreatableTopicResult {
            name: name.into(),
            topic_id: topic.id.0,
            num_partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            configs: Some(topic.configs.iter().map(config).collect()),
            ..Default::default()
        },
        Err(refusal) => CreatableTopicResult {
            name: name.into(),
            error_code: refusal.code.code(),
            error_message: Some((&*refusal.message).into()),
            configs: Some(Vec::new()),
            ..Default::default()
        },
    }
}

fn config(entry: &ConfigEntry) -> CreatableTopicConfigs<'_> {
    CreatableTopicConfigs {
        name: entry.name.into(),
        value: entry.value.as_deref().map(Into::into),
        read_only: entry.read_only,
        config_source: entry.source as i8,
        is_sensitive: entry.sensitive,
    }
}
