//! One shard's partitions as the metadata wants them: opened, given their role and their configuration, closed. The
//! image says what there shall be, the store holds the logs, the table is what handlers see.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use coordinator::{
    Image, TopicConfig,
    metadata::{Partition as Placed, Topic},
};
use engine::{Disk, LogConfig, Store};
use model::{BrokerId, PartitionIndex, ShardId, TopicPartition};
use replication::{Partition, PartitionState, PartitionTable};
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
}

impl<D: Disk> Partitions<D> {
    pub fn new(
        shard: &rt::Shard,
        process: Arc<Process>,
        store: Rc<Store<D>>,
        table: Rc<PartitionTable<D>>,
        removals: Rc<Removals>,
    ) -> Self {
        Self { shard: shard.id, shard_count: shard.count, process, store, table, removals }
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
            let settings = log_config(&TopicConfig::resolve(&topic.name, image, &config));
            for (index, placed) in self.hosted(topic) {
                let id = TopicPartition::new(topic.id, index);
                match self.table.find(id) {
                    Some(partition) => self.adjust(&partition, placed, settings),
                    None => self.begin_to_open(id, topic.name.clone(), placed, settings, &mut opening).await,
                }
                rt::yield_if_needed().await;
            }
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
        placed: &Placed,
        settings: LogConfig,
        opening: &mut VecDeque<Rx<()>>,
    ) {
        if opening.len() >= OPENING_MAX
            && let Some(oldest) = opening.pop_front()
        {
            oldest.await;
        }
        let (done, opened) = rt::oneshot();
        opening.push_back(opened);
        let (this, state) = (self.clone(), state_of(placed));
        rt::spawn(async move {
            this.open(id, &topic, &state, settings).await;
            // Whoever waited may have ended with the shard.
            let _ = done.send(());
        });
    }

    fn adjust(&self, partition: &Partition<D>, placed: &Placed, settings: LogConfig) {
        if partition.log().config() != settings {
            partition.log().set_config(settings);
            // A weaker durability may acknowledge at once what waited for a stronger one.
            self.table.moved(partition);
        }
        if partition.set_state(&state_of(placed)) {
            self.table.look_again(partition.id());
        }
    }

    /// A log that cannot be opened is left out: its clients are told that nobody leads it, all others are served.
    async fn open(&self, id: TopicPartition, topic: &Arc<str>, state: &PartitionState, settings: LogConfig) {
        self.removals.make_way(topic, id.partition).await;
        let log_start = self.process.log_starts().get(&id).copied();
        match self.store.open_log(id, topic, settings, log_start, rt::timer::wall()).await {
            Ok(log) => drop(self.table.insert(Partition::new(self.broker(), log, state))),
            Err(error) => tracing::error!(%topic, partition = %id.partition, "{error}"),
        }
    }

    /// The folder of a log that could not be opened goes as well: this is how its topic gets well again.
    fn close(&self, topic: &Topic) {
        for (index, _) in self.hosted(topic) {
            let id = TopicPartition::new(topic.id, index);
            self.table.remove(id);
            self.removals.add(id, topic.name.clone());
        }
    }
}

fn state_of(placed: &Placed) -> PartitionState {
    PartitionState { leader: placed.leader, leader_epoch: placed.leader_epoch, isr: placed.isr.clone() }
}
