//! How fast a shard may send the partitions that it leads to replicas that are not in sync, so that a move of partitions
//! leaves room for everything else (KIP-73).
//!
//! ```text
//!   leader.replication.throttled.rate        of the broker that sends      leader.replication.throttled.replicas    of a topic
//!   follower.replication.throttled.rate      of the broker that receives   follower.replication.throttled.replicas  of a topic
//! ```
//! The leader keeps both, since it is the leader that sends. A rate is of a whole broker: each shard that has something to
//! send under it has an equal share, and everybody counts the same shards, because everybody has the same metadata. What
//! the shares cannot know is which of the shards have more to send: a share that is not used is lost. Rates are those that
//! were set while the cluster ran, as in Apache Kafka: what stands in a broker's file its leaders cannot see.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{BrokerId, Millis, PartitionIndex, ShardId, TopicPartition};

use crate::{
    config::{BrokerConfig, value::parse_list},
    metadata::{ConfigResource, Image, Partition, image::ConfigMap},
    quotas::{Rate, Terms},
};

pub const LEADER_RATE: &str = "leader.replication.throttled.rate";
pub const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
pub const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
pub const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// A shard of a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    pub broker: BrokerId,
    pub shard: ShardId,
    pub shard_count: u16,
}

/// A share of a rate, and what was used of it.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Share {
    terms: Terms,
    rate: Rate,
}

/// By which rates a partition goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Sides {
    leader: bool,
    followers: BTreeSet<BrokerId>,
}

/// Of the partitions that one shard leads.
#[derive(Debug, Default)]
pub struct ReplicationThrottle {
    partitions: BTreeMap<TopicPartition, Sides>,
    leader: Option<Share>,
    followers: BTreeMap<BrokerId, Share>,
}

/// Where partitions are sent from under a rate.
type Sources = BTreeSet<(BrokerId, ShardId)>;

impl ReplicationThrottle {
    /// The cluster is now as `image` says. What was used of a rate stays used.
    pub fn follow(&mut self, image: &Image, config: &BrokerConfig, seat: Seat, now: Millis) {
        let mut ours = BTreeMap::new();
        let mut of_leader = Sources::new();
        let mut of_followers: BTreeMap<BrokerId, Sources> = BTreeMap::new();
        for (id, partition, configs) in throttled_partitions(image) {
            let Some((source, sides)) = sides(id, partition, configs, image, seat) else { continue };
            if sides.leader && source.0 == seat.broker {
                of_leader.insert(source);
            }
            for &follower in &sides.followers {
                of_followers.entry(follower).or_default().insert(source);
            }
            if source == (seat.broker, seat.shard) {
                ours.insert(id, sides);
            }
        }
        let share = |broker, key, sources: &Sources, before: Option<&Share>| {
            let terms = terms(image, config, broker, key, sources.len())?;
            Some(Share { terms, rate: before.map_or_else(|| Rate::new(now), |before| before.rate) })
        };
        self.leader = share(seat.broker, LEADER_RATE, &of_leader, self.leader.as_ref());
        let before = &self.followers;
        let of_follower = |(broker, sources): (BrokerId, Sources)| {
            Some((broker, share(broker, FOLLOWER_RATE, &sources, before.get(&broker))?))
        };
        self.followers = of_followers.into_iter().filter_map(of_follower).collect();
        self.partitions = ours;
    }

    /// How long a follower that is not in sync must wait for more of a partition.
    pub fn wait(&mut self, id: TopicPartition, follower: BrokerId, now: Millis) -> Duration {
        let wait = |share: &mut Share| share.rate.charge_unless_over(now, 0.0, share.terms).wait;
        self.shares(id, follower).into_iter().flatten().map(wait).max().unwrap_or_default()
    }

    /// It was sent so much.
    pub fn sent(&mut self, id: TopicPartition, follower: BrokerId, bytes: usize, now: Millis) {
        for share in self.shares(id, follower).into_iter().flatten() {
            share.rate.charge(now, bytes as f64, share.terms);
        }
    }

    fn shares(&mut self, id: TopicPartition, follower: BrokerId) -> [Option<&mut Share>; 2] {
        let Some(sides) = self.partitions.get(&id) else { return [None, None] };
        let leader = self.leader.as_mut().filter(|_| sides.leader);
        let follows = sides.followers.contains(&follower);
        [leader, self.followers.get_mut(&follower).filter(|_| follows)]
    }
}

/// Of topics that have a list of throttled replicas.
fn throttled_partitions(image: &Image) -> impl Iterator<Item = (TopicPartition, &Partition, &ConfigMap)> {
    let topics = image.config_resources().filter_map(|resource| {
        let ConfigResource::Topic(name) = resource else { return None };
        let configs = image.configs(resource)?;
        let is_throttled = configs.contains_key(LEADER_REPLICAS) || configs.contains_key(FOLLOWER_REPLICAS);
        Some((image.topic(name)?, configs)).filter(|_| is_throttled)
    });
    topics.flat_map(|(topic, configs)| {
        let indexes = (0..).map(PartitionIndex);
        let id = |index| TopicPartition::new(topic.id, index);
        indexes.zip(&topic.partitions).map(move |(index, partition)| (id(index), partition, configs))
    })
}

/// Where a partition is sent from, and under which rates, if it has replicas that are not in sync.
fn sides(
    id: TopicPartition,
    partition: &Partition,
    configs: &ConfigMap,
    image: &Image,
    seat: Seat,
) -> Option<((BrokerId, ShardId), Sides)> {
    let leader = partition.leader?;
    let behind: Vec<BrokerId> =
        partition.replicas.iter().copied().filter(|broker| !partition.isr.contains(broker)).collect();
    if behind.is_empty() {
        return None;
    }
    let shard_count = match leader == seat.broker {
        true => seat.shard_count,
        false => image.broker(leader)?.peer.as_ref()?.shards,
    };
    if shard_count == 0 {
        return None;
    }
    let names = |key, broker| configs.get(key).is_some_and(|list| names(list, id.partition, broker));
    let followers = behind.into_iter().filter(|&broker| names(FOLLOWER_REPLICAS, broker)).collect();
    let sides = Sides { leader: names(LEADER_REPLICAS, leader), followers };
    Some(((leader, id.owner(shard_count)), sides))
}

/// Is this replica in the list, which is `*` or has partition:broker?
fn names(list: &str, partition: PartitionIndex, broker: BrokerId) -> bool {
    parse_list(list).into_iter().any(|item| {
        let named = item.split_once(':').map(|(index, id)| (index.parse().ok(), id.parse().ok()));
        item == "*" || named == Some((Some(partition.0), Some(broker.0)))
    })
}

fn terms(image: &Image, config: &BrokerConfig, broker: BrokerId, key: &str, sources: usize) -> Option<Terms> {
    let of = |resource| image.configs(&resource)?.get(key)?.trim().parse::<u64>().ok();
    let rate = of(ConfigResource::Broker(broker)).or_else(|| of(ConfigResource::DefaultBroker))?;
    if sources == 0 {
        return None;
    }
    let (num, seconds) = (config.replication_quota_window_num, config.replication_quota_window_size_seconds);
    // Not quite nothing, for a rate of 0: a quotient by it is no time to wait.
    Some(Terms::new((rate as f64 / sources as f64).max(f64::MIN_POSITIVE), num, seconds))
}

#[cfg(test)]
mod tests;
