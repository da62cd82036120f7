//! One shard from its start to its stop: its rooms are built, its logs opened, its pumps started, and at the end its
//! store is closed. Every shard runs this; shard 0 also recovers, and decides about metadata.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use anyhow::{Context, anyhow};
use coordinator::{
    Image,
    controller::RegisterBroker,
    metadata::{Broker, PeerAddress},
    raft::{self, Node, RaftConfig, Stored},
    throttle::Seat,
};
use engine::{Store, StoreOptions, disk::ring::RingDisk, journal};
use model::{BrokerId, Offset, TopicPartition};
use net::{About, Admission, Message, MetricsServer, Server, Shard, ShardParts, control::CONTROL_SHARD};
use quorum::{Consensus, Reach, Unwatched};
use replication::{
    OnShard, PartitionTable,
    stream::{Dial, Replicator, serve_follower},
    transport::{Endpoint, EndpointOptions},
};
use rt::{
    Mesh, MeshBuilder,
    net::{ListenOptions, Listener},
};

use super::{
    checkpoints,
    cleaner::Cleaner,
    control::Control,
    housekeeping::Housekeeping,
    in_sync,
    membership::Membership,
    metadata_log::{self, Loaded},
    metadata_snapshot::Snapshots,
    partitions::{Partitions, metadata_partition},
    peers::{Opened, Peers, Purpose},
    process::{ClosedLog, Cluster, Plan, Process},
    quorum_state::QuorumState,
    recover::{self, Recovered},
    removals::Removals,
    repair,
    retention::Retention,
    scrubber::Scrubber,
    snapshot_lane, stray,
    throttle::Throttle,
    voter_disk::{VoterDisk, run_hints},
};

/// Prewritten before a shard takes its first record: enough for a busy first moment, little enough to start at once.
const JOURNAL_BYTES_FIRST: u64 = 4 << 20;
const JOURNAL_BYTES_MAX: u64 = 256 << 20;
/// Of the page budget, what cold reads may keep.
const CACHE_SHARE: usize = 4;
/// Bounds what a recovery has to look at, beside the size of the journal.
const CHECKPOINT_MS: i64 = 30_000;
/// Kafka's default.
const DELETE_DELAY_MS: u64 = 60_000;
/// How long the stop waits for requests under way; a consumer's long poll may take longer, and is cut.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// How long the stop waits for folders of deleted topics to go.
const REMOVAL_LIMIT: Duration = Duration::from_secs(2);
/// How long the stop waits for the last commits.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const IDLE_PAUSE: Duration = Duration::from_millis(1);

type Disk = RingDisk;

pub async fn run(process: Arc<Process>, mesh: MeshBuilder<Message>, shard: rt::Shard) {
    let id = shard.id;
    if let Err(error) = live(&process, mesh, shard).await {
        process.fail(error.context(format!("shard {id}")));
    }
}

async fn live(process: &Arc<Process>, mesh: MeshBuilder<Message>, shard: rt::Shard) -> anyhow::Result<()> {
    let mesh = mesh.join(shard.id).await;
    let disk = RingDisk::new(shard.ring.clone());
    let table = Rc::new(PartitionTable::default());
    let (store, stored) = if shard.id == CONTROL_SHARD {
        let (store, stored) = begin(process, &shard, disk, &table).await?;
        (store, Some(stored))
    } else {
        process.meet_recovered().await;
        (start_store(process, &shard, disk).await?, None)
    };
    let rooms = Rooms::build(process, &mesh, &shard, store, table)?;
    rooms.start_pumps(&mesh);
    let member = stored.map(|stored| rooms.join_consensus(process, stored)).transpose()?;
    rooms.serve_peers(member.as_ref());
    if shard.id == CONTROL_SHARD {
        rooms.serve_metrics(process, &shard)?;
    }
    let serves = async {
        match &member {
            Some(member) => {
                member.membership.enter().await?;
                process.set_entered();
            }
            None => process.meet_entered().await,
        }
        rooms.listen(process)?;
        if rooms.peers.is_some() {
            rooms.scrubber.start(rooms.shard.clone());
        }
        if shard.id == CONTROL_SHARD {
            rooms.adopt_deleted(process)?;
            rooms.announce(process, &shard).await;
        }
        anyhow::Ok(())
    };
    let mut signal = pin!(rt::signal::termination(&shard.ring));
    // A broker that waits for the others of its cluster can be stopped as well.
    let early = match first_of(serves, signal.as_mut()).await {
        First::Left(served) => {
            served?;
            None
        }
        First::Right(signal) => Some(signal),
    };
    let signal = match early {
        Some(signal) => signal,
        None => signal.await,
    };
    let signal = signal.context("waiting for signals")?;
    if shard.id == CONTROL_SHARD {
        tracing::info!("{signal}: stopping");
    }
    if let Some(member) = &member {
        member.membership.leave().await;
        process.set_left();
    }
    process.meet_left().await;
    rooms.stop(process).await
}

