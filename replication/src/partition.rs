//! One partition on the shard that owns it: its log, and the role this broker has for it. All that handlers talk to.
//!
//! A client sees nothing above the high watermark, and of transactions nothing above the last stable offset; both are
//! kept here and their order is asserted whenever one moves. While there are no transactions the two are one.

use std::{
    cell::{Cell, RefCell},
    io,
};

use engine::{
    AppendError, Appended, Disk, ReadBatches, ReadError, ReadRange, SharedLog, Store, epochs::EpochEnd,
};
use model::{BrokerId, LeaderEpoch, Offset, Timestamp, TopicPartition, Watermarks};

use crate::{leader::Leader, traffic::Traffic};

/// What the cluster's metadata says of a partition, handed down as a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionState {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
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
    #[error("{0}")]
    Append(#[from] AppendError),
    #[error("{0}")]
    Read(#[from] ReadError),
}

/// What an append must keep beside the log's own rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AppendRules {
    /// Refuse when fewer replicas are in sync: `min.insync.replicas` for acks=all, otherwise 0.
    pub isr_min: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    #[default]
    Uncommitted,
    Committed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadFrom {
    pub offset: Offset,
    pub bytes_max: usize,
    /// The first batch goes out even if it is larger than `bytes_max`.
    pub at_least_one: bool,
    pub isolation: Isolation,
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
}

enum Role {
    Leads(Leader),
    /// Another broker leads, or none does.
    Follows(LeaderEpoch),
}

impl<D: Disk> Partition<D> {
    pub fn new(broker: BrokerId, log: SharedLog<D::File>, state: &PartitionState) -> Self {
        let ends = log.ends();
        let marks = Watermarks { log_start: ends.start, ..Watermarks::at(ends.acknowledged.max(ends.start)) };
        let role = RefCell::new(Role::Follows(LeaderEpoch::NONE));
        let (read_failures, traffic) = Default::default();
        let partition = Self { log, broker, role, marks: Cell::new(marks), read_failures, traffic };
        partition.set_state(state);
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

    /// Takes the role that the metadata gives this broker. An epoch older than the present one is a late message.
    /// Answers whether those who wait here must look again.
    pub fn set_state(&self, state: &PartitionState) -> bool {
        let present = self.leader_epoch();
        if state.leader_epoch < present {
            return false;
        }
        let leads = state.leader == Some(self.broker);
        let mut role = self.role.borrow_mut();
        let changed = leads != matches!(&*role, Role::Leads(_)) || state.leader_epoch != present;
        match &mut *role {
            Role::Leads(leader) if !changed => {
                leader.set_isr(&state.isr);
            }
            _ if leads => {
                self.log.lead(state.leader_epoch);
                *role = Role::Leads(Leader::new(state.leader_epoch, &state.isr, self.marks.get().high));
            }
            _ => *role = Role::Follows(state.leader_epoch),
        }
        drop(role);
        self.refresh();
        changed
    }

    /// The leader of a request's idea of the present is compared with ours; -1 asks for no check (KIP-320).
    pub fn check_epoch(&self, asked: LeaderEpoch) -> Result<(), PartitionError> {
        let present = self.leader_epoch();
        if !self.leads() {
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
            Role::Leads(leader) if leader.isr_count() < rules.isr_min => {
                return Err(PartitionError::NotEnoughReplicas(leader.isr_count()));
            }
            Role::Leads(leader) => leader.epoch(),
            Role::Follows(_) => return Err(PartitionError::NotLeader),
        };
        let appended = store.append(&self.log, batch, epoch, now)?;
        if !appended.duplicate {
            let records = appended.next_offset.0 - appended.base_offset.0;
            let (records_in, bytes_in) = (records.unsigned_abs(), batch.len() as u64);
            self.count(Traffic { records_in, bytes_in, bytes_out: 0 });
        }
        Ok(appended)
    }

    /// Whole batches from an offset on, never anything a client must not see yet. An offset between the end of what
    /// may be seen and the end of the log is no error: there is nothing there yet.
    pub async fn read(&self, store: &Store<D>, from: ReadFrom) -> Result<ReadBatches, PartitionError> {
        if !self.leads() {
            return Err(PartitionError::NotLeader);
        }
        let range = ReadRange {
            from: from.offset,
            until: self.visible_end(from.isolation),
            bytes_max: from.bytes_max,
            at_least_one: from.at_least_one,
        };
        let batches = store.read(&self.log, range).await?;
        self.count(Traffic { bytes_out: batches.bytes as u64, ..Traffic::default() });
        Ok(batches)
    }

    fn count(&self, more: Traffic) {
        let mut traffic = self.traffic.get();
        traffic += more;
        self.traffic.set(traffic);
    }

    /// Since the partition was opened here. What was read counts, whether or not it arrived.
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

    /// Takes over how far the log is by now. Answers the high watermark if it moved.
    pub fn refresh(&self) -> Option<Offset> {
        let ends = self.log.ends();
        let before = self.marks.get();
        let high = match &mut *self.role.borrow_mut() {
            Role::Leads(leader) => {
                leader.acknowledged(self.broker, ends.acknowledged);
                leader.high()
            }
            Role::Follows(_) => before.high,
        };
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
        (marks.high > before.high).then_some(marks.high)
    }
}
