//! One shard's partitions as the metadata wants them: opened, given their role and their configuration, closed. The
//! image says what there shall be, the store holds the logs, the table is what handlers see.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use anyhow::Context;
use coordinator::{
    BrokerConfig, Image, TopicConfig,
    controller::damage::can_do_without,
    metadata::{Broker, Partition as Placed, Topic},
};
use engine::{Disk, Exclusive, LogConfig, SharedLog, Store};
use model::{BrokerId, LeaderEpoch, Offset, PartitionIndex, ShardId, TopicPartition};
use replication::{Partition, PartitionState, PartitionTable, stream::Replicator};
use rt::oneshot::Rx;

use super::{process::Process, removals::Removals};
use crate::config::log_config;

pub struct Partitions<D: Disk> {
    shard: ShardId,
    shard_count: u16,
    process: Arc<Process>,
    store: Rc<Store<D>>,
    table: Rc<PartitionTable<D>>,
    removals: Rc<Removals>,
    /// In a cluster: gets what other brokers lead.
    replicator: Option<Rc<Replicator<D>>>,
    /// Partitions with other replicas that are not open, because these segments of them are corrupt.
    unsound: RefCell<BTreeMap<TopicPartition, Offset>>,
    /// Who changes what is open.
    changes: Exclusive,
    /// What is acted on.
    image: RefCell<Arc<Image>>,
}

/// What the metadata says of one partition that lives here.
#[derive(Clone)]
struct Wanted {
    state: PartitionState,
    unclean_epoch: Option<LeaderEpoch>,
    settings: LogConfig,
    /// The shard of another broker that leads it.
    source: Option<(BrokerId, ShardId)>,
}

impl<D: Disk> Partitions<D> {
    pub fn new(
        shard: &rt::Shard,
        process: Arc<Process>,
        store: Rc<Store<D>>,
        table: Rc<PartitionTable<D>>,
        removals: Rc<Removals>,
        replicator: Option<Rc<Replicator<D>>>,
    ) -> Self {
        let image = RefCell::new(Arc::new(Image::new(&process.plan.cluster_id)));
        let owned = process.damaged().iter().filter(|(id, _)| id.owner(shard.count) == shard.id);
        let unsound = RefCell::new(owned.map(|(&id, &segment)| (id, segment)).collect());
        let changes = Exclusive::default();
        Self {
            shard: shard.id,
            shard_count: shard.count,
            process,
            store,
            table,
            removals,
            replicator,
            unsound,
            changes,
            image,
        }
    }

    /// Carries out what changed between two images. What a client may ask of the later one is there on return.
    pub async fn follow(self: &Rc<Self>, before: &Image, image: &Arc<Image>) {
        let _changes = self.changes.take().await;
        self.carry_out(before, image).await;
        self.image.replace(image.clone());
    }

    async fn carry_out(self: &Rc<Self>, before: &Image, image: &Image) {
        let delta = before.delta(image);
        for topic in &delta.vanished {
            self.close(topic);
        }
        let topics: Vec<&Arc<Topic>> = match delta.broker_configs_changed {
            true => image.topics().collect(),
            false => delta.appeared.iter().chain(&delta.changed).collect(),
        };
        if topics.is_empty() {
            return;
        }
        let [config_before, config] =
            [before, image].map(|image| self.process.plan.config.with_dynamic(image));
        let same_ways = self.ways(before) == self.ways(image);
        let mut opening = VecDeque::new();
        for topic in topics {
            let (settings, isr_min) = settings_of(topic, image, &config);
            let same_settings =
                |known: &&Arc<Topic>| settings_of(known, before, &config_before) == (settings, isr_min);
            let known = before.topic_by_id(topic.id).filter(|_| same_ways).filter(same_settings);
            for (index, placed) in self.hosted(topic) {
                let id = TopicPartition::new(topic.id, index);
                rt::yield_if_needed().await;
                let found = self.table.find(id);
                // Of a topic's thousands a few change at a time.
                if found.is_some() && known.and_then(|topic| topic.partition(index)) == Some(placed) {
                    continue;
                }
                let wanted = self.wanted(id, placed, settings, isr_min, image);
                match found {
                    Some(partition) => {
                        partition.uncut().await;
                        self.adjust(&partition, &wanted);
                    }
                    None => self.begin_to_open(id, topic.name.clone(), wanted, &mut opening).await,
                }
            }
            self.close_what_left(topic);
        }
        for opened in opening {
            opened.await;
        }
    }

