//! Who is in sync, by time, and what the leader proposes to the controller because of it (KIP-497). Pure.
//!
//! ```text
//!   leader's end    10      20      30          a follower that acknowledges 20 at t=5 had caught up with
//!   at time          1       3       4           what the leader had at t=3: it is 2 behind, not 10 records
//! ```
//! A follower leaves after it has not caught up for `replica.lag.time.max.ms`, however few records that is, and comes back
//! when it has everything that clients were shown and everything of the leader's own epoch. Nothing of it counts before
//! the controller says so, with one exception: a follower that is proposed to come in is waited for at once, since the
//! controller may have decided before this broker hears of it.

use std::time::Duration;

use model::{BrokerId, Millis, Offset};

#[derive(Clone, PartialEq, Eq, Debug)]
struct Follower {
    broker: BrokerId,
    /// Its broker epoch when it began to follow; `None`: it has not.
    life: Option<i64>,
    acknowledged: Offset,
    /// Where its log begins, as it said with the last acknowledgement.
    log_start: Offset,
    /// It had all of the leader's log as it was then.
    caught_up: Millis,
    /// Where the leader's log ended at a later time: who reaches that has caught up with that time.
    next: (Offset, Millis),
}

impl Follower {
    fn new(broker: BrokerId, now: Millis) -> Self {
        let (acknowledged, log_start) = (Offset::NONE, Offset::ZERO);
        Self { broker, life: None, acknowledged, log_start, caught_up: now, next: (Offset::ZERO, now) }
    }
}

/// What the controller is asked to make the in-sync replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IsrProposal {
    pub isr: Vec<BrokerId>,
    /// In which life each of them vouched for what it has, as far as that is known: another life may have another disk.
    pub lives: Vec<Option<i64>>,
    /// Of the state that it was made over: the controller refuses it over another.
    pub partition_epoch: i32,
}

/// The leader's log at the moment of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderLog {
    pub high: Offset,
    pub end: Offset,
    /// Where its own epoch begins.
    pub epoch_start: Offset,
}

/// The replicas that a leader has beside itself, for one epoch of its leadership.
#[derive(Clone, Debug)]
pub struct Followers {
    leader: BrokerId,
    followers: Vec<Follower>,
    isr: Vec<BrokerId>,
    partition_epoch: i32,
    proposed: Option<IsrProposal>,
}

impl Followers {
    /// All have until a whole lag time from now: a new leader knows nothing of them.
    pub fn new(
        leader: BrokerId,
        replicas: &[BrokerId],
        isr: &[BrokerId],
        partition_epoch: i32,
        now: Millis,
    ) -> Self {
        let others = replicas.iter().filter(|&&broker| broker != leader);
        let followers = others.map(|&broker| Follower::new(broker, now)).collect();
        Self { leader, followers, isr: isr.to_vec(), partition_epoch, proposed: None }
    }

