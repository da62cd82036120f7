//! InitProducerId. 3 lets a producer name the id and epoch it has, 4 and 5 change which errors may come.
//!
//! A producer without a transactional id gets a new id with epoch 0, always; one that names an id it has gets the next
//! epoch of a fresh id just as well, because nobody else can hold the old one. Transactions are not served yet: an id
//! for one is refused, finally and by name, so that a client does not try for ever.

use std::rc::Rc;

use coordinator::Refusal;
use engine::Disk;
use model::{ErrorCode, ProducerId};

use super::{Handled, Step};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::init_producer_id::{RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(id) = view.transactional_id {
        let code = if id.is_empty() { ErrorCode::InvalidRequest } else { ErrorCode::UnsupportedVersion };
        return Ok(refuse(&request, code));
    }
    if (view.producer_id < 0) != (view.producer_epoch < 0) {
        return Ok(refuse(&request, ErrorCode::InvalidRequest));
    }
    let shard = shard.clone();
    Ok(Step::wait(async move {
        match shard.producer_ids.next(shard.control()).await {
            Ok(id) => answer(&request, id),
            Err(Refusal { code, .. }) => refuse(&request, code),
        }
    }))
}

fn answer(request: &Request, id: ProducerId) -> Step {
    Step::answer(request, &Response { producer_id: id.0, producer_epoch: 0, ..Response::default() })
}

fn refuse(request: &Request, code: ErrorCode) -> Step {
    Step::answer(request, &Response { error_code: code.code(), producer_epoch: -1, ..Response::default() })
}
