//! Brokers come and go, leaders propose, operators move and elect, at random. Beside the image goes what each replica
//! really has, so that a clean election that loses something committed is seen.

use std::collections::{BTreeMap, BTreeSet};

use model::{Offset, PartitionIndex};
use proptest::prelude::*;

use super::*;
use crate::{
    config::{AlterOp, ConfigAlteration, ReplicaConfig},
    controller::damage::can_do_without,
    metadata::{ConfigResource, Partition, Topic},
};

const TOPICS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Operation {
    Fence(BrokerId),
    Heartbeat {
        broker: BrokerId,
        behind: bool,
        want_fence: bool,
        want_shut_down: bool,
    },
    Register {
        broker: BrokerId,
        new_life: bool,
        new_disk: bool,
        fenced: bool,
    },
    Unregister(BrokerId),
    /// The leader proposes itself and those of the set that it may.
    Propose {
        at: Place,
        isr: BTreeSet<BrokerId>,
    },
    Reassign {
        at: Place,
        replicas: Option<Vec<BrokerId>>,
    },
    /// Its records of a partition are not what was written.
    Damage(BrokerId, Place),
    Elect(Place, Election),
    Balance,
    Leaderless,
    Config {
        topic: usize,
        key: &'static str,
        value: String,
    },
    Commit(Place),
}

/// Topic and partition.
type Place = (usize, i32);

fn broker() -> impl Strategy<Value = BrokerId> {
    (1..6).prop_map(BrokerId)
}

fn operation() -> impl Strategy<Value = Operation> {
    let place = || (0..2_usize, 0..2_i32);
    let rarely = || prop::bool::weighted(0.2);
    let replicas = prop::collection::btree_set(broker(), 1..4).prop_map(|set| set.into_iter().collect());
    let shuffled = replicas.prop_flat_map(|replicas: Vec<_>| Just(replicas).prop_shuffle());
    let election = prop::sample::select(vec![Election::Preferred, Election::Preferred, Election::Unclean]);
    let config = prop_oneof![
        (1..4).prop_map(|n: i32| ("min.insync.replicas", n.to_string())),
        rarely().prop_map(|on| ("unclean.leader.election.enable", on.to_string())),
    ];
    prop_oneof![
        6 => broker().prop_map(Operation::Fence),
        10 => (broker(), rarely(), rarely(), rarely()).prop_map(|(broker, behind, want_fence, want_shut_down)| {
            Operation::Heartbeat { broker, behind, want_fence, want_shut_down }
        }),
        4 => (broker(), any::<bool>(), rarely(), any::<bool>()).prop_map(|(broker, new_life, new_disk, fenced)| {
            Operation::Register { broker, new_life, new_disk, fenced }
        }),
        1 => broker().prop_map(Operation::Unregister),
        12 => (place(), prop::collection::btree_set(broker(), 0..6))
            .prop_map(|(at, isr)| Operation::Propose { at, isr }),
        4 => (place(), prop::option::weighted(0.8, shuffled))
            .prop_map(|(at, replicas)| Operation::Reassign { at, replicas }),
        3 => (broker(), place()).prop_map(|(broker, at)| Operation::Damage(broker, at)),
        2 => (place(), election).prop_map(|(at, election)| Operation::Elect(at, election)),
        1 => Just(Operation::Balance),
        1 => Just(Operation::Leaderless),
        2 => (0..2_usize, config).prop_map(|(topic, (key, value))| Operation::Config { topic, key, value }),
        10 => place().prop_map(Operation::Commit),
    ]
}

/// What lies where: how many of a partition's commits.
#[derive(Default)]
struct Truth {
    committed: BTreeMap<(TopicId, PartitionIndex), u64>,
    held: BTreeMap<(TopicId, PartitionIndex, BrokerId), u64>,
}

struct Cluster {
    world: World,
    truth: Truth,
    lives: u8,
}

impl Cluster {
    fn new() -> Self {
        let mut world = World::of(5);
        for name in TOPICS {
            world.create(topic(name, 2, 3)).unwrap();
        }
        Self { world, truth: Truth::default(), lives: 100 }
    }

