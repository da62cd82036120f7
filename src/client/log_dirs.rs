//! What partitions take on the disks of their leaders, and how far they are on stable storage there.

use std::collections::BTreeMap;

use net::wire::{ApiKey, messages::describe_log_dirs};

use super::{
    Cluster,
    cluster::Topic,
    error::{ClientError, Result},
};

const LATEST: i16 = i16::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OnDisk {
    pub bytes: i64,
    /// Everything below is on stable storage of the leader. Only tailrace says so.
    pub durable: Option<i64>,
}

impl Cluster {
    /// By topic and partition. What a broker does not tell is left out.
    pub fn on_disk(&mut self, topics: &[Topic]) -> Result<BTreeMap<(String, i32), OnDisk>> {
        let mut by_leader: BTreeMap<i32, Vec<(&str, Vec<i32>)>> = BTreeMap::new();
        for topic in topics {
            for partition in &topic.partitions {
                let Some(leader) = partition.leader else { continue };
                let of_leader = by_leader.entry(leader).or_default();
                match of_leader.last_mut() {
                    Some((name, partitions)) if *name == topic.name => partitions.push(partition.index),
                    _ => of_leader.push((&topic.name, vec![partition.index])),
                }
            }
        }
        let mut found = BTreeMap::new();
        for (leader, topics) in by_leader {
            let topic = |(topic, partitions): (&str, Vec<i32>)| describe_log_dirs::DescribableLogDirTopic {
                topic: topic.to_owned().into(),
                partitions,
            };
            let request =
                describe_log_dirs::Request { topics: Some(topics.into_iter().map(topic).collect()) };
            let connection = self.connection(leader)?;
            let answer = connection.call(LATEST, &request)?;
            let malformed = ClientError::malformed(connection.address(), ApiKey::DescribeLogDirs);
            let view =
                describe_log_dirs::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
            for topic in view.results.iter().flat_map(|dir| dir.topics.iter()) {
                // A future replica is on its way to another folder of the same broker.
                for p in topic.partitions.iter().filter(|p| !p.is_future_key) {
                    let durable = Some(p.durable_offset).filter(|&offset| offset >= 0);
                    let on_disk = OnDisk { bytes: p.partition_size, durable };
                    found.insert((topic.name.to_owned(), p.partition_index), on_disk);
                }
            }
        }
        Ok(found)
    }
}
