//! How far groups have read: their committed offsets, read, moved and forgotten.

use std::collections::BTreeMap;

use net::wire::{
    ApiKey,
    messages::{offset_commit, offset_delete, offset_fetch},
};

use crate::client::{
    Cluster,
    error::{ClientError, Result, check},
};

/// Above these topics are named by id.
const OFFSET_FETCH_VERSION_MAX: i16 = 9;
const OFFSET_COMMIT_VERSION_MAX: i16 = 9;
/// From here on one request may ask of several groups.
const GROUPS_FROM: i16 = 8;
const LATEST: i16 = i16::MAX;

/// Offsets by topic and partition.
pub type Offsets = BTreeMap<(String, i32), i64>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    pub offset: i64,
    pub metadata: String,
}

/// Of one partition of a topic.
pub type PartitionResult = ((String, i32), Result<()>);

impl Cluster {
    /// Everything that a group has committed.
    pub fn committed(&mut self, coordinator: i32, group: &str) -> Result<BTreeMap<(String, i32), Committed>> {
        let asked = offset_fetch::OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: None,
            ..Default::default()
        };
        let request = offset_fetch::Request {
            group_id: group.into(),
            topics: None,
            groups: vec![asked],
            ..Default::default()
        };
        let connection = self.connection(coordinator)?;
        let answer = connection.call(OFFSET_FETCH_VERSION_MAX, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::OffsetFetch);
        let view = offset_fetch::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        let what = format!("offsets of group {group}");
        let mut committed = BTreeMap::new();
        let mut put = |topic: &str, partition: i32, offset: i64, metadata: Option<&str>, code: i16| {
            check(&format!("{what}, {topic}-{partition}"), code, None)?;
            if offset >= 0 {
                let metadata = metadata.unwrap_or_default().to_owned();
                committed.insert((topic.to_owned(), partition), Committed { offset, metadata });
            }
            Ok(())
        };
        if answer.version >= GROUPS_FROM {
            for group in view.groups.iter() {
                check(&what, group.error_code, None)?;
                for topic in group.topics.iter() {
                    for p in topic.partitions.iter() {
                        put(topic.name, p.partition_index, p.committed_offset, p.metadata, p.error_code)?;
                    }
                }
            }
        } else {
            check(&what, view.error_code, None)?;
            for topic in view.topics.iter() {
                for p in topic.partitions.iter() {
                    put(topic.name, p.partition_index, p.committed_offset, p.metadata, p.error_code)?;
                }
            }
        }
        Ok(committed)
    }

    /// Moves offsets of a group that nobody is in.
    pub fn commit(&mut self, coordinator: i32, group: &str, offsets: &Offsets) -> Result<()> {
        let mut topics: BTreeMap<&str, Vec<offset_commit::OffsetCommitRequestPartition<'_>>> =
            BTreeMap::new();
        for ((topic, partition), &committed_offset) in offsets {
            topics.entry(topic).or_default().push(offset_commit::OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset,
                committed_metadata: Some("".into()),
                ..Default::default()
            });
        }
        let topic = |(name, partitions): (&str, _)| offset_commit::OffsetCommitRequestTopic {
            name: name.to_owned().into(),
            partitions,
            ..Default::default()
        };
        let request = offset_commit::Request {
            group_id: group.into(),
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        let connection = self.connection(coordinator)?;
        let answer = connection.call(OFFSET_COMMIT_VERSION_MAX, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::OffsetCommit);
        let view = offset_commit::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        for topic in view.topics.iter() {
            for partition in topic.partitions.iter() {
                let what = format!("offset of group {group}, {}-{}", topic.name, partition.partition_index);
                check(&what, partition.error_code, None)?;
            }
        }
        Ok(())
    }

    /// Forgets offsets. One result a partition.
    pub fn delete_offsets(
        &mut self,
        coordinator: i32,
        group: &str,
        partitions: &BTreeMap<String, Vec<i32>>,
    ) -> Result<Vec<PartitionResult>> {
        let partition =
            |&partition_index: &i32| offset_delete::OffsetDeleteRequestPartition { partition_index };
        let topic = |(name, partitions): (&String, &Vec<i32>)| offset_delete::OffsetDeleteRequestTopic {
            name: name.clone().into(),
            partitions: partitions.iter().map(partition).collect(),
        };
        let request =
            offset_delete::Request { group_id: group.into(), topics: partitions.iter().map(topic).collect() };
        let connection = self.connection(coordinator)?;
        let answer = connection.call(LATEST, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::OffsetDelete);
        let view = offset_delete::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check(&format!("offsets of group {group}"), view.error_code, None)?;
        let mut results = Vec::new();
        for topic in view.topics.iter() {
            for p in topic.partitions.iter() {
                let what = format!("offset of group {group}, {}-{}", topic.name, p.partition_index);
                let place = (topic.name.to_owned(), p.partition_index);
                results.push((place, check(&what, p.error_code, None)));
            }
        }
        Ok(results)
    }
}
