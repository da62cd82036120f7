//! One broker: production's store, table and streams, in one life after another on one disk, or on another one. What
//! `src/serve` does at the edge is done here in its way: a start, images, heartbeats, proposals, produce and fetch.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::Path,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use coordinator::{
    Image,
    controller::{AlterPartition, Heartbeat, IsrMember, PartitionIsr, RegisterBroker, names::METADATA_TOPIC},
    metadata::{Endpoint, Partition as Placed, PeerAddress, SecurityProtocol},
};
use engine::{Store, StoreOptions, journal, recovery::Recovery};
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, ShardId, TopicPartition};
use replication::{
    AppendRules, Isolation, Mark, Need, Partition, PartitionError, PartitionState, PartitionTable, Place,
    ReadFrom, Runtime, Serves, Ticket, Woken,
    stream::{Dial, NoLane, Replicator},
    transport::Lane,
};
use rt::{oneshot::Tx, pages::PagePool};

use super::{
    Cluster,
    auditor::{Found, records_of},
    consensus::Member,
    control::{Control, HEARTBEAT_MS, Outcome, Proposal, TOPIC},
    metadata_disk::{Loaded, MetadataDisk},
    plan::Bug,
    runtime::BrokerRuntime,
    scheduler::Owner,
};
use crate::{disk::SimDisk, random::Random, world::first_of};

pub const DATA: &str = "/data";
pub const CLUSTER_ID: &str = "c";
pub const MIN_INSYNC: usize = 2;
const IN_SYNC_MS: u64 = 50;
const LAG_MAX: Duration = Duration::from_millis(400);
const TICK_MS: u64 = 100;
const PAGES: usize = 64 << 20;

pub struct Broker {
    pub id: BrokerId,
    pub disk: RefCell<SimDisk>,
    pub life: RefCell<Option<Rc<Life>>>,
    /// Is it to run? It may be on its way up.
    pub runs: Cell<bool>,
    lives: Cell<u8>,
    /// Of the disk: another one for another disk.
    pub directory: Cell<[u8; 16]>,
    pub clock_percent: Cell<u64>,
    pub ahead_ms: Cell<i64>,
}

/// Where logs begin that lost their first records.
type LogStarts = BTreeMap<TopicPartition, Option<Offset>>;

/// From a start to the end, however it comes.
pub struct Life {
    pub runtime: Rc<BrokerRuntime>,
    pub store: Rc<Store<SimDisk>>,
    pub table: Rc<PartitionTable<SimDisk>>,
    replicator: Replicator<SimDisk>,
    pub control: Rc<Control>,
    /// What this broker acts on.
    pub image: RefCell<Arc<Image>>,
    incarnation: [u8; 16],
    epoch: Cell<i64>,
    starts: LogStarts,
    waiting: RefCell<BTreeMap<Ticket, Tx<Woken>>>,
}

/// What a producer is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Produced {
    Safe {
        base: Offset,
        epoch: LeaderEpoch,
    },
    /// It may be there all the same.
    Failed(String),
    /// The leader of this epoch lacks what the producer has sent before.
    OutOfOrder(LeaderEpoch),
}

/// What a consumer is told.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub epoch: LeaderEpoch,
    pub records: Vec<Found>,
    /// As ListOffsets tells it, if it is known.
    pub high: Option<Offset>,
}

impl Broker {
    pub fn new(id: BrokerId, disk: SimDisk) -> Rc<Self> {
        disk.mem().put(&Path::new(DATA).join("meta.properties"), vec![]);
        Rc::new(Self {
            id,
            disk: RefCell::new(disk),
            life: RefCell::default(),
            runs: Cell::new(false),
            lives: Cell::new(0),
            directory: Cell::new([id.0 as u8; 16]),
            clock_percent: Cell::new(100),
            ahead_ms: Cell::new(0),
        })
    }

    pub fn owner(&self) -> Owner {
        self.id.0
    }

    pub fn lives(&self) -> u8 {
        self.lives.get()
    }

    pub fn life(&self) -> Option<Rc<Life>> {
        self.life.borrow().clone()
    }

