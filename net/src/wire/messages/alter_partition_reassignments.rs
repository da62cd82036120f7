//! AlterPartitionReassignments, API key 45.
//!
//! Moves partitions to other replicas; replicas null cancels a move.
//! 1 may forbid that the number of replicas changes.
//!
//! Generated from `net/schema/alter_partition_reassignments.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 45;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=1;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub timeout_ms: i32,
    pub allow_replication_factor_change: bool,
    pub topics: Array<'a, ReassignableTopicView<'a>>,
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
            timeout_ms: reader.int32()?,
            allow_replication_factor_change: if version >= 1 { reader.bool()? } else { true },
            topics: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ReassignableTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, ReassignablePartitionView<'a>>,
}

impl<'a> Element<'a> for ReassignableTopicView<'a> {
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
pub struct ReassignablePartitionView<'a> {
    pub partition_index: i32,
    pub replicas: Option<Array<'a, i32>>,
}

impl<'a> Element<'a> for ReassignablePartitionView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view =
            Self { partition_index: reader.int32()?, replicas: reader.nullable_array(limits::REPLICAS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub allow_replication_factor_change: bool,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub responses: Array<'a, ReassignableTopicResponseView<'a>>,
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
            throttle_time_ms: reader.int32()?,
            allow_replication_factor_change: if version >= 1 { reader.bool()? } else { true },
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            responses: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ReassignableTopicResponseView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, ReassignablePartitionResponseView<'a>>,
}

impl<'a> Element<'a> for ReassignableTopicResponseView<'a> {
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
pub struct ReassignablePartitionResponseView<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

impl<'a> Element<'a> for ReassignablePartitionResponseView<'a> {
    fn bytes_min(_: Format) -> usize {
        8
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            partition_index: reader.int32()?,
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub timeout_ms: i32,
    pub allow_replication_factor_change: bool,
    pub topics: Vec<ReassignableTopic<'a>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { timeout_ms: 60000, allow_replication_factor_change: true, topics: Vec::new() }
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
    const KEY: ApiKey = ApiKey::AlterPartitionReassignments;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.timeout_ms);
        if version >= 1 {
            writer.bool(self.allow_replication_factor_change);
        }
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            timeout_ms: view.timeout_ms,
            allow_replication_factor_change: view.allow_replication_factor_change,
            topics: view.topics.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReassignableTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<ReassignablePartition>,
}

impl Encode for ReassignableTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ReassignableTopicView<'a>> for ReassignableTopic<'a> {
    fn from(view: ReassignableTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReassignablePartition {
    pub partition_index: i32,
    pub replicas: Option<Vec<i32>>,
}

impl Encode for ReassignablePartition {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.nullable_array(self.replicas.as_deref());
        writer.tagged_fields(0);
    }
}

impl From<ReassignablePartitionView<'_>> for ReassignablePartition {
    fn from(view: ReassignablePartitionView<'_>) -> Self {
        Self { partition_index: view.partition_index, replicas: view.replicas.map(|x| x.iter().collect()) }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub allow_replication_factor_change: bool,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub responses: Vec<ReassignableTopicResponse<'a>>,
}

impl Default for Response<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            allow_replication_factor_change: true,
            error_code: 0,
            error_message: None,
            responses: Vec::new(),
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
    const KEY: ApiKey = ApiKey::AlterPartitionReassignments;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.throttle_time_ms(self.throttle_time_ms);
        if version >= 1 {
            writer.bool(self.allow_replication_factor_change);
        }
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.array(&self.responses);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            allow_replication_factor_change: view.allow_replication_factor_change,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            responses: view.responses.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReassignableTopicResponse<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<ReassignablePartitionResponse<'a>>,
}

impl Encode for ReassignableTopicResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ReassignableTopicResponseView<'a>> for ReassignableTopicResponse<'a> {
    fn from(view: ReassignableTopicResponseView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReassignablePartitionResponse<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
}

impl Encode for ReassignablePartitionResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<ReassignablePartitionResponseView<'a>> for ReassignablePartitionResponse<'a> {
    fn from(view: ReassignablePartitionResponseView<'a>) -> Self {
        Self {
            partition_index: view.partition_index,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
        }
    }
}
