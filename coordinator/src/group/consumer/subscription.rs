//! What the group reads, and the target that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use model::TopicId;
use regex::{Regex, RegexBuilder};

use super::{ConsumerGroup, Member, member};
use crate::group::{
    actions::{Context, Effects, Topics},
    assignor::{Assignor, Wish},
    config::GroupConfig,
    record::{GroupRecord, RegularExpressionValue, TargetAssignmentMetadataValue},
};

/// Of the compiled form of a pattern.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A pattern matches a topic's whole name.
pub(super) fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(REGEX_BYTES_MAX).build().ok()
}

impl ConsumerGroup {
    /// Looks at the cluster's topics if they may have changed, or if `changed` says that a subscription did. Raises the
    /// group's epoch if what the group reads is not what it was.
    pub(super) fn refresh(&mut self, cx: &Context<'_>, changed: bool, effects: &mut Effects) {
        let version = cx.topics.version();
        if !changed && self.seen_topics == Some(version) {
            return;
        }
        self.resolve_regexes(cx, effects);
        let hash = self.hash_topics(cx.topics);
        self.seen_topics = Some(version);
        if changed || hash != self.metadata_hash {
            self.metadata_hash = hash;
            self.emit_epoch(effects);
        }
    }

    fn resolve_regexes(&mut self, cx: &Context<'_>, effects: &mut Effects) {
        let used: BTreeSet<String> = self.patterns.keys().cloned().collect();
        for regex in self.regexes.keys().filter(|regex| !used.contains(*regex)).cloned().collect::<Vec<_>>() {
            let group = self.id.clone();
            self.emit(GroupRecord::RegularExpression { group, regex, value: None }, effects);
        }
        let version = cx.topics.version();
        for regex in used {
            let known = self.regexes.get_mut(&regex);
            if known.as_ref().is_some_and(|known| known.version == version) {
                continue;
            }
            // Checked when it came; a log of others may hold what we cannot read, which then matches nothing.
            let matcher = compile(&regex);
            let names = cx.topics.names().into_iter();
            let names = names.filter(|name| matcher.as_ref().is_some_and(|matcher| matcher.is_match(name)));
            let topics: BTreeSet<String> = names.map(str::to_owned).collect();
            match known {
                Some(known) if known.topics == topics => known.version = version,
                _ => {
                    let topics = topics.into_iter().collect();
                    let value = Some(RegularExpressionValue { topics, version, timestamp: cx.wall.0 });
                    self.emit(
                        GroupRecord::RegularExpression { group: self.id.clone(), regex, value },
                        effects,
                    );
                }
            }
        }
    }

    fn subscribed_names(&self) -> BTreeSet<&str> {
        let named = self.named.keys();
        let matched = self.regexes.values().flat_map(|regex| &regex.topics);
        named.chain(matched).map(String::as_str).collect()
    }

    /// The topics that the member wants and that are there.
    pub(super) fn wanted_by(&self, member: &Member, topics: &dyn Topics) -> BTreeSet<TopicId> {
        let matched = member.topic_regex.as_ref().and_then(|regex| self.regexes.get(regex));
        let matched = matched.into_iter().flat_map(|regex| &regex.topics);
        let names = member.topic_names.iter().chain(matched);
        names.filter_map(|name| topics.topic(name).map(|topic| topic.id)).collect()
    }

    /// Of name, id and size of each topic that is read and is there: FNV-1a, 64 bits. A stored hash that differs only
    /// costs one epoch, so it need not be Kafka's.
    fn hash_topics(&self, topics: &dyn Topics) -> i64 {
        let mut hash = 0xcbf2_9ce4_8422_2325u64;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for name in self.subscribed_names() {
            let Some(topic) = topics.topic(name) else { continue };
            add(name.as_bytes());
            add(&topic.id.0);
            add(&topic.partition_count.to_be_bytes());
        }
        hash.cast_signed()
    }

    /// Computes the target anew if the group's epoch has gone past it; but not again within the assignment interval, so
    /// that many who come at once are one change and not many. Until then they have the target that there is.
    pub(super) fn update_target(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        if self.target_epoch >= self.epoch || self.is_target_fresh(cx, config) {
            return;
        }
        let mut ids: BTreeMap<&str, TopicId> = BTreeMap::new();
        let mut partition_counts = BTreeMap::new();
        for name in self.subscribed_names() {
            if let Some(topic) = cx.topics.topic(name) {
                ids.insert(name, topic.id);
                partition_counts.insert(topic.id, topic.partition_count);
            }
        }
        let wishes = self.members.values().map(|member| {
            let matched = member.topic_regex.as_ref().and_then(|regex| self.regexes.get(regex));
            let matched = matched.into_iter().flat_map(|regex| &regex.topics);
            let names = member.topic_names.iter().chain(matched);
            let wish = Wish {
                instance_id: member.instance_id.as_deref(),
                topics: names.filter_map(|name| ids.get(name.as_str()).copied()).collect(),
                before: self.targets.get(&member.id),
            };
            (member.id.as_str(), wish)
        });
        let targets = self.assignor(config).assign(&wishes.collect(), &partition_counts);
        for (member_id, target) in targets {
            if self.targets.get(&member_id) != Some(&target) {
                self.emit(member::target_record(&self.id, &member_id, &target), effects);
            }
        }
        let value =
            TargetAssignmentMetadataValue { assignment_epoch: self.epoch, assignment_timestamp: cx.wall.0 };
        let group = self.id.clone();
        self.emit(GroupRecord::TargetAssignmentMetadata { group, value: Some(value) }, effects);
    }

    /// A clock that was set back keeps nobody waiting.
    fn is_target_fresh(&self, cx: &Context<'_>, config: &GroupConfig) -> bool {
        let interval_ms = i64::from(self.assignment_interval_ms(cx, config));
        let age_ms = cx.wall.0.saturating_sub(self.target_timestamp);
        self.target_timestamp != 0 && (0..interval_ms).contains(&age_ms)
    }

    /// What most members ask for, by name if they are even; the broker's first if nobody asks.
    pub(in crate::group) fn assignor_name(&self, config: &GroupConfig) -> String {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.members.values().filter_map(|member| member.server_assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        let most = votes.values().max().copied();
        let chosen =
            votes.into_iter().find(|(_, count)| Some(*count) == most).map(|(name, _)| name.to_owned());
        chosen.or_else(|| config.consumer_assignors.first().cloned()).unwrap_or_else(|| "uniform".to_owned())
    }

    fn assignor(&self, config: &GroupConfig) -> Assignor {
        Assignor::from_name(&self.assignor_name(config)).unwrap_or(Assignor::Uniform)
    }
}
