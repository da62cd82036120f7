//! Leaders are elected because somebody asks, or because leadership has drifted from where it should be. Those that a
//! broker's going and coming makes necessary are decided with it.

use model::{ErrorCode, PartitionIndex};

use super::{
    Controller, Decision, Refusal,
    change::{Changes, Target},
    election::Standing,
    named_twice,
};
use crate::{
    config::value::shorten,
    metadata::{Partition, Topic},
};

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

    pub fn is_needed(self, partition: &Partition) -> bool {
        check_need(partition, self).is_ok()
    }
}

impl Controller<'_> {
    /// One result a partition, in the order asked.
    pub fn elect(
        &self,
        partitions: &[(&str, PartitionIndex)],
        election: Election,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let twice = named_twice(partitions.iter());
        let mut changes = Changes::new(*self);
        let mut elect = |&(topic, index): &(&str, PartitionIndex), twice: bool| {
            if twice {
                let sentence = "The request names this partition twice; name it once.";
                return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
            }
            let (topic, partition) = self.partition(topic, index)?;
            check_need(partition, election)?;
            let (preferred, unclean) = (election == Election::Preferred, election == Election::Unclean);
            let target = Target { preferred, unclean, ..Target::of(partition) };
            match changes.preview(topic, partition, target, false) {
                Some(next) if next.leader.is_some() && next.leader != partition.leader => {
                    changes.records.push(next.to_record(topic.id, index));
                    Ok(())
                }
                _ => Err(not_available(election)),
            }
        };
        let answer = partitions.iter().zip(twice).map(|(asked, twice)| elect(asked, twice)).collect();
        Decision { answer, records: changes.records }
    }

    /// Leadership returns to the preferred replicas that are in sync and active, for at most so many partitions at once.
    /// True: there may be more.
    pub fn preferred_imbalance(&self, most: usize) -> Decision<bool> {
        let drifted = |partition: &Partition| {
            let preferred = partition.replicas.first();
            partition.leader.is_some()
                && partition.leader.as_ref() != preferred
                && preferred
                    .is_some_and(|id| partition.isr.contains(id) && self.standing(*id) == Standing::Active)
        };
        let target = |partition: &Partition| Target { preferred: true, ..Target::of(partition) };
        self.elect_where(most, drifted, target)
    }

    /// Partitions without a leader get one where the configs allow it, for at most so many at once. A broker that comes
    /// back and a config that changes are followed by elections anyway: what is left is a controller that was started with
    /// another configuration than the one before it, and what was too much for one decision. True: there may be more.
    pub fn elect_leaderless(&self, most: usize) -> Decision<bool> {
        self.elect_where(most, |partition| partition.leader.is_none(), Target::of)
    }

    fn elect_where(
        &self,
        most: usize,
        concerned: impl Fn(&Partition) -> bool,
        target: impl Fn(&Partition) -> Target,
    ) -> Decision<bool> {
        let mut changes = Changes::new(*self);
        for (topic, index, partition) in self.all_partitions() {
            if changes.records.len() >= most {
                break;
            }
            if concerned(partition) {
                changes.push(topic, index, partition, target(partition));
            }
        }
        Decision { answer: changes.records.len() >= most, records: changes.records }
    }

    pub(super) fn partition(
        &self,
        topic: &str,
        index: PartitionIndex,
    ) -> Result<(&Topic, &Partition), Refusal> {
        let refuse = |sentence: String| Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence);
        let name = shorten(topic);
        let topic = self.image.topic(topic).ok_or_else(|| refuse(format!("There is no topic '{name}'.")))?;
        let found = topic.partition(index);
        let partition = found.ok_or_else(|| refuse(format!("There is no partition {name}-{index}.")))?;
        Ok((topic, partition))
    }
}

fn check_need(partition: &Partition, election: Election) -> Result<(), Refusal> {
    let sentence = match (election, partition.leader) {
        (Election::Preferred, Some(leader)) if partition.replicas.first() == Some(&leader) => {
            "The preferred replica leads already."
        }
        (Election::Unclean, Some(_)) => "The partition has a leader.",
        _ => return Ok(()),
    };
    Err(Refusal::new(ErrorCode::ElectionNotNeeded, sentence))
}

fn not_available(election: Election) -> Refusal {
    match election {
        Election::Preferred => Refusal::new(
            ErrorCode::PreferredLeaderNotAvailable,
            "The preferred replica cannot lead at the moment.",
        ),
        Election::Unclean => {
            Refusal::new(ErrorCode::EligibleLeadersNotAvailable, "No replica of this partition is alive.")
        }
    }
}
