//! The metadata log as values: one record after another, and the image they fold into.

pub mod image;
pub mod record;

pub use image::{BadApply, Broker, Image, ImageDelta, Partition, Topic};
pub use record::{
    BadRecord, BrokerRecord, ConfigRecord, ConfigResource, Endpoint, FeatureLevelRecord, MetadataRecord,
    PartitionRecord, ProducerIdsRecord, RemoveTopicRecord, SecurityProtocol, TopicRecord,
};
