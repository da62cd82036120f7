//! ListGroups. 4 filters by state, 5 by type.

use std::rc::Rc;

use coordinator::group::ListedGroup as Listed;
use engine::Disk;
use model::{ErrorCode, ShardId};

use super::{Handled, Step};
use crate::{
    ask::{Answer, Ask},
    request::Request,
    shard::Shard,
    wire::messages::list_groups::{ListedGroup, RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let states: Vec<String> = view.states_filter.iter().map(str::to_owned).collect();
    let types: Vec<String> = view.types_filter.iter().map(str::to_owned).collect();
    let ask =
        |owner| shard.asks().ask(owner, Ask::ListGroups { states: states.clone(), types: types.clone() });
    let asked: Vec<_> = (0..shard.count()).map(ShardId).map(ask).collect();
    let head = request.head();
    Ok(Step::wait(async move {
        let mut groups = vec![];
        let mut error = ErrorCode::None;
        for asked in asked {
            match asked.await {
                Some(Answer::ListGroups(Ok(listed))) => groups.extend(listed.into_iter().map(group)),
                Some(Answer::ListGroups(Err(code))) => error = code,
                _ => error = ErrorCode::CoordinatorNotAvailable,
            }
        }
        Step::answer(head, &Response { error_code: error.code(), groups, ..Response::default() })
    }))
}

fn group(listed: Listed) -> ListedGroup<'static> {
    ListedGroup {
        group_id: listed.group_id.into(),
        protocol_type: listed.protocol_type.into(),
        group_state: listed.state.into(),
        group_type: listed.group_type.into(),
    }
}
