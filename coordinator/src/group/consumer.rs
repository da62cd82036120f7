//! A group of the consumer protocol (KIP-848): members say what they want with each heartbeat, the coordinator computes
//! who is to have what, and each member walks there in steps of its own.
//!
//! ```text
//!   group epoch    rises when a member comes or goes, or a subscription or a subscribed topic changes
//!   target epoch   the group epoch for which the target assignment was computed
//!   member epoch   the target epoch that the member has reached: below it, it still gives something up
//! ```
//!
//! A partition is held by one member from when it is assigned until that member has said that it gave it up, or has left
//! or was fenced; only then another gets it. Every change of state is a record, applied the moment it is made by the same
//! function that reads the log, so what is read back is what was there.

mod classic_member;
pub(super) mod heartbeat;
mod leave;
mod member;
mod migration;
mod reconcile;
mod subscription;

use std::collections::{BTreeMap, BTreeSet};

use model::{ErrorCode, Millis, TopicId};

pub(in crate::group) use member::Member;
pub use member::MemberState;

use super::{
    actions::{Context, Effects},
    assignor::Assignment,
    config::GroupConfig,
    offsets::Ageing,
    record::{
        ConsumerGroupMetadataValue, GroupRecord, RegularExpressionValue, TargetAssignmentMetadataValue,
    },
    request::{OffsetCommit, OffsetReader, OffsetToCommit},
};

/// As ConsumerGroupDescribe and ListGroups say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsumerGroupState {
    Empty,
    /// The target has yet to be computed: the next heartbeat of any member does it.
    Assigning,
    /// Some members are on their way.
    Reconciling,
    Stable,
}

impl ConsumerGroupState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// The topics that a regular expression stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct ResolvedRegex {
    topics: BTreeSet<String>,
    /// Of the metadata it was last matched against.
    version: i64,
    timestamp: i64,
}

#[derive(Clone, Debug)]
pub(super) struct ConsumerGroup {
    id: String,
    epoch: i32,
    metadata_hash: i64,
    target_epoch: i32,
    /// When the target was computed, by the wall clock; zero if it never was.
    target_timestamp: i64,
    members: BTreeMap<String, Member>,
    /// Instance id to member id.
    static_members: BTreeMap<String, String>,
    targets: BTreeMap<String, Assignment>,
    /// Which member holds a partition.
    holders: BTreeMap<(TopicId, i32), String>,
    regexes: BTreeMap<String, ResolvedRegex>,
    /// How many members name a topic, and how many bring a pattern.
    named: BTreeMap<String, usize>,
    patterns: BTreeMap<String, usize>,
    in_log: bool,
    /// The version of the metadata that was last looked at.
    seen_topics: Option<i64>,
    /// The earliest moment at which [`Self::tick`] has something to do, or before.
    wake: Option<Millis>,
}

impl ConsumerGroup {
    pub(super) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            epoch: 0,
            metadata_hash: 0,
            target_epoch: 0,
            target_timestamp: 0,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            targets: BTreeMap::new(),
            holders: BTreeMap::new(),
            regexes: BTreeMap::new(),
            named: BTreeMap::new(),
            patterns: BTreeMap::new(),
            in_log: false,
            seen_topics: None,
            wake: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn is_in_log(&self) -> bool {
        self.in_log
    }

    pub(super) fn wake(&self) -> Option<Millis> {
        self.wake
    }

    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    pub(super) fn target_epoch(&self) -> i32 {
        self.target_epoch
    }

    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn target_of(&self, member_id: &str) -> Option<&Assignment> {
        self.targets.get(member_id)
    }

    pub(super) fn state(&self) -> ConsumerGroupState {
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch > self.target_epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(self.target_epoch)) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// Topics that somebody reads keep their offsets; see [`Self::is_subscribed_to`].
    pub(super) fn ageing(&self) -> Ageing {
        Ageing::SinceCommit
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.named.contains_key(topic) || self.regexes.values().any(|regex| regex.topics.contains(topic))
    }

