//! A coordinator, the log behind it, and whoever waits for an answer. The log settles appends when it is told to, may
//! refuse them, and may be read anew by another coordinator.

use std::collections::{BTreeMap, VecDeque};

use model::{ErrorCode, Millis, Timestamp, TopicId};

use crate::group::{
    Actions, Answer, Append, ConsumerGroupHeartbeat, ConsumerGroupHeartbeatAnswer, Context, GroupConfig,
    GroupCoordinator, GroupDescription, GroupRecord, Heartbeat, JoinGroup, JoinGroupAnswer, LeaveGroup,
    LeaveGroupAnswer, LeavingMember, MigrationPolicy, OffsetCommit, OffsetToCommit, Replay, SyncGroup,
    SyncGroupAnswer, Ticket, TopicFacts, Topics, coordinator::Kind, offsets,
};

pub(super) const SESSION_MS: i32 = 10_000;
pub(super) const REBALANCE_MS: i32 = 30_000;
pub(super) const DELAY_MS: i32 = 3000;
pub(super) const RETENTION_MS: i64 = 7 * 24 * 3600 * 1000;

pub(super) fn config() -> GroupConfig {
    GroupConfig {
        session_timeout_min_ms: 6000,
        session_timeout_max_ms: 1_800_000,
        initial_rebalance_delay_ms: DELAY_MS,
        classic_size_max: 100,
        classic_bytes_max: 10_000,
        offset_metadata_bytes_max: 16,
        offsets_retention_ms: RETENTION_MS,
        offsets_retention_check_interval_ms: 600_000,
        consumer_session_timeout_ms: 45_000,
        consumer_heartbeat_interval_ms: 5000,
        consumer_assignment_interval_ms: 0,
        consumer_size_max: 100,
        consumer_assignors: vec!["uniform".into(), "range".into()],
        migration_policy: MigrationPolicy::Bidirectional,
    }
}

/// Topics by name; the id is made from the name.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    pub(super) topics: BTreeMap<String, TopicFacts>,
    pub(super) version: i64,
    pub(super) group_configs: BTreeMap<String, i32>,
}

impl Cluster {
    pub(super) fn of(topics: &[(&str, i32)]) -> Self {
        let mut cluster = Self::default();
        topics.iter().for_each(|(name, count)| cluster.set(name, *count));
        cluster
    }

    pub(super) fn set(&mut self, name: &str, partition_count: i32) {
        self.version += 1;
        self.topics.insert(name.into(), TopicFacts { id: topic_id(name), partition_count });
    }
}

pub(super) fn topic_id(name: &str) -> TopicId {
    let mut id = [7; 16];
    id.iter_mut().zip(name.bytes()).for_each(|(slot, byte)| *slot = byte);
    TopicId(id)
}

impl Topics for Cluster {
    fn topic(&self, name: &str) -> Option<TopicFacts> {
        self.topics.get(name).copied()
    }

    fn name(&self, id: TopicId) -> Option<&str> {
        self.topics.iter().find(|(_, facts)| facts.id == id).map(|(name, _)| name.as_str())
    }

    fn names(&self) -> Vec<&str> {
        self.topics.keys().map(String::as_str).collect()
    }

    fn group_config(&self, group: &str, key: &str) -> Option<i32> {
        assert_eq!(group, "g");
        self.group_configs.get(key).copied()
    }

    fn version(&self) -> i64 {
        self.version
    }
}

pub(super) struct World {
    pub(super) coordinator: GroupCoordinator,
    pub(super) config: GroupConfig,
    pub(super) cluster: Cluster,
    pub(super) now: u64,
    pub(super) log: Vec<GroupRecord>,
    /// Where batches end in it.
    batch_ends: Vec<usize>,
    pub(super) under_way: VecDeque<Append>,
    /// Appends settle as soon as they are made.
    pub(super) settles_at_once: bool,
    answers: BTreeMap<Ticket, Answer>,
    tickets: u64,
    calls: u128,
}

