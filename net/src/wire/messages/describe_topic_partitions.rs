//! DescribeTopicPartitions, API key 75.
//!
//! Topics and their partitions, a page at a time: the cursor says where to go on.
//!
//! Generated from `net/schema/describe_topic_partitions.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 75;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=0;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Array<'a, TopicRequestView<'a>>,
    pub response_partition_limit: i32,
    pub cursor: Option<CursorView<'a>>,
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
        let view = Self {
            topics: reader.array(limits::TOPICS)?,
            response_partition_limit: reader.int32()?,
            cursor: reader.nullable_struct()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TopicRequestView<'a> {
    pub name: &'a str,
}

impl<'a> Element<'a> for TopicRequestView<'a> {
    fn bytes_min(_: Format) -> usize {
        2
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub topics: Array<'a, DescribeTopicPartitionsResponseTopicView<'a>>,
    pub next_cursor: Option<CursorView<'a>>,
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
        let view = Self {
            throttle_time_ms: reader.int32()?,
            topics: reader.array(limits::TOPICS)?,
            next_cursor: reader.nullable_struct()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeTopicPartitionsResponseTopicView<'a> {
    pub error_code: i16,
    pub name: Option<&'a str>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Array<'a, DescribeTopicPartitionsResponsePartitionView<'a>>,
    pub topic_authorized_operations: i32,
}

impl<'a> Element<'a> for DescribeTopicPartitionsResponseTopicView<'a> {
    fn bytes_min(_: Format) -> usize {
        26
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            error_code: reader.int16()?,
            name: reader.nullable_string()?,
            topic_id: reader.uuid()?,
            is_internal: reader.bool()?,
            partitions: reader.array(limits::PARTITIONS)?,
            topic_authorized_operations: reader.int32()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeTopicPartitionsResponsePartitionView<'a> {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Array<'a, i32>,
    pub isr_nodes: Array<'a, i32>,
    pub eligible_leader_replicas: Option<Array<'a, i32>>,
    pub last_known_elr: Option<Array<'a, i32>>,
    pub offline_replicas: Array<'a, i32>,
}

impl<'a> Element<'a> for DescribeTopicPartitionsResponsePartitionView<'a> {
    fn bytes_min(_: Format) -> usize {
        20
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            error_code: reader.int16()?,
            partition_index: reader.int32()?,
            leader_id: reader.int32()?,
            leader_epoch: reader.int32()?,
            replica_nodes: reader.array(limits::REPLICAS)?,
            isr_nodes: reader.array(limits::REPLICAS)?,
            eligible_leader_replicas: reader.nullable_array(limits::REPLICAS)?,
            last_known_elr: reader.nullable_array(limits::REPLICAS)?,
            offline_replicas: reader.array(limits::REPLICAS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CursorView<'a> {
    pub topic_name: &'a str,
    pub partition_index: i32,
}

impl<'a> Element<'a> for CursorView<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic_name: reader.string()?, partition_index: reader.int32()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub topics: Vec<TopicRequest<'a>>,
    pub response_partition_limit: i32,
    pub cursor: Option<Cursor<'a>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { topics: Vec::new(), response_partition_limit: 2000, cursor: None }
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
    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.topics);
        writer.int32(self.response_partition_limit);
        writer.nullable_struct(self.cursor.as_ref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            topics: view.topics.iter().map(Into::into).collect(),
            response_partition_limit: view.response_partition_limit,
            cursor: view.cursor.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicRequest<'a> {
    pub name: Cow<'a, str>,
}

impl Encode for TopicRequest<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.tagged_fields(0);
    }
}

impl<'a> From<TopicRequestView<'a>> for TopicRequest<'a> {
    fn from(view: TopicRequestView<'a>) -> Self {
        Self { name: view.name.into() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>,
    pub next_cursor: Option<Cursor<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.array(&self.topics);
        writer.nullable_struct(self.next_cursor.as_ref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            topics: view.topics.iter().map(Into::into).collect(),
            next_cursor: view.next_cursor.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeTopicPartitionsResponseTopic<'a> {
    pub error_code: i16,
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
    pub is_internal: bool,
    pub partitions: Vec<DescribeTopicPartitionsResponsePartition>,
    pub topic_authorized_operations: i32,
}

impl Default for DescribeTopicPartitionsResponseTopic<'_> {
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

impl Encode for DescribeTopicPartitionsResponseTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.nullable_string(self.name.as_deref());
        writer.uuid(self.topic_id);
        writer.bool(self.is_internal);
        writer.array(&self.partitions);
        writer.int32(self.topic_authorized_operations);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeTopicPartitionsResponseTopicView<'a>> for DescribeTopicPartitionsResponseTopic<'a> {
    fn from(view: DescribeTopicPartitionsResponseTopicView<'a>) -> Self {
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
pub struct DescribeTopicPartitionsResponsePartition {
    pub error_code: i16,
    pub partition_index: i32,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub replica_nodes: Vec<i32>,
    pub isr_nodes: Vec<i32>,
    pub eligible_leader_replicas: Option<Vec<i32>>,
    pub last_known_elr: Option<Vec<i32>>,
    pub offline_replicas: Vec<i32>,
}

impl Default for DescribeTopicPartitionsResponsePartition {
    fn default() -> Self {
        Self {
            error_code: 0,
            partition_index: 0,
            leader_id: 0,
            leader_epoch: -1,
            replica_nodes: Vec::new(),
            isr_nodes: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
            offline_replicas: Vec::new(),
        }
    }
}

impl Encode for DescribeTopicPartitionsResponsePartition {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.int32(self.partition_index);
        writer.int32(self.leader_id);
        writer.int32(self.leader_epoch);
        writer.array(&self.replica_nodes);
        writer.array(&self.isr_nodes);
        writer.nullable_array(self.eligible_leader_replicas.as_deref());
        writer.nullable_array(self.last_known_elr.as_deref());
        writer.array(&self.offline_replicas);
        writer.tagged_fields(0);
    }
}

impl From<DescribeTopicPartitionsResponsePartitionView<'_>> for DescribeTopicPartitionsResponsePartition {
    fn from(view: DescribeTopicPartitionsResponsePartitionView<'_>) -> Self {
        Self {
            error_code: view.error_code,
            partition_index: view.partition_index,
            leader_id: view.leader_id,
            leader_epoch: view.leader_epoch,
            replica_nodes: view.replica_nodes.iter().collect(),
            isr_nodes: view.isr_nodes.iter().collect(),
            eligible_leader_replicas: view.eligible_leader_replicas.map(|x| x.iter().collect()),
            last_known_elr: view.last_known_elr.map(|x| x.iter().collect()),
            offline_replicas: view.offline_replicas.iter().collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cursor<'a> {
    pub topic_name: Cow<'a, str>,
    pub partition_index: i32,
}

impl Encode for Cursor<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic_name);
        writer.int32(self.partition_index);
        writer.tagged_fields(0);
    }
}

impl<'a> From<CursorView<'a>> for Cursor<'a> {
    fn from(view: CursorView<'a>) -> Self {
        Self { topic_name: view.topic_name.into(), partition_index: view.partition_index }
    }
}
