//! What a leader does: sends its log to everyone, counts who has it, asks whether it still leads, and gives up.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use model::{BrokerId, Millis, Offset};

use super::{
    actions::{Action, ReadId},
    codec::BATCH_BYTES_MAX,
    log::{Entry, Payload, Position},
    message::{Body, Round},
    node::{Context, Node, Role},
    progress::{Pace, Progress},
};

/// Questions that wait for a round at once. More find the leader busy.
const READS_MAX: usize = 10_000;

/// Brokers that are sent the log. One more goes without, as a cluster has fewer.
const PEERS_MAX: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    #[error("another node leads, if any does")]
    NotLeader(Option<BrokerId>),
    #[error("too much is not yet committed")]
    Busy,
    #[error("the records are more than one message holds")]
    TooLarge,
    #[error("leadership is on its way to another node")]
    Transferring,
    #[error("the epoch has nothing committed yet")]
    NotReady,
    #[error("the last change of the voters is not yet committed")]
    ChangeUnderWay,
    #[error("the node is a voter")]
    IsVoter,
    #[error("the node is no voter")]
    NoVoter,
    #[error("the node does not have the log yet")]
    Behind,
    #[error("without this voter there is none, or with it there are too many")]
    VoterCount,
}

/// Another node, as the leader knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replica {
    pub id: BrokerId,
    /// Durable there, and as the leader's log, up to here.
    pub matched: Offset,
    /// When it last said so; None: never to this leader.
    pub answered: Option<Millis>,
    /// When it last had everything.
    pub caught_up: Option<Millis>,
}

#[derive(Clone, Debug)]
struct Read {
    id: ReadId,
    high_watermark: Offset,
    round: Round,
}

#[derive(Clone, Debug)]
pub(super) struct Leading {
    pub peers: BTreeMap<BrokerId, Progress>,
    /// Its first entry. Before that is committed, it does not know what is (Raft section 8).
    first: Offset,
    pub heartbeat_due: Millis,
    since: Millis,
    round: Round,
    reads: VecDeque<Read>,
    /// To whom leadership goes, and until when that is tried.
    pub transfer: Option<(BrokerId, Millis)>,
}

impl Leading {
    pub(super) fn new(first: Offset, heartbeat: Duration, now: Millis) -> Self {
        Self {
            peers: BTreeMap::new(),
            first,
            heartbeat_due: now + heartbeat,
            since: now,
            round: Round::default(),
            reads: VecDeque::new(),
            transfer: None,
        }
    }

    pub(super) fn fail_reads(self, actions: &mut Vec<Action>) {
        actions.extend(self.reads.into_iter().map(|read| Action::ReadFailed(read.id)));
    }
}

impl Node {
    pub(super) fn leading(&mut self) -> Option<&mut Leading> {
        match &mut self.role {
            Role::Leader(leading) => Some(leading),
            _ => None,
        }
    }

    fn peers(&self) -> Vec<BrokerId> {
        match &self.role {
            Role::Leader(leading) => leading.peers.keys().copied().collect(),
            _ => Vec::new(),
        }
    }

    /// What a majority of the voters has reached, this node among them.
    fn reached<T: Ord + Copy + Default>(&self, own: T, peer: impl Fn(&Progress) -> T) -> Option<T> {
        let Role::Leader(leading) = &self.role else { return None };
        self.voters().reached(|voter| match leading.peers.get(&voter) {
            _ if voter == self.id() => own,
            known => known.map_or(T::default(), &peer),
        })
    }

    /// The others may have it before this node's own disk has, so it goes to them first.
    pub(super) fn write(&mut self, payload: Payload, cx: Context, actions: &mut Vec<Action>) -> Offset {
        let base = self.log.end().offset;
        let entry = Entry { base, epoch: self.epoch(), payload };
        let id = self.log.append([entry.clone()]);
        self.know_voters(cx);
        for to in self.peers() {
            self.send_entries(to, cx, actions);
        }
        actions.push(Action::Append { id, entries: vec![entry] });
        base
    }

    /// A new voter is sent the log from the moment it is one; who is none any more is an observer.
    fn know_voters(&mut self, cx: Context) {
        let (end, voters) = (self.log.end().offset, self.others());
        let Some(leading) = self.leading() else { return };
        for voter in voters {
            leading.peers.entry(voter).or_insert_with(|| Progress::new(end, cx.now));
        }
    }

    /// The offset of the first record, if this node leads.
    pub fn propose(
        &mut self,
        bytes: Arc<[u8]>,
        count: u32,
        cx: Context,
    ) -> (Result<Offset, ProposeError>, Vec<Action>) {
        let mut actions = Vec::new();
        let fits = if bytes.len() <= BATCH_BYTES_MAX { Ok(()) } else { Err(ProposeError::TooLarge) };
        let accepted = self.may_write().and(fits).map(|()| {
            assert!(count > 0, "a batch has records");
            self.write(Payload::Records { bytes, count }, cx, &mut actions)
        });
        (accepted, actions)
    }

