//! One seed of a cluster: brokers that are production's engine, replication and controller, on disks, clocks and a network
//! of the simulator, with producers and consumers, under faults. Then everything is healed, and all must come to agree.
//!
//! ```text
//!   clients --requests--> broker: Store on SimDisk, PartitionTable, Replicator --lanes in memory--> broker
//!                            ^ images, late                                 \--proposals, heartbeats--> controller
//!   nemesis: cuts, breaks, crashes, pauses, clocks, disks          auditor: what clients were told, who led when
//! ```

pub mod auditor;
pub mod broker;
pub mod clients;
pub mod consensus;
pub mod control;
pub mod ledger;
pub mod metadata_disk;
pub mod nemesis;
pub mod network;
pub mod plan;
pub mod runtime;
pub mod scheduler;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use coordinator::{BrokerConfig, controller::CreateTopic, raft::Position};
use engine::ReadRange;
use model::{BrokerId, PartitionIndex, TopicPartition};
use replication::{
    Runtime, Unhindered,
    stream::{
        NoLane,
        frame::{Frame, Kind},
        serve_follower,
    },
    transport::Lane,
};

use auditor::{Auditor, Found, records_of};
use broker::{Broker, Life, MIN_INSYNC};
use clients::Client;
use consensus::VOTERS;
use control::{Proposal, TOPIC, TOPIC_ID};
use ledger::Ledger;
use metadata_disk::MetadataDisk;
use nemesis::Nemesis;
use network::{Change, Network};
use plan::{Bug, Plan};
use scheduler::{Owner, Scheduler, WORLD};

use crate::{
    disk::{Lie, SimDisk},
    executor::Clock,
    random::Random,
    trace::Trace,
};

const REPLICATION_FACTOR: i32 = 3;
/// Undisturbed, a cluster has its brokers and its topic within this.
const PREPARE_MS: u64 = 10_000;
/// Healed, a cluster agrees within this.
const HEAL_MS: u64 = 20_000;

/// What a seed did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub trace: u64,
    pub events: u64,
    pub acked: u64,
    pub read: u64,
    pub elections: u64,
    /// Of the controller.
    pub epochs: u64,
    pub lives: u64,
    pub virtual_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Prepared,
    Faults,
    Healed,
    /// Clients rest.
    Over,
    Checked,
}

pub struct Cluster {
    pub seed: u64,
    pub plan: Plan,
    pub scheduler: Scheduler,
    pub network: Rc<Network>,
    /// Of every broker.
    pub config: BrokerConfig,
    pub ledger: Rc<Ledger>,
    pub brokers: Vec<Rc<Broker>>,
    pub partitions: Vec<TopicPartition>,
    pub auditor: RefCell<Auditor>,
    trace: Trace,
    lateness: RefCell<Random>,
    phase: Cell<Phase>,
    clients: Cell<usize>,
}

/// Lives through everything the seed says. Panics with what is wrong. `tell`: says what happens as it does.
pub fn run(seed: u64, bug: Option<Bug>, tell: bool) -> Report {
    let plan = Plan::draw(seed, bug);
    let (clock, trace) = (Clock::default(), Trace::default());
    if tell {
        trace.tell();
    }
    let scheduler = Scheduler::new(clock.clone());
    let network = Network::new(scheduler.clone(), seed, plan.delay_us);
    let ledger = Ledger::new(seed, clock.clone(), trace.clone());
    let brokers = (1..=plan.brokers).map(|n| {
        let disk = SimDisk::new(seed + n as u64, clock.clone(), trace.clone(), Lie::None);
        Broker::new(BrokerId(n), disk)
    });
    let partitions = (0..plan.partitions).map(|index| TopicPartition::new(TOPIC_ID, PartitionIndex(index)));
    let cluster = Rc::new(Cluster {
        seed,
        scheduler: scheduler.clone(),
        network,
        config: config_of(&plan),
        ledger,
        brokers: brokers.collect(),
        partitions: partitions.collect(),
        auditor: RefCell::new(Auditor::new(seed)),
        trace: trace.clone(),
        lateness: RefCell::new(Random::stream(seed, "lateness")),
        phase: Cell::new(Phase::Prepared),
        clients: Cell::new(0),
        plan,
    });
    cluster.begin();
    let mut order = Random::stream(seed, "order");
    scheduler.run_until(&mut order, || cluster.phase.get() == Phase::Checked);
    let report = cluster.report();
    cluster.brokers.iter().for_each(|broker| drop(broker.life.take()));
    scheduler.clear();
    report
}

