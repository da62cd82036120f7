//! Changes of who votes, and of who leads.

use coordinator::raft::ProposeError;
use engine::Disk;
use model::BrokerId;

use crate::consensus::Consensus;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    AddVoter(BrokerId),
    RemoveVoter(BrokerId),
    Transfer(BrokerId),
}

/// Whether the same may go well a moment later, without anybody else's doing.
fn passes(error: ProposeError) -> bool {
    match error {
        ProposeError::Busy
        | ProposeError::Transferring
        | ProposeError::NotReady
        | ProposeError::ChangeUnderWay
        | ProposeError::Behind => true,
        ProposeError::NotLeader(_)
        | ProposeError::IsVoter
        | ProposeError::NoVoter
        | ProposeError::TooLarge
        | ProposeError::VoterCount => false,
    }
}

impl<D: Disk> Consensus<D> {
    /// Returns when the voters are so; with `until_committed`, when that holds for good. A voter to be added is waited for
    /// until it has the log, and a change that is under way until it is committed.
    pub async fn change_voters(&self, change: Change, until_committed: bool) -> Result<(), ProposeError> {
        let (id, votes) = match change {
            Change::AddVoter(id) => (id, true),
            Change::RemoveVoter(id) => (id, false),
            Change::Transfer(_) => return self.change(change).await,
        };
        loop {
            let moved = self.moved().wait();
            match self.may_change(id, votes) {
                Ok(()) => match self.change(change).await {
                    Err(error) if passes(error) => {}
                    Err(error) => return Err(error),
                    Ok(()) => break,
                },
                Err(error) if passes(error) => moved.await,
                Err(error) => return Err(error),
            }
        }
        if !until_committed {
            return Ok(());
        }
        loop {
            let moved = self.moved().wait();
            if let Some(settled) = self.settled(id, votes) {
                return settled;
            }
            moved.await;
        }
    }

    fn may_change(&self, id: BrokerId, votes: bool) -> Result<(), ProposeError> {
        let node = self.node();
        let voters = if votes { node.may_add_voter(id) } else { node.may_remove_voter(id) };
        voters.map(drop)
    }

    /// Of a change that is begun. None: it is not known yet what becomes of it.
    fn settled(&self, id: BrokerId, votes: bool) -> Option<Result<(), ProposeError>> {
        let node = self.node();
        match node.is_settled_voter(id) {
            Some(settled) if settled == votes => Some(Ok(())),
            _ if !node.is_leader() => Some(Err(ProposeError::NotLeader(None))),
            _ => None,
        }
    }
}
