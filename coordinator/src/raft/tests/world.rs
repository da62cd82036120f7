//! Nodes, their disks and the network between them, on a clock that the test turns; and what must always be true.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use model::{BrokerId, LeaderEpoch, Millis, Offset};

use crate::raft::{
    Action, Body, Context, Entry, HardState, Message, Node, Payload, PersistId, Position, ProposeError,
    RaftConfig, ReadId, Stored, Voters,
};

pub(super) const ELECTION_MS: u64 = 1000;

/// xorshift64*
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Clone, Debug)]
enum Write {
    Append(PersistId, Vec<Entry>),
    Truncate(Offset),
}

/// What survives a crash, and what is on its way.
#[derive(Clone, Debug, Default)]
struct Disk {
    stored: Stored,
    writes: VecDeque<Write>,
}

impl Disk {
    fn end(&self) -> Offset {
        self.stored.entries.last().map_or(self.stored.start.offset, Entry::next)
    }

    /// The oldest write arrives.
    fn complete(&mut self) -> Option<PersistId> {
        match self.writes.pop_front()? {
            Write::Append(id, entries) => {
                for entry in entries {
                    assert_eq!(entry.base, self.end(), "a gap on the disk");
                    self.stored.entries.push(entry);
                }
                Some(id)
            }
            Write::Truncate(to) => {
                self.stored.entries.retain(|entry| entry.next() <= to);
                assert_eq!(self.end(), to);
                None
            }
        }
    }

    fn drop_before(&mut self, offset: Offset) {
        while self.stored.entries.first().is_some_and(|entry| entry.next() <= offset) {
            let entry = self.stored.entries.remove(0);
            self.stored.start = entry.end();
            if let Payload::Voters(voters) = entry.payload {
                self.stored.voters = voters;
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) node: Option<Node>,
    disk: Disk,
    applied: Offset,
    /// Questions, and what was committed anywhere when they were asked.
    reads: BTreeMap<ReadId, Offset>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// One message in so many is lost, or doubled; 0 is none.
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) delay_ms: u64,
    pub(super) persist_ms: u64,
    /// One action in so many is the last before a crash.
    pub(super) crash: u64,
}

pub(super) const FAIR: Weather = Weather { lost: 0, doubled: 0, delay_ms: 2, persist_ms: 3, crash: 0 };

#[derive(Debug)]
enum Event {
    Deliver(Message),
    /// The oldest write of a host, if it has not crashed since.
    Persist(BrokerId, u64),
    Snapshot {
        to: BrokerId,
        from: BrokerId,
        id: Position,
    },
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Millis,
    pub(super) hosts: BTreeMap<BrokerId, Host>,
    pub(super) chance: Chance,
    pub(super) weather: Weather,
    /// From whom to whom nothing arrives.
    pub(super) cut: BTreeSet<(BrokerId, BrokerId)>,
    events: BTreeMap<(Millis, u64), Event>,
    event_count: u64,
    starts: BTreeMap<BrokerId, u64>,
    /// Who led each epoch.
    pub(super) leaders: BTreeMap<LeaderEpoch, BrokerId>,
    /// Everything that was ever committed: it must not change.
    pub(super) committed: Vec<Entry>,
    next_read: u64,
    pub(super) reads_ready: u64,
    pub(super) snapshots_installed: u64,
    pub(super) delivered: Vec<Message>,
    /// A seeded bug: a crash takes the vote, as if it had never been on the disk.
    pub(super) forgets_votes: bool,
}

pub(super) fn id(n: i32) -> BrokerId {
    BrokerId(n)
}

impl World {
    /// Nodes 1 to `count`, of which the first `voters` vote.
    pub(super) fn new(voters: i32, count: i32, seed: u64) -> Self {
        let voters: Voters = (1..=voters).map(BrokerId).collect();
        let mut world = Self {
            now: Millis(1),
            hosts: BTreeMap::new(),
            chance: Chance::new(seed),
            weather: FAIR,
            cut: BTreeSet::new(),
            events: BTreeMap::new(),
            event_count: 0,
            starts: BTreeMap::new(),
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            next_read: 0,
            reads_ready: 0,
            snapshots_installed: 0,
            delivered: Vec::new(),
            forgets_votes: false,
        };
        for n in 1..=count {
            let stored = Stored { voters: voters.clone(), ..Stored::default() };
            let disk = Disk { stored, writes: VecDeque::new() };
            let host = Host { node: None, disk, applied: Offset::ZERO, reads: BTreeMap::new() };
            world.hosts.insert(id(n), host);
        }
        for n in 1..=count {
            world.start(id(n));
        }
        world
    }

