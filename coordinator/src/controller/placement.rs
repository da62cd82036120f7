//! Which brokers hold a partition.

use std::collections::BTreeSet;

use model::{BrokerId, ErrorCode};

use super::{Controller, Refusal, election::Standing};
use crate::metadata::Broker;

impl Controller<'_> {
    /// Brokers that can be given replicas, in an order where neighbours are in different racks as long as possible.
    pub(super) fn usable_brokers(&self) -> Vec<&Broker> {
        let mut usable: Vec<_> = self.image.brokers().filter(|broker| broker.is_active()).collect();
        let mut seen_in_rack = std::collections::BTreeMap::new();
        let mut turn = |rack: &Option<String>| {
            let turn = seen_in_rack.entry(rack.clone()).or_insert(0_usize);
            *turn += 1;
            *turn
        };
        // The first broker of each rack, then the second of each.
        usable.sort_by_cached_key(|broker| (turn(&broker.rack), broker.id));
        usable
    }

    /// Replicas of `count` partitions that follow `from` others. Leaders go round over the brokers; so do the followers, at
    /// a distance that changes with every round, so that what a lost broker led is spread over all the others.
    pub(super) fn place(
        &self,
        count: usize,
        from: usize,
        replication_factor: i16,
        seed: usize,
    ) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let brokers = self.usable_brokers();
        let factor = match usize::try_from(replication_factor) {
            Ok(factor) if factor > 0 && factor <= brokers.len() => factor,
            _ => {
                let sentence = format!(
                    "A replication factor of {replication_factor} is not possible: {} brokers are usable. \
                     Ask for 1 to that many, or -1 for the default.",
                    brokers.len()
                );
                return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, sentence));
            }
        };
        Ok((from..from + count)
            .map(|index| place_one(&brokers, factor, seed % brokers.len() + index))
            .collect())
    }

    /// Replicas that a client chose: each partition with `factor` different registered brokers, one of them usable.
    pub(super) fn check_assignments(
        &self,
        partitions: &[Vec<BrokerId>],
        factor: usize,
    ) -> Result<(), Refusal> {
        let bad = |sentence: String| Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, sentence));
        for replicas in partitions {
            if replicas.is_empty() {
                return bad(
                    "The assignment has a partition without replicas; give each at least one.".to_owned()
                );
            }
            if replicas.len() != factor {
                let count = replicas.len();
                return bad(format!(
                    "The assignment has partitions with {factor} and with {count} replicas."
                ));
            }
            let mut seen = BTreeSet::new();
            for replica in replicas {
                if self.image.broker(*replica).is_none() {
                    return bad(format!("The assignment names broker {replica}, which is not registered."));
                }
                if !seen.insert(replica) {
                    return bad(format!("The assignment names broker {replica} twice for one partition."));
                }
            }
            if !replicas.iter().any(|id| self.standing(*id) == Standing::Active) {
                return bad("The assignment has a partition whose brokers are all down.".to_owned());
            }
        }
        Ok(())
    }
}

fn place_one(brokers: &[&Broker], factor: usize, turn: usize) -> Vec<BrokerId> {
    let count = brokers.len();
    let (first, round) = (turn % count, turn / count);
    let mut order = vec![brokers[first]];
    // The others, once each, beginning at a place that moves with the round.
    order.extend((0..count - 1).map(|i| brokers[(first + 1 + (round + i) % (count - 1)) % count]));
    let mut racks = BTreeSet::new();
    let (mut chosen, mut rest) = (vec![], vec![]);
    for broker in order {
        let new_rack = racks.insert(&broker.rack);
        if new_rack || broker.rack.is_none() { chosen.push(broker.id) } else { rest.push(broker.id) }
    }
    chosen.extend(rest);
    chosen.truncate(factor);
    chosen
}
