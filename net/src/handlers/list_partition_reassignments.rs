//! ListPartitionReassignments: those under way, of all partitions (null) or of those named. Topics and partitions that
//! are not there are left out, as in Apache Kafka. Any broker answers, from what it knows of the metadata.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use coordinator::{Controller, controller::OngoingReassignment};
use engine::Disk;
use model::BrokerId;

use super::{Handled, Step, topics::too_many};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::list_partition_reassignments::{
        OngoingPartitionReassignment, OngoingTopicReassignment, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let named = view.topics.into_iter().flatten();
    if let Some(refused) = too_many(named.map(|topic| topic.partition_indexes.len())) {
        return Ok(refused);
    }
    let wanted: Option<BTreeMap<&str, BTreeSet<i32>>> = view.topics.map(|topics| {
        let mut wanted = BTreeMap::<&str, BTreeSet<i32>>::new();
        for topic in topics {
            wanted.entry(topic.name).or_default().extend(topic.partition_indexes.iter());
        }
        wanted
    });
    let is_wanted = |ongoing: &OngoingReassignment<'_>| {
        wanted.as_ref().is_none_or(|wanted| {
            wanted.get(ongoing.topic).is_some_and(|indexes| indexes.contains(&ongoing.index.0))
        })
    };
    let (image, config) = (shard.local_image(), shard.config());
    let mut topics: Vec<OngoingTopicReassignment<'_>> = Vec::new();
    for ongoing in Controller::new(&image, &config).ongoing_reassignments().filter(is_wanted) {
        match topics.last_mut() {
            Some(topic) if topic.name == ongoing.topic => topic.partitions.push(entry(&ongoing)),
            _ => {
                let partitions = vec![entry(&ongoing)];
                topics.push(OngoingTopicReassignment { name: ongoing.topic.into(), partitions });
            }
        }
    }
    Ok(Step::answer(&request, &Response { topics, ..Response::default() }))
}

fn entry(ongoing: &OngoingReassignment<'_>) -> OngoingPartitionReassignment {
    let ids = |brokers: &[BrokerId]| brokers.iter().map(|broker| broker.0).collect();
    OngoingPartitionReassignment {
        partition_index: ongoing.index.0,
        replicas: ids(&ongoing.partition.replicas),
        adding_replicas: ids(&ongoing.partition.adding_replicas),
        removing_replicas: ids(&ongoing.partition.removing_replicas),
    }
}
