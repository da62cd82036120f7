//! IncrementalAlterConfigs: set 0, delete 1, append 2, subtract 3; keys that are not named stay as they are.

use std::rc::Rc;

use coordinator::{
    Refusal,
    config::{AlterOp, ConfigAlteration},
    controller::AlterConfigsRequest,
};
use engine::Disk;
use model::ErrorCode;

use super::{
    Handled, Step,
    configs::{self, merge, outcome_of},
    loggers, propose,
};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::incremental_alter_configs::{
        AlterConfigsResourceResponse, AlterConfigsResourceView, AlterableConfigView, RequestView, Response,
    },
};

/// What the controller is to decide; none when it is done already.
type Read = Result<Option<AlterConfigsRequest<ConfigAlteration>>, Refusal>;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let validate_only = view.validate_only;
    let read: Vec<Read> = view.resources.iter().map(|asked| read(shard, asked, validate_only)).collect();
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let requests: Vec<_> = read.iter().flatten().flatten().cloned().collect();
        let count = requests.len();
        let decided =
            match propose(&shard, &request, Proposal::AlterConfigs { requests, validate_only }).await {
                Outcome::AlterConfigs(decided) => decided,
                other => vec![Err(other.refusal()); count],
            };
        respond(&request, &merge(read, decided))
    }))
}

/// Loggers are the process's own: whoever is asked for them answers.
pub(super) fn is_for_loggers(request: &Request) -> bool {
    RequestView::decode(request.body(), request.version)
        .is_ok_and(|view| view.resources.iter().any(|asked| asked.resource_type == configs::BROKER_LOGGER))
}

fn read<D: Disk>(shard: &Shard<D>, asked: AlterConfigsResourceView<'_>, validate_only: bool) -> Read {
    let configs = asked.configs.iter().map(alteration).collect::<Result<Vec<_>, _>>()?;
    if asked.resource_type == configs::BROKER_LOGGER {
        return loggers::alter(shard, asked.resource_name, &configs, validate_only).map(|()| None);
    }
    let resource = configs::altered(shard, asked.resource_type, asked.resource_name)?;
    Ok(Some(AlterConfigsRequest { resource, configs }))
}

fn alteration(asked: AlterableConfigView<'_>) -> Result<ConfigAlteration, Refusal> {
    let op = match asked.config_operation {
        0 => AlterOp::Set,
        1 => AlterOp::Delete,
        2 => AlterOp::Append,
        3 => AlterOp::Subtract,
        other => {
            let sentence =
                format!("{other} is no way to alter a config: set is 0, delete 1, append 2, subtract 3.");
            return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
        }
    };
    Ok(ConfigAlteration { key: asked.name.to_owned(), op, value: asked.value.map(str::to_owned) })
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
