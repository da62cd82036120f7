//! Elections: pre-votes, votes, and why a node does not want another leader.

use std::collections::BTreeMap;

use model::{BrokerId, LeaderEpoch};

use super::{
    actions::Action,
    hard_state::HardState,
    leading::Leading,
    log::{Payload, Position},
    message::Body,
    node::{Context, Node, Role},
};

impl Node {
    /// A node that comes back from a cut-off part of the network must not make those start over who have a leader.
    /// Its question is not even heard, as it would raise their epoch (Raft section 6).
    pub(super) fn clings_to_its_leader(&self, body: &Body, cx: Context) -> bool {
        matches!(body, Body::Vote { transfer: false, .. }) && self.has_leader(cx)
    }

    fn has_leader(&self, cx: Context) -> bool {
        let lately = |heard| cx.now.since(heard) < self.config.election_timeout;
        self.is_leader() || (self.leader.is_some() && self.heard_leader.is_some_and(|(_, at)| lately(at)))
    }

    /// First asks whether there would be votes, so that who would lose raises no epoch.
    pub(super) fn campaign(&mut self, cx: Context, actions: &mut Vec<Action>) {
        self.forget_leader(cx, actions);
        self.role = Role::PreCandidate(BTreeMap::from([(self.id(), true)]));
        let end = self.log.end();
        for voter in self.others() {
            self.send(voter, Body::PreVote { end }, actions);
        }
        self.count_pre_vote(self.id(), true, cx, actions);
    }

    pub(super) fn stand(&mut self, transfer: bool, cx: Context, actions: &mut Vec<Action>) {
        self.postpone(cx);
        // Only a node that lies about its epoch could bring the others there.
        let Some(epoch) = self.epoch().0.checked_add(1).map(LeaderEpoch) else { return };
        self.begin_epoch(HardState { epoch, voted_for: Some(self.id()) }, actions);
        self.leader = None;
        self.role = Role::Candidate(BTreeMap::from([(self.id(), true)]));
        let end = self.log.end();
        for voter in self.others() {
            self.send(voter, Body::Vote { end, transfer }, actions);
        }
        self.count_vote(self.id(), true, cx, actions);
    }

    pub(super) fn others(&self) -> Vec<BrokerId> {
        self.voters().iter().filter(|&voter| voter != self.id()).collect()
    }

    /// Who asks knows of no leader. Who has one tells: the voters may have changed without the asker.
    pub(super) fn answer_pre_vote(
        &mut self,
        from: BrokerId,
        epoch: LeaderEpoch,
        end: Position,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        if self.has_leader(cx) {
            return self.take_observer(from, cx, actions);
        }
        let granted = epoch >= self.epoch() && end.is_up_to_date_with(self.log.end());
        self.send(from, Body::PreVoteAnswer { epoch, granted }, actions);
    }

    pub(super) fn count_pre_vote(
        &mut self,
        from: BrokerId,
        granted: bool,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        let Role::PreCandidate(votes) = &mut self.role else { return };
        votes.insert(from, granted);
        if self.wins() {
            self.stand(false, cx, actions);
        }
    }

    pub(super) fn answer_vote(
        &mut self,
        from: BrokerId,
        is_current: bool,
        end: Position,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        let is_free = match self.hard_state.voted_for {
            Some(other) => other == from,
            None => self.leader.is_none(),
        };
        let granted = is_current && is_free && end.is_up_to_date_with(self.log.end());
        if granted && self.hard_state.voted_for.is_none() {
            self.hard_state.voted_for = Some(from);
            actions.push(Action::Save(self.hard_state));
            self.postpone(cx);
        }
        self.send(from, Body::VoteAnswer { granted }, actions);
    }

    pub(super) fn count_vote(
        &mut self,
        from: BrokerId,
        granted: bool,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        let Role::Candidate(votes) = &mut self.role else { return };
        votes.insert(from, granted);
        if self.wins() {
            self.lead(cx, actions);
        }
    }

    fn wins(&self) -> bool {
        let (Role::PreCandidate(votes) | Role::Candidate(votes)) = &self.role else { return false };
        self.voters().agree(|voter| votes.get(&voter) == Some(&true))
    }

    fn lead(&mut self, cx: Context, actions: &mut Vec<Action>) {
        self.leader = Some(self.id());
        self.role = Role::Leader(Leading::new(self.log.end().offset, self.config.heartbeat, cx.now));
        actions.push(Action::Lead(self.epoch()));
        self.write(Payload::LeaderChange, cx, actions);
    }
}