enum First<L, R> {
    Left(L),
    Right(R),
}

/// The other one is dropped, or can be waited for again.
async fn first_of<L, R>(left: impl Future<Output = L>, right: impl Future<Output = R>) -> First<L, R> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    poll_fn(|cx| {
        if let Poll::Ready(left) = left.as_mut().poll(cx) {
            return Poll::Ready(First::Left(left));
        }
        right.as_mut().poll(cx).map(First::Right)
    })
    .await
}

/// What this broker knew of the metadata when it stopped.
struct Known {
    file: QuorumState,
    stored: Stored,
    /// The metadata where `stored` begins.
    snapshot: Image,
    /// Where the others were, committed or not.
    addresses: BTreeMap<BrokerId, PeerAddress>,
}

/// Shard 0's part before partitions may be opened: the directory is made whole.
async fn begin(
    process: &Process,
    shard: &rt::Shard,
    disk: Disk,
    table: &PartitionTable<Disk>,
) -> anyhow::Result<(Rc<Store<Disk>>, Known)> {
    let plan = &process.plan;
    let file = QuorumState::new(&plan.data_dir);
    let hard_state = file.read()?;
    // A broker alone commits whatever it writes.
    let committed = if plan.cluster.is_some() { file.read_committed() } else { Offset(i64::MAX) };
    let Recovered { loaded, log_starts, cleaned, damaged } = if plan.clean {
        let loaded = metadata_log::load(&plan.data_dir, &plan.cluster_id, committed)?;
        let log_starts = checkpoints::read_log_starts(&plan.data_dir, &loaded.image)?;
        let cleaned = checkpoints::read_cleaner_offsets(&plan.data_dir, &loaded.image)?;
        Recovered { loaded, log_starts, cleaned, damaged: BTreeMap::new() }
    } else {
        let (pages, broker) = (shard.pages.clone(), plan.config.node_id);
        let recovered =
            recover::run(disk.clone(), pages, &plan.data_dir, &plan.cluster_id, broker, committed).await;
        recovered.context("the data directory cannot be recovered")?
    };
    process.set_recovered(log_starts, cleaned, damaged);
    let store = start_store(process, shard, disk).await?;
    let log = metadata_log::open(&store).await?;
    // The snapshot came from another broker, and the log that it replaces was not emptied any more.
    if log.ends().end < loaded.start.offset || loaded.tail.is_other() {
        let emptied = store.restart_at(&log, loaded.start.offset).await;
        emptied.map_err(|error| anyhow!("the metadata log cannot begin anew: {error}"))?;
    }
    table.insert(metadata_partition(plan.config.node_id, log));
    let voters = match &plan.cluster {
        Some(cluster) => cluster.quorum.voters.iter().map(|voter| voter.id).collect(),
        None => [plan.config.node_id].into_iter().collect(),
    };
    let address = |broker: &Broker| Some((broker.id, broker.peer.clone()?));
    let addresses = loaded.image.brokers().filter_map(address).collect();
    let Loaded { start, snapshot, entries, .. } = loaded;
    let voters = loaded.voters.unwrap_or(voters);
    let stored = Stored { hard_state, start, voters, entries };
    Ok((store, Known { file, stored, snapshot, addresses }))
}

