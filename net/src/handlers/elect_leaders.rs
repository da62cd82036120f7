//! ElectLeaders. 1 tells the preferred leader (0) from an unclean one (1) and adds an error for the whole answer.
//!
//! Null asks for all partitions that need an election, so those that need none are left out of the answer and their
//! topics stay, as in Apache Kafka. Of very many only so many are tried as one request may change; the next one finds
//! the others. Nothing waits for the leaders to serve.

use std::rc::Rc;

use coordinator::{Image, Refusal, controller::Election};
use engine::Disk;
use model::{ErrorCode, PartitionIndex};

use super::{
    Handled, Step,
    configs::outcome_of,
    propose,
    topics::{CHANGES_PER_REQUEST_MAX, refuse_too_many_changes, too_many},
};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::elect_leaders::{PartitionResult, ReplicaElectionResult, RequestView, Response},
};

/// By topic, the partitions that are to have an election.
type Asked = Vec<(String, Vec<i32>)>;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let named = view.topic_partitions.into_iter().flatten();
    if let Some(refused) = too_many(named.map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let election = Election::from_code(view.election_type);
    let asked: Asked = match view.topic_partitions {
        Some(topics) => {
            topics.iter().map(|topic| (topic.topic.to_owned(), topic.partitions.iter().collect())).collect()
        }
        None => wanting(&shard.local_image(), election),
    };
    let count = asked.iter().map(|(_, partitions)| partitions.len()).sum();
    let Some(election) = election else {
        let sentence = "An election is preferred (0) or unclean (1).";
        return Ok(refused(&request, &asked, &Refusal::new(ErrorCode::InvalidRequest, sentence)));
    };
    if let Some(refusal) = refuse_too_many_changes(count) {
        return Ok(refused(&request, &asked, &refusal));
    }
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let named = |(topic, partitions): &(String, Vec<i32>)| {
            let topic = topic.clone();
            let named = |&index: &i32| (topic.clone(), PartitionIndex(index));
            partitions.iter().map(named).collect::<Vec<_>>()
        };
        let partitions = asked.iter().flat_map(named).collect();
        match propose(&shard, &request, Proposal::Elect { partitions, election }).await {
            Outcome::Elect(outcomes) => respond(&request, ErrorCode::None, &asked, &outcomes),
            other => refused(&request, &asked, &other.refusal()),
        }
    }))
}

fn wanting(image: &Image, election: Option<Election>) -> Asked {
    let mut left = CHANGES_PER_REQUEST_MAX;
    let mut asked = Asked::new();
    for topic in image.topics() {
        let indexed = (0i32..).zip(&topic.partitions);
        let wants = indexed.filter(|(_, partition)| election.is_some_and(|e| e.is_needed(partition)));
        let indexes: Vec<i32> = wants.map(|(index, _)| index).take(left).collect();
        left -= indexes.len();
        asked.push((topic.name.to_string(), indexes));
    }
    asked
}

/// `outcomes` in the order asked.
fn respond(request: &Request, code: ErrorCode, asked: &Asked, outcomes: &[Result<(), Refusal>]) -> Step {
    let mut outcomes = outcomes.iter();
    let mut replica_election_results = Vec::with_capacity(asked.len());
    for (topic, partitions) in asked {
        let decided = partitions.iter().zip(&mut outcomes);
        let partition_result = decided.map(|(&partition_id, outcome)| {
            let (error_code, error_message) = outcome_of(outcome);
            PartitionResult { partition_id, error_code, error_message }
        });
        let partition_result = partition_result.collect();
        replica_election_results.push(ReplicaElectionResult { topic: topic.into(), partition_result });
    }
    let error_code = code.code();
    Step::answer(request, &Response { error_code, replica_election_results, ..Response::default() })
}

/// As a whole, and for each partition: version 0 has no other place for it.
fn refused(request: &Request, asked: &Asked, refusal: &Refusal) -> Step {
    let count = asked.iter().map(|(_, partitions)| partitions.len()).sum();
    respond(request, refusal.code, asked, &vec![Err(refusal.clone()); count])
}
