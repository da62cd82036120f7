//! LeaveGroup. 3 takes many members at once, by id or by instance.

use std::rc::Rc;

use coordinator::group::{Answer, LeaveGroup, LeaveGroupAnswer, LeavingMember, LeftMember};
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
    wire::messages::leave_group::{MemberResponse, RequestView, Response},
};

const MANY_FROM: i16 = 3;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let members = match request.version {
        MANY_FROM.. => view
            .members
            .iter()
            .map(|member| LeavingMember {
                member_id: member.member_id.to_owned(),
                group_instance_id: owned(member.group_instance_id),
            })
            .collect(),
        _ => vec![LeavingMember { member_id: view.member_id.to_owned(), group_instance_id: None }],
    };
    let leave = LeaveGroup { group_id: view.group_id.to_owned(), members };
    let head = request.head();
    let asked = ask(shard, view.group_id, GroupCommand::Leave(leave));
    Ok(Step::wait(async move {
        let refused = |error| LeaveGroupAnswer { error, members: vec![] };
        match asked.done().await {
            Ok(Answer::LeaveGroup(left)) => respond(head, left),
            Ok(_) => respond(head, refused(ErrorCode::UnknownServerError)),
            Err(code) => respond(head, refused(code)),
        }
    }))
}

fn respond(head: Head, left: LeaveGroupAnswer) -> Step {
    let LeaveGroupAnswer { mut error, members } = left;
    if head.version < MANY_FROM && error == ErrorCode::None {
        error = members.first().map_or(ErrorCode::None, |only| only.error);
    }
    let member = |member: LeftMember| MemberResponse {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Into::into),
        error_code: member.error.code(),
    };
    let members = members.into_iter().map(member).collect();
    Step::answer(head, &Response { error_code: error.code(), members, ..Response::default() })
}
