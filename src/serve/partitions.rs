//! One shard's partitions as the metadata wants them: opened, given their role and their configuration, closed. The
//! image says what there shall be, the store holds the logs, the table is what handlers see.

use std::{rc::Rc, sync::Arc};

use coordinator::{
    BrokerConfig, Image, TopicConfig,
    metadata::{Partition as Placed, Topic},
};
use engine::{Disk, LogConfig, Store};
use model::{PartitionIndex, ShardId, TopicPartition};
use replication::{Partition, PartitionState, PartitionTable};

use super::{process::Process, removals::Removals};
use crate::config::log_config;

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
    pub async fn follow(&self, before: &Image, image: &Image) {
        let delta = before.delta(image);
        let config = self.process.plan.config.with_dynamic(image);
        for topic in &delta.vanished {
            self.close(topic);
        }
        for topic in &delta.appeared {
            self.look_at(topic, image, &config).await;
        }
        if delta.broker_configs_changed {
            for topic in image.topics() {
                self.look_at(topic, image, &config).await;
            }
        } else {
            for topic in &delta.changed {
                self.look_at(topic, image, &config).await;
            }
        }
    }

    /// Brings every partition of a topic that lives here to what the image says of it.
    async fn look_at(&self, topic: &Topic, image: &Image, config: &BrokerConfig) {
        let mut log_settings = None;
        for (index, placed) in (0i32..).map(PartitionIndex).zip(&topic.partitions) {
            let id = TopicPartition::new(topic.id, index);
            if id.owner(self.shard_count) != self.shard || !placed.replicas.contains(&config.node_id) {
                continue;
            }
            let settings = *log_settings
                .get_or_insert_with(|| log_config(&TopicConfig::resolve(&topic.name, image, config)));
            match self.table.find(id) {
                Some(partition) => self.adjust(&partition, placed, settings),
                None => self.open(id, topic, placed, settings, config).await,
            }
            rt::yield_if_needed().await;
        }
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
    async fn open(
        &self,
        id: TopicPartition,
        topic: &Topic,
        placed: &Placed,
        settings: LogConfig,
        config: &BrokerConfig,
    ) {
        self.removals.make_way(&topic.name, id.partition).await;
        let log_start = self.process.log_starts().get(&id).copied();
        let opened = self.store.open_log(id, &topic.name, settings, log_start, rt::timer::wall()).await;
        match opened {
            Ok(log) => drop(self.table.insert(Partition::new(config.node_id, log, &state_of(placed)))),
            Err(error) => tracing::error!(topic = %topic.name, partition = %id.partition, "{error}"),
        }
    }

    fn close(&self, topic: &Topic) {
        for index in (0i32..).map(PartitionIndex).take(topic.partitions.len()) {
            let id = TopicPartition::new(topic.id, index);
            if self.store.log(id).is_some() {
                self.table.remove(id);
                self.removals.add(id, topic.name.clone());
            }
        }
    }
}

fn state_of(placed: &Placed) -> PartitionState {
    PartitionState { leader: placed.leader, leader_epoch: placed.leader_epoch, isr: placed.isr.clone() }
}
