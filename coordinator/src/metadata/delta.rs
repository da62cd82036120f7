//! What changed from one image to a later one, as far as a shard must act on it: partitions to open, to close, to look at
//! again.

use std::{cmp::Ordering, sync::Arc};

use super::{
    image::{ConfigMap, Image, Topic},
    record::ConfigResource,
};

/// Each list is in order of topic id.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImageDelta {
    pub appeared: Vec<Arc<Topic>>,
    /// As they were.
    pub vanished: Vec<Arc<Topic>>,
    /// As they are: with more partitions, other leaders, or other configs.
    pub changed: Vec<Arc<Topic>>,
    /// Configs of brokers changed, which may change what holds for any topic.
    pub broker_configs_changed: bool,
    pub quotas_changed: bool,
}

impl Image {
    /// From `self` to the later image `next`. A topic deleted and created again has two ids: it vanishes and appears.
    pub fn delta(&self, next: &Image) -> ImageDelta {
        let same_configs = Arc::ptr_eq(&self.configs, &next.configs);
        let mut delta = ImageDelta {
            broker_configs_changed: !same_configs && self.broker_configs().ne(next.broker_configs()),
            quotas_changed: !Arc::ptr_eq(&self.quotas, &next.quotas) && self.quotas != next.quotas,
            ..ImageDelta::default()
        };
        // Equal topics are mostly the same memory, which the comparison sees first.
        let changed = |before: &Arc<Topic>, now: &Arc<Topic>| {
            before != now || (!same_configs && self.topic_configs(now) != next.topic_configs(now))
        };
        let (mut olds, mut news) = (self.topics.values().peekable(), next.topics.values().peekable());
        loop {
            let order = match (olds.peek(), news.peek()) {
                (None, None) => return delta,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.id.cmp(&new.id),
            };
            let old = if order.is_le() { olds.next() } else { None };
            let new = if order.is_ge() { news.next() } else { None };
            match (old, new) {
                (Some(old), None) => delta.vanished.push(Arc::clone(old)),
                (None, Some(new)) => delta.appeared.push(Arc::clone(new)),
                (Some(old), Some(new)) if changed(old, new) => delta.changed.push(Arc::clone(new)),
                _ => {}
            }
        }
    }

    fn topic_configs(&self, topic: &Topic) -> Option<&ConfigMap> {
        self.configs(&ConfigResource::Topic(topic.name.to_string()))
    }

    fn broker_configs(&self) -> impl Iterator<Item = (&ConfigResource, &ConfigMap)> {
        let of_brokers =
            |r: &ConfigResource| matches!(r, ConfigResource::Broker(_) | ConfigResource::DefaultBroker);
        self.configs.iter().filter(move |(resource, _)| of_brokers(resource))
    }
}