async fn start_store(process: &Process, shard: &rt::Shard, disk: Disk) -> anyhow::Result<Rc<Store<Disk>>> {
    let options = StoreOptions {
        data_dir: process.plan.data_dir.clone(),
        shard: shard.id.0,
        salt: uuid::Uuid::new_v4().as_u64_pair().0,
        journal_bytes_first: JOURNAL_BYTES_FIRST,
        journal_bytes_max: JOURNAL_BYTES_MAX,
        cache_bytes_max: shard.pages.budget_bytes() / CACHE_SHARE,
        checkpoint_ms: CHECKPOINT_MS,
    };
    let store = Store::start(disk, shard.pages.clone(), journal::page_pool(), options)
        .await
        .context("the journal cannot be started")?;
    let owned = process.cleaned().iter().filter(|(log, _)| log.owner(shard.count) == shard.id);
    store.know_cleaned(owned.map(|(&log, &offset)| (log, offset)));
    Ok(store)
}

/// What a running shard is made of.
struct Rooms {
    shard: Rc<Shard<Disk>>,
    store: Rc<Store<Disk>>,
    partitions: Rc<Partitions<Disk>>,
    removals: Rc<Removals>,
    housekeeping: Housekeeping,
    cleaner: Cleaner,
    scrubber: Scrubber,
    retention: Retention,
    throttle: Rc<Throttle>,
    server: Rc<Server<Disk>>,
    admission: Arc<Admission>,
    /// Of a cluster.
    peers: Option<Rc<Peers>>,
}

/// Shard 0's part in the cluster.
struct Member {
    consensus: Rc<Consensus<Disk>>,
    control: Rc<Control<Disk>>,
    membership: Rc<Membership<Disk>>,
}

impl Rooms {
    fn build(
        process: &Arc<Process>,
        mesh: &Mesh<Message>,
        shard: &rt::Shard,
        store: Rc<Store<Disk>>,
        table: Rc<PartitionTable<Disk>>,
    ) -> anyhow::Result<Self> {
        let plan = &process.plan;
        let image = Arc::new(Image::new(&plan.cluster_id));
        let peers = plan.cluster.as_ref().map(|cluster| open_peers(cluster, plan, shard, image.clone()));
        let peers = peers.transpose()?;
        let replicator = peers.as_ref().map(|peers| {
            let dial: Rc<dyn Dial> = peers.clone();
            Rc::new(Replicator::new(Rc::new(OnShard), table.clone(), store.clone(), dial))
        });
        let removals = Rc::new(Removals::default());
        let (table_of, removals_of) = (table.clone(), removals.clone());
        let partitions =
            Partitions::new(shard, process.clone(), store.clone(), table_of, removals_of, replicator);
        let partitions = Rc::new(partitions);
        let parts = ShardParts {
            id: shard.id,
            count: shard.count,
            config: plan.config.clone(),
            image,
            store: store.clone(),
            table,
            link: Rc::new(mesh.clone()),
            clock: net::Clock::system(),
            host: plan.host.clone(),
        };
        let rooms = Shard::new(parts);
        let server = Server::new(rooms.clone(), shard.ring.clone(), process.admission.clone());
        let (housekeeping, cleaner, scrubber, retention) = Default::default();
        let seat = Seat { broker: plan.config.node_id, shard: shard.id, shard_count: shard.count };
        let throttle = Rc::new(Throttle::new(seat));
        let admission = process.admission.clone();
        Ok(Self {
            shard: rooms,
            store,
            partitions,
            removals,
            housekeeping,
            cleaner,
            scrubber,
            retention,
            throttle,
            server,
            admission,
            peers,
        })
    }

