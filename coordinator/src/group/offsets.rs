//! The offsets a group has committed: what is durable is here and visible; what is on its way is not.

use std::collections::{BTreeMap, BTreeSet};

use model::{Timestamp, TopicId};

use super::record::{GroupRecord, OffsetCommitKey, OffsetCommitValue};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    pub offset: i64,
    /// -1 if the client did not say.
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp: Timestamp,
    pub expire_timestamp: Option<Timestamp>,
    /// Zero if not known.
    pub topic_id: TopicId,
}

impl CommittedOffset {
    pub(super) fn to_value(&self) -> OffsetCommitValue {
        OffsetCommitValue {
            offset: self.offset,
            // Version 1, the only one with an expiry, has no place for these two.
            leader_epoch: if self.expire_timestamp.is_some() { -1 } else { self.leader_epoch },
            topic_id: if self.expire_timestamp.is_some() { TopicId::ZERO } else { self.topic_id },
            metadata: self.metadata.clone(),
            commit_timestamp: self.commit_timestamp.0,
            expire_timestamp: self.expire_timestamp.map(|at| at.0),
        }
    }

    pub(super) fn from_value(value: OffsetCommitValue) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            commit_timestamp: Timestamp(value.commit_timestamp),
            expire_timestamp: value.expire_timestamp.map(Timestamp),
            topic_id: value.topic_id,
        }
    }

    /// `base`: since when nobody needs the offset.
    fn is_expired(&self, base: Timestamp, wall: Timestamp, retention_ms: i64) -> bool {
        match self.expire_timestamp {
            Some(at) => wall >= at,
            None => wall.0.saturating_sub(base.0) >= retention_ms,
        }
    }
}

/// From when on the offsets of a group age.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ageing {
    /// Somebody needs them.
    Never,
    /// The group has been empty since then.
    Since(Timestamp),
    /// Each from its commit.
    SinceCommit,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Offsets {
    committed: BTreeMap<String, BTreeMap<i32, CommittedOffset>>,
    count: usize,
    under_way: BTreeMap<(String, i32), UnderWay>,
}

/// Commits and deletions of one partition that are not durable yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct UnderWay {
    count: usize,
    /// Of the last one; none if it is a deletion.
    topic_id: Option<TopicId>,
}

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0 && self.under_way.is_empty()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// With all that is under way.
    pub(super) fn count_bound(&self) -> usize {
        self.count + self.under_way.len()
    }

    pub(super) fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(topic)?.get(&partition)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, i32, &CommittedOffset)> {
        self.committed.iter().flat_map(|(topic, partitions)| {
            partitions.iter().map(move |(p, offset)| (topic.as_str(), *p, offset))
        })
    }

    /// Of everything committed, and of everything that may be committed once its record is durable.
    pub(super) fn keys(&self) -> BTreeSet<(String, i32)> {
        let committed = self.iter().map(|(topic, partition, _)| (topic.to_owned(), partition));
        committed.chain(self.under_way.keys().cloned()).collect()
    }

    /// The partitions of a topic that is gone. One of the same name that followed it keeps what is its own.
    pub(super) fn keys_of(&self, topic: &str, id: TopicId) -> Vec<(String, i32)> {
        let is_of = |other: TopicId| other == TopicId::ZERO || other == id;
        let committed = self.committed.get(topic).into_iter().flatten();
        let committed = committed.filter(|(_, offset)| is_of(offset.topic_id)).map(|(p, _)| *p);
        let settled = committed.filter(|p| !self.under_way.contains_key(&(topic.to_owned(), *p)));
        let of_topic = (topic.to_owned(), i32::MIN)..=(topic.to_owned(), i32::MAX);
        let under_way = self.under_way.range(of_topic);
        let under_way = under_way.filter(|(_, last)| last.topic_id.is_some_and(is_of)).map(|((_, p), _)| *p);
        settled.chain(under_way).map(|p| (topic.to_owned(), p)).collect()
    }

    /// Committed, or about to be.
    pub(super) fn has(&self, topic: &str, partition: i32) -> bool {
        self.get(topic, partition).is_some() || self.under_way.contains_key(&(topic.to_owned(), partition))
    }

    /// A commit, of the topic with this id, or a deletion is on its way to the log.
    pub(super) fn begin(&mut self, topic: &str, partition: i32, topic_id: Option<TopicId>) {
        let under_way = self.under_way.entry((topic.to_owned(), partition)).or_default();
        under_way.count += 1;
        under_way.topic_id = topic_id;
    }

    /// The record is durable: now it counts.
    pub(super) fn settle(&mut self, topic: String, partition: i32, value: Option<CommittedOffset>) {
        self.give_up(&topic, partition);
        self.apply(topic, partition, value);
    }

    /// The record was not written.
    pub(super) fn give_up(&mut self, topic: &str, partition: i32) {
        let key = (topic.to_owned(), partition);
        let under_way = self.under_way.get_mut(&key).expect("each settles once");
        under_way.count -= 1;
        if under_way.count == 0 {
            self.under_way.remove(&key);
        }
    }

    pub(super) fn apply(&mut self, topic: String, partition: i32, value: Option<CommittedOffset>) {
        match value {
            Some(value) => {
                let before = self.committed.entry(topic).or_default().insert(partition, value);
                self.count += usize::from(before.is_none());
            }
            None => {
                let Some(partitions) = self.committed.get_mut(&topic) else { return };
                self.count -= usize::from(partitions.remove(&partition).is_some());
                if partitions.is_empty() {
                    self.committed.remove(&topic);
                }
            }
        }
    }

    /// What has outlived its retention, at most `most` of it.
    pub(super) fn expired(
        &self,
        ageing: Ageing,
        is_subscribed: impl Fn(&str) -> bool,
        wall: Timestamp,
        retention_ms: i64,
        most: usize,
    ) -> Vec<(String, i32)> {
        let base = |offset: &CommittedOffset| match ageing {
            Ageing::Never => None,
            Ageing::Since(at) => Some(at),
            Ageing::SinceCommit => Some(offset.commit_timestamp),
        };
        self.iter()
            .filter(|(topic, _, offset)| {
                base(offset).is_some_and(|base| offset.is_expired(base, wall, retention_ms))
                    && !is_subscribed(topic)
            })
            .take(most)
            .map(|(topic, partition, _)| (topic.to_owned(), partition))
            .collect()
    }
}