    pub(super) fn admit_commit(&self, request: &OffsetCommit) -> Result<(), ErrorCode> {
        let epoch = request.generation_or_member_epoch;
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !member.uses_classic_protocol() && request.version < 9 {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if epoch < member.epoch && epoch >= 0 { Ok(()) } else { check_epoch(member, epoch) }
    }

    /// An epoch that is behind the member's own is enough for partitions that it has had since: nobody else has read
    /// them meanwhile.
    pub(super) fn admit_commit_of(
        &self,
        request: &OffsetCommit,
        offset: &OffsetToCommit,
    ) -> Result<(), ErrorCode> {
        let Some(member) = self.members.get(&request.member_id) else { return Ok(()) };
        let epoch = request.generation_or_member_epoch;
        match member.has_since(offset.topic_id, offset.partition) {
            Some(since) if since <= epoch => Ok(()),
            _ => check_epoch(member, epoch),
        }
    }

    pub(super) fn admit_fetch(&self, reader: &OffsetReader) -> Result<(), ErrorCode> {
        match &reader.member_id {
            None if reader.member_epoch < 0 => Ok(()),
            None => Err(ErrorCode::UnknownMemberId),
            Some(member_id) => {
                let member = self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
                check_epoch(member, reader.member_epoch)
            }
        }
    }

    /// A record of this group, fresh or from the log. Tombstones of what is not there change nothing.
    pub(super) fn apply(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::ConsumerGroupMetadata { value, .. } => {
                self.in_log = value.is_some();
                let value = value.unwrap_or(ConsumerGroupMetadataValue { epoch: 0, metadata_hash: 0 });
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            GroupRecord::MemberMetadata { member: id, value: Some(value), .. } => {
                let mut member = self.members.remove(&id).unwrap_or_else(|| Member::new(&id));
                self.count_wishes(&member, false);
                member.take_metadata(value);
                self.count_wishes(&member, true);
                if let Some(instance_id) = &member.instance_id {
                    self.static_members.insert(instance_id.clone(), id.clone());
                }
                self.members.insert(id, member);
            }
            GroupRecord::MemberMetadata { member: id, value: None, .. } => {
                let Some(member) = self.members.remove(&id) else { return };
                self.release(&member);
                self.count_wishes(&member, false);
                if let Some(instance_id) = &member.instance_id
                    && self.static_members.get(instance_id) == Some(&id)
                {
                    self.static_members.remove(instance_id);
                }
            }
            GroupRecord::TargetAssignmentMetadata { value, .. } => {
                self.target_epoch = value.as_ref().map_or(0, |value| value.assignment_epoch);
                self.target_timestamp = value.map_or(0, |value| value.assignment_timestamp);
            }
            GroupRecord::TargetAssignmentMember { member, value: Some(value), .. } => {
                self.targets.insert(member, member::from_values(value.topic_partitions));
            }
            GroupRecord::TargetAssignmentMember { member, value: None, .. } => {
                self.targets.remove(&member);
            }
            GroupRecord::CurrentMemberAssignment { member: id, value: Some(value), .. } => {
                let mut member = self.members.remove(&id).unwrap_or_else(|| Member::new(&id));
                self.release(&member);
                member.take_current(value);
                self.holders.extend(member.holds().map(|held| (held, id.clone())));
                self.members.insert(id, member);
            }
            GroupRecord::CurrentMemberAssignment { member: id, value: None, .. } => {
                let Some(mut member) = self.members.remove(&id) else { return };
                self.release(&member);
                member.assigned.clear();
                member.revoking.clear();
                member.epoch = LEAVE_EPOCH;
                self.members.insert(id, member);
            }
            GroupRecord::RegularExpression { regex, value: Some(value), .. } => {
                let RegularExpressionValue { topics, version, timestamp } = value;
                let topics = topics.into_iter().collect();
                self.regexes.insert(regex, ResolvedRegex { topics, version, timestamp });
            }
            GroupRecord::RegularExpression { regex, value: None, .. } => {
                self.regexes.remove(&regex);
            }
            // Superseded by the hash in the group's own record.
            GroupRecord::PartitionMetadata { .. } => {}
            GroupRecord::OffsetCommit { .. } | GroupRecord::GroupMetadata { .. } => {
                unreachable!("the coordinator keeps these apart")
            }
        }
    }

    fn count_wishes(&mut self, member: &Member, is_there: bool) {
        let count = |of: &mut BTreeMap<String, usize>, text: &String| {
            let now = of.get(text).copied().unwrap_or(0);
            match if is_there { now + 1 } else { now - 1 } {
                0 => of.remove(text),
                count => of.insert(text.clone(), count),
            };
        };
        member.topic_names.iter().for_each(|name| count(&mut self.named, name));
        member.topic_regex.iter().for_each(|regex| count(&mut self.patterns, regex));
    }

    fn release(&mut self, member: &Member) {
        for held in member.holds() {
            if self.holders.get(&held) == Some(&member.id) {
                self.holders.remove(&held);
            }
        }
    }

    /// Changes the group and says so to the log.
    fn emit(&mut self, record: GroupRecord, effects: &mut Effects) {
        effects.records.push(record.clone());
        self.apply(record);
    }

    fn emit_epoch(&mut self, effects: &mut Effects) {
        let epoch = self.epoch.checked_add(1).unwrap_or(1);
        let value = Some(ConsumerGroupMetadataValue { epoch, metadata_hash: self.metadata_hash });
        self.emit(GroupRecord::ConsumerGroupMetadata { group: self.id.clone(), value }, effects);
    }

    /// The records that end the member: what it has first, so that no reader of a part sees a member without wishes hold
    /// partitions.
    fn emit_member_end(&mut self, member_id: &str, effects: &mut Effects) {
        let (group, member) = (self.id.clone(), member_id.to_owned());
        self.emit(GroupRecord::CurrentMemberAssignment { group, member, value: None }, effects);
        let (group, member) = (self.id.clone(), member_id.to_owned());
        self.emit(GroupRecord::TargetAssignmentMember { group, member, value: None }, effects);
        let (group, member) = (self.id.clone(), member_id.to_owned());
        self.emit(GroupRecord::MemberMetadata { group, member, value: None }, effects);
    }

    /// The end of the whole group in the log. The group itself is empty afterwards.
    pub(super) fn bury(&mut self, effects: &mut Effects) {
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.emit_member_end(&member_id, effects);
        }
        for regex in self.regexes.keys().cloned().collect::<Vec<_>>() {
            let group = self.id.clone();
            self.emit(GroupRecord::RegularExpression { group, regex, value: None }, effects);
        }
        let group = self.id.clone();
        self.emit(GroupRecord::TargetAssignmentMetadata { group, value: None }, effects);
        let group = self.id.clone();
        self.emit(GroupRecord::ConsumerGroupMetadata { group, value: None }, effects);
    }

