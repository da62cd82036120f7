//! One shard from its start to its stop: its rooms are built, its logs opened, its pumps started, and at the end its
//! store is closed. Every shard runs this; shard 0 also recovers, and decides about metadata.

use std::{rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use coordinator::Image;
use engine::{Store, StoreOptions, disk::ring::RingDisk, journal};
use model::{ShardId, TopicPartition};
use net::{About, Admission, Message, MetricsServer, Server, Shard, ShardParts, control::CONTROL_SHARD};
use replication::PartitionTable;
use rt::{
    Mesh, MeshBuilder,
    net::{ListenOptions, Listener},
};

use super::{
    checkpoints,
    cleaner::Cleaner,
    control,
    housekeeping::Housekeeping,
    metadata_log,
    partitions::Partitions,
    process::{ClosedLog, Process},
    recover::{self, Recovered},
    removals::Removals,
    retention::Retention,
    stray,
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
    let (store, (image, early)) = if shard.id == CONTROL_SHARD {
        let (store, image) = begin(process, &mesh, &shard, disk, &table).await?;
        (store, (image, vec![]))
    } else {
        process.meet_recovered().await;
        let store = start_store(process, &shard, disk).await?;
        (store, first_image(&mesh).await)
    };
    let rooms = Rooms::build(process, &mesh, &shard, store, table, image).await;
    early.into_iter().for_each(|(from, message)| rooms.shard.receive(from, message));
    rooms.start_pumps(&mesh);
    rooms.listen(process)?;
    if shard.id == CONTROL_SHARD {
        rooms.adopt_deleted(process)?;
        rooms.serve_metrics(process, &shard)?;
        rooms.announce(process, &shard).await;
    }
    let signal = rt::signal::termination(&shard.ring).await.context("waiting for signals")?;
    if shard.id == CONTROL_SHARD {
        tracing::info!("{signal}: stopping");
    }
    rooms.stop(process).await
}

/// Shard 0's part before partitions may be opened: the directory is made whole, the metadata is known, this broker is in
/// it.
async fn begin(
    process: &Process,
    mesh: &Mesh<Message>,
    shard: &rt::Shard,
    disk: Disk,
    table: &PartitionTable<Disk>,
) -> anyhow::Result<(Rc<Store<Disk>>, Arc<Image>)> {
    let plan = &process.plan;
    let (image, log_starts, cleaned) = if plan.clean {
        let image = metadata_log::load(&plan.data_dir, &plan.cluster_id)?.image;
        let log_starts = checkpoints::read_log_starts(&plan.data_dir, &image)?;
        let cleaned = checkpoints::read_cleaner_offsets(&plan.data_dir, &image)?;
        (image, log_starts, cleaned)
    } else {
        let (pages, broker) = (shard.pages.clone(), plan.config.node_id);
        let recovered = recover::run(disk.clone(), pages, &plan.data_dir, &plan.cluster_id, broker).await;
        let Recovered { image, log_starts, cleaned } =
            recovered.context("the data directory cannot be recovered")?;
        (image, log_starts, cleaned)
    };
    process.set_recovered(log_starts, cleaned);
    let store = start_store(process, shard, disk).await?;
    let log = control::open_log(&store).await?;
    let image = Arc::new(control::register(&store, &log, &image, &plan.config).await?);
    table.insert(control::partition(plan.config.node_id, log));
    for other in (0..shard.count).map(ShardId).filter(|&other| other != shard.id) {
        mesh.send(other, Message::Image(image.clone()));
    }
    Ok((store, image))
}

/// What shard 0 says first, and what others said before: nothing orders messages of different shards, and who has its
/// image serves clients at once. How much that may be is bounded by what a shard may have under way to others (see
/// `net::transit`).
async fn first_image(mesh: &Mesh<Message>) -> (Arc<Image>, Vec<(ShardId, Message)>) {
    let mut early = vec![];
    loop {
        match mesh.recv().await {
            (CONTROL_SHARD, Message::Image(image)) => return (image, early),
            other => early.push(other),
        }
    }
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
    retention: Retention,
    server: Rc<Server<Disk>>,
    admission: Arc<Admission>,
}

impl Rooms {
    async fn build(
        process: &Arc<Process>,
        mesh: &Mesh<Message>,
        shard: &rt::Shard,
        store: Rc<Store<Disk>>,
        table: Rc<PartitionTable<Disk>>,
        image: Arc<Image>,
    ) -> Self {
        let removals = Rc::new(Removals::default());
        let partitions =
            Partitions::new(shard, process.clone(), store.clone(), table.clone(), removals.clone());
        let partitions = Rc::new(partitions);
        partitions.follow(&Image::new(image.cluster_id()), &image).await;
        let parts = ShardParts {
            id: shard.id,
            count: shard.count,
            config: process.plan.config.clone(),
            image,
            store: store.clone(),
            table,
            link: Rc::new(mesh.clone()),
            clock: net::Clock::system(),
            host: process.plan.host.clone(),
        };
        let rooms = Shard::new(parts);
        let server = Server::new(rooms.clone(), shard.ring.clone(), process.admission.clone());
        let (housekeeping, cleaner, retention) = Default::default();
        let admission = process.admission.clone();
        Self {
            shard: rooms,
            store,
            partitions,
            removals,
            housekeeping,
            cleaner,
            retention,
            server,
            admission,
        }
    }

    fn start_pumps(&self, mesh: &Mesh<Message>) {
        self.shard.spawn_pumps();
        let (shard, mesh) = (self.shard.clone(), mesh.clone());
        rt::spawn(async move { shard.run_mesh(mesh).await });
        let (shard, partitions) = (self.shard.clone(), self.partitions.clone());
        let admission = self.admission.clone();
        admission.follow(&shard.config());
        rt::spawn(async move { follow_images(&shard, &partitions, &admission).await });
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
        if self.shard.id() == CONTROL_SHARD {
            rt::spawn(control::run(self.shard.clone()));
        }
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
        self.shard.images().publish(self.shard.image()).await;
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
async fn follow_images(shard: &Shard<Disk>, partitions: &Rc<Partitions<Disk>>, admission: &Admission) {
    loop {
        let image = shard.images().next().await;
        partitions.follow(&shard.image(), &image).await;
        let before = shard.config();
        shard.apply_image(image);
        if shard.id() == CONTROL_SHARD && !Rc::ptr_eq(&before, &shard.config()) {
            admission.follow(&shard.config());
        }
    }
}

#[cfg(test)]
mod tests {
    use rt::ExecutorOptions;

    use super::*;

    /// Once a shard that heard from another before it heard from shard 0 took that for a defect, and the broker ended.
    #[test]
    fn what_comes_before_the_first_image_is_kept_for_later() {
        let builder = MeshBuilder::new(1);
        let run = rt::run_single(ExecutorOptions::default(), move |shard: rt::Shard| async move {
            let mesh = builder.join(shard.id).await;
            mesh.send(shard.id, Message::Pressed(true));
            mesh.send(shard.id, Message::Image(Arc::new(Image::new("cluster-1"))));
            mesh.send(shard.id, Message::Pressed(false));
            let (image, early) = first_image(&mesh).await;
            assert_eq!(image.cluster_id(), "cluster-1");
            assert!(matches!(early[..], [(_, Message::Pressed(true))]));
            assert!(matches!(mesh.try_recv(), Some((_, Message::Pressed(false)))), "what follows stays");
        });
        run.unwrap();
    }
}
