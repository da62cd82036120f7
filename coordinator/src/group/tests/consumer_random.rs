//! Clients of both protocols in one group that changes its protocol under them, with lost answers, restarts, silence, new
//! partitions, a log that is late or refuses, and coordinators that are replaced. What must hold all along: no partition
//! is held by two members, and no client reads what the coordinator does not count as its own (G1); who has lost a partition
//! commits nothing of it any more, who has it can (G2); committed offsets are those of the log (G3); everyone who asked is
//! answered once; and when the faults end, every partition has one reader (G5), and the log knows what the coordinator
//! knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use model::ErrorCode;
use proptest::{collection::vec, prelude::*};

use super::world::{World, beat, check_offsets, commit, config, facts, join, owning, sync, topic_id};
use crate::group::{
    Answer, ConsumerGroupHeartbeat, GroupConfig, SyncGroup, Ticket, coordinator::Kind, protocol,
};

const CLIENTS: usize = 5;
/// Speaks the new protocol and is a static member.
const STATIC: usize = 2;
/// Clients from this one on speak the classic protocol, giving up everything before they join.
const FIRST_CLASSIC: usize = 3;
const ZOMBIES_MAX: usize = 20;

#[derive(Default)]
struct Client {
    id: String,
    /// Or generation.
    epoch: i32,
    reads: BTreeSet<i32>,
    /// What it was last told to read.
    given: BTreeSet<i32>,
    /// The tenures in which it reads what it reads.
    tenures: BTreeMap<i32, u64>,
    waits_for: Option<Ticket>,
    has_joined: bool,
    has_synced: bool,
    /// Of a classic leader.
    assigns_to: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Act(usize),
    GiveUp(usize),
    Commit(usize),
    ZombieCommit(usize),
    LoseAnswer(usize),
    Restart(usize),
    Leave(usize),
    AddPartition,
    Pass(u64),
    Settle,
    Refuse,
    Crash,
}

/// Who has a partition, and a number that changes whenever that does.
#[derive(Clone, PartialEq, Eq, Default)]
struct Tenure {
    holder: Option<String>,
    number: u64,
}

/// A reader of a partition that may have lost it.
struct Zombie {
    id: String,
    epoch: i32,
    partition: i32,
    tenure: u64,
}

struct Run {
    world: World,
    clients: Vec<Client>,
    lives: usize,
    partition_count: i32,
    tenures: BTreeMap<i32, Tenure>,
    zombies: VecDeque<Zombie>,
    offset: i64,
    /// Commits that must not succeed.
    doomed: Vec<Ticket>,
}

impl Run {
    fn new(consumer_assignment_interval_ms: i32) -> Self {
        let mut world = World::with(GroupConfig { consumer_assignment_interval_ms, ..config() });
        world.settles_at_once = false;
        let clients = (0..CLIENTS).map(|_| Client::default()).collect();
        let mut run = Self {
            world,
            clients,
            lives: 0,
            partition_count: 4,
            tenures: BTreeMap::new(),
            zombies: VecDeque::new(),
            offset: 0,
            doomed: vec![],
        };
        (0..CLIENTS).for_each(|who| run.begin_life(who));
        run
    }

