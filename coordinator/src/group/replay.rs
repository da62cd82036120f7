//! A coordinator is made anew from what its partition of `__consumer_offsets` says.
//!
//! The log is compacted: the last record of each key is there, those before it may be, and a tombstone may be gone. So
//! the records of a group come in the order in which each was last written, which can be any: a target before its
//! member, a member before the group's epoch, offsets before or after both. What there is of a group is known only when
//! all is read.

use std::collections::{BTreeMap, BTreeSet};

use model::ProducerId;

use super::{
    actions::{Actions, Context},
    classic::ClassicGroup,
    config::GroupConfig,
    consumer::ConsumerGroup,
    coordinator::{Group, GroupCoordinator, Kind},
    offsets::CommittedOffset,
    record::{GroupRecord, OffsetCommitKey, OffsetCommitValue},
};

/// All records of the log go in, in order, before anything else happens to the coordinator that comes out.
#[derive(Debug)]
pub struct Replay {
    coordinator: GroupCoordinator,
    /// Offsets of transactions that have not ended, with their places in the order of records.
    pending: BTreeMap<OffsetCommitKey, BTreeMap<ProducerId, Pending>>,
    open: BTreeMap<ProducerId, BTreeSet<OffsetCommitKey>>,
    record_count: u64,
}

#[derive(Debug)]
struct Pending {
    at: u64,
    value: Option<OffsetCommitValue>,
}

impl Replay {
    pub fn new(config: GroupConfig) -> Self {
        let coordinator = GroupCoordinator::new(config);
        Self { coordinator, pending: BTreeMap::new(), open: BTreeMap::new(), record_count: 0 }
    }

    pub fn record(&mut self, record: GroupRecord) {
        self.record_count += 1;
        match record {
            GroupRecord::OffsetCommit { key, value } => {
                // A transaction that wrote the key before, and ends later, comes too late.
                self.pending.remove(&key);
                self.offset(key, value);
            }
            GroupRecord::GroupMetadata { group, value } => {
                let classic = match value {
                    Some(value) => ClassicGroup::from_record(&group, value),
                    None if self.is_consumer(&group) => return,
                    None => ClassicGroup::loaded_without_record(&group),
                };
                self.put(&group, Kind::Classic(classic));
                self.forget_if_nothing(&group);
            }
            // Superseded by the hash in the group's own record. It would make a group of its own where none is.
            GroupRecord::PartitionMetadata { .. } => {}
            record => self.consumer(record),
        }
    }

    /// A record of a transaction: an offset counts when the transaction is committed, at its own place in the order.
    pub fn transactional(&mut self, producer: ProducerId, record: GroupRecord) {
        let GroupRecord::OffsetCommit { key, value } = record else { return self.record(record) };
        self.record_count += 1;
        let pending = Pending { at: self.record_count, value };
        self.pending.entry(key.clone()).or_default().insert(producer, pending);
        self.open.entry(producer).or_default().insert(key);
    }

    /// The marker that ends the producer's transaction.
    pub fn end_transaction(&mut self, producer: ProducerId, committed: bool) {
        for key in self.open.remove(&producer).unwrap_or_default() {
            let Some(of_key) = self.pending.get_mut(&key) else { continue };
            let Some(ended) = of_key.remove(&producer) else { continue };
            if committed {
                of_key.retain(|_, other| other.at > ended.at);
            }
            if of_key.is_empty() {
                self.pending.remove(&key);
            }
            if committed {
                self.offset(key, ended.value);
            }
        }
    }

    /// The end of the log. Transactions that are open still have committed nothing.
    pub fn done(mut self) -> GroupCoordinator {
        for (id, group) in &mut self.coordinator.groups {
            if let Kind::Consumer(consumer) = &group.kind
                && consumer.is_empty()
                && !consumer.is_in_log()
            {
                // What is left are offsets without a group.
                group.kind = Kind::Classic(ClassicGroup::loaded_without_record(id));
            }
        }
        self.coordinator.groups.retain(|_, group| !group.is_vacant());
        self.coordinator
    }

    fn offset(&mut self, key: OffsetCommitKey, value: Option<OffsetCommitValue>) {
        let OffsetCommitKey { group: id, topic, partition } = key;
        let value = value.map(CommittedOffset::from_value);
        if let Some(group) = self.coordinator.groups.get_mut(&id) {
            group.offsets.apply(topic, partition, value);
            return self.forget_if_nothing(&id);
        }
        if let Some(value) = value {
            let mut group = Group::new(Kind::Classic(ClassicGroup::loaded_without_record(&id)));
            group.offsets.apply(topic, partition, Some(value));
            self.coordinator.groups.insert(id, group);
        }
    }

    /// A tombstone of the new protocol says nothing about a group of the classic one, which may have followed it.
    fn consumer(&mut self, record: GroupRecord) {
        let id = record.group().to_owned();
        if !self.is_consumer(&id) {
            if record.is_tombstone() {
                return;
            }
            self.put(&id, Kind::Consumer(ConsumerGroup::new(&id)));
        }
        let group = self.coordinator.groups.get_mut(&id);
        if let Some(Group { kind: Kind::Consumer(consumer), .. }) = group {
            consumer.apply(record);
        }
    }

    fn is_consumer(&self, id: &str) -> bool {
        self.coordinator.groups.get(id).is_some_and(|group| matches!(group.kind, Kind::Consumer(_)))
    }

    /// In place of what is known of the group, but for its offsets.
    fn put(&mut self, id: &str, kind: Kind) {
        let offsets = self.coordinator.groups.remove(id).map(|group| group.offsets).unwrap_or_default();
        let mut group = Group::new(kind);
        group.offsets = offsets;
        self.coordinator.groups.insert(id.to_owned(), group);
    }

    /// So that a log full of tombstones takes no room. Of a group of the new protocol, more may come.
    fn forget_if_nothing(&mut self, id: &str) {
        if !self.is_consumer(id) && self.coordinator.groups.get(id).is_some_and(Group::is_vacant) {
            self.coordinator.groups.remove(id);
        }
    }
}

impl GroupCoordinator {
    /// Everything is replayed: sessions of the members begin now.
    pub fn loaded(&mut self, cx: &Context<'_>) -> Actions {
        let mut actions = Actions::default();
        for group_id in self.groups.keys().cloned().collect::<Vec<_>>() {
            actions.extend(self.step(&group_id, |group, config, _| match &mut group.kind {
                Kind::Classic(classic) => classic.begin_sessions(cx),
                Kind::Consumer(consumer) => consumer.begin_sessions(cx, config),
            }));
        }
        self.expiry.begin(cx, &self.config);
        actions
    }
}
