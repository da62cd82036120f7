//! SyncGroup. 3 adds static members, 5 the protocol, which is compared with the group's.
//!
//! Followers wait for the leader's assignment; everybody waits until it is durable.

use std::rc::Rc;

use coordinator::group::{Answer, SyncGroup, SyncGroupAnswer};
use engine::Disk;
use model::ErrorCode;

use super::{
    Handled, Step,
    groups::{ask, owned},
};
use crate::{
    groups::GroupCommand,
    request::{Head, Request},
    shard::Shard,
    wire::messages::sync_group::{RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let sync = SyncGroup {
        group_id: view.group_id.to_owned(),
        member_id: view.member_id.to_owned(),
        group_instance_id: owned(view.group_instance_id),
        generation: view.generation_id,
        protocol_type: owned(view.protocol_type),
        protocol_name: owned(view.protocol_name),
        assignments: view
            .assignments
            .iter()
            .map(|a| (a.member_id.to_owned(), a.assignment.to_owned()))
            .collect(),
    };
    let head = request.head();
    let asked = ask(shard, view.group_id, GroupCommand::Sync(sync));
    drop(request);
    Ok(Step::wait(async move {
        match asked.done().await {
            Ok(Answer::SyncGroup(synced)) => respond(head, synced),
            Ok(_) => refuse(head, ErrorCode::UnknownServerError),
            Err(code) => refuse(head, code),
        }
    }))
}

fn respond(head: Head, synced: SyncGroupAnswer) -> Step {
    let body = Response {
        error_code: synced.error.code(),
        protocol_type: synced.protocol_type.map(Into::into),
        protocol_name: synced.protocol_name.map(Into::into),
        assignment: synced.assignment.into(),
        ..Response::default()
    };
    Step::answer(head, &body)
}

fn refuse(head: Head, code: ErrorCode) -> Step {
    Step::answer(head, &Response { error_code: code.code(), ..Response::default() })
}
