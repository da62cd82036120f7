//! DescribeQuorum: voters of the metadata log and how far they are. 1 adds when they were last heard and caught up, 2 their
//! directories, endpoints, and errors as text.
//!
//! The only voter is this broker, which is always heard and caught up. Its endpoints are those for clients: there is no
//! listener for controllers. As in Apache Kafka, the metadata log is answered for when it is asked for alone.

use std::rc::Rc;

use engine::Disk;
use model::{ErrorCode, TopicPartition};

use super::{Handled, Step};
use crate::{
    ask::{Answer, Ask, Reach},
    control::CONTROL_SHARD,
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
    let asked = shard.asks().ask(CONTROL_SHARD, Ask::Reach(TopicPartition::METADATA));
    let shard = shard.clone();
    Ok(Step::wait(async move {
        match asked.await {
            Some(Answer::Reach(Ok(reach))) => respond(&shard, &request, reach),
            _ => {
                let code = ErrorCode::NotLeaderOrFollower;
                let (error_code, error_message) = (code.code(), Some(code.text().into()));
                Step::answer(&request, &Response { error_code, error_message, ..Response::default() })
            }
        }
    }))
}

fn asks_for_the_metadata_log(view: &RequestView<'_>) -> bool {
    let mut partitions =
        view.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic.topic_name, p)));
    let first = partitions.next().map(|(topic, partition)| (topic, partition.partition_index));
    view.topics.len() == 1
        && first == Some((coordinator::controller::names::METADATA_TOPIC, 0))
        && partitions.next().is_none()
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

fn respond<D: Disk>(shard: &Shard<D>, request: &Request, reach: Reach) -> Step {
    let now = shard.clock().wall().0;
    let voter = ReplicaState {
        replica_id: shard.broker().0,
        replica_directory_id: shard.host().directory_id,
        log_end_offset: reach.end.0,
        last_fetch_timestamp: now,
        last_caught_up_timestamp: now,
    };
    let partition = ResponsePartition {
        error_message: Some("".into()),
        leader_id: shard.broker().0,
        leader_epoch: reach.leader_epoch.0,
        high_watermark: reach.high.0,
        current_voters: vec![voter],
        ..ResponsePartition::default()
    };
    let topic = ResponseTopic {
        topic_name: coordinator::controller::names::METADATA_TOPIC.into(),
        partitions: vec![partition],
    };
    let node = Node { node_id: shard.broker().0, listeners: listeners(shard, request) };
    let error_message = Some("".into());
    let body = Response { error_message, topics: vec![topic], nodes: vec![node], ..Response::default() };
    Step::answer(request, &body)
}

fn listeners<D: Disk>(shard: &Shard<D>, request: &Request) -> Vec<Listener<'static>> {
    let config = shard.config();
    let listener = |endpoint: &coordinator::metadata::Endpoint| {
        let here = endpoint.host.is_empty();
        let host = if here { request.peer.local.to_string() } else { endpoint.host.clone() };
        Listener { name: endpoint.listener.clone().into(), host: host.into(), port: endpoint.port }
    };
    config.advertised_listeners.iter().map(listener).collect()
}
