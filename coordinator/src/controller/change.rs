//! How a partition changes: whoever wants something of it says what shall be, and the same rules follow every wish: a
//! reassignment that can be completed is, eligible leader replicas are kept (KIP-966), a leader is elected, epochs rise.

use std::sync::Arc;

use model::{BrokerId, LeaderEpoch, PartitionIndex};

use super::{
    Controller,
    election::{Ballot, Elected, Standing, elect},
};
use crate::{
    config::ReplicaConfig,
    metadata::{MetadataRecord, Partition, Topic},
};

/// What a partition shall be, before the rules have their say.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) replicas: Vec<BrokerId>,
    pub(super) isr: Vec<BrokerId>,
    pub(super) adding: Vec<BrokerId>,
    pub(super) removing: Vec<BrokerId>,
    /// Its disk is gone, so it is not eligible whatever it was before.
    pub(super) lost: Option<BrokerId>,
    /// What anybody vouched for in the present epoch counts no more: there is another one, whoever leads.
    pub(super) doubted: bool,
    /// As in `Ballot`.
    pub(super) preferred: bool,
    /// As in `Ballot`.
    pub(super) unclean: bool,
}

impl Target {
    /// That everything stays as it is, so far as the rules let it.
    pub(super) fn of(partition: &Partition) -> Self {
        Self {
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            adding: partition.adding_replicas.clone(),
            removing: partition.removing_replicas.clone(),
            lost: None,
            doubted: false,
            preferred: false,
            unclean: false,
        }
    }

    /// The broker leaves those in sync, unless it is alone there: the last one is where the records are.
    pub(super) fn without(partition: &Partition, broker: BrokerId) -> Self {
        let isr = minus(&partition.isr, &[broker]);
        let target = Self::of(partition);
        if isr.is_empty() { target } else { Self { isr, ..target } }
    }

    /// The broker leaves those in sync and those eligible: it has nothing any more.
    pub(super) fn without_lost(partition: &Partition, broker: BrokerId) -> Self {
        Self { isr: minus(&partition.isr, &[broker]), lost: Some(broker), ..Self::of(partition) }
    }
}

/// `a` without what is in `b`, in the order of `a`.
pub(super) fn minus(a: &[BrokerId], b: &[BrokerId]) -> Vec<BrokerId> {
    a.iter().copied().filter(|id| !b.contains(id)).collect()
}

/// What the partition becomes; None if nothing changes. `isr_min` is how many replicas must be in sync before anything is
/// committed.
pub(super) fn changed(
    before: &Partition,
    mut target: Target,
    isr_min: i32,
    standing: &dyn Fn(BrokerId) -> Standing,
) -> Option<Partition> {
    complete_reassignment(&mut target);
    let isr_min = usize::try_from(isr_min).unwrap_or(1).clamp(1, target.replicas.len().max(1));
    let elr = eligible(before, &target, isr_min, &target.isr);
    let elected = elect(
        &Ballot {
            replicas: &target.replicas,
            isr: &target.isr,
            elr: &elr,
            leader: before.leader,
            preferred: target.preferred,
            unclean: target.unclean,
        },
        standing,
    );
    let (isr, elr) = match elected {
        None | Some(Elected::InSync(_)) => (target.isr.clone(), elr),
        Some(Elected::Eligible(leader)) => {
            let elr = eligible(before, &target, isr_min, &[leader]);
            (vec![leader], elr)
        }
        Some(Elected::Unclean(leader)) => (vec![leader], vec![]),
    };
    let leader = elected.map(Elected::broker);
    // A leader that begins anew with nothing is another one. And who is no longer a replica must not be taken for one by
    // a leader that has not heard of it.
    let new_leadership = leader != before.leader
        || target.doubted
        || target.lost.is_some_and(|lost| before.leader == Some(lost))
        || !minus(&before.replicas, &target.replicas).is_empty();
    let next = Partition {
        leader,
        leader_epoch: if new_leadership { raised(before.leader_epoch) } else { before.leader_epoch },
        replicas: target.replicas,
        isr,
        adding_replicas: target.adding,
        removing_replicas: target.removing,
        elr,
        last_known_leader: if leader.is_some() { None } else { before.leader.or(before.last_known_leader) },
        partition_epoch: before.partition_epoch,
        unclean_epoch: before.unclean_epoch,
    };
    (next != *before).then(|| Partition { partition_epoch: before.partition_epoch.saturating_add(1), ..next })
}