    /// The partitions of a topic that live here.
    fn hosted<'a>(
        &self,
        topic: &'a Topic,
    ) -> impl Iterator<Item = (PartitionIndex, &'a Placed)> + use<'a, D> {
        let (shard, shard_count, broker, topic_id) = (self.shard, self.shard_count, self.broker(), topic.id);
        (0i32..).map(PartitionIndex).zip(&topic.partitions).filter(move |(index, placed)| {
            let owner = TopicPartition::new(topic_id, *index).owner(shard_count);
            owner == shard && placed.replicas.contains(&broker)
        })
    }

    fn broker(&self) -> BrokerId {
        self.process.plan.config.node_id
    }

    /// Opens in a task of its own; waits only while too many are at it already.
    async fn begin_to_open(
        self: &Rc<Self>,
        id: TopicPartition,
        topic: Arc<str>,
        wanted: Wanted,
        opening: &mut VecDeque<Rx<()>>,
    ) {
        if opening.len() >= self.store.logs_at_once()
            && let Some(oldest) = opening.pop_front()
        {
            oldest.await;
        }
        let (done, opened) = rt::oneshot();
        opening.push_back(opened);
        let this = self.clone();
        rt::spawn(async move {
            this.open(id, &topic, &wanted).await;
            // Whoever waited may have ended with the shard.
            let _ = done.send(());
        });
    }

    fn adjust(&self, partition: &Partition<D>, wanted: &Wanted) {
        if partition.log().config() != wanted.settings {
            partition.log().set_config(wanted.settings);
        }
        if partition.set_state(&wanted.state, rt::timer::now()) {
            self.table.look_again(partition.id());
        }
        // A weaker durability, or a slow replica that left, may acknowledge at once what waited.
        self.table.moved(partition);
        self.replicate(partition, wanted);
    }

    /// Follows whoever leads, if that is not this broker. A log that is corrupt takes nothing and must not be counted.
    fn replicate(&self, partition: &Partition<D>, wanted: &Wanted) {
        let Some(replicator) = &self.replicator else { return };
        let id = partition.id();
        match wanted.source.filter(|_| !partition.log().is_offline()) {
            Some((leader, shard)) => {
                replicator.follow(id, leader, shard, wanted.state.leader_epoch, wanted.unclean_epoch);
            }
            None => replicator.leave(id),
        }
    }

    fn wanted(
        &self,
        id: TopicPartition,
        placed: &Placed,
        settings: LogConfig,
        isr_min: usize,
        image: &Image,
    ) -> Wanted {
        let source = placed.leader.filter(|&leader| leader != self.broker()).and_then(|leader| {
            let shards = image.broker(leader)?.peer.as_ref()?.shards;
            (shards > 0).then(|| (leader, id.owner(shards)))
        });
        let mut state = state_of(placed, isr_min);
        // What an earlier life of this broker led it does not take up: its log may be shorter, or another disk's. When
        // this life registers, every epoch of the earlier one is over.
        if state.leader == Some(self.broker()) && !self.has_registered(image) {
            state.leader = None;
        }
        Wanted { state, unclean_epoch: placed.unclean_epoch, settings, source }
    }

    /// What `wanted` looks for in an image beside the partition.
    fn ways(&self, image: &Image) -> (bool, Vec<(BrokerId, Option<u16>)>) {
        let shards = |broker: &Broker| (broker.id, broker.peer.as_ref().map(|peer| peer.shards));
        (self.has_registered(image), image.brokers().map(shards).collect())
    }

    /// A broker alone leads whatever it led: nobody raises an epoch for it.
    fn has_registered(&self, image: &Image) -> bool {
        if self.replicator.is_none() {
            return true;
        }
        let known = image.broker(self.broker());
        known.is_some_and(|known| known.incarnation == self.process.plan.incarnation)
    }

    /// Partitions that moved to other brokers.
    fn close_what_left(&self, topic: &Topic) {
        for (index, placed) in (0i32..).map(PartitionIndex).zip(&topic.partitions) {
            let id = TopicPartition::new(topic.id, index);
            // One that could not be opened is no less here.
            let is_here = || self.table.find(id).is_some() || self.unsound.borrow().contains_key(&id);
            if !placed.replicas.contains(&self.broker()) && is_here() {
                self.close_one(id, topic);
            }
        }
    }

    fn close_one(&self, id: TopicPartition, topic: &Topic) {
        if let Some(replicator) = &self.replicator {
            replicator.leave(id);
        }
        self.table.remove(id);
        self.unsound.borrow_mut().remove(&id);
        self.removals.add(id, topic.name.clone());
    }

    /// A log that cannot be opened is left out: its clients are told that nobody leads it, all others are served.
    async fn open(&self, id: TopicPartition, topic: &Arc<str>, wanted: &Wanted) {
        self.removals.make_way(topic, id.partition).await;
        let may_be_repaired = self.replicator.is_some() && wanted.state.replicas.len() > 1;
        let log_start = self.process.log_starts().get(&id).copied();
        if may_be_repaired && self.unsound.borrow().contains_key(&id) {
            return self.store.leave_unopened(id, log_start);
        }
        self.unsound.borrow_mut().remove(&id);
        match self.store.open_log(id, topic, wanted.settings, log_start, rt::timer::wall()).await {
            Ok(log) => self.opened(log, wanted),
            Err(error) => {
                tracing::error!(%topic, partition = %id.partition, "{error}");
                if let Some(segment) = error.damaged_segment().filter(|_| may_be_repaired) {
                    self.unsound.borrow_mut().insert(id, segment);
                }
            }
        }
    }

    fn opened(&self, log: SharedLog<D::File>, wanted: &Wanted) {
        let partition = Partition::new(self.broker(), log, &wanted.state, rt::timer::now());
        let partition = self.table.insert(partition);
        self.replicate(&partition, wanted);
    }

    /// Partitions with other replicas whose log is corrupt here, open or not.
    pub fn damaged(&self) -> Vec<TopicPartition> {
        let image = self.image.borrow();
        let has_others = |id: &TopicPartition| {
            let placed = image.partition(id.topic, id.partition);
            placed.is_some_and(|it| it.replicas.len() > 1 && it.replicas.contains(&self.broker()))
        };
        let unsound = self.unsound.borrow();
        let open = self.store.damaged().into_iter().filter(|id| self.table.find(*id).is_some());
        open.chain(unsound.keys().copied()).filter(has_others).collect()
    }

    /// By the metadata that is acted on.
    pub fn can_do_without(&self, id: TopicPartition) -> bool {
        let image = self.image.borrow();
        image.partition(id.topic, id.partition).is_some_and(|placed| can_do_without(placed, self.broker()))
    }

    /// No replica of this broker is any longer what its leader may count on: see `Replicator::leave`.
    pub fn hold_back(&self, id: TopicPartition) {
        if let Some(replicator) = &self.replicator {
            replicator.leave(id);
        }
    }

    /// Gives up what is corrupt and everything behind it, and follows the leader again, which has it all. The controller has
    /// said before that nobody counts on this replica.
    pub async fn repair(&self, id: TopicPartition) -> anyhow::Result<Offset> {
        let _changes = self.changes.take().await;
        let image = self.image.borrow().clone();
        let topic = image.topic_by_id(id.topic).context("its topic was deleted")?;
        let placed = topic.partition(id.partition).context("it is gone")?;
        anyhow::ensure!(can_do_without(placed, self.broker()), "this replica is needed again");
        let config = self.process.plan.config.with_dynamic(&image);
        let (settings, isr_min) = settings_of(topic, &image, &config);
        let wanted = self.wanted(id, placed, settings, isr_min, &image);
        if let Some(partition) = self.table.find(id) {
            partition.uncut().await;
            let cut = partition.cut_damage(&self.store).await;
            let end = cut.map_err(|error| anyhow::anyhow!("{error}"))?;
            self.adjust(&partition, &wanted);
            return Ok(end);
        }
        let segment = self.unsound.borrow().get(&id).copied().context("it is not here")?;
        let named = (id, &*topic.name);
        let log = self.store.open_without(segment, named, settings, rt::timer::wall()).await?;
        self.unsound.borrow_mut().remove(&id);
        let end = log.ends().end;
        self.opened(log, &wanted);
        Ok(end)
    }

    /// The folder of a log that could not be opened goes as well: this is how its topic gets well again.
    fn close(&self, topic: &Topic) {
        for (index, _) in self.hosted(topic) {
            let id = TopicPartition::new(topic.id, index);
            self.close_one(id, topic);
        }
    }
}

/// Of a topic's logs, and its `min.insync.replicas`.
fn settings_of(topic: &Topic, image: &Image, config: &BrokerConfig) -> (LogConfig, usize) {
    let resolved = TopicConfig::resolve(&topic.name, image, config);
    let isr_min = usize::try_from(resolved.min_insync_replicas).unwrap_or(1);
    (log_config(&resolved), isr_min)
}

fn state_of(placed: &Placed, isr_min: usize) -> PartitionState {
    PartitionState {
        leader: placed.leader,
        leader_epoch: placed.leader_epoch,
        replicas: placed.replicas.clone(),
        isr: placed.isr.clone(),
        isr_min,
        partition_epoch: placed.partition_epoch,
    }
}

/// The metadata log, whose records the consensus appends: to everything else it is a partition that nobody leads.
pub fn metadata_partition<D: Disk>(broker: BrokerId, log: SharedLog<D::File>) -> Partition<D> {
    let state = PartitionState {
        leader: None,
        leader_epoch: LeaderEpoch(0),
        replicas: vec![broker],
        isr: vec![],
        isr_min: 1,
        partition_epoch: 0,
    };
    Partition::new(broker, log, &state, rt::timer::now())
}
