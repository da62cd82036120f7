//! The coordinator of all groups on one partition of `__consumer_offsets`: the door of this module.
//!
//! Every function takes the time and gives [`Actions`]. Records leave as appends, each of one group and to be written as
//! one batch, in the order given. Until the edge says [`GroupCoordinator::applied`], nothing an append stands for is told
//! to anyone: committed offsets are not seen, a generation's assignment is not handed out, and answers that rest on the
//! records wait. State itself is never turned back. If the log refuses an append, whoever waited for it hears an error,
//! as if an answer had been lost; offsets of it never count; and what the log now lacks of the group is written again
//! by and by ([`REPAIR_DELAY_MS`]).

use std::collections::{BTreeMap, BTreeSet};

use model::{ErrorCode, Millis};

use super::{
    actions::{Actions, Append, AppendId, Context, Effects, OnceDurable, Ticket},
    answer::{
        Answer, ConsumerGroupHeartbeatAnswer, JoinGroupAnswer, LeaveGroupAnswer, OffsetCommitAnswer,
        OffsetDeleteAnswer, SyncGroupAnswer,
    },
    classic::ClassicGroup,
    config::{
        APPENDS_MAX, GROUPS_MAX, GroupConfig, OFFSETS_MAX, PROTOCOL_BYTES_MAX, PROTOCOLS_MAX,
        SUBSCRIPTIONS_MAX, TEXT_BYTES_MAX, TOMBSTONES_PER_APPEND,
    },
    consumer::{
        ConsumerGroup,
        heartbeat::{self, Refusal},
    },
    expiry::Expiry,
    offsets::{self, CommittedOffset, Offsets},
    record::GroupRecord,
    request::{
        ConsumerGroupHeartbeat, Heartbeat, JoinGroup, LeaveGroup, OffsetCommit, OffsetReader, OffsetToCommit,
        SyncGroup,
    },
};

/// How long after a refused append the group is written again.
const REPAIR_DELAY_MS: i32 = 1000;

#[derive(Debug)]
pub struct GroupCoordinator {
    pub(super) config: GroupConfig,
    pub(super) groups: BTreeMap<String, Group>,
    /// When which group wants to be looked at; at most one entry a group.
    wakes: BTreeSet<(Millis, String)>,
    under_way: BTreeMap<AppendId, UnderWay>,
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
struct UnderWay {
    group: String,
    once_durable: Vec<OnceDurable>,
    answers: Vec<(Ticket, Answer)>,
    /// Its records but for offsets, in case the log refuses them.
    records: Vec<GroupRecord>,
}

impl Group {
    pub(super) fn new(kind: Kind) -> Self {
        let offsets = Offsets::default();
        Self { kind, offsets, last_append: None, wake: None, unsaid: BTreeMap::new(), repair_at: None }
    }

