//! One node: what it is, what it remembers, and what it does when time passes.
//!
//! ```text
//!              deadline              majority would               majority votes
//!   Follower ------------> PreCandidate ------------> Candidate ------------------> Leader
//!      ^  ^                     |                          |                           |
//!      |  +---------------------+--------------------------+                           |
//!      +------- a later epoch, a leader of this one, or no majority heard of ----------+
//! ```

use std::collections::BTreeMap;

use model::{BrokerId, LeaderEpoch, Millis, Offset};

use super::{
    actions::Action,
    config::RaftConfig,
    hard_state::HardState,
    leading::Leading,
    log::{Entry, Log, PersistId, Position},
    message::{Body, Message, Round},
    quorum::Voters,
};

/// The world at the moment of a call.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub now: Millis,
    /// New with every call: so that not all start their elections at once.
    pub random: u64,
}

/// What a node's disk says after a start.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub hard_state: HardState,
    /// Where the snapshot ends, and the voters there.
    pub start: Position,
    pub voters: Voters,
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(super) enum Role {
    Follower,
    /// Who would vote for it.
    PreCandidate(BTreeMap<BrokerId, bool>),
    Candidate(BTreeMap<BrokerId, bool>),
    Leader(Leading),
}

#[derive(Clone, Debug)]
pub struct Node {
    pub(super) config: RaftConfig,
    pub(super) hard_state: HardState,
    pub(super) role: Role,
    pub(super) leader: Option<BrokerId>,
    pub(super) log: Log,
    pub(super) high_watermark: Offset,
    /// In this epoch the log was seen to be the leader's up to here, durable or not.
    pub(super) verified: Offset,
    pub(super) last_round: Round,
    /// Which other leader was heard last, and when: who hears of one wants no other.
    pub(super) heard_leader: Option<(BrokerId, Millis)>,
    pub(super) deadline: Millis,
    pub(super) contact: usize,
}

impl Node {
    pub fn new(config: RaftConfig, stored: Stored, cx: Context) -> Self {
        let start = stored.start.offset;
        let mut node = Self {
            config,
            hard_state: stored.hard_state,
            role: Role::Follower,
            leader: None,
            log: Log::new(stored.start, stored.voters, stored.entries),
            high_watermark: start,
            verified: start,
            last_round: Round::default(),
            heard_leader: None,
            deadline: cx.now,
            contact: 0,
        };
        // A snapshot may come from a later epoch, and be durable before that one is.
        let end = node.log.end();
        if end.epoch > node.epoch() {
            node.hard_state = HardState { epoch: end.epoch, voted_for: None };
        }
        // Who could only elect itself, or only asks who leads, has nothing to wait for.
        if node.may_stand() && !node.others().is_empty() {
            node.postpone(cx);
        }
        node
    }

    pub fn id(&self) -> BrokerId {
        self.config.id
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.hard_state.epoch
    }

    pub fn leader(&self) -> Option<BrokerId> {
        self.leader
    }

    /// Who led before this node, and when it was last heard. Nobody, if this node led last.
    pub fn last_leader(&self) -> Option<(BrokerId, Millis)> {
        self.heard_leader
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Where what is committed ends.
    pub fn committed(&self) -> Position {
        self.log.floor(self.high_watermark).expect("what is committed is in the log")
    }

    /// Who voted at an offset, for a snapshot that ends there.
    pub fn voters_at(&self, offset: Offset) -> &Voters {
        self.log.voters_below(offset)
    }

    pub fn voters(&self) -> &Voters {
        self.log.voters().1
    }

    pub(super) fn is_voter(&self) -> bool {
        self.voters().contains(self.id())
    }

    /// Also one that a change removes which may not be committed: it may be the only one with that change, and then
    /// nobody else can win (Raft thesis, section 4.2.2).
    fn may_stand(&self) -> bool {
        let before = self.log.voters_before_change(self.high_watermark);
        self.is_voter() || before.is_some_and(|voters| voters.contains(self.id()))
    }

    /// When `tick` has something to do.
    pub fn next_deadline(&self) -> Millis {
        match &self.role {
            Role::Leader(leading) => leading.heartbeat_due,
            _ => self.deadline,
        }
    }

    pub fn tick(&mut self, cx: Context) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.is_leader() {
            self.tick_leader(cx, &mut actions);
        } else if cx.now >= self.deadline {
            if self.may_stand() {
                self.campaign(cx, &mut actions);
            } else {
                self.observe(cx, &mut actions);
            }
        }
        actions
    }