    /// Another disk, with nothing on it.
    pub fn replace_disk(&self, seed: u64, hidden: bool) {
        let disk = self.disk.borrow().with(engine::disk::mem::MemDisk::new(seed));
        disk.mem().put(&Path::new(DATA).join("meta.properties"), vec![]);
        self.disk.replace(disk);
        if !hidden {
            let [first, ..] = self.directory.get();
            self.directory.set([first.wrapping_add(100); 16]);
        }
    }

    /// One life, until it is killed.
    pub async fn live(self: Rc<Self>, cluster: Rc<Cluster>) {
        self.lives.set(self.lives.get() + 1);
        let incarnation = [self.id.0 as u8 + 10 * self.lives.get(); 16];
        let runtime = BrokerRuntime::new(
            cluster.scheduler.clone(),
            self.owner(),
            self.clock_percent.get(),
            self.ahead_ms.get(),
        );
        let life = self.begin(&cluster, incarnation, Rc::new(runtime)).await;
        let life = life.unwrap_or_else(|why| panic!("seed {}: broker {}: {why}", cluster.seed, self.id));
        self.start_pumps(&cluster, &life);
        self.life.replace(Some(life.clone()));
        start_consensus(&cluster, &life);
        life.control.start();
        life.runtime.spawn(Box::pin(self.clone().follow_images(cluster.clone(), life.clone())));
        life.runtime.spawn(Box::pin(self.clone().keep_in_sync(cluster.clone(), life.clone())));
        self.stay(&life).await;
    }

    async fn begin(
        self: &Rc<Self>,
        cluster: &Rc<Cluster>,
        incarnation: [u8; 16],
        runtime: Rc<BrokerRuntime>,
    ) -> Result<Rc<Life>, String> {
        let disk = self.disk.borrow().clone();
        let (loaded, starts) = self.recover(&disk).await?;
        let options = StoreOptions {
            data_dir: DATA.into(),
            shard: 0,
            salt: u64::from(self.lives.get()) << 8 | self.id.0 as u64,
            journal_bytes_first: 64 << 10,
            journal_bytes_max: cluster.plan.journal_bytes,
            cache_bytes_max: 1 << 20,
            checkpoint_ms: 200,
        };
        let pools = (PagePool::new(PAGES), PagePool::new(journal::POOL_BYTES));
        let store = Store::start(disk.clone(), pools.0, pools.1, options).await;
        let store = store.map_err(|why| why.to_string())?;
        let table = Rc::new(PartitionTable::default());
        let partition = self.open_metadata_log(cluster, &store, &loaded, &runtime).await?;
        let member = Member {
            cluster: cluster.clone(),
            id: self.id,
            runtime: runtime.clone(),
            random: Random::stream(cluster.seed, &format!("broker {} life {}", self.id, self.lives.get())),
            disk: MetadataDisk(disk),
            loaded,
            store: store.clone(),
            partition: table.insert(partition),
        };
        let consensus = member.join()?;
        let dial = Rc::new(Door { broker: self.clone(), cluster: cluster.clone(), incarnation });
        Ok(Rc::new(Life {
            replicator: Replicator::new(runtime.clone(), table.clone(), store.clone(), dial),
            control: Control::new(cluster.clone(), runtime.clone(), consensus),
            runtime,
            store,
            table,
            image: RefCell::new(Arc::new(Image::new(CLUSTER_ID))),
            incarnation,
            epoch: Cell::new(-1),
            starts,
            waiting: RefCell::default(),
        }))
    }

    /// The metadata log comes first: it names the topics.
    async fn recover(&self, disk: &SimDisk) -> Result<(Loaded, LogStarts), String> {
        let recovery = Recovery::scan(disk.clone(), PagePool::new(PAGES), Path::new(DATA)).await;
        let recovery = recovery.map_err(|why| why.to_string())?;
        let restored = recovery.restore(TopicPartition::METADATA, METADATA_TOPIC).await;
        restored.map_err(|why| why.to_string())?;
        let loaded = MetadataDisk(disk.clone()).load()?;
        let mut starts = LogStarts::new();
        for topic in loaded.image.topics() {
            for (index, _) in (0..).zip(&topic.partitions).filter(|(_, p)| p.replicas.contains(&self.id)) {
                let id = TopicPartition::new(topic.id, PartitionIndex(index));
                recovery.restore(id, &topic.name).await.map_err(|why| why.to_string())?;
                starts.insert(id, recovery.log_start(id));
            }
        }
        recovery.finish().await.map_err(|why| why.to_string())?;
        Ok((loaded, starts))
    }

