//! A member of a consumer group: what it wants, what it has, and what it has to give up first.

use std::collections::{BTreeMap, BTreeSet};

use model::{Millis, TopicId};

use crate::group::{
    assignor::Assignment,
    record::{
        ClassicMemberMetadata, CurrentMemberAssignmentValue, GroupRecord, MemberMetadataValue,
        TargetAssignmentMemberValue, TopicPartitionsValue,
    },
};

/// Where a member stands on its way to the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MemberState {
    /// Has everything it is to have.
    #[default]
    Stable,
    /// Has yet to give something up; until it says that it has, it stays in its epoch.
    UnrevokedPartitions,
    /// Waits for partitions that others have yet to give up.
    UnreleasedPartitions,
    /// A state of a later version of the log: the member has to begin anew.
    Unknown,
}

impl MemberState {
    pub(super) fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    pub(super) fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::group) struct Member {
    pub(in crate::group) id: String,
    pub(in crate::group) instance_id: Option<String>,
    pub(in crate::group) rack_id: Option<String>,
    pub(in crate::group) client_id: String,
    pub(in crate::group) client_host: String,
    pub(in crate::group) topic_names: BTreeSet<String>,
    pub(in crate::group) topic_regex: Option<String>,
    pub(in crate::group) rebalance_timeout_ms: i32,
    pub(in crate::group) server_assignor: Option<String>,
    /// Of a member that speaks the classic protocol.
    pub(in crate::group) classic: Option<ClassicMemberMetadata>,

    pub(in crate::group) epoch: i32,
    pub(in crate::group) previous_epoch: i32,
    pub(in crate::group) state: MemberState,
    pub(in crate::group) assigned: Assignment,
    pub(in crate::group) revoking: Assignment,
    /// Since which epoch of the group it has each of these partitions; of the others, since its own.
    pub(super) since: BTreeMap<(TopicId, i32), i32>,

    // What follows is not in the log.
    pub(super) session_until: Option<Millis>,
    /// Until when partitions must have been given up.
    pub(super) revoke_until: Option<Millis>,
    /// Of a member of the classic protocol: until when it must join, or fetch its assignment.
    pub(super) join_until: Option<Millis>,
    pub(super) sync_until: Option<Millis>,
}

impl Member {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), rebalance_timeout_ms: -1, ..Self::default() }
    }

    /// A static member that takes another one's place: it has what that had, and a life of its own.
    pub(super) fn successor(&self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            epoch: 0,
            previous_epoch: 0,
            session_until: None,
            revoke_until: None,
            join_until: None,
            sync_until: None,
            ..self.clone()
        }
    }

    pub(super) fn take_metadata(&mut self, value: MemberMetadataValue) {
        self.instance_id = value.instance_id;
        self.rack_id = value.rack_id;
        self.client_id = value.client_id;
        self.client_host = value.client_host;
        self.topic_names = value.subscribed_topic_names.into_iter().collect();
        self.topic_regex = value.subscribed_topic_regex.filter(|regex| !regex.is_empty());
        self.rebalance_timeout_ms = value.rebalance_timeout_ms;
        self.server_assignor = value.server_assignor;
        self.classic = value.classic;
    }

    pub(super) fn metadata_value(&self) -> MemberMetadataValue {
        MemberMetadataValue {
            instance_id: self.instance_id.clone(),
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: self.topic_names.iter().cloned().collect(),
            subscribed_topic_regex: self.topic_regex.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.server_assignor.clone(),
            classic: self.classic.clone(),
        }
    }

    pub(super) fn metadata_record(&self, group: &str) -> GroupRecord {
        let (group, member) = (group.to_owned(), self.id.clone());
        GroupRecord::MemberMetadata { group, member, value: Some(self.metadata_value()) }
    }

    pub(super) fn take_current(&mut self, value: CurrentMemberAssignmentValue) {
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = MemberState::from_code(value.state);
        let values = value.assigned_partitions.iter().chain(&value.partitions_pending_revocation);
        self.since = values.flat_map(dates).collect();
        self.assigned = from_values(value.assigned_partitions);
        self.revoking = from_values(value.partitions_pending_revocation);
    }

    pub(super) fn current_record(&self, group: &str) -> GroupRecord {
        let value = CurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.code(),
            assigned_partitions: self.dated(&self.assigned),
            partitions_pending_revocation: self.dated(&self.revoking),
        };
        let (group, member) = (group.to_owned(), self.id.clone());
        GroupRecord::CurrentMemberAssignment { group, member, value: Some(value) }
    }

    fn dated(&self, assignment: &Assignment) -> Vec<TopicPartitionsValue> {
        let mut values = to_values(assignment);
        for value in &mut values {
            let since = |p: &i32| self.since.get(&(value.topic_id, *p)).copied().unwrap_or(self.epoch);
            value.assignment_epochs = value.partitions.iter().map(since).collect();
        }
        values
    }

    /// Since which epoch it has this partition, without a break; none if it does not have it.
    pub(super) fn has_since(&self, topic: TopicId, partition: i32) -> Option<i32> {
        let mut of_topic = [&self.assigned, &self.revoking].into_iter().filter_map(|a| a.get(&topic));
        let holds = of_topic.any(|partitions| partitions.contains(&partition));
        holds.then(|| self.since.get(&(topic, partition)).copied().unwrap_or(self.epoch))
    }

    pub(super) fn uses_classic_protocol(&self) -> bool {
        self.classic.is_some()
    }

    pub(super) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Everything that nobody else may have while this member is there.
    pub(in crate::group) fn holds(&self) -> impl Iterator<Item = (TopicId, i32)> {
        pairs(&self.assigned).chain(pairs(&self.revoking))
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        [self.session_until, self.revoke_until, self.join_until, self.sync_until].into_iter().flatten().min()
    }
}

pub(super) fn pairs(assignment: &Assignment) -> impl Iterator<Item = (TopicId, i32)> {
    assignment.iter().flat_map(|(topic, partitions)| partitions.iter().map(move |p| (*topic, *p)))
}

pub(super) fn to_values(assignment: &Assignment) -> Vec<TopicPartitionsValue> {
    let value = |(topic, partitions): (&TopicId, &BTreeSet<i32>)| TopicPartitionsValue {
        topic_id: *topic,
        partitions: partitions.iter().copied().collect(),
        assignment_epochs: vec![],
    };
    assignment.iter().filter(|(_, partitions)| !partitions.is_empty()).map(value).collect()
}

fn dates(value: &TopicPartitionsValue) -> impl Iterator<Item = ((TopicId, i32), i32)> {
    let dated = value.partitions.iter().zip(&value.assignment_epochs);
    dated.map(|(partition, epoch)| ((value.topic_id, *partition), *epoch))
}

pub(super) fn from_values(values: Vec<TopicPartitionsValue>) -> Assignment {
    let mut assignment = Assignment::new();
    for value in values.into_iter().filter(|value| !value.partitions.is_empty()) {
        assignment.entry(value.topic_id).or_default().extend(value.partitions);
    }
    assignment
}

pub(super) fn target_record(group: &str, member: &str, target: &Assignment) -> GroupRecord {
    let value = TargetAssignmentMemberValue { topic_partitions: to_values(target) };
    GroupRecord::TargetAssignmentMember {
        group: group.to_owned(),
        member: member.to_owned(),
        value: Some(value),
    }
}
