//! AddRaftVoter: a broker that has followed the metadata log gets a vote on it (KIP-853). 1 may ask for an answer before
//! the change is committed.
//!
//! The broker must have registered, and is reached where its registration says: the listeners of the request are not
//! looked at. A broker that lags is waited for, as long as the request may take.

use std::{rc::Rc, time::Duration};

use coordinator::Refusal;
use engine::Disk;
use model::BrokerId;

use super::{Handled, Step, configs::outcome_of, voters};
use crate::{
    quorum::{ChangeVoters, VoterChange},
    request::Request,
    shard::Shard,
    wire::messages::add_raft_voter::{RequestView, Response},
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Err(refusal) = voters::check_cluster(shard, view.cluster_id) {
        return Ok(answer(&request, &Err(refusal)));
    }
    let change = ChangeVoters {
        change: VoterChange::Add,
        id: BrokerId(view.voter_id),
        directory_id: voters::directory(view.voter_directory_id),
        timeout: Duration::from_millis(u64::try_from(view.timeout_ms).unwrap_or(0)),
        until_committed: view.ack_when_committed,
    };
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let changed = voters::change(&shard, &request, change).await;
        answer(&request, &changed)
    }))
}

fn answer(request: &Request, outcome: &Result<(), Refusal>) -> Step {
    let (error_code, error_message) = outcome_of(outcome);
    Step::answer(request, &Response { error_code, error_message, ..Response::default() })
}
