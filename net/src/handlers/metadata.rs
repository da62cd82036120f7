//! Metadata. 1 adds racks, the controller and null for all topics (in 0 an empty list means all), 4 the wish not to
//! create topics, 5 offline replicas, 7 leader epochs, 8 authorized operations, 10 topic ids, 12 questions by id, 13 an
//! error for the whole answer.
//!
//! Topics are created here and nowhere else, when the broker allows it and the client does not forbid it. The answer
//! then shows the topic as it is: by the time the controller answers, its partitions are open on every shard. Brokers
//! are named by the addresses of the listener that the request came in on.

use std::{collections::BTreeSet, rc::Rc};

use coordinator::{
    Image, Refusal,
    metadata::{Partition, Topic},
};
use engine::Disk;
use model::{BrokerId, ErrorCode, TopicId};

use super::{
    Handled, Step, operations,
    topics::{Named, is_internal, is_legal_name},
};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::metadata::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic, RequestView, Response,
    },
};

/// Topics that one request may create.
const AUTO_CREATE_MAX: usize = 1000;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let wanted = missing_names(shard, &request, &view);
    if wanted.is_empty() {
        let body = respond(shard, &request, &view, &[]);
        return Ok(Step::answer(&request, &body));
    }
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let refusals = create(&shard, wanted).await;
        let view = RequestView::decode(request.body(), request.version).expect("decoded before");
        Step::answer(&request, &respond(&shard, &request, &view, &refusals))
    }))
}

/// Names that are to be created before the answer.
fn missing_names<D: Disk>(shard: &Shard<D>, request: &Request, view: &RequestView<'_>) -> Vec<String> {
    let allowed =
        shard.config().auto_create_topics_enable && (request.version < 4 || view.allow_auto_topic_creation);
    let Some(topics) = view.topics.filter(|_| allowed) else { return Vec::new() };
    let image = shard.local_image();
    let names =
        topics.iter().filter(|topic| topic.topic_id == TopicId::ZERO.0).filter_map(|topic| topic.name);
    let missing =
        names.filter(|name| is_legal_name(name) && !is_internal(name) && image.topic(name).is_none());
    let mut missing: Vec<String> = missing.take(AUTO_CREATE_MAX).map(str::to_owned).collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Answers the names that could not be created, and why.
async fn create<D: Disk>(shard: &Shard<D>, names: Vec<String>) -> Vec<(String, ErrorCode)> {
    let results = match shard.control().propose(Proposal::AutoCreate(names.clone())).await {
        Outcome::AutoCreate(results) => results,
        other => vec![Err(other.refusal()); names.len()],
    };
    let refused = |(name, result): (String, Result<_, Refusal>)| match result {
        Ok(_) => None,
        // Another client was faster: the topic is there.
        Err(refusal) if refusal.code == ErrorCode::TopicAlreadyExists => None,
        Err(refusal) => Some((name, refusal.code)),
    };
    names.into_iter().zip(results).filter_map(refused).collect()
}

fn respond<'a, D: Disk>(
    shard: &Shard<D>,
    request: &Request,
    view: &RequestView<'a>,
    refusals: &[(String, ErrorCode)],
) -> Response<'a> {
    let image = shard.local_image();
    let wants_all = view.topics.is_none_or(|topics| topics.is_empty() && request.version == 0);
    let topics = match view.topics {
        Some(topics) if !wants_all => {
            let answer = |topic: crate::wire::messages::metadata::MetadataRequestTopicView<'a>| {
                named_topic(shard, &image, topic.name, TopicId(topic.topic_id), refusals)
            };
            let mut seen = BTreeSet::new();
            // Each topic once: naming one a thousand times must not cost a thousand answers.
            topics.iter().filter(|topic| seen.insert((topic.name, topic.topic_id))).map(answer).collect()
        }
        _ => image.topics().map(|topic| describe(shard, &image, topic)).collect(),
    };
    let topics = topics_with(view.include_topic_authorized_operations, topics);
    Response {
        brokers: brokers(shard, request),
        cluster_id: Some(image.cluster_id().to_owned().into()),
        controller_id: shard.broker().0,
        topics,
        cluster_authorized_operations: operations::asked(
            view.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..Response::default()
    }
}

