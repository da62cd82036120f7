//! FindCoordinator. 1 adds key types and the error's text, 4 asks for many keys at once, 6 is for share groups.
//!
//! This broker coordinates every group. Transactions and share groups are not served yet, and the code says so for good:
//! "not available" would make a client try again until it gives up.

use std::rc::Rc;

use engine::Disk;
use model::ErrorCode;

use super::{Handled, Step};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::find_coordinator::{Coordinator, RequestView, Response},
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const LISTS_FROM: i16 = 4;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let found = find(shard, &request, view.key_type);
    let error_message = || found.as_ref().err().map(|code| code.text().into());
    let error_code = found.as_ref().err().map_or(0, |code| code.code());
    let (node_id, host, port) = found.clone().unwrap_or((-1, String::new(), -1));
    let body = if request.version < LISTS_FROM {
        let (error_message, host) = (error_message(), host.into());
        Response { error_code, error_message, node_id, host, port, ..Response::default() }
    } else {
        let entry = |key| Coordinator {
            key,
            node_id,
            host: host.clone().into(),
            port,
            error_code,
            error_message: error_message(),
        };
        let coordinators = view.coordinator_keys.iter().map(|key| entry(key.into())).collect();
        Response { coordinators, ..Response::default() }
    };
    Ok(Step::answer(&request, &body))
}

fn find<D: Disk>(shard: &Shard<D>, request: &Request, key_type: i8) -> Result<(i32, String, i32), ErrorCode> {
    match key_type {
        GROUP => {
            let (host, port) = shard.endpoint_of(shard.broker(), &request.peer)?;
            Ok((shard.broker().0, host, port.into()))
        }
        TRANSACTION => Err(ErrorCode::UnsupportedVersion),
        _ => Err(ErrorCode::InvalidRequest),
    }
}
