//! A group changes its protocol while it runs: to the new one when the first member of that kind joins, back when the
//! last of them has gone. Nobody loses what it has on the way, and nobody gets what another may still read.

use std::collections::{BTreeMap, BTreeSet};

use model::{ErrorCode, TopicId};

use super::{ConsumerGroup, Member, classic_member::classic_assignment, member::target_record};
use crate::group::{
    actions::{Context, Effects},
    assignor::Assignment,
    classic::{self, ClassicGroup},
    config::GroupConfig,
    protocol,
    record::{
        ClassicMemberMetadata, ClassicMemberValue, ConsumerGroupMetadataValue, GroupMetadataValue,
        GroupRecord, TargetAssignmentMetadataValue,
    },
};

/// Partitions by topic, of the topics that are there.
fn by_id(named: Vec<(String, Vec<i32>)>, cx: &Context<'_>) -> Assignment {
    let mut assignment = Assignment::new();
    for (name, partitions) in named {
        if let Some(topic) = cx.topics.topic(&name).filter(|_| !partitions.is_empty()) {
            assignment.entry(topic.id).or_default().extend(partitions);
        }
    }
    assignment
}

impl ConsumerGroup {
    /// The classic group under the new protocol, its generation as the epoch; none if its members' bytes cannot be read
    /// or it is too large. Members that wait are told to join again.
    pub(in crate::group) fn upgraded(
        classic: &mut ClassicGroup,
        id: &str,
        cx: &Context<'_>,
        config: &GroupConfig,
        effects: &mut Effects,
    ) -> Option<Self> {
        if !classic.uses_consumer_protocol() || classic.members().len() > config.consumer_size_max {
            return None;
        }
        let epoch = classic.generation();
        let mut taken: BTreeSet<(TopicId, i32)> = BTreeSet::new();
        let mut members = vec![];
        for member in classic.members() {
            members.push(upgraded_member(member, epoch, &mut taken, cx)?);
        }
        classic.refuse_waiting(ErrorCode::RebalanceInProgress, effects);
        if classic.is_in_log() {
            effects.records.push(classic.tombstone());
        }
        let mut group = Self::new(id);
        let value = Some(ConsumerGroupMetadataValue { epoch, metadata_hash: 0 });
        group.emit(GroupRecord::ConsumerGroupMetadata { group: id.to_owned(), value }, effects);
        for member in members {
            group.emit(member.metadata_record(id), effects);
            group.emit(target_record(id, &member.id, &member.assigned), effects);
            group.emit(member.current_record(id), effects);
        }
        let value = Some(TargetAssignmentMetadataValue { assignment_epoch: epoch, assignment_timestamp: 0 });
        group.emit(GroupRecord::TargetAssignmentMetadata { group: id.to_owned(), value }, effects);
        group.begin_sessions(cx, config);
        Some(group)
    }

    /// Only members of the classic protocol are left, and the group may go back to it.
    pub(in crate::group) fn is_to_downgrade(&self, config: &GroupConfig) -> bool {
        config.migration_policy.allows_downgrade()
            && !self.members.is_empty()
            && self.members.len() <= config.classic_size_max
            && self.members.values().all(Member::uses_classic_protocol)
    }

    /// The one member of the new protocol, if it is this static one and others remain or not: with it goes the protocol.
    pub(in crate::group) fn last_of_protocol(&self, instance_id: &str) -> Option<&str> {
        let member_id = self.static_members.get(instance_id)?;
        let mut of_protocol = self.members.values().filter(|member| !member.uses_classic_protocol());
        let only = of_protocol.next().filter(|member| member.id == *member_id)?;
        of_protocol.next().is_none().then_some(&only.id)
    }

    /// The group under the classic protocol, its epoch as the generation. What members have now is their assignment, not
    /// what they were to have: some of that may still be read by others. A rebalance has to follow.
    pub(in crate::group) fn downgraded(&mut self, cx: &Context<'_>, effects: &mut Effects) -> ClassicGroup {
        let protocols: BTreeMap<String, Vec<(String, Vec<u8>)>> = self
            .members
            .values()
            .filter_map(|m| Some((m.id.clone(), m.classic.as_ref()?.supported_protocols.clone())))
            .collect();
        let common = protocols.values().next().into_iter().flatten().map(|(name, _)| name);
        let common = common
            .into_iter()
            .find(|name| protocols.values().all(|all| all.iter().any(|(other, _)| other == *name)))
            .cloned();
        let members = self.members.values().filter_map(|member| {
            let classic = member.classic.as_ref()?;
            Some(ClassicMemberValue {
                member_id: member.id.clone(),
                group_instance_id: member.instance_id.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: classic.session_timeout_ms,
                subscription: vec![],
                assignment: classic_assignment(member, classic, cx.topics),
            })
        });
        let value = GroupMetadataValue {
            protocol_type: protocol::CONSUMER.to_owned(),
            generation: self.epoch,
            protocol: common,
            leader: None,
            current_state_timestamp: cx.wall.0,
            members: members.collect(),
        };
        let id = self.id.clone();
        self.bury(effects);
        let mut group = ClassicGroup::from_record(&id, value);
        group.restore_protocols(protocols);
        effects.records.push(group.to_record(None));
        group.begin_sessions(cx);
        group
    }
}

/// What a member has is what it was assigned and what it says it owns, whatever of it nobody else has yet.
fn upgraded_member(
    member: &classic::Member,
    epoch: i32,
    taken: &mut BTreeSet<(TopicId, i32)>,
    cx: &Context<'_>,
) -> Option<Member> {
    let subscription =
        protocol::subscription(member.protocols.first().map(|(_, metadata)| metadata.as_slice())?)?;
    let mut assigned = by_id(protocol::assignment(&member.assignment)?, cx);
    for (topic, owned) in by_id(subscription.owned, cx) {
        assigned.entry(topic).or_default().extend(owned);
    }
    for (topic, partitions) in &mut assigned {
        partitions.retain(|p| taken.insert((*topic, *p)));
    }
    assigned.retain(|_, partitions| !partitions.is_empty());
    let mut upgraded = Member::new(&member.id);
    upgraded.instance_id.clone_from(&member.instance_id);
    upgraded.rack_id = subscription.rack;
    upgraded.client_id.clone_from(&member.client_id);
    upgraded.client_host.clone_from(&member.client_host);
    upgraded.topic_names = subscription.topics.into_iter().collect();
    upgraded.rebalance_timeout_ms = member.rebalance_timeout_ms;
    upgraded.epoch = epoch;
    upgraded.previous_epoch = epoch;
    upgraded.assigned = assigned;
    upgraded.classic = Some(ClassicMemberMetadata {
        session_timeout_ms: member.session_timeout_ms,
        supported_protocols: member.protocols.clone(),
    });
    Some(upgraded)
}
