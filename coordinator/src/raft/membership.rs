//! Voters come and go one at a time, so that any majority before a change meets any majority after it (Raft thesis,
//! section 4.1); and leadership is handed over.

use model::BrokerId;

use super::{
    actions::Action,
    leading::ProposeError,
    log::Payload,
    message::Body,
    node::{Context, Node, Role},
    quorum::{VOTERS_MAX, Voters},
};

impl Node {
    /// It must have followed the log as an observer: a voter that lacks it can only slow the others down.
    pub fn add_voter(&mut self, id: BrokerId, cx: Context) -> (Result<(), ProposeError>, Vec<Action>) {
        self.change_voters(self.may_add_voter(id), cx)
    }

    /// The voters as they would be.
    pub fn may_add_voter(&self, id: BrokerId) -> Result<Voters, ProposeError> {
        self.may_change_voters()?;
        if self.voters().contains(id) {
            Err(ProposeError::IsVoter)
        } else if self.voters().count() >= VOTERS_MAX {
            Err(ProposeError::VoterCount)
        } else if !self.follows(id) {
            Err(ProposeError::Behind)
        } else {
            Ok(self.voters().with(id))
        }
    }

    /// Also this node itself, which leads until that is committed.
    pub fn remove_voter(&mut self, id: BrokerId, cx: Context) -> (Result<(), ProposeError>, Vec<Action>) {
        self.change_voters(self.may_remove_voter(id), cx)
    }

    /// The voters as they would be.
    pub fn may_remove_voter(&self, id: BrokerId) -> Result<Voters, ProposeError> {
        self.may_change_voters()?;
        if !self.voters().contains(id) {
            Err(ProposeError::NoVoter)
        } else if self.voters().count() == 1 {
            Err(ProposeError::VoterCount)
        } else {
            Ok(self.voters().without(id))
        }
    }

    /// Whether it is a voter, and for good: that is committed.
    pub fn is_settled_voter(&self, id: BrokerId) -> Option<bool> {
        let (written, voters) = self.log.voters();
        (written < self.high_watermark).then(|| voters.contains(id))
    }

    fn change_voters(
        &mut self,
        checked: Result<Voters, ProposeError>,
        cx: Context,
    ) -> (Result<(), ProposeError>, Vec<Action>) {
        let mut actions = Vec::new();
        let changed = checked.map(|voters| {
            self.write(Payload::Voters(voters), cx, &mut actions);
        });
        (changed, actions)
    }

    /// A change before the epoch's own first commit could be one of two at once: of two leaders, each knows one.
    fn may_change_voters(&self) -> Result<(), ProposeError> {
        self.may_write()?;
        if !self.has_own_commit() {
            return Err(ProposeError::NotReady);
        }
        let (written, _) = self.log.voters();
        if written >= self.high_watermark { Err(ProposeError::ChangeUnderWay) } else { Ok(()) }
    }

    fn follows(&self, id: BrokerId) -> bool {
        let Role::Leader(leading) = &self.role else { return false };
        leading.peers.get(&id).is_some_and(|peer| peer.matched >= self.high_watermark)
    }

    pub(super) fn leave_if_removed(&mut self, cx: Context, actions: &mut Vec<Action>) {
        let (written, _) = self.log.voters();
        if !self.is_voter() && written < self.high_watermark {
            self.enter(self.epoch(), None, cx, actions);
        }
    }

    /// Nothing is written until it is done or an election timeout has passed.
    pub fn transfer(&mut self, to: BrokerId, cx: Context) -> (Result<(), ProposeError>, Vec<Action>) {
        let mut actions = Vec::new();
        let checked = self.may_write().and_then(|()| match to {
            _ if !self.voters().contains(to) => Err(ProposeError::NoVoter),
            _ if to == self.id() => Err(ProposeError::IsVoter),
            _ if !self.follows(to) => Err(ProposeError::Behind),
            _ => Ok(()),
        });
        if checked.is_ok() {
            let until = cx.now + self.config.election_timeout;
            self.leading().expect("it may write").transfer = Some((to, until));
            self.finish_transfer(to, &mut actions);
        }
        (checked, actions)
    }

    pub(super) fn finish_transfer(&mut self, with: BrokerId, actions: &mut Vec<Action>) {
        let end = self.log.end().offset;
        let Role::Leader(leading) = &self.role else { return };
        let is_due = leading.transfer.is_some_and(|(to, _)| to == with);
        if is_due && leading.peers.get(&with).is_some_and(|peer| peer.matched == end) {
            self.send(with, Body::TimeoutNow, actions);
        }
    }
}