    /// A follower vouches for everything below `end`; the leader's log ends at `log_end` now.
    pub fn acknowledged(&mut self, broker: BrokerId, end: Offset, log_end: Offset, now: Millis) {
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.broker == broker) else {
            return;
        };
        follower.acknowledged = follower.acknowledged.max(end);
        if follower.acknowledged >= log_end {
            follower.caught_up = now;
            follower.next = (log_end, now);
        } else if follower.acknowledged >= follower.next.0 {
            follower.caught_up = follower.next.1;
            follower.next = (log_end, now);
        }
    }

    /// The log of a follower begins there.
    pub fn starts_at(&mut self, broker: BrokerId, log_start: Offset) {
        if let Some(follower) = self.followers.iter_mut().find(|follower| follower.broker == broker) {
            follower.log_start = log_start;
        }
    }

    /// The best of the followers in `near` for a consumer at `offset`: in sync, and known to have that offset; who is not
    /// in sync may fall behind for ever. The one that has most, then the one that had everything last, then the greatest
    /// id, as Apache Kafka's rack aware selector has it (KIP-392).
    pub fn nearest(&self, near: &[BrokerId], offset: Offset) -> Option<BrokerId> {
        let serves = |follower: &&Follower| {
            let has = follower.log_start <= offset && offset <= follower.acknowledged;
            has && near.contains(&follower.broker) && self.isr.contains(&follower.broker)
        };
        let able = self.followers.iter().filter(serves);
        let best = able.max_by_key(|follower| (follower.acknowledged, follower.caught_up, follower.broker));
        best.map(|follower| follower.broker)
    }

    /// A follower begins anew, and vouches for nothing yet. What another life of it vouched for counts no more: its disk may
    /// be gone.
    pub fn begun(&mut self, broker: BrokerId, life: i64) {
        if let Some(follower) = self.followers.iter_mut().find(|follower| follower.broker == broker) {
            follower.life = Some(life);
            follower.acknowledged = Offset::NONE;
        }
    }

    /// Up to where a follower vouches for; nothing is known of a stranger.
    pub fn acknowledged_by(&self, broker: BrokerId) -> Option<Offset> {
        self.followers.iter().find(|follower| follower.broker == broker).map(|follower| follower.acknowledged)
    }

    pub fn isr(&self) -> &[BrokerId] {
        &self.isr
    }

    /// With the leader.
    pub fn replica_count(&self) -> usize {
        self.followers.len() + 1
    }

    /// The replicas are these from now on. Who comes has a whole lag time.
    pub fn set_replicas(&mut self, replicas: &[BrokerId], now: Millis) {
        self.followers.retain(|follower| replicas.contains(&follower.broker));
        for &broker in replicas {
            let known = self.followers.iter().any(|follower| follower.broker == broker);
            if broker != self.leader && !known {
                self.followers.push(Follower::new(broker, now));
            }
        }
    }

    /// Whose acknowledgements the high watermark waits for: those in sync, and those that may be by now.
    pub fn waited_for(&self) -> Vec<BrokerId> {
        let coming = self.proposed.iter().flat_map(|proposal| proposal.isr.iter());
        let coming = coming.filter(|broker| !self.isr.contains(broker));
        self.isr.iter().chain(coming).copied().collect()
    }

    /// What the controller decided, of this leader's proposal or on its own. Older news change nothing.
    pub fn decided(&mut self, isr: &[BrokerId], partition_epoch: i32) {
        if partition_epoch > self.partition_epoch {
            self.isr = isr.to_vec();
            self.partition_epoch = partition_epoch;
            self.proposed = None;
        }
    }

    /// The proposal was refused, and holds nowhere.
    pub fn refused(&mut self, partition_epoch: i32) {
        if self.proposed.as_ref().is_some_and(|proposal| proposal.partition_epoch == partition_epoch) {
            self.proposed = None;
        }
    }

    /// What should change, if anything should and nothing is proposed yet. One proposal is under way at a time: of two,
    /// nobody could tell which holds. `may_lead`: whether a broker is neither fenced nor about to stop.
    pub fn propose(
        &mut self,
        log: LeaderLog,
        lag_max: Duration,
        may_lead: impl Fn(BrokerId) -> bool,
        now: Millis,
    ) -> Option<IsrProposal> {
        if self.proposed.is_some() {
            return None;
        }
        let stays = |follower: &Follower| {
            follower.acknowledged >= log.end || now.since(follower.caught_up) <= lag_max
        };
        // Who would have to leave at once does not come: while too few are in sync the high watermark stands still, and
        // whoever holds it up has reached it.
        let comes = |follower: &Follower| {
            let reaches = follower.acknowledged >= log.high.max(log.epoch_start);
            reaches && stays(follower) && may_lead(follower.broker)
        };
        let in_sync = |follower: &&Follower| {
            if self.isr.contains(&follower.broker) { stays(follower) } else { comes(follower) }
        };
        let followers = self.followers.iter().filter(in_sync).map(|follower| follower.broker);
        let isr: Vec<BrokerId> = [self.leader].into_iter().chain(followers).collect();
        let same = isr.len() == self.isr.len() && isr.iter().all(|broker| self.isr.contains(broker));
        if same {
            return None;
        }
        let life = |broker: &BrokerId| self.followers.iter().find(|f| f.broker == *broker)?.life;
        let lives = isr.iter().map(life).collect();
        self.proposed = Some(IsrProposal { isr, lives, partition_epoch: self.partition_epoch });
        self.proposed.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAG: Duration = Duration::from_millis(100);

    fn ids(ids: &[i32]) -> Vec<BrokerId> {
        ids.iter().copied().map(BrokerId).collect()
    }

    fn log(high: i64, end: i64) -> LeaderLog {
        LeaderLog { high: Offset(high), end: Offset(end), epoch_start: Offset(5) }
    }

    /// Broker 1 leads 1, 2 and 3 from time 1000 on.
    fn followers(isr: &[i32]) -> Followers {
        Followers::new(BrokerId(1), &ids(&[1, 2, 3]), &ids(isr), 7, Millis(1000))
    }

    fn propose(followers: &mut Followers, log: LeaderLog, now: u64) -> Option<Vec<BrokerId>> {
        followers.propose(log, LAG, |_| true, Millis(now)).map(|proposal| proposal.isr)
    }

    #[test]
    fn who_does_not_catch_up_leaves_after_the_lag_time() {
        let mut all = followers(&[1, 2, 3]);
        all.acknowledged(BrokerId(2), Offset(20), Offset(20), Millis(1050));
        assert_eq!(propose(&mut all, log(10, 20), 1100), None, "both have their time");
        assert_eq!(propose(&mut all, log(10, 20), 1101), Some(ids(&[1, 2])));
        assert_eq!(propose(&mut all, log(10, 20), 1300), None, "one proposal at a time");
        assert_eq!(all.waited_for(), ids(&[1, 2, 3]), "it counts until the controller has decided");
        all.decided(&ids(&[1, 2]), 8);
        assert_eq!(all.waited_for(), ids(&[1, 2]));
    }

    #[test]
    fn an_idle_partition_keeps_its_replicas() {
        let mut all = followers(&[1, 2, 3]);
        for broker in [2, 3].map(BrokerId) {
            all.acknowledged(broker, Offset(20), Offset(20), Millis(1001));
        }
        assert_eq!(propose(&mut all, log(20, 20), 9_000_000), None);
    }

    /// Always some records behind, and never for long: in sync.
    #[test]
    fn who_trails_a_stream_is_in_sync() {
        let mut all = followers(&[1, 2]);
        for n in 1..100 {
            let (end, now) = (Offset(20 * n), Millis(1000 + 10 * n as u64));
            all.acknowledged(BrokerId(2), Offset(20 * (n - 2)), end, now);
            assert_eq!(propose(&mut all, log(20 * (n - 2), 20 * n), now.0), None, "{n}");
        }
        // It is as fast as before but too far behind.
        let mut all = followers(&[1, 2]);
        let mut left = false;
        for n in 1..100 {
            let (end, now) = (Offset(20 * n), Millis(1000 + 10 * n as u64));
            all.acknowledged(BrokerId(2), Offset(20 * (n - 30)), end, now);
            left |= propose(&mut all, log(0, 20 * n), now.0).is_some();
        }
        assert!(left);
    }

    #[test]
    fn who_comes_back_has_what_clients_saw_and_the_leaders_own_epoch() {
        let check = |acknowledged: i64, high: i64, expected: bool| {
            let mut all = followers(&[1, 2]);
            all.acknowledged(BrokerId(2), Offset(20), Offset(20), Millis(1001));
            all.acknowledged(BrokerId(3), Offset(acknowledged), Offset(20), Millis(1001));
            let proposed = propose(&mut all, log(high, 20), 1002);
            assert_eq!(proposed, expected.then(|| ids(&[1, 2, 3])), "{acknowledged} {high}");
            let waited_for = if expected { ids(&[1, 2, 3]) } else { ids(&[1, 2]) };
            assert_eq!(all.waited_for(), waited_for, "it may be in sync by now");
        };
        check(9, 10, false);
        check(10, 10, true);
        check(20, 10, true);
        // The epoch begins at 5.
        check(4, 2, false);
        check(5, 2, true);
    }

    #[test]
    fn a_broker_that_may_not_lead_does_not_come_in() {
        let mut all = followers(&[1]);
        for broker in [2, 3].map(BrokerId) {
            all.acknowledged(broker, Offset(20), Offset(20), Millis(1001));
        }
        let proposal = all.propose(log(20, 20), LAG, |broker| broker == BrokerId(2), Millis(1002));
        let proposal = proposal.unwrap();
        assert_eq!((proposal.isr, proposal.partition_epoch), (ids(&[1, 2]), 7));
    }

    /// Below `min.insync.replicas` the high watermark waits for the follower that left: it has reached it ever since, and
    /// came and went with every look, a record of metadata each time.
    #[test]
    fn who_lags_does_not_come_back_because_the_mark_stands_still() {
        let mut all = followers(&[1, 2]);
        all.acknowledged(BrokerId(2), Offset(10), Offset(20), Millis(1001));
        assert_eq!(propose(&mut all, log(10, 20), 1102), Some(ids(&[1])));
        all.decided(&ids(&[1]), 8);
        assert_eq!(propose(&mut all, log(10, 20), 1103), None);
        all.acknowledged(BrokerId(2), Offset(20), Offset(20), Millis(1104));
        assert_eq!(propose(&mut all, log(10, 20), 1105), Some(ids(&[1, 2])));
    }

    #[test]
    fn a_refused_proposal_is_made_again_over_the_new_state() {
        let mut all = followers(&[1, 2]);
        assert_eq!(propose(&mut all, log(10, 20), 1200), Some(ids(&[1])));
        all.refused(6);
        assert_eq!(propose(&mut all, log(10, 20), 1200), None, "another one was refused");
        all.refused(7);
        all.decided(&ids(&[1, 2, 3]), 9);
        all.decided(&ids(&[1]), 8);
        let proposal = all.propose(log(10, 20), LAG, |_| true, Millis(1200));
        let proposal = proposal.unwrap();
        assert_eq!((proposal.isr, proposal.partition_epoch), (ids(&[1]), 9));
    }

    #[test]
    fn a_proposal_says_which_life_of_a_follower_it_means() {
        let mut all = followers(&[1]);
        all.begun(BrokerId(3), 77);
        all.acknowledged(BrokerId(3), Offset(20), Offset(20), Millis(1001));
        let proposal = all.propose(log(20, 20), LAG, |_| true, Millis(1002)).unwrap();
        assert_eq!((proposal.isr, proposal.lives), (ids(&[1, 3]), vec![None, Some(77)]));
    }

    #[test]
    fn a_consumer_is_sent_to_a_follower_near_it_that_has_what_it_asks_for() {
        let check = |near: &[i32], offset: i64, expected: Option<i32>| {
            let mut all =
                Followers::new(BrokerId(1), &ids(&[1, 2, 3, 4, 5]), &ids(&[1, 2, 3, 5]), 7, Millis(1000));
            for (broker, start, end) in [(2, 5, 20), (3, 0, 18), (4, 0, 20)] {
                all.starts_at(BrokerId(broker), Offset(start));
                all.acknowledged(BrokerId(broker), Offset(end), Offset(20), Millis(1001));
            }
            assert_eq!(all.nearest(&ids(near), Offset(offset)), expected.map(BrokerId), "{near:?} {offset}");
        };
        check(&[], 10, None);
        check(&[2, 3, 4, 5], 10, Some(2));
        check(&[3], 10, Some(3));
        // Its log ends, and begins, elsewhere.
        check(&[3], 18, Some(3));
        check(&[3], 19, None);
        check(&[2], 5, Some(2));
        check(&[2], 4, None);
        check(&[2, 3], 4, Some(3));
        // Not in sync, not heard of yet, the leader itself, a stranger.
        check(&[4], 10, None);
        check(&[5], 0, None);
        check(&[1, 9], 10, None);
    }

    #[test]
    fn of_two_that_have_as_much_the_one_that_had_everything_last_serves() {
        let mut all = followers(&[1, 2, 3]);
        all.acknowledged(BrokerId(3), Offset(20), Offset(20), Millis(1001));
        all.acknowledged(BrokerId(2), Offset(20), Offset(20), Millis(1002));
        assert_eq!(all.nearest(&ids(&[2, 3]), Offset(20)), Some(BrokerId(2)));
        all.acknowledged(BrokerId(3), Offset(20), Offset(20), Millis(1002));
        assert_eq!(all.nearest(&ids(&[2, 3]), Offset(20)), Some(BrokerId(3)));
    }

    #[test]
    fn strangers_change_nothing() {
        let mut all = followers(&[1, 2]);
        all.acknowledged(BrokerId(9), Offset(20), Offset(20), Millis(1001));
        assert_eq!(propose(&mut all, log(10, 20), 1050), None);
        assert_eq!(all.waited_for(), ids(&[1, 2]));
    }
}