fn raised(epoch: LeaderEpoch) -> LeaderEpoch {
    LeaderEpoch(epoch.0.saturating_add(1))
}

/// Once all that shall stay are in sync, the others go.
fn complete_reassignment(target: &mut Target) {
    if target.adding.is_empty() && target.removing.is_empty() {
        return;
    }
    let replicas = minus(&target.replicas, &target.removing);
    let isr = minus(&target.isr, &target.removing);
    if !replicas.is_empty() && minus(&replicas, &isr).is_empty() {
        (target.replicas, target.isr) = (replicas, isr);
        target.adding.clear();
        target.removing.clear();
    }
}

/// While fewer are in sync than a commit needs, nothing is committed: whoever leaves then has everything that ever was.
/// As soon as enough are in sync, what is committed leaves the others behind.
fn eligible(before: &Partition, target: &Target, isr_min: usize, isr: &[BrokerId]) -> Vec<BrokerId> {
    if isr.len() >= isr_min {
        return vec![];
    }
    let had = |id: &BrokerId| before.elr.contains(id) || before.isr.contains(id);
    let out = |id: &BrokerId| !isr.contains(id) && target.lost != Some(*id);
    target.replicas.iter().copied().filter(|id| had(id) && out(id)).collect()
}

/// Changes of many partitions in one decision.
pub(super) struct Changes<'a> {
    controller: Controller<'a>,
    /// A broker that stands otherwise than the image says, by the same decision.
    exception: Option<(BrokerId, Standing)>,
    /// Of the topic looked at last.
    config: Option<(Arc<str>, ReplicaConfig)>,
    pub(super) records: Vec<MetadataRecord>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(controller: Controller<'a>) -> Self {
        Self { controller, exception: None, config: None, records: vec![] }
    }

    pub(super) fn with(controller: Controller<'a>, broker: BrokerId, standing: Standing) -> Self {
        Self { exception: Some((broker, standing)), ..Self::new(controller) }
    }

    /// What the partition becomes, with nothing noted. `allowed` is what the topic's configs say of unclean elections,
    /// beside what the target says.
    pub(super) fn preview(
        &mut self,
        topic: &Topic,
        before: &Partition,
        target: Target,
        allowed: bool,
    ) -> Option<Partition> {
        let config = self.config(topic);
        let unclean = target.unclean || (allowed && config.unclean_leader_election_enable);
        let standing = |id| self.standing(id);
        changed(before, Target { unclean, ..target }, config.min_insync_replicas, &standing)
    }

    /// The partition changes, with an unclean election if the topic's configs allow it.
    pub(super) fn push(&mut self, topic: &Topic, index: PartitionIndex, before: &Partition, target: Target) {
        if let Some(next) = self.preview(topic, before, target, true) {
            self.records.push(next.to_record(topic.id, index));
        }
    }

    pub(super) fn standing(&self, id: BrokerId) -> Standing {
        match self.exception {
            Some((broker, standing)) if broker == id => standing,
            _ => self.controller.standing(id),
        }
    }

    pub(super) fn config(&mut self, topic: &Topic) -> ReplicaConfig {
        if let Some((name, config)) = &self.config
            && *name == topic.name
        {
            return *config;
        }
        let config = ReplicaConfig::resolve(&topic.name, self.controller.image, self.controller.config);
        self.config = Some((Arc::clone(&topic.name), config));
        config
    }
}

impl<'a> Controller<'a> {
    pub(super) fn standing(self, id: BrokerId) -> Standing {
        match self.image.broker(id) {
            Some(broker) if broker.is_active() => Standing::Active,
            Some(broker) if !broker.fenced => Standing::Leaving,
            _ => Standing::Away,
        }
    }

    pub(super) fn all_partitions(
        self,
    ) -> impl Iterator<Item = (&'a Arc<Topic>, PartitionIndex, &'a Partition)> {
        self.image.topics().flat_map(|topic| {
            let indexes = (0..).map(PartitionIndex);
            indexes.zip(&topic.partitions).map(move |(index, partition)| (topic, index, partition))
        })
    }

    /// The partitions with a replica on the broker: for now by looking at all there are.
    pub(super) fn partitions_of(
        self,
        broker: BrokerId,
    ) -> impl Iterator<Item = (&'a Arc<Topic>, PartitionIndex, &'a Partition)> {
        self.all_partitions().filter(move |(_, _, partition)| partition.replicas.contains(&broker))
    }
}

#[cfg(test)]
mod tests;
