//! RemoveRaftVoter: a broker has no vote on the metadata log any more (KIP-853), and goes on following it. The controller
//! can be removed as well: it leads until that is committed.

use std::{rc::Rc, time::Duration};

use coordinator::Refusal;
use engine::Disk;
use model::BrokerId;

use super::{Handled, Step, configs::outcome_of, voters};
use crate::{
    quorum::{ChangeVoters, VoterChange},
    request::Request,
    shard::Shard,
    wire::messages::remove_raft_voter::{RequestView, Response},
};

/// The request has none of its own.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Err(refusal) = voters::check_cluster(shard, view.cluster_id) {
        return Ok(answer(&request, &Err(refusal)));
    }
    let change = ChangeVoters {
        change: VoterChange::Remove,
        id: BrokerId(view.voter_id),
        directory_id: voters::directory(view.voter_directory_id),
        timeout: TIMEOUT,
        until_committed: true,
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
