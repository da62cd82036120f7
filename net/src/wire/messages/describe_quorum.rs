//! DescribeQuorum, API key 55.
//!
//! Voters and observers of the metadata log, and how far they are.
//! 1 adds when they were last heard and caught up, 2 their directories, endpoints, and errors as text.
//!
//! Generated from `net/schema/describe_quorum.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 55;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=2;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Array<'a, RequestTopicView<'a>>,
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
        let view = Self { topics: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct RequestTopicView<'a> {
    pub topic_name: &'a str,
    pub partitions: Array<'a, RequestPartitionView>,
}

impl<'a> Element<'a> for RequestTopicView<'a> {
    fn bytes_min(_: Format) -> usize {
        3
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic_name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct RequestPartitionView {
    pub partition_index: i32,
}

impl<'a> Element<'a> for RequestPartitionView {
    fn bytes_min(_: Format) -> usize {
        5
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { partition_index: reader.int32()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub topics: Array<'a, ResponseTopicView<'a>>,
    pub nodes: Array<'a, NodeView<'a>>,
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
            error_code: reader.int16()?,
            error_message: if version >= 2 { reader.nullable_string()? } else { None },
            topics: reader.array(limits::TOPICS)?,
            nodes: if version >= 2 { reader.array(limits::BROKERS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct NodeView<'a> {
    pub node_id: i32,
    pub listeners: Array<'a, ListenerView<'a>>,
}

impl<'a> Element<'a> for NodeView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { node_id: reader.int32()?, listeners: reader.array(limits::ELEMENTS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ListenerView<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub port: u16,
}

impl<'a> Element<'a> for ListenerView<'a> {
    fn bytes_min(_: Format) -> usize {
        5
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, host: reader.string()?, port: reader.uint16()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseTopicView<'a> {
    pub topic_name: &'a str,
    pub partitions: Array<'a, ResponsePartitionView<'a>>,
}

impl<'a> Element<'a> for ResponseTopicView<'a> {
    fn bytes_min(_: Format) -> usize {
        3
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic_name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponsePartitionView<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Array<'a, ReplicaStateView>,
    pub observers: Array<'a, ReplicaStateView>,
}

impl<'a> Element<'a> for ResponsePartitionView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 25,
            _ => 26,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            partition_index: reader.int32()?,
            error_code: reader.int16()?,
            error_message: if version >= 2 { reader.nullable_string()? } else { None },
            leader_id: reader.int32()?,
            leader_epoch: reader.int32()?,
            high_watermark: reader.int64()?,
            current_voters: reader.array(limits::REPLICAS)?,
            observers: reader.array(limits::BROKERS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ReplicaStateView {
    pub replica_id: i32,
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    pub last_fetch_timestamp: i64,
    pub last_caught_up_timestamp: i64,
}

impl<'a> Element<'a> for ReplicaStateView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 13,
            1 => 29,
            _ => 45,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            replica_id: reader.int32()?,
            replica_directory_id: if version >= 2 { reader.uuid()? } else { [0; 16] },
            log_end_offset: reader.int64()?,
            last_fetch_timestamp: if version >= 1 { reader.int64()? } else { -1 },
            last_caught_up_timestamp: if version >= 1 { reader.int64()? } else { -1 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub topics: Vec<RequestTopic<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeQuorum;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { topics: view.topics.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestTopic<'a> {
    pub topic_name: Cow<'a, str>,
    pub partitions: Vec<RequestPartition>,
}

impl Encode for RequestTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic_name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestTopicView<'a>> for RequestTopic<'a> {
    fn from(view: RequestTopicView<'a>) -> Self {
        Self {
            topic_name: view.topic_name.into(),
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestPartition {
    pub partition_index: i32,
}

impl Encode for RequestPartition {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.tagged_fields(0);
    }
}

impl From<RequestPartitionView> for RequestPartition {
    fn from(view: RequestPartitionView) -> Self {
        Self { partition_index: view.partition_index }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub topics: Vec<ResponseTopic<'a>>,
    pub nodes: Vec<Node<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeQuorum;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.error_code(self.error_code);
        if version >= 2 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.array(&self.topics);
        if version >= 2 {
            writer.array(&self.nodes);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            topics: view.topics.iter().map(Into::into).collect(),
            nodes: view.nodes.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Node<'a> {
    pub node_id: i32,
    pub listeners: Vec<Listener<'a>>,
}

impl Encode for Node<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.node_id);
        writer.array(&self.listeners);
        writer.tagged_fields(0);
    }
}

impl<'a> From<NodeView<'a>> for Node<'a> {
    fn from(view: NodeView<'a>) -> Self {
        Self { node_id: view.node_id, listeners: view.listeners.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listener<'a> {
    pub name: Cow<'a, str>,
    pub host: Cow<'a, str>,
    pub port: u16,
}

impl Encode for Listener<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.string(&self.host);
        writer.uint16(self.port);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ListenerView<'a>> for Listener<'a> {
    fn from(view: ListenerView<'a>) -> Self {
        Self { name: view.name.into(), host: view.host.into(), port: view.port }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseTopic<'a> {
    pub topic_name: Cow<'a, str>,
    pub partitions: Vec<ResponsePartition<'a>>,
}

impl Encode for ResponseTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic_name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseTopicView<'a>> for ResponseTopic<'a> {
    fn from(view: ResponseTopicView<'a>) -> Self {
        Self {
            topic_name: view.topic_name.into(),
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponsePartition<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub leader_id: i32,
    pub leader_epoch: i32,
    pub high_watermark: i64,
    pub current_voters: Vec<ReplicaState>,
    pub observers: Vec<ReplicaState>,
}

impl Encode for ResponsePartition<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
        if version >= 2 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.int32(self.leader_id);
        writer.int32(self.leader_epoch);
        writer.int64(self.high_watermark);
        writer.array(&self.current_voters);
        writer.array(&self.observers);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponsePartitionView<'a>> for ResponsePartition<'a> {
    fn from(view: ResponsePartitionView<'a>) -> Self {
        Self {
            partition_index: view.partition_index,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            leader_id: view.leader_id,
            leader_epoch: view.leader_epoch,
            high_watermark: view.high_watermark,
            current_voters: view.current_voters.iter().map(Into::into).collect(),
            observers: view.observers.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_directory_id: Uuid,
    pub log_end_offset: i64,
    pub last_fetch_timestamp: i64,
    pub last_caught_up_timestamp: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self {
            replica_id: 0,
            replica_directory_id: [0; 16],
            log_end_offset: 0,
            last_fetch_timestamp: -1,
            last_caught_up_timestamp: -1,
        }
    }
}

impl Encode for ReplicaState {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.replica_id);
        if version >= 2 {
            writer.uuid(self.replica_directory_id);
        }
        writer.int64(self.log_end_offset);
        if version >= 1 {
            writer.int64(self.last_fetch_timestamp);
        }
        if version >= 1 {
            writer.int64(self.last_caught_up_timestamp);
        }
        writer.tagged_fields(0);
    }
}

impl From<ReplicaStateView> for ReplicaState {
    fn from(view: ReplicaStateView) -> Self {
        Self {
            replica_id: view.replica_id,
            replica_directory_id: view.replica_directory_id,
            log_end_offset: view.log_end_offset,
            last_fetch_timestamp: view.last_fetch_timestamp,
            last_caught_up_timestamp: view.last_caught_up_timestamp,
        }
    }
}