    /// There is nothing that anyone could miss: no member, no offset, no record.
    fn is_vacant(&self) -> bool {
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

    pub fn commit_offsets(&mut self, cx: &Context<'_>, ticket: Ticket, request: &OffsetCommit) -> Actions {
        let refused =
            |error| answered(ticket, OffsetCommitAnswer { errors: vec![error; request.offsets.len()] });
        if request.offsets.is_empty() {
            return refused(ErrorCode::None);
        }
        if let Err(error) = self.admit_commit(cx, request) {
            return refused(error);
        }
        let group = &self.groups[&request.group_id];
        let room = OFFSETS_MAX.saturating_sub(group.offsets.count_bound());
        let new = request.offsets.iter().filter(|o| !group.offsets.has(&o.topic, o.partition)).count();
        if new > room {
            return refused(ErrorCode::InvalidCommitOffsetSize);
        }
        self.step(&request.group_id, |group, config, effects| {
            let errors =
                request.offsets.iter().map(|offset| commit(cx, config, group, request, offset, effects));
            let errors = errors.map(|result| result.err().unwrap_or(ErrorCode::None)).collect();
            effects.answer_when_durable(ticket, OffsetCommitAnswer { errors });
        })
    }

    /// Makes the group if the commit is the first thing that is heard of it.
    fn admit_commit(&mut self, cx: &Context<'_>, request: &OffsetCommit) -> Result<(), ErrorCode> {
        let texts = [&request.group_id, &request.member_id].into_iter().chain(&request.group_instance_id);
        if are_too_long(texts.chain(request.offsets.iter().map(|offset| &offset.topic))) {
            return Err(ErrorCode::InvalidRequest);
        }
        if self.under_way.len() >= APPENDS_MAX {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        if let Some(group) = self.groups.get_mut(&request.group_id) {
            return match &mut group.kind {
                Kind::Classic(classic) => classic.admit_commit(cx, request),
                Kind::Consumer(consumer) => consumer.admit_commit(request),
            };
        }
        if request.generation_or_member_epoch >= 0 {
            // From version 9 on the client may be a member of the new protocol, which knows no generations.
            let unknown =
                if request.version >= 9 { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration };
            return Err(unknown);
        }
        if self.groups.len() >= GROUPS_MAX {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.create_classic(&request.group_id, cx);
        Ok(())
    }

    fn create_classic(&mut self, group_id: &str, cx: &Context<'_>) {
        let group = Group::new(Kind::Classic(ClassicGroup::new(group_id, cx)));
        let before = self.groups.insert(group_id.to_owned(), group);
        assert!(before.is_none());
    }

    /// May this reader see the group's offsets? A group that is not there has none, which is no error.
    pub fn admit_fetch(&self, group_id: &str, reader: &OffsetReader) -> Result<(), ErrorCode> {
        match self.groups.get(group_id).map(|group| &group.kind) {
            None | Some(Kind::Classic(_)) => Ok(()),
            Some(Kind::Consumer(consumer)) => consumer.admit_fetch(reader),
        }
    }

    /// None: nothing is committed, which OffsetFetch says with offset -1 and no error.
    pub fn committed(&self, group_id: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.groups.get(group_id)?.offsets.get(topic, partition)
    }

    /// Everything that the group has committed, by topic and partition.
    pub fn all_committed(&self, group_id: &str) -> impl Iterator<Item = (&str, i32, &CommittedOffset)> {
        self.groups.get(group_id).into_iter().flat_map(|group| group.offsets.iter())
    }

    /// OffsetDelete: of a consumer group with members, only offsets of topics that nobody in it reads.
    pub fn delete_offsets(
        &mut self,
        ticket: Ticket,
        group_id: &str,
        partitions: &[(String, i32)],
    ) -> Actions {
        let refused =
            |error| answered(ticket, OffsetDeleteAnswer { error, errors: vec![error; partitions.len()] });
        let Some(group) = self.groups.get(group_id) else { return refused(ErrorCode::GroupIdNotFound) };
        match &group.kind {
            Kind::Classic(classic) if !classic.is_empty() && !classic.uses_consumer_protocol() => {
                return refused(ErrorCode::NonEmptyGroup);
            }
            Kind::Classic(_) | Kind::Consumer(_) => {}
        }
        self.step(group_id, |group, _, effects| {
            let mut errors = vec![];
            for (topic, partition) in partitions {
                if group.is_subscribed_to(topic) {
                    errors.push(ErrorCode::GroupSubscribedToTopic);
                    continue;
                }
                errors.push(ErrorCode::None);
                if group.offsets.has(topic, *partition) {
                    delete(group_id, group, topic, *partition, effects);
                }
            }
            effects.answer_when_durable(ticket, OffsetDeleteAnswer { error: ErrorCode::None, errors });
        })
    }

    /// DeleteGroups, one group of it: its offsets go first, then what the log says of the group.
    pub fn delete_group(&mut self, ticket: Ticket, group_id: &str) -> Actions {
        let Some(group) = self.groups.get(group_id) else {
            return answered(ticket, Answer::DeleteGroup(ErrorCode::GroupIdNotFound));
        };
        if !group.is_empty() {
            return answered(ticket, Answer::DeleteGroup(ErrorCode::NonEmptyGroup));
        }
        let keys = group.offsets.keys().into_iter().collect::<Vec<_>>();
        let mut actions = self.delete_keys(group_id, &keys);
        actions.extend(self.step(group_id, |group, _, effects| {
            group.bury(effects);
            effects.answer_when_durable(ticket, Answer::DeleteGroup(ErrorCode::None));
        }));
        actions
    }

    /// These topics are gone, and what groups had committed for them with them: a topic of the same name later is
    /// another topic.
    pub fn delete_topics(&mut self, topics: &[&str]) -> Actions {
        let mut actions = Actions::default();
        for group_id in self.groups.keys().cloned().collect::<Vec<_>>() {
            let keys = self.groups[&group_id].offsets.keys().into_iter();
            let keys: Vec<_> = keys.filter(|(topic, _)| topics.contains(&topic.as_str())).collect();
            actions.extend(self.delete_keys(&group_id, &keys));
        }
        actions
    }

    pub(super) fn delete_keys(&mut self, group_id: &str, keys: &[(String, i32)]) -> Actions {
        let mut actions = Actions::default();
        for chunk in keys.chunks(TOMBSTONES_PER_APPEND) {
            actions.extend(self.step(group_id, |group, _, effects| {
                chunk.iter().for_each(|(topic, p)| delete(group_id, group, topic, *p, effects));
            }));
        }
        actions
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

    /// The append is durable. Appends settle in the order they were given.
    pub fn applied(&mut self, cx: &Context<'_>, id: AppendId) -> Actions {
        let Some(settled) = self.under_way.remove(&id) else { return Actions::default() };
        self.step(&settled.group, |group, _, effects| {
            for effect in settled.once_durable {
                match effect {
                    OnceDurable::Offset { topic, partition, value } => {
                        group.offsets.settle(topic, partition, value)
                    }
                    OnceDurable::Assignment { generation, assignments } => {
                        if let Kind::Classic(classic) = &mut group.kind {
                            classic.assigned(cx, generation, assignments, effects);
                        }
                    }
                    OnceDurable::GroupTombstone => {}
                }
            }
            effects.answers.extend(settled.answers);
        })
    }

    /// The log has refused the append, and with it every later one that is under way: none of them will ever be read.
    /// What is durable is a prefix of what was handed over. A later append that came into the log all the same would tell
    /// of partitions that are assigned anew and not of their release.
    pub fn failed(&mut self, cx: &Context<'_>, id: AppendId, error: ErrorCode) -> Actions {
        assert!(error != ErrorCode::None, "a failure has a reason");
        let mut actions = Actions::default();
        // Taken out first: what the refusal itself leads to is a new append.
        let mut refused = self.under_way.split_off(&id);
        for settled in refused.values_mut().filter(|settled| !settled.records.is_empty()) {
            let group = self
                .groups
                .get_mut(&settled.group)
                .expect("a group stays while something of it is under way");
            let records = std::mem::take(&mut settled.records).into_iter();
            group.unsaid.extend(records.map(|record| (record.encode_key(), record)));
            group.repair_at = Some(cx.later(REPAIR_DELAY_MS));
        }
        for settled in refused.into_values() {
            actions.extend(self.refuse(cx, settled, error));
        }
        actions
    }

    fn refuse(&mut self, cx: &Context<'_>, settled: UnderWay, error: ErrorCode) -> Actions {
        self.step(&settled.group, |group, config, effects| {
            for effect in settled.once_durable {
                match effect {
                    OnceDurable::Offset { topic, partition, .. } => group.offsets.give_up(&topic, partition),
                    OnceDurable::Assignment { generation, .. } => {
                        if let Kind::Classic(classic) = &mut group.kind {
                            let error = super::answer::refusal_of_append(error);
                            classic.not_assigned(cx, config, generation, error, effects);
                        }
                    }
                    OnceDurable::GroupTombstone => {
                        if let Kind::Classic(classic) = &mut group.kind {
                            classic.set_in_log(true);
                        }
                    }
                }
            }
            effects.answers.extend(settled.answers.into_iter().map(|(ticket, a)| (ticket, a.failed(error))));
        })
    }

    /// A record of the log, while the coordinator is loaded: all of them, in order, before anything else.
    pub fn replay(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::OffsetCommit { key, value } => {
                let value = value.map(CommittedOffset::from_value);
                let Some(group) = self.groups.get_mut(&key.group) else {
                    if let Some(value) = value {
                        let mut group =
                            Group::new(Kind::Classic(ClassicGroup::loaded_without_record(&key.group)));
                        group.offsets.apply(key.topic, key.partition, Some(value));
                        self.groups.insert(key.group, group);
                    }
                    return;
                };
                group.offsets.apply(key.topic, key.partition, value);
                self.forget_if_vacant(&key.group);
            }
            GroupRecord::GroupMetadata { group: id, value } => {
                if let (None, Some(group)) = (&value, self.groups.get(&id))
                    && matches!(group.kind, Kind::Consumer(_))
                {
                    return;
                }
                let classic = match value {
                    Some(value) => ClassicGroup::from_record(&id, value),
                    None => ClassicGroup::loaded_without_record(&id),
                };
                let offsets = self.groups.remove(&id).map(|group| group.offsets).unwrap_or_default();
                self.groups.insert(id.clone(), Group { offsets, ..Group::new(Kind::Classic(classic)) });
                self.forget_if_vacant(&id);
            }
            record => self.replay_consumer(record),
        }
    }

    /// A tombstone of the new protocol says nothing about a group of the classic one, which may have followed it.
    fn replay_consumer(&mut self, record: GroupRecord) {
        let id = record.group().to_owned();
        let is_consumer = self.groups.get(&id).is_some_and(|group| matches!(group.kind, Kind::Consumer(_)));
        if !is_consumer {
            if record.is_tombstone() {
                return;
            }
            let offsets = self.groups.remove(&id).map(|group| group.offsets).unwrap_or_default();
            let consumer = Group::new(Kind::Consumer(ConsumerGroup::new(&id)));
            self.groups.insert(id.clone(), Group { offsets, ..consumer });
        }
        let group = self.groups.get_mut(&id).expect("it is there by now");
        if let Kind::Consumer(consumer) = &mut group.kind {
            consumer.apply(record);
            if consumer.is_empty() && !consumer.is_in_log() {
                // What is left are offsets without a group.
                group.kind = Kind::Classic(ClassicGroup::loaded_without_record(&id));
            }
        }
        self.forget_if_vacant(&id);
    }

    fn forget_if_vacant(&mut self, group_id: &str) {
        if self.groups.get(group_id).is_some_and(Group::is_vacant) {
            self.groups.remove(group_id);
        }
    }

    /// Everything is replayed: sessions of the members begin now.
    pub fn loaded(&mut self, cx: &Context<'_>) -> Actions {
        let mut actions = Actions::default();
        for group_id in self.groups.keys().cloned().collect::<Vec<_>>() {
            actions.extend(self.step(&group_id, |group, config, _| match &mut group.kind {
                Kind::Classic(classic) => classic.begin_sessions(cx),
                Kind::Consumer(consumer) => consumer.begin_sessions(cx, config),
            }));
        }
        self.expiry.begin(cx, &self.config);
        actions
    }

    /// The partition's leader is another one now: everyone who waits is sent there. Appends that settle later are of no
    /// interest.
    pub fn unload(self) -> Vec<(Ticket, Answer)> {
        let mut effects = Effects::default();
        for mut group in self.groups.into_values() {
            if let Kind::Classic(classic) = &mut group.kind {
                classic.refuse_waiting(ErrorCode::NotCoordinator, &mut effects);
            }
        }
        for waiting in self.under_way.into_values() {
            let answers = waiting.answers.into_iter();
            effects.answers.extend(answers.map(|(ticket, a)| (ticket, a.failed(ErrorCode::NotCoordinator))));
        }
        effects.answers
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

fn answered(ticket: Ticket, answer: impl Into<Answer>) -> Actions {
    Actions { appends: vec![], answers: vec![(ticket, answer.into())] }
}

fn are_too_long<'a>(mut texts: impl Iterator<Item = &'a String>) -> bool {
    texts.any(|text| text.len() > TEXT_BYTES_MAX)
}

fn commit(
    cx: &Context<'_>,
    config: &GroupConfig,
    group: &mut Group,
    request: &OffsetCommit,
    offset: &OffsetToCommit,
    effects: &mut Effects,
) -> Result<(), ErrorCode> {
    if offset.metadata.len() > config.offset_metadata_bytes_max {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    let expire = request.retention_time_ms.filter(|ms| *ms >= 0);
    let value = CommittedOffset {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.clone(),
        commit_timestamp: cx.wall,
        expire_timestamp: expire.map(|ms| model::Timestamp(cx.wall.0.saturating_add(ms))),
        topic_id: offset.topic_id,
    };
    // What is seen after the log was read anew is what is seen before.
    let value = CommittedOffset::from_value(value.to_value());
    let (topic, partition) = (offset.topic.as_str(), offset.partition);
    effects.records.push(offsets::record(&request.group_id, topic, partition, Some(&value)));
    group.offsets.begin(topic, partition);
    effects.once_durable.push(OnceDurable::Offset { topic: topic.to_owned(), partition, value: Some(value) });
    Ok(())
}

fn delete(group_id: &str, group: &mut Group, topic: &str, partition: i32, effects: &mut Effects) {
    effects.records.push(offsets::record(group_id, topic, partition, None));
    group.offsets.begin(topic, partition);
    effects.once_durable.push(OnceDurable::Offset { topic: topic.to_owned(), partition, value: None });
}