    async fn open_metadata_log(
        &self,
        cluster: &Cluster,
        store: &Rc<Store<SimDisk>>,
        loaded: &Loaded,
        runtime: &BrokerRuntime,
    ) -> Result<Partition<SimDisk>, String> {
        let (id, config) = (TopicPartition::METADATA, cluster.plan.metadata_log);
        let log = store.open_log(id, METADATA_TOPIC, config, None, runtime.wall()).await;
        let log = log.map_err(|why| why.to_string())?;
        // The snapshot came from another broker, and the log that it replaces was not emptied any more.
        if log.ends().end < loaded.start.offset || loaded.tail.is_other() {
            store.restart_at(&log, loaded.start.offset).await.map_err(|why| why.to_string())?;
        }
        let state = PartitionState {
            leader: None,
            leader_epoch: LeaderEpoch(0),
            replicas: vec![self.id],
            isr: vec![],
            isr_min: 1,
            partition_epoch: 0,
        };
        Ok(Partition::new(self.id, log, &state, runtime.now()))
    }

    fn start_pumps(&self, cluster: &Rc<Cluster>, life: &Rc<Life>) {
        let (seed, id) = (cluster.seed, self.id);
        let running = life.clone();
        life.runtime.spawn(Box::pin(async move {
            running.table.run_commits(&running.store).await;
            panic!("seed {seed}: the store of broker {id} failed");
        }));
        let running = life.clone();
        life.runtime.spawn(Box::pin(async move {
            loop {
                first_of(running.store.maintenance_wanted(), running.runtime.sleep_ms(TICK_MS)).await;
                running.store.maintain(running.runtime.wall()).await;
            }
        }));
        let running = life.clone();
        life.runtime.spawn(Box::pin(async move { running.store.read_ahead().await }));
        let running = life.clone();
        life.runtime.spawn(Box::pin(async move {
            loop {
                for (ticket, why) in running.table.woken().await {
                    if let Some(waits) = running.waiting.borrow_mut().remove(&ticket) {
                        // Whoever waited may be gone.
                        let _ = waits.send(why);
                    }
                }
            }
        }));
        let running = life.clone();
        life.runtime.spawn(Box::pin(async move {
            loop {
                running.runtime.sleep_ms(20).await;
                running.table.expire(running.runtime.now());
            }
        }));
    }

    /// Acts on what is committed, each time as it is then, for ever.
    async fn follow_images(self: Rc<Self>, cluster: Rc<Cluster>, life: Rc<Life>) {
        loop {
            let changed = life.control.consensus().changed().wait();
            let image = life.control.consensus().image();
            if image.offset() > life.control.published() {
                cluster.be_late().await;
                self.follow(&cluster, &life, image.clone()).await;
                life.control.publish(image.offset());
            } else {
                changed.await;
            }
        }
    }

    async fn follow(&self, cluster: &Cluster, life: &Life, image: Arc<Image>) {
        for &id in &cluster.partitions {
            let Some(placed) = image.partition(id.topic, id.partition) else { continue };
            if !placed.replicas.contains(&self.id) {
                continue;
            }
            let mut state = state_of(placed, cluster.plan.bug);
            let has_registered =
                image.broker(self.id).is_some_and(|known| known.incarnation == life.incarnation);
            let takes_up = cluster.plan.bug == Some(Bug::TakesUpOldLeadership);
            if state.leader == Some(self.id) && !has_registered && !takes_up {
                state.leader = None;
            }
            match life.table.find(id) {
                Some(partition) => {
                    partition.uncut().await;
                    self.cut_to_high(cluster, life, &partition, &state).await;
                    if partition.set_state(&state, life.runtime.now()) {
                        life.table.look_again(id);
                    }
                    life.table.moved(&partition);
                }
                None => {
                    let start = life.starts.get(&id).copied().flatten();
                    let opened = life.store.open_log(id, TOPIC, cluster.plan.log, start, life.runtime.wall());
                    let log = opened.await.unwrap_or_else(|why| {
                        panic!("seed {}: broker {} cannot open {id}: {why}", cluster.seed, self.id)
                    });
                    life.table.insert(Partition::new(self.id, log, &state, life.runtime.now()));
                }
            }
            let partition = life.table.find(id).expect("it is open");
            if partition.leads() {
                let end = partition.log().ends().end;
                cluster.auditor.borrow_mut().leads(id, self.id, partition.leader_epoch(), end);
            }
            match placed.leader.filter(|leader| *leader != self.id) {
                Some(leader) => {
                    let unclean = placed.unclean_epoch;
                    life.replicator.follow(id, leader, ShardId(0), placed.leader_epoch, unclean);
                }
                None => life.replicator.leave(id),
            }
        }
        life.image.replace(image);
    }