fn config_of(plan: &Plan) -> BrokerConfig {
    let unclean = (plan.bug == Some(Bug::ElectsAnybody)).to_string();
    let minimum = MIN_INSYNC.to_string();
    let file = [("min.insync.replicas", &minimum), ("unclean.leader.election.enable", &unclean)];
    BrokerConfig::parse(file).unwrap_or_else(|why| panic!("{why:?}"))
}

impl Cluster {
    fn begin(self: &Rc<Self>) {
        for broker in &self.brokers {
            self.start(broker.owner());
        }
        let this = self.clone();
        self.scheduler.spawn(WORLD, Box::pin(async move { this.prepare().await }));
    }

    /// Somebody is the controller, everybody registers, and the topic is made; then come clients and faults.
    async fn prepare(self: Rc<Self>) {
        let clock = self.scheduler.clock().clone();
        while self.ledger.image().topic(TOPIC).is_none() {
            clock.sleep_ms(10).await;
            let image = self.ledger.image();
            let all_here = image.brokers().filter(|broker| broker.is_active()).count() == self.brokers.len();
            if let Some(controller) = self.controller().filter(|_| all_here) {
                controller.control.settle(Proposal::CreateTopic(self.topic())).await;
            }
            assert!(clock.now_us() < PREPARE_MS * 1000, "seed {}: nothing begins", self.seed);
        }
        self.disturb();
    }

    fn topic(&self) -> CreateTopic {
        let replicas = |index: PartitionIndex| {
            (0..REPLICATION_FACTOR).map(|n| BrokerId(1 + (index.0 + n) % self.plan.brokers)).collect()
        };
        CreateTopic {
            name: TOPIC.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: self.partitions.iter().map(|id| (id.partition, replicas(id.partition))).collect(),
            configs: vec![],
        }
    }

    fn disturb(self: &Rc<Self>) {
        self.phase.set(Phase::Faults);
        for n in 0..self.plan.producers {
            self.clients.set(self.clients.get() + 1);
            let client = Client::new(self.clone(), &format!("producer {n}"));
            let this = self.clone();
            let task = async move {
                client.produce(n).await;
                this.clients.set(this.clients.get() - 1);
            };
            self.scheduler.spawn(WORLD, Box::pin(task));
        }
        for n in 0..self.plan.readers {
            let client = Client::new(self.clone(), &format!("consumer {n}"));
            self.scheduler.spawn(WORLD, Box::pin(client.consume()));
        }
        self.scheduler.spawn(WORLD, Box::pin(Nemesis::new(self.clone()).run()));
        let this = self.clone();
        self.scheduler.spawn(WORLD, Box::pin(async move { this.conclude().await }));
    }

    fn report(&self) -> Report {
        let auditor = self.auditor.borrow();
        Report {
            trace: self.trace.hash(),
            events: self.trace.events(),
            acked: auditor.acked_count,
            read: auditor.read_count,
            elections: auditor.elections,
            epochs: self.ledger.elections(),
            lives: self.brokers.iter().map(|broker| u64::from(broker.lives())).sum(),
            virtual_ms: self.scheduler.clock().now_us() / 1000,
        }
    }

    pub fn broker(&self, owner: Owner) -> &Rc<Broker> {
        &self.brokers[owner as usize - 1]
    }

