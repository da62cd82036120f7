//! Members that speak the classic protocol in a group of the new one. For them an epoch is a generation, nobody is
//! leader, and SyncGroup hands out what the coordinator has assigned.

use std::collections::BTreeSet;

use model::ErrorCode;

use super::{ConsumerGroup, Member, MemberState};
use crate::group::{
    actions::{Context, Effects, Ticket, Topics},
    answer::{JoinGroupAnswer, LeaveGroupAnswer, LeftMember, SyncGroupAnswer},
    config::GroupConfig,
    protocol::{self, Subscription},
    record::ClassicMemberMetadata,
    request::{Heartbeat, JoinGroup, LeaveGroup, LeavingMember, SyncGroup},
};

impl ConsumerGroup {
    pub(in crate::group) fn join_classic(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        ticket: Ticket,
        request: &JoinGroup,
        effects: &mut Effects,
    ) {
        let (old, subscription) = match self.admit_join(config, request) {
            Ok(admitted) => admitted,
            Err(error) => return effects.answer(ticket, JoinGroupAnswer::refused(error, &request.member_id)),
        };
        let is_new = request.member_id.is_empty();
        let member_id = if is_new { cx.uuid() } else { request.member_id.clone() };
        if is_new && request.group_instance_id.is_none() && request.requires_known_member_id {
            let error = ErrorCode::MemberIdRequired;
            return effects.answer(ticket, JoinGroupAnswer::refused(error, &member_id));
        }
        let mut member = match old {
            Some(old_id) if old_id != member_id => self.succeed(&old_id, &member_id, effects),
            _ => self.members.get(&member_id).cloned().unwrap_or_else(|| Member::new(&member_id)),
        };
        let before = self.members.get(&member_id).cloned();
        update(&mut member, request, &subscription);
        let changed = self.take_wishes(&member, before.as_ref(), effects);
        let owned = subscription.owned.iter().flat_map(|(name, partitions)| {
            let id = cx.topics.topic(name).map(|topic| topic.id);
            id.into_iter().flat_map(move |id| partitions.iter().map(move |p| (id, *p)))
        });
        let owned: BTreeSet<_> = owned.collect();
        self.walk(cx, config, &member_id, changed, &Some(owned), effects);
        self.keep_alive(cx, config, &member_id);
        let sync_until = cx.later(request.rebalance_timeout_ms);
        let member = self.members.get_mut(&member_id).expect("it has joined");
        member.join_until = None;
        member.sync_until = Some(sync_until);
        let generation = member.epoch;
        self.arm(sync_until);
        let answer = JoinGroupAnswer {
            generation,
            protocol_type: Some(protocol::CONSUMER.to_owned()),
            protocol_name: request.protocols.first().map(|(name, _)| name.clone()),
            ..JoinGroupAnswer::refused(ErrorCode::None, &member_id)
        };
        effects.answer_when_durable(ticket, answer);
    }

