//! Keeps the in-sync replicas of the partitions that a shard leads what they should be: asks each leader by time whom it
//! wants, and the controller whether that may be (KIP-497). One task a shard.

use std::{rc::Rc, time::Duration};

use coordinator::controller::{AlterPartition, IsrMember, PartitionIsr};
use engine::Disk;
use model::{BrokerId, ErrorCode};
use net::{Outcome, Proposal, Shard};
use replication::Partition;

/// How often leaders are asked.
const INTERVAL: Duration = Duration::from_millis(50);
/// Partitions in one request: what a controller change ends is tried again soon.
const PARTS_MAX: usize = 1000;

pub async fn run<D: Disk>(shard: Rc<Shard<D>>) {
    loop {
        rt::timer::sleep(INTERVAL).await;
        let wanted = wanted(&shard);
        for some in wanted.chunks(PARTS_MAX) {
            propose(&shard, some).await;
        }
    }
}

type Wanted<D> = (Rc<Partition<D>>, PartitionIsr);

fn wanted<D: Disk>(shard: &Shard<D>) -> Vec<Wanted<D>> {
    let image = shard.image();
    let lag = u64::try_from(shard.config().replica_lag_time_max_ms).unwrap_or(0);
    let lag_max = Duration::from_millis(lag);
    let may_lead = |broker: BrokerId| {
        image.broker(broker).is_some_and(|broker| !broker.fenced && !broker.in_controlled_shutdown)
    };
    let now = rt::timer::now();
    let wanted = shard.table().all().into_iter().filter_map(|partition| {
        let (leader_epoch, proposal) = partition.propose_isr(lag_max, may_lead, now)?;
        let id = partition.id();
        let member = |(&broker, &broker_epoch)| IsrMember { broker, broker_epoch };
        let part = PartitionIsr {
            topic: id.topic,
            index: id.partition,
            leader_epoch,
            partition_epoch: proposal.partition_epoch,
            isr: proposal.isr.iter().zip(&proposal.lives).map(member).collect(),
        };
        Some((partition, part))
    });
    wanted.collect()
}

async fn propose<D: Disk>(shard: &Shard<D>, wanted: &[Wanted<D>]) {
    let broker = shard.broker();
    let Some(broker_epoch) = shard.image().broker(broker).map(|broker| broker.epoch) else { return };
    let parts = wanted.iter().map(|(_, part)| part.clone()).collect();
    let asked = AlterPartition { broker, broker_epoch, parts };
    let codes = loop {
        match shard.control().propose(Proposal::AlterPartition(asked.clone())).await {
            Outcome::AlterPartition(Ok(codes)) if codes.len() == wanted.len() => break codes,
            Outcome::AlterPartition(_) => break vec![ErrorCode::UnknownServerError; wanted.len()],
            // It may be granted all the same, and who was let in may lead next: a leader that waits no more for it
            // would acknowledge what it lacks. So it is asked again until somebody answers.
            other => {
                tracing::debug!(why = %other.refusal().message, "nobody says who is in sync; asking again")
            }
        }
        if !wanted.iter().any(still_leads) {
            return;
        }
        rt::timer::sleep(INTERVAL).await;
    };
    for ((partition, part), code) in wanted.iter().zip(codes) {
        // What is granted comes with the metadata, which is here by now.
        if code != ErrorCode::None {
            tracing::debug!(partition = %partition.id(), ?code, "the in-sync replicas could not be changed");
            partition.isr_refused(part.partition_epoch);
        }
    }
}

fn still_leads<D: Disk>((partition, part): &Wanted<D>) -> bool {
    partition.leads() && partition.leader_epoch() == part.leader_epoch
}