    pub fn note(&self, event: &str, number: u64, good: bool) {
        self.trace.note(event, &[self.scheduler.clock().now_us(), number, good.into()]);
        self.tell(|| format!("{event} {number:#x} {good}"));
    }

    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.trace.is_told() {
            println!("{:>9} {}", self.scheduler.clock().now_us(), what());
        }
    }

    fn set_healed(&self) {
        self.phase.set(Phase::Healed);
    }

    /// Nothing goes wrong any more, and no new records are sent.
    pub fn is_healed(&self) -> bool {
        !matches!(self.phase.get(), Phase::Prepared | Phase::Faults)
    }

    pub fn is_over(&self) -> bool {
        matches!(self.phase.get(), Phase::Over | Phase::Checked)
    }

    /// What is to become of metadata takes its time.
    pub async fn be_late(&self) {
        let ms = match self.plan.faults.late_metadata && self.phase.get() == Phase::Faults {
            true => self.lateness.borrow_mut().below(800),
            false => self.lateness.borrow_mut().below(5),
        };
        self.scheduler.clock().sleep_ms(ms).await;
    }

    pub fn start(self: &Rc<Self>, owner: Owner) {
        let broker = self.broker(owner).clone();
        if !broker.runs.replace(true) {
            self.tell(|| format!("broker {owner} starts"));
            self.network.set_silent(owner, false);
            self.scheduler.spawn(owner, Box::pin(broker.live(self.clone())));
        }
    }

    /// The process ends where it stands; with the power goes what was not flushed.
    pub fn crash(&self, broker: &Rc<Broker>, power: bool) {
        let owner = broker.owner();
        broker.runs.set(false);
        self.network.set_silent(owner, true);
        self.network.drop_links_of(owner);
        drop(broker.life.take());
        self.scheduler.kill(owner);
        let disk = broker.disk.borrow().clone();
        broker.disk.replace(if power { disk.after_power_cut() } else { disk.as_after_kill() });
    }

    /// A lane from a follower to the broker that leads.
    pub async fn connect(self: &Rc<Self>, from: BrokerId, epoch: i64, to: BrokerId) -> Result<Lane, NoLane> {
        if !self.network.shake_hands(from.0, to.0).await {
            return Err(NoLane(format!("{to} is silent")));
        }
        let there = self.broker(to.0).life().ok_or_else(|| NoLane(format!("{to} starts")))?;
        let changes = [self.change(from, to), self.change(to, from)];
        let (near, far) = self.network.lane(from.0, to.0, self.plan.window_bytes, changes);
        let runtime: Rc<dyn Runtime> = there.runtime.clone();
        let (table, store, pace) = (there.table.clone(), there.store.clone(), Rc::new(Unhindered));
        let serving = serve_follower(runtime, table, store, pace, from, epoch, far);
        there.runtime.spawn(Box::pin(async move { drop(serving.await) }));
        Ok(near)
    }

    /// A lane for messages of the consensus.
    pub async fn connect_consensus(self: &Rc<Self>, from: BrokerId, to: BrokerId) -> Result<Lane, NoLane> {
        if !self.network.shake_hands(from.0, to.0).await {
            return Err(NoLane(format!("{to} is silent")));
        }
        let there = self.broker(to.0).life().ok_or_else(|| NoLane(format!("{to} starts")))?;
        let as_it_is: Change = Rc::new(|bytes| bytes);
        let (near, far) = self.network.lane(from.0, to.0, 1 << 20, [as_it_is.clone(), as_it_is]);
        let consensus = there.control.consensus().clone();
        there.runtime.spawn(Box::pin(async move { consensus.hear(from, far).await }));
        Ok(near)
    }

    /// Another broker's latest snapshot of the metadata, if it comes.
    pub async fn fetch_snapshot(&self, to: BrokerId, from: BrokerId) -> Option<(Position, Vec<u8>)> {
        if !self.network.shake_hands(to.0, from.0).await {
            return None;
        }
        // It is large, and comes in pieces.
        self.be_late().await;
        let there = self.broker(from.0);
        there.life()?;
        let snapshot = MetadataDisk(there.disk.borrow().clone()).latest_snapshot();
        self.be_late().await;
        if !self.network.travel(from.0, to.0).await {
            self.network.notice().await;
            return None;
        }
        snapshot
    }

    /// What becomes of frames between two brokers: with a bug, something else.
    fn change(self: &Rc<Self>, from: BrokerId, to: BrokerId) -> Change {
        let this = self.clone();
        let log_end = move |broker: BrokerId, id| {
            let life = this.broker(broker.0).life()?;
            life.table.find(id).map(|partition| (partition.log().ends().end, partition.leader_epoch()))
        };
        match self.plan.bug {
            Some(Bug::AcknowledgesReceived) => Rc::new(move |bytes| {
                rewritten(&bytes, |frame| {
                    if frame.kind == Kind::Acknowledged
                        && let Some((end, _)) = log_end(from, frame.id)
                    {
                        frame.first = end.0;
                    }
                })
            }),
            Some(Bug::IgnoresEpochs) => Rc::new(move |bytes| {
                rewritten(&bytes, |frame| {
                    if let Some((_, epoch)) = log_end(to, frame.id) {
                        frame.epoch = epoch;
                    }
                })
            }),
            _ => Rc::new(|bytes| bytes),
        }
    }

    /// After the faults: waits until all agree, and compares.
    async fn conclude(self: Rc<Self>) {
        let clock = self.scheduler.clock().clone();
        while !self.is_healed() {
            clock.sleep_ms(50).await;
        }
        let deadline = clock.now_us() + HEAL_MS * 1000;
        let mut calm = 0;
        while calm < 5 {
            clock.sleep_ms(50).await;
            let why =
                if self.clients.get() > 0 { Some("clients wait".to_owned()) } else { self.why_unsettled() };
            calm = if why.is_none() { calm + 1 } else { 0 };
            assert!(
                clock.now_us() < deadline,
                "seed {}: healed for {HEAL_MS} ms, and still {} (R1)",
                self.seed,
                why.unwrap_or_default()
            );
        }
        self.phase.set(Phase::Over);
        for &id in &self.partitions {
            self.compare(id).await;
        }
        self.phase.set(Phase::Checked);
    }

    /// Not all replicas of a partition are in sync, or have the same.
    fn why_unsettled(&self) -> Option<String> {
        let image = self.ledger.image();
        if let Some(why) = self.why_undecided() {
            return Some(why);
        }
        self.partitions.iter().find_map(|&id| {
            let placed = image.partition(id.topic, id.partition)?;
            if placed.isr.len() < placed.replicas.len() {
                let standings: Vec<_> =
                    placed.replicas.iter().map(|&replica| self.standing(replica, id)).collect();
                let standings = standings.join("; ");
                return Some(format!(
                    "of {id} only {:?} are in sync, in epoch {}: {standings}",
                    placed.isr, placed.leader_epoch
                ));
            }
            let ends: Option<Vec<_>> = placed
                .replicas
                .iter()
                .map(|&replica| {
                    let partition = self.broker(replica.0).life()?.table.find(id)?;
                    let ends = partition.log().ends();
                    (ends.acknowledged == ends.end && partition.watermarks().high == ends.end)
                        .then_some(ends.end)
                })
                .collect();
            match ends {
                Some(ends) if ends.iter().all(|end| *end == ends[0]) => None,
                _ => Some(format!("{id} is not the same everywhere")),
            }
        })
    }

    /// Who decides, of the latest that think so.
    pub fn controller(&self) -> Option<Rc<Life>> {
        let lives = self.brokers.iter().filter_map(|broker| broker.life());
        let active = lives.filter(|life| life.control.standing().active);
        active.max_by_key(|life| life.control.standing().epoch)
    }

    /// Nobody is the controller, or not all know what is committed.
    fn why_undecided(&self) -> Option<String> {
        if self.controller().is_none() {
            return Some("there is no controller".to_owned());
        }
        let offset = self.ledger.image().offset();
        let lives = self.brokers.iter().filter_map(|broker| broker.life());
        let behind = lives.into_iter().find(|life| life.control.published() < offset)?;
        let (known, consensus) = (behind.control.published(), behind.control.consensus());
        Some(format!(
            "broker {} acts on {known} of {offset}: {}",
            consensus.id(),
            consensus::describe(consensus)
        ))
    }

    /// All voters have the same log, durably, and follow the same leader.
    pub fn voters_agree(&self) -> bool {
        let mut settled =
            VOTERS.map(|id| consensus::settled_end(self.broker(id).life()?.control.consensus()));
        let first = settled.next().flatten();
        first.is_some_and(|(_, leader, _)| leader.is_some()) && settled.all(|other| other == first)
    }

    /// Everybody runs in the life and with the disk that the controller knows, and everything acknowledged is everywhere.
    pub fn is_on_all_replicas(&self) -> bool {
        let image = self.ledger.image();
        let all_in_sync = self.partitions.iter().all(|&id| {
            image
                .partition(id.topic, id.partition)
                .is_some_and(|placed| placed.isr.len() == placed.replicas.len())
        });
        let all_known = self.brokers.iter().all(|broker| {
            let life = broker.life();
            life.is_some_and(|life| image.broker(broker.id).is_some_and(|known| life.is_known_as(known)))
        });
        all_in_sync && all_known
    }

    /// For a sentence.
    fn standing(&self, replica: BrokerId, id: TopicPartition) -> String {
        let partition = self.broker(replica.0).life().and_then(|life| life.table.find(id));
        let Some(partition) = partition else { return format!("{replica} has no such log") };
        let (role, epoch) = (if partition.leads() { "leads" } else { "follows" }, partition.leader_epoch());
        format!(
            "{replica} {role} in epoch {epoch}, {:?}, last {:?}",
            partition.watermarks(),
            partition.log().last_position()
        )
    }

    async fn compare(&self, id: TopicPartition) {
        let image = self.ledger.image();
        let placed = image.partition(id.topic, id.partition).expect("it was created").clone();
        let mut first: Option<(BrokerId, Vec<Found>)> = None;
        for &replica in &placed.replicas {
            let life = self.broker(replica.0).life().expect("it runs");
            let log = read_all(&life, id).await;
            self.auditor.borrow().holds(id, replica, &log, clients::idempotent_producer);
            match &first {
                None => first = Some((replica, log)),
                Some((other, theirs)) => {
                    assert_eq!(theirs, &log, "seed {} {id}: {other} and {replica} differ (L11)", self.seed);
                }
            }
        }
    }
}

async fn read_all(life: &Life, id: TopicPartition) -> Vec<Found> {
    let partition = life.table.find(id).expect("it is open");
    let ends = partition.log().ends();
    let (mut found, mut from): (Vec<Found>, _) = (vec![], ends.start);
    while from < ends.end {
        let range = ReadRange { from, until: ends.end, bytes_max: 1 << 20, at_least_one: true };
        let read = life.store.read(partition.log(), range).await.expect("it is whole");
        let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
        found.extend(records_of(&bytes));
        from = found.last().expect("something is there").offset + 1;
    }
    found
}

/// A frame's header, or several of them, as something else says.
fn rewritten(bytes: &Bytes, change: impl Fn(&mut Frame)) -> Bytes {
    let Ok((mut frame, rest)) = Frame::decode(bytes) else { return bytes.clone() };
    change(&mut frame);
    let mut out = frame.encode().to_vec();
    if matches!(frame.kind, Kind::Follow | Kind::Acknowledged | Kind::Leave) && !rest.is_empty() {
        out.extend_from_slice(&rewritten(&Bytes::copy_from_slice(rest), change));
    } else {
        out.extend_from_slice(rest);
    }
    out.into()
}
