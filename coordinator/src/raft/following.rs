//! The log of a node that does not lead: made equal to the leader's, entry by entry or by a snapshot.

use model::{BrokerId, Offset};

use super::{
    actions::Action,
    log::{Entry, Position},
    message::{Body, Round},
    node::{Context, Node, Role},
    quorum::Voters,
};

impl Node {
    /// That node leads in this epoch, for it says so and has been elected. Whether that can be.
    pub(super) fn follow(
        &mut self,
        from: BrokerId,
        round: Round,
        cx: Context,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.is_leader() {
            actions
                .push(Action::Contradiction { from, what: "it leads in an epoch that this node leads in" });
            return false;
        }
        if self.leader != Some(from) || !matches!(self.role, Role::Follower) {
            self.enter(self.epoch(), Some(from), cx, actions);
        }
        self.heard_leader = Some((from, cx.now));
        self.last_round = self.last_round.max(round);
        self.postpone(cx);
        true
    }

    pub(super) fn take_entries(
        &mut self,
        from: BrokerId,
        before: Position,
        mut entries: Vec<Entry>,
        high_watermark: Offset,
        actions: &mut Vec<Action>,
    ) {
        let end = entries.last().map_or(before, Entry::end);
        let start = self.log.start();
        if end.offset > start.offset {
            if before.offset < start.offset {
                // What the snapshot has is committed, and so the same.
                entries.retain(|entry| entry.base >= start.offset);
            } else if self.log.epoch_before(before.offset) != Some(before.epoch) {
                let agree = self.log.end_of_epoch(before.epoch);
                let agree = self.log.floor(agree.offset.min(before.offset)).unwrap_or(start);
                let (before, round) = (before.offset, self.last_round);
                return self.send(from, Body::Diverged { before, agree, round }, actions);
            }
            if !self.extend(entries, actions) {
                let what = "its log differs from what is committed here";
                return actions.push(Action::Contradiction { from, what });
            }
        }
        self.verified = self.verified.max(end.offset);
        self.committed_up_to(high_watermark.min(self.acknowledged()), actions);
        self.answer(actions);
    }

    /// Entries that are there already stay; the first that is not the leader's goes, and everything after it. Not what
    /// is committed: false.
    fn extend(&mut self, entries: Vec<Entry>, actions: &mut Vec<Action>) -> bool {
        let is_new = |entry: &Entry| self.log.epoch_before(entry.next()) != Some(entry.epoch);
        let Some(first) = entries.iter().position(is_new) else { return true };
        let new = entries[first..].to_vec();
        let base = new[0].base;
        if self.log.end().offset > base {
            if base < self.high_watermark {
                return false;
            }
            self.log.truncate(base);
            actions.push(Action::Truncate(base));
        }
        let id = self.log.append(new.iter().cloned());
        actions.push(Action::Append { id, entries: new });
        true
    }

    /// What the leader may count on.
    fn acknowledged(&self) -> Offset {
        self.verified.min(self.log.durable())
    }

    pub(super) fn answer(&self, actions: &mut Vec<Action>) {
        if let Some(leader) = self.leader {
            let body = Body::Appended { matched: self.acknowledged(), round: self.last_round };
            self.send(leader, body, actions);
        }
    }

    pub(super) fn take_snapshot(&mut self, from: BrokerId, id: Position, actions: &mut Vec<Action>) {
        if !self.wants_snapshot(id) {
            // What a snapshot has is committed, and logs that share its end are equal before it.
            self.verified = self.verified.max(self.high_watermark).max(id.offset);
            self.committed_up_to(id.offset.min(self.acknowledged()), actions);
            return self.answer(actions);
        }
        actions.push(Action::FetchSnapshot { from, id });
        self.send(from, Body::Installing { round: self.last_round }, actions);
    }

    /// Whether a snapshot that ends at this position would bring anything. A log that got there by itself must stay as it is:
    /// what it has behind that position may be acknowledged, and counted on.
    pub fn wants_snapshot(&self, id: Position) -> bool {
        let has_it = id.offset <= self.high_watermark || self.log.epoch_before(id.offset) == Some(id.epoch);
        !has_it && !self.is_leader()
    }

    /// A snapshot that ends at this position is durable, with the voters it names. The log on the disk is empty then.
    /// What was fetched for nothing must not come here.
    pub fn installed(&mut self, id: Position, voters: Voters, cx: Context) -> Vec<Action> {
        let mut actions = Vec::new();
        assert!(self.wants_snapshot(id), "a snapshot takes nobody back");
        // Who sent it may be an epoch ahead of who told of it.
        if id.epoch > self.epoch() {
            self.enter(id.epoch, None, cx, &mut actions);
        }
        self.log.replace(id, voters);
        (self.high_watermark, self.verified) = (id.offset, id.offset);
        self.answer(&mut actions);
        actions
    }

    /// Somebody must know the leader: first who was told, then all in turn.
    pub(super) fn observe(&mut self, cx: Context, actions: &mut Vec<Action>) {
        self.forget_leader(cx, actions);
        let known: Voters = self.voters().iter().chain(self.config.contacts.iter().copied()).collect();
        let known = known.without(self.id());
        if known.count() > 0 {
            self.contact += 1;
            let contact = known.iter().nth(self.contact % known.count()).expect("it is below the count");
            self.send(contact, Body::Observe, actions);
        }
    }

    pub(super) fn ask_leader(&self, leader: Option<BrokerId>, actions: &mut Vec<Action>) {
        if let Some(leader) = leader.filter(|&leader| leader != self.id() && self.leader.is_none()) {
            self.send(leader, Body::Observe, actions);
        }
    }
}
