//! One partition on the shard that owns it: its log, and the role this broker has for it. All that handlers talk to.
//!
//! A client sees nothing above the high watermark, and of transactions nothing above the last stable offset; both are
//! kept here and their order is asserted whenever one moves. While there are no transactions the two are one.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::{Rc, Weak},
    time::Duration,
};

use engine::{
    AppendError, Appended, Disk, ReadBatches, ReadError, ReadRange, SharedLog, Store, TruncateError,
    epochs::EpochEnd,
};
use model::{BrokerId, LeaderEpoch, Millis, Offset, Timestamp, TopicPartition, Watermarks};
use rt::notify::Notify;

use crate::{feed::Feed, isr::IsrProposal, leader::Leader, traffic::Traffic};

/// What the cluster's metadata says of a partition, handed down as a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    /// `min.insync.replicas`.
    pub isr_min: usize,
    /// Rises with every change of the partition's metadata.
    pub partition_epoch: i32,
}

impl PartitionState {
    /// One replica, which leads.
    pub fn alone(broker: BrokerId, leader_epoch: LeaderEpoch) -> Self {
        let (replicas, isr) = (vec![broker], vec![broker]);
        Self { leader: Some(broker), leader_epoch, replicas, isr, isr_min: 1, partition_epoch: 0 }
    }

    /// More in sync than there are replicas cannot be asked for.
    pub fn effective_isr_min(&self) -> usize {
        self.isr_min.min(self.replicas.len())
    }
}

/// Why a partition does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PartitionError {
    #[error("this broker does not lead the partition")]
    NotLeader,
    #[error("the leader epoch asked for is older than the leader's")]
    FencedEpoch,
    #[error("the leader epoch asked for is newer than the leader's")]
    UnknownEpoch,
    #[error("{0} in-sync replicas are fewer than the topic asks for")]
    NotEnoughReplicas(usize),
    #[error("what is asked for is known to be there, but not yet to this replica")]
    OffsetNotAvailable,
    #[error("what clients have seen would be cut: the leader's log parts from ours at {0}")]
    CutBelowHigh(Offset),
    #[error("{0}")]
    Append(#[from] AppendError),
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("the log cannot be cut: {0}")]
    Cut(#[from] TruncateError),
}

/// What an append must keep beside the log's own rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendRules {
    /// Refuse when fewer replicas are in sync: `min.insync.replicas` for acks=all, otherwise 0. A topic with fewer replicas
    /// than that needs all of them.
    pub isr_min: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    #[default]
    Uncommitted,
    Committed,
    /// Everything there is, for a coordinator that loads what it wrote. (A follower's stream reads the log itself.)
    All,
}

/// Which replica answers a reader (KIP-392).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serves {
    Leader,
    /// The leader, or a follower with what it knows to be committed.
    AnyReplica,
}

/// What a follower says that it holds safely.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    pub start: Offset,
    pub end: Offset,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadFrom {
    pub offset: Offset,
    pub bytes_max: usize,
    /// The first batch goes out even if it is larger than `bytes_max`.
    pub at_least_one: bool,
    pub isolation: Isolation,
    pub serves: Serves,
}

/// Whether a client's log and ours have the same past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lineage {
    Same,
    /// They part here: the client goes back to the end of this epoch.
    Diverges(EpochEnd),
    /// We know nothing that old.
    Unknown,
}

pub struct Partition<D: Disk> {
    log: SharedLog<D::File>,
    broker: BrokerId,
    role: RefCell<Role>,
    marks: Cell<Watermarks>,
    /// Each way in which reading failed here, once.
    read_failures: RefCell<Vec<io::ErrorKind>>,
    traffic: Cell<Traffic>,
    /// Who is to hear of anything new.
    feeds: RefCell<Vec<Weak<Feed>>>,
    /// Wakes whenever the log may have moved.
    progress: Notify,
    /// The leader's, as a follower heard of it.
    leaders_high: Cell<Offset>,
    /// The last epoch in which clients could see everything below the high watermark, as far as this replica knows.
    seen_in: Cell<LeaderEpoch>,
    cut_ended: Notify,
}

enum Role {
    Leads(Leader),
    /// Another broker leads, or none does.
    Follows(LeaderEpoch),
}

