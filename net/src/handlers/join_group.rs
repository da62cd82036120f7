//! JoinGroup. 1 adds the rebalance timeout, 4 sends a new member away with an id first, 5 static members, 7 the protocol
//! type in the answer, 9 lets the leader skip the assignment.
//!
//! The answer comes when the group's new generation is complete.

use std::rc::Rc;

use coordinator::group::{Answer, JoinGroup, JoinGroupAnswer, JoinedMember};
use engine::Disk;
use model::ErrorCode;

use super::{
    Handled, Step,
    groups::{ask, client_host, owned},
};
use crate::{
    groups::GroupCommand,
    request::{Head, Request},
    shard::Shard,
    wire::messages::join_group::{JoinGroupResponseMember, RequestView, Response},
};

const REBALANCE_TIMEOUT_FROM: i16 = 1;
const KNOWN_MEMBER_IDS_FROM: i16 = 4;
const PROTOCOL_TYPE_FROM: i16 = 7;
const SKIPPING_FROM: i16 = 9;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let rebalance_timeout_ms = match request.version {
        REBALANCE_TIMEOUT_FROM.. => view.rebalance_timeout_ms,
        _ => view.session_timeout_ms,
    };
    let join = JoinGroup {
        group_id: view.group_id.to_owned(),
        member_id: view.member_id.to_owned(),
        group_instance_id: owned(view.group_instance_id),
        client_id: request.client_id().to_owned(),
        client_host: client_host(&request),
        protocol_type: view.protocol_type.to_owned(),
        protocols: view.protocols.iter().map(|p| (p.name.to_owned(), p.metadata.to_owned())).collect(),
        session_timeout_ms: view.session_timeout_ms,
        rebalance_timeout_ms,
        requires_known_member_id: request.version >= KNOWN_MEMBER_IDS_FROM,
        supports_skipping_assignment: request.version >= SKIPPING_FROM,
    };
    let (head, member_id) = (request.head(), join.member_id.clone());
    let asked = ask(shard, view.group_id, GroupCommand::Join(join));
    drop(request);
    Ok(Step::wait(async move {
        match asked.done().await {
            Ok(Answer::JoinGroup(joined)) => respond(head, joined),
            Ok(_) => refuse(head, ErrorCode::UnknownServerError, member_id),
            Err(code) => refuse(head, code, member_id),
        }
    }))
}

fn respond(head: Head, joined: JoinGroupAnswer) -> Step {
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Into::into),
        metadata: member.metadata.into(),
    };
    // Older versions have no way to say "none".
    let protocol_name = joined.protocol_name.or((head.version < PROTOCOL_TYPE_FROM).then(String::new));
    let body = Response {
        error_code: joined.error.code(),
        generation_id: joined.generation,
        protocol_type: joined.protocol_type.map(Into::into),
        protocol_name: protocol_name.map(Into::into),
        leader: joined.leader.into(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.into(),
        members: joined.members.into_iter().map(member).collect(),
        ..Response::default()
    };
    Step::answer(head, &body)
}

fn refuse(head: Head, code: ErrorCode, member_id: String) -> Step {
    let body = Response {
        error_code: code.code(),
        generation_id: -1,
        protocol_name: (head.version < PROTOCOL_TYPE_FROM).then(|| "".into()),
        member_id: member_id.into(),
        ..Response::default()
    };
    Step::answer(head, &body)
}