    fn config(&self, broker: BrokerId) -> RaftConfig {
        RaftConfig {
            election_timeout: Duration::from_millis(ELECTION_MS),
            heartbeat: Duration::from_millis(100),
            append_bytes_max: 40,
            in_flight_max: 3,
            uncommitted_max: 60,
            contacts: self.hosts.keys().copied().collect(),
            ..RaftConfig::new(broker)
        }
    }

    pub(super) fn context(&mut self) -> Context {
        Context { now: self.now, random: self.chance.next() }
    }

    pub(super) fn node(&self, broker: BrokerId) -> &Node {
        self.hosts[&broker].node.as_ref().expect("it is up")
    }

    pub(super) fn up(&self) -> Vec<BrokerId> {
        self.hosts.iter().filter(|(_, host)| host.node.is_some()).map(|(&broker, _)| broker).collect()
    }

    pub(super) fn committed_end(&self) -> Offset {
        self.committed.last().map_or(Offset::ZERO, Entry::next)
    }

    pub(super) fn start(&mut self, broker: BrokerId) {
        let (config, cx) = (self.config(broker), self.context());
        let host = self.hosts.get_mut(&broker).expect("it is known");
        let node = Node::new(config, host.disk.stored.clone(), cx);
        host.applied = node.high_watermark();
        host.node = Some(node);
    }

    /// Some of what was on its way to the disk arrives still.
    pub(super) fn crash(&mut self, broker: BrokerId) {
        let host = self.hosts.get_mut(&broker).expect("it is known");
        host.node = None;
        host.reads.clear();
        for _ in 0..self.chance.below(host.disk.writes.len() as u64 + 1) {
            host.disk.complete();
        }
        host.disk.writes.clear();
        if self.forgets_votes {
            host.disk.stored.hard_state.voted_for = None;
        }
        *self.starts.entry(broker).or_default() += 1;
    }

    fn schedule(&mut self, after_ms: u64, event: Event) {
        self.event_count += 1;
        self.events.insert((Millis(self.now.0 + after_ms), self.event_count), event);
    }

    /// One thing after the other, until that time.
    pub(super) fn run_for(&mut self, ms: u64) {
        let until = Millis(self.now.0 + ms);
        loop {
            let deadlines = self.hosts.values().filter_map(|host| Some(host.node.as_ref()?.next_deadline()));
            let event = self.events.keys().next().map(|&(at, _)| at);
            let Some(next) = deadlines.chain(event).min().filter(|&next| next <= until) else { break };
            self.now = self.now.max(next);
            self.step();
            self.check();
        }
        self.now = until;
    }

    fn step(&mut self) {
        if let Some(entry) = self.events.first_entry()
            && entry.key().0 <= self.now
        {
            let event = entry.remove();
            return self.happen(event);
        }
        let now = self.now;
        let is_due = |host: &Host| host.node.as_ref().is_some_and(|node| node.next_deadline() <= now);
        let due = self.hosts.iter().find(|(_, host)| is_due(host)).map(|(&broker, _)| broker);
        let due = due.expect("something was due");
        let cx = self.context();
        let actions = self.hosts.get_mut(&due).expect("known").node.as_mut().expect("up").tick(cx);
        self.carry_out(due, actions);
        if let Some(node) = &self.hosts[&due].node {
            assert!(node.next_deadline() > now, "a tick at its deadline moves the deadline");
        }
    }

