//! What clients were told and who led when, and whether all of it can be true at once.

use std::collections::BTreeMap;

use model::{BatchView, BrokerId, LeaderEpoch, Offset, TopicPartition, batch::record::Records};

/// A record as it stands in a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found {
    pub offset: Offset,
    pub epoch: LeaderEpoch,
    pub value: u64,
}

#[derive(Default)]
struct Known {
    /// By whom a value was seen at an offset first, for the sentence.
    values: BTreeMap<Offset, (u64, &'static str)>,
    acked: BTreeMap<Offset, (u64, LeaderEpoch)>,
    /// Where each epoch began on the broker that led it, and who that was.
    leaders: BTreeMap<LeaderEpoch, (BrokerId, Offset)>,
}

#[derive(Default)]
pub struct Auditor {
    seed: u64,
    partitions: BTreeMap<TopicPartition, Known>,
    pub acked_count: u64,
    pub read_count: u64,
    pub elections: u64,
}

impl Auditor {
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// A broker leads from now on, with a log that ends at `end`. In a later life it may take up an epoch that it had
    /// before, until it hears otherwise.
    pub fn leads(&mut self, id: TopicPartition, broker: BrokerId, epoch: LeaderEpoch, end: Offset) {
        let seed = self.seed;
        let known = self.partitions.entry(id).or_default();
        if let Some((other, _)) = known.leaders.get(&epoch) {
            assert_eq!(*other, broker, "seed {seed} {id}: two leaders of epoch {epoch} (L10)");
            return;
        }
        known.leaders.insert(epoch, (broker, end));
        self.elections += 1;
        let lacks = known.acked.iter().find(|(offset, (_, of))| **offset >= end && *of < epoch);
        if let Some((offset, (_, of))) = lacks {
            panic!(
                "seed {seed} {id}: broker {broker} leads epoch {epoch} with a log that ends at {end}, and offset \
                 {offset} was acknowledged in epoch {of} (L1)"
            );
        }
    }

    /// A producer was told that its records are safe.
    pub fn acked(&mut self, id: TopicPartition, base: Offset, epoch: LeaderEpoch, values: &[u64]) {
        let seed = self.seed;
        for (n, &value) in (0..).zip(values) {
            let offset = base + n;
            self.sees(id, offset, value, "acknowledged");
            let known = self.partitions.entry(id).or_default();
            known.acked.insert(offset, (value, epoch));
            for (later, (broker, end)) in known.leaders.range(LeaderEpoch(epoch.0 + 1)..) {
                assert!(
                    offset < *end,
                    "seed {seed} {id}: offset {offset} is acknowledged in epoch {epoch}, and broker {broker} has led \
                     epoch {later} since with a log that ended at {end} (L1)"
                );
            }
            self.acked_count += 1;
        }
    }

    /// A consumer was given these.
    pub fn read(&mut self, id: TopicPartition, found: &[Found]) {
        for record in found {
            self.sees(id, record.offset, record.value, "read");
            self.read_count += 1;
        }
    }

    fn sees(&mut self, id: TopicPartition, offset: Offset, value: u64, how: &'static str) {
        let known = self.partitions.entry(id).or_default();
        let (before, by) = *known.values.entry(offset).or_insert((value, how));
        assert_eq!(
            before, value,
            "seed {} {id}: offset {offset} was {by} with one value and is {how} with another (L3)",
            self.seed
        );
    }

    /// All that clients know is in a replica's log, in the end. `idempotent`: whether the producer of a value is.
    pub fn holds(
        &self,
        id: TopicPartition,
        broker: BrokerId,
        log: &[Found],
        idempotent: impl Fn(u64) -> Option<u64>,
    ) {
        let seed = self.seed;
        let at: BTreeMap<Offset, u64> = log.iter().map(|found| (found.offset, found.value)).collect();
        let Some(known) = self.partitions.get(&id) else { return };
        for (offset, (value, how)) in &known.values {
            assert_eq!(
                at.get(offset),
                Some(value),
                "seed {seed} {id}: what was {how} at offset {offset} is not what broker {broker} has there (L3)"
            );
        }
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for found in log {
            let Some(producer) = idempotent(found.value) else { continue };
            let before = last.insert(producer, found.value);
            assert!(
                before.is_none_or(|before| before < found.value),
                "seed {seed} {id}: producer {producer} wrote {} behind {before:?}: twice, or out of order",
                found.value
            );
        }
    }
}

/// The records of whole batches.
pub fn records_of(bytes: &[u8]) -> Vec<Found> {
    let mut found = vec![];
    for batch in BatchView::check_all(bytes) {
        let batch = batch.unwrap_or_else(|why| panic!("somebody got no whole batch: {why}"));
        let (base, epoch) = (batch.header().base_offset(), batch.header().leader_epoch());
        for (n, record) in (0..).zip(Records::new(batch.payload(), batch.header().record_count())) {
            let value = record.expect("a record of ours").value.expect("it has a value");
            let value = u64::from_be_bytes(*value.first_chunk().expect("it begins with a number"));
            found.push(Found { offset: base + n, epoch, value });
        }
    }
    found
}
