//! The words everyone in the house uses: ids, offsets, watermarks, the record batch on the wire, error codes.
//! A leaf: no IO, no clock, no async, nothing of the workspace below it.

pub mod batch;
pub mod error_code;
pub mod figures;
pub mod ids;
pub mod offset;
pub mod time;
pub mod varint;
pub mod watermarks;

pub use batch::{BatchError, BatchHeader, BatchView, Compression, TimestampType};
pub use error_code::ErrorCode;
pub use ids::{
    BrokerId, LeaderEpoch, PartitionIndex, ProducerEpoch, ProducerId, ShardId, TopicId, TopicPartition,
};
pub use offset::Offset;
pub use time::{Millis, Timestamp};
pub use watermarks::Watermarks;
