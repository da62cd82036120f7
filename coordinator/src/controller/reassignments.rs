//! Replicas that shall move to other brokers, and who leads when they need not. While a partition has one replica on one
//! broker there is nowhere to move to: a request is checked as Apache Kafka checks it, and what passes is what is so
//! already.

use std::collections::BTreeSet;

use model::{BrokerId, ErrorCode, PartitionIndex};

use super::{Controller, Refusal};
use crate::{config::value::shorten, metadata::Partition};

/// One partition of an AlterPartitionReassignments request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reassignment<'a> {
    pub topic: &'a str,
    pub partition: PartitionIndex,
    /// None ends the move that is under way.
    pub replicas: Option<Vec<BrokerId>>,
}

/// Which replica an election is to make the leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    /// The first of the replicas.
    Preferred,
    /// Any that lives, even one that is not in sync, if there is no leader.
    Unclean,
}

impl Election {
    pub fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Preferred),
            1 => Some(Self::Unclean),
            _ => None,
        }
    }
}

impl Controller<'_> {
    pub fn reassign(
        &self,
        asked: &Reassignment<'_>,
        allow_replication_factor_change: bool,
    ) -> Result<(), Refusal> {
        let partition = self.partition(asked.topic, asked.partition)?;
        let Some(replicas) = &asked.replicas else {
            let sentence = "No replica of this partition is being moved, so there is nothing to cancel.";
            return Err(Refusal::new(ErrorCode::NoReassignmentInProgress, sentence));
        };
        self.check_replicas(replicas)?;
        if !allow_replication_factor_change && replicas.len() != partition.replicas.len() {
            let sentence = format!(
                "The partition has {} replicas and would have {}, which the request does not allow.",
                partition.replicas.len(),
                replicas.len()
            );
            return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, sentence));
        }
        if *replicas != partition.replicas {
            let sentence = "Replicas stay on the broker that they were made on; name that one.";
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, sentence));
        }
        Ok(())
    }

    /// Why there is nothing to elect, which on one broker is always so.
    pub fn elect(&self, topic: &str, index: PartitionIndex, election: Election) -> Refusal {
        let partition = match self.partition(topic, index) {
            Ok(partition) => partition,
            Err(refusal) => return refusal,
        };
        match (election, partition.leader) {
            (Election::Preferred, Some(leader)) if partition.replicas.first() == Some(&leader) => {
                Refusal::new(ErrorCode::ElectionNotNeeded, "The preferred replica leads already.")
            }
            (Election::Unclean, Some(_)) => {
                Refusal::new(ErrorCode::ElectionNotNeeded, "The partition has a leader.")
            }
            (Election::Preferred, _) => Refusal::new(
                ErrorCode::PreferredLeaderNotAvailable,
                "The preferred replica cannot lead at the moment.",
            ),
            (Election::Unclean, None) => {
                Refusal::new(ErrorCode::EligibleLeadersNotAvailable, "No replica of this partition is alive.")
            }
        }
    }

    fn partition(&self, topic: &str, index: PartitionIndex) -> Result<&Partition, Refusal> {
        let refuse = |sentence: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence);
        let name = shorten(topic);
        let topic = self.image.topic(topic).ok_or_else(|| refuse(format!("There is no topic '{name}'.")))?;
        topic.partition(index).ok_or_else(|| refuse(format!("There is no partition {name}-{index}.")))
    }

    fn check_replicas(&self, replicas: &[BrokerId]) -> Result<(), Refusal> {
        let refuse = |sentence: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, sentence));
        if replicas.is_empty() {
            return refuse("The assignment has no replica; name at least one broker.".to_owned());
        }
        let mut seen = BTreeSet::new();
        for replica in replicas {
            if self.image.broker(*replica).is_none() {
                return refuse(format!("The assignment names broker {replica}, which is not registered."));
            }
            if !seen.insert(replica) {
                return refuse(format!("The assignment names broker {replica} twice."));
            }
        }
        Ok(())
    }
}
