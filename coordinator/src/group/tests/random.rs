//! Clients that lose answers, restart, fall silent and come back as zombies, on a log that is late or refuses, under a
//! coordinator that is replaced. What must hold all along: one assignment a generation and one owner a slot of it (G1),
//! zombies change nothing (G2), committed offsets are those of the log (G3), everyone who asked is answered once, and
//! when the faults end the group comes to rest with everyone in it (G5).

use std::collections::BTreeMap;

use model::ErrorCode;
use proptest::{collection::vec, prelude::*};

use super::world::{DELAY_MS, REBALANCE_MS, SESSION_MS, World, check_offsets, commit, join, sync};
use crate::group::{Answer, GroupRecord, SyncGroup, Ticket, coordinator::Kind};

const CLIENTS: usize = 4;
/// Clients from this one on are static members.
const FIRST_STATIC: usize = 2;

#[derive(Default)]
struct Client {
    instance: Option<String>,
    member_id: String,
    generation: i32,
    /// Answers of the request that it waits for.
    waits_for: Option<Ticket>,
    stage: Stage,
    /// Whom it has to assign to, if it leads.
    assigns_to: Vec<String>,
    leads: bool,
}

#[derive(Default, Clone, Copy, PartialEq, Debug)]
enum Stage {
    #[default]
    Join,
    Sync,
    In,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Act(usize),
    LoseAnswer(usize),
    Restart(usize),
    Leave(usize),
    ZombieCommit(usize),
    SecondAssignment(usize),
    Pass(u64),
    Settle,
    Refuse,
    Crash,
}

struct Run {
    world: World,
    clients: Vec<Client>,
    /// Nonce of the assignment that was handed out in a generation.
    assigned: BTreeMap<i32, u64>,
    /// Who was given a slot of a generation.
    owners: BTreeMap<(i32, String), String>,
    nonce: u64,
    offset: i64,
    /// Tickets of commits that must not succeed.
    doomed: Vec<Ticket>,
}

impl Run {
    fn new() -> Self {
        let client =
            |i| Client { instance: (i >= FIRST_STATIC).then(|| format!("i{i}")), ..Client::default() };
        let mut world = World::new();
        world.settles_at_once = false;
        Self {
            world,
            clients: (0..CLIENTS).map(client).collect(),
            assigned: BTreeMap::new(),
            owners: BTreeMap::new(),
            nonce: 0,
            offset: 0,
            doomed: vec![],
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Act(who) => self.act(who),
            Step::LoseAnswer(who) => {
                self.clients[who].waits_for = None;
                self.clients[who].stage = Stage::Join;
            }
            Step::Restart(who) => {
                let instance = self.clients[who].instance.take();
                self.clients[who] = Client { instance, ..Client::default() };
            }
            Step::Leave(who) => {
                let (id, instance) =
                    (self.clients[who].member_id.clone(), self.clients[who].instance.clone());
                self.world.leave(&[(&id, instance.as_deref())]);
                self.step(Step::Restart(who));
            }
            Step::ZombieCommit(who) => {
                let client = &self.clients[who];
                let request = commit(&client.member_id, client.generation - 1, &[("t", 0, -7)]);
                // A generation that was told and never became durable is followed, after a crash, by the one before.
                let known = self.is_current(&client.member_id, request.generation_or_member_epoch);
                if request.generation_or_member_epoch >= 0 && !known {
                    let ticket = self.world.ask_commit(&request);
                    self.doomed.push(ticket);
                }
            }
            Step::SecondAssignment(who) => {
                let request = self.assignment(who);
                self.world.ask_sync(&request);
            }
            Step::Pass(ms) => self.world.advance(ms),
            Step::Settle => drop(self.world.settle_one()),
            Step::Refuse => drop(self.world.refuse(ErrorCode::NotEnoughReplicas)),
            Step::Crash => self.world.crash(),
        }
        check_offsets(&self.world, &self.doomed);
    }

    /// What a client does next: looks for its answer, or asks.
    fn act(&mut self, who: usize) {
        if let Some(ticket) = self.clients[who].waits_for {
            let Some(answer) = self.world.answer(ticket).cloned() else { return };
            self.clients[who].waits_for = None;
            return self.hear(who, answer);
        }
        let client = &self.clients[who];
        let instance = client.instance.as_deref();
        let ticket = match client.stage {
            Stage::Join => self.world.ask_join(&join(&client.member_id, instance)),
            Stage::Sync => {
                let request = self.assignment(who);
                self.world.ask_sync(&request)
            }
            Stage::In => {
                let error = self.world.heartbeat(&client.member_id, instance, client.generation);
                if error == ErrorCode::None {
                    self.commit(who)
                } else {
                    self.fall_back(who, error)
                }
                return;
            }
        };
        self.clients[who].waits_for = Some(ticket);
    }

    fn commit(&mut self, who: usize) {
        self.offset += 1;
        let client = &self.clients[who];
        let mut request = commit(&client.member_id, client.generation, &[("t", who as i32, self.offset)]);
        request.group_instance_id = client.instance.clone();
        let current = self.is_current(&client.member_id, client.generation);
        let ticket = self.world.ask_commit(&request);
        if !current {
            self.doomed.push(ticket);
        }
    }

    fn is_current(&self, member_id: &str, generation: i32) -> bool {
        match self.world.coordinator.groups.get("g").map(|group| &group.kind) {
            Some(Kind::Classic(group)) => {
                group.generation() == generation && group.members().any(|member| member.id == member_id)
            }
            _ => false,
        }
    }