    /// What the record's key stands for now: for a record that the log has refused.
    pub(super) fn restated(&self, record: &GroupRecord) -> GroupRecord {
        let group = self.id.clone();
        match record.clone() {
            GroupRecord::ConsumerGroupMetadata { .. } => {
                let value =
                    ConsumerGroupMetadataValue { epoch: self.epoch, metadata_hash: self.metadata_hash };
                GroupRecord::ConsumerGroupMetadata { group, value: self.in_log.then_some(value) }
            }
            GroupRecord::MemberMetadata { member, .. } => {
                let value = self.members.get(&member).map(Member::metadata_value);
                GroupRecord::MemberMetadata { group, member, value }
            }
            GroupRecord::TargetAssignmentMetadata { .. } => {
                let value = TargetAssignmentMetadataValue {
                    assignment_epoch: self.target_epoch,
                    assignment_timestamp: self.target_timestamp,
                };
                GroupRecord::TargetAssignmentMetadata { group, value: self.in_log.then_some(value) }
            }
            GroupRecord::TargetAssignmentMember { member, .. } => match self.targets.get(&member) {
                Some(target) => member::target_record(&group, &member, target),
                None => GroupRecord::TargetAssignmentMember { group, member, value: None },
            },
            GroupRecord::CurrentMemberAssignment { member, .. } => match self.members.get(&member) {
                Some(member) => member.current_record(&group),
                None => GroupRecord::CurrentMemberAssignment { group, member, value: None },
            },
            GroupRecord::RegularExpression { regex, .. } => {
                let value = self.regexes.get(&regex).map(ResolvedRegex::value);
                GroupRecord::RegularExpression { group, regex, value }
            }
            GroupRecord::PartitionMetadata { .. } => GroupRecord::PartitionMetadata { group, value: None },
            GroupRecord::GroupMetadata { .. } => GroupRecord::GroupMetadata { group, value: None },
            GroupRecord::OffsetCommit { .. } => unreachable!("offsets are not restated"),
        }
    }

