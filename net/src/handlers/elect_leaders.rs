//! ElectLeaders. 1 tells the preferred leader (0) from an unclean one (1) and adds an error for the whole answer.
//!
//! Null asks for all partitions that need an election, so those that need none are left out of the answer and their
//! topics stay, as in Apache Kafka. Nothing waits: on one broker there is nothing to elect.

use std::rc::Rc;

use coordinator::{Controller, Refusal, controller::Election};
use engine::Disk;
use model::{ErrorCode, PartitionIndex};

use super::{Handled, Step, topics::too_many};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::elect_leaders::{PartitionResult, ReplicaElectionResult, RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let named = view.topic_partitions.into_iter().flatten();
    if let Some(refused) = too_many(named.map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let election = Election::from_code(view.election_type);
    let (image, config) = (shard.local_image(), shard.config());
    let controller = Controller::new(&image, &config);
    let elect = |topic: &str, index: i32| match election {
        Some(election) => controller.elect(topic, PartitionIndex(index), election),
        None => Refusal::new(ErrorCode::InvalidRequest, "An election is preferred (0) or unclean (1)."),
    };
    let replica_election_results = match view.topic_partitions {
        Some(topics) => topics
            .iter()
            .map(|topic| ReplicaElectionResult {
                topic: topic.topic.into(),
                partition_result: topic
                    .partitions
                    .iter()
                    .map(|index| result(index, elect(topic.topic, index)))
                    .collect(),
            })
            .collect(),
        None => image
            .topics()
            .map(|topic| ReplicaElectionResult {
                topic: topic.name.to_string().into(),
                partition_result: (0..topic.partitions.len() as i32)
                    .map(|index| (index, elect(&topic.name, index)))
                    .filter(|(_, refusal)| refusal.code != ErrorCode::ElectionNotNeeded)
                    .map(|(index, refusal)| result(index, refusal))
                    .collect(),
            })
            .collect(),
    };
    let error_code = if election.is_some() { ErrorCode::None } else { ErrorCode::InvalidRequest }.code();
    Ok(Step::answer(&request, &Response { error_code, replica_election_results, ..Response::default() }))
}

fn result(partition_id: i32, refusal: Refusal) -> PartitionResult<'static> {
    let (error_code, error_message) = (refusal.code.code(), Some(refusal.message.into()));
    PartitionResult { partition_id, error_code, error_message }
}
