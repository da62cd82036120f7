//! All that is configured of one topic, parsed and resolved.

use model::TimestampType;

use super::{
    broker::BrokerConfig,
    describe::ConfigSource,
    field::{self, Field},
    sources::Sources,
    table,
};
use crate::metadata::{ConfigResource, Image, image::ConfigMap};

field::view! {
    /// The configs in force for a topic. A field is its key with underscores for dots.
    #[derive(Clone, PartialEq, Debug)]
    pub struct TopicConfig {
        cleanup_policy: Cleanup,
        compression_gzip_level: i32,
        compression_lz4_level: i32,
        compression_type: CompressionType,
        compression_zstd_level: i32,
        delete_retention_ms: i64,
        /// What a produce waits for, the effect of `flush.messages` included.
        durability: Durability,
        file_delete_delay_ms: i64,
        flush_messages: i64,
        flush_ms: i64,
        index_interval_bytes: i32,
        max_compaction_lag_ms: i64,
        max_message_bytes: i32,
        message_timestamp_after_max_ms: i64,
        message_timestamp_before_max_ms: i64,
        message_timestamp_type: TimestampType,
        min_cleanable_dirty_ratio: f64,
        min_compaction_lag_ms: i64,
        min_insync_replicas: i32,
        preallocate: bool,
        /// None: no limit.
        retention_bytes: Option<i64>,
        /// None: no limit.
        retention_ms: Option<i64>,
        segment_bytes: i32,
        segment_index_bytes: i32,
        segment_jitter_ms: i64,
        segment_ms: i64,
        unclean_leader_election_enable: bool,
    } beside {}
}

field::view! {
    /// The configs that decide who may lead a partition. All the others cost more to read, and a broker that goes may
    /// concern every topic there is.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ReplicaConfig {
        min_insync_replicas: i32,
        unclean_leader_election_enable: bool,
    } beside {}
}

impl ReplicaConfig {
    /// As `TopicConfig::resolve`.
    pub fn resolve(topic: &str, image: &Image, broker: &BrokerConfig) -> Self {
        let own = image.configs(&ConfigResource::Topic(topic.to_owned()));
        let sources = broker.sources(image).with_topic(own);
        Self::read(&|name| {
            let key = table::topic_key(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            sources.topic_value(key).0
        })
    }
}

/// What happens to old segments. Neither: they are kept for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cleanup {
    pub delete: bool,
    pub compact: bool,
}

/// When a produce is acknowledged, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Durability {
    /// The broker has it in memory.
    Memory,
    /// The kernel has it.
    Written,
    /// Stable storage has it.
    #[default]
    Flushed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CompressionType {
    /// As the producer sent it.
    #[default]
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl TopicConfig {
    /// What holds for `topic`: its own configs over the dynamic ones of the broker over the file over the defaults. A
    /// topic that does not exist has no configs of its own.
    pub fn resolve(topic: &str, image: &Image, broker: &BrokerConfig) -> Self {
        Self::over(image.configs(&ConfigResource::Topic(topic.to_owned())), image, broker)
    }

    /// What would hold for a topic with these configs of its own.
    pub(super) fn over(own: Option<&ConfigMap>, image: &Image, broker: &BrokerConfig) -> Self {
        let sources = broker.sources(image).with_topic(own);
        let mut config = Self::read(&|name| {
            let key = table::topic_key(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            sources.topic_value(key).0
        });
        config.durability = durability(&sources);
        config
    }
}

/// `flush.messages = 1` is Kafka's way to ask for a flush before each acknowledgement, so it means `flushed`. The most
/// specific place that says either decides, and within one place the stronger promise holds: nobody who asked for a
/// flush is left without one.
fn durability(sources: &Sources<'_>) -> Durability {
    let key = |name| table::topic_key(name).unwrap_or_else(|| panic!("{name} is not in the table"));
    let promises = sources.of_topic_key(key("durability"));
    let flushes = sources.of_topic_key(key("flush.messages"));
    let levels = [
        ConfigSource::DynamicTopic,
        ConfigSource::DynamicBroker,
        ConfigSource::DynamicDefaultBroker,
        ConfigSource::StaticBroker,
    ];
    let at = |level: ConfigSource| {
        let flush = flushes.iter().any(|c| c.source == level && c.text.trim() == "1");
        let promise =
            promises.iter().find(|c| c.source == level).and_then(|c| Durability::read(Some(c.text)));
        if flush { Some(Durability::Flushed) } else { promise }
    };
    levels.into_iter().find_map(at).unwrap_or_default()
}

#[cfg(test)]
mod tests;
