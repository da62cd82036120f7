//! Everything the metadata log says up to one offset. An image is a value: whoever holds one sees it whole and
//! unchanging, on any shard. Maps and topics are behind `Arc` and copied only when written, so `clone` costs a few
//! counters and applying a batch copies each touched map once, however many topics there are.
//!
//! ```text
//!   published image --clone--> working copy --apply, apply, apply--> publish
//! ```

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use model::{BrokerId, Offset, PartitionIndex, ProducerId, TopicId};

use super::{
    broker::Broker,
    partition::Partition,
    record::{ClientQuotaRecord, ConfigRecord, ConfigResource, MetadataRecord, TopicRecord},
};
use crate::quotas::{ClientQuotas, QuotaValue};

/// The configs that one resource has of its own, by key.
pub type ConfigMap = BTreeMap<String, String>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    cluster_id: Arc<str>,
    /// Offset of the last record applied; `Offset::NONE` before the first.
    offset: Offset,
    topic_ids: Arc<BTreeMap<Arc<str>, TopicId>>,
    /// One reference a topic, so that a batch of its partitions changes it in place.
    pub(super) topics: Arc<BTreeMap<TopicId, Arc<Topic>>>,
    partition_count: usize,
    pub(super) configs: Arc<BTreeMap<ConfigResource, ConfigMap>>,
    brokers: Arc<BTreeMap<BrokerId, Broker>>,
    features: Arc<BTreeMap<String, i16>>,
    pub(super) quotas: Arc<ClientQuotas>,
    next_producer_id: ProducerId,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub id: TopicId,
    pub name: Arc<str>,
    /// By partition index: partitions are numbered from 0 without holes.
    pub partitions: Vec<Partition>,
}

/// A record that does not fit the image: the log is not the one this image was built from. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadApply {
    #[error("the record at offset {got} follows the one at {last}")]
    OffsetNotNext { last: Offset, got: Offset },
    #[error("topic {0} or its id already exists")]
    TopicExists(String),
    #[error("there is no topic with the id {0}")]
    UnknownTopic(TopicId),
    #[error("topic {topic} has {count} partitions, so partition {index} cannot come next")]
    PartitionNotNext { topic: String, count: usize, index: PartitionIndex },
    #[error("broker {0} is not registered")]
    UnknownBroker(BrokerId),
    #[error("producer ids would move back from {from} to {to}")]
    ProducerIdsMoveBack { from: ProducerId, to: ProducerId },
}