    fn happen(&mut self, event: Event) {
        let cx = self.context();
        match event {
            Event::Deliver(message) => {
                if self.cut.contains(&(message.from, message.to)) {
                    return;
                }
                self.delivered.push(message.clone());
                let to = message.to;
                let Some(node) = self.hosts.get_mut(&to).and_then(|host| host.node.as_mut()) else { return };
                let actions = node.receive(message, cx);
                self.carry_out(to, actions);
            }
            Event::Persist(broker, start) => {
                if self.starts.get(&broker).copied().unwrap_or(0) != start {
                    return;
                }
                let host = self.hosts.get_mut(&broker).expect("it is known");
                let Some(persisted) = host.disk.complete() else { return };
                let node = host.node.as_mut().expect("it has not crashed since");
                let actions = node.persisted(persisted, cx);
                self.carry_out(broker, actions);
            }
            Event::Snapshot { to, from, id } => self.install(to, from, id),
        }
    }

    fn install(&mut self, to: BrokerId, from: BrokerId, id: Position) {
        let cx = self.context();
        let source = &self.hosts[&from];
        let (start, voters) = (source.disk.stored.start, source.disk.stored.voters.clone());
        if source.node.is_none() || start.offset < id.offset || self.cut.contains(&(from, to)) {
            return;
        }
        let host = self.hosts.get_mut(&to).expect("it is known");
        let Some(node) = &mut host.node else { return };
        if !node.wants_snapshot(start) {
            return;
        }
        // What was on its way to the disk is over, one way or another.
        *self.starts.entry(to).or_default() += 1;
        host.disk.writes.clear();
        let hard_state = host.disk.stored.hard_state;
        host.disk.stored = Stored { hard_state, start, voters: voters.clone(), entries: Vec::new() };
        host.applied = start.offset;
        self.snapshots_installed += 1;
        let actions = node.installed(start, voters, cx);
        self.carry_out(to, actions);
    }

    pub(super) fn carry_out(&mut self, broker: BrokerId, actions: Vec<Action>) {
        for action in actions {
            if self.weather.crash > 0 && self.chance.one_in(self.weather.crash) {
                return self.crash(broker);
            }
            self.carry_out_one(broker, action);
        }
    }

    fn carry_out_one(&mut self, broker: BrokerId, action: Action) {
        let start = self.starts.get(&broker).copied().unwrap_or(0);
        let host = self.hosts.get_mut(&broker).expect("it is known");
        match action {
            Action::Save(hard_state) => {
                let HardState { epoch, voted_for } = host.disk.stored.hard_state;
                assert!(hard_state.epoch > epoch || voted_for.is_none(), "a vote is given once");
                host.disk.stored.hard_state = hard_state;
            }
            Action::Append { id, entries } => {
                host.disk.writes.push_back(Write::Append(id, entries));
                self.schedule_persist(broker, start);
            }
            Action::Truncate(to) => {
                host.disk.writes.push_back(Write::Truncate(to));
                self.schedule_persist(broker, start);
            }
            Action::Send(message) => {
                let Stored { hard_state, start, .. } = &host.disk.stored;
                let durable = hard_state.epoch.max(start.epoch);
                assert_eq!(message.epoch, durable, "said before it was durable");
                let votes_for = match message.body {
                    Body::VoteAnswer { granted: true } => Some(message.to),
                    Body::Vote { .. } => Some(broker),
                    _ => hard_state.voted_for,
                };
                assert_eq!(hard_state.voted_for, votes_for, "a vote was told before it was durable");
                self.post(message);
            }
            Action::Commit(to) => self.note_commit(broker, to),
            Action::Lead(epoch) => {
                let leader = *self.leaders.entry(epoch).or_insert(broker);
                assert_eq!(leader, broker, "{epoch:?} has two leaders");
            }
            Action::Follow { .. } => {}
            Action::Contradiction { from, what } => panic!("{broker:?} hears {from:?}: {what}"),
            Action::ReadReady { id, high_watermark } => {
                let least = host.reads.remove(&id).expect("it was asked, and once");
                assert!(high_watermark >= least, "{broker:?} read {high_watermark} after {least} was there");
                self.reads_ready += 1;
            }
            Action::ReadFailed(id) => {
                host.reads.remove(&id).expect("it was asked, and once");
            }
            Action::FetchSnapshot { from, id } => {
                let delay = self.chance.below(3 * self.weather.delay_ms + 1);
                self.schedule(delay, Event::Snapshot { to: broker, from, id });
            }
        }
    }

