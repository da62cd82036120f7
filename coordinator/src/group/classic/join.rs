//! JoinGroup, and the gathering of a generation.

use std::collections::BTreeMap;

use model::ErrorCode;

use super::{ClassicGroup, ClassicState, Gathering, Member, bytes_of, refuse};
use crate::group::{
    actions::{Context, Effects, Ticket},
    answer::{JoinGroupAnswer, JoinedMember},
    config::{GroupConfig, MEMBERS_MAX},
    request::JoinGroup,
};

/// How long a member that was never part of a generation may wait for one without being heard of: its client may be gone.
const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1000;
/// How often at most a group of absent static members is looked at.
const ALONE_RETRY_MIN_MS: i32 = 1000;
/// Of the client id, in the id of a member.
const CLIENT_ID_BYTES_MAX: usize = 1024;

impl ClassicGroup {
    pub(in crate::group) fn join(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        ticket: Ticket,
        request: &JoinGroup,
        effects: &mut Effects,
    ) {
        // A static member that comes back without its id takes its own place, not another one.
        let known = request.group_instance_id.as_ref().and_then(|id| self.static_members.get(id));
        let known =
            if request.member_id.is_empty() { known.map_or("", String::as_str) } else { &request.member_id };
        if !self.has_place_for(known, config) || !self.has_room_for(known, request, config) {
            self.remove(&request.member_id, ErrorCode::GroupMaxSizeReached, effects);
            refuse(effects, ticket, JoinGroupAnswer::refused(ErrorCode::GroupMaxSizeReached, ""));
            return self.maybe_complete_join(cx, effects);
        }
        if !self.supports_protocols_of(request) {
            let error = ErrorCode::InconsistentGroupProtocol;
            return refuse(effects, ticket, JoinGroupAnswer::refused(error, &request.member_id));
        }
        if request.member_id.is_empty() {
            self.join_unknown(cx, config, ticket, request, effects);
        } else if self.pending.contains_key(&request.member_id) {
            if request.group_instance_id.is_some() {
                // Ids are only handed out to dynamic members.
                let error = ErrorCode::InvalidRequest;
                return refuse(effects, ticket, JoinGroupAnswer::refused(error, &request.member_id));
            }
            self.add(cx, config, ticket, request.member_id.clone(), request, effects);
        } else {
            self.join_known(cx, config, ticket, request, effects);
        }
    }

    fn has_place_for(&self, member_id: &str, config: &GroupConfig) -> bool {
        let known = self.members.get(member_id);
        match self.state {
            ClassicState::Empty => true,
            ClassicState::PreparingRebalance => {
                known.is_some_and(Member::is_joining) || self.joining < config.classic_size_max
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                known.is_some() || self.members.len() < config.classic_size_max
            }
        }
    }

    fn has_room_for(&self, member_id: &str, request: &JoinGroup, config: &GroupConfig) -> bool {
        let before = self.members.get(member_id).map_or(0, |member| bytes_of(&member.protocols));
        self.protocol_bytes - before + bytes_of(&request.protocols) <= config.classic_bytes_max
    }

    fn supports_protocols_of(&self, request: &JoinGroup) -> bool {
        if self.state == ClassicState::Empty {
            return !request.protocol_type.is_empty() && !request.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&request.protocol_type)
            && request.protocols.iter().any(|(name, _)| self.is_supported(name))
    }

    fn join_unknown(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        ticket: Ticket,
        request: &JoinGroup,
        effects: &mut Effects,
    ) {
        let prefix = request.group_instance_id.as_ref().unwrap_or(&request.client_id);
        let member_id =
            format!("{}-{}", &prefix[..prefix.floor_char_boundary(CLIENT_ID_BYTES_MAX)], cx.uuid());
        if let Some(instance_id) = &request.group_instance_id {
            return match self.static_members.get(instance_id).cloned() {
                Some(old) => self.replace_static(cx, config, ticket, &old, member_id, request, effects),
                None => self.add(cx, config, ticket, member_id, request, effects),
            };
        }
        if !request.requires_known_member_id {
            return self.add(cx, config, ticket, member_id, request, effects);
        }
        if self.pending.len() >= MEMBERS_MAX {
            let error = ErrorCode::GroupMaxSizeReached;
            return refuse(effects, ticket, JoinGroupAnswer::refused(error, ""));
        }
        let until = cx.later(request.session_timeout_ms);
        refuse(effects, ticket, JoinGroupAnswer::refused(ErrorCode::MemberIdRequired, &member_id));
        self.pending.insert(member_id, until);
        self.arm(until);
    }