macro_rules! call {
    ($world:ident, $coordinator:ident, $cx:ident => $call:expr) => {{
        $world.calls += 1;
        let $cx = &Context {
            now: Millis($world.now),
            wall: Timestamp(WALL + $world.now as i64),
            random: $world.calls,
            topics: &$world.cluster,
        };
        let $coordinator = &mut $world.coordinator;
        let actions = $call;
        $world.take(actions);
    }};
}

/// 2023, as the wall clock has it when the world begins.
pub(super) const WALL: i64 = 1_700_000_000_000;

impl World {
    pub(super) fn new() -> Self {
        Self::with(config())
    }

    pub(super) fn with(config: GroupConfig) -> Self {
        let mut world = Self {
            coordinator: GroupCoordinator::new(config.clone()),
            config,
            cluster: Cluster::of(&[("t", 4)]),
            now: 0,
            log: vec![],
            batch_ends: vec![0],
            under_way: VecDeque::new(),
            settles_at_once: true,
            answers: BTreeMap::new(),
            tickets: 0,
            calls: 0,
        };
        call!(world, c, cx => c.loaded(cx));
        world
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn tickets(&self) -> u64 {
        self.tickets
    }

    fn take(&mut self, actions: Actions) {
        for (ticket, answer) in actions.answers {
            assert!(ticket.0 <= self.tickets, "nobody asked for {ticket:?}");
            let before = self.answers.insert(ticket, answer);
            assert!(before.is_none(), "{ticket:?} is answered once");
        }
        for append in actions.appends {
            assert!(!append.records.is_empty());
            let next = self.under_way.back().is_none_or(|last| last.id < append.id);
            assert!(next, "appends are numbered in order");
            self.under_way.push_back(append);
        }
        if self.settles_at_once {
            self.settle();
        }
    }

    /// The oldest append is durable. What the log holds is bytes, so that is what is kept.
    pub(super) fn settle_one(&mut self) -> bool {
        let Some(append) = self.under_way.pop_front() else { return false };
        for record in append.records {
            let (key, value) = (record.encode_key(), record.encode_value());
            let read = GroupRecord::decode(&key, value.as_deref()).expect("own bytes").expect("own key");
            assert_eq!(read, record);
            self.log.push(read);
        }
        self.batch_ends.push(self.log.len());
        call!(self, c, cx => c.applied(cx, append.id));
        true
    }

    pub(super) fn settle(&mut self) {
        while self.settle_one() {}
    }

    /// The log refuses the oldest append, and so all that came after it.
    pub(super) fn refuse(&mut self, error: ErrorCode) -> bool {
        let Some(append) = self.under_way.pop_front() else { return false };
        // What is durable is a prefix.
        self.under_way.clear();
        call!(self, c, cx => c.failed(cx, append.id, error));
        true
    }

    /// Another coordinator takes over and knows what is durable, which may have been compacted meanwhile. Everyone who
    /// waits is told to look for it.
    pub(super) fn crash(&mut self) {
        let next = self.replayed_compacted();
        let old = std::mem::replace(&mut self.coordinator, next);
        self.under_way.clear();
        let answers = old.unload();
        self.take(Actions { appends: vec![], answers });
        call!(self, c, cx => c.loaded(cx));
    }

    pub(super) fn replayed(&self) -> GroupCoordinator {
        replayed(&self.config, &self.log)
    }

    /// What a coordinator knows that reads the log after it was compacted up to somewhere, with the tombstones of that
    /// part or without.
    fn replayed_compacted(&self) -> GroupCoordinator {
        let clean_end = self.batch_ends[self.calls as usize % self.batch_ends.len()];
        let keeps_tombstones = !self.calls.is_multiple_of(3);
        let (clean, dirty) = self.log.split_at(clean_end);
        let last: BTreeMap<_, _> = clean.iter().enumerate().map(|(at, r)| (r.encode_key(), at)).collect();
        let stays = |at: usize, record: &GroupRecord| {
            last[&record.encode_key()] == at && (keeps_tombstones || !record.is_tombstone())
        };
        let clean = clean.iter().enumerate().filter(|(at, record)| stays(*at, record));
        let compacted = replayed(&self.config, clean.map(|(_, record)| record).chain(dirty));
        assert_eq!(facts(&compacted), facts(&self.replayed()), "compacted up to {clean_end}");
        compacted
    }

    /// Time passes, and whatever is due happens when it is due.
    pub(super) fn advance(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(at) = self.coordinator.next_deadline().filter(|at| at.0 <= end) {
            self.now = self.now.max(at.0);
            call!(self, c, cx => c.tick(cx));
        }
        self.now = end;
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<&Answer> {
        self.answers.get(&ticket)
    }

    pub(super) fn answered_count(&self) -> usize {
        self.answers.len()
    }

    #[track_caller]
    pub(super) fn joined(&self, ticket: Ticket) -> JoinGroupAnswer {
        match self.answer(ticket) {
            Some(Answer::JoinGroup(answer)) => answer.clone(),
            other => panic!("{ticket:?}: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn synced(&self, ticket: Ticket) -> SyncGroupAnswer {
        match self.answer(ticket) {
            Some(Answer::SyncGroup(answer)) => answer.clone(),
            other => panic!("{ticket:?}: {other:?}"),
        }
    }

    pub(super) fn ask_join(&mut self, request: &JoinGroup) -> Ticket {
        let ticket = self.ticket();
        call!(self, c, cx => c.join(cx, ticket, request));
        ticket
    }

    pub(super) fn ask_sync(&mut self, request: &SyncGroup) -> Ticket {
        let ticket = self.ticket();
        call!(self, c, cx => c.sync(cx, ticket, request));
        ticket
    }

    pub(super) fn heartbeat(
        &mut self,
        member_id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> ErrorCode {
        let request = Heartbeat {
            group_id: "g".into(),
            member_id: member_id.into(),
            group_instance_id: instance.map(str::to_owned),
            generation,
        };
        let ticket = self.ticket();
        call!(self, c, cx => c.heartbeat(cx, ticket, &request));
        match self.answer(ticket) {
            Some(Answer::Heartbeat(error)) => *error,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ask_leave(&mut self, members: &[(&str, Option<&str>)]) -> Ticket {
        let member = |(member_id, instance): &(&str, Option<&str>)| LeavingMember {
            member_id: (*member_id).to_owned(),
            group_instance_id: instance.map(str::to_owned),
        };
        let request = LeaveGroup { group_id: "g".into(), members: members.iter().map(member).collect() };
        let ticket = self.ticket();
        call!(self, c, cx => c.leave(cx, ticket, &request));
        ticket
    }

    pub(super) fn leave(&mut self, members: &[(&str, Option<&str>)]) -> LeaveGroupAnswer {
        let ticket = self.ask_leave(members);
        match self.answer(ticket) {
            Some(Answer::LeaveGroup(answer)) => answer.clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ask_commit(&mut self, request: &OffsetCommit) -> Ticket {
        let ticket = self.ticket();
        call!(self, c, cx => c.commit_offsets(cx, ticket, request));
        ticket
    }

    #[track_caller]
    pub(super) fn committed_errors(&self, ticket: Ticket) -> Vec<ErrorCode> {
        match self.answer(ticket) {
            Some(Answer::OffsetCommit(answer)) => answer.errors.clone(),
            other => panic!("{ticket:?}: {other:?}"),
        }
    }

    pub(super) fn delete_group(&mut self) -> Ticket {
        let ticket = self.ticket();
        let actions = self.coordinator.delete_group(ticket, "g");
        self.take(actions);
        ticket
    }

    pub(super) fn delete_offsets(&mut self, partitions: &[(&str, i32)]) -> Ticket {
        let partitions: Vec<_> = partitions.iter().map(|(topic, p)| ((*topic).to_owned(), *p)).collect();
        let ticket = self.ticket();
        let actions = self.coordinator.delete_offsets(ticket, "g", &partitions);
        self.take(actions);
        ticket
    }

    pub(super) fn delete_topics(&mut self, topics: &[&str]) {
        let topics: Vec<_> = topics.iter().map(|name| (*name, topic_id(name))).collect();
        let actions = self.coordinator.delete_topics(&topics);
        self.take(actions);
    }

    pub(super) fn describe(&self) -> GroupDescription {
        self.coordinator.describe("g")
    }

    /// -1 as OffsetFetch has it.
    pub(super) fn offset(&self, topic: &str, partition: i32) -> i64 {
        self.coordinator.committed("g", topic, partition).map_or(-1, |committed| committed.offset)
    }

    pub(super) fn ask_beat(&mut self, request: &ConsumerGroupHeartbeat) -> Ticket {
        let ticket = self.ticket();
        call!(self, c, cx => c.consumer_heartbeat(cx, ticket, request));
        ticket
    }

    #[track_caller]
    pub(super) fn beaten(&self, ticket: Ticket) -> ConsumerGroupHeartbeatAnswer {
        match self.answer(ticket) {
            Some(Answer::ConsumerGroupHeartbeat(answer)) => answer.clone(),
            other => panic!("{ticket:?}: {other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn beat(&mut self, request: &ConsumerGroupHeartbeat) -> ConsumerGroupHeartbeatAnswer {
        let ticket = self.ask_beat(request);
        self.beaten(ticket)
    }

    /// A new dynamic member joins, with the round for its id.
    pub(super) fn join_new(&mut self) -> (String, Ticket) {
        let ticket = self.ask_join(&join("", None));
        let answer = self.joined(ticket);
        assert_eq!(answer.error, ErrorCode::MemberIdRequired);
        let ticket = self.ask_join(&join(&answer.member_id, None));
        (answer.member_id, ticket)
    }

    /// A stable group of so many new members; the first is the leader.
    pub(super) fn stable(&mut self, count: usize) -> (Vec<String>, i32) {
        let joins: Vec<_> = (0..count).map(|_| self.join_new()).collect();
        self.advance(2 * u64::from(DELAY_MS.unsigned_abs()) + 1);
        let first = self.joined(joins[0].1);
        let (generation, leader) = (first.generation, first.leader);
        let mut ids: Vec<String> = joins.into_iter().map(|(id, _)| id).collect();
        ids.sort_by_key(|id| *id != leader);
        self.sync_all(&ids, generation);
        assert_eq!(self.describe().state, "Stable");
        (ids, generation)
    }

    /// All sync, the leader, who is the first, with an assignment that names the member.
    pub(super) fn sync_all(&mut self, ids: &[String], generation: i32) {
        let assignments: Vec<_> = ids.iter().map(|id| (id.as_str(), id.as_bytes())).collect();
        let mut tickets = vec![];
        for id in &ids[1..] {
            tickets.push(self.ask_sync(&sync(id, generation, &[])));
        }
        tickets.push(self.ask_sync(&sync(&ids[0], generation, &assignments)));
        for (ticket, id) in tickets.iter().zip(ids[1..].iter().chain([&ids[0]])) {
            let answer = self.synced(*ticket);
            assert_eq!((answer.error, answer.assignment.as_slice()), (ErrorCode::None, id.as_bytes()));
        }
    }
}

pub(super) fn replayed<'a>(
    config: &GroupConfig,
    log: impl IntoIterator<Item = &'a GroupRecord>,
) -> GroupCoordinator {
    let mut replay = Replay::new(config.clone());
    log.into_iter().for_each(|record| replay.record(record.clone()));
    replay.done()
}

/// What is seen is what the log says, neither more nor less nor older; `doomed` commits have not succeeded, and those of
/// zombies, which bring negative offsets, never were.
pub(super) fn check_offsets(world: &World, doomed: &[Ticket]) {
    let mut expected = BTreeMap::new();
    for record in &world.log {
        if let GroupRecord::OffsetCommit { key, value } = record {
            let offset = value.as_ref().map(|value| value.offset);
            let before = expected.insert(key.partition, offset).flatten();
            assert!(
                offset.is_none_or(|offset| before < Some(offset)),
                "{before:?} is followed by {offset:?}"
            );
        }
    }
    for (partition, offset) in expected {
        assert_eq!(world.offset("t", partition), offset.unwrap_or(-1));
        assert!(offset.is_none_or(|offset| offset > 0), "a zombie has committed");
    }
    for ticket in doomed.iter().filter(|ticket| world.answer(**ticket).is_some()) {
        assert!(world.committed_errors(*ticket).iter().all(|error| *error != ErrorCode::None));
    }
}

/// Everything that a coordinator has in its log.
pub(super) fn facts(coordinator: &GroupCoordinator) -> Vec<GroupRecord> {
    let mut facts = vec![];
    for (id, group) in &coordinator.groups {
        match &group.kind {
            Kind::Classic(classic) => facts.extend(classic.rewritten()),
            Kind::Consumer(consumer) => facts.extend(consumer.to_records()),
        }
        facts
            .extend(group.offsets.iter().map(|(topic, p, value)| offsets::record(id, topic, p, Some(value))));
    }
    facts
}

pub(super) fn join(member_id: &str, instance: Option<&str>) -> JoinGroup {
    JoinGroup {
        group_id: "g".into(),
        member_id: member_id.into(),
        group_instance_id: instance.map(str::to_owned),
        client_id: "client".into(),
        client_host: "/10.0.0.1".into(),
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), crate::group::protocol::encode_subscription(&["t"], &[]))],
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        requires_known_member_id: true,
        supports_skipping_assignment: true,
    }
}

/// A member that joins topic `t`, or one that has nothing new to say.
pub(super) fn beat(member_id: &str, epoch: i32) -> ConsumerGroupHeartbeat {
    let joins = epoch == 0;
    ConsumerGroupHeartbeat {
        group_id: "g".into(),
        member_id: member_id.into(),
        member_epoch: epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: if joins { REBALANCE_MS } else { -1 },
        client_id: "client".into(),
        client_host: "/10.0.0.1".into(),
        topic_names: joins.then(|| vec!["t".into()]),
        topic_regex: None,
        server_assignor: None,
        owned: joins.then(Vec::new),
        makes_member_id: true,
    }
}

/// The same, with what it owns of topic `t`.
pub(super) fn owning(member_id: &str, epoch: i32, partitions: &[i32]) -> ConsumerGroupHeartbeat {
    let owned = Some(vec![(topic_id("t"), partitions.to_vec())]);
    ConsumerGroupHeartbeat { owned, ..beat(member_id, epoch) }
}

pub(super) fn sync(member_id: &str, generation: i32, assignments: &[(&str, &[u8])]) -> SyncGroup {
    SyncGroup {
        group_id: "g".into(),
        member_id: member_id.into(),
        group_instance_id: None,
        generation,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.iter().map(|(id, bytes)| ((*id).to_owned(), bytes.to_vec())).collect(),
    }
}

pub(super) fn commit(member_id: &str, generation: i32, offsets: &[(&str, i32, i64)]) -> OffsetCommit {
    let offset = |(topic, partition, offset): &(&str, i32, i64)| OffsetToCommit {
        topic: (*topic).to_owned(),
        topic_id: topic_id(topic),
        partition: *partition,
        offset: *offset,
        leader_epoch: 3,
        metadata: "m".into(),
    };
    OffsetCommit {
        group_id: "g".into(),
        generation_or_member_epoch: generation,
        member_id: member_id.into(),
        group_instance_id: None,
        retention_time_ms: None,
        version: 8,
        offsets: offsets.iter().map(offset).collect(),
    }
}