impl Image {
    pub fn new(cluster_id: &str) -> Self {
        Self {
            cluster_id: cluster_id.into(),
            offset: Offset::NONE,
            topic_ids: Arc::default(),
            topics: Arc::default(),
            partition_count: 0,
            configs: Arc::default(),
            brokers: Arc::default(),
            features: Arc::default(),
            quotas: Arc::default(),
            next_producer_id: ProducerId(0),
        }
    }

    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }
    pub fn offset(&self) -> Offset {
        self.offset
    }
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.topic_ids.get(name)?)
    }
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }
    /// Of all topics together.
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }
    /// A topic whose name differs from `name` only in '.' and '_'. Kafka's metric names cannot tell the two apart, so the
    /// second of them is refused.
    pub fn colliding_topic(&self, name: &str) -> Option<&str> {
        self.colliding_after(&mut String::with_capacity(name.len()), name, name)
    }

    /// Among the topics that begin with `prefix` and go on like `rest`. At each '.' or '_' the index says which of the two
    /// goes on at all, so only beginnings that some topic has are followed.
    fn colliding_after(&self, prefix: &mut String, rest: &str, name: &str) -> Option<&str> {
        let length = prefix.len();
        let Some(at) = rest.find(['.', '_']) else {
            prefix.push_str(rest);
            let found = self.topic_ids.get_key_value(prefix.as_str()).map(|(other, _)| other.as_ref());
            prefix.truncate(length);
            return found.filter(|other| *other != name);
        };
        prefix.push_str(&rest[..at]);
        let found = ['.', '_'].into_iter().find_map(|separator| {
            prefix.push(separator);
            let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
            let next = self.topic_ids.range::<str, _>(from).next();
            let follows = next.is_some_and(|(other, _)| other.starts_with(prefix.as_str()));
            let found = if follows { self.colliding_after(prefix, &rest[at + 1..], name) } else { None };
            prefix.pop();
            found
        });
        prefix.truncate(length);
        found
    }

    /// In order of name.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<Topic>> {
        self.topic_ids.values().map(|id| &self.topics[id])
    }
    pub fn partition(&self, id: TopicId, index: PartitionIndex) -> Option<&Partition> {
        self.topic_by_id(id)?.partition(index)
    }
    pub fn broker(&self, id: BrokerId) -> Option<&Broker> {
        self.brokers.get(&id)
    }
    /// In order of id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Broker> {
        self.brokers.values()
    }
    pub fn feature_level(&self, name: &str) -> Option<i16> {
        self.features.get(name).copied()
    }
    pub fn features(&self) -> impl ExactSizeIterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (name.as_str(), *level))
    }
    /// What the resource has of its own; None when it has nothing.
    pub fn configs(&self, resource: &ConfigResource) -> Option<&ConfigMap> {
        self.configs.get(resource)
    }
    pub fn config_resources(&self) -> impl ExactSizeIterator<Item = &ConfigResource> {
        self.configs.keys()
    }

    /// The quotas of all clients, by entity; an entity without any is not in it.
    pub fn quotas(&self) -> &Arc<ClientQuotas> {
        &self.quotas
    }

    /// Applies the record at `offset`. On an error the image is as it was.
    pub fn apply(&mut self, offset: Offset, record: &MetadataRecord) -> Result<(), BadApply> {
        if offset <= self.offset {
            return Err(BadApply::OffsetNotNext { last: self.offset, got: offset });
        }
        self.change(offset, record)?;
        self.offset = offset;
        Ok(())
    }

    /// `offset` is the epoch of a broker that registers.
    pub(super) fn change(&mut self, offset: Offset, record: &MetadataRecord) -> Result<(), BadApply> {
        match record {
            MetadataRecord::NoOp(_) => {}
            MetadataRecord::Topic(topic) => self.add_topic(topic)?,
            MetadataRecord::Partition(old) => {
                self.put_partition(old.topic, old.index, Partition::from(old))?;
            }
            MetadataRecord::PartitionState(state) => {
                self.put_partition(state.topic, state.index, Partition::from(state))?;
            }
            MetadataRecord::RemoveTopic(removed) => self.remove_topic(removed.id)?,
            MetadataRecord::Config(config) => self.put_config(config),
            MetadataRecord::ProducerIds(ids) => self.move_producer_ids(ids.next)?,
            MetadataRecord::Broker(old) => self.put_broker(offset, Broker::from(old)),
            MetadataRecord::BrokerRegistration(broker) => self.put_broker(offset, Broker::from(broker)),
            MetadataRecord::UnregisterBroker(gone) => self.remove_broker(gone.id)?,
            MetadataRecord::FeatureLevel(feature) => {
                Arc::make_mut(&mut self.features).insert(feature.name.clone(), feature.level);
            }
            MetadataRecord::ClientQuota(quota) => self.put_quota(quota),
        }
        Ok(())
    }

    pub(super) fn set_offset(&mut self, offset: Offset) {
        self.offset = offset;
    }

    fn add_topic(&mut self, record: &TopicRecord) -> Result<(), BadApply> {
        if self.topic_ids.contains_key(record.name.as_str()) || self.topics.contains_key(&record.id) {
            return Err(BadApply::TopicExists(record.name.clone()));
        }
        let name: Arc<str> = record.name.as_str().into();
        let topic = Topic { id: record.id, name: Arc::clone(&name), partitions: vec![] };
        Arc::make_mut(&mut self.topic_ids).insert(name, record.id);
        Arc::make_mut(&mut self.topics).insert(record.id, Arc::new(topic));
        Ok(())
    }

    fn put_partition(
        &mut self,
        id: TopicId,
        index: PartitionIndex,
        partition: Partition,
    ) -> Result<(), BadApply> {
        let topic = self.topics.get(&id).ok_or(BadApply::UnknownTopic(id))?;
        let count = topic.partitions.len();
        let Some(at) = usize::try_from(index.0).ok().filter(|&at| at <= count) else {
            return Err(BadApply::PartitionNotNext { topic: topic.name.to_string(), count, index });
        };
        let topic = Arc::make_mut(&mut self.topics).get_mut(&id).expect("found above");
        let partitions = &mut Arc::make_mut(topic).partitions;
        if at == count {
            partitions.push(partition);
            self.partition_count += 1;
        } else {
            partitions[at] = partition.following(&partitions[at]);
        }
        Ok(())
    }

    fn remove_topic(&mut self, id: TopicId) -> Result<(), BadApply> {
        if !self.topics.contains_key(&id) {
            return Err(BadApply::UnknownTopic(id));
        }
        let topic = Arc::make_mut(&mut self.topics).remove(&id).expect("found above");
        Arc::make_mut(&mut self.topic_ids).remove(&topic.name);
        self.partition_count -= topic.partitions.len();
        let resource = ConfigResource::Topic(topic.name.to_string());
        if self.configs.contains_key(&resource) {
            Arc::make_mut(&mut self.configs).remove(&resource);
        }
        Ok(())
    }

    fn put_config(&mut self, record: &ConfigRecord) {
        let configs = Arc::make_mut(&mut self.configs);
        match &record.value {
            Some(value) => {
                configs.entry(record.resource.clone()).or_default().insert(record.key.clone(), value.clone());
            }
            None => {
                if let Some(map) = configs.get_mut(&record.resource) {
                    map.remove(&record.key);
                    if map.is_empty() {
                        configs.remove(&record.resource);
                    }
                }
            }
        }
    }

    fn put_quota(&mut self, record: &ClientQuotaRecord) {
        let quotas = Arc::make_mut(&mut self.quotas);
        if let Some(bits) = record.value {
            let value = QuotaValue::of_bits(bits);
            quotas.entry(record.entity.clone()).or_default().insert(record.key.clone(), value);
        } else if let Some(map) = quotas.get_mut(&record.entity) {
            map.remove(&record.key);
            if map.is_empty() {
                quotas.remove(&record.entity);
            }
        }
    }

    fn move_producer_ids(&mut self, next: ProducerId) -> Result<(), BadApply> {
        if next < self.next_producer_id {
            return Err(BadApply::ProducerIdsMoveBack { from: self.next_producer_id, to: next });
        }
        self.next_producer_id = next;
        Ok(())
    }

    /// A new incarnation begins a new epoch: the offset of its record, so that no two lives share one.
    fn put_broker(&mut self, offset: Offset, broker: Broker) {
        let before = self.brokers.get(&broker.id).filter(|before| before.incarnation == broker.incarnation);
        let epoch = before.map_or(offset.0, |before| before.epoch);
        Arc::make_mut(&mut self.brokers).insert(broker.id, Broker { epoch, ..broker });
    }

    fn remove_broker(&mut self, id: BrokerId) -> Result<(), BadApply> {
        if !self.brokers.contains_key(&id) {
            return Err(BadApply::UnknownBroker(id));
        }
        Arc::make_mut(&mut self.brokers).remove(&id);
        Ok(())
    }
}

impl Topic {
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }
}

#[cfg(test)]
mod tests;
