//! ConsumerGroupHeartbeat: everything a member of the new protocol ever says.

use std::collections::BTreeSet;

use model::ErrorCode;

use super::{
    ConsumerGroup, LEAVE_STATIC_EPOCH, Member, MemberState,
    member::{pairs, target_record},
    reconcile::{Owned, Step},
    subscription,
};
use crate::group::{
    actions::{Context, Effects},
    answer::ConsumerGroupHeartbeatAnswer,
    assignor::Assignor,
    config::GroupConfig,
    request::ConsumerGroupHeartbeat,
};

/// What the client is told, with a sentence for its log.
pub(in crate::group) type Refusal = (ErrorCode, &'static str);

/// What does not depend on the group.
pub(in crate::group) fn check_request(
    request: &ConsumerGroupHeartbeat,
    config: &GroupConfig,
) -> Result<(), Refusal> {
    let invalid = |sentence| Err((ErrorCode::InvalidRequest, sentence));
    let is_empty = |text: &Option<String>| text.as_ref().is_some_and(String::is_empty);
    let epoch = request.member_epoch;
    let names = request.topic_names.as_ref().is_some_and(|names| !names.is_empty());
    let regex = request.topic_regex.as_ref().is_some_and(|regex| !regex.is_empty());
    if request.group_id.is_empty() {
        return invalid("The group id is empty.");
    }
    if is_empty(&request.instance_id) || is_empty(&request.rack_id) || is_empty(&request.server_assignor) {
        return invalid("An instance id, a rack id or an assignor, if there is one, has a name.");
    }
    if epoch < LEAVE_STATIC_EPOCH {
        return invalid("There is no such member epoch.");
    }
    if request.member_id.is_empty() && (epoch != 0 || request.makes_member_id) {
        return invalid("The member id is empty.");
    }
    if epoch == LEAVE_STATIC_EPOCH && request.instance_id.is_none() {
        return invalid("Only a static member leaves with this epoch; it says its instance id.");
    }
    if epoch == 0 && request.rebalance_timeout_ms < 0 {
        return invalid("A member that joins says its rebalance timeout.");
    }
    if epoch == 0 && request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return invalid("A member that joins owns no partitions, and says so.");
    }
    if epoch == 0 && !names && !regex {
        return invalid("A member that joins subscribes to something.");
    }
    if let Some(name) = &request.server_assignor {
        let offered = config.consumer_assignors.contains(name) && Assignor::from_name(name).is_some();
        if !offered {
            return Err((ErrorCode::UnsupportedAssignor, "The group has no such assignor."));
        }
    }
    if regex && request.topic_regex.as_deref().and_then(subscription::compile).is_none() {
        return Err((
            ErrorCode::InvalidRegularExpression,
            "The regular expression cannot be read, or is too large.",
        ));
    }
    Ok(())
}

impl ConsumerGroup {
    /// Of a member that joins or stays. Nothing is changed unless it is admitted.
    pub(in crate::group) fn heartbeat(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        request: &ConsumerGroupHeartbeat,
        effects: &mut Effects,
    ) -> Result<ConsumerGroupHeartbeatAnswer, Refusal> {
        let member_id = if request.member_id.is_empty() { cx.uuid() } else { request.member_id.clone() };
        let place = self.admit(&member_id, request, config)?;
        let mut member = match place {
            Place::Member => self.members[&member_id].clone(),
            Place::New => Member::new(&member_id),
            Place::Successor(old_id) => self.succeed(&old_id, &member_id, effects),
        };
        let before = self.members.get(&member_id).cloned();
        update(&mut member, request);
        let changed = self.take_wishes(&member, before.as_ref(), effects);
        let owned: Owned = request.owned.as_ref().map(|owned| {
            owned.iter().flat_map(|(topic, partitions)| partitions.iter().map(|p| (*topic, *p))).collect()
        });
        self.walk(cx, config, &member_id, changed, &owned, effects);
        self.keep_alive(cx, config, &member_id);

        let member = &self.members[&member_id];
        let is_full = request.member_epoch == 0
            || (request.rebalance_timeout_ms != -1
                && (request.topic_names.is_some() || request.topic_regex.is_some())
                && request.owned.is_some());
        let news = before.is_none_or(|before| before.assigned != member.assigned);
        let assignment =
            || member.assigned.iter().map(|(topic, p)| (*topic, p.iter().copied().collect())).collect();
        Ok(ConsumerGroupHeartbeatAnswer {
            error: ErrorCode::None,
            error_message: None,
            member_id: Some(member_id.clone()),
            member_epoch: member.epoch,
            heartbeat_interval_ms: self.heartbeat_interval_ms(cx, config),
            assignment: (is_full || news).then(assignment),
        })
    }

    fn admit(
        &self,
        member_id: &str,
        request: &ConsumerGroupHeartbeat,
        config: &GroupConfig,
    ) -> Result<Place, Refusal> {
        let joins = request.member_epoch == 0;
        let known = self.members.get(member_id);
        let place = match &request.instance_id {
            None if known.is_some() => Place::Member,
            None if joins => Place::New,
            None => return Err((ErrorCode::UnknownMemberId, "The group has no such member.")),
            Some(instance_id) => match self.static_members.get(instance_id) {
                Some(current) if current == member_id => Place::Member,
                Some(current) if joins => {
                    let current = &self.members[current];
                    if current.epoch != LEAVE_STATIC_EPOCH && !current.uses_classic_protocol() {
                        let sentence = "Another member with this instance id has not left.";
                        return Err((ErrorCode::UnreleasedInstanceId, sentence));
                    }
                    Place::Successor(current.id.clone())
                }
                Some(_) => {
                    return Err((ErrorCode::FencedInstanceId, "Another member has this instance id now."));
                }
                None if joins && known.is_some() => Place::Member,
                None if joins => Place::New,
                None => return Err((ErrorCode::UnknownMemberId, "The group has no such static member.")),
            },
        };
        if matches!(place, Place::New) && self.members.len() >= config.consumer_size_max {
            return Err((ErrorCode::GroupMaxSizeReached, "The group has as many members as it may have."));
        }
        if let (Place::Member, Some(member)) = (&place, known) {
            check_member_epoch(member, request)?;
        }
        Ok(place)
    }

