//! CreateTopics. 4 lets -1 stand for the broker's default counts, 5 answers with the topic's configuration, 6 may answer
//! that a quota throttles, 7 with the topic's id.
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

use super::{Handled, Step, propose};
use crate::{
    control::{Outcome, Proposal},
    quotas::mutations::mutate,
    request::Request,
    shard::Shard,
    wire::messages::create_topics::{
        CreatableTopicConfigs, CreatableTopicResult, CreatableTopicView, RequestView, Response,
    },
};

const THROTTLED_FROM: i16 = 6;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let topics: Vec<CreateTopic> = view.topics.iter().map(read).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let validate_only = view.validate_only;
    let quotas = shard.quotas().limits_of(&request);
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let partitions: Vec<usize> = topics.iter().map(|topic| new_partitions(&shard, topic)).collect();
        let strict = request.version >= THROTTLED_FROM;
        let granted = mutate(&shard, quotas.as_deref(), strict, &partitions).await;
        let topics = granted.only(topics);
        let count = topics.len();
        let created = match propose(&shard, &request, Proposal::CreateTopics { topics, validate_only }).await
        {
            Outcome::CreateTopics(created) => created,
            other => vec![Err(other.refusal()); count],
        };
        let created = granted.merge(created);
        let mut seen = BTreeSet::new();
        // A name that comes twice is refused, and that is told once.
        let once = names.iter().zip(&created).filter(|(name, _)| seen.insert(*name));
        let topics = once.map(|(name, created)| entry(name, created)).collect();
        granted.tell(Step::answer(&request, &Response { topics, ..Response::default() }))
    }))
}

/// What a topic counts for its client's quota: nothing if there is one already.
fn new_partitions<D: Disk>(shard: &Shard<D>, topic: &CreateTopic) -> usize {
    let count = match (topic.assignments.len(), topic.partitions) {
        (0, -1) => usize::try_from(shard.config().num_partitions).unwrap_or(0),
        (0, count) => usize::try_from(count).unwrap_or(0),
        (assigned, _) => assigned,
    };
    if shard.local_image().topic(&topic.name).is_some() { 0 } else { count }
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