    fn at(&self, (topic, index): Place) -> (&Topic, &Partition) {
        let topic = self.world.image.topic(TOPICS[topic]).unwrap();
        (topic, &topic.partitions[index as usize])
    }

    /// Decides, and checks every record on its way.
    fn decide<T>(&mut self, allowed: Allowed, rule: impl FnOnce(Controller<'_>) -> Decision<T>) -> T {
        let before = self.world.image.clone();
        let from = self.world.log.len();
        let answer = self.world.decide(|controller, _| rule(controller));
        let mut image = before;
        for bytes in &self.world.log[from..] {
            let record = MetadataRecord::decode(bytes).unwrap();
            let old = image.clone();
            image.apply(image.offset() + 1, &record).unwrap();
            if let MetadataRecord::PartitionState(state) = &record {
                let topic = image.topic_by_id(state.topic).unwrap();
                let unclean = allowed.unclean
                    || ReplicaConfig::resolve(&topic.name, &self.world.image, &self.world.config)
                        .unclean_leader_election_enable;
                let id = (state.topic, state.index);
                let (was, is) = (old.partition(id.0, id.1).unwrap(), image.partition(id.0, id.1).unwrap());
                check_step(was, is, allowed);
                check_holds(&image, is);
                self.truth.follow(id, was, is, unclean);
            }
        }
        assert_eq!(image, self.world.image);
        for topic in image.topics() {
            for partition in &topic.partitions {
                check_holds(&image, partition);
            }
        }
        answer
    }

    fn run(&mut self, operation: Operation) {
        let nothing = Allowed::default();
        match operation {
            Operation::Fence(broker) => self.decide(nothing, |c| c.fence(broker)),
            Operation::Heartbeat { broker, behind, want_fence, want_shut_down } => {
                let broker_epoch = self.world.image.broker(broker).map_or(7, |broker| broker.epoch);
                let metadata_offset = Offset(broker_epoch - i64::from(behind));
                let heartbeat =
                    Heartbeat { broker, broker_epoch, metadata_offset, want_fence, want_shut_down };
                let answer = self.decide(nothing, |c| c.heartbeat(&heartbeat));
                let fenced = self.world.image.broker(broker).map(|broker| broker.fenced);
                assert_eq!(answer.ok().map(|answer| answer.fenced), fenced);
            }
            Operation::Register { broker, new_life, new_disk, fenced } => {
                self.register(broker, new_life, new_disk, fenced);
            }
            Operation::Unregister(broker) => {
                self.truth.lose(broker);
                let _ =
                    self.decide(Allowed { loss: Some(broker), ..nothing }, |c| c.unregister_broker(broker));
            }
            Operation::Propose { at, isr } => self.propose(at, &isr),
            Operation::Reassign { at, replicas } => {
                let asked = [Reassignment { topic: TOPICS[at.0], partition: PartitionIndex(at.1), replicas }];
                let _ = self.decide(nothing, |c| c.reassign(&asked, true));
            }
            Operation::Damage(broker, at) => self.damage(broker, at),
            Operation::Elect(at, election) => {
                let unclean = election == Election::Unclean;
                let asked = [(TOPICS[at.0], PartitionIndex(at.1))];
                let answer = self.decide(Allowed { unclean, ..nothing }, |c| c.elect(&asked, election));
                assert!(answer[0].is_err() || self.at(at).1.leader.is_some());
            }
            Operation::Balance => {
                let answer = self.decide(nothing, |c| c.preferred_imbalance(100));
                let again = self.decide(nothing, |c| c.preferred_imbalance(100));
                assert!(!answer && !again);
            }
            Operation::Leaderless => {
                self.decide(nothing, |c| c.elect_leaderless(1));
            }
            Operation::Config { topic, key, value } => {
                let configs =
                    vec![ConfigAlteration { key: key.to_owned(), op: AlterOp::Set, value: Some(value) }];
                let resource = ConfigResource::Topic(TOPICS[topic].to_owned());
                let asked = [AlterConfigsRequest { resource, configs }];
                self.decide(nothing, |c| c.alter_configs(&asked, false)).pop().unwrap().unwrap();
            }
            Operation::Commit(at) => self.commit(at),
        }
    }

    fn register(&mut self, broker: BrokerId, new_life: bool, new_disk: bool, fenced: bool) {
        let known = self.world.image.broker(broker);
        let new_life = new_life || new_disk || known.is_none();
        self.lives += u8::from(new_life);
        let plain = registration(broker.0, None);
        let asked = RegisterBroker {
            incarnation: if new_life { [self.lives; 16] } else { known.unwrap().incarnation },
            directory_id: match known {
                Some(known) if !new_disk => known.directory_id,
                _ => [self.lives; 16],
            },
            fenced,
            ..plain
        };
        if new_disk {
            self.truth.lose(broker);
        }
        let allowed = Allowed { loss: Some(broker).filter(|_| new_disk), ..Allowed::default() };
        self.decide(allowed, |c| c.register_broker(&asked, false)).unwrap();
    }

    /// Granted, it gives up what it has.
    fn damage(&mut self, broker: BrokerId, at: Place) {
        let id = (self.at(at).0.id, PartitionIndex(at.1));
        let broker_epoch = self.world.image.broker(broker).map_or(7, |broker| broker.epoch);
        let asked = ReportDamage { broker, broker_epoch, parts: vec![id] };
        let before = self.world.image.offset();
        let allowed = Allowed { doubted: Some(broker), ..Allowed::default() };
        let answer = self.decide(allowed, |c| c.report_damage(&asked));
        let granted = answer.is_ok_and(|parts| parts[0].is_ok());
        assert_eq!(granted, self.world.image.offset() > before);
        if granted {
            assert!(can_do_without(self.at(at).1, broker));
            self.truth.held.remove(&(id.0, id.1, broker));
        }
    }

    fn propose(&mut self, at: Place, isr: &BTreeSet<BrokerId>) {
        let (topic, partition) = self.at(at);
        let Some(leader) = partition.leader else { return };
        let active = |id: &BrokerId| self.world.image.broker(*id).is_some_and(|broker| broker.is_active());
        let members: Vec<_> = partition
            .replicas
            .iter()
            .copied()
            .filter(|id| *id == leader || (isr.contains(id) && active(id)))
            .collect();
        let part = PartitionIsr {
            topic: topic.id,
            index: PartitionIndex(at.1),
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            isr: members.iter().copied().map(IsrMember::from).collect(),
        };
        let (id, expected) = ((part.topic, part.index), active(&leader));
        let broker_epoch = self.world.image.broker(leader).unwrap().epoch;
        // Whoever is proposed has caught up.
        for member in members {
            self.truth.copy(id, leader, member);
        }
        let asked = AlterPartition { broker: leader, broker_epoch, parts: vec![part] };
        let answer = self.decide(Allowed::default(), |c| c.alter_partition(&asked)).unwrap();
        let granted = answer[0].as_ref().map_or_else(|refusal| refusal.code, |_| ErrorCode::None);
        let fine = [ErrorCode::None, ErrorCode::NewLeaderElected].contains(&granted);
        assert_eq!(fine, expected, "{granted:?}");
    }

    /// As a leader does it: only with enough in sync.
    fn commit(&mut self, at: Place) {
        let (topic, partition) = self.at(at);
        let config = ReplicaConfig::resolve(&topic.name, &self.world.image, &self.world.config);
        let needed = (config.min_insync_replicas as usize).min(partition.replicas.len());
        if partition.leader.is_some() && partition.isr.len() >= needed {
            let (id, isr) = ((topic.id, PartitionIndex(at.1)), partition.isr.clone());
            let committed = self.truth.committed.entry(id).or_default();
            *committed += 1;
            for member in isr {
                self.truth.held.insert((id.0, id.1, member), *committed);
            }
        }
    }
}

impl Truth {
    fn has(&self, id: (TopicId, PartitionIndex), broker: BrokerId) -> u64 {
        self.held.get(&(id.0, id.1, broker)).copied().unwrap_or_default()
    }

