//! Offsets of partitions by timestamp, and the two ends.

use std::collections::BTreeMap;

use net::wire::{ApiKey, messages::list_offsets};

use super::{
    Cluster,
    cluster::Topic,
    error::{ClientError, Result, check},
};

/// Above this come tiered storage's timestamps.
const VERSION_MAX: i16 = 7;
/// Timestamps that mean a place.
pub const LATEST: i64 = -1;
pub const EARLIEST: i64 = -2;
/// What the broker answers when no record is as young as asked.
pub const NO_OFFSET: i64 = -1;

impl Cluster {
    /// The first offset of each partition at or after `timestamp`, by partition.
    pub fn list_offsets(
        &mut self,
        topic: &Topic,
        partitions: &[i32],
        timestamp: i64,
        committed_only: bool,
    ) -> Result<BTreeMap<i32, i64>> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for &partition in partitions {
            by_leader.entry(topic.leader(partition)?).or_default().push(partition);
        }
        let mut offsets = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let request = request(&topic.name, &partitions, timestamp, committed_only);
            let connection = self.connection(leader)?;
            let answer = connection.call(VERSION_MAX, &request)?;
            let malformed = ClientError::malformed(connection.address(), ApiKey::ListOffsets);
            let view =
                list_offsets::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
            for partition in view.topics.iter().flat_map(|t| t.partitions.iter()) {
                let what = || format!("offsets of partition {} of {}", partition.partition_index, topic.name);
                check(&what(), partition.error_code, None)?;
                offsets.insert(partition.partition_index, partition.offset);
            }
        }
        Ok(offsets)
    }
}

/// Partitions in one request.
const ASKED_TOGETHER_MAX: usize = 1000;

impl Cluster {
    /// The offset at `timestamp` of partitions of several topics. Those without a leader, and those whose broker
    /// refuses, are left out.
    pub fn offsets_of(&mut self, topics: &[Topic], timestamp: i64) -> Result<BTreeMap<(String, i32), i64>> {
        let mut by_leader: BTreeMap<i32, Vec<(&str, i32)>> = BTreeMap::new();
        for topic in topics {
            for partition in &topic.partitions {
                let Some(leader) = partition.leader else { continue };
                by_leader.entry(leader).or_default().push((&topic.name, partition.index));
            }
        }
        let mut offsets = BTreeMap::new();
        for (leader, partitions) in by_leader {
            for partitions in partitions.chunks(ASKED_TOGETHER_MAX) {
                let by_topic = partitions.chunk_by(|a, b| a.0 == b.0);
                let topics = by_topic.map(|of_topic| {
                    let numbers: Vec<i32> = of_topic.iter().map(|p| p.1).collect();
                    topic(of_topic[0].0, &numbers, timestamp)
                });
                let request = request_of(topics.collect(), false);
                let connection = self.connection(leader)?;
                let answer = connection.call(VERSION_MAX, &request)?;
                let malformed = ClientError::malformed(connection.address(), ApiKey::ListOffsets);
                let view =
                    list_offsets::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
                for topic in view.topics.iter() {
                    let good = topic.partitions.iter().filter(|p| p.error_code == 0);
                    offsets.extend(good.map(|p| ((topic.name.to_owned(), p.partition_index), p.offset)));
                }
            }
        }
        Ok(offsets)
    }
}

fn request(
    topic: &str,
    partitions: &[i32],
    timestamp: i64,
    committed_only: bool,
) -> list_offsets::Request<'static> {
    request_of(vec![self::topic(topic, partitions, timestamp)], committed_only)
}

fn topic(name: &str, partitions: &[i32], timestamp: i64) -> list_offsets::ListOffsetsTopic<'static> {
    let partition = |&partition_index: &i32| list_offsets::ListOffsetsPartition {
        partition_index,
        current_leader_epoch: -1,
        timestamp,
    };
    list_offsets::ListOffsetsTopic {
        name: name.to_owned().into(),
        partitions: partitions.iter().map(partition).collect(),
    }
}

fn request_of(
    topics: Vec<list_offsets::ListOffsetsTopic<'static>>,
    committed_only: bool,
) -> list_offsets::Request<'static> {
    list_offsets::Request {
        replica_id: -1,
        isolation_level: i8::from(committed_only),
        topics,
        ..Default::default()
    }
}
