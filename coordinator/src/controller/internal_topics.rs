//! The topics that the broker makes for itself, where Kafka puts them and as Kafka configures them.

use super::{
    Controller,
    names::{OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC},
    topics::CreateTopic,
};

/// The smallest `segment.bytes` a topic may have; the broker's keys for its own topics go lower.
const SEGMENT_BYTES_MIN: i32 = 1_048_576;

impl Controller<'_> {
    /// A topic of the broker itself. Its replication factor is what the cluster can give: a lone broker with Kafka's
    /// defaults must still have groups.
    pub(super) fn internal_topic(&self, name: &str) -> Option<CreateTopic> {
        let c = self.config;
        let (partitions, factor, segment_bytes) = match name {
            OFFSETS_TOPIC => (
                c.offsets_topic_num_partitions,
                c.offsets_topic_replication_factor,
                c.offsets_topic_segment_bytes,
            ),
            TRANSACTIONS_TOPIC => (
                c.transaction_state_log_num_partitions,
                c.transaction_state_log_replication_factor,
                c.transaction_state_log_segment_bytes,
            ),
            SHARE_STATE_TOPIC => (
                c.share_coordinator_state_topic_num_partitions,
                c.share_coordinator_state_topic_replication_factor,
                c.share_coordinator_state_topic_segment_bytes,
            ),
            _ => return None,
        };
        let brokers = i16::try_from(self.usable_brokers().len()).unwrap_or(i16::MAX);
        let factor = factor.min(brokers).max(1);
        let min_isr = match name {
            TRANSACTIONS_TOPIC => Some(c.transaction_state_log_min_isr),
            SHARE_STATE_TOPIC => Some(i32::from(c.share_coordinator_state_topic_min_isr)),
            _ => None,
        };
        let set = |key: &str, value: String| (key.to_owned(), Some(value));
        let policy = if name == SHARE_STATE_TOPIC { "delete" } else { "compact" };
        let mut configs = vec![
            set("cleanup.policy", policy.to_owned()),
            set("compression.type", "producer".to_owned()),
            set("segment.bytes", segment_bytes.max(SEGMENT_BYTES_MIN).to_string()),
        ];
        if name == SHARE_STATE_TOPIC {
            configs.push(set("retention.ms", "-1".to_owned()));
        }
        if let Some(min_isr) = min_isr {
            configs.push(set("min.insync.replicas", min_isr.min(i32::from(factor)).to_string()));
        }
        let name = name.to_owned();
        Some(CreateTopic { name, partitions, replication_factor: factor, assignments: vec![], configs })
    }
}