    /// Shard 0: this broker takes part in deciding about the metadata, or follows it.
    fn join_consensus(&self, process: &Arc<Process>, known: Known) -> anyhow::Result<Member> {
        let plan = &process.plan;
        let id = plan.config.node_id;
        let mut config = RaftConfig::new(id);
        config.election_timeout = plan.config.election_timeout();
        config.heartbeat = config.election_timeout / 5;
        if let Some(cluster) = &plan.cluster {
            config.contacts = cluster.quorum.voters.iter().map(|voter| voter.id).collect();
        }
        let Known { file, stored, snapshot, addresses } = known;
        if let Some(peers) = &self.peers {
            peers.remember(addresses);
        }
        let cx = raft::Context { now: rt::timer::now(), random: random() };
        let node = Node::new(config, stored, cx);
        let partition =
            self.shard.table().find(TopicPartition::METADATA).context("the metadata log is open")?;
        let bytes = plan.config.metadata_log_max_record_bytes_between_snapshots;
        let keep = VoterDisk {
            state: file.clone(),
            snapshots: Snapshots::new(&plan.data_dir),
            cluster_id: plan.cluster_id.clone(),
        };
        let consensus = Consensus::new(quorum::Parts {
            node,
            store: self.store.clone(),
            partition,
            image: snapshot,
            snapshot_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
            runtime: Rc::new(OnShard),
            random: Box::new(random),
            keep: Rc::new(keep),
            reach: self.peers.clone().map(|peers| peers as Rc<dyn Reach>),
            watch: Rc::new(Unwatched),
        });
        let (running, failing) = (consensus.clone(), process.clone());
        rt::spawn(async move {
            let Err(error) = running.run().await;
            failing.fail(anyhow!("{error}"));
        });
        let running = consensus.clone();
        rt::spawn(async move { running.run_persisted().await });
        if self.peers.is_some() {
            let running = consensus.clone();
            rt::spawn_background(run_hints(running, file));
        }
        let control = Control::new(self.shard.clone(), consensus.clone(), self.peers.clone());
        control.start();
        let membership = Membership::new(control.clone(), self.registration(process), self.peers.is_some());
        Ok(Member { consensus, control, membership })
    }

    fn registration(&self, process: &Process) -> RegisterBroker {
        let plan = &process.plan;
        let host = host_name();
        let mut asked = RegisterBroker::from_config(&plan.config, plan.incarnation, &host);
        asked.directory_id = plan.host.directory_id;
        if let Some(cluster) = &plan.cluster {
            let named = cluster.quorum.listener.host.clone();
            asked.fenced = true;
            asked.peer = Some(PeerAddress {
                host: if named.is_empty() { host } else { named },
                port: cluster.address.port(),
                shards: self.shard.count(),
            });
        }
        asked
    }

    /// Takes what other brokers say to this shard.
    fn serve_peers(&self, member: Option<&Member>) {
        let Some(peers) = self.peers.clone() else { return };
        let snapshots = Snapshots::new(self.store.data_dir());
        let (table, store) = (self.shard.table().clone(), self.store.clone());
        let consensus = member.map(|member| member.consensus.clone());
        let control = member.map(|member| member.control.clone());
        let throttle = self.throttle.clone();
        let serve = move |opened: Opened| {
            let (table, store, snapshots) = (table.clone(), store.clone(), snapshots.clone());
            let (consensus, control, pace) = (consensus.clone(), control.clone(), throttle.clone());
            async move {
                let Opened { broker, epoch, purpose, lane } = opened;
                match (purpose, consensus, control) {
                    (Purpose::Consensus, Some(consensus), _) => consensus.hear(broker, lane).await,
                    (Purpose::Control, _, Some(control)) => control.serve_calls(broker, lane).await,
                    (Purpose::Snapshot, _, _) => {
                        if let Err(error) = snapshot_lane::serve(snapshots, lane).await {
                            tracing::debug!(%broker, %error, "a snapshot could not be sent");
                        }
                    }
                    (Purpose::Replication, _, _) => {
                        if let Err(error) =
                            serve_follower(Rc::new(OnShard), table, store, pace, broker, epoch, lane).await
                        {
                            tracing::debug!(%broker, %error, "a follower's lane ended");
                        }
                    }
                    _ => tracing::warn!(%broker, "it speaks to the wrong shard"),
                }
            }
        };
        rt::spawn(async move { peers.accept(serve).await });
        rt::spawn(in_sync::run(self.shard.clone()));
        rt::spawn(repair::run(self.shard.clone(), self.partitions.clone()));
    }