    async fn cut_to_high(
        &self,
        cluster: &Cluster,
        life: &Life,
        partition: &Partition<SimDisk>,
        state: &PartitionState,
    ) {
        let begins = state.leader_epoch > partition.leader_epoch() && state.leader != Some(self.id);
        if cluster.plan.bug == Some(Bug::CutsToHigh) && begins && !partition.leads() {
            let to = partition.watermarks().high;
            drop(partition.truncate(&life.store, partition.leader_epoch(), to, true).await);
        }
    }

    /// Registers, and says again and again that it lives, as `src/serve/membership.rs` does it.
    async fn stay(&self, life: &Life) {
        loop {
            if life.epoch.get() < 0 {
                self.register(life).await;
            }
            self.beat(life).await;
            life.runtime.sleep_ms(HEARTBEAT_MS).await;
        }
    }

    async fn register(&self, life: &Life) {
        let asked = registration(self.id, life.incarnation, self.directory.get());
        loop {
            if let Some(Outcome::Register(Ok(()))) =
                life.control.propose(Proposal::Register(asked.clone())).await
            {
                let image = life.control.consensus().image();
                return life.epoch.set(image.broker(self.id).map_or(-1, |known| known.epoch));
            }
            // The directory is another one, and the session of the one before not over.
            life.runtime.sleep_ms(HEARTBEAT_MS).await;
        }
    }

    async fn beat(&self, life: &Life) {
        let heartbeat = Heartbeat {
            broker: self.id,
            broker_epoch: life.epoch.get(),
            metadata_offset: life.control.published(),
            want_fence: false,
            want_shut_down: false,
        };
        if let Some((Outcome::Heartbeat(Err(_)), _)) =
            life.control.settle(Proposal::Heartbeat(heartbeat)).await
        {
            life.epoch.set(-1);
        }
    }

    /// As `src/serve/in_sync.rs` does it.
    async fn keep_in_sync(self: Rc<Self>, cluster: Rc<Cluster>, life: Rc<Life>) {
        loop {
            life.runtime.sleep_ms(IN_SYNC_MS).await;
            let image = life.image.borrow().clone();
            let may_lead =
                |broker: BrokerId| image.broker(broker).is_some_and(coordinator::metadata::Broker::is_active);
            let now = life.runtime.now();
            let wanted = life.table.all().into_iter().filter_map(|partition| {
                let (leader_epoch, proposal) = partition.propose_isr(LAG_MAX, may_lead, now)?;
                let mut isr: Vec<IsrMember> = proposal
                    .isr
                    .iter()
                    .zip(&proposal.lives)
                    .map(|(&broker, &broker_epoch)| IsrMember { broker, broker_epoch })
                    .collect();
                if cluster.plan.bug == Some(Bug::CountsOldLives) {
                    isr.iter_mut().for_each(|member| member.broker_epoch = None);
                }
                let (topic, index) = (partition.id().topic, partition.id().partition);
                let partition_epoch = proposal.partition_epoch;
                Some((partition, PartitionIsr { topic, index, leader_epoch, partition_epoch, isr }))
            });
            let mut wanted: Vec<_> = wanted.collect();
            if cluster.plan.bug == Some(Bug::LetsInEarly) {
                let early = self.early(&cluster, &life, &image);
                let named = |id| wanted.iter().any(|(partition, _)| partition.id() == id);
                let more: Vec<_> =
                    early.into_iter().filter(|(partition, _)| !named(partition.id())).collect();
                wanted.extend(more);
            }
            if !wanted.is_empty() {
                self.propose(&cluster, &life, &wanted).await;
            }
        }
    }

