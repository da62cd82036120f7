//! AlterPartitionReassignments. 1 lets a client forbid that the number of replicas changes.
//!
//! The answer says that a move has begun; `ListPartitionReassignments` says when it is over.

use std::rc::Rc;

use coordinator::Refusal;
use engine::Disk;
use model::{BrokerId, PartitionIndex};

use super::{
    Handled, Step,
    configs::outcome_of,
    propose,
    topics::{refuse_too_many_changes, too_many},
};
use crate::{
    control::{Outcome, Proposal, Reassign},
    request::Request,
    shard::Shard,
    wire::messages::alter_partition_reassignments::{
        ReassignablePartitionResponse, ReassignableTopicResponse, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let partitions = read(&view);
    let allow_replication_factor_change = view.allow_replication_factor_change;
    if let Some(refusal) = refuse_too_many_changes(partitions.len()) {
        return Ok(refused(&request, allow_replication_factor_change, refusal));
    }
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let proposal = Proposal::Reassign { partitions, allow_replication_factor_change };
        let outcomes = match propose(&shard, &request, proposal).await {
            Outcome::Reassign(outcomes) => outcomes,
            other => return refused(&request, allow_replication_factor_change, other.refusal()),
        };
        let view = RequestView::decode(request.body(), request.version).expect("decoded before");
        Step::answer(&request, &respond(&view, &outcomes))
    }))
}

fn read(view: &RequestView<'_>) -> Vec<Reassign> {
    let mut partitions = Vec::new();
    for topic in view.topics {
        partitions.extend(topic.partitions.iter().map(|partition| Reassign {
            topic: topic.name.to_owned(),
            partition: PartitionIndex(partition.partition_index),
            replicas: partition.replicas.map(|replicas| replicas.iter().map(BrokerId).collect()),
        }));
    }
    partitions
}

/// `outcomes` in the order of the request.
fn respond<'a>(view: &RequestView<'a>, outcomes: &'a [Result<(), Refusal>]) -> Response<'a> {
    let mut outcomes = outcomes.iter();
    let mut responses = Vec::with_capacity(view.topics.len());
    for topic in view.topics {
        let asked = topic.partitions.iter().zip(&mut outcomes);
        let partitions = asked.map(|(partition, outcome)| {
            let (error_code, error_message) = outcome_of(outcome);
            let partition_index = partition.partition_index;
            ReassignablePartitionResponse { partition_index, error_code, error_message }
        });
        responses
            .push(ReassignableTopicResponse { name: topic.name.into(), partitions: partitions.collect() });
    }
    let allow_replication_factor_change = view.allow_replication_factor_change;
    Response { allow_replication_factor_change, responses, ..Response::default() }
}

/// The request as a whole.
fn refused(request: &Request, allow_replication_factor_change: bool, refusal: Refusal) -> Step {
    let body = Response {
        allow_replication_factor_change,
        error_code: refusal.code.code(),
        error_message: Some(refusal.message.into()),
        ..Response::default()
    };
    Step::answer(request, &body)
}
