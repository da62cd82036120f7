//! AlterClientQuotas. 1 is the flexible form. The rules are the controller's; the answer leaves when the quotas hold on
//! every shard.

use std::rc::Rc;

use coordinator::{Refusal, controller::AlterClientQuotas};
use engine::Disk;

use super::{Handled, Step, configs::outcome_of, propose};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::alter_client_quotas::{
        EntityDataView, RequestEntryView, RequestView, Response, ResponseEntry,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let requests: Vec<_> = view.entries.iter().map(read).collect();
    let (count, validate_only) = (requests.len(), view.validate_only);
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let proposal = Proposal::AlterClientQuotas { requests, validate_only };
        let decided = match propose(&shard, &request, proposal).await {
            Outcome::AlterClientQuotas(decided) => decided,
            other => vec![Err(other.refusal()); count],
        };
        respond(&request, &decided)
    }))
}

fn read(entry: RequestEntryView<'_>) -> AlterClientQuotas {
    let part = |e: EntityDataView<'_>| (e.entity_type.to_owned(), e.entity_name.map(str::to_owned));
    AlterClientQuotas {
        entity: entry.entity.iter().map(part).collect(),
        ops: entry.ops.iter().map(|op| (op.key.to_owned(), (!op.remove).then_some(op.value))).collect(),
    }
}

fn respond(request: &Request, outcomes: &[Result<(), Refusal>]) -> Step {
    let view = RequestView::decode(request.body(), request.version).expect("decoded before");
    let entries = view
        .entries
        .iter()
        .zip(outcomes)
        .map(|(asked, outcome)| {
            let (error_code, error_message) = outcome_of(outcome);
            ResponseEntry { error_code, error_message, entity: asked.entity.iter().map(Into::into).collect() }
        })
        .collect();
    Step::answer(request, &Response { entries, ..Response::default() })
}
