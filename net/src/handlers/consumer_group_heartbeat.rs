//! ConsumerGroupHeartbeat (KIP-848): a member says what it reads and owns, and hears what it shall own. 1 adds regular
//! expressions and member ids that the client makes.

use std::rc::Rc;

use coordinator::group::{Answer, ConsumerGroupHeartbeat, ConsumerGroupHeartbeatAnswer};
use engine::Disk;
use model::{ErrorCode, TopicId};

use super::{
    Handled, Step,
    groups::{ask, client_host, owned},
};
use crate::{
    groups::GroupCommand,
    request::{Head, Request},
    shard::Shard,
    wire::messages::consumer_group_heartbeat::{Assignment, RequestView, Response, TopicPartitions},
};

const CLIENT_MADE_IDS_FROM: i16 = 1;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let heartbeat = ConsumerGroupHeartbeat {
        group_id: view.group_id.to_owned(),
        member_id: view.member_id.to_owned(),
        member_epoch: view.member_epoch,
        instance_id: owned(view.instance_id),
        rack_id: owned(view.rack_id),
        rebalance_timeout_ms: view.rebalance_timeout_ms,
        client_id: request.client_id().to_owned(),
        client_host: client_host(&request),
        topic_names: view.subscribed_topic_names.map(|names| names.iter().map(str::to_owned).collect()),
        topic_regex: owned(view.subscribed_topic_regex),
        server_assignor: owned(view.server_assignor),
        owned: view.topic_partitions.map(|topics| {
            topics.iter().map(|topic| (TopicId(topic.topic_id), topic.partitions.iter().collect())).collect()
        }),
        makes_member_id: request.version >= CLIENT_MADE_IDS_FROM,
    };
    let head = request.head();
    let asked = ask(shard, view.group_id, GroupCommand::ConsumerHeartbeat(heartbeat));
    drop(request);
    Ok(Step::wait(async move {
        match asked.done().await {
            Ok(Answer::ConsumerGroupHeartbeat(answer)) => respond(head, answer),
            Ok(_) => refuse(head, ErrorCode::UnknownServerError),
            Err(code) => refuse(head, code),
        }
    }))
}

fn respond(head: Head, answer: ConsumerGroupHeartbeatAnswer) -> Step {
    let assignment = answer.assignment.map(|topics| {
        let topics =
            topics.into_iter().map(|(id, partitions)| TopicPartitions { topic_id: id.0, partitions });
        Assignment { topic_partitions: topics.collect() }
    });
    let body = Response {
        error_code: answer.error.code(),
        error_message: answer.error_message.map(Into::into),
        member_id: answer.member_id.map(Into::into),
        member_epoch: answer.member_epoch,
        heartbeat_interval_ms: answer.heartbeat_interval_ms,
        assignment,
        ..Response::default()
    };
    Step::answer(head, &body)
}

fn refuse(head: Head, code: ErrorCode) -> Step {
    let error_message = Some(code.text().into());
    Step::answer(head, &Response { error_code: code.code(), error_message, ..Response::default() })
}
