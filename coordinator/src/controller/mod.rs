//! Decides over one image: a request in, answers and records out. Lives where the metadata log is written. Nothing
//! changes until the records are committed and applied, so a caller that decides the next request before that must
//! decide it over a working copy that has the records already.
//!
//! Does not authorise, does not wait, does not speak a wire format. Randomness comes in as an argument.

pub mod brokers;
mod change;
pub mod configs;
pub mod damage;
mod election;
pub mod elections;
pub mod features;
pub mod heartbeats;
mod internal_topics;
pub mod isr;
pub mod names;
pub mod partitions;
mod placement;
pub mod producer_ids;
pub mod quotas;
pub mod reassignments;
pub mod sessions;
pub mod topics;

use model::ErrorCode;

pub use brokers::RegisterBroker;
pub use configs::{AlterConfigsRequest, config_resource};
pub use damage::ReportDamage;
pub use elections::Election;
pub use features::{FeatureUpdate, UpgradeType};
pub use heartbeats::{Heartbeat, HeartbeatAnswer};
pub use isr::{AlterPartition, AlteredPartition, IsrMember, PartitionIsr};
pub use names::is_internal;
pub use partitions::CreatePartitions;
pub use producer_ids::ProducerIdBlock;
pub use quotas::AlterClientQuotas;
pub use reassignments::{OngoingReassignment, Reassignment};
pub use sessions::Sessions;
pub use topics::{CreateTopic, CreatedTopic, DeletedTopic, TopicRef};

use crate::{
    config::BrokerConfig,
    metadata::{Image, MetadataRecord},
};

/// Partitions that one request may create, as in Kafka: more would make one unit of records too large.
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;
/// Partitions of the whole cluster: every broker holds all of them in its image.
pub const PARTITIONS_MAX: usize = 500_000;
/// Brokers that may register.
pub const BROKERS_MAX: usize = 1_000;
/// Groups that may have configs of their own: they need not exist, so anybody could name any number of them.
pub const CONFIGURED_GROUPS_MAX: usize = 10_000;

/// Entities that may have quotas: they need not exist, so anybody could name any number of them.
pub const QUOTA_ENTITIES_MAX: usize = 10_000;

/// A request, or a part of one, that is not granted: Kafka's code and a sentence for a human.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: String,
}

impl Refusal {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Answers, and the records that make them true. The records are one unit: append them together or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision<T> {
    pub answer: T,
    pub records: Vec<MetadataRecord>,
}

/// The rules over one image and one configuration; made anew for every request.
#[derive(Clone, Copy)]
pub struct Controller<'a> {
    image: &'a Image,
    config: &'a BrokerConfig,
}

impl<'a> Controller<'a> {
    /// `config` as it is under `image`: see `BrokerConfig::with_dynamic`.
    pub fn new(image: &'a Image, config: &'a BrokerConfig) -> Self {
        Self { image, config }
    }
}

/// Which items of a request name the same thing as another one of it.
fn named_twice<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<bool> {
    let keys: Vec<K> = keys.collect();
    let mut count = std::collections::BTreeMap::new();
    for key in &keys {
        *count.entry(key).or_insert(0) += 1;
    }
    keys.iter().map(|key| count[key] > 1).collect()
}

#[cfg(test)]
mod tests;
