//! A group of the classic protocol: members join, one of them is the leader and assigns, all fetch what they were given.
//!
//! ```text
//!             first member joins            all joined, or time is up
//!   Empty ---------------------> PreparingRebalance ---------------------> CompletingRebalance
//!     ^                             ^      |    ^                                 |
//!     |  nobody joined in time      |      |    | a member joins anew, leaves or  | the leader's assignment
//!     +-----------------------------|------+    | falls silent                    | is durable
//!                                   |           +------------------------------+  v
//!                                   +---------------------------------------- Stable
//! ```
//!
//! `Dead` is only a name for a group that is not there. A group that is loaded from the log is Stable or Empty: what had
//! not been durable was told to nobody.

mod expiry;
mod join;
mod leave;
mod member;
mod sync;

use std::collections::{BTreeMap, BTreeSet};

use model::{ErrorCode, Millis, Timestamp};

pub(super) use member::Member;

use super::{
    actions::{Context, Effects, Ticket},
    answer::Answer,
    offsets::Ageing,
    protocol,
    record::{GroupMetadataValue, GroupRecord},
    request::OffsetCommit,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClassicState {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

impl ClassicState {
    /// As DescribeGroups and ListGroups say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// Until when the members of the next generation are gathered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gathering {
    /// The first rebalance of an empty group waits a little, and again for each round in which someone came.
    First {
        until: Millis,
        delay_ms: i32,
        remaining_ms: i32,
    },
    Next {
        until: Millis,
    },
}

#[derive(Clone, Debug)]
pub(super) struct ClassicGroup {
    id: String,
    state: ClassicState,
    /// When the group came into its state, by the wall clock: from then on the offsets of an empty group age.
    since: Timestamp,
    generation: i32,
    /// None: nobody ever joined, the group only has offsets.
    protocol_type: Option<String>,
    protocol_name: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// How many members' JoinGroup waits here, what they all have brought, and how many can do a protocol: counted,
    /// because each of many members that join asks for all three.
    joining: usize,
    protocol_bytes: usize,
    supporters: BTreeMap<String, usize>,
    /// Instance id to member id.
    static_members: BTreeMap<String, String>,
    /// Ids given to members that have yet to join with them, each with its deadline.
    pending: BTreeMap<String, Millis>,
    /// Who has not fetched the assignment of this generation yet.
    unsynced: BTreeSet<String>,
    sync_until: Option<Millis>,
    gathering: Option<Gathering>,
    /// Someone came in this round of the first rebalance.
    newcomer: bool,
    /// The leader's assignment of this generation is on its way to the log.
    is_assigning: bool,
    /// Of the chosen protocol; none if it cannot be read.
    subscribed: Option<BTreeSet<String>>,
    /// The log has a record of the group, so its end needs a tombstone.
    in_log: bool,
    /// The earliest moment at which [`Self::tick`] has something to do, or before.
    wake: Option<Millis>,
}

impl ClassicGroup {
    pub(super) fn new(id: &str, cx: &Context<'_>) -> Self {
        Self { since: cx.wall, ..Self::loaded_without_record(id) }
    }

    /// Only its offsets were in the log.
    pub(super) fn loaded_without_record(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            state: ClassicState::Empty,
            since: Timestamp::NONE,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: BTreeMap::new(),
            joining: 0,
            protocol_bytes: 0,
            supporters: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            sync_until: None,
            gathering: None,
            newcomer: false,
            is_assigning: false,
            subscribed: None,
            in_log: false,
            wake: None,
        }
    }

    /// As the log says. Members have no deadline yet: [`Self::begin_sessions`] follows when all is read.
    pub(super) fn from_record(id: &str, value: GroupMetadataValue) -> Self {
        let mut group = Self {
            state: if value.members.is_empty() { ClassicState::Empty } else { ClassicState::Stable },
            since: Timestamp(value.current_state_timestamp),
            generation: value.generation,
            protocol_type: Some(value.protocol_type).filter(|t| !t.is_empty()),
            protocol_name: value.protocol.clone(),
            leader: value.leader,
            in_log: true,
            ..Self::loaded_without_record(id)
        };
        for member in value.members {
            let member = Member::from_record(member, value.protocol.as_deref().unwrap_or(""));
            group.insert(member);
        }
        // A leader that is not among the members would never assign.
        if group.leader.as_ref().is_none_or(|leader| !group.members.contains_key(leader)) {
            group.leader = group.members.keys().next().cloned();
        }
        group.subscribed = group.read_subscriptions();
        group
    }

    /// What the members can do beside the chosen protocol, which the log of a classic group does not say.
    pub(super) fn restore_protocols(&mut self, protocols: BTreeMap<String, Vec<(String, Vec<u8>)>>) {
        for (member_id, protocols) in protocols {
            self.change(&member_id, |member| member.protocols = protocols);
        }
        self.subscribed = self.read_subscriptions();
    }

    pub(super) fn begin_sessions(&mut self, cx: &Context<'_>) {
        for member in self.members.values_mut() {
            member.session_until = Some(cx.later(member.session_timeout_ms));
        }
        self.wake = self.next_deadline();
    }

    pub(super) fn state(&self) -> ClassicState {
        self.state
    }

    pub(super) fn generation(&self) -> i32 {
        self.generation
    }

    pub(super) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    pub(super) fn protocol_name(&self) -> Option<&str> {
        self.protocol_name.as_deref()
    }

    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state == ClassicState::Empty
    }

    pub(super) fn is_in_log(&self) -> bool {
        self.in_log
    }

    pub(super) fn set_in_log(&mut self, in_log: bool) {
        self.in_log = in_log;
    }

    /// Nobody is here, and nobody was told to come back.
    pub(super) fn is_abandoned(&self) -> bool {
        self.is_empty() && self.pending.is_empty()
    }

    pub(super) fn wake(&self) -> Option<Millis> {
        self.wake
    }

    pub(super) fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(protocol::CONSUMER)
    }

    /// A consumer group whose subscriptions cannot be read counts as subscribed to everything.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    pub(super) fn ageing(&self) -> Ageing {
        match self.state {
            _ if self.protocol_type.is_none() => Ageing::SinceCommit,
            ClassicState::Empty if self.since == Timestamp::NONE => Ageing::SinceCommit,
            ClassicState::Empty => Ageing::Since(self.since),
            ClassicState::Stable if self.uses_consumer_protocol() && self.subscribed.is_some() => {
                Ageing::SinceCommit
            }
            _ => Ageing::Never,
        }
    }

    /// Who may commit. A member's commit is a sign of life as well.
    pub(super) fn admit_commit(&mut self, cx: &Context<'_>, request: &OffsetCommit) -> Result<(), ErrorCode> {
        let generation = request.generation_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        if generation < 0 && self.state == ClassicState::Empty {
            return Ok(());
        }
        if generation < 0 && request.member_id.is_empty() && instance_id.is_none() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.admit(&request.member_id, instance_id)?;
        if generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        if self.state == ClassicState::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.keep_alive(cx, &request.member_id);
        Ok(())
    }

    /// Is this the member it says it is?
    fn admit(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(current) if current != member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) { Ok(()) } else { Err(ErrorCode::UnknownMemberId) }
    }

    pub(super) fn heartbeat(
        &mut self,
        cx: &Context<'_>,
        request: &super::request::Heartbeat,
    ) -> Result<(), ErrorCode> {
        self.admit(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.keep_alive(cx, &request.member_id);
        match self.state {
            ClassicState::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            ClassicState::Empty => Err(ErrorCode::UnknownMemberId),
            ClassicState::CompletingRebalance | ClassicState::Stable => Ok(()),
        }
    }

    fn keep_alive(&mut self, cx: &Context<'_>, member_id: &str) {
        let Some(member) = self.members.get_mut(member_id) else { return };
        let until = cx.later(member.session_timeout_ms);
        member.session_until = Some(until);
        self.arm(until);
    }

    fn arm(&mut self, at: Millis) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    fn enter(&mut self, cx: &Context<'_>, state: ClassicState) {
        self.state = state;
        self.since = cx.wall;
    }

    fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(instance_id.clone(), member.id.clone());
        }
        self.pending.remove(&member.id);
        self.leader.get_or_insert_with(|| member.id.clone());
        self.count_in(&member);
        let before = self.members.insert(member.id.clone(), member);
        assert!(before.is_none(), "a member is added once");
    }

    /// Changes what is counted of a member.
    fn change(&mut self, member_id: &str, change: impl FnOnce(&mut Member)) {
        let Some(mut member) = self.take(member_id) else { return };
        change(&mut member);
        self.count_in(&member);
        self.members.insert(member_id.to_owned(), member);
    }

    fn count_in(&mut self, member: &Member) {
        self.joining += usize::from(member.is_joining());
        self.protocol_bytes += bytes_of(&member.protocols);
        for name in member.protocol_names() {
            *self.supporters.entry(name.to_owned()).or_default() += 1;
        }
    }

    fn take(&mut self, member_id: &str) -> Option<Member> {
        let member = self.members.remove(member_id)?;
        self.joining -= usize::from(member.is_joining());
        self.protocol_bytes -= bytes_of(&member.protocols);
        for name in member.protocol_names() {
            let count = self.supporters.get_mut(name).expect("what a member can do is counted");
            *count -= 1;
            if *count == 0 {
                self.supporters.remove(name);
            }
        }
        Some(member)
    }

    /// Can all members do it?
    fn is_supported(&self, protocol: &str) -> bool {
        self.supporters.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// Takes a member out. Its requests are answered with `error`.
    fn remove(&mut self, member_id: &str, error: ErrorCode, effects: &mut Effects) {
        self.pending.remove(member_id);
        self.unsynced.remove(member_id);
        let Some(mut member) = self.take(member_id) else { return };
        member.refuse_join(error, effects);
        member.refuse_sync(error, effects);
        if let Some(instance_id) = &member.instance_id
            && self.static_members.get(instance_id).is_some_and(|current| current == member_id)
        {
            self.static_members.remove(instance_id);
        }
        if self.leader.as_deref() == Some(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0)
    }

    /// Of all topics that any member reads; none if one of the subscriptions cannot be read.
    fn read_subscriptions(&self) -> Option<BTreeSet<String>> {
        if !self.uses_consumer_protocol() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let name = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(protocol::subscription(member.metadata(name))?.topics);
        }
        Some(topics)
    }

    /// The group as a record, with these assignments in place of what the members have.
    pub(super) fn to_record(&self, assignments: Option<&BTreeMap<&str, &[u8]>>) -> GroupRecord {
        let name = self.protocol_name.as_deref().unwrap_or("");
        let assigned = |member: &Member| match assignments {
            Some(assignments) => assignments.get(member.id.as_str()).copied().unwrap_or(&[]).to_vec(),
            None => member.assignment.clone(),
        };
        let members = self.members.values().map(|member| member.to_record(name, assigned(member)));
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.since.0,
            members: members.collect(),
        };
        GroupRecord::GroupMetadata { group: self.id.clone(), value: Some(value) }
    }

    pub(super) fn tombstone(&self) -> GroupRecord {
        GroupRecord::GroupMetadata { group: self.id.clone(), value: None }
    }

    /// What the log has to say of the group, after a write that failed; nothing while a rebalance will say it anyway.
    pub(super) fn rewritten(&self) -> Option<GroupRecord> {
        let settled = matches!(self.state, ClassicState::Stable | ClassicState::Empty);
        (settled && self.in_log).then(|| self.to_record(None))
    }

    fn write(&mut self, record: GroupRecord, effects: &mut Effects) {
        self.in_log = true;
        effects.records.push(record);
    }

    /// Answers everyone who waits. For the end of the group here: it moved, or it changes its protocol.
    pub(super) fn refuse_waiting(&mut self, error: ErrorCode, effects: &mut Effects) {
        for member in self.members.values_mut() {
            member.refuse_join(error, effects);
            member.refuse_sync(error, effects);
        }
        self.joining = 0;
    }
}

fn bytes_of(protocols: &[(String, Vec<u8>)]) -> usize {
    protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum()
}

fn refuse(effects: &mut Effects, ticket: Ticket, answer: impl Into<Answer>) {
    effects.answer(ticket, answer);
}