    /// Whom a leader would let in that asked only for what clients saw.
    fn early(
        &self,
        cluster: &Cluster,
        life: &Life,
        image: &Image,
    ) -> Vec<(Rc<Partition<SimDisk>>, PartitionIsr)> {
        let led = life.table.all().into_iter().filter(|partition| partition.leads());
        let early = led.filter_map(|partition| {
            let id = partition.id();
            let placed = image.partition(id.topic, id.partition)?;
            let has = |broker: &&Rc<Broker>| {
                let replica = broker.life().and_then(|life| life.table.find(id));
                replica
                    .is_some_and(|replica| replica.log().ends().acknowledged >= partition.watermarks().high)
            };
            let out = |broker: &&Rc<Broker>| {
                placed.replicas.contains(&broker.id) && !placed.isr.contains(&broker.id)
            };
            let comes = cluster.brokers.iter().filter(out).find(has)?.id;
            let isr = placed.isr.iter().copied().chain([comes]).map(IsrMember::from).collect();
            let (leader_epoch, partition_epoch) = (placed.leader_epoch, placed.partition_epoch);
            let part =
                PartitionIsr { topic: id.topic, index: id.partition, leader_epoch, partition_epoch, isr };
            Some((partition, part))
        });
        early.collect()
    }

    async fn propose(
        &self,
        cluster: &Cluster,
        life: &Life,
        wanted: &[(Rc<Partition<SimDisk>>, PartitionIsr)],
    ) {
        let known = life.image.borrow().broker(self.id).map(|known| known.epoch);
        let Some(broker_epoch) = known else { return };
        let parts: Vec<PartitionIsr> = wanted.iter().map(|(_, part)| part.clone()).collect();
        let asked = Proposal::AlterPartition(AlterPartition { broker: self.id, broker_epoch, parts });
        let forgets = cluster.plan.bug == Some(Bug::ForgetsProposals);
        let codes = loop {
            match life.control.propose(asked.clone()).await {
                Some(Outcome::AlterPartition(Ok(codes))) => break codes,
                Some(_) => break vec![ErrorCode::UnknownServerError; wanted.len()],
                None if forgets => break vec![ErrorCode::UnknownServerError; wanted.len()],
                // It may be granted: until that is known it is neither refused nor replaced by another.
                None => {}
            }
            let still_leads = |(partition, part): &(Rc<Partition<SimDisk>>, PartitionIsr)| {
                partition.leads() && partition.leader_epoch() == part.leader_epoch
            };
            if !wanted.iter().any(still_leads) {
                return;
            }
            life.runtime.sleep_ms(IN_SYNC_MS).await;
        };
        for ((partition, part), code) in wanted.iter().zip(codes) {
            if code != ErrorCode::None {
                partition.isr_refused(part.partition_epoch);
            }
        }
    }
}

impl Life {
    pub fn is_known_as(&self, known: &coordinator::metadata::Broker) -> bool {
        known.incarnation == self.incarnation && !known.fenced
    }

    /// Clients are served once this life is part of the cluster.
    fn has_entered(&self, broker: BrokerId) -> bool {
        let image = self.image.borrow();
        image.broker(broker).is_some_and(|known| !known.fenced && known.incarnation == self.incarnation)
    }

