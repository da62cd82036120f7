//! FindCoordinator. 1 adds key types and the error's text, 4 asks for many keys at once, 6 is for share groups.
//!
//! A group is coordinated by the leader of a partition of `__consumer_offsets`; the first who asks makes that topic. Transactions and share groups are not served yet, and the code says so for good:
//! "not available" would make a client try again until it gives up.

use std::rc::Rc;

use coordinator::controller::names::OFFSETS_TOPIC;
use engine::Disk;
use model::ErrorCode;

use super::{Handled, Step};
use crate::{
    control::{Outcome, Proposal},
    groups::coordinator_of,
    request::Request,
    shard::Shard,
    wire::messages::find_coordinator::{Coordinator, RequestView, Response},
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const LISTS_FROM: i16 = 4;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let is_missing = view.key_type == GROUP && shard.local_image().topic(OFFSETS_TOPIC).is_none();
    if !is_missing {
        return Ok(respond(shard, &request, &view));
    }
    let (shard, again) = (shard.clone(), request.clone());
    Ok(Step::wait(async move {
        let proposal = Proposal::AutoCreate(vec![OFFSETS_TOPIC.to_owned()]);
        if let Outcome::Failed(refusal) = shard.control().propose(proposal).await {
            tracing::warn!(topic = OFFSETS_TOPIC, why = %refusal.message, "the topic of the groups cannot be created");
        }
        match RequestView::decode(again.body(), again.version) {
            Ok(view) => respond(&shard, &again, &view),
            Err(malformed) => Step::Close(malformed.to_string()),
        }
    }))
}

fn respond<D: Disk>(shard: &Shard<D>, request: &Request, view: &RequestView<'_>) -> Step {
    if request.version >= LISTS_FROM {
        let coordinators = view.coordinator_keys.iter().map(|key| entry(shard, request, view.key_type, key));
        return Step::answer(
            request,
            &Response { coordinators: coordinators.collect(), ..Response::default() },
        );
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } =
        entry(shard, request, view.key_type, view.key);
    Step::answer(request, &Response { node_id, host, port, error_code, error_message, ..Response::default() })
}

fn entry<D: Disk>(shard: &Shard<D>, request: &Request, key_type: i8, key: &str) -> Coordinator<'static> {
    let found = find(shard, request, key_type, key);
    let (error_code, error_message) = match &found {
        Ok(_) => (0, None),
        Err(code) => (code.code(), Some(code.text().into())),
    };
    let (node_id, host, port) = found.unwrap_or((-1, String::new(), -1));
    Coordinator { key: key.to_owned().into(), node_id, host: host.into(), port, error_code, error_message }
}

fn find<D: Disk>(
    shard: &Shard<D>,
    request: &Request,
    key_type: i8,
    key: &str,
) -> Result<(i32, String, i32), ErrorCode> {
    match key_type {
        GROUP => {
            let image = shard.local_image();
            let coordinator = coordinator_of(&image, key)?;
            let partition = image.partition(coordinator.topic, coordinator.partition);
            let leader = partition.and_then(|p| p.leader).ok_or(ErrorCode::CoordinatorNotAvailable)?;
            let (host, port) = shard.endpoint_of(leader, &request.peer)?;
            Ok((leader.0, host, port.into()))
        }
        TRANSACTION => Err(ErrorCode::UnsupportedVersion),
        _ => Err(ErrorCode::InvalidRequest),
    }
}
