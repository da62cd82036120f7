//! The metadata log as values: one record after another, and the image they fold into.

pub mod batches;
pub mod broker;
pub mod control_records;
pub mod delta;
pub mod features;
pub mod image;
pub mod log_tail;
pub mod partition;
pub mod record;
pub mod snapshot;
pub mod snapshot_file;

pub use batches::BadBatch;
pub use broker::Broker;
pub use delta::ImageDelta;
pub use features::{FEATURES, Feature};
pub use image::{BadApply, Image, Topic};
pub use log_tail::LogTail;
pub use partition::Partition;
pub use record::{
    BadRecord, BrokerRecord, BrokerRegistrationRecord, ClientQuotaRecord, ConfigRecord, ConfigResource,
    Endpoint, FeatureLevelRecord, MetadataRecord, PartitionRecord, PartitionStateRecord, PeerAddress,
    ProducerIdsRecord, QuotaEntity, QuotaName, RemoveTopicRecord, SecurityProtocol, TopicRecord,
    UnregisterBrokerRecord,
};
pub use snapshot::SnapshotRecord;
