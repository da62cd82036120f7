//! A replica whose records are not what was written leaves: it must not lead, and nobody may count on it, before it has them
//! anew from others.

use model::{BrokerId, ErrorCode, PartitionIndex, TopicId};

use super::{
    Controller, Decision, Refusal,
    change::{Changes, Target},
    named_twice,
};
use crate::metadata::Partition;

/// What one broker says of its own replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportDamage {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    pub parts: Vec<(TopicId, PartitionIndex)>,
}

impl Controller<'_> {
    /// One result a part, in the order asked. Granted: the broker is neither in sync nor eligible, another one leads that has
    /// everything that was committed, and the leader epoch is a new one. So nothing that the broker vouched for before counts
    /// any more, with no leader however late it hears of this, and the broker may give up what it has.
    /// ELIGIBLE_LEADERS_NOT_AVAILABLE: nobody else can lead without a loss, and everything stays as it is.
    pub fn report_damage(&self, asked: &ReportDamage) -> Decision<Result<Vec<Result<(), Refusal>>, Refusal>> {
        if let Err(refusal) = self.check_broker_epoch(asked.broker, asked.broker_epoch) {
            return Decision { answer: Err(refusal), records: vec![] };
        }
        let twice = named_twice(asked.parts.iter());
        let mut changes = Changes::new(*self);
        let mut leave = |&(id, index): &(TopicId, PartitionIndex), twice: bool| {
            if twice {
                let sentence = "The request names this partition twice; name it once.";
                return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
            }
            let topic = self.image.topic_by_id(id).ok_or_else(|| {
                Refusal::new(ErrorCode::UnknownTopicId, format!("There is no topic with the id {id}."))
            })?;
            let partition = topic.partition(index).filter(|found| found.replicas.contains(&asked.broker));
            let partition = partition.ok_or_else(|| {
                let sentence = format!("Broker {} has no replica of {}-{index}.", asked.broker, topic.name);
                Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence)
            })?;
            let target = Target { doubted: true, ..Target::without_lost(partition, asked.broker) };
            match changes.preview(topic, partition, target, false) {
                Some(next) if can_do_without(&next, asked.broker) => {
                    changes.records.push(next.to_record(id, index));
                    Ok(())
                }
                _ => Err(Refusal::new(
                    ErrorCode::EligibleLeadersNotAvailable,
                    format!("No other replica of {}-{index} is there and has everything.", topic.name),
                )),
            }
        };
        let answer = asked.parts.iter().zip(twice).map(|(part, twice)| leave(part, twice)).collect();
        Decision { answer: Ok(answer), records: changes.records }
    }
}

/// Another broker leads, and has everything that was committed: what this one has is not needed.
pub fn can_do_without(partition: &Partition, broker: BrokerId) -> bool {
    let named = |brokers: &[BrokerId]| brokers.contains(&broker);
    partition.leader.is_some_and(|leader| leader != broker)
        && !named(&partition.isr)
        && !named(&partition.elr)
}
