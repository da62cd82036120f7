//! The metadata log as values: one record after another, and the image they fold into.

pub mod delta;
pub mod features;
pub mod image;
pub mod record;

pub use delta::ImageDelta;
pub use features::{FEATURES, Feature};
pub use image::{BadApply, Broker, Image, Partition, Topic};
pub use record::{
    BadRecord, BrokerRecord, ClientQuotaRecord, ConfigRecord, ConfigResource, Endpoint, FeatureLevelRecord,
    MetadataRecord, PartitionRecord, ProducerIdsRecord, QuotaEntity, QuotaName, RemoveTopicRecord,
    SecurityProtocol, TopicRecord,
};
