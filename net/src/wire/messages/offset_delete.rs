//! OffsetDelete, API key 47.
//!
//! Forgets offsets of a group.
//!
//! Generated from `net/schema/offset_delete.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 47;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=0;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = i16::MAX;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_id: &'a str,
    pub topics: Array<'a, OffsetDeleteRequestTopicView<'a>>,
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
        Ok(Self { group_id: reader.string()?, topics: reader.array(limits::TOPICS)? })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetDeleteRequestTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, OffsetDeleteRequestPartitionView>,
}

impl<'a> Element<'a> for OffsetDeleteRequestTopicView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetDeleteRequestPartitionView {
    pub partition_index: i32,
}

impl<'a> Element<'a> for OffsetDeleteRequestPartitionView {
    fn bytes_min(_: Format) -> usize {
        4
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { partition_index: reader.int32()? })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub error_code: i16,
    pub throttle_time_ms: i32,
    pub topics: Array<'a, OffsetDeleteResponseTopicView<'a>>,
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
        Ok(Self {
            error_code: reader.int16()?,
            throttle_time_ms: reader.int32()?,
            topics: reader.array(limits::TOPICS)?,
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetDeleteResponseTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, OffsetDeleteResponsePartitionView>,
}

impl<'a> Element<'a> for OffsetDeleteResponseTopicView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetDeleteResponsePartitionView {
    pub partition_index: i32,
    pub error_code: i16,
}

impl<'a> Element<'a> for OffsetDeleteResponsePartitionView {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self { partition_index: reader.int32()?, error_code: reader.int16()? })
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub group_id: Cow<'a, str>,
    pub topics: Vec<OffsetDeleteRequestTopic<'a>>,
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
    const KEY: ApiKey = ApiKey::OffsetDelete;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.group_id);
        writer.array(&self.topics);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { group_id: view.group_id.into(), topics: view.topics.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetDeleteRequestTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

impl Encode for OffsetDeleteRequestTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
    }
}

impl<'a> From<OffsetDeleteRequestTopicView<'a>> for OffsetDeleteRequestTopic<'a> {
    fn from(view: OffsetDeleteRequestTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetDeleteRequestPartition {
    pub partition_index: i32,
}

impl Encode for OffsetDeleteRequestPartition {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
    }
}

impl From<OffsetDeleteRequestPartitionView> for OffsetDeleteRequestPartition {
    fn from(view: OffsetDeleteRequestPartitionView) -> Self {
        Self { partition_index: view.partition_index }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub error_code: i16,
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetDeleteResponseTopic<'a>>,
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
    const KEY: ApiKey = ApiKey::OffsetDelete;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.array(&self.topics);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            throttle_time_ms: view.throttle_time_ms,
            topics: view.topics.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetDeleteResponseTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

impl Encode for OffsetDeleteResponseTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
    }
}

impl<'a> From<OffsetDeleteResponseTopicView<'a>> for OffsetDeleteResponseTopic<'a> {
    fn from(view: OffsetDeleteResponseTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetDeleteResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

impl Encode for OffsetDeleteResponsePartition {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
    }
}

impl From<OffsetDeleteResponsePartitionView> for OffsetDeleteResponsePartition {
    fn from(view: OffsetDeleteResponsePartitionView) -> Self {
        Self { partition_index: view.partition_index, error_code: view.error_code }
    }
}
