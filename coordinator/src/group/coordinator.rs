//! The coordinator of all groups on one partition of `__consumer_offsets`: the door of this module.
//!
//! Every function takes the time and gives [`Actions`]. Records leave as appends, each of one group and to be written as
//! one batch, in the order given. Until the edge says [`GroupCoordinator::applied`], nothing an append stands for is told
//! to anyone: committed offsets are not seen, a generation's assignment is not handed out, and answers that rest on the
//! records wait. State itself is never turned back. If the log refuses an append, whoever waited for it hears an error,
//! as if an answer had been lost; offsets of it never count; and what the log now lacks of the group is written again
//! by and by.

use std::collections::{BTreeMap, BTreeSet};

use model::{ErrorCode, Millis};

use super::{
    actions::{Actions, Append, AppendId, Context, Effects, OnceDurable, Ticket},
    answer::{Answer, ConsumerGroupHeartbeatAnswer, JoinGroupAnswer, LeaveGroupAnswer, SyncGroupAnswer},
    classic::ClassicGroup,
    config::{GROUPS_MAX, GroupConfig, PROTOCOL_BYTES_MAX, PROTOCOLS_MAX, SUBSCRIPTIONS_MAX, TEXT_BYTES_MAX},
    consumer::{
        ConsumerGroup,
        heartbeat::{self, Refusal},
    },
    expiry::Expiry,
    offsets::Offsets,
    record::GroupRecord,
    request::{ConsumerGroupHeartbeat, Heartbeat, JoinGroup, LeaveGroup, SyncGroup},
};

#[derive(Debug)]
pub struct GroupCoordinator {
    pub(super) config: GroupConfig,
    pub(super) groups: BTreeMap<String, Group>,
    /// When which group wants to be looked at; at most one entry a group.
    wakes: BTreeSet<(Millis, String)>,
    pub(super) under_way: BTreeMap<AppendId, UnderWay>,
    next_append: u64,
    pub(super) expiry: Expiry,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) offsets: Offsets,
    pub(super) last_append: Option<AppendId>,
    /// As it stands in `wakes`.
    wake: Option<Millis>,
    /// What the log has refused, by key, and when what these keys stand for is written again.
    pub(super) unsaid: BTreeMap<Vec<u8>, GroupRecord>,
    pub(super) repair_at: Option<Millis>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Classic(ClassicGroup),
    Consumer(ConsumerGroup),
}

/// An append that the log has not confirmed yet.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) group: String,
    pub(super) once_durable: Vec<OnceDurable>,
    pub(super) answers: Vec<(Ticket, Answer)>,
    /// Its records but for offsets, in case the log refuses them.
    pub(super) records: Vec<GroupRecord>,
}

impl Group {
    pub(super) fn new(kind: Kind) -> Self {
        let offsets = Offsets::default();
        Self { kind, offsets, last_append: None, wake: None, unsaid: BTreeMap::new(), repair_at: None }
    }

    /// There is nothing that anyone could miss: no member, no offset, no record.
    pub(super) fn is_vacant(&self) -> bool {
        let gone = match &self.kind {
            Kind::Classic(group) => group.is_abandoned() && !group.is_in_log(),
            Kind::Consumer(group) => group.is_empty() && !group.is_in_log(),
        };
        gone && self.offsets.is_empty() && self.unsaid.is_empty()
    }

    fn next_wake(&self) -> Option<Millis> {
        let kind = match &self.kind {
            Kind::Classic(group) => group.wake(),
            Kind::Consumer(group) => group.wake(),
        };
        kind.into_iter().chain(self.repair_at).min()
    }
}

