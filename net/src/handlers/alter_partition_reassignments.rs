//! AlterPartitionReassignments. 1 lets a client forbid that the number of replicas changes.

use std::rc::Rc;

use coordinator::{Controller, Refusal, controller::Reassignment};
use engine::Disk;
use model::{BrokerId, PartitionIndex};

use super::{Handled, Step, configs::outcome_of, topics::too_many};
use crate::{
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
    let (image, config) = (shard.local_image(), shard.config());
    let controller = Controller::new(&image, &config);
    let mut responses = Vec::with_capacity(view.topics.len());
    for topic in view.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let asked = Reassignment {
                topic: topic.name,
                partition: PartitionIndex(partition.partition_index),
                replicas: partition.replicas.map(|replicas| replicas.iter().map(BrokerId).collect()),
            };
            let outcome = controller.reassign(&asked, view.allow_replication_factor_change);
            partitions.push(entry(partition.partition_index, &outcome));
        }
        responses.push(ReassignableTopicResponse { name: topic.name.into(), partitions });
    }
    let body = Response {
        allow_replication_factor_change: view.allow_replication_factor_change,
        responses,
        ..Response::default()
    };
    Ok(Step::answer(&request, &body))
}

fn entry(partition_index: i32, outcome: &Result<(), Refusal>) -> ReassignablePartitionResponse<'static> {
    let (error_code, error_message) = outcome_of(outcome);
    let error_message = error_message.map(|text| text.into_owned().into());
    ReassignablePartitionResponse { partition_index, error_code, error_message }
}