    /// Everything the log has to say of the group, for comparison.
    #[cfg(test)]
    pub(super) fn to_records(&self) -> Vec<GroupRecord> {
        let group = || self.id.clone();
        let mut keys = vec![
            GroupRecord::ConsumerGroupMetadata { group: group(), value: None },
            GroupRecord::TargetAssignmentMetadata { group: group(), value: None },
        ];
        for regex in self.regexes.keys() {
            keys.push(GroupRecord::RegularExpression { group: group(), regex: regex.clone(), value: None });
        }
        for member in self.members.keys().chain(self.targets.keys()) {
            let member = || member.clone();
            keys.push(GroupRecord::MemberMetadata { group: group(), member: member(), value: None });
            keys.push(GroupRecord::TargetAssignmentMember { group: group(), member: member(), value: None });
            keys.push(GroupRecord::CurrentMemberAssignment { group: group(), member: member(), value: None });
        }
        keys.iter().map(|key| self.restated(key)).collect()
    }

    /// Loaded: members have their sessions from now on, and those that had something to give up the time for it.
    pub(super) fn begin_sessions(&mut self, cx: &Context<'_>, config: &GroupConfig) {
        for member_id in self.members.keys().cloned().collect::<Vec<_>>() {
            self.keep_alive(cx, config, &member_id);
            let member = self.members.get_mut(&member_id).expect("of the members");
            if member.state == MemberState::UnrevokedPartitions && !member.uses_classic_protocol() {
                member.revoke_until = Some(cx.later(member.rebalance_timeout_ms));
            }
        }
        self.wake = self.next_deadline();
    }

    pub(super) fn tick(&mut self, cx: &Context<'_>, effects: &mut Effects) {
        let due = self.members.values().filter(|member| member.deadline().is_some_and(|at| at <= cx.now));
        let due: Vec<String> = due.map(|member| member.id.clone()).collect();
        if !due.is_empty() {
            self.fence(cx, &due, effects);
        }
        self.wake = self.next_deadline();
    }

    fn next_deadline(&self) -> Option<Millis> {
        self.members.values().filter_map(Member::deadline).min()
    }

    /// Of a member of the classic protocol its own, else the group's, else the broker's.
    fn session_timeout_ms(&self, member: &Member, cx: &Context<'_>, config: &GroupConfig) -> i32 {
        if let Some(classic) = &member.classic {
            return classic.session_timeout_ms;
        }
        let of_group = cx.topics.group_config(&self.id, "consumer.session.timeout.ms");
        of_group.unwrap_or(config.consumer_session_timeout_ms)
    }

    fn heartbeat_interval_ms(&self, cx: &Context<'_>, config: &GroupConfig) -> i32 {
        let of_group = cx.topics.group_config(&self.id, "consumer.heartbeat.interval.ms");
        of_group.unwrap_or(config.consumer_heartbeat_interval_ms)
    }

    /// The least time from one target to the next.
    fn assignment_interval_ms(&self, cx: &Context<'_>, config: &GroupConfig) -> i32 {
        let of_group = cx.topics.group_config(&self.id, "consumer.assignment.interval.ms");
        of_group.unwrap_or(config.consumer_assignment_interval_ms)
    }

    fn arm(&mut self, at: Millis) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }
}

/// What a member that leaves says in place of its epoch; a static one that means to come back says the other.
pub(super) const LEAVE_EPOCH: i32 = -1;
pub(super) const LEAVE_STATIC_EPOCH: i32 = -2;

impl ResolvedRegex {
    fn value(&self) -> RegularExpressionValue {
        RegularExpressionValue {
            topics: self.topics.iter().cloned().collect(),
            version: self.version,
            timestamp: self.timestamp,
        }
    }
}

fn check_epoch(member: &Member, epoch: i32) -> Result<(), ErrorCode> {
    match (epoch == member.epoch, member.uses_classic_protocol()) {
        (true, _) => Ok(()),
        (false, true) => Err(ErrorCode::IllegalGeneration),
        (false, false) => Err(ErrorCode::StaleMemberEpoch),
    }
}