    fn schedule_persist(&mut self, broker: BrokerId, start: u64) {
        let delay = self.chance.below(self.weather.persist_ms + 1);
        self.schedule(delay, Event::Persist(broker, start));
    }

    fn post(&mut self, message: Message) {
        let weather = self.weather;
        if weather.lost > 0 && self.chance.one_in(weather.lost) {
            return;
        }
        if weather.doubled > 0 && self.chance.one_in(weather.doubled) {
            let delay = self.chance.below(20 * weather.delay_ms + 1);
            self.schedule(delay, Event::Deliver(message.clone()));
        }
        let delay = self.chance.below(weather.delay_ms + 1);
        self.schedule(delay, Event::Deliver(message));
    }

    /// What one node takes for committed is what any other did.
    fn note_commit(&mut self, broker: BrokerId, to: Offset) {
        let host = self.hosts.get_mut(&broker).expect("it is known");
        let node = host.node.as_ref().expect("it is up");
        let entries: Vec<Entry> =
            node.log().entries().filter(|e| e.base >= host.applied && e.next() <= to).cloned().collect();
        assert_eq!(entries.last().map(Entry::next), Some(to), "a commit ends between entries");
        let on_disk = &host.disk.stored.entries;
        for entry in &entries {
            assert!(on_disk.contains(entry), "{broker:?} applies what its disk does not have");
        }
        host.applied = to;
        for entry in entries {
            match self.committed.iter().find(|committed| committed.base == entry.base) {
                Some(committed) => assert_eq!(&entry, committed, "{broker:?} has another committed entry"),
                None => {
                    assert_eq!(entry.base, self.committed_end());
                    self.committed.push(entry);
                }
            }
        }
    }

    /// Log matching: two logs that share a position are the same before it.
    fn check(&self) {
        let logs: Vec<Vec<&Entry>> =
            self.hosts.values().filter_map(|h| Some(h.node.as_ref()?.log().entries().collect())).collect();
        for (n, one) in logs.iter().enumerate() {
            for other in &logs[n + 1..] {
                let mut equal = false;
                for entry in one.iter().rev() {
                    let at = other.binary_search_by_key(&entry.base, |e| e.base);
                    let same = at.ok().map(|at| other[at]).filter(|e| e.epoch == entry.epoch);
                    equal |= same.is_some();
                    let first = other.first().is_none_or(|first| first.base > entry.base);
                    assert!(!equal || first || same == Some(entry), "logs differ before a shared position");
                }
            }
        }
    }

    fn on<T>(
        &mut self,
        broker: BrokerId,
        what: impl FnOnce(&mut Node, Context) -> (T, Vec<Action>),
    ) -> Option<T> {
        let cx = self.context();
        let node = self.hosts.get_mut(&broker)?.node.as_mut()?;
        let (answer, actions) = what(node, cx);
        self.carry_out(broker, actions);
        Some(answer)
    }

    pub(super) fn propose(&mut self, broker: BrokerId, text: &str) -> Result<Offset, ProposeError> {
        let (bytes, count): (Arc<[u8]>, _) = (text.as_bytes().into(), 1 + self.chance.below(4) as u32);
        self.on(broker, |node, cx| node.propose(bytes, count, cx)).expect("it is up")
    }