    fn start_pumps(&self, mesh: &Mesh<Message>) {
        self.shard.spawn_pumps();
        let (shard, mesh) = (self.shard.clone(), mesh.clone());
        rt::spawn(async move { shard.run_mesh(mesh).await });
        let (shard, partitions) = (self.shard.clone(), self.partitions.clone());
        let (admission, peers, throttle) =
            (self.admission.clone(), self.peers.clone(), self.throttle.clone());
        admission.follow(&shard.config());
        rt::spawn(async move {
            follow_images(&shard, &partitions, &admission, &throttle, peers.as_deref()).await;
        });
        let (store, removals) = (self.store.clone(), self.removals.clone());
        let shard = self.shard.clone();
        rt::spawn_background(async move { removals.run(&store, || delete_delay(&shard)).await });
        let removals = self.removals.clone();
        rt::spawn_background(async move { removals.run_aside().await });
        let store = self.store.clone();
        rt::spawn_background(async move { store.read_ahead().await });
        self.housekeeping.start(self.store.clone());
        self.cleaner.start(self.shard.clone());
        self.retention.start(&self.shard);
    }

    /// Shard 0: folders of deleted topics that the last life left behind wait for their delay once more.
    fn adopt_deleted(&self, process: &Process) -> anyhow::Result<()> {
        let delay = delete_delay(&self.shard);
        let folders = stray::deleted(&process.plan.data_dir).context("reading the data directory")?;
        folders.into_iter().for_each(|folder| self.removals.set_aside(folder, delay));
        Ok(())
    }

    fn listen(&self, process: &Process) -> anyhow::Result<()> {
        for bound in &process.plan.bound {
            for &address in &bound.addresses {
                let listener = Listener::bind(address, ListenOptions::default());
                let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
                let (server, name) = (self.server.clone(), bound.listener.clone());
                rt::spawn(async move { server.run_listener(listener, &name).await });
            }
        }
        let server = self.server.clone();
        rt::spawn(async move { server.run_idle().await });
        let server = self.server.clone();
        rt::spawn(async move { server.run_stuck().await });
        Ok(())
    }

    /// Shard 0. Until the process ends, also while it stops.
    fn serve_metrics(&self, process: &Process, shard: &rt::Shard) -> anyhow::Result<()> {
        let plan = &process.plan;
        let about = About { version: env!("CARGO_PKG_VERSION"), started: plan.started };
        let server = MetricsServer::new(self.shard.clone(), shard.ring.clone(), about);
        for &address in &plan.metrics {
            let options = ListenOptions { reuse_port: false, ..ListenOptions::default() };
            let listener = Listener::bind(address, options);
            let listener = listener.with_context(|| format!("cannot listen on {address} for metrics"))?;
            rt::spawn_background(server.clone().run(listener));
        }
        Ok(())
    }

    /// Shard 0, once every shard has its partitions open.
    async fn announce(&self, process: &Process, shard: &rt::Shard) {
        let plan = &process.plan;
        let mut listeners: Vec<String> = plan.bound.iter().map(ToString::to_string).collect();
        listeners.extend(plan.metrics.iter().map(|address| format!("http://{address}/metrics")));
        tracing::info!(
            "tailrace {} serves {} in {} ms: node {} of cluster {}, shards: {}, partitions: {}, data: {}; {}",
            env!("CARGO_PKG_VERSION"),
            listeners.join(" and "),
            plan.started.elapsed().as_millis(),
            plan.config.node_id,
            plan.cluster_id,
            shard.count,
            self.shard.image().partition_count(),
            plan.data_dir.display(),
            plan.kernel,
        );
    }

    async fn stop(&self, process: &Process) -> anyhow::Result<()> {
        self.server.stop(DRAIN_LIMIT).await;
        process.meet_drained().await;
        if let Some(peers) = &self.peers {
            peers.close().await;
        }
        if rt::timer::timeout(REMOVAL_LIMIT, self.removals.all_done()).await.is_none() {
            self.removals.give_up();
            process.set_unfinished();
        }
        let idle = rt::timer::timeout(IDLE_LIMIT, self.idle()).await;
        if let Some(failure) = self.store.failure() {
            return Err(anyhow!(
                "the data directory failed ({failure}): the next start recovers what was acknowledged"
            ));
        }
        idle.ok_or_else(|| anyhow!("the last commits did not end in {} s", IDLE_LIMIT.as_secs()))?;
        self.cleaner.stop().await;
        self.scrubber.stop().await;
        self.retention.stop().await;
        self.housekeeping.stop().await;
        self.store.close().await.context("the store could not be closed")?;
        process.add_closed(self.closed_logs());
        Ok(())
    }

