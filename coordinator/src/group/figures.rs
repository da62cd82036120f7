//! What a coordinator holds, for metrics.

use super::{
    coordinator::{GroupCoordinator, Kind},
    offsets::CommittedOffset,
};

impl GroupCoordinator {
    /// Protocol and state of each group, as ListGroups says them.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.groups.values().map(|group| match &group.kind {
            Kind::Classic(classic) => ("classic", classic.state().name()),
            Kind::Consumer(consumer) => ("consumer", consumer.state().name()),
        })
    }

    /// Of all groups.
    pub fn offset_count(&self) -> usize {
        self.groups.values().map(|group| group.offsets.count()).sum()
    }

    /// Everything that is committed, in order of group, topic and partition.
    pub fn offsets(&self) -> impl Iterator<Item = (&str, &str, i32, &CommittedOffset)> {
        self.groups.iter().flat_map(|(id, group)| {
            group
                .offsets
                .iter()
                .map(move |(topic, partition, offset)| (id.as_str(), topic, partition, offset))
        })
    }
}
