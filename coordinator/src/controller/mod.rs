//! Decides over one image: a request in, answers and records out. Nothing changes until the records are committed and
//! applied, so a caller that must know a request's effect before the next one applies them to its own working copy.

pub mod configs;
pub mod partitions;
pub mod producer_ids;
pub mod topics;

use model::ErrorCode;

pub use configs::AlterConfigsRequest;
pub use partitions::CreatePartitions;
pub use producer_ids::ProducerIdBlock;
pub use topics::{CreateTopic, CreatedTopic, DeletedTopic, Placement, TopicRef};

use crate::{
    config::BrokerConfig,
    metadata::{Image, MetadataRecord},
};

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
    pub(crate) image: &'a Image,
    pub(crate) config: &'a BrokerConfig,
}

impl<'a> Controller<'a> {
    pub fn new(image: &'a Image, config: &'a BrokerConfig) -> Self {
        Self { image, config }
    }
}
