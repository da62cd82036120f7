//! Heartbeat. 3 adds static members.

use std::rc::Rc;

use coordinator::group::{Answer, Heartbeat};
use engine::Disk;
use model::ErrorCode;

use super::{
    Handled, Step,
    groups::{ask, owned},
};
use crate::{
    groups::GroupCommand,
    request::Request,
    shard::Shard,
    wire::messages::heartbeat::{RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let heartbeat = Heartbeat {
        group_id: view.group_id.to_owned(),
        member_id: view.member_id.to_owned(),
        group_instance_id: owned(view.group_instance_id),
        generation: view.generation_id,
    };
    let head = request.head();
    let asked = ask(shard, view.group_id, GroupCommand::Heartbeat(heartbeat));
    Ok(Step::wait(async move {
        let code = match asked.done().await {
            Ok(Answer::Heartbeat(code)) | Err(code) => code,
            Ok(_) => ErrorCode::UnknownServerError,
        };
        Step::answer(head, &Response { error_code: code.code(), ..Response::default() })
    }))
}