fn topics_with(
    operations: bool,
    mut topics: Vec<MetadataResponseTopic<'_>>,
) -> Vec<MetadataResponseTopic<'_>> {
    for topic in topics.iter_mut().filter(|topic| topic.error_code == 0) {
        topic.topic_authorized_operations = operations::asked(operations, operations::TOPIC);
    }
    topics
}

fn named_topic<'a, D: Disk>(
    shard: &Shard<D>,
    image: &Image,
    name: Option<&'a str>,
    id: TopicId,
    refusals: &[(String, ErrorCode)],
) -> MetadataResponseTopic<'a> {
    let named = match name {
        _ if id != TopicId::ZERO => Named::Id(id),
        Some(name) => Named::Name(name),
        None => Named::Id(id),
    };
    let code = match named.find(image) {
        Ok(topic) => return describe(shard, image, topic),
        Err(code) => code,
    };
    let code = match named {
        Named::Name(name) if !is_legal_name(name) => ErrorCode::InvalidTopicException,
        Named::Name(name) => refusals.iter().find(|(refused, _)| refused == name).map_or(code, |r| r.1),
        Named::Id(_) => code,
    };
    let error_code = code.code();
    match named {
        Named::Name(name) => {
            let is_internal = is_internal(name);
            MetadataResponseTopic { error_code, name: Some(name.into()), is_internal, ..Default::default() }
        }
        Named::Id(id) => {
            let name = name.map(Into::into);
            MetadataResponseTopic { error_code, name, topic_id: id.0, ..Default::default() }
        }
    }
}

fn describe<'a, D: Disk>(shard: &Shard<D>, image: &Image, topic: &Topic) -> MetadataResponseTopic<'a> {
    let partition = |(index, partition): (usize, &Partition)| {
        let view = PartitionFacts::of(shard, image, partition);
        MetadataResponsePartition {
            error_code: view.code.code(),
            partition_index: index as i32,
            leader_id: view.leader,
            leader_epoch: partition.leader_epoch.0,
            replica_nodes: ids(&partition.replicas),
            isr_nodes: ids(&partition.isr),
            offline_replicas: view.offline,
        }
    };
    MetadataResponseTopic {
        name: Some(topic.name.to_string().into()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions: topic.partitions.iter().enumerate().map(partition).collect(),
        ..Default::default()
    }
}

/// What is told of a partition beside what its record says.
pub(super) struct PartitionFacts {
    pub(super) code: ErrorCode,
    pub(super) leader: i32,
    pub(super) offline: Vec<i32>,
}

impl PartitionFacts {
    pub(super) fn of<D: Disk>(shard: &Shard<D>, image: &Image, partition: &Partition) -> Self {
        let is_offline =
            |id: BrokerId| id != shard.broker() && image.broker(id).is_none_or(|broker| broker.fenced);
        let offline = partition.replicas.iter().filter(|&&id| is_offline(id)).map(|id| id.0).collect();
        match partition.leader {
            Some(leader) if !is_offline(leader) => Self { code: ErrorCode::None, leader: leader.0, offline },
            _ => Self { code: ErrorCode::LeaderNotAvailable, leader: -1, offline },
        }
    }
}

pub(super) fn ids(brokers: &[BrokerId]) -> Vec<i32> {
    brokers.iter().map(|id| id.0).collect()
}

/// The brokers that clients of this listener can reach. This one is always there, also before it has registered.
fn brokers<'a, D: Disk>(shard: &Shard<D>, request: &Request) -> Vec<MetadataResponseBroker<'a>> {
    known_brokers(shard)
        .into_iter()
        .filter_map(|(id, rack)| {
            let (host, port) = shard.endpoint_of(id, &request.peer).ok()?;
            let rack = rack.map(Into::into);
            Some(MetadataResponseBroker { node_id: id.0, host: host.into(), port: port.into(), rack })
        })
        .collect()
}

/// Brokers that are not fenced, with their racks, by id.
pub(super) fn known_brokers<D: Disk>(shard: &Shard<D>) -> Vec<(BrokerId, Option<String>)> {
    let image = shard.local_image();
    let others = image.brokers().filter(|broker| !broker.fenced && broker.id != shard.broker());
    let mut brokers: Vec<_> = others.map(|broker| (broker.id, broker.rack.clone())).collect();
    brokers.push((shard.broker(), shard.config().broker_rack.clone()));
    brokers.sort_unstable_by_key(|broker| broker.0);
    brokers
}
