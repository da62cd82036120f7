//! CreatePartitions. 3 may answer that a quota throttles, which never happens here. Every topic asked for is in the
//! answer.

use std::{collections::BTreeSet, rc::Rc};

use coordinator::controller::CreatePartitions;
use engine::Disk;
use model::BrokerId;

use super::{Handled, Step, configs::outcome_of};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::create_partitions::{
        CreatePartitionsTopicResult, CreatePartitionsTopicView, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let topics: Vec<CreatePartitions> = view.topics.iter().map(read).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.topic.clone()).collect();
    let validate_only = view.validate_only;
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let created =
            match shard.control().propose(Proposal::CreatePartitions { topics, validate_only }).await {
                Outcome::CreatePartitions(created) => created,
                other => vec![Err(other.refusal()); names.len()],
            };
        let mut seen = BTreeSet::new();
        // A name that comes twice is refused, and that is told once.
        let once = names.iter().zip(&created).filter(|(name, _)| seen.insert(*name));
        let results = once.map(|(name, created)| {
            let (error_code, error_message) = outcome_of(created);
            CreatePartitionsTopicResult { name: name.into(), error_code, error_message }
        });
        let results = results.collect();
        Step::answer(&request, &Response { results, ..Response::default() })
    }))
}

fn read(topic: CreatePartitionsTopicView<'_>) -> CreatePartitions {
    let assignments = topic.assignments.map(|assignments| {
        assignments.iter().map(|assignment| assignment.broker_ids.iter().map(BrokerId).collect()).collect()
    });
    CreatePartitions { topic: topic.name.to_owned(), count: topic.count, assignments }
}