    fn assignment(&mut self, who: usize) -> SyncGroup {
        self.nonce += 1;
        let client = &self.clients[who];
        let slots = client.assigns_to.iter().enumerate();
        let slots =
            slots.map(|(slot, id)| (id.clone(), format!("{}:{slot}", self.nonce).into_bytes())).collect();
        SyncGroup {
            group_instance_id: client.instance.clone(),
            assignments: slots,
            ..sync(&client.member_id, client.generation, &[])
        }
    }

    fn hear(&mut self, who: usize, answer: Answer) {
        let client = &mut self.clients[who];
        match answer {
            Answer::JoinGroup(answer) if answer.error == ErrorCode::None => {
                client.member_id = answer.member_id;
                client.generation = answer.generation;
                client.leads = !answer.members.is_empty();
                client.assigns_to = answer.members.into_iter().map(|member| member.member_id).collect();
                client.stage = Stage::Sync;
            }
            Answer::JoinGroup(answer) if answer.error == ErrorCode::MemberIdRequired => {
                client.member_id = answer.member_id;
            }
            Answer::JoinGroup(answer) => self.fall_back(who, answer.error),
            Answer::SyncGroup(answer) if answer.error == ErrorCode::None => {
                client.stage = Stage::In;
                let (generation, text) = (client.generation, String::from_utf8(answer.assignment).unwrap());
                let identity = client.instance.clone().unwrap_or_else(|| client.member_id.clone());
                // A member that came after the leader made its list has nothing yet.
                let Some((nonce, _)) = text.split_once(':') else { return };
                let nonce = nonce.parse().unwrap();
                let first = *self.assigned.entry(generation).or_insert(nonce);
                assert_eq!(first, nonce, "one assignment in generation {generation}");
                let owner = self.owners.entry((generation, text.clone())).or_insert_with(|| identity.clone());
                assert_eq!(*owner, identity, "one owner of {text} in generation {generation}");
            }
            Answer::SyncGroup(answer) => self.fall_back(who, answer.error),
            other => panic!("{other:?}"),
        }
    }

    fn fall_back(&mut self, who: usize, error: ErrorCode) {
        let client = &mut self.clients[who];
        client.stage = Stage::Join;
        if matches!(error, ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId) {
            client.member_id.clear();
        }
    }

    /// The coordinator that reads the log knows what this one knows.
    fn check_replay(&self) {
        let settled = |coordinator: &crate::group::GroupCoordinator| {
            let group = coordinator.groups.get("g");
            let record = group.and_then(|group| match &group.kind {
                Kind::Classic(classic) => classic.rewritten(),
                Kind::Consumer(_) => unreachable!("nobody speaks the new protocol here"),
            });
            record.map(|record| match record {
                GroupRecord::GroupMetadata { group, value: Some(mut value) } => {
                    value.current_state_timestamp = 0;
                    GroupRecord::GroupMetadata { group, value: Some(value) }
                }
                other => panic!("{other:?}"),
            })
        };
        let replayed = self.world.replayed();
        assert_eq!(settled(&replayed), settled(&self.world.coordinator));
        assert!(replayed.all_committed("g").eq(self.world.coordinator.all_committed("g")));
    }

    fn end_of_faults(&mut self) {
        self.world.settle();
        self.world.settles_at_once = true;
        for _ in 0..2 * (SESSION_MS + REBALANCE_MS) / 1000 {
            (0..CLIENTS).for_each(|who| self.act(who));
            (0..CLIENTS).for_each(|who| self.act(who));
            self.world.advance(1000);
            check_offsets(&self.world, &self.doomed);
        }
        let group = self.world.describe();
        assert_eq!((group.state, group.members.len()), ("Stable", CLIENTS), "{:?}", group.members);
        for client in &self.clients {
            assert_eq!((client.stage, client.generation), (Stage::In, self.clients[0].generation));
            assert!(group.members.iter().any(|member| member.member_id == client.member_id));
        }
        assert!(group.members.iter().all(|member| !member.assignment.is_empty()), "everyone has something");
        self.check_replay();
    }

    /// Everybody goes, time passes, and nothing is left of the group.
    fn end_of_group(mut self) {
        for who in 0..CLIENTS {
            self.step(Step::Leave(who));
        }
        self.world.advance(8 * 24 * 3600 * 1000);
        assert_eq!(self.world.coordinator.group_count(), 0);
        assert_eq!(self.world.replayed().group_count(), 0);
        assert_eq!(self.world.answered_count() as u64, self.world.tickets(), "everyone is answered");
        assert!(self.world.coordinator.is_idle());
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let who = || 0..CLIENTS;
    prop_oneof![
        20 => who().prop_map(Step::Act),
        2 => who().prop_map(Step::LoseAnswer),
        1 => who().prop_map(Step::Restart),
        1 => who().prop_map(Step::Leave),
        2 => who().prop_map(Step::ZombieCommit),
        1 => who().prop_map(Step::SecondAssignment),
        3 => (1..i64::from(DELAY_MS)).prop_map(|ms| Step::Pass(ms as u64)),
        1 => (1..2 * SESSION_MS).prop_map(|ms| Step::Pass(ms as u64)),
        8 => Just(Step::Settle),
        1 => Just(Step::Refuse),
        1 => Just(Step::Crash),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_survive_their_clients(steps in vec(any_step(), 0..150)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step);
        }
        run.end_of_faults();
        run.end_of_group();
    }
}
