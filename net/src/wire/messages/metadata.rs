//! Metadata, API key 3.
//!
//! Brokers, topics, partitions and their leaders.
//! 1 adds racks, the controller and null for all topics (in 0 an empty list means all), 4 the wish not to create topics,
//! 5 offline replicas, 7 leader epochs, 8 authorized operations, 10 topic ids, 12 questions by topic id, 13 an error code
//! for the whole answer. 11 drops the cluster's authorized operations.
//!
//! Generated from `net/schema/metadata.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 3;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=13;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 9;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Option<Array<'a, MetadataRequestTopicView<'a>>>,
    pub allow_auto_topic_creation: bool,
    pub include_cluster_authorized_operations: bool,
    pub include_topic_authorized_operations: bool,
}

impl<'a> RequestView<'a> {
    /// Validates a whole body; no walk through the view can fail afterwards.
    pub fn decode(body: &'a [u8], version: i16) -> Result<Self, Malformed> {
        body::decode(body, version, &VERSIONS, FLEXIBLE_FROM)
    }
}

impl<'a> Element<'a> for RequestView<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            topics: if version >= 1 {
                reader.nullable_array(limits::TOPICS)?
            } else {
                Some(reader.array(limits::TOPICS)?)
            },
            allow_auto_topic_creation: if version >= 4 { reader.bool()? } else { true },
            include_cluster_authorized_operations: if (8..=10).contains(&version) {
                reader.bool()?
            } else {
                false
            },
            include_topic_authorized_operations: if version >= 8 { reader.bool()? } else { false },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MetadataRequestTopicView<'a> {
    pub topic_id: Uuid,
    pub name: Option<&'a str>,
}

impl<'a> Element<'a> for MetadataRequestTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=9 => 2,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            topic_id: if version >= 10 { reader.uuid()? } else { [0; 16] },
            name: if version >= 10 { reader.nullable_string()? } else { Some(reader.string()?) },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub brokers: Array<'a, MetadataResponseBrokerView<'a>>,
    pub cluster_id: Option<&'a str>,
    pub controller_id: i32,
    pub topics: Array<'a, MetadataResponseTopicView<'a>>,
    pub cluster_authorized_operations: i32,
    pub error_code: i16,
}

impl<'a> ResponseView<'a> {
    /// Validates a whole body; no walk through the view can fail afterwards.
    pub fn decode(body: &'a [u8], version: i16) -> Result<Self, Malformed> {
        body::decode(body, version, &VERSIONS, FLEXIBLE_FROM)
    }
}

impl<'a> Element<'a> for ResponseView<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            throttle_time_ms: if version >= 3 { reader.int32()? } else { 0 },
            brokers: reader.array(limits::BROKERS)?,
            cluster_id: if version >= 2 { reader.nullable_string()? } else { None },
            controller_id: if version >= 1 { reader.int32()? } else { -1 },
            topics: reader.array(limits::TOPICS)?,
            cluster_authorized_operations: if (8..=10).contains(&version) {
                reader.int32()?
            } else {
                -2147483648
            },
            error_code: if version >= 13 { reader.int16()? } else { 0 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MetadataResponseTopicView<'a> {
    pub error_code: i16,
    pub name: Option<&'a str>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Array<'a, MetadataResponsePartitionView<'a>>,
    pub topic_authorized_operations: i32,
}

impl<'a> Element<'a> for MetadataResponseTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 8,
            1..=7 => 9,
            8 => 13,
            9 => 10,
            _ => 26,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            error_code: reader.int16()?,
            name: if version >= 12 { reader.nullable_string()? } else { Some(reader.string()?) },
            topic_id: if version >= 10 { reader.uuid()? } else { [0; 16] },
            is_internal: if version >= 1 { reader.bool()? } else { false },
            partitions: reader.array(limits::PARTITIONS)?,
            topic_authorized_operations: if version >= 8 { reader.int32()? } else { -2147483648 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MetadataResponsePartitionView<'a> {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Array<'a, i32>,
    pub isr_nodes: Array<'a, i32>,
    pub offline_replicas: Array<'a, i32>,
}

impl<'a> Element<'a> for MetadataResponsePartitionView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=4 => 18,
            5..=6 => 22,
            7..=8 => 26,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            error_code: reader.int16()?,
            partition_index: reader.int32()?,
            leader_id: reader.int32()?,
            leader_epoch: if version >= 7 { reader.int32()? } else { -1 },
            replica_nodes: reader.array(limits::REPLICAS)?,
            isr_nodes: reader.array(limits::REPLICAS)?,
            offline_replicas: if version >= 5 { reader.array(limits::REPLICAS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MetadataResponseBrokerView<'a> {
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

impl<'a> Element<'a> for MetadataResponseBrokerView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 10,
            1..=8 => 12,
            _ => 11,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            node_id: reader.int32()?,
            host: reader.string()?,
            port: reader.int32()?,
            rack: if version >= 1 { reader.nullable_string()? } else { None },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub topics: Option<Vec<MetadataRequestTopic<'a>>>,
    pub allow_auto_topic_creation: bool,
    pub include_cluster_authorized_operations: bool,
    pub include_topic_authorized_operations: bool,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            topics: Some(Vec::new()),
            allow_auto_topic_creation: true,
            include_cluster_authorized_operations: false,
            include_topic_authorized_operations: false,
        }
    }
}

impl Request<'_> {
    /// Writes the body without a header.
    ///
    /// # Panics
    /// If the version is not one of `VERSIONS`.
    pub fn encode(&self, version: i16, writer: &mut Writer) {
        body::encode(self, version, &VERSIONS, FLEXIBLE_FROM, writer);
    }
}

