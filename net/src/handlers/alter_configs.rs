//! AlterConfigs: what is named becomes the whole set, keys that are not named fall back to their defaults. Clients that
//! can use IncrementalAlterConfigs, which does not lose what another client set meanwhile.

use std::rc::Rc;

use coordinator::{Refusal, controller::AlterConfigsRequest};
use engine::Disk;

use super::{
    Handled, Step,
    configs::{self, merge, outcome_of},
    propose,
};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::alter_configs::{
        AlterConfigsResourceResponse, AlterConfigsResourceView, RequestView, Response,
    },
};

type Read = Result<Option<AlterConfigsRequest<(String, Option<String>)>>, Refusal>;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let read: Vec<Read> = view.resources.iter().map(|asked| read(shard, asked)).collect();
    let validate_only = view.validate_only;
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let requests: Vec<_> = read.iter().flatten().flatten().cloned().collect();
        let count = requests.len();
        let decided =
            match propose(&shard, &request, Proposal::ReplaceConfigs { requests, validate_only }).await {
                Outcome::ReplaceConfigs(decided) => decided,
                other => vec![Err(other.refusal()); count],
            };
        respond(&request, &merge(read, decided))
    }))
}

fn read<D: Disk>(shard: &Shard<D>, asked: AlterConfigsResourceView<'_>) -> Read {
    let resource = configs::altered(shard, asked.resource_type, asked.resource_name)?;
    let configs = asked.configs.iter().map(|c| (c.name.to_owned(), c.value.map(str::to_owned))).collect();
    Ok(Some(AlterConfigsRequest { resource, configs }))
}

fn respond(request: &Request, outcomes: &[Result<(), Refusal>]) -> Step {
    let view = RequestView::decode(request.body(), request.version).expect("decoded before");
    let responses = view
        .resources
        .iter()
        .zip(outcomes)
        .map(|(asked, outcome)| {
            let (error_code, error_message) = outcome_of(outcome);
            let (resource_type, resource_name) = (asked.resource_type, asked.resource_name.into());
            AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
        })
        .collect();
    Step::answer(request, &Response { responses, ..Response::default() })
}