    fn begin_life(&mut self, who: usize) {
        self.lives += 1;
        self.remember(who);
        let id = if who < FIRST_CLASSIC { format!("m{}", self.lives) } else { String::new() };
        self.clients[who] = Client { id, ..Client::default() };
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act(who) if self.clients[who].waits_for.is_some() => self.hear(who),
            Step::Act(who) if who < FIRST_CLASSIC => self.beat(who),
            Step::Act(who) => self.act_classic(who),
            Step::GiveUp(who) => {
                self.remember(who);
                let client = &mut self.clients[who];
                client.reads = &client.reads & &client.given;
            }
            Step::Commit(who) => self.commit(who),
            Step::ZombieCommit(which) => self.commit_of_zombie(which),
            Step::LoseAnswer(who) => {
                let client = &mut self.clients[who];
                client.waits_for = None;
                if who >= FIRST_CLASSIC {
                    client.has_joined = false;
                }
            }
            Step::Restart(who) => self.begin_life(who),
            Step::Leave(who) => self.leave(who),
            Step::AddPartition => {
                self.partition_count = (self.partition_count + 1).min(9);
                self.world.cluster.set("t", self.partition_count);
            }
            Step::Pass(ms) => self.world.advance(ms),
            Step::Settle => drop(self.world.settle_one()),
            Step::Refuse => drop(self.world.refuse(ErrorCode::NotEnoughReplicas)),
            Step::Crash => {
                self.world.crash();
                // What was given away and never became durable is not given away: who has it now has had it all along.
                self.zombies.clear();
                self.clients.iter_mut().for_each(|client| client.tenures.clear());
            }
        }
        self.check();
        self.follow_tenures();
        if !matches!(step, Step::Act(_) | Step::GiveUp(_) | Step::Pass(_)) {
            check_offsets(&self.world, &self.doomed);
        }
    }

    fn remember(&mut self, who: usize) {
        let client = &self.clients[who];
        for (partition, tenure) in &client.tenures {
            let zombie =
                Zombie { id: client.id.clone(), epoch: client.epoch, partition: *partition, tenure: *tenure };
            self.zombies.push_back(zombie);
        }
        self.zombies.drain(..self.zombies.len().saturating_sub(ZOMBIES_MAX));
    }

    fn follow_tenures(&mut self) {
        let group = self.world.coordinator.groups.get("g");
        for partition in 0..self.partition_count {
            let holder = match group.map(|group| &group.kind) {
                Some(Kind::Consumer(consumer)) => consumer
                    .members()
                    .find(|member| member.holds().any(|held| held == (topic_id("t"), partition)))
                    .map(|member| member.id.clone()),
                _ => None,
            };
            let tenure = self.tenures.entry(partition).or_default();
            if holder.is_none() || tenure.holder != holder {
                *tenure = Tenure { holder, number: tenure.number + 1 };
            }
        }
        for client in &mut self.clients {
            let Client { tenures, reads, .. } = client;
            tenures.retain(|partition, _| reads.contains(partition));
            for partition in reads.iter() {
                tenures.entry(*partition).or_insert(self.tenures[partition].number);
            }
        }
    }

    fn epoch_of(&self, member_id: &str) -> Option<i32> {
        match &self.world.coordinator.groups.get("g")?.kind {
            Kind::Consumer(consumer) => {
                consumer.members().find(|member| member.id == member_id).map(|member| member.epoch)
            }
            Kind::Classic(_) => None,
        }
    }

    fn ask_commit(&mut self, member_id: &str, epoch: i32, partition: i32, offset: i64) -> Ticket {
        let mut request = commit(member_id, epoch, &[("t", partition, offset)]);
        request.version = 9;
        self.world.ask_commit(&request)
    }

    /// A reader commits in the epoch that it knows, which may be behind.
    fn commit(&mut self, who: usize) {
        let client = &self.clients[who];
        let Some((partition, tenure)) = client.tenures.first_key_value().map(|(p, tenure)| (*p, *tenure))
        else {
            return;
        };
        let (id, epoch) = (client.id.clone(), client.epoch);
        let still_has = self.tenures[&partition] == Tenure { holder: Some(id.clone()), number: tenure };
        self.offset += 1;
        let ticket = self.ask_commit(&id, epoch, partition, self.offset);
        if who < FIRST_CLASSIC && still_has && self.world.answer(ticket).is_some() {
            let errors = self.world.committed_errors(ticket);
            assert_eq!(errors, [ErrorCode::None], "{id} has {partition} and commits in epoch {epoch}");
        }
    }

    /// One that has lost the partition since, and does not know.
    fn commit_of_zombie(&mut self, which: usize) {
        let Some(zombie) = self.zombies.get(which) else { return };
        let current = self.epoch_of(&zombie.id);
        let has_lost = self.tenures[&zombie.partition].number != zombie.tenure;
        let is_consumer = self
            .world
            .coordinator
            .groups
            .get("g")
            .is_some_and(|group| matches!(&group.kind, Kind::Consumer(consumer) if !consumer.is_empty()));
        if !has_lost || !is_consumer || current == Some(zombie.epoch) || zombie.epoch < 0 {
            return;
        }
        let (id, epoch, partition) = (zombie.id.clone(), zombie.epoch, zombie.partition);
        let ticket = self.ask_commit(&id, epoch, partition, -7);
        self.doomed.push(ticket);
    }

    fn leave(&mut self, who: usize) {
        let id = self.clients[who].id.clone();
        if who >= FIRST_CLASSIC {
            self.world.ask_leave(&[(&id, None)]);
        } else if self.clients[who].epoch > 0 {
            let epoch = if who == STATIC { -2 } else { -1 };
            self.world.ask_beat(&self.with_instance(who, beat(&id, epoch)));
        }
        self.begin_life(who);
    }

    fn with_instance(&self, who: usize, request: ConsumerGroupHeartbeat) -> ConsumerGroupHeartbeat {
        ConsumerGroupHeartbeat { instance_id: (who == STATIC).then(|| "i".to_owned()), ..request }
    }

    fn beat(&mut self, who: usize) {
        let client = &mut self.clients[who];
        let request = if client.epoch == 0 {
            client.reads.clear();
            beat(&client.id, 0)
        } else {
            let reads: Vec<i32> = client.reads.iter().copied().collect();
            let full = owning(&client.id, client.epoch, &reads);
            ConsumerGroupHeartbeat {
                rebalance_timeout_ms: 30_000,
                topic_names: Some(vec!["t".into()]),
                ..full
            }
        };
        let request = self.with_instance(who, request);
        self.clients[who].waits_for = Some(self.world.ask_beat(&request));
    }

    fn act_classic(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if !client.has_joined {
            client.reads.clear();
            client.has_synced = false;
            let id = client.id.clone();
            self.clients[who].waits_for = Some(self.world.ask_join(&join(&id, None)));
        } else if !client.has_synced {
            let request = self.classic_sync(who);
            self.clients[who].waits_for = Some(self.world.ask_sync(&request));
        } else {
            let (id, epoch) = (client.id.clone(), client.epoch);
            let error = self.world.heartbeat(&id, None, epoch);
            if error != ErrorCode::None {
                self.fall_back(who, error);
            }
        }
    }

    fn classic_sync(&self, who: usize) -> SyncGroup {
        let client = &self.clients[who];
        let count = client.assigns_to.len().max(1);
        let share =
            |slot: usize| (0..self.partition_count).filter(move |p| *p as usize % count == slot).collect();
        let assignments = client.assigns_to.iter().enumerate();
        let assignments: Vec<(String, Vec<u8>)> = assignments
            .map(|(slot, id)| (id.clone(), protocol::encode_assignment(1, &[("t", share(slot))])))
            .collect();
        SyncGroup { assignments, ..sync(&client.id, client.epoch, &[]) }
    }

    fn hear(&mut self, who: usize) {
        let ticket = self.clients[who].waits_for.expect("it waits");
        let Some(answer) = self.world.answer(ticket).cloned() else { return };
        let client = &mut self.clients[who];
        client.waits_for = None;
        match answer {
            Answer::ConsumerGroupHeartbeat(answer) if answer.error == ErrorCode::None => {
                client.epoch = answer.member_epoch;
                for (topic, partitions) in answer.assignment.into_iter().flatten() {
                    assert_eq!(topic, topic_id("t"));
                    client.given = partitions.into_iter().collect();
                    client.reads.extend(&client.given);
                }
            }
            Answer::ConsumerGroupHeartbeat(answer) => self.fall_back(who, answer.error),
            Answer::JoinGroup(answer) if answer.error == ErrorCode::None => {
                client.id = answer.member_id;
                client.epoch = answer.generation;
                client.assigns_to = answer.members.into_iter().map(|member| member.member_id).collect();
                client.has_joined = true;
            }
            Answer::JoinGroup(answer) if answer.error == ErrorCode::MemberIdRequired => {
                client.id = answer.member_id
            }
            Answer::JoinGroup(answer) => self.fall_back(who, answer.error),
            Answer::SyncGroup(answer) if answer.error == ErrorCode::None => {
                let assigned = protocol::assignment(&answer.assignment).expect("an assignment");
                client.reads = assigned.into_iter().flat_map(|(_, partitions)| partitions).collect();
                client.has_synced = true;
            }
            Answer::SyncGroup(answer) => self.fall_back(who, answer.error),
            other => panic!("{other:?}"),
        }
    }

    fn fall_back(&mut self, who: usize, error: ErrorCode) {
        let client = &mut self.clients[who];
        let out = matches!(error, ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound);
        if who >= FIRST_CLASSIC {
            client.has_joined = false;
            if out {
                client.reads.clear();
                client.id.clear();
            }
        } else if out || matches!(error, ErrorCode::FencedMemberEpoch | ErrorCode::FencedInstanceId) {
            client.epoch = 0;
            client.reads.clear();
            client.given.clear();
        }
    }

    fn check(&self) {
        let Some(group) = self.world.coordinator.groups.get("g") else { return };
        let mut readers: BTreeMap<i32, usize> = BTreeMap::new();
        let mut read = |who: usize| {
            for p in &self.clients[who].reads {
                let before = readers.insert(*p, who);
                assert_eq!(before, None, "{p} is read by {who} as well");
            }
        };
        match &group.kind {
            Kind::Classic(classic) => {
                for who in FIRST_CLASSIC..CLIENTS {
                    let client = &self.clients[who];
                    let current = client.epoch == classic.generation() && client.has_synced;
                    if current && classic.members().any(|member| member.id == client.id) {
                        read(who);
                    }
                }
            }
            Kind::Consumer(consumer) => {
                let mut holders = BTreeMap::new();
                for member in consumer.members() {
                    for held in member.holds() {
                        let before = holders.insert(held, &member.id);
                        assert_eq!(before, None, "{held:?} is held by {} as well", member.id);
                    }
                    let of_member =
                        |who: &usize| self.clients[*who].id == member.id && self.clients[*who].epoch != 0;
                    let Some(who) = (0..CLIENTS).find(of_member) else { continue };
                    for p in &self.clients[who].reads {
                        let held = member.holds().any(|held| held == (topic_id("t"), *p));
                        assert!(held, "{who} reads {p}, which is not its own: {member:?}");
                    }
                    read(who);
                }
            }
        }
    }

    fn end_of_faults(&mut self) {
        self.world.settle();
        self.world.settles_at_once = true;
        for _ in 0..200 {
            for who in 0..CLIENTS {
                (0..3).for_each(|_| self.step(Step::Act(who)));
                if who < FIRST_CLASSIC {
                    self.step(Step::GiveUp(who));
                }
            }
            self.step(Step::Pass(1000));
        }
        let group = self.world.coordinator.describe_consumer("g").expect("it speaks the new protocol");
        assert_eq!((group.state, group.members.len()), ("Stable", CLIENTS), "{group:?}");
        let mut all = vec![];
        for client in &self.clients {
            let member = group.members.iter().find(|member| member.member_id == client.id).expect("a member");
            let assigned: BTreeSet<i32> = member.assignment.iter().flat_map(|(_, p)| p.clone()).collect();
            assert_eq!(client.reads, assigned);
            all.extend(assigned);
        }
        all.sort_unstable();
        assert_eq!(all, (0..self.partition_count).collect::<Vec<_>>(), "each has one reader");
        assert_eq!(facts(&self.world.replayed()), facts(&self.world.coordinator));
        for who in 0..CLIENTS {
            self.step(Step::Commit(who));
        }
    }

    fn end_of_group(mut self) {
        (0..CLIENTS).for_each(|who| self.step(Step::Leave(who)));
        self.world.advance(8 * 24 * 3600 * 1000);
        assert_eq!((self.world.coordinator.group_count(), self.world.replayed().group_count()), (0, 0));
        assert_eq!(self.world.answered_count() as u64, self.world.tickets(), "everyone is answered");
        assert!(self.world.coordinator.is_idle());
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let who = || 0..CLIENTS;
    prop_oneof![
        24 => who().prop_map(Step::Act),
        6 => (0..FIRST_CLASSIC).prop_map(Step::GiveUp),
        4 => who().prop_map(Step::Commit),
        4 => (0..ZOMBIES_MAX).prop_map(Step::ZombieCommit),
        2 => who().prop_map(Step::LoseAnswer),
        1 => who().prop_map(Step::Restart),
        2 => who().prop_map(Step::Leave),
        1 => Just(Step::AddPartition),
        3 => (1..3000u64).prop_map(Step::Pass),
        1 => (1..50_000u64).prop_map(Step::Pass),
        10 => Just(Step::Settle),
        1 => Just(Step::Refuse),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_of_both_protocols_survive_their_clients(
        interval_ms in prop_oneof![Just(0), Just(1000)],
        steps in vec(any_step(), 0..200),
    ) {
        let mut run = Run::new(interval_ms);
        for step in steps {
            run.step(step);
        }
        run.end_of_faults();
        run.end_of_group();
    }
}

/// A member's session ends, and the coordinator dies before that is durable: the next one has the member back with all
/// that it held, so its commits count though it seemed to have lost everything.
#[test]
fn what_never_became_durable_has_not_been_lost() {
    use Step::{Act, AddPartition, Crash, GiveUp, Pass, Refuse, Restart, Settle, ZombieCommit};
    let mut run = Run::new(1000);
    let begin = [Act(2), AddPartition, AddPartition, Act(0), Pass(1000), GiveUp(0), Refuse, Act(1), Settle];
    let end = [Act(1), Act(3), Pass(45_000), Crash, Act(3), Act(3), Act(1), Restart(1), ZombieCommit(0)];
    for step in begin.into_iter().chain(end) {
        run.step(step);
    }
    run.end_of_faults();
    run.end_of_group();
}
