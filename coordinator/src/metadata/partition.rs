//! One partition as the image has it.

use model::{BrokerId, LeaderEpoch, PartitionIndex, TopicId};

use super::record::{MetadataRecord, PartitionRecord, PartitionStateRecord};

/// As `PartitionStateRecord` tells it.
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
}

impl Partition {
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
        }
    }
}
