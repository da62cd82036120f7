//! An image as records, so that whoever has them needs nothing of the log before.

use model::{Offset, PartitionIndex};

use super::{
    image::{BadApply, Image},
    record::{
        ClientQuotaRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, ProducerIdsRecord, TopicRecord,
    },
};

/// One record of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotRecord {
    pub record: MetadataRecord,
    /// Of a broker: its epoch, which is the offset that its registration had in the log.
    pub broker_epoch: Option<i64>,
}

impl Image {
    /// Brokers, topics with their partitions, then everything else.
    pub fn to_snapshot(&self) -> Vec<SnapshotRecord> {
        let mut records: Vec<SnapshotRecord> = self
            .brokers()
            .map(|broker| SnapshotRecord { record: broker.to_record(), broker_epoch: Some(broker.epoch) })
            .collect();
        let mut push = |record| records.push(SnapshotRecord { record, broker_epoch: None });
        for topic in self.topics() {
            push(MetadataRecord::Topic(TopicRecord { id: topic.id, name: topic.name.to_string() }));
            for (index, partition) in (0i32..).map(PartitionIndex).zip(&topic.partitions) {
                push(partition.to_record(topic.id, index));
            }
        }
        for resource in self.config_resources() {
            for (key, value) in self.configs(resource).into_iter().flatten() {
                let (resource, key, value) = (resource.clone(), key.clone(), Some(value.clone()));
                push(MetadataRecord::Config(ConfigRecord { resource, key, value }));
            }
        }
        for (name, level) in self.features() {
            push(MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.to_owned(), level }));
        }
        for (entity, quotas) in self.quotas().iter() {
            for (key, value) in quotas {
                let (entity, key, value) = (entity.clone(), key.clone(), Some(value.bits()));
                push(MetadataRecord::ClientQuota(ClientQuotaRecord { entity, key, value }));
            }
        }
        push(MetadataRecord::ProducerIds(ProducerIdsRecord { next: self.next_producer_id() }));
        records
    }

    /// The image that the records make, of everything below `end`.
    pub fn of_snapshot(
        cluster_id: &str,
        end: Offset,
        records: impl IntoIterator<Item = SnapshotRecord>,
    ) -> Result<Self, BadApply> {
        let mut image = Self::new(cluster_id);
        for SnapshotRecord { record, broker_epoch } in records {
            image.change(Offset(broker_epoch.unwrap_or(0)), &record)?;
        }
        image.set_offset(end + -1);
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use model::{BrokerId, LeaderEpoch, ProducerId, TopicId};

    use super::*;
    use crate::metadata::record::{BrokerRecord, ConfigResource, PartitionRecord, QuotaEntity, QuotaName};

    fn records() -> Vec<MetadataRecord> {
        let topic = |n: u8| TopicRecord { id: TopicId([n; 16]), name: format!("t{n}") };
        let partition = |n: u8, index: i32| PartitionRecord {
            topic: TopicId([n; 16]),
            index: PartitionIndex(index),
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(3),
            replicas: vec![BrokerId(1), BrokerId(2)],
            isr: vec![BrokerId(1)],
            partition_epoch: 4,
        };
        let broker = |id: i32, incarnation| BrokerRecord {
            id: BrokerId(id),
            incarnation: [incarnation; 16],
            rack: None,
            endpoints: vec![],
            fenced: id == 2,
        };
        let quota = ClientQuotaRecord {
            entity: QuotaEntity::User(QuotaName::Default),
            key: "producer_byte_rate".into(),
            value: Some(1.5f64.to_bits()),
        };
        vec![
            MetadataRecord::Topic(topic(1)),
            MetadataRecord::Broker(broker(1, 1)),
            MetadataRecord::Broker(broker(2, 2)),
            MetadataRecord::Broker(broker(1, 3)),
            MetadataRecord::Partition(partition(1, 0)),
            MetadataRecord::Partition(partition(1, 1)),
            MetadataRecord::Topic(topic(2)),
            MetadataRecord::Config(ConfigRecord {
                resource: ConfigResource::Topic("t2".into()),
                key: "retention.ms".into(),
                value: Some("5".into()),
            }),
            MetadataRecord::FeatureLevel(FeatureLevelRecord { name: "metadata.version".into(), level: 30 }),
            MetadataRecord::ClientQuota(quota),
            MetadataRecord::ProducerIds(ProducerIdsRecord { next: ProducerId(2000) }),
        ]
    }

    #[test]
    fn a_snapshot_and_the_tail_are_the_whole_log() {
        let records = records();
        let apply = |image: &mut Image, range: std::ops::Range<usize>| {
            for n in range {
                image.apply(Offset(n as i64), &records[n]).unwrap();
            }
        };
        let mut whole = Image::new("c");
        apply(&mut whole, 0..records.len());
        for cut in 1..=records.len() {
            let mut head = Image::new("c");
            apply(&mut head, 0..cut);
            let mut image = Image::of_snapshot("c", Offset(cut as i64), head.to_snapshot()).unwrap();
            assert_eq!(image, head, "{cut}");
            apply(&mut image, cut..records.len());
            assert_eq!(image, whole, "{cut}");
        }
    }
}
