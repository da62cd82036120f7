//! DeleteGroups: empty groups, with all they have committed.

use std::rc::Rc;

use coordinator::group::Answer;
use engine::Disk;
use model::ErrorCode;

use super::{Handled, Step, groups::ask};
use crate::{
    groups::GroupCommand,
    request::Request,
    shard::Shard,
    wire::messages::delete_groups::{DeletableGroupResult, RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let asked = view
        .groups_names
        .iter()
        .map(|id| (id.to_owned(), ask(shard, id, GroupCommand::Delete(id.to_owned()))));
    let asked: Vec<_> = asked.collect();
    let head = request.head();
    Ok(Step::wait(async move {
        let mut results = Vec::with_capacity(asked.len());
        for (group_id, asked) in asked {
            let code = match asked.done().await {
                Ok(Answer::DeleteGroup(code)) | Err(code) => code,
                Ok(_) => ErrorCode::UnknownServerError,
            };
            results.push(DeletableGroupResult { group_id: group_id.into(), error_code: code.code() });
        }
        Step::answer(head, &Response { results, ..Response::default() })
    }))
}