impl RequestBody for Request<'_> {
    const KEY: ApiKey = ApiKey::Metadata;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 1 {
            writer.nullable_array(self.topics.as_deref());
        } else {
            writer.array(self.topics.as_deref().unwrap_or_default());
        }
        if version >= 4 {
            writer.bool(self.allow_auto_topic_creation);
        }
        if (8..=10).contains(&version) {
            writer.bool(self.include_cluster_authorized_operations);
        }
        if version >= 8 {
            writer.bool(self.include_topic_authorized_operations);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            topics: view.topics.map(|x| x.iter().map(Into::into).collect()),
            allow_auto_topic_creation: view.allow_auto_topic_creation,
            include_cluster_authorized_operations: view.include_cluster_authorized_operations,
            include_topic_authorized_operations: view.include_topic_authorized_operations,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataRequestTopic<'a> {
    pub topic_id: Uuid,
    pub name: Option<Cow<'a, str>>,
}

impl Encode for MetadataRequestTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        if version >= 10 {
            writer.nullable_string(self.name.as_deref());
        } else {
            writer.string(self.name.as_deref().unwrap_or_default());
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<MetadataRequestTopicView<'a>> for MetadataRequestTopic<'a> {
    fn from(view: MetadataRequestTopicView<'a>) -> Self {
        Self { topic_id: view.topic_id, name: view.name.map(Into::into) }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub brokers: Vec<MetadataResponseBroker<'a>>,
    pub cluster_id: Option<Cow<'a, str>>,
    pub controller_id: i32,
    pub topics: Vec<MetadataResponseTopic<'a>>,
    pub cluster_authorized_operations: i32,
    pub error_code: i16,
}

impl Default for Response<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            brokers: Vec::new(),
            cluster_id: None,
            controller_id: -1,
            topics: Vec::new(),
            cluster_authorized_operations: -2147483648,
            error_code: 0,
        }
    }
}

impl Response<'_> {
    /// Writes the body without a header.
    ///
    /// # Panics
    /// If the version is not one of `VERSIONS`.
    pub fn encode(&self, version: i16, writer: &mut Writer) {
        body::encode(self, version, &VERSIONS, FLEXIBLE_FROM, writer);
    }
}

impl ResponseBody for Response<'_> {
    const KEY: ApiKey = ApiKey::Metadata;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 3 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        writer.array(&self.brokers);
        if version >= 2 {
            writer.nullable_string(self.cluster_id.as_deref());
        }
        if version >= 1 {
            writer.int32(self.controller_id);
        }
        writer.array(&self.topics);
        if (8..=10).contains(&version) {
            writer.int32(self.cluster_authorized_operations);
        }
        if version >= 13 {
            writer.error_code(self.error_code);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            brokers: view.brokers.iter().map(Into::into).collect(),
            cluster_id: view.cluster_id.map(Into::into),
            controller_id: view.controller_id,
            topics: view.topics.iter().map(Into::into).collect(),
            cluster_authorized_operations: view.cluster_authorized_operations,
            error_code: view.error_code,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponseTopic<'a> {
    pub error_code: i16,
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<MetadataResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for MetadataResponseTopic<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            name: None,
            topic_id: [0; 16],
            is_internal: false,
            partitions: Vec::new(),
            topic_authorized_operations: -2147483648,
        }
    }
}

impl Encode for MetadataResponseTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.error_code(self.error_code);
        if version >= 12 {
            writer.nullable_string(self.name.as_deref());
        } else {
            writer.string(self.name.as_deref().unwrap_or_default());
        }
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        if version >= 1 {
            writer.bool(self.is_internal);
        }
        writer.array(&self.partitions);
        if version >= 8 {
            writer.int32(self.topic_authorized_operations);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<MetadataResponseTopicView<'a>> for MetadataResponseTopic<'a> {
    fn from(view: MetadataResponseTopicView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            name: view.name.map(Into::into),
            topic_id: view.topic_id,
            is_internal: view.is_internal,
            partitions: view.partitions.iter().map(Into::into).collect(),
            topic_authorized_operations: view.topic_authorized_operations,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct MetadataResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub offline_replicas: Vec<i32>,
}

impl Default for MetadataResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            offline_replicas: Vec::new(),
        }
    }
}

impl Encode for MetadataResponsePartition {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.error_code(self.error_code);
        writer.int32(self.partition_index);
        writer.int32(self.leader_id);
        if version >= 7 {
            writer.int32(self.leader_epoch);
        }
        writer.array(&self.replica_nodes);
        writer.array(&self.isr_nodes);
        if version >= 5 {
            writer.array(&self.offline_replicas);
        }
        writer.tagged_fields(0);
    }
}

impl From<MetadataResponsePartitionView<'_>> for MetadataResponsePartition {
    fn from(view: MetadataResponsePartitionView<'_>) -> Self {
        Self {
            error_code: view.error_code,
            partition_index: view.partition_index,
            leader_id: view.leader_id,
            leader_epoch: view.leader_epoch,
            replica_nodes: view.replica_nodes.iter().collect(),
            isr_nodes: view.isr_nodes.iter().collect(),
            offline_replicas: view.offline_replicas.iter().collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataResponseBroker<'a> {
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
}

impl Encode for MetadataResponseBroker<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.node_id);
        writer.string(&self.host);
        writer.int32(self.port);
        if version >= 1 {
            writer.nullable_string(self.rack.as_deref());
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<MetadataResponseBrokerView<'a>> for MetadataResponseBroker<'a> {
    fn from(view: MetadataResponseBrokerView<'a>) -> Self {
        Self {
            node_id: view.node_id,
            host: view.host.into(),
            port: view.port,
            rack: view.rack.map(Into::into),
        }
    }
}