impl<D: Disk> Partition<D> {
    /// How far the others are is not known: the high watermark begins at the log's start, and alone reaches its end at
    /// once.
    pub fn new(broker: BrokerId, log: SharedLog<D::File>, state: &PartitionState, now: Millis) -> Self {
        let ends = log.ends();
        let marks = Watermarks { log_start: ends.start, ..Watermarks::at(ends.start) };
        let partition = Self {
            log,
            broker,
            role: RefCell::new(Role::Follows(LeaderEpoch::NONE)),
            marks: Cell::new(marks),
            read_failures: RefCell::default(),
            traffic: Cell::default(),
            feeds: RefCell::default(),
            progress: Notify::new(),
            leaders_high: Cell::new(Offset::ZERO),
            seen_in: Cell::new(LeaderEpoch::NONE),
            cut_ended: Notify::new(),
        };
        partition.set_state(state, now);
        partition
    }

    pub fn id(&self) -> TopicPartition {
        self.log.id()
    }

    pub fn log(&self) -> &SharedLog<D::File> {
        &self.log
    }

    pub fn watermarks(&self) -> Watermarks {
        self.marks.get()
    }

    pub fn leader_epoch(&self) -> LeaderEpoch {
        match &*self.role.borrow() {
            Role::Leads(leader) => leader.epoch(),
            Role::Follows(epoch) => *epoch,
        }
    }

    pub fn leads(&self) -> bool {
        matches!(&*self.role.borrow(), Role::Leads(_))
    }

    /// Returns when no cut of the log is under way. A role is to wait for that: a leader's epoch begins at the log's end.
    pub async fn uncut(&self) {
        loop {
            let ended = self.cut_ended.wait();
            if !self.log.is_being_cut() {
                return;
            }
            ended.await;
        }
    }

    /// Takes the role that the metadata gives this broker. An epoch older than the present one is a late message.
    /// Answers whether those who wait here must look again.
    pub fn set_state(&self, state: &PartitionState, now: Millis) -> bool {
        let present = self.leader_epoch();
        if state.leader_epoch < present {
            return false;
        }
        let leads = state.leader == Some(self.broker);
        let mut role = self.role.borrow_mut();
        let changed = leads != matches!(&*role, Role::Leads(_)) || state.leader_epoch != present;
        match &mut *role {
            Role::Leads(leader) if !changed => {
                leader.set_state(state, now);
            }
            _ if leads => {
                self.log.lead(state.leader_epoch);
                let epoch_start = self.log.ends().end;
                let leader = Leader::new(self.broker, state, epoch_start, self.marks.get().high, now);
                *role = Role::Leads(leader);
            }
            _ => {
                if changed {
                    self.leaders_high.set(Offset::ZERO);
                }
                *role = Role::Follows(state.leader_epoch);
            }
        }
        drop(role);
        self.refresh();
        self.hasten();
        changed
    }

    /// The leader of a request's idea of the present is compared with ours; -1 asks for no check (KIP-320).
    pub fn check_epoch(&self, asked: LeaderEpoch) -> Result<(), PartitionError> {
        self.check_reader(asked, Serves::Leader)
    }

    /// As `check_epoch`, of a reader that a follower may serve.
    pub fn check_reader(&self, asked: LeaderEpoch, serves: Serves) -> Result<(), PartitionError> {
        let present = self.leader_epoch();
        if !self.answers(serves) {
            // A client that knows a newer epoch than this broker must not be sent away to find an older one.
            let ahead = asked > present;
            return Err(if ahead { PartitionError::UnknownEpoch } else { PartitionError::NotLeader });
        }
        match asked {
            LeaderEpoch(epoch) if epoch < 0 => Ok(()),
            asked if asked < present => Err(PartitionError::FencedEpoch),
            asked if asked > present => Err(PartitionError::UnknownEpoch),
            _ => Ok(()),
        }
    }

    /// A follower whose log is being cut has no end to go by.
    fn answers(&self, serves: Serves) -> bool {
        self.leads() || (serves == Serves::AnyReplica && !self.log.is_being_cut())
    }

    /// Which of the brokers `near` a consumer at `offset` better asks, if this broker leads and one of them can serve it.
    pub fn nearest(&self, near: &[BrokerId], offset: Offset) -> Option<BrokerId> {
        match &*self.role.borrow() {
            Role::Leads(leader) if offset >= self.marks.get().log_start => leader.nearest(near, offset),
            _ => None,
        }
    }

