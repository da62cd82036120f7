//! CreatePartitions. 3 may answer that a quota throttles. Every topic asked for is in the answer.

use std::{collections::BTreeSet, rc::Rc};

use coordinator::{Refusal, controller::CreatePartitions};
use engine::Disk;
use model::BrokerId;

use super::{Handled, Step, configs::outcome_of, propose};
use crate::{
    control::{Outcome, Proposal},
    quotas::mutations::mutate,
    request::Request,
    shard::Shard,
    wire::messages::create_partitions::{
        CreatePartitionsTopicResult, CreatePartitionsTopicView, RequestView, Response,
    },
};

const THROTTLED_FROM: i16 = 3;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let topics: Vec<CreatePartitions> = view.topics.iter().map(read).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.topic.clone()).collect();
    let validate_only = view.validate_only;
    let quotas = shard.quotas().limits_of(&request);
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let partitions: Vec<usize> = topics.iter().map(|topic| new_partitions(&shard, topic)).collect();
        let strict = request.version >= THROTTLED_FROM;
        let granted = mutate(&shard, quotas.as_deref(), strict, &partitions).await;
        let topics = granted.only(topics);
        let count = topics.len();
        let created =
            match propose(&shard, &request, Proposal::CreatePartitions { topics, validate_only }).await {
                Outcome::CreatePartitions(created) => created,
                other => vec![Err(other.refusal()); count],
            };
        let created = granted.merge(created);
        let mut seen = BTreeSet::new();
        // A name that comes twice is refused, and that is told once.
        let once = names.iter().zip(&created).filter(|(name, _)| seen.insert(*name));
        let results = once.map(|(name, created)| entry(name, created)).collect();
        granted.tell(Step::answer(&request, &Response { results, ..Response::default() }))
    }))
}

/// What a topic counts for its client's quota: by how much it grows.
fn new_partitions<D: Disk>(shard: &Shard<D>, asked: &CreatePartitions) -> usize {
    let before = shard.local_image().topic(&asked.topic).map(|topic| topic.partitions.len());
    let count = usize::try_from(asked.count).unwrap_or(0);
    before.map_or(0, |before| count.saturating_sub(before))
}

fn entry<'a>(name: &'a str, created: &'a Result<(), Refusal>) -> CreatePartitionsTopicResult<'a> {
    let (error_code, error_message) = outcome_of(created);
    CreatePartitionsTopicResult { name: name.into(), error_code, error_message }
}

fn read(topic: CreatePartitionsTopicView<'_>) -> CreatePartitions {
    let assignments = topic.assignments.map(|assignments| {
        assignments.iter().map(|assignment| assignment.broker_ids.iter().map(BrokerId).collect()).collect()
    });
    CreatePartitions { topic: topic.name.to_owned(), count: topic.count, assignments }
}
