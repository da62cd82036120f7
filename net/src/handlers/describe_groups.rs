//! DescribeGroups, of the classic protocol. 3 adds what the client may do, 4 static members, 6 an error for groups that
//! are not there; before it they are `Dead`, without one.

use std::rc::Rc;

use coordinator::group::{GroupDescription, MemberDescription};
use engine::Disk;
use model::ErrorCode;

use super::{Handled, Step, groups::ask, operations};
use crate::{
    groups::{GroupAnswer, GroupQuery},
    request::{Head, Request},
    shard::Shard,
    wire::messages::describe_groups::{DescribedGroup, DescribedGroupMember, RequestView, Response},
};

const NOT_FOUND_FROM: i16 = 6;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let operations = operations::asked(view.include_authorized_operations, operations::GROUP);
    let asked =
        view.groups.iter().map(|id| (id.to_owned(), ask(shard, id, GroupQuery::Describe(id.to_owned()))));
    let asked: Vec<_> = asked.collect();
    let head = request.head();
    Ok(Step::wait(async move {
        let mut groups = Vec::with_capacity(asked.len());
        for (group_id, asked) in asked {
            let described = match asked.answer().await {
                Ok(GroupAnswer::Described(described)) => group(head, described),
                Ok(_) => refused(group_id, ErrorCode::UnknownServerError),
                Err(code) => refused(group_id, code),
            };
            groups.push(DescribedGroup { authorized_operations: operations, ..described });
        }
        Step::answer(head, &Response { groups, ..Response::default() })
    }))
}

fn refused(group_id: String, code: ErrorCode) -> DescribedGroup<'static> {
    DescribedGroup { error_code: code.code(), group_id: group_id.into(), ..DescribedGroup::default() }
}

fn group(head: Head, described: GroupDescription) -> DescribedGroup<'static> {
    let tells = described.error != ErrorCode::GroupIdNotFound || head.version >= NOT_FOUND_FROM;
    let error = if tells { described.error } else { ErrorCode::None };
    let member = |member: MemberDescription| DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Into::into),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: member.metadata.into(),
        member_assignment: member.assignment.into(),
    };
    DescribedGroup {
        error_code: error.code(),
        error_message: (error != ErrorCode::None).then(|| error.text().into()),
        group_id: described.group_id.into(),
        group_state: described.state.into(),
        protocol_type: described.protocol_type.into(),
        protocol_data: described.protocol.into(),
        members: described.members.into_iter().map(member).collect(),
        ..DescribedGroup::default()
    }
}