impl GroupCoordinator {
    pub fn new(config: GroupConfig) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            wakes: BTreeSet::new(),
            under_way: BTreeMap::new(),
            next_append: 0,
            expiry: Expiry::default(),
        }
    }

    /// The broker's configuration changed.
    pub fn reconfigure(&mut self, config: GroupConfig) {
        self.config = config;
    }

    pub fn join(&mut self, cx: &Context<'_>, ticket: Ticket, request: &JoinGroup) -> Actions {
        if let Err(error) = self.check_join(request) {
            return answered(ticket, JoinGroupAnswer::refused(error, &request.member_id));
        }
        if !self.groups.contains_key(&request.group_id) {
            if !request.member_id.is_empty() {
                return answered(
                    ticket,
                    JoinGroupAnswer::refused(ErrorCode::UnknownMemberId, &request.member_id),
                );
            }
            if self.groups.len() >= GROUPS_MAX {
                return answered(ticket, JoinGroupAnswer::refused(ErrorCode::CoordinatorNotAvailable, ""));
            }
            self.create_classic(&request.group_id, cx);
        }
        self.step(&request.group_id, |group, config, effects| {
            group.receive_classic_member(cx, config, request, effects);
            match &mut group.kind {
                Kind::Classic(classic) => classic.join(cx, config, ticket, request, effects),
                Kind::Consumer(consumer) if consumer.is_empty() => {
                    let error = ErrorCode::UnknownMemberId;
                    effects.answer(ticket, JoinGroupAnswer::refused(error, &request.member_id));
                }
                Kind::Consumer(consumer) => consumer.join_classic(cx, config, ticket, request, effects),
            }
        })
    }

    fn check_join(&self, request: &JoinGroup) -> Result<(), ErrorCode> {
        let texts = [&request.group_id, &request.member_id, &request.client_id, &request.client_host];
        let texts = texts.into_iter().chain(&request.group_instance_id).chain([&request.protocol_type]);
        let protocols = &request.protocols;
        let protocol_bytes: usize =
            protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum();
        let timeouts = self.config.session_timeout_min_ms..=self.config.session_timeout_max_ms;
        if request.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else if !timeouts.contains(&request.session_timeout_ms) {
            Err(ErrorCode::InvalidSessionTimeout)
        } else if are_too_long(texts.chain(protocols.iter().map(|(name, _)| name)))
            || protocol_bytes > PROTOCOL_BYTES_MAX
            || protocols.len() > PROTOCOLS_MAX
        {
            Err(ErrorCode::InvalidRequest)
        } else {
            Ok(())
        }
    }

    pub fn sync(&mut self, cx: &Context<'_>, ticket: Ticket, request: &SyncGroup) -> Actions {
        if let Err(error) = self.check_group(&request.group_id) {
            return answered(ticket, SyncGroupAnswer::refused(error));
        }
        self.step(&request.group_id, |group, _, effects| match &mut group.kind {
            Kind::Classic(classic) => classic.sync(ticket, request, effects),
            Kind::Consumer(consumer) => consumer.sync_classic(cx, ticket, request, effects),
        })
    }

    pub fn heartbeat(&mut self, cx: &Context<'_>, ticket: Ticket, request: &Heartbeat) -> Actions {
        if let Err(error) = self.check_group(&request.group_id) {
            return answered(ticket, Answer::Heartbeat(error));
        }
        self.step(&request.group_id, |group, config, effects| {
            let answer = match &mut group.kind {
                Kind::Classic(classic) => classic.heartbeat(cx, request),
                Kind::Consumer(consumer) => consumer.heartbeat_classic(cx, config, request),
            };
            effects.answer(ticket, Answer::Heartbeat(answer.err().unwrap_or(ErrorCode::None)));
        })
    }

    pub fn leave(&mut self, cx: &Context<'_>, ticket: Ticket, request: &LeaveGroup) -> Actions {
        if let Err(error) = self.check_group(&request.group_id) {
            return answered(ticket, LeaveGroupAnswer { error, members: vec![] });
        }
        self.step(&request.group_id, |group, config, effects| match &mut group.kind {
            Kind::Classic(classic) => classic.leave(cx, config, ticket, request, effects),
            Kind::Consumer(consumer) => {
                consumer.leave_classic(cx, ticket, request, effects);
                group.maybe_downgrade(cx, config, effects);
            }
        })
    }

    pub fn consumer_heartbeat(
        &mut self,
        cx: &Context<'_>,
        ticket: Ticket,
        request: &ConsumerGroupHeartbeat,
    ) -> Actions {
        let refused = |(error, sentence): Refusal| {
            answered(ticket, ConsumerGroupHeartbeatAnswer::refused(error, sentence))
        };
        if let Err(refusal) = self.check_consumer_heartbeat(request) {
            return refused(refusal);
        }
        let group_id = &request.group_id;
        if !self.groups.contains_key(group_id) {
            if self.groups.len() >= GROUPS_MAX {
                return refused((
                    ErrorCode::CoordinatorNotAvailable,
                    "The coordinator holds as many groups as it may.",
                ));
            }
            self.groups.insert(group_id.clone(), Group::new(Kind::Consumer(ConsumerGroup::new(group_id))));
        }
        self.step(group_id, |group, config, effects| {
            if request.member_epoch == 0 {
                group.receive_consumer_member(cx, config, group_id, effects);
            }
            let answer = match &mut group.kind {
                Kind::Classic(_) => Err((ErrorCode::GroupIdNotFound, "The group uses the classic protocol.")),
                Kind::Consumer(consumer) if request.member_epoch < 0 => consumer.leave(cx, request, effects),
                Kind::Consumer(consumer) => consumer.heartbeat(cx, config, request, effects),
            };
            match answer {
                Ok(answer) => effects.answer_when_durable(ticket, answer),
                Err((error, sentence)) => {
                    effects.answer(ticket, ConsumerGroupHeartbeatAnswer::refused(error, sentence));
                }
            }
            group.maybe_downgrade(cx, config, effects);
        })
    }

    fn check_consumer_heartbeat(&self, request: &ConsumerGroupHeartbeat) -> Result<(), Refusal> {
        heartbeat::check_request(request, &self.config)?;
        let texts = [&request.group_id, &request.member_id, &request.client_id, &request.client_host];
        let more = [&request.instance_id, &request.rack_id, &request.topic_regex, &request.server_assignor];
        let texts = texts.into_iter().chain(more.into_iter().flatten());
        let names = request.topic_names.iter().flatten();
        let topic_count = request.topic_names.as_ref().map_or(0, Vec::len);
        let owned_count: usize =
            request.owned.iter().flatten().map(|(_, partitions)| 1 + partitions.len()).sum();
        if are_too_long(texts.chain(names)) || topic_count.max(owned_count) > SUBSCRIPTIONS_MAX {
            return Err((ErrorCode::InvalidRequest, "A text is too long, or there are too many topics."));
        }
        if request.member_epoch != 0 && !self.groups.contains_key(&request.group_id) {
            return Err((ErrorCode::GroupIdNotFound, "There is no such group."));
        }
        Ok(())
    }

    fn check_group(&self, group_id: &str) -> Result<(), ErrorCode> {
        if group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else if self.groups.contains_key(group_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    pub(super) fn create_classic(&mut self, group_id: &str, cx: &Context<'_>) {
        let group = Group::new(Kind::Classic(ClassicGroup::new(group_id, cx)));
        let before = self.groups.insert(group_id.to_owned(), group);
        assert!(before.is_none());
    }

    /// When [`Self::tick`] has something to do; earlier is no harm.
    pub fn next_deadline(&self) -> Option<Millis> {
        self.wakes.first().map(|(at, _)| *at).into_iter().chain(self.expiry.next_run()).min()
    }

    /// Does everything that is due.
    pub fn tick(&mut self, cx: &Context<'_>) -> Actions {
        let mut actions = Actions::default();
        let due = self.wakes.iter().take_while(|(at, _)| *at <= cx.now).map(|(_, id)| id.clone());
        // Each once: what is due again at once is for the next call.
        for group_id in due.collect::<Vec<_>>() {
            actions.extend(self.step(&group_id, |group, config, effects| {
                if group.repair_at.is_some_and(|at| at <= cx.now) {
                    group.repair(effects);
                }
                match &mut group.kind {
                    Kind::Classic(classic) => classic.tick(cx, config, effects),
                    Kind::Consumer(consumer) => consumer.tick(cx, effects),
                }
                group.maybe_downgrade(cx, config, effects);
            }));
        }
        actions.extend(self.run_expiry(cx));
        actions
    }

    /// Nothing waits for the log and nothing for its time, but the next look at what has expired.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty() && self.wakes.is_empty()
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// One step of a group that is there, and what it leads to.
    pub(super) fn step(
        &mut self,
        group_id: &str,
        step: impl FnOnce(&mut Group, &GroupConfig, &mut Effects),
    ) -> Actions {
        let mut effects = Effects::default();
        // A group stays while anything of it is under way, so that what settles finds it.
        let group = self.groups.get_mut(group_id).expect("the caller has looked");
        step(group, &self.config, &mut effects);
        // Nothing is written, and nothing told, that rests on what the log does not know.
        if !effects.records.is_empty() || !effects.after.is_empty() {
            group.repair(&mut effects);
        }
        let mut actions = Actions { appends: vec![], answers: effects.answers };
        if effects.records.is_empty() {
            assert!(effects.once_durable.is_empty(), "nothing is durable without a record");
            match group.last_append.and_then(|last| self.under_way.get_mut(&last)) {
                Some(last) => last.answers.extend(effects.after),
                None => actions.answers.extend(effects.after),
            }
        } else {
            let id = AppendId(self.next_append);
            self.next_append += 1;
            group.last_append = Some(id);
            let Effects { records, after: answers, once_durable, .. } = effects;
            let of_group =
                records.iter().filter(|record| !matches!(record, GroupRecord::OffsetCommit { .. }));
            let waits = UnderWay {
                group: group_id.to_owned(),
                once_durable,
                answers,
                records: of_group.cloned().collect(),
            };
            self.under_way.insert(id, waits);
            actions.appends.push(Append { id, records });
        }
        self.after_step(group_id);
        actions
    }

    /// Keeps the index of deadlines, and drops a group that is nothing any more.
    fn after_step(&mut self, group_id: &str) {
        let group = self.groups.get_mut(group_id).expect("the caller has looked");
        let settled = group.last_append.is_none_or(|last| !self.under_way.contains_key(&last));
        let vacant = settled && group.is_vacant();
        let wake = if vacant { None } else { group.next_wake() };
        if wake != group.wake {
            group.wake.inspect(|at| {
                self.wakes.remove(&(*at, group_id.to_owned()));
            });
            group.wake = wake;
            wake.inspect(|at| {
                self.wakes.insert((*at, group_id.to_owned()));
            });
        }
        if vacant {
            self.groups.remove(group_id);
        }
    }
}

pub(super) fn answered(ticket: Ticket, answer: impl Into<Answer>) -> Actions {
    Actions { appends: vec![], answers: vec![(ticket, answer.into())] }
}

pub(super) fn are_too_long<'a>(mut texts: impl Iterator<Item = &'a String>) -> bool {
    texts.any(|text| text.len() > TEXT_BYTES_MAX)
}
