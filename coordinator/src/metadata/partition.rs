//! One partition as the image has it.

use model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

use super::record::{MetadataRecord, PartitionRecord, PartitionStateRecord};

/// As `PartitionStateRecord` tells it, and what of its past tells the record before it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub adding_replicas: Vec<BrokerId>,
    pub removing_replicas: Vec<BrokerId>,
    pub elr: Vec<BrokerId>,
    pub last_known_leader: Option<BrokerId>,
    pub partition_epoch: i32,
    /// The last that began with a leader that may have lacked what was committed; also one that came in sync and was elected
    /// in one step, as a reassignment may end. After a snapshot, which says nothing of it,
    /// the one that it found.
    pub unclean_epoch: Option<LeaderEpoch>,
}

impl Partition {
    /// What comes after `before`.
    pub(super) fn following(self, before: &Self) -> Self {
        let had_everything = |broker: &BrokerId| before.isr.contains(broker) || before.elr.contains(broker);
        let is_elected = self.leader_epoch > before.leader_epoch;
        let unclean = is_elected && self.leader.is_some_and(|leader| !had_everything(&leader));
        let unclean_epoch = if unclean { Some(self.leader_epoch) } else { before.unclean_epoch };
        Self { unclean_epoch, ..self }
    }

    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The record that makes partition `index` of `topic` so.
    pub fn to_record(&self, topic: TopicId, index: PartitionIndex) -> MetadataRecord {
        MetadataRecord::PartitionState(PartitionStateRecord {
            topic,
            index,
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            replicas: self.replicas.clone(),
            isr: self.isr.clone(),
            adding_replicas: self.adding_replicas.clone(),
            removing_replicas: self.removing_replicas.clone(),
            elr: self.elr.clone(),
            last_known_leader: self.last_known_leader,
            partition_epoch: self.partition_epoch,
        })
    }
}

impl From<&PartitionRecord> for Partition {
    fn from(record: &PartitionRecord) -> Self {
        Self {
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            adding_replicas: vec![],
            removing_replicas: vec![],
            elr: vec![],
            last_known_leader: None,
            partition_epoch: record.partition_epoch,
            unclean_epoch: Some(record.leader_epoch),
        }
    }
}

impl From<&PartitionStateRecord> for Partition {
    fn from(record: &PartitionStateRecord) -> Self {
        Self {
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            adding_replicas: record.adding_replicas.clone(),
            removing_replicas: record.removing_replicas.clone(),
            elr: record.elr.clone(),
            last_known_leader: record.last_known_leader,
            partition_epoch: record.partition_epoch,
            unclean_epoch: Some(record.leader_epoch),
        }
    }
}