    fn join_known(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        ticket: Ticket,
        request: &JoinGroup,
        effects: &mut Effects,
    ) {
        let member_id = request.member_id.as_str();
        if let Err(error) = self.admit(member_id, request.group_instance_id.as_deref()) {
            return refuse(effects, ticket, JoinGroupAnswer::refused(error, member_id));
        }
        let member = &self.members[member_id];
        let is_leader = self.leader.as_deref() == Some(member_id);
        let is_repeated = member.protocols == request.protocols;
        // The client missed the answer of this generation, so it gets it again. A leader of a stable group that joins
        // asks for a new assignment instead.
        let tell_again = match self.state {
            ClassicState::CompletingRebalance => is_repeated,
            ClassicState::Stable => is_repeated && !is_leader,
            ClassicState::PreparingRebalance => false,
            ClassicState::Empty => unreachable!("an empty group has no members"),
        };
        if tell_again {
            let answer = self.joined(member_id);
            return effects.answer(ticket, answer);
        }
        self.change(member_id, |member| {
            member.update(request);
            member.wait_for_join(ticket, effects);
        });
        self.prepare_or_complete(cx, config, effects);
    }

    fn add(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        ticket: Ticket,
        member_id: String,
        request: &JoinGroup,
        effects: &mut Effects,
    ) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        let until = cx.later(NEW_MEMBER_JOIN_TIMEOUT_MS);
        let mut member = Member::new(member_id, request);
        member.session_until = Some(until);
        member.wait_for_join(ticket, effects);
        self.insert(member);
        self.arm(until);
        self.newcomer |= matches!(self.gathering, Some(Gathering::First { .. }));
        self.prepare_or_complete(cx, config, effects);
    }

    /// A static member has come back with a new id. In a stable group that changes nothing for the others: it gets what
    /// the old one had.
    #[expect(clippy::too_many_arguments, reason = "the step of a join that knows all of it")]
    fn replace_static(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        ticket: Ticket,
        old_id: &str,
        member_id: String,
        request: &JoinGroup,
        effects: &mut Effects,
    ) {
        let mut member = self.take(old_id).expect("static members are members");
        member.refuse_join(ErrorCode::FencedInstanceId, effects);
        member.refuse_sync(ErrorCode::FencedInstanceId, effects);
        if self.unsynced.remove(old_id) {
            self.unsynced.insert(member_id.clone());
        }
        let old_leader = self.leader.clone();
        let was_leader = old_leader.as_deref() == Some(old_id);
        if was_leader {
            self.leader = Some(member_id.clone());
        }
        member.id.clone_from(&member_id);
        member.client_id.clone_from(&request.client_id);
        member.client_host.clone_from(&request.client_host);
        member.update(request);
        let until = cx.later(member.session_timeout_ms);
        member.session_until = Some(until);
        let in_same_generation = self.state == ClassicState::Stable;
        if !in_same_generation {
            member.wait_for_join(ticket, effects);
        }
        self.insert(member);
        self.arm(until);

        match self.state {
            ClassicState::Stable if self.select_protocol() == self.protocol_name => {
                self.subscribed = self.read_subscriptions();
                let mut answer = self.joined(&member_id);
                if request.supports_skipping_assignment {
                    answer.skip_assignment = was_leader;
                } else {
                    // Below version 9 a leader always assigns. Told of the old leader, it will not.
                    answer.members = vec![];
                    answer.leader = old_leader.unwrap_or_default();
                }
                let record = self.to_record(None);
                self.write(record, effects);
                effects.answer_when_durable(ticket, answer);
            }
            ClassicState::Stable => {
                self.change(&member_id, |member| member.wait_for_join(ticket, effects));
                self.prepare_or_complete(cx, config, effects);
            }
            ClassicState::CompletingRebalance => self.prepare_rebalance(cx, config, effects),
            ClassicState::PreparingRebalance => self.maybe_complete_join(cx, effects),
            ClassicState::Empty => unreachable!("an empty group has no members"),
        }
    }

    fn prepare_or_complete(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        match self.state {
            ClassicState::PreparingRebalance => self.maybe_complete_join(cx, effects),
            _ => self.prepare_rebalance(cx, config, effects),
        }
    }

    pub(in crate::group) fn prepare_rebalance(
        &mut self,
        cx: &Context<'_>,
        config: &GroupConfig,
        effects: &mut Effects,
    ) {
        assert!(self.state != ClassicState::PreparingRebalance);
        if self.state == ClassicState::CompletingRebalance {
            self.reset_assignments(cx, ErrorCode::RebalanceInProgress, effects);
        }
        self.unsynced.clear();
        self.sync_until = None;
        let is_first = self.state == ClassicState::Empty;
        self.enter(cx, ClassicState::PreparingRebalance);
        let timeout_ms = self.rebalance_timeout_ms();
        if is_first && config.initial_rebalance_delay_ms > 0 {
            let delay_ms = config.initial_rebalance_delay_ms;
            let until = cx.later(delay_ms);
            let remaining_ms = timeout_ms.saturating_sub(delay_ms).max(0);
            self.gathering = Some(Gathering::First { until, delay_ms, remaining_ms });
            self.newcomer = false;
            self.arm(until);
        } else {
            let until = cx.later(timeout_ms);
            self.gathering = Some(Gathering::Next { until });
            self.arm(until);
            self.maybe_complete_join(cx, effects);
        }
    }

    /// All are here, so nobody has to wait longer; but for the first rebalance, which waits for those not yet known.
    pub(super) fn maybe_complete_join(&mut self, cx: &Context<'_>, effects: &mut Effects) {
        let gathering_on = matches!(self.gathering, Some(Gathering::Next { .. }));
        let all_here = self.pending.is_empty() && self.joining == self.members.len();
        if gathering_on && all_here {
            self.complete_join(cx, effects);
        }
    }

    /// A round of the first rebalance is over: if someone came, there is another, within the rebalance timeout.
    pub(super) fn end_first_round(&mut self, cx: &Context<'_>, config: &GroupConfig, effects: &mut Effects) {
        let Some(Gathering::First { delay_ms, remaining_ms, .. }) = self.gathering else {
            unreachable!("only the first rebalance has rounds")
        };
        if !self.newcomer || remaining_ms == 0 {
            return self.complete_join(cx, effects);
        }
        self.newcomer = false;
        let next_ms = config.initial_rebalance_delay_ms.min(remaining_ms);
        let until = cx.later(next_ms);
        let remaining_ms = remaining_ms.saturating_sub(delay_ms).max(0);
        self.gathering = Some(Gathering::First { until, delay_ms: next_ms, remaining_ms });
        self.arm(until);
    }

    /// The generation begins with those who are here. Static members may be away for as long as their session lasts.
    pub(super) fn complete_join(&mut self, cx: &Context<'_>, effects: &mut Effects) {
        assert_eq!(self.state, ClassicState::PreparingRebalance);
        assert_eq!(self.joining, self.members.values().filter(|member| member.is_joining()).count());
        let away = self.members.values().filter(|m| !m.is_joining() && m.instance_id.is_none());
        for member_id in away.map(|m| m.id.clone()).collect::<Vec<_>>() {
            self.remove(&member_id, ErrorCode::UnknownMemberId, effects);
        }
        if !self.members.is_empty() && !self.elect_joined_leader() {
            // Only static members are left and none of them is here.
            let until = cx.later(self.rebalance_timeout_ms().max(ALONE_RETRY_MIN_MS));
            self.gathering = Some(Gathering::Next { until });
            return self.arm(until);
        }
        self.gathering = None;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.is_assigning = false;
        self.unsynced.clear();
        self.protocol_name = if self.members.is_empty() { None } else { self.select_protocol() };
        self.subscribed = self.read_subscriptions();
        if self.members.is_empty() {
            self.leader = None;
            self.enter(cx, ClassicState::Empty);
            let record = self.to_record(None);
            return self.write(record, effects);
        }
        self.enter(cx, ClassicState::CompletingRebalance);
        self.tell_generation(cx, effects);
    }

    fn tell_generation(&mut self, cx: &Context<'_>, effects: &mut Effects) {
        let answers: BTreeMap<_, _> = self.members.keys().map(|id| (id.clone(), self.joined(id))).collect();
        let mut first = None;
        for (member_id, answer) in answers {
            let member = self.members.get_mut(&member_id).expect("of the members");
            let until = cx.later(member.session_timeout_ms);
            member.answer_join(answer, effects);
            member.session_until = Some(until);
            member.is_new = false;
            first = Some(first.map_or(until, |at: model::Millis| at.min(until)));
            self.unsynced.insert(member_id);
        }
        self.joining = 0;
        let sync_until = cx.later(self.rebalance_timeout_ms());
        self.sync_until = Some(sync_until);
        self.arm(first.map_or(sync_until, |at| at.min(sync_until)));
    }

    /// Keeps the leader if it is here, else takes the first that is.
    fn elect_joined_leader(&mut self) -> bool {
        let here = |id: &String| self.members.get(id).is_some_and(Member::is_joining);
        if self.leader.as_ref().is_some_and(here) {
            return true;
        }
        let Some(member) = self.members.values().find(|member| member.is_joining()) else { return false };
        self.leader = Some(member.id.clone());
        true
    }

    /// Each member votes for what it wants most of what all can do; the first by name of those with the most votes.
    fn select_protocol(&self) -> Option<String> {
        let first = self.members.values().next()?;
        let names = first.protocols.iter().map(|(name, _)| name.as_str());
        let candidates: Vec<&str> = names.filter(|name| self.is_supported(name)).collect();
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for vote in self.members.values().filter_map(|member| member.vote(&candidates)) {
            *votes.entry(vote).or_default() += 1;
        }
        let most = votes.values().max()?;
        votes.iter().find(|(_, count)| *count == most).map(|(name, _)| (*name).to_owned())
    }

    /// What a member is told of the current generation.
    fn joined(&self, member_id: &str) -> JoinGroupAnswer {
        let name = self.protocol_name.as_deref().unwrap_or("");
        let is_leader = self.leader.as_deref() == Some(member_id);
        let members = self.members.values().filter(|_| is_leader).map(|member| JoinedMember {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(name).to_vec(),
        });
        JoinGroupAnswer {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: members.collect(),
        }
    }
}