    pub fn receive(&mut self, message: Message, cx: Context) -> Vec<Action> {
        let mut actions = Vec::new();
        let Message { from, to, epoch, body } = message;
        if to != self.id() || from == self.id() || !body.is_sound(epoch) {
            return actions;
        }
        if self.clings_to_its_leader(&body, cx) {
            return actions;
        }
        if epoch > self.epoch() {
            self.enter(epoch, None, cx, &mut actions);
        }
        let is_current = epoch == self.epoch();
        match body {
            Body::PreVote { end } => self.answer_pre_vote(from, epoch, end, cx, &mut actions),
            Body::PreVoteAnswer { epoch, granted } if epoch == self.epoch() => {
                self.count_pre_vote(from, granted, cx, &mut actions);
            }
            Body::PreVoteAnswer { .. } => {}
            Body::Vote { end, .. } => self.answer_vote(from, is_current, end, cx, &mut actions),
            Body::VoteAnswer { granted } if is_current => self.count_vote(from, granted, cx, &mut actions),
            Body::Append { round, .. } | Body::Snapshot { round, .. } if !is_current => {
                // The sender leads no more, and learns it from the epoch of the answer.
                self.send(from, Body::Appended { matched: Offset::ZERO, round }, &mut actions);
            }
            Body::Append { before, entries, high_watermark, round } => {
                if self.follow(from, round, cx, &mut actions) {
                    self.take_entries(from, before, entries, high_watermark, &mut actions);
                }
            }
            Body::Snapshot { id, round } => {
                if self.follow(from, round, cx, &mut actions) {
                    self.take_snapshot(from, id, &mut actions);
                }
            }
            Body::Appended { matched, round } if is_current => {
                self.count_appended(from, matched, round, cx, &mut actions);
            }
            Body::Diverged { before, agree, round } if is_current => {
                self.count_diverged(from, before, agree, round, cx, &mut actions);
            }
            Body::Installing { round } if is_current => self.count_round(from, round, cx, &mut actions),
            Body::Observe => self.take_observer(from, cx, &mut actions),
            Body::NotLeader { leader } => self.ask_leader(leader, &mut actions),
            Body::TimeoutNow if is_current && self.may_stand() && !self.is_leader() => {
                self.stand(true, cx, &mut actions);
            }
            Body::VoteAnswer { .. }
            | Body::Appended { .. }
            | Body::Diverged { .. }
            | Body::Installing { .. }
            | Body::TimeoutNow => {}
        }
        actions
    }

    /// Everything up to that append is durable.
    pub fn persisted(&mut self, id: PersistId, cx: Context) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.log.persisted(id) {
            if self.is_leader() {
                self.commit(cx, &mut actions);
            } else {
                self.answer(&mut actions);
            }
        }
        actions
    }

    /// Everything before this committed position is in a durable snapshot of this node.
    pub fn compact(&mut self, to: Offset) {
        assert!(to <= self.high_watermark, "snapshots are of what is committed");
        self.log.drop_before(to);
    }

    pub(super) fn postpone(&mut self, cx: Context) {
        let timeout = self.config.election_timeout;
        let spread = u64::try_from(timeout.as_millis()).expect("a timeout is short").max(1);
        self.deadline = Millis((cx.now + timeout).0 + cx.random % spread);
    }

    pub(super) fn send(&self, to: BrokerId, body: Body, actions: &mut Vec<Action>) {
        actions.push(Action::Send(Message { from: self.id(), to, epoch: self.epoch(), body }));
    }

    /// What was seen of the leader before was seen of another.
    pub(super) fn begin_epoch(&mut self, hard_state: HardState, actions: &mut Vec<Action>) {
        self.hard_state = hard_state;
        actions.push(Action::Save(hard_state));
        self.verified = self.high_watermark;
        self.last_round = Round::default();
    }

    /// Too long without a word from one.
    pub(super) fn forget_leader(&mut self, cx: Context, actions: &mut Vec<Action>) {
        self.postpone(cx);
        if self.leader.take().is_some() {
            actions.push(Action::Follow { epoch: self.epoch(), leader: None });
        }
    }

    /// Follower of a later epoch, or of this one after having wanted more.
    pub(super) fn enter(
        &mut self,
        epoch: LeaderEpoch,
        leader: Option<BrokerId>,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        assert!(epoch >= self.epoch(), "epochs do not go back");
        if epoch > self.epoch() {
            self.begin_epoch(HardState { epoch, voted_for: None }, actions);
        }
        if let Role::Leader(leading) = std::mem::replace(&mut self.role, Role::Follower) {
            leading.fail_reads(actions);
            self.heard_leader = None;
        }
        self.leader = leader;
        self.postpone(cx);
        actions.push(Action::Follow { epoch, leader });
    }

    pub(super) fn committed_up_to(&mut self, offset: Offset, actions: &mut Vec<Action>) {
        if offset > self.high_watermark {
            assert!(offset <= self.log.end().offset);
            self.high_watermark = offset;
            actions.push(Action::Commit(offset));
        }
    }
}
