//! What the coordinators of one shard say for metrics.

use std::{collections::BTreeMap, sync::Arc};

use coordinator::group::GroupCoordinator;
use engine::Disk;

use super::{Groups, Hosted};
use crate::metrics::{
    families::Family,
    samples::{Committed, Samples},
};

/// A longer name of a group is not shown: labels are kept by whoever scrapes.
const NAME_BYTES_MAX: usize = 256;

/// Groups by protocol and state.
type Counts = BTreeMap<(&'static str, &'static str), u64>;

impl<D: Disk> Groups<D> {
    /// Adds what is counted, and answers the first `most` committed offsets in order of group, topic and partition, and
    /// how many are left out. What is still being loaded is missing.
    pub(crate) async fn tell(&self, samples: &mut Samples, most: usize) -> (Vec<Committed>, usize) {
        let (mut counts, mut offset_count, mut committed) = (Counts::new(), 0, vec![]);
        for id in self.ids() {
            if let Some(Hosted::Ready(coordinator)) = self.coordinators.borrow().get(&id) {
                for (protocol, state) in coordinator.kinds() {
                    *counts.entry((protocol, state)).or_default() += 1;
                }
                offset_count += coordinator.offset_count();
                committed.extend(first_committed(coordinator, most));
            }
            committed.sort_unstable();
            committed.truncate(most);
            rt::yield_if_needed().await;
        }
        samples.one(Family::Groups, counts.values().sum());
        samples.one(Family::GroupOffsets, offset_count as u64);
        for ((protocol, state), count) in counts {
            samples.whole(Family::GroupsByProtocol, [protocol.into()], count);
            samples.whole(Family::GroupsByState, [protocol.into(), state.into()], count);
        }
        let left_out = offset_count - committed.len();
        (committed, left_out)
    }
}

fn first_committed(coordinator: &GroupCoordinator, most: usize) -> impl Iterator<Item = Committed> {
    let mut name: Option<Arc<str>> = None;
    let shown = coordinator.offsets().filter(|(group, ..)| group.len() <= NAME_BYTES_MAX).take(most);
    shown.map(move |(group, topic, partition, offset)| {
        let group = match &name {
            Some(name) if **name == *group => name.clone(),
            _ => name.insert(group.into()).clone(),
        };
        Committed { group, topic: topic.into(), partition, offset: offset.offset }
    })
}
