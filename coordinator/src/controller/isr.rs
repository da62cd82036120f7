//! Leaders say which replicas are in sync (KIP-497).

use std::collections::BTreeSet;

use model::{BrokerId, ErrorCode, LeaderEpoch, PartitionIndex, TopicId};

use super::{
    Controller, Decision, Refusal,
    change::{Changes, Target, minus},
    election::Standing,
    named_twice,
};
use crate::metadata::{Partition, Topic};

/// What one leader proposes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterPartition {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    pub parts: Vec<PartitionIsr>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionIsr {
    pub topic: TopicId,
    pub index: PartitionIndex,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<IsrMember>,
}

/// A replica in sync, in the life that the leader saw it in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IsrMember {
    pub broker: BrokerId,
    /// None: the leader does not say.
    pub broker_epoch: Option<i64>,
}

impl From<BrokerId> for IsrMember {
    fn from(broker: BrokerId) -> Self {
        Self { broker, broker_epoch: None }
    }
}

/// The partition as it is from the commit on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlteredPartition {
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub partition_epoch: i32,
}

impl From<&Partition> for AlteredPartition {
    fn from(partition: &Partition) -> Self {
        Self {
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            isr: partition.isr.clone(),
            partition_epoch: partition.partition_epoch,
        }
    }
}

impl Controller<'_> {
    /// One result a part, in the order asked. NEW_LEADER_ELECTED stands beside a record: the proposal completed a
    /// reassignment that takes the leadership from the proposer.
    pub fn alter_partition(
        &self,
        asked: &AlterPartition,
    ) -> Decision<Result<Vec<Result<AlteredPartition, Refusal>>, Refusal>> {
        if let Err(refusal) = self.check_broker_epoch(asked.broker, asked.broker_epoch) {
            // Apache Kafka has one code here for a broker it does not know and for an old life of one.
            let refusal = Refusal { code: ErrorCode::StaleBrokerEpoch, ..refusal };
            return Decision { answer: Err(refusal), records: vec![] };
        }
        let twice = named_twice(asked.parts.iter().map(|part| (part.topic, part.index)));
        let mut changes = Changes::new(*self);
        let mut alter = |part: &PartitionIsr, twice: bool| {
            if twice {
                return invalid("The request names this partition twice; name it once.");
            }
            let (topic, partition) = self.proposed(part)?;
            self.check_proposal(asked.broker, part, partition)?;
            let isr = part.isr.iter().map(|member| member.broker).collect();
            let target = Target { isr, ..Target::of(partition) };
            let Some(next) = changes.preview(topic, partition, target, true) else {
                return Ok(AlteredPartition::from(partition));
            };
            changes.records.push(next.to_record(part.topic, part.index));
            if next.leader != Some(asked.broker) {
                let sentence = "The reassignment of this partition is done, and another broker leads it.";
                return Err(Refusal::new(ErrorCode::NewLeaderElected, sentence));
            }
            Ok(AlteredPartition::from(&next))
        };
        let answer = asked.parts.iter().zip(twice).map(|(part, twice)| alter(part, twice)).collect();
        Decision { answer: Ok(answer), records: changes.records }
    }

    fn proposed(&self, part: &PartitionIsr) -> Result<(&Topic, &Partition), Refusal> {
        let topic = self.image.topic_by_id(part.topic).ok_or_else(|| {
            Refusal::new(ErrorCode::UnknownTopicId, format!("There is no topic with the id {}.", part.topic))
        })?;
        let partition = topic.partition(part.index).ok_or_else(|| {
            let sentence = format!("There is no partition {}-{}.", topic.name, part.index);
            Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence)
        })?;
        Ok((topic, partition))
    }

    fn check_proposal(
        &self,
        proposer: BrokerId,
        part: &PartitionIsr,
        partition: &Partition,
    ) -> Result<(), Refusal> {
        let refuse = |code, sentence: String| Err(Refusal::new(code, sentence));
        let (leader_epoch, partition_epoch) = (partition.leader_epoch, partition.partition_epoch);
        if part.leader_epoch > leader_epoch || part.partition_epoch > partition_epoch {
            // The proposer has seen later records than this controller, which then is none any more.
            let sentence = "The partition is at epochs that this controller has not seen.";
            return refuse(ErrorCode::NotController, sentence.to_owned());
        }
        if part.leader_epoch < leader_epoch {
            let sentence =
                format!("The partition is at leader epoch {leader_epoch}, not at {}.", part.leader_epoch);
            return refuse(ErrorCode::FencedLeaderEpoch, sentence);
        }
        if partition.leader != Some(proposer) {
            return invalid(&format!("Broker {proposer} does not lead this partition."));
        }
        if part.partition_epoch < partition_epoch {
            let sentence = format!(
                "The partition is at partition epoch {partition_epoch}, not at {}.",
                part.partition_epoch
            );
            return refuse(ErrorCode::InvalidUpdateVersion, sentence);
        }
        let isr: Vec<_> = part.isr.iter().map(|member| member.broker).collect();
        if isr.iter().collect::<BTreeSet<_>>().len() != isr.len() {
            return invalid("The in-sync replicas name a broker twice.");
        }
        if let Some(stranger) = minus(&isr, &partition.replicas).first() {
            return invalid(&format!("Broker {stranger} is no replica of this partition."));
        }
        if !isr.contains(&proposer) {
            return invalid("The leader is always in sync with itself.");
        }
        match part.isr.iter().find_map(|member| self.why_ineligible(member)) {
            Some(sentence) => refuse(ErrorCode::IneligibleReplica, sentence),
            None => Ok(()),
        }
    }

    fn why_ineligible(&self, member: &IsrMember) -> Option<String> {
        let id = member.broker;
        match (self.standing(id), self.image.broker(id)) {
            (Standing::Leaving, _) => Some(format!("Broker {id} is shutting down.")),
            (Standing::Away, _) | (_, None) => Some(format!("Broker {id} is fenced.")),
            (Standing::Active, Some(broker)) => {
                let seen = member.broker_epoch.filter(|epoch| *epoch != broker.epoch)?;
                Some(format!("Broker {id} is at epoch {}, not at {seen}.", broker.epoch))
            }
        }
    }
}

fn invalid<T>(sentence: &str) -> Result<T, Refusal> {
    Err(Refusal::new(ErrorCode::InvalidRequest, sentence))
}