    pub(super) fn read(&mut self, broker: BrokerId) -> Result<(), ProposeError> {
        self.next_read += 1;
        let (read, least) = (ReadId(self.next_read), self.committed_end());
        self.hosts.get_mut(&broker).expect("known").reads.insert(read, least);
        let asked = self.on(broker, |node, _| node.read(read)).expect("it is up");
        if asked.is_err() {
            self.hosts.get_mut(&broker).expect("known").reads.remove(&read);
        }
        asked
    }

    /// The leader of its epoch, it seems, tells a node to stand for election, whether it has everything or not: for
    /// agreement it must not matter who stands when.
    pub(super) fn make_stand(&mut self, who: BrokerId) {
        let Some(node) = &self.hosts[&who].node else { return };
        let epoch = node.epoch();
        if let Some(&from) = self.leaders.get(&epoch).filter(|&&leader| leader != who) {
            self.schedule(0, Event::Deliver(Message { from, to: who, epoch, body: Body::TimeoutNow }));
        }
    }

    /// Whatever the network does.
    pub(super) fn hear(&mut self, message: Message) {
        let (cx, to) = (self.context(), message.to);
        let node = self.hosts.get_mut(&to).expect("it is known").node.as_mut().expect("it is up");
        let actions = node.receive(message, cx);
        self.carry_out(to, actions);
    }

    /// As if its leader wanted it, whom it may know or not.
    pub(super) fn make_candidate(&mut self, who: BrokerId) {
        let epoch = self.node(who).epoch();
        let from = self.leaders[&epoch];
        self.hear(Message { from, to: who, epoch, body: Body::TimeoutNow });
    }

    pub(super) fn add_voter(&mut self, leader: BrokerId, who: BrokerId) -> Result<(), ProposeError> {
        self.on(leader, |node, cx| node.add_voter(who, cx)).expect("it is up")
    }

    pub(super) fn remove_voter(&mut self, leader: BrokerId, who: BrokerId) -> Result<(), ProposeError> {
        self.on(leader, |node, cx| node.remove_voter(who, cx)).expect("it is up")
    }

    pub(super) fn transfer(&mut self, leader: BrokerId, to: BrokerId) -> Result<(), ProposeError> {
        self.on(leader, |node, cx| node.transfer(to, cx)).expect("it is up")
    }

    /// A snapshot of all that is committed there.
    pub(super) fn compact(&mut self, broker: BrokerId) {
        let host = self.hosts.get_mut(&broker).expect("known");
        let Some(node) = &mut host.node else { return };
        let to = node.high_watermark();
        node.compact(to);
        host.disk.drop_before(to);
    }

    /// The only one that leads in the latest epoch, once that is settled.
    pub(super) fn leader(&mut self) -> BrokerId {
        for _ in 0..200 {
            let led: Vec<BrokerId> =
                self.up().into_iter().filter(|&broker| self.node(broker).is_leader()).collect();
            let latest = led.into_iter().max_by_key(|&broker| self.node(broker).epoch());
            if let Some(leader) = latest {
                let node = self.node(leader);
                if node.has_own_commit() && node.voters().agree(|v| self.follows(v, leader)) {
                    return leader;
                }
            }
            self.run_for(100);
        }
        panic!("nobody leads: {:#?}", self.hosts.values().map(|host| &host.node).collect::<Vec<_>>());
    }

    fn follows(&self, who: BrokerId, leader: BrokerId) -> bool {
        self.hosts[&who].node.as_ref().is_some_and(|node| node.leader() == Some(leader))
    }

    pub(super) fn cut_off(&mut self, broker: BrokerId) {
        let others: Vec<BrokerId> = self.hosts.keys().copied().filter(|&other| other != broker).collect();
        for other in others {
            self.cut.insert((broker, other));
            self.cut.insert((other, broker));
        }
    }

    pub(super) fn count_delivered(&self, is_it: impl Fn(&Body) -> bool) -> usize {
        self.delivered.iter().filter(|message| is_it(&message.body)).count()
    }
}