    /// Appends one checked batch. When this returns, its offset and its place among all batches are fixed; it may be
    /// answered once the high watermark (acks=all) or the log's acknowledged end (acks=1) is behind it.
    pub fn append(
        &self,
        store: &Store<D>,
        batch: &[u8],
        rules: AppendRules,
        now: Timestamp,
    ) -> Result<Appended, PartitionError> {
        let epoch = match &*self.role.borrow() {
            Role::Leads(leader) if !leader.has_in_sync(rules.isr_min) => {
                return Err(PartitionError::NotEnoughReplicas(leader.isr_count()));
            }
            Role::Leads(leader) => leader.epoch(),
            Role::Follows(_) => return Err(PartitionError::NotLeader),
        };
        let appended = store.append(&self.log, batch, epoch, now)?;
        if !appended.duplicate {
            let records = appended.next_offset.0 - appended.base_offset.0;
            let (records_in, bytes_in) = (records.unsigned_abs(), batch.len() as u64);
            self.count(Traffic { records_in, bytes_in });
            self.stir();
        }
        Ok(appended)
    }

    /// Batches as the leader of `epoch` has them, for a follower of it.
    pub fn append_replica(
        &self,
        store: &Store<D>,
        epoch: LeaderEpoch,
        batches: &[u8],
        now: Timestamp,
    ) -> Result<(), PartitionError> {
        self.check_follows(epoch)?;
        store.append_replica(&self.log, batches, now)?;
        Ok(())
    }

    fn check_follows(&self, epoch: LeaderEpoch) -> Result<(), PartitionError> {
        match &*self.role.borrow() {
            Role::Follows(present) if *present == epoch => Ok(()),
            _ => Err(PartitionError::FencedEpoch),
        }
    }

    /// The leader's high watermark, as it told its follower.
    pub fn heard_high(&self, epoch: LeaderEpoch, high: Offset) -> Result<(), PartitionError> {
        self.check_follows(epoch)?;
        self.leaders_high.set(self.leaders_high.get().max(high));
        Ok(())
    }

    /// Whether an election that took back what clients had seen came after they saw it here.
    pub fn is_taken_back(&self, unclean: Option<LeaderEpoch>) -> bool {
        unclean.is_some_and(|unclean| unclean > self.seen_in.get())
    }

    /// A follower's log is the leader's no more from `to` on. Never what clients have seen, unless an election took it
    /// back (`unclean`).
    pub async fn truncate(
        &self,
        store: &Store<D>,
        epoch: LeaderEpoch,
        to: Offset,
        unclean: bool,
    ) -> Result<(), PartitionError> {
        self.check_follows(epoch)?;
        self.take_back(to, unclean)?;
        let cut = store.truncate(&self.log, to).await;
        self.cut_is_over();
        cut?;
        Ok(())
    }

    /// Nothing of a follower's log is in the leader's, which begins at `start`. What clients have seen from there on goes
    /// only as it does in `truncate`.
    pub async fn restart_at(
        &self,
        store: &Store<D>,
        epoch: LeaderEpoch,
        start: Offset,
        unclean: bool,
    ) -> Result<(), PartitionError> {
        self.check_follows(epoch)?;
        self.take_back(start, unclean)?;
        let restarted = store.restart_at(&self.log, start).await;
        match &restarted {
            Ok(()) => self.leaders_high.set(self.leaders_high.get().max(start)),
            // It may be empty where it began before, and then this broker has nothing of what clients have seen.
            Err(_) => {
                let (end, marks) = (self.log.ends().end, self.marks.get());
                let (high, last_stable) = (marks.high.min(end), marks.last_stable.min(end));
                self.marks.set(Watermarks { high, last_stable, ..marks });
            }
        }
        self.cut_is_over();
        Ok(restarted?)
    }

    /// Done or not, the log has an end again.
    fn cut_is_over(&self) {
        self.refresh();
        self.cut_ended.wake_all();
    }

    /// What was found corrupt in a follower's log, and everything behind it, goes: the leader has it, and nobody counts on
    /// what this broker has. As after a start it does not know how much clients have seen. Answers where the log ends.
    pub async fn cut_damage(&self, store: &Store<D>) -> Result<Offset, PartitionError> {
        if self.leads() {
            return Err(PartitionError::FencedEpoch);
        }
        let marks = self.marks.get();
        let start = marks.log_start;
        self.marks.set(Watermarks { high: start, last_stable: start, ..marks });
        self.leaders_high.set(Offset::ZERO);
        let cut = store.cut_damage(&self.log).await;
        self.cut_is_over();
        Ok(cut?)
    }