    /// Returns when everything appended is as safe as its topic asks.
    async fn idle(&self) {
        let table = self.shard.table();
        let waits = || {
            table.all().iter().any(|partition| {
                let ends = partition.log().ends();
                ends.acknowledged < ends.end
            })
        };
        // A checkpoint may have made an end safe while the commit that means to is still under way.
        while self.store.failure().is_none() && (waits() || !self.store.is_idle()) {
            rt::timer::sleep(IDLE_PAUSE).await;
        }
    }

    /// Kafka's checkpoints leave the metadata log out.
    fn closed_logs(&self) -> Vec<ClosedLog> {
        let image = self.shard.image();
        let named = |id: TopicPartition| Some(image.topic_by_id(id.topic)?.name.to_string());
        let partitions = self.shard.table().all();
        let closed =
            partitions.iter().filter(|p| p.id() != TopicPartition::METADATA).filter_map(|partition| {
                let ends = partition.log().ends();
                Some(ClosedLog {
                    topic: named(partition.id())?,
                    partition: partition.id().partition,
                    start: Some(ends.start),
                    high: Some(partition.watermarks().high),
                    cleaned: partition.log().cleaned_until(),
                    end: Some(ends.end),
                })
            });
        // Once the folder is as it was, the log begins where it did.
        let unopened = self.store.unopened().into_iter().filter_map(|(id, known)| {
            let (start, cleaned) = (known.start, known.cleaned);
            let topic = named(id)?;
            Some(ClosedLog { topic, partition: id.partition, start, high: None, cleaned, end: None })
        });
        closed.chain(unopened).collect()
    }
}

/// How long a deleted topic's folders stay, set aside, before they go.
fn delete_delay(shard: &Shard<Disk>) -> Duration {
    let value = shard.config().value("log.segment.delete.delay.ms", &shard.image());
    Duration::from_millis(value.and_then(|ms| ms.parse().ok()).unwrap_or(DELETE_DELAY_MS))
}

/// Acts on each image as it comes, for ever. One task a shard.
async fn follow_images(
    shard: &Shard<Disk>,
    partitions: &Rc<Partitions<Disk>>,
    admission: &Admission,
    throttle: &Throttle,
    peers: Option<&Peers>,
) {
    loop {
        let image = shard.images().next().await;
        if let Some(peers) = peers {
            peers.follow(image.clone());
        }
        // Before anybody follows what moves here.
        throttle.follow(&image, &shard.config());
        partitions.follow(&shard.image(), &image).await;
        let before = shard.config();
        shard.apply_image(image);
        if shard.id() == CONTROL_SHARD && !Rc::ptr_eq(&before, &shard.config()) {
            admission.follow(&shard.config());
        }
    }
}

fn open_peers(
    cluster: &Cluster,
    plan: &Plan,
    shard: &rt::Shard,
    image: Arc<Image>,
) -> anyhow::Result<Rc<Peers>> {
    let port = cluster.address.port().checked_add(shard.id.0);
    let port =
        port.context("cluster.listener: the last shard's port would be over 65535; choose a lower one")?;
    let address = SocketAddr::new(cluster.address.ip(), port);
    let session = plan.config.session_timeout();
    let options = EndpointOptions {
        idle_timeout: session,
        keep_alive: session / 4,
        handshake_timeout: session,
        ..EndpointOptions::default()
    };
    let endpoint = Endpoint::bind(&shard.ring, address, &cluster.identity, options)?;
    let own = (plan.config.node_id, plan.incarnation);
    Ok(Peers::new(own, endpoint, &cluster.quorum, image))
}

fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}
