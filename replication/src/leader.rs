//! What a leader knows of its partition's replicas, and the high watermark that follows from it. Pure.
//!
//! ```text
//!   replica 1 (leader)   |=============|        acknowledged 13
//!   replica 2            |=========|            acknowledged  9   <- high watermark
//!   replica 3            |==========|           acknowledged 10
//! ```
//! *Acknowledged* is what a replica may vouch for under the topic's durability: on stable storage, unless the topic
//! asks for less. The leader is a replica like the others; alone, its own end is the high watermark.
//!
//! With fewer replicas in sync than `min.insync.replicas` the mark stands still: what is below it is on that many
//! replicas, so it is safe to let any of them lead later (KIP-966).

use std::time::Duration;

use model::{BrokerId, LeaderEpoch, Millis, Offset};

use crate::{
    isr::{Followers, IsrProposal, LeaderLog},
    partition::PartitionState,
};

/// Replicas of one partition; Kafka's replication factor is an `i16`, ours is far below.
pub const REPLICAS_MAX: usize = 64;

#[derive(Clone, Debug)]
pub struct Leader {
    broker: BrokerId,
    epoch: LeaderEpoch,
    /// Where its own epoch begins in the log.
    epoch_start: Offset,
    /// What it vouches for itself.
    acknowledged: Offset,
    followers: Followers,
    isr_min: usize,
    high: Offset,
}

/// The least of the ends, but never less than `before`: a client that saw an offset below the high watermark must go
/// on seeing it, also while a replica that is behind is being let in.
pub fn high_watermark(before: Offset, acknowledged: impl IntoIterator<Item = Offset>) -> Offset {
    acknowledged.into_iter().min().map_or(before, |least| least.max(before))
}

impl Leader {
    /// Nothing is known of the replicas yet but that those in sync hold what is below `high`.
    pub fn new(
        broker: BrokerId,
        state: &PartitionState,
        epoch_start: Offset,
        high: Offset,
        now: Millis,
    ) -> Self {
        assert!(state.replicas.len() <= REPLICAS_MAX, "{} replicas", state.replicas.len());
        Self {
            broker,
            epoch: state.leader_epoch,
            epoch_start,
            acknowledged: high,
            followers: Followers::new(broker, &state.replicas, &state.isr, state.partition_epoch, now),
            isr_min: state.effective_isr_min(),
            high,
        }
    }

    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    pub fn high(&self) -> Offset {
        self.high
    }

    pub fn isr_count(&self) -> usize {
        self.followers.isr().len()
    }

    pub fn is_in_sync(&self, broker: BrokerId) -> bool {
        self.followers.isr().contains(&broker)
    }

    pub fn isr_min(&self) -> usize {
        self.isr_min
    }

    /// So many are in sync, or, where a topic has fewer replicas than that, all of them.
    pub fn has_in_sync(&self, isr_min: usize) -> bool {
        self.isr_count() >= isr_min.min(self.followers.replica_count())
    }

    /// Everything that earlier leaders had committed is below the high watermark: before that, clients are not told
    /// where the log ends (KIP-207).
    pub fn knows_its_end(&self) -> bool {
        self.high >= self.epoch_start
    }

    /// The leader's own log is safe below `end`. Answers whether the high watermark moved.
    pub fn advanced(&mut self, end: Offset) -> bool {
        self.acknowledged = self.acknowledged.max(end);
        self.recompute()
    }

    /// A follower's log was found to be the leader's, and it is sent what follows.
    pub fn begun(&mut self, broker: BrokerId, life: i64) {
        self.followers.begun(broker, life);
    }

    /// A follower vouches for everything below `end`; the leader's log ends at `log_end`. Answers whether the high
    /// watermark moved. Reports of strangers, and reports that came late, change nothing.
    pub fn acknowledged(&mut self, broker: BrokerId, end: Offset, log_end: Offset, now: Millis) -> bool {
        self.followers.acknowledged(broker, end.min(log_end), log_end, now);
        self.recompute()
    }

    /// The log of a follower begins there.
    pub fn starts_at(&mut self, broker: BrokerId, log_start: Offset) {
        self.followers.starts_at(broker, log_start);
    }

    /// Who of `near` may serve a consumer at `offset`.
    pub fn nearest(&self, near: &[BrokerId], offset: Offset) -> Option<BrokerId> {
        self.followers.nearest(near, offset)
    }

