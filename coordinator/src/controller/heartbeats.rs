//! Brokers come, stay and go: heartbeats, and what becomes of the partitions of a broker that is fenced, comes back, or
//! is about to stop.

use model::{BrokerId, ErrorCode, Offset};

use super::{
    Controller, Decision, Refusal,
    change::{Changes, Target, minus},
    election::Standing,
};
use crate::metadata::{Broker, MetadataRecord, Partition};

/// Partitions that one decision changes: with as many replicas as there may be, their records still fit in one proposal.
pub(super) const CHANGES_MAX: usize = 20_000;

/// The same of partitions without a leader, which are not looked at again soon.
const ELECTED_MAX: usize = 100_000;

/// What a broker says of itself every few seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    /// Of the last metadata record that it applied.
    pub metadata_offset: Offset,
    pub want_fence: bool,
    pub want_shut_down: bool,
}

impl Heartbeat {
    /// In this life of the broker, not an earlier one.
    pub fn is_of(&self, broker: &Broker) -> bool {
        (self.broker, self.broker_epoch) == (broker.id, broker.epoch)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeartbeatAnswer {
    pub fenced: bool,
    /// Nothing keeps the broker any more.
    pub should_shut_down: bool,
    /// It knows of its own registration.
    pub is_caught_up: bool,
}

impl Controller<'_> {
    /// A fenced broker is unfenced once it has applied its own registration. One that wants to stop hands over what others
    /// can lead, and is fenced and told to stop when there is nothing left to hand over.
    pub fn heartbeat(&self, heartbeat: &Heartbeat) -> Decision<Result<HeartbeatAnswer, Refusal>> {
        let broker = match self.check_broker_epoch(heartbeat.broker, heartbeat.broker_epoch) {
            Ok(broker) => broker,
            Err(refusal) => return Decision { answer: Err(refusal), records: vec![] },
        };
        let Heartbeat { want_fence, want_shut_down, .. } = *heartbeat;
        let is_caught_up = heartbeat.metadata_offset.0 >= broker.epoch;
        let decided = |fenced, should_shut_down, records| Decision {
            answer: Ok(HeartbeatAnswer { fenced, should_shut_down, is_caught_up }),
            records,
        };
        if broker.fenced {
            let unfence = is_caught_up && !want_fence && !want_shut_down;
            let records = if unfence { self.unfenced(broker) } else { vec![] };
            return decided(!unfence, want_shut_down, records);
        }
        let stopping = want_shut_down || broker.in_controlled_shutdown;
        if want_fence || (stopping && !self.can_hand_over(broker.id)) {
            let records = self.fence(broker.id).records;
            // The rest at the next heartbeat: until then it is counted on.
            let fenced = tells_of(&records, broker.id);
            return decided(fenced, stopping && fenced, records);
        }
        let records = if stopping { self.handed_over(broker) } else { vec![] };
        decided(false, false, records)
    }

    /// The broker's session is over.
    pub fn fence(&self, broker: BrokerId) -> Decision<()> {
        let records = match self.image.broker(broker) {
            Some(broker) if !broker.fenced => self.fenced(broker),
            _ => vec![],
        };
        Decision { answer: (), records }
    }

    /// Out of the partitions first, so that each record alone leaves things in order. One with very many is fenced in several
    /// steps, of which the last says so.
    fn fenced(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut changes = Changes::with(*self, broker.id, Standing::Away);
        for (topic, index, partition) in self.partitions_of(broker.id) {
            if concerns(partition, broker.id) {
                if changes.records.len() >= CHANGES_MAX {
                    return changes.records;
                }
                changes.push(topic, index, partition, Target::without(partition, broker.id));
            }
        }
        changes.records.push(Broker { fenced: true, ..broker.clone() }.to_record());
        changes.records
    }

    /// Partitions that are too many wait for the next look for such that have no leader.
    fn unfenced(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut changes = Changes::with(*self, broker.id, Standing::Active);
        let back = Broker { fenced: false, in_controlled_shutdown: false, ..broker.clone() };
        changes.records.push(back.to_record());
        for (topic, index, partition) in self.partitions_of(broker.id) {
            if partition.leader.is_none() && changes.records.len() < ELECTED_MAX {
                changes.push(topic, index, partition, Target::of(partition));
            }
        }
        changes.records
    }

    /// The rest at the next heartbeat.
    fn handed_over(&self, broker: &Broker) -> Vec<MetadataRecord> {
        let mut changes = Changes::with(*self, broker.id, Standing::Leaving);
        if !broker.in_controlled_shutdown {
            changes.records.push(Broker { in_controlled_shutdown: true, ..broker.clone() }.to_record());
        }
        for (topic, index, partition) in self.partitions_of(broker.id) {
            let is_due = concerns(partition, broker.id) && changes.records.len() < CHANGES_MAX;
            if is_due && self.has_successor(partition, broker.id) {
                changes.push(topic, index, partition, Target::without(partition, broker.id));
            }
        }
        changes.records
    }

    fn can_hand_over(&self, broker: BrokerId) -> bool {
        let mut led = self.partitions_of(broker).filter(|(_, _, partition)| partition.leader == Some(broker));
        led.any(|(_, _, partition)| self.has_successor(partition, broker))
    }

    fn has_successor(&self, partition: &Partition, broker: BrokerId) -> bool {
        minus(&partition.isr, &[broker]).into_iter().any(|id| self.standing(id) == Standing::Active)
    }

    pub(super) fn check_broker_epoch(&self, id: BrokerId, epoch: i64) -> Result<&Broker, Refusal> {
        let broker = self.image.broker(id).ok_or_else(|| {
            Refusal::new(ErrorCode::BrokerIdNotRegistered, format!("Broker {id} is not registered."))
        })?;
        if broker.epoch != epoch {
            let sentence = format!("Broker {id} is at epoch {}, not at {epoch}.", broker.epoch);
            return Err(Refusal::new(ErrorCode::StaleBrokerEpoch, sentence));
        }
        Ok(broker)
    }
}

/// Whether the decision is whole: the broker's own record is its last.
pub(super) fn tells_of(records: &[MetadataRecord], id: BrokerId) -> bool {
    matches!(records.last(), Some(MetadataRecord::BrokerRegistration(last)) if last.id == id)
}

fn concerns(partition: &Partition, broker: BrokerId) -> bool {
    partition.leader == Some(broker) || partition.isr.contains(&broker)
}