    fn copy(&mut self, id: (TopicId, PartitionIndex), from: BrokerId, to: BrokerId) {
        self.held.insert((id.0, id.1, to), self.has(id, from));
    }

    fn lose(&mut self, broker: BrokerId) {
        self.held.retain(|(_, _, holder), _| *holder != broker);
    }

    fn follow(&mut self, id: (TopicId, PartitionIndex), was: &Partition, is: &Partition, unclean: bool) {
        for gone in was.replicas.iter().filter(|replica| !is.replicas.contains(replica)) {
            self.held.remove(&(id.0, id.1, *gone));
        }
        let committed = self.committed.get(&id).copied().unwrap_or_default();
        if let Some(leader) = is.leader.filter(|_| is.leader_epoch > was.leader_epoch)
            && self.has(id, leader) < committed
        {
            assert!(unclean, "a clean election loses records: {was:?} {is:?}");
            assert_eq!(is.isr, [leader]);
            self.committed.insert(id, self.has(id, leader));
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Allowed {
    unclean: bool,
    loss: Option<BrokerId>,
    /// Whoever leads, the epoch is a new one.
    doubted: Option<BrokerId>,
}

/// From one state of a partition to the next.
fn check_step(was: &Partition, is: &Partition, allowed: Allowed) {
    assert_eq!(is.partition_epoch, was.partition_epoch + 1);
    let gone = was.replicas.iter().any(|replica| !is.replicas.contains(replica));
    let emptied = was.leader.is_some() && was.leader == allowed.loss;
    let raised = i32::from(is.leader != was.leader || emptied || gone || allowed.doubted.is_some());
    assert_eq!(is.leader_epoch.0, was.leader_epoch.0 + raised, "{was:?} {is:?}");
    if is.isr.is_empty() {
        let lost = |id: &BrokerId| allowed.loss == Some(*id);
        assert!(allowed.doubted.is_none(), "the last one must not leave: {was:?} {is:?}");
        assert!(was.isr.iter().all(lost), "nobody is in sync any more: {was:?} {is:?}");
    }
    if let Some(lost) = allowed.loss {
        assert!(!is.elr.contains(&lost) && (!is.isr.contains(&lost) || is.leader == Some(lost)));
    }
}

/// What is so of every partition at any time.
fn check_holds(image: &Image, partition: &Partition) {
    let within = |few: &[BrokerId], many: &[BrokerId]| few.iter().all(|id| many.contains(id));
    let Partition { replicas, isr, elr, .. } = partition;
    for list in [replicas, isr, elr, &partition.adding_replicas, &partition.removing_replicas] {
        assert_eq!(list.iter().collect::<BTreeSet<_>>().len(), list.len(), "{partition:?}");
        assert!(within(list, replicas), "{partition:?}");
    }
    assert!(!isr.iter().any(|id| elr.contains(id)), "{partition:?}");
    assert!(partition.leader.is_none_or(|leader| isr.contains(&leader)), "{partition:?}");
    assert!(partition.leader.is_none() || partition.last_known_leader.is_none(), "{partition:?}");
    if let Some(leader) = partition.leader {
        assert!(image.broker(leader).is_some_and(|broker| !broker.fenced), "{partition:?}");
    }
    // Those in sync live, but for the last one.
    let fenced = |id: &&BrokerId| image.broker(**id).is_none_or(|broker| broker.fenced);
    assert!(isr.len() == 1 || isr.iter().find(fenced).is_none(), "{partition:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn what_was_committed_survives_every_clean_election(
        operations in prop::collection::vec(operation(), 1..80),
    ) {
        let mut cluster = Cluster::new();
        for operation in operations {
            cluster.run(operation);
        }
        prop_assert_eq!(cluster.world.replayed(), cluster.world.image);
    }
}