    /// What clients have seen from an offset on is given up, if an unclean election made it so.
    fn take_back(&self, from: Offset, unclean: bool) -> Result<(), PartitionError> {
        let marks = self.marks.get();
        if from >= marks.high {
            return Ok(());
        }
        if !unclean {
            return Err(PartitionError::CutBelowHigh(from));
        }
        tracing::warn!(partition = %self.id(), "an unclean election takes back what was read from offset {from} on");
        let log_start = marks.log_start.min(from);
        self.marks.set(Watermarks { log_start, high: from, last_stable: from, ..marks });
        Ok(())
    }

    /// A follower whose log was found to be this leader's begins anew, in the life with that broker epoch.
    pub fn follower_begun(&self, broker: BrokerId, life: i64) {
        if let Role::Leads(leader) = &mut *self.role.borrow_mut() {
            leader.begun(broker, life);
        }
    }

    /// A follower of this leader's epoch vouches for everything below its end. The caller looks who waited for that.
    pub fn follower_acknowledged(&self, broker: BrokerId, epoch: LeaderEpoch, held: Held, now: Millis) {
        let log_end = self.log.ends().end;
        if let Role::Leads(leader) = &mut *self.role.borrow_mut()
            && leader.epoch() == epoch
        {
            leader.starts_at(broker, held.start);
            leader.acknowledged(broker, held.end, log_end, now);
        }
    }

    /// Whom the leader wants in sync, if that is not who is.
    pub fn propose_isr(
        &self,
        lag_max: Duration,
        may_lead: impl Fn(BrokerId) -> bool,
        now: Millis,
    ) -> Option<(LeaderEpoch, IsrProposal)> {
        let log_end = self.log.ends().end;
        let mut role = self.role.borrow_mut();
        let Role::Leads(leader) = &mut *role else { return None };
        let epoch = leader.epoch();
        leader.propose_isr(log_end, lag_max, may_lead, now).map(|proposal| (epoch, proposal))
    }

    /// That proposal does not hold.
    pub fn isr_refused(&self, partition_epoch: i32) {
        if let Role::Leads(leader) = &mut *self.role.borrow_mut() {
            leader.refused(partition_epoch);
        }
    }

    /// In-sync replicas that a produce with acks=all needs, if this broker leads.
    pub fn isr_min(&self) -> Option<usize> {
        match &*self.role.borrow() {
            Role::Leads(leader) => Some(leader.isr_min()),
            Role::Follows(_) => None,
        }
    }

    /// Whether so many replicas are in sync, or all that there are, if this broker leads.
    pub fn has_in_sync(&self, isr_min: usize) -> Option<bool> {
        match &*self.role.borrow() {
            Role::Leads(leader) => Some(leader.has_in_sync(isr_min)),
            Role::Follows(_) => None,
        }
    }

    /// Is that broker one of those in sync, as far as this leader knows?
    pub fn is_in_sync(&self, broker: BrokerId) -> bool {
        matches!(&*self.role.borrow(), Role::Leads(leader) if leader.is_in_sync(broker))
    }

    /// In-sync replicas, if this broker leads.
    pub fn isr_count(&self) -> Option<usize> {
        match &*self.role.borrow() {
            Role::Leads(leader) => Some(leader.isr_count()),
            Role::Follows(_) => None,
        }
    }

    /// Clients may be told where the log ends.
    pub fn check_end_known(&self) -> Result<(), PartitionError> {
        match &*self.role.borrow() {
            Role::Leads(leader) if !leader.knows_its_end() => Err(PartitionError::OffsetNotAvailable),
            _ => Ok(()),
        }
    }

    /// This feed hears of everything new until it is dropped.
    pub fn attach(&self, feed: &Rc<Feed>) {
        let mut feeds = self.feeds.borrow_mut();
        feeds.retain(|known| known.strong_count() > 0 && !std::ptr::eq(known.as_ptr(), Rc::as_ptr(feed)));
        feeds.push(Rc::downgrade(feed));
    }

    pub fn detach(&self, feed: &Rc<Feed>) {
        self.feeds.borrow_mut().retain(|known| !std::ptr::eq(known.as_ptr(), Rc::as_ptr(feed)));
    }

    fn stir(&self) {
        for feed in self.feeds.borrow().iter().filter_map(Weak::upgrade) {
            self.queue(&feed);
        }
    }

    /// There is something to read for this feed: in front, if somebody may be waiting until it was read.
    pub fn queue(&self, feed: &Feed) {
        if self.catches_up(feed) {
            feed.push_behind(self.id());
        } else {
            feed.push(self.id());
        }
    }

    fn catches_up(&self, feed: &Feed) -> bool {
        feed.follower().is_some_and(|follower| !self.is_in_sync(follower))
    }

