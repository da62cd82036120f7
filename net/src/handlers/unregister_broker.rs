//! UnregisterBroker: a broker that does not come back is forgotten. One that lives registers again. It stays a replica, as
//! in Apache Kafka, until its partitions are moved.

use std::rc::Rc;

use engine::Disk;
use model::BrokerId;

use super::{Handled, Step, configs::outcome_of, propose};
use crate::{
    control::{Outcome, Proposal},
    request::Request,
    shard::Shard,
    wire::messages::unregister_broker::{RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let broker = BrokerId(RequestView::decode(request.body(), request.version)?.broker_id);
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let outcome = match propose(&shard, &request, Proposal::UnregisterBroker(broker)).await {
            Outcome::UnregisterBroker(outcome) => outcome,
            other => Err(other.refusal()),
        };
        let (error_code, error_message) = outcome_of(&outcome);
        Step::answer(&request, &Response { error_code, error_message, ..Response::default() })
    }))
}