    pub(super) fn may_write(&self) -> Result<(), ProposeError> {
        let Role::Leader(leading) = &self.role else {
            return Err(ProposeError::NotLeader(self.leader));
        };
        if leading.transfer.is_some() {
            return Err(ProposeError::Transferring);
        }
        let uncommitted = self.log.end().offset - self.high_watermark;
        let max = i64::try_from(self.config.uncommitted_max).expect("a limit is small");
        if uncommitted >= max { Err(ProposeError::Busy) } else { Ok(()) }
    }

    /// Whether it leads, and something of its own epoch is committed: then it knows everything that is.
    pub fn is_active(&self) -> bool {
        self.has_own_commit()
    }

    /// What a leader knows of everyone that it sends the log to, in order of their ids.
    pub fn replicas(&self) -> Vec<Replica> {
        let Role::Leader(leading) = &self.role else { return Vec::new() };
        let replica = |(&id, peer): (&BrokerId, &Progress)| Replica {
            id,
            matched: peer.matched,
            answered: peer.answered_at(),
            caught_up: peer.caught_up,
        };
        leading.peers.iter().map(replica).collect()
    }

    pub(super) fn has_own_commit(&self) -> bool {
        matches!(&self.role, Role::Leader(leading) if self.high_watermark > leading.first)
    }

    pub(super) fn tick_leader(&mut self, cx: Context, actions: &mut Vec<Action>) {
        let silent_since = |heard| cx.now.since(heard) >= self.config.election_timeout;
        let Role::Leader(leading) = &self.role else { return };
        let is_heard = self.reached(true, |peer| !silent_since(peer.heard));
        if silent_since(leading.since) && is_heard != Some(true) {
            return self.enter(self.epoch(), None, cx, actions);
        }
        if cx.now >= leading.heartbeat_due {
            self.forget_observers(cx);
            self.heartbeat(cx, actions);
        }
    }

    /// An observer that is silent asks anew when it is back.
    fn forget_observers(&mut self, cx: Context) {
        let (voters, patience) = (self.voters().clone(), 10 * self.config.election_timeout);
        if let Some(leading) = self.leading() {
            leading.peers.retain(|&id, peer| voters.contains(id) || cx.now.since(peer.heard) < patience);
            leading.transfer = leading.transfer.filter(|&(_, until)| cx.now < until);
        }
    }

    fn heartbeat(&mut self, cx: Context, actions: &mut Vec<Action>) {
        let (heartbeat, retry) = (self.config.heartbeat, self.config.election_timeout / 2);
        let Some(leading) = self.leading() else { return };
        leading.heartbeat_due = cx.now + heartbeat;
        let stuck_before = Millis(cx.now.0.saturating_sub(u64::try_from(retry.as_millis()).unwrap_or(0)));
        for peer in leading.peers.values_mut() {
            peer.retry(stuck_before);
        }
        self.tell_all(cx, actions);
    }

    /// Followers that have nothing more to get must hear of the leader, and of its high watermark, as well.
    fn tell_all(&mut self, cx: Context, actions: &mut Vec<Action>) {
        for to in self.peers() {
            self.tell(to, cx, actions);
        }
    }

    fn tell(&mut self, to: BrokerId, cx: Context, actions: &mut Vec<Action>) {
        if !self.send_entries(to, cx, actions) {
            self.send_round(to, actions);
        }
    }

    /// What a peer lacks, as far as it may be under way. Whether anything was sent.
    fn send_entries(&mut self, to: BrokerId, cx: Context, actions: &mut Vec<Action>) -> bool {
        let mut sent = false;
        let (bytes_max, in_flight_max) = (self.config.append_bytes_max, self.config.in_flight_max);
        loop {
            let Role::Leader(leading) = &mut self.role else { return sent };
            let round = leading.round;
            let Some(peer) = leading.peers.get_mut(&to) else { return sent };
            if !peer.may_send(in_flight_max) {
                return sent;
            }
            let Some(epoch) = self.log.epoch_before(peer.next) else {
                peer.needs_snapshot();
                self.send(to, Body::Snapshot { id: self.log.start(), round }, actions);
                return true;
            };
            let before = Position { offset: peer.next, epoch };
            let entries = self.log.from(peer.next, bytes_max);
            let Some(last) = entries.last() else { return sent };
            peer.sent(last.next(), cx.now);
            let body = Body::Append { before, entries, high_watermark: self.high_watermark, round };
            self.send(to, body, actions);
            sent = true;
        }
    }

    /// Says that it leads, and asks for an answer.
    fn send_round(&self, to: BrokerId, actions: &mut Vec<Action>) {
        let Role::Leader(leading) = &self.role else { return };
        let Some(peer) = leading.peers.get(&to) else { return };
        let (round, high_watermark) = (leading.round, self.high_watermark);
        let body = match self.log.epoch_before(peer.next) {
            Some(epoch) if peer.pace != Pace::Snapshot => {
                let before = Position { offset: peer.next, epoch };
                Body::Append { before, entries: Vec::new(), high_watermark, round }
            }
            _ => Body::Snapshot { id: self.log.start(), round },
        };
        self.send(to, body, actions);
    }