    /// The metadata says something new about the same epoch. Answers whether the high watermark moved: it may when the
    /// slowest leaves.
    pub fn set_state(&mut self, state: &PartitionState, now: Millis) -> bool {
        self.isr_min = state.effective_isr_min();
        self.followers.set_replicas(&state.replicas, now);
        self.followers.decided(&state.isr, state.partition_epoch);
        self.recompute()
    }

    /// Who should be in sync, if that is not who is.
    pub fn propose_isr(
        &mut self,
        log_end: Offset,
        lag_max: Duration,
        may_lead: impl Fn(BrokerId) -> bool,
        now: Millis,
    ) -> Option<IsrProposal> {
        let log = LeaderLog { high: self.high, end: log_end, epoch_start: self.epoch_start };
        self.followers.propose(log, lag_max, may_lead, now)
    }

    /// The controller refused that proposal, or never heard of it.
    pub fn refused(&mut self, partition_epoch: i32) {
        self.followers.refused(partition_epoch);
    }

    fn recompute(&mut self) -> bool {
        let before = self.high;
        if self.isr_count() >= self.isr_min {
            let followers = &self.followers;
            let acknowledged = |broker: BrokerId| match broker {
                own if own == self.broker => self.acknowledged,
                other => followers.acknowledged_by(other).unwrap_or(Offset::NONE),
            };
            self.high = high_watermark(before, followers.waited_for().into_iter().map(acknowledged));
        }
        assert!(self.high >= before);
        self.high > before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1000);

    fn offsets(ends: &[i64]) -> impl Iterator<Item = Offset> {
        ends.iter().map(|&end| Offset(end))
    }

    fn state(isr: &[i32], partition_epoch: i32) -> PartitionState {
        PartitionState {
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(3),
            replicas: vec![BrokerId(1), BrokerId(2), BrokerId(3)],
            isr: isr.iter().copied().map(BrokerId).collect(),
            isr_min: 1,
            partition_epoch,
        }
    }

    fn leader(isr: &[i32], high: i64) -> Leader {
        Leader::new(BrokerId(1), &state(isr, 0), Offset(high), Offset(high), NOW)
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
        let mut leader = leader(&[1], 10);
        assert!(!leader.advanced(Offset(10)));
        assert!(leader.advanced(Offset(12)));
        assert!(!leader.advanced(Offset(11)), "a late report");
        assert_eq!(leader.high(), Offset(12));
    }

    #[test]
    fn reports_of_strangers_count_for_nothing() {
        let mut leader = leader(&[1, 2], 0);
        assert!(!leader.advanced(Offset(9)));
        assert!(!leader.acknowledged(BrokerId(7), Offset(9), Offset(9), NOW));
        assert!(!leader.acknowledged(BrokerId(3), Offset(9), Offset(9), NOW), "not in sync");
        assert!(leader.acknowledged(BrokerId(2), Offset(4), Offset(9), NOW));
        assert_eq!(leader.high(), Offset(4));
    }

    #[test]
    fn the_mark_rises_when_the_slowest_leaves_and_stays_when_one_joins() {
        let mut leader = leader(&[1, 2], 0);
        leader.advanced(Offset(9));
        assert!(leader.set_state(&state(&[1], 1), NOW));
        assert_eq!(leader.high(), Offset(9));
        assert!(!leader.set_state(&state(&[1, 2], 2), NOW));
        leader.advanced(Offset(20));
        assert_eq!(leader.high(), Offset(9));
    }

    #[test]
    fn with_too_few_in_sync_the_mark_stands_still() {
        let mut leader = leader(&[1, 2], 0);
        leader.set_state(&PartitionState { isr_min: 2, ..state(&[1], 1) }, NOW);
        assert!(!leader.advanced(Offset(9)));
        leader.acknowledged(BrokerId(2), Offset(9), Offset(9), NOW);
        assert_eq!(leader.high(), Offset(0));
        assert!(leader.set_state(&PartitionState { isr_min: 2, ..state(&[1, 2], 2) }, NOW));
        assert_eq!(leader.high(), Offset(9));
    }

    /// A follower came back without its disk: what it had vouched for before held the mark up.
    #[test]
    fn a_follower_that_begins_anew_vouches_for_less() {
        let mut leader = leader(&[1, 2], 0);
        leader.acknowledged(BrokerId(2), Offset(9), Offset(9), NOW);
        leader.begun(BrokerId(2), 5);
        leader.acknowledged(BrokerId(2), Offset(3), Offset(9), NOW);
        leader.advanced(Offset(9));
        assert_eq!(leader.high(), Offset(3));
    }
}