pub(super) fn record(
    group: &str,
    topic: &str,
    partition: i32,
    value: Option<&CommittedOffset>,
) -> GroupRecord {
    let key = OffsetCommitKey { group: group.to_owned(), topic: topic.to_owned(), partition };
    GroupRecord::OffsetCommit { key, value: value.map(CommittedOffset::to_value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(at: i64, expire: Option<i64>) -> CommittedOffset {
        CommittedOffset {
            offset: 5,
            leader_epoch: -1,
            metadata: String::new(),
            commit_timestamp: Timestamp(at),
            expire_timestamp: expire.map(Timestamp),
            topic_id: TopicId::ZERO,
        }
    }

    #[test]
    fn offsets_age_from_what_the_group_says() {
        fn check(ageing: Ageing, offset: CommittedOffset, wall: i64, expected: bool) {
            let mut offsets = Offsets::default();
            offsets.apply("t".into(), 0, Some(offset));
            let expired = offsets.expired(ageing, |topic| topic == "live", Timestamp(wall), 100, 10);
            assert_eq!(!expired.is_empty(), expected, "{ageing:?} at {wall}");
        }
        check(Ageing::Never, committed(0, None), 1_000_000, false);
        check(Ageing::SinceCommit, committed(50, None), 149, false);
        check(Ageing::SinceCommit, committed(50, None), 150, true);
        check(Ageing::Since(Timestamp(200)), committed(50, None), 299, false);
        check(Ageing::Since(Timestamp(200)), committed(50, None), 300, true);
        check(Ageing::SinceCommit, committed(50, Some(60)), 59, false);
        check(Ageing::SinceCommit, committed(50, Some(60)), 60, true);
    }

    #[test]
    fn offsets_of_subscribed_topics_stay() {
        let mut offsets = Offsets::default();
        for topic in ["dead", "live"] {
            offsets.apply(topic.into(), 0, Some(committed(0, None)));
        }
        let expired = offsets.expired(Ageing::SinceCommit, |topic| topic == "live", Timestamp(500), 100, 10);
        assert_eq!(expired, [("dead".to_owned(), 0)]);
    }

    /// A topic may be gone and another of its name be committed for before the coordinator hears of the first one's end.
    #[test]
    fn of_a_topic_that_is_gone_only_its_own_offsets_go() {
        let (old, new) = (TopicId([1; 16]), TopicId([2; 16]));
        let of = |topic_id| CommittedOffset { topic_id, ..committed(0, None) };
        let mut offsets = Offsets::default();
        for (partition, topic_id) in [(0, old), (1, new), (2, TopicId::ZERO), (3, old), (4, old)] {
            offsets.apply("t".into(), partition, Some(of(topic_id)));
        }
        offsets.apply("u".into(), 0, Some(of(old)));
        offsets.begin("t", 3, Some(new));
        offsets.begin("t", 4, None);
        offsets.begin("t", 5, Some(old));
        let keys = offsets.keys_of("t", old);
        assert_eq!(keys.iter().map(|(_, p)| *p).collect::<Vec<_>>(), [0, 2, 5]);
    }

    #[test]
    fn what_is_under_way_is_not_seen() {
        let mut offsets = Offsets::default();
        offsets.begin("t", 0, Some(TopicId::ZERO));
        assert_eq!(offsets.get("t", 0), None);
        assert!(!offsets.is_empty(), "a group with a commit under way is not removed");
        offsets.settle("t".into(), 0, Some(committed(0, None)));
        assert_eq!(offsets.get("t", 0).map(|o| o.offset), Some(5));
        offsets.begin("t", 0, Some(TopicId::ZERO));
        offsets.give_up("t", 0);
        offsets.apply("t".into(), 0, None);
        assert!(offsets.is_empty());
    }
}
