//! Replicas move to other brokers. A move only begins here: it is done when a leader says that all that shall stay are in
//! sync.
//!
//! ```text
//!   replicas 1 2 3, asked 4 2      replicas 4 2 1 3, adding 4, removing 1 3
//!   in sync 1 2 3 4                replicas 4 2
//! ```

use std::collections::BTreeSet;

use model::{BrokerId, ErrorCode, PartitionIndex};

use super::{
    Controller, Decision, Refusal,
    change::{Changes, Target, minus},
    named_twice,
};
use crate::metadata::{Partition, Topic};

/// One partition of an AlterPartitionReassignments request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reassignment<'a> {
    pub topic: &'a str,
    pub partition: PartitionIndex,
    /// None ends the move that is under way.
    pub replicas: Option<Vec<BrokerId>>,
}

/// A move under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OngoingReassignment<'a> {
    pub topic: &'a str,
    pub index: PartitionIndex,
    pub partition: &'a Partition,
}

impl<'a> Controller<'a> {
    /// In order of topic name and index.
    pub fn ongoing_reassignments(&self) -> impl Iterator<Item = OngoingReassignment<'a>> {
        let ongoing = self.all_partitions().filter(|(_, _, partition)| partition.is_reassigning());
        ongoing.map(|(topic, index, partition)| OngoingReassignment { topic: &topic.name, index, partition })
    }
}

impl Controller<'_> {
    /// One result a partition, in the order asked.
    pub fn reassign(
        &self,
        asked: &[Reassignment<'_>],
        allow_replication_factor_change: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let twice = named_twice(asked.iter().map(|asked| (asked.topic, asked.partition)));
        let mut changes = Changes::new(*self);
        let mut reassign = |asked: &Reassignment<'_>, twice: bool| {
            if twice {
                let sentence = "The request names this partition twice; name it once.";
                return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
            }
            let (topic, partition) = self.partition(asked.topic, asked.partition)?;
            let next = match &asked.replicas {
                None => cancelled(&mut changes, topic, partition)?,
                Some(replicas) => {
                    self.check_replicas(replicas)?;
                    check_factor(partition, replicas.len(), allow_replication_factor_change)?;
                    changes.preview(topic, partition, moved(partition, replicas), true)
                }
            };
            changes.records.extend(next.map(|next| next.to_record(topic.id, asked.partition)));
            Ok(())
        };
        let answer = asked.iter().zip(twice).map(|(asked, twice)| reassign(asked, twice)).collect();
        Decision { answer, records: changes.records }
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

fn check_factor(partition: &Partition, wanted: usize, allow_change: bool) -> Result<(), Refusal> {
    // That of a move under way is the one it leads to.
    let factor = minus(&partition.replicas, &partition.removing_replicas).len();
    if allow_change || wanted == factor {
        return Ok(());
    }
    let sentence = format!(
        "The partition has {factor} replicas and would have {wanted}, which the request does not allow."
    );
    Err(Refusal::new(ErrorCode::InvalidReplicationFactor, sentence))
}

/// What an earlier move was bringing and this one does not want goes at once, but for those in sync if nobody else is.
fn moved(partition: &Partition, wanted: &[BrokerId]) -> Target {
    let mut original = minus(&partition.replicas, &partition.adding_replicas);
    let abandoned = minus(&partition.adding_replicas, wanted);
    let mut isr = minus(&partition.isr, &abandoned);
    if isr.is_empty() {
        isr.clone_from(&partition.isr);
        original.extend(minus(&isr, &original));
    }
    let removing = minus(&original, wanted);
    Target {
        replicas: [wanted, &removing].concat(),
        isr,
        adding: minus(wanted, &original),
        removing,
        ..Target::of(partition)
    }
}

/// Back to the replicas from before the move. None of them in sync: that takes an eligible one, or an unclean election if
/// the topic allows it.
fn cancelled(
    changes: &mut Changes<'_>,
    topic: &Topic,
    partition: &Partition,
) -> Result<Option<Partition>, Refusal> {
    if !partition.is_reassigning() {
        let sentence = "No replica of this partition is being moved, so there is nothing to cancel.";
        return Err(Refusal::new(ErrorCode::NoReassignmentInProgress, sentence));
    }
    let target = Target {
        replicas: minus(&partition.replicas, &partition.adding_replicas),
        isr: minus(&partition.isr, &partition.adding_replicas),
        adding: vec![],
        removing: vec![],
        ..Target::of(partition)
    };
    let next = changes.preview(topic, partition, target, true);
    if next.as_ref().is_some_and(|next| next.isr.is_empty() && !partition.isr.is_empty()) {
        let sentence = "Without the replicas that are being added no replica is in sync; wait for one, or allow \
                        unclean elections.";
        return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, sentence));
    }
    Ok(next)
}
