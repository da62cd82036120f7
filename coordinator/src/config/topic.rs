//! All that is configured of one topic, parsed and resolved.

use model::TimestampType;

use super::broker::BrokerConfig;
use crate::metadata::Image;

#[derive(Clone, PartialEq, Debug)]
pub struct TopicConfig {
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    /// None: no limit.
    pub retention_ms: Option<i64>,
    /// None: no limit.
    pub retention_bytes: Option<i64>,
    pub cleanup: Cleanup,
    pub max_message_bytes: i32,
    pub index_interval_bytes: i32,
    pub durability: Durability,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub file_delete_delay_ms: i64,
    pub delete_retention_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub min_insync_replicas: i32,
    pub unclean_leader_election: bool,
    pub compression_type: CompressionType,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub preallocate: bool,
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
    /// What holds for `topic`: its own configs over the dynamic ones of the broker over the static ones over the
    /// defaults.
    pub fn resolve(topic: &str, image: &Image, broker: &BrokerConfig) -> Self {
        let _ = (topic, image, broker);
        todo!()
    }
}
