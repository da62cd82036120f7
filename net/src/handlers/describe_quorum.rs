//! DescribeQuorum: voters of the metadata log and how far they are. 1 adds when they were last heard and caught up, 2 their
//! directories, endpoints, and errors as text.
//!
//! The controller answers: it leads that log. Endpoints are those for clients, as there is no listener for controllers.
//! As in Apache Kafka, the metadata log is answered for when it is asked for alone.

use std::rc::Rc;

use coordinator::{Refusal, controller::names::METADATA_TOPIC, metadata::Endpoint};
use engine::Disk;
use model::{BrokerId, ErrorCode};

use super::{Handled, Step, propose};
use crate::{
    control::{Outcome, Proposal},
    quorum::{QuorumReplica, QuorumState},
    request::Request,
    shard::Shard,
    wire::messages::describe_quorum::{
        Listener, Node, ReplicaState, RequestView, Response, ResponsePartition, ResponseTopic,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if !asks_for_the_metadata_log(&view) {
        return Ok(refuse(&request, &view));
    }
    let shard = shard.clone();
    Ok(Step::wait(async move {
        match propose(&shard, &request, Proposal::DescribeQuorum).await {
            Outcome::DescribeQuorum(quorum) => respond(&shard, &request, &quorum),
            other => failed(&request, other.refusal()),
        }
    }))
}

fn asks_for_the_metadata_log(view: &RequestView<'_>) -> bool {
    let mut partitions =
        view.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic.topic_name, p)));
    let first = partitions.next().map(|(topic, partition)| (topic, partition.partition_index));
    view.topics.len() == 1 && first == Some((METADATA_TOPIC, 0)) && partitions.next().is_none()
}

fn refuse(request: &Request, view: &RequestView<'_>) -> Step {
    let code = ErrorCode::UnknownTopicOrPartition;
    let partition = |partition_index| ResponsePartition {
        partition_index,
        error_code: code.code(),
        error_message: Some(code.text().into()),
        ..ResponsePartition::default()
    };
    let topics = view.topics.iter().map(|topic| ResponseTopic {
        topic_name: topic.topic_name.into(),
        partitions: topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect(),
    });
    let topics = topics.collect();
    Step::answer(request, &Response { error_message: Some("".into()), topics, ..Response::default() })
}

fn failed(request: &Request, refusal: Refusal) -> Step {
    let (error_code, error_message) = (refusal.code.code(), Some(refusal.message.into()));
    Step::answer(request, &Response { error_code, error_message, ..Response::default() })
}

fn respond<D: Disk>(shard: &Shard<D>, request: &Request, quorum: &QuorumState) -> Step {
    let replicas = |replicas: &[QuorumReplica]| replicas.iter().map(|r| state(shard, r)).collect();
    let partition = ResponsePartition {
        error_message: Some("".into()),
        leader_id: quorum.leader.0,
        leader_epoch: quorum.epoch.0,
        high_watermark: quorum.high_watermark.0,
        current_voters: replicas(&quorum.voters),
        observers: replicas(&quorum.observers),
        ..ResponsePartition::default()
    };
    let topic = ResponseTopic { topic_name: METADATA_TOPIC.into(), partitions: vec![partition] };
    let nodes = quorum.voters.iter();
    let node =
        |voter: &QuorumReplica| Node { node_id: voter.id.0, listeners: listeners(shard, request, voter.id) };
    let body = Response {
        error_message: Some("".into()),
        topics: vec![topic],
        nodes: nodes.map(node).collect(),
        ..Response::default()
    };
    Step::answer(request, &body)
}

fn state<D: Disk>(shard: &Shard<D>, replica: &QuorumReplica) -> ReplicaState {
    let registered = || shard.local_image().broker(replica.id).map(|broker| broker.directory_id);
    let directory = if replica.id == shard.broker() { Some(shard.host().directory_id) } else { registered() };
    ReplicaState {
        replica_id: replica.id.0,
        replica_directory_id: directory.unwrap_or_default(),
        log_end_offset: replica.end.0,
        last_fetch_timestamp: replica.last_fetch.map_or(-1, |at| at.0),
        last_caught_up_timestamp: replica.last_caught_up.map_or(-1, |at| at.0),
    }
}

/// As the broker has registered them. One that has not is at none that clients could use.
fn listeners<D: Disk>(shard: &Shard<D>, request: &Request, broker: BrokerId) -> Vec<Listener<'static>> {
    let listener = |endpoint: &Endpoint| {
        let here = endpoint.host.is_empty();
        let host = if here { request.peer.local.to_string() } else { endpoint.host.clone() };
        Listener { name: endpoint.listener.clone().into(), host: host.into(), port: endpoint.port }
    };
    if broker == shard.broker() && !shard.forwards() {
        return shard.config().advertised_listeners.iter().map(listener).collect();
    }
    let image = shard.local_image();
    image.broker(broker).into_iter().flat_map(|broker| &broker.endpoints).map(listener).collect()
}
