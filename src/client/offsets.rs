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

fn request(
    topic: &str,
    partitions: &[i32],
    timestamp: i64,
    committed_only: bool,
) -> list_offsets::Request<'static> {
    let partition = |&partition_index: &i32| list_offsets::ListOffsetsPartition {
        partition_index,
        current_leader_epoch: -1,
        timestamp,
    };
    let topic = list_offsets::ListOffsetsTopic {
        name: topic.to_owned().into(),
        partitions: partitions.iter().map(partition).collect(),
    };
    list_offsets::Request {
        replica_id: -1,
        isolation_level: i8::from(committed_only),
        topics: vec![topic],
        ..Default::default()
    }
}
