//! Replicas that are corrupt here leave those in sync, get anew what they lack, and come back by themselves. In a cluster, one
//! task a shard.
//!
//! ```text
//!   corrupt -> takes nothing, follows nobody          (the store and `Partitions` see to that)
//!           -> the controller is told ------ nobody else has everything: it stays as it is, and is told again later
//!              granted: others have it, another one leads, in a new leader epoch
//!           -> the segment is set aside, what is behind it goes
//!           -> follows the leader, as after a lost disk
//! ```

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use coordinator::controller::ReportDamage;
use engine::Disk;
use model::{ErrorCode, TopicPartition};
use net::{Outcome, Proposal, Shard};

use super::partitions::Partitions;

/// How long what was refused, or is not known to be over, waits before it is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Partitions in one report.
const PARTS_MAX: usize = 1000;

pub async fn run<D: Disk>(shard: Rc<Shard<D>>, partitions: Rc<Partitions<D>>) {
    // What was said of these is not said again. A grant lasts while nothing is vouched for: each is another leader epoch.
    let (mut refused, mut granted) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let found = shard.store().damage_found().wait();
        let damaged = partitions.damaged();
        damaged.iter().for_each(|&id| partitions.hold_back(id));
        refused.retain(|id| damaged.contains(id));
        granted.retain(|&id| damaged.contains(&id) && partitions.can_do_without(id));
        let asked: Vec<TopicPartition> = damaged.into_iter().filter(|id| !granted.contains(id)).collect();
        for some in asked.chunks(PARTS_MAX) {
            for (&id, code) in some.iter().zip(report(&shard, some).await) {
                if code == ErrorCode::None {
                    granted.insert(id);
                } else if code == ErrorCode::EligibleLeadersNotAvailable && refused.insert(id) {
                    tracing::error!(
                        partition = name(&shard, id),
                        "it is corrupt here, and no other replica is known to have everything: nothing of it is cut. It is \
                         repaired as soon as another one is in sync"
                    );
                }
            }
        }
        for id in granted.clone() {
            if repair(&shard, &partitions, id).await {
                granted.remove(&id);
            }
        }
        // One that could not be opened, and a replica that comes to one that was alone, wake nobody.
        let _ = rt::timer::timeout(AGAIN, found).await;
    }
}

/// What the controller says of each.
async fn report<D: Disk>(shard: &Shard<D>, damaged: &[TopicPartition]) -> Vec<ErrorCode> {
    let unknown = vec![ErrorCode::NotController; damaged.len()];
    let broker = shard.broker();
    let Some(broker_epoch) = shard.image().broker(broker).map(|broker| broker.epoch) else { return unknown };
    let parts = damaged.iter().map(|id| (id.topic, id.partition)).collect();
    let asked = ReportDamage { broker, broker_epoch, parts };
    match shard.control().propose(Proposal::ReportDamage(asked)).await {
        Outcome::ReportDamage(Ok(codes)) if codes.len() == damaged.len() => codes,
        other => {
            tracing::debug!(why = %other.refusal().message, "nobody takes note of corrupt replicas; asking again");
            unknown
        }
    }
}

/// Whether it is well again.
async fn repair<D: Disk>(shard: &Shard<D>, partitions: &Partitions<D>, id: TopicPartition) -> bool {
    let partition = name(shard, id);
    tracing::warn!(
        partition,
        "it is corrupt here, and others have it: the segment is set aside (.damaged), and it is fetched again from there on"
    );
    match partitions.repair(id).await {
        Ok(end) => {
            tracing::info!(partition, %end, "what was corrupt is gone, and the leader is followed from here on");
            true
        }
        Err(error) => {
            tracing::warn!(partition, %error, "it cannot be repaired now; trying again");
            false
        }
    }
}

fn name<D: Disk>(shard: &Shard<D>, id: TopicPartition) -> String {
    let image = shard.image();
    image
        .topic_by_id(id.topic)
        .map_or_else(|| id.to_string(), |topic| format!("{}-{}", topic.name, id.partition))
}