    /// A static member has come back under a new id: it takes over what the old one had.
    pub(super) fn succeed(&mut self, old_id: &str, member_id: &str, effects: &mut Effects) -> Member {
        let member = self.members[old_id].successor(member_id);
        let target = self.targets.get(old_id).cloned().unwrap_or_default();
        self.emit_member_end(old_id, effects);
        self.emit(member.metadata_record(&self.id), effects);
        self.emit(target_record(&self.id, member_id, &target), effects);
        self.emit(member.current_record(&self.id), effects);
        member
    }

    /// Writes what the member wants, if that is news. True: what the group reads may be another thing now.
    pub(super) fn take_wishes(
        &mut self,
        member: &Member,
        before: Option<&Member>,
        effects: &mut Effects,
    ) -> bool {
        let value = member.metadata_value();
        if before.is_none_or(|before| before.metadata_value() != value) {
            self.emit(member.metadata_record(&self.id), effects);
        }
        before.is_none_or(|b| b.topic_names != member.topic_names || b.topic_regex != member.topic_regex)
    }

    /// Brings the group up to date, and the member one step on its way.
    pub(super) fn walk(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        member_id: &str,
        changed: bool,
        owned: &Owned,
        effects: &mut Effects,
    ) {
        self.refresh(cx, changed, effects);
        self.update_target(cx, config, effects);
        let before = &self.members[member_id];
        if before.is_reconciled_to(self.target_epoch) && !changed {
            return;
        }
        // The target may be older than what the member wants.
        let mut target = self.targets.get(member_id).cloned().unwrap_or_default();
        let wanted = self.wanted_by(before, cx.topics);
        target.retain(|topic, _| wanted.contains(topic));
        let step = Step {
            target_epoch: self.target_epoch,
            target: &target,
            owned,
            is_held: &|topic, p| self.holders.get(&(topic, p)).is_some_and(|holder| holder != member_id),
        };
        let Some(after) = step.of(before) else { return };
        if after == *before {
            return;
        }
        let wait_ms = after.rebalance_timeout_ms;
        let revokes = after.state == MemberState::UnrevokedPartitions && !after.uses_classic_protocol();
        self.emit(after.current_record(&self.id), effects);
        let until = revokes.then(|| cx.later(wait_ms));
        self.members.get_mut(member_id).expect("it is there").revoke_until = until;
        until.inspect(|at| self.arm(*at));
    }

    pub(super) fn keep_alive(&mut self, cx: &Context<'_>, config: &GroupConfig, member_id: &str) {
        let Some(member) = self.members.get(member_id) else { return };
        let until = cx.later(self.session_timeout_ms(member, cx, config));
        self.members.get_mut(member_id).expect("just seen").session_until = Some(until);
        self.arm(until);
    }
}

/// Where a request belongs.
enum Place {
    Member,
    New,
    /// Of the static member with this id.
    Successor(String),
}

fn update(member: &mut Member, request: &ConsumerGroupHeartbeat) {
    if request.instance_id.is_some() {
        member.instance_id.clone_from(&request.instance_id);
    }
    if request.rack_id.is_some() {
        member.rack_id.clone_from(&request.rack_id);
    }
    if request.server_assignor.is_some() {
        member.server_assignor.clone_from(&request.server_assignor);
    }
    if request.rebalance_timeout_ms >= 0 {
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(names) = &request.topic_names {
        member.topic_names = names.iter().cloned().collect();
    }
    if let Some(regex) = &request.topic_regex {
        member.topic_regex = Some(regex.clone()).filter(|regex| !regex.is_empty());
    }
    member.client_id.clone_from(&request.client_id);
    member.client_host.clone_from(&request.client_host);
    member.classic = None;
    member.join_until = None;
    member.sync_until = None;
}

fn check_member_epoch(member: &Member, request: &ConsumerGroupHeartbeat) -> Result<(), Refusal> {
    let fenced = |sentence| Err((ErrorCode::FencedMemberEpoch, sentence));
    let epoch = request.member_epoch;
    let owned: Option<BTreeSet<_>> = request
        .owned
        .as_ref()
        .map(|owned| owned.iter().flat_map(|(topic, ps)| ps.iter().map(|p| (*topic, *p))).collect());
    if member.state == MemberState::Unknown && owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return fenced("What the member has is not known. It must give everything up and join again.");
    }
    if epoch == 0 {
        return Ok(());
    }
    if epoch > member.epoch {
        return fenced(
            "The member's epoch is ahead of the coordinator's. It must give everything up and join again.",
        );
    }
    // The answer with the new epoch may have been lost on its way; then the member has no more than it was given.
    let assigned: BTreeSet<_> = pairs(&member.assigned).collect();
    let lost_answer = epoch == member.previous_epoch && owned.is_some_and(|owned| owned.is_subset(&assigned));
    if epoch < member.epoch && !lost_answer {
        return fenced(
            "The member's epoch is behind the coordinator's. It must give everything up and join again.",
        );
    }
    Ok(())
}
