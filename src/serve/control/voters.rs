//! What clients ask of the quorum itself, and not of what it decides: how far everybody is, and who votes.

use coordinator::{
    Image, Refusal,
    raft::{Node, ProposeError, VOTERS_MAX},
};
use engine::Disk;
use model::{ErrorCode, Millis, Offset, Timestamp};
use net::{ChangeVoters, QuorumReplica, QuorumState, VoterChange};
use quorum::{Change, unknown};

use super::Control;

impl<D: Disk> Control<D> {
    /// As the controller.
    pub(super) fn quorum_state(&self) -> QuorumState {
        quorum_state(&self.consensus().node(), rt::timer::now(), rt::timer::wall())
    }

    /// As the controller, without the queue of decisions: a change may wait long for the voter to catch up.
    pub(super) async fn change_voters(&self, asked: ChangeVoters) -> Result<(), Refusal> {
        let consensus = self.consensus();
        check(&asked, consensus.node().voters().contains(asked.id), &consensus.image())?;
        let change = match asked.change {
            VoterChange::Add => Change::AddVoter(asked.id),
            VoterChange::Remove => Change::RemoveVoter(asked.id),
        };
        let changed = consensus.change_voters(change, asked.until_committed);
        match rt::timer::timeout(asked.timeout, changed).await {
            Some(Ok(())) => {
                tracing::info!(voter = %asked.id, "the voters of the metadata changed: {:?}", asked.change);
                Ok(())
            }
            Some(Err(error)) => Err(refusal(error, &asked)),
            None => Err(late(consensus.node().may_add_voter(asked.id).err(), &asked)),
        }
    }
}

/// Before anything is waited for.
fn check(asked: &ChangeVoters, votes: bool, image: &Image) -> Result<(), Refusal> {
    let id = asked.id;
    let broker = image.broker(id);
    let is_other =
        asked.directory_id.is_some_and(|asked| broker.is_some_and(|broker| broker.directory_id != asked));
    match (asked.change, votes) {
        (VoterChange::Add, true) => Err(refusal(ProposeError::IsVoter, asked)),
        (VoterChange::Add, false) if broker.is_none() => {
            let sentence = format!("Broker {id} has not registered; start it, and add it then.");
            Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, sentence))
        }
        (VoterChange::Add, false) if is_other => {
            let sentence = format!("Broker {id} has registered with another directory id.");
            Err(Refusal::new(ErrorCode::InvalidVoterKey, sentence))
        }
        (VoterChange::Remove, true) if is_other => {
            let sentence = format!("The voter {id} has another directory id.");
            Err(Refusal::new(ErrorCode::VoterNotFound, sentence))
        }
        (VoterChange::Remove, false) => Err(refusal(ProposeError::NoVoter, asked)),
        _ => Ok(()),
    }
}

fn refusal(error: ProposeError, asked: &ChangeVoters) -> Refusal {
    let id = asked.id;
    match error {
        ProposeError::IsVoter => Refusal::new(ErrorCode::DuplicateVoter, format!("Broker {id} is a voter.")),
        ProposeError::NoVoter => Refusal::new(ErrorCode::VoterNotFound, format!("Broker {id} is no voter.")),
        ProposeError::VoterCount => {
            let sentence = match asked.change {
                VoterChange::Add => format!("There are {VOTERS_MAX} voters, which is the most there may be."),
                VoterChange::Remove => format!("Broker {id} is the only voter; add another one first."),
            };
            Refusal::new(ErrorCode::InvalidRequest, sentence)
        }
        ProposeError::NotLeader(_)
        | ProposeError::Busy
        | ProposeError::TooLarge
        | ProposeError::Transferring
        | ProposeError::NotReady
        | ProposeError::ChangeUnderWay
        | ProposeError::Behind => unknown(),
    }
}

/// `why`: what still keeps the voter from being added.
fn late(why: Option<ProposeError>, asked: &ChangeVoters) -> Refusal {
    let sentence = match (asked.change, why) {
        (VoterChange::Add, Some(ProposeError::Behind)) => {
            format!("Broker {} has not caught up with the metadata in time; is it alive?", asked.id)
        }
        _ => "The change of the voters is not committed yet; is a majority of them alive?".to_owned(),
    };
    Refusal::new(ErrorCode::RequestTimedOut, sentence)
}

/// `now` and `wall` are the same moment.
fn quorum_state(node: &Node, now: Millis, wall: Timestamp) -> QuorumState {
    let at = |then: Millis| {
        let ago = i64::try_from(now.since(then).as_millis()).unwrap_or(i64::MAX);
        Timestamp(wall.0.saturating_sub(ago))
    };
    let own = QuorumReplica {
        id: node.id(),
        end: node.log().end().offset,
        last_fetch: Some(wall),
        last_caught_up: Some(wall),
    };
    let others = node.replicas().into_iter().map(|replica| QuorumReplica {
        id: replica.id,
        end: replica.answered.map_or(Offset::NONE, |_| replica.matched),
        last_fetch: replica.answered.map(at),
        last_caught_up: replica.caught_up.map(at),
    });
    let mut replicas: Vec<QuorumReplica> = others.chain([own]).collect();
    replicas.sort_unstable_by_key(|replica| replica.id);
    let (voters, observers) = replicas.into_iter().partition(|replica| node.voters().contains(replica.id));
    QuorumState {
        leader: node.id(),
        epoch: node.epoch(),
        high_watermark: node.high_watermark(),
        voters,
        observers,
    }
}

#[cfg(test)]
mod tests;