    /// The static member whose place it takes, if any, and what it subscribes to.
    pub(in crate::group) fn admit_join(
        &self,
        config: &GroupConfig,
        request: &JoinGroup,
    ) -> Result<(Option<String>, Subscription), ErrorCode> {
        let current = request.group_instance_id.as_ref().and_then(|id| self.static_members.get(id));
        let is_new = request.member_id.is_empty();
        match (&request.group_instance_id, current) {
            (Some(_), None) if !is_new => return Err(ErrorCode::UnknownMemberId),
            (Some(_), Some(current)) if !is_new && *current != request.member_id => {
                return Err(ErrorCode::FencedInstanceId);
            }
            _ => {}
        }
        let known = self.members.get(&request.member_id);
        if known.is_some_and(|member| member.state == MemberState::Unknown) {
            return Err(ErrorCode::UnknownMemberId);
        }
        let has_place = current.is_some() || known.is_some();
        if !has_place && self.members.len() >= config.consumer_size_max {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        let supported = |name: &String| {
            let mut others = self.members.values().filter_map(|member| member.classic.as_ref());
            others.all(|classic| classic.supported_protocols.iter().any(|(other, _)| other == name))
        };
        let common = request.protocols.iter().any(|(name, _)| supported(name));
        if request.protocol_type != protocol::CONSUMER || !common {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        let subscription =
            request.protocols.first().and_then(|(_, metadata)| protocol::subscription(metadata));
        Ok((current.cloned(), subscription.ok_or(ErrorCode::InconsistentGroupProtocol)?))
    }

    pub(in crate::group) fn sync_classic(
        &mut self,
        cx: &Context<'_>,
        ticket: Ticket,
        request: &SyncGroup,
        effects: &mut Effects,
    ) {
        if let Err(error) = self.admit_sync(request) {
            if error == ErrorCode::RebalanceInProgress {
                self.await_join(cx, &request.member_id);
            }
            return effects.answer(ticket, SyncGroupAnswer::refused(error));
        }
        let member = self.members.get_mut(&request.member_id).expect("admitted");
        let classic = member.classic.as_ref().expect("admitted");
        let until = cx.later(classic.session_timeout_ms);
        member.sync_until = None;
        member.session_until = Some(until);
        let answer = SyncGroupAnswer {
            error: ErrorCode::None,
            protocol_type: Some(protocol::CONSUMER.to_owned()),
            protocol_name: classic.supported_protocols.first().map(|(name, _)| name.clone()),
            assignment: classic_assignment(member, classic, cx.topics),
        };
        self.arm(until);
        effects.answer_when_durable(ticket, answer);
    }

    fn admit_sync(&self, request: &SyncGroup) -> Result<(), ErrorCode> {
        let member = self.admit_classic(&request.member_id, request.group_instance_id.as_deref())?;
        let classic = member.classic.as_ref().expect("admitted");
        let ours = classic.supported_protocols.first().map(|(name, _)| name);
        if request.generation != member.epoch {
            Err(ErrorCode::IllegalGeneration)
        } else if request.protocol_type.as_deref().is_some_and(|asked| asked != protocol::CONSUMER)
            || request.protocol_name.as_ref().is_some_and(|asked| Some(asked) != ours)
        {
            Err(ErrorCode::InconsistentGroupProtocol)
        } else if member.epoch < self.target_epoch && member.state != MemberState::UnreleasedPartitions {
            Err(ErrorCode::RebalanceInProgress)
        } else {
            Ok(())
        }
    }

    fn admit_classic(&self, member_id: &str, instance_id: Option<&str>) -> Result<&Member, ErrorCode> {
        if let Some(instance_id) = instance_id {
            let current = self.static_members.get(instance_id).ok_or(ErrorCode::UnknownMemberId)?;
            if current != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        let member = self.members.get(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if member.uses_classic_protocol() { Ok(member) } else { Err(ErrorCode::UnknownMemberId) }
    }

    pub(in crate::group) fn heartbeat_classic(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        request: &Heartbeat,
    ) -> Result<(), ErrorCode> {
        let member = self.admit_classic(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation != member.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let has_news = match member.state {
            _ if member.epoch < self.target_epoch => true,
            MemberState::UnrevokedPartitions | MemberState::Unknown => true,
            MemberState::UnreleasedPartitions => self.can_gain(member),
            MemberState::Stable => false,
        };
        self.keep_alive(cx, config, &request.member_id);
        if has_news {
            self.await_join(cx, &request.member_id);
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// Is something of what it waits for free by now?
    fn can_gain(&self, member: &Member) -> bool {
        let target = self.targets.get(&member.id).into_iter().flat_map(super::member::pairs);
        target.into_iter().any(|held| !self.holders.contains_key(&held))
    }

    /// It was told to join again, and has so long.
    fn await_join(&mut self, cx: &Context<'_>, member_id: &str) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let until = *member.join_until.get_or_insert(cx.later(member.rebalance_timeout_ms));
        self.arm(until);
    }

    pub(in crate::group) fn leave_classic(
        &mut self,
        cx: &Context<'_>,
        ticket: Ticket,
        request: &LeaveGroup,
        effects: &mut Effects,
    ) {
        let mut gone = vec![];
        let mut members = vec![];
        for leaving in &request.members {
            let found = self.leaving_member(leaving);
            let found = found
                .and_then(|id| if gone.contains(&id) { Err(ErrorCode::UnknownMemberId) } else { Ok(id) });
            let error = match found {
                Ok(member_id) => {
                    gone.push(member_id);
                    ErrorCode::None
                }
                Err(error) => error,
            };
            let (member_id, group_instance_id) =
                (leaving.member_id.clone(), leaving.group_instance_id.clone());
            members.push(LeftMember { member_id, group_instance_id, error });
        }
        if !gone.is_empty() {
            self.fence(cx, &gone, effects);
        }
        effects.answer_when_durable(ticket, LeaveGroupAnswer { error: ErrorCode::None, members });
    }

    fn leaving_member(&self, leaving: &LeavingMember) -> Result<String, ErrorCode> {
        let static_id = leaving.group_instance_id.as_ref().and_then(|id| self.static_members.get(id));
        let member_id = match static_id {
            Some(member_id) if leaving.member_id.is_empty() => member_id,
            _ => &leaving.member_id,
        };
        self.admit_classic(member_id, leaving.group_instance_id.as_deref()).map(|member| member.id.clone())
    }
}

fn update(member: &mut Member, request: &JoinGroup, subscription: &Subscription) {
    if request.group_instance_id.is_some() {
        member.instance_id.clone_from(&request.group_instance_id);
    }
    if subscription.rack.is_some() {
        member.rack_id.clone_from(&subscription.rack);
    }
    member.client_id.clone_from(&request.client_id);
    member.client_host.clone_from(&request.client_host);
    member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    member.topic_names = subscription.topics.iter().cloned().collect();
    member.topic_regex = None;
    member.server_assignor = None;
    member.revoke_until = None;
    member.classic = Some(ClassicMemberMetadata {
        session_timeout_ms: request.session_timeout_ms,
        supported_protocols: request.protocols.clone(),
    });
}

/// In the version that the member's own subscription has.
pub(super) fn classic_assignment(
    member: &Member,
    classic: &ClassicMemberMetadata,
    topics: &dyn Topics,
) -> Vec<u8> {
    let metadata = classic.supported_protocols.first().map_or(&[][..], |(_, metadata)| metadata);
    let version = protocol::subscription(metadata).map_or(0, |subscription| subscription.version);
    let named = member.assigned.iter().filter_map(|(id, partitions)| {
        topics.name(*id).map(|name| (name, partitions.iter().copied().collect()))
    });
    protocol::encode_assignment(version, &named.collect::<Vec<_>>())
}
