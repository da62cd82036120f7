//! What a leader knows of its partition's in-sync replicas, and the high watermark that follows from it. Pure.
//!
//! ```text
//!   replica 1 (leader)   |=============|        acknowledged 13
//!   replica 2            |=========|            acknowledged  9   <- high watermark
//!   replica 3            |==========|           acknowledged 10
//! ```
//! *Acknowledged* is what a replica may vouch for under the topic's durability: on stable storage, unless the topic
//! asks for less. The leader is a replica like the others; alone, its own end is the high watermark.

use model::{BrokerId, LeaderEpoch, Offset};

/// In-sync replicas of one partition; Kafka's replication factor is an `i16`, ours is far below.
pub const REPLICAS_MAX: usize = 64;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    epoch: LeaderEpoch,
    isr: Vec<Replica>,
    high: Offset,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Replica {
    broker: BrokerId,
    acknowledged: Offset,
}

/// The least of the ends, but never less than `before`: a client that saw an offset below the high watermark must go
/// on seeing it, also while a replica that is behind is being let in.
pub fn high_watermark(before: Offset, acknowledged: impl IntoIterator<Item = Offset>) -> Offset {
    acknowledged.into_iter().min().map_or(before, |least| least.max(before))
}

impl Leader {
    /// Nothing is known of the replicas yet but that they hold what is below `high`.
    pub fn new(epoch: LeaderEpoch, isr: &[BrokerId], high: Offset) -> Self {
        assert!(isr.len() <= REPLICAS_MAX, "{} in-sync replicas", isr.len());
        let isr = isr.iter().map(|&broker| Replica { broker, acknowledged: high }).collect();
        Self { epoch, isr, high }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    pub fn high(&self) -> Offset {
        self.high
    }

    pub fn isr_count(&self) -> usize {
        self.isr.len()
    }

    /// A replica vouches for everything below `end`. Answers whether the high watermark moved. Reports of a broker
    /// that is not in sync, and reports that came late, change nothing.
    pub fn acknowledged(&mut self, broker: BrokerId, end: Offset) -> bool {
        if let Some(replica) = self.isr.iter_mut().find(|r| r.broker == broker) {
            replica.acknowledged = replica.acknowledged.max(end);
        }
        self.recompute()
    }

    /// The in-sync replicas are these from now on. Who stays keeps its end; who comes in has vouched for the high
    /// watermark, or it would not have been let in. Answers whether the high watermark moved: it may when the
    /// slowest leaves.
    pub fn set_isr(&mut self, isr: &[BrokerId]) -> bool {
        assert!(isr.len() <= REPLICAS_MAX, "{} in-sync replicas", isr.len());
        let known =
            |broker| self.isr.iter().find(|r| r.broker == broker).map_or(self.high, |r| r.acknowledged);
        self.isr = isr.iter().map(|&broker| Replica { broker, acknowledged: known(broker) }).collect();
        self.recompute()
    }

    fn recompute(&mut self) -> bool {
        let before = self.high;
        self.high = high_watermark(before, self.isr.iter().map(|r| r.acknowledged));
        assert!(self.high >= before);
        self.high > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(ends: &[i64]) -> impl Iterator<Item = Offset> {
        ends.iter().map(|&end| Offset(end))
    }

    #[test]
    fn the_slowest_in_sync_replica_sets_the_mark() {
        // before, acknowledged ends, high watermark
        let table: &[(i64, &[i64], i64)] = &[
            (0, &[7], 7),
            (0, &[7, 3, 5], 3),
            (0, &[7, 7, 7], 7),
            (0, &[7, 0], 0),
            // A replica below the mark does not pull it back.
            (5, &[7, 3], 5),
            (5, &[5], 5),
            // No in-sync replica: nothing new is safe.
            (5, &[], 5),
        ];
        for &(before, ends, expected) in table {
            assert_eq!(high_watermark(Offset(before), offsets(ends)), Offset(expected), "{before} {ends:?}");
        }
    }

    #[test]
    fn alone_the_leader_decides() {
        let mut leader = Leader::new(LeaderEpoch(3), &[BrokerId(1)], Offset(10));
        assert!(!leader.acknowledged(BrokerId(1), Offset(10)));
        assert!(leader.acknowledged(BrokerId(1), Offset(12)));
        assert!(!leader.acknowledged(BrokerId(1), Offset(11)), "a late report");
        assert_eq!(leader.high(), Offset(12));
    }

    #[test]
    fn reports_of_strangers_count_for_nothing() {
        let mut leader = Leader::new(LeaderEpoch(0), &[BrokerId(1), BrokerId(2)], Offset(0));
        assert!(!leader.acknowledged(BrokerId(1), Offset(9)));
        assert!(!leader.acknowledged(BrokerId(3), Offset(9)));
        assert!(leader.acknowledged(BrokerId(2), Offset(4)));
        assert_eq!(leader.high(), Offset(4));
    }

    #[test]
    fn the_mark_rises_when_the_slowest_leaves_and_stays_when_one_joins() {
        let mut leader = Leader::new(LeaderEpoch(0), &[BrokerId(1), BrokerId(2)], Offset(0));
        leader.acknowledged(BrokerId(1), Offset(9));
        assert!(leader.set_isr(&[BrokerId(1)]));
        assert_eq!(leader.high(), Offset(9));
        assert!(!leader.set_isr(&[BrokerId(1), BrokerId(2)]));
        leader.acknowledged(BrokerId(1), Offset(20));
        assert_eq!(leader.high(), Offset(9));
    }
}
