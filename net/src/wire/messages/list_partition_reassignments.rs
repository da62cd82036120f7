//! ListPartitionReassignments, API key 46.
//!
//! Moves that are under way. Topics null: all.
//!
//! Generated from `net/schema/list_partition_reassignments.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 46;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=0;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub timeout_ms: i32,
    pub topics: Option<Array<'a, ListPartitionReassignmentsTopicsView<'a>>>,
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
        let view = Self { timeout_ms: reader.int32()?, topics: reader.nullable_array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ListPartitionReassignmentsTopicsView<'a> {
    pub name: &'a str,
    pub partition_indexes: Array<'a, i32>,
}

impl<'a> Element<'a> for ListPartitionReassignmentsTopicsView<'a> {
    fn bytes_min(_: Format) -> usize {
        3
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, partition_indexes: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub topics: Array<'a, OngoingTopicReassignmentView<'a>>,
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
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            topics: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OngoingTopicReassignmentView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, OngoingPartitionReassignmentView<'a>>,
}

impl<'a> Element<'a> for OngoingTopicReassignmentView<'a> {
    fn bytes_min(_: Format) -> usize {
        3
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OngoingPartitionReassignmentView<'a> {
    pub partition_index: i32,
    pub replicas: Array<'a, i32>,
    pub adding_replicas: Array<'a, i32>,
    pub removing_replicas: Array<'a, i32>,
}

impl<'a> Element<'a> for OngoingPartitionReassignmentView<'a> {
    fn bytes_min(_: Format) -> usize {
        8
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            partition_index: reader.int32()?,
            replicas: reader.array(limits::REPLICAS)?,
            adding_replicas: reader.array(limits::REPLICAS)?,
            removing_replicas: reader.array(limits::REPLICAS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub timeout_ms: i32,
    pub topics: Option<Vec<ListPartitionReassignmentsTopics<'a>>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { timeout_ms: 60000, topics: None }
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
    const KEY: ApiKey = ApiKey::ListPartitionReassignments;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.timeout_ms);
        writer.nullable_array(self.topics.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { timeout_ms: view.timeout_ms, topics: view.topics.map(|x| x.iter().map(Into::into).collect()) }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListPartitionReassignmentsTopics<'a> {
    pub name: Cow<'a, str>,
    pub partition_indexes: Vec<i32>,
}

impl Encode for ListPartitionReassignmentsTopics<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partition_indexes);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ListPartitionReassignmentsTopicsView<'a>> for ListPartitionReassignmentsTopics<'a> {
    fn from(view: ListPartitionReassignmentsTopicsView<'a>) -> Self {
        Self { name: view.name.into(), partition_indexes: view.partition_indexes.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub topics: Vec<OngoingTopicReassignment<'a>>,
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
    const KEY: ApiKey = ApiKey::ListPartitionReassignments;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            topics: view.topics.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OngoingTopicReassignment<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<OngoingPartitionReassignment>,
}

impl Encode for OngoingTopicReassignment<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OngoingTopicReassignmentView<'a>> for OngoingTopicReassignment<'a> {
    fn from(view: OngoingTopicReassignmentView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OngoingPartitionReassignment {
    pub partition_index: i32,
    pub replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    pub removing_replicas: Vec<i32>,
}

impl Encode for OngoingPartitionReassignment {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.array(&self.replicas);
        writer.array(&self.adding_replicas);
        writer.array(&self.removing_replicas);
        writer.tagged_fields(0);
    }
}

impl From<OngoingPartitionReassignmentView<'_>> for OngoingPartitionReassignment {
    fn from(view: OngoingPartitionReassignmentView<'_>) -> Self {
        Self {
            partition_index: view.partition_index,
            replicas: view.replicas.iter().collect(),
            adding_replicas: view.adding_replicas.iter().collect(),
            removing_replicas: view.removing_replicas.iter().collect(),
        }
    }
}