    /// A peer that a message came from, if this node leads.
    fn heard(&mut self, from: BrokerId, round: Round, now: Millis) -> Option<&mut Progress> {
        let peer = self.leading()?.peers.get_mut(&from)?;
        peer.heard = now;
        peer.round = peer.round.max(round);
        Some(peer)
    }

    pub(super) fn count_round(
        &mut self,
        from: BrokerId,
        round: Round,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        if self.heard(from, round, cx.now).is_some() {
            self.answer_reads(actions);
        }
    }

    pub(super) fn count_appended(
        &mut self,
        from: BrokerId,
        matched: Offset,
        round: Round,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        let (start, end) = (self.log.start().offset, self.log.end().offset);
        if matched > end {
            return;
        }
        let Some(peer) = self.heard(from, round, cx.now) else { return };
        if peer.pace != Pace::Snapshot {
            peer.appended(matched, cx.now);
        } else if matched >= start {
            peer.probe(matched);
            peer.appended(matched, cx.now);
        }
        peer.has_answered(end, cx.now);
        self.commit(cx, actions);
        self.answer_reads(actions);
        self.send_entries(from, cx, actions);
        self.finish_transfer(from, actions);
    }

    pub(super) fn count_diverged(
        &mut self,
        from: BrokerId,
        before: Offset,
        agree: Position,
        round: Round,
        cx: Context,
        actions: &mut Vec<Action>,
    ) {
        let (start, ours) = (self.log.start(), self.log.end_of_epoch(agree.epoch).offset.min(agree.offset));
        let next = match self.log.floor(ours) {
            // Where the epoch ended is below the start, and what is shared lies there: only a snapshot helps.
            Some(_) if agree.epoch < start.epoch => start.offset + -1,
            Some(position) => position.offset,
            None => ours,
        };
        let Some(peer) = self.heard(from, round, cx.now) else { return };
        // Anything else answers a message that has been given up since.
        if peer.pace != Pace::Snapshot && (peer.pace == Pace::Stream || before == peer.next) {
            peer.probe(next);
            self.send_entries(from, cx, actions);
        }
        self.answer_reads(actions);
    }

    pub(super) fn take_observer(&mut self, from: BrokerId, cx: Context, actions: &mut Vec<Action>) {
        let (end, leader) = (self.log.end().offset, self.leader);
        let Some(leading) = self.leading() else {
            return self.send(from, Body::NotLeader { leader }, actions);
        };
        if leading.peers.len() >= PEERS_MAX && !leading.peers.contains_key(&from) {
            return;
        }
        // It knows of no leader: what was under way to it is lost.
        let peer = leading.peers.entry(from).or_insert_with(|| Progress::new(end, cx.now));
        peer.heard = cx.now;
        if peer.pace != Pace::Snapshot {
            peer.probe(peer.next);
        }
        self.tell(from, cx, actions);
    }

    /// Only entries of its own epoch are committed by being counted (Raft section 5.4.2, figure 8).
    pub(super) fn commit(&mut self, cx: Context, actions: &mut Vec<Action>) {
        let Role::Leader(leading) = &self.role else { return };
        let durable = self.log.durable();
        let reached = self.reached(durable, |peer| peer.matched);
        // A snapshot and the image follow what this node could read again after a crash.
        let reached = reached.and_then(|reached| self.log.floor(reached.min(durable)));
        let Some(reached) = reached.map(|position| position.offset).filter(|&at| at > leading.first) else {
            return;
        };
        let before = self.high_watermark;
        self.committed_up_to(reached, actions);
        if self.high_watermark > before {
            self.tell_all(cx, actions);
            self.answer_reads(actions);
            self.leave_if_removed(cx, actions);
        }
    }

    /// Whether this node leads and what is committed, asked of a majority (Raft thesis, section 6.4). The answer is an
    /// action, of this call or of a later one.
    pub fn read(&mut self, id: ReadId) -> (Result<(), ProposeError>, Vec<Action>) {
        let mut actions = Vec::new();
        if !self.is_leader() {
            return (Err(ProposeError::NotLeader(self.leader)), actions);
        }
        if !self.has_own_commit() {
            return (Err(ProposeError::NotReady), actions);
        }
        let high_watermark = self.high_watermark;
        let leading = self.leading().expect("it leads");
        if leading.reads.len() >= READS_MAX {
            return (Err(ProposeError::Busy), actions);
        }
        leading.round.0 += 1;
        leading.reads.push_back(Read { id, high_watermark, round: leading.round });
        for to in self.peers() {
            self.send_round(to, &mut actions);
        }
        self.answer_reads(&mut actions);
        (Ok(()), actions)
    }

    fn answer_reads(&mut self, actions: &mut Vec<Action>) {
        let Role::Leader(leading) = &self.role else { return };
        let Some(answered) = self.reached(leading.round, |peer| peer.round) else { return };
        let Some(leading) = self.leading() else { return };
        while let Some(read) = leading.reads.front()
            && read.round <= answered
        {
            let Read { id, high_watermark, .. } = *read;
            leading.reads.pop_front();
            actions.push(Action::ReadReady { id, high_watermark });
        }
    }
}