    /// As `net::owner` does it, with acks=all.
    pub async fn produce(
        &self,
        broker: BrokerId,
        id: TopicPartition,
        batch: Vec<u8>,
        patience: Duration,
    ) -> Produced {
        let partition = self.table.find(id).filter(|_| self.has_entered(broker));
        let Some(partition) = partition else {
            return Produced::Failed("it is not part of the cluster".to_owned());
        };
        let epoch = partition.leader_epoch();
        let rules = AppendRules { isr_min: MIN_INSYNC };
        let appended = partition.append(&self.store, &batch, rules, self.runtime.wall());
        self.table.moved(&partition);
        let appended = match appended {
            Ok(appended) => appended,
            Err(PartitionError::Append(engine::AppendError::OutOfOrderSequence)) => {
                return Produced::OutOfOrder(epoch);
            }
            Err(why) => return Produced::Failed(why.to_string()),
        };
        let place = Place { id, mark: Mark::High, until: appended.next_offset };
        let (tx, rx) = rt::oneshot();
        let ticket = self.table.park(&[place], Need::All, self.runtime.now() + patience);
        self.waiting.borrow_mut().insert(ticket, tx);
        // Reached or not: what counts is looked at now.
        let _ = rx.await;
        let ours = partition.leads() && partition.leader_epoch() == epoch;
        let reached = partition.watermarks().high >= appended.next_offset;
        let enough = partition.isr_count().is_some_and(|count| count >= MIN_INSYNC);
        if ours && reached && enough {
            Produced::Safe { base: appended.base_offset, epoch }
        } else {
            Produced::Failed(format!("ours {ours}, reached {reached}, enough in sync {enough}"))
        }
    }

    pub async fn fetch(
        &self,
        broker: BrokerId,
        id: TopicPartition,
        from: Offset,
        epoch: LeaderEpoch,
    ) -> Option<Fetched> {
        let partition = self.table.find(id).filter(|_| self.has_entered(broker))?;
        partition.check_epoch(epoch).ok()?;
        let epoch = partition.leader_epoch();
        let high = partition.check_end_known().ok().map(|()| partition.watermarks().high);
        let (isolation, serves) = (Isolation::Uncommitted, Serves::Leader);
        let read = ReadFrom { offset: from, bytes_max: 4096, at_least_one: true, isolation, serves };
        let read = partition.read(&self.store, read).await.ok()?;
        let bytes: Vec<u8> = read.slices.iter().flat_map(|slice| slice.to_vec()).collect();
        Some(Fetched { epoch, records: records_of(&bytes), high })
    }
}

pub fn registration(id: BrokerId, incarnation: [u8; 16], directory_id: [u8; 16]) -> RegisterBroker {
    let endpoint = Endpoint {
        listener: "PLAINTEXT".to_owned(),
        protocol: SecurityProtocol::Plaintext,
        host: "h".to_owned(),
        port: 9092,
    };
    RegisterBroker {
        id,
        incarnation,
        rack: None,
        endpoints: vec![endpoint],
        peer: Some(PeerAddress { host: "h".to_owned(), port: 9090, shards: 1 }),
        directory_id,
        fenced: true,
    }
}

fn state_of(placed: &Placed, bug: Option<Bug>) -> PartitionState {
    PartitionState {
        leader: placed.leader,
        leader_epoch: placed.leader_epoch,
        replicas: placed.replicas.clone(),
        isr: placed.isr.clone(),
        isr_min: if bug == Some(Bug::MovesBelowMinimum) { 1 } else { MIN_INSYNC },
        partition_epoch: placed.partition_epoch,
    }
}

/// How a broker's streams reach others.
struct Door {
    broker: Rc<Broker>,
    cluster: Rc<Cluster>,
    incarnation: [u8; 16],
}

impl Dial for Door {
    fn lane(
        &self,
        leader: BrokerId,
        _shard: ShardId,
    ) -> Pin<Box<dyn Future<Output = Result<Lane, NoLane>> + '_>> {
        Box::pin(async move {
            let life = self.broker.life().ok_or_else(|| NoLane("it starts".to_owned()))?;
            let epoch = life
                .image
                .borrow()
                .broker(self.broker.id)
                .filter(|known| known.incarnation == self.incarnation)
                .map(|known| known.epoch);
            let epoch = epoch.ok_or_else(|| NoLane("it has not registered".to_owned()))?;
            self.cluster.connect(self.broker.id, epoch, leader).await
        })
    }
}

fn start_consensus(cluster: &Cluster, life: &Life) {
    let (running, seed) = (life.control.consensus().clone(), cluster.seed);
    life.runtime.spawn(Box::pin(async move {
        let Err(why) = running.run().await;
        panic!("seed {seed}: the consensus of broker {} failed: {why}", running.id());
    }));
    let running = life.control.consensus().clone();
    life.runtime.spawn(Box::pin(async move { running.run_persisted().await }));
}
