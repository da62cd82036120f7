//! One shard's partitions as the metadata wants them: opened, given their role and their configuration, closed. The
//! image says what there shall be, the store holds the logs, the table is what handlers see.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use coordinator::{
    Image, TopicConfig,
    metadata::{Partition as Placed, Topic},
};
use engine::{Disk, LogConfig, SharedLog, Store};
use model::{BrokerId, LeaderEpoch, PartitionIndex, ShardId, TopicPartition};
use replication::{Partition, PartitionState, PartitionTable, stream::Replicator};
use rt::oneshot::Rx;

use super::{process::Process, removals::Removals};
use crate::config::log_config;

/// Logs that are opened at a time: opening is mostly waiting for small files.
const OPENING_MAX: usize = 32;

pub struct Partitions<D: Disk> {
    shard: ShardId,
    shard_count: u16,
    process: Arc<Process>,
    store: Rc<Store<D>>,
    table: Rc<PartitionTable<D>>,
    removals: Rc<Removals>,
    /// In a cluster: gets what other brokers lead.
    replicator: Option<Rc<Replicator<D>>>,
}

/// What the metadata says of one partition that lives here.
#[derive(Clone)]
struct Wanted {
    state: PartitionState,
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
        Self { shard: shard.id, shard_count: shard.count, process, store, table, removals, replicator }
    }

    /// Carries out what changed between two images. What a client may ask of the later one is there on return.
    pub async fn follow(self: &Rc<Self>, before: &Image, image: &Image) {
        let delta = before.delta(image);
        let config = self.process.plan.config.with_dynamic(image);
        for topic in &delta.vanished {
            self.close(topic);
        }
        let topics: Vec<&Arc<Topic>> = match delta.broker_configs_changed {
            true => image.topics().collect(),
            false => delta.appeared.iter().chain(&delta.changed).collect(),
        };
        let mut opening = VecDeque::new();
        for topic in topics {
            let resolved = TopicConfig::resolve(&topic.name, image, &config);
            let settings = log_config(&resolved);
            let isr_min = usize::try_from(resolved.min_insync_replicas).unwrap_or(1);
            for (index, placed) in self.hosted(topic) {
                let id = TopicPartition::new(topic.id, index);
                let wanted = self.wanted(id, placed, settings, isr_min, image);
                match self.table.find(id) {
                    Some(partition) => {
                        partition.uncut().await;
                        self.adjust(&partition, &wanted);
                    }
                    None => self.begin_to_open(id, topic.name.clone(), wanted, &mut opening).await,
                }
                rt::yield_if_needed().await;
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
        if opening.len() >= OPENING_MAX
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

    /// Follows whoever leads, if that is not this broker.
    fn replicate(&self, partition: &Partition<D>, wanted: &Wanted) {
        let Some(replicator) = &self.replicator else { return };
        let id = partition.id();
        match wanted.source {
            Some((leader, shard)) => {
                // With others in sync beside it, the leader was one of those that had everything.
                let unclean = wanted.state.isr.len() == 1;
                replicator.follow(id, leader, shard, wanted.state.leader_epoch, unclean);
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
        Wanted { state, settings, source }
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
            if !placed.replicas.contains(&self.broker()) && self.table.find(id).is_some() {
                self.close_one(id, topic);
            }
        }
    }

    fn close_one(&self, id: TopicPartition, topic: &Topic) {
        if let Some(replicator) = &self.replicator {
            replicator.leave(id);
        }
        self.table.remove(id);
        self.removals.add(id, topic.name.clone());
    }

    /// A log that cannot be opened is left out: its clients are told that nobody leads it, all others are served.
    async fn open(&self, id: TopicPartition, topic: &Arc<str>, wanted: &Wanted) {
        self.removals.make_way(topic, id.partition).await;
        let log_start = self.process.log_starts().get(&id).copied();
        match self.store.open_log(id, topic, wanted.settings, log_start, rt::timer::wall()).await {
            Ok(log) => {
                let partition = Partition::new(self.broker(), log, &wanted.state, rt::timer::now());
                let partition = self.table.insert(partition);
                self.replicate(&partition, wanted);
            }
            Err(error) => tracing::error!(%topic, partition = %id.partition, "{error}"),
        }
    }

    /// The folder of a log that could not be opened goes as well: this is how its topic gets well again.
    fn close(&self, topic: &Topic) {
        for (index, _) in self.hosted(topic) {
            let id = TopicPartition::new(topic.id, index);
            self.close_one(id, topic);
        }
    }
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