    /// A follower that came in sync is waited for from now on.
    fn hasten(&self) {
        for feed in self.feeds.borrow().iter().filter_map(Weak::upgrade) {
            if !self.catches_up(&feed) {
                feed.hasten(self.id());
            }
        }
    }

    /// Wakes whenever the log may have moved.
    pub fn progress(&self) -> &Notify {
        &self.progress
    }

    /// Whole batches from an offset on, never anything a client must not see yet. An offset between the end of what
    /// may be seen and the end of the log is no error: there is nothing there yet. Nor need it be one beyond a follower's
    /// end: its leader may have told of more than it has (KIP-392).
    pub async fn read(&self, store: &Store<D>, from: ReadFrom) -> Result<ReadBatches, PartitionError> {
        if !self.answers(from.serves) {
            return Err(PartitionError::NotLeader);
        }
        let range = ReadRange {
            from: from.offset,
            until: self.visible_end(from.isolation),
            bytes_max: from.bytes_max,
            at_least_one: from.at_least_one,
        };
        match store.read(&self.log, range).await {
            // A cut began under it.
            Err(_) if !self.answers(from.serves) => Err(PartitionError::NotLeader),
            Err(ReadError::OutOfRange) if self.is_to_come(from.offset) => {
                Err(PartitionError::OffsetNotAvailable)
            }
            read => Ok(read?),
        }
    }

    /// Beyond a follower's end, and committed.
    fn is_to_come(&self, offset: Offset) -> bool {
        !self.leads() && offset > self.log.ends().end && offset <= self.leaders_high.get()
    }

    fn count(&self, more: Traffic) {
        let mut traffic = self.traffic.get();
        traffic += more;
        self.traffic.set(traffic);
    }

    /// Since the partition was opened here.
    pub fn traffic(&self) -> Traffic {
        self.traffic.get()
    }

    /// Has no read of this partition failed so before? For the log, which is to say it once: consumers ask again and
    /// again. A read that succeeds changes nothing, because it may have been of another place.
    pub fn is_first_failure(&self, kind: io::ErrorKind) -> bool {
        let mut failures = self.read_failures.borrow_mut();
        let first = !failures.contains(&kind);
        if first {
            failures.push(kind);
        }
        first
    }

    /// Readers see what is below.
    pub fn visible_end(&self, isolation: Isolation) -> Offset {
        match isolation {
            Isolation::Uncommitted => self.marks.get().high,
            Isolation::Committed => self.marks.get().last_stable,
            Isolation::All => self.log.ends().end,
        }
    }

    /// Do we share the past of a reader at `offset` whose last record was of `epoch` (KIP-595)?
    pub fn lineage(&self, offset: Offset, epoch: LeaderEpoch) -> Lineage {
        if epoch.0 < 0 {
            return Lineage::Same;
        }
        match self.log.end_offset_for(epoch) {
            EpochEnd::UNKNOWN => Lineage::Unknown,
            end if end.epoch < epoch || end.end_offset < offset => Lineage::Diverges(end),
            _ => Lineage::Same,
        }
    }

    /// Takes over how far the log is by now. Not while it is being cut: a log that begins anew is empty where it began
    /// before, below what clients have seen, until it begins elsewhere. Whoever cuts does this afterwards.
    pub fn refresh(&self) {
        if self.log.is_being_cut() {
            return;
        }
        let ends = self.log.ends();
        let before = self.marks.get();
        let seen = match &mut *self.role.borrow_mut() {
            Role::Leads(leader) => {
                leader.advanced(ends.acknowledged);
                leader.high()
            }
            Role::Follows(_) => self.leaders_high.get().min(ends.end),
        };
        if seen >= before.high {
            self.seen_in.set(self.leader_epoch());
        }
        let high = if self.leads() { seen } else { seen.max(before.high) };
        // Deleting records may carry the start over a high watermark that has not caught up after a restart.
        let high = high.max(ends.start);
        let marks = Watermarks {
            log_start: ends.start,
            last_stable: high,
            high,
            log_end: ends.end,
            durable: ends.durable,
        };
        marks.assert_ordered();
        assert!(
            marks.high >= before.high,
            "the high watermark of {} would go back: {before:?} {marks:?}",
            self.id()
        );
        assert!(marks.log_start >= before.log_start, "{before:?} {marks:?}");
        self.marks.set(marks);
        self.log.set_committed(marks.high);
        self.progress.wake_all();
        let starts_later = marks.log_start > before.log_start;
        if marks.high > before.high || marks.durable > before.durable || starts_later {
            self.stir();
        }
    }
}
