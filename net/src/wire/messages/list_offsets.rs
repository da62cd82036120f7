//! ListOffsets, API key 2.
//!
//! Finds the offset for a timestamp, or the ends of a log.
//! 2 adds isolation, 4 leader epochs, 7 the largest timestamp (-3), 8, 9 and 11 tiered storage, 10 a timeout.
//!
//! Generated from `net/schema/list_offsets.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 2;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 1..=11;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 1;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 6;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub replica_id: i32,
    pub isolation_level: i8,
    pub topics: Array<'a, ListOffsetsTopicView<'a>>,
    pub timeout_ms: i32,
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
            replica_id: reader.int32()?,
            isolation_level: if version >= 2 { reader.int8()? } else { 0 },
            topics: reader.array(limits::TOPICS)?,
            timeout_ms: if version >= 10 { reader.int32()? } else { 0 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ListOffsetsTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, ListOffsetsPartitionView>,
}

impl<'a> Element<'a> for ListOffsetsTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=5 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ListOffsetsPartitionView {
    pub partition_index: i32,
    pub current_leader_epoch: i32,
    pub timestamp: i64,
}

impl<'a> Element<'a> for ListOffsetsPartitionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=3 => 12,
            4..=5 => 16,
            _ => 17,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            partition_index: reader.int32()?,
            current_leader_epoch: if version >= 4 { reader.int32()? } else { -1 },
            timestamp: reader.int64()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub topics: Array<'a, ListOffsetsTopicResponseView<'a>>,
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
            throttle_time_ms: if version >= 2 { reader.int32()? } else { 0 },
            topics: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ListOffsetsTopicResponseView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, ListOffsetsPartitionResponseView>,
}

impl<'a> Element<'a> for ListOffsetsTopicResponseView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=5 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ListOffsetsPartitionResponseView {
    pub partition_index: i32,
    pub error_code: i16,
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

impl<'a> Element<'a> for ListOffsetsPartitionResponseView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=3 => 22,
            4..=5 => 26,
            _ => 27,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            partition_index: reader.int32()?,
            error_code: reader.int16()?,
            timestamp: reader.int64()?,
            offset: reader.int64()?,
            leader_epoch: if version >= 4 { reader.int32()? } else { -1 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub replica_id: i32,
    pub isolation_level: i8,
    pub topics: Vec<ListOffsetsTopic<'a>>,
    pub timeout_ms: i32,
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
    const KEY: ApiKey = ApiKey::ListOffsets;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.replica_id);
        if version >= 2 {
            writer.int8(self.isolation_level);
        }
        writer.array(&self.topics);
        if version >= 10 {
            writer.int32(self.timeout_ms);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            replica_id: view.replica_id,
            isolation_level: view.isolation_level,
            topics: view.topics.iter().map(Into::into).collect(),
            timeout_ms: view.timeout_ms,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<ListOffsetsPartition>,
}

impl Encode for ListOffsetsTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ListOffsetsTopicView<'a>> for ListOffsetsTopic<'a> {
    fn from(view: ListOffsetsTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListOffsetsPartition {
    pub partition_index: i32,
    pub current_leader_epoch: i32,
    pub timestamp: i64,
}

impl Default for ListOffsetsPartition {
    fn default() -> Self {
        Self { partition_index: 0, current_leader_epoch: -1, timestamp: 0 }
    }
}

impl Encode for ListOffsetsPartition {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition_index);
        if version >= 4 {
            writer.int32(self.current_leader_epoch);
        }
        writer.int64(self.timestamp);
        writer.tagged_fields(0);
    }
}

impl From<ListOffsetsPartitionView> for ListOffsetsPartition {
    fn from(view: ListOffsetsPartitionView) -> Self {
        Self {
            partition_index: view.partition_index,
            current_leader_epoch: view.current_leader_epoch,
            timestamp: view.timestamp,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<ListOffsetsTopicResponse<'a>>,
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
    const KEY: ApiKey = ApiKey::ListOffsets;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 2 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self { throttle_time_ms: view.throttle_time_ms, topics: view.topics.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsTopicResponse<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<ListOffsetsPartitionResponse>,
}

impl Encode for ListOffsetsTopicResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ListOffsetsTopicResponseView<'a>> for ListOffsetsTopicResponse<'a> {
    fn from(view: ListOffsetsTopicResponseView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ListOffsetsPartitionResponse {
    pub partition_index: i32,
    pub error_code: i16,
    pub timestamp: i64,
    pub offset: i64,
    pub leader_epoch: i32,
}

impl Default for ListOffsetsPartitionResponse {
    fn default() -> Self {
        Self { partition_index: 0, error_code: 0, timestamp: -1, offset: -1, leader_epoch: -1 }
    }
}

impl Encode for ListOffsetsPartitionResponse {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
        writer.int64(self.timestamp);
        writer.int64(self.offset);
        if version >= 4 {
            writer.int32(self.leader_epoch);
        }
        writer.tagged_fields(0);
    }
}

impl From<ListOffsetsPartitionResponseView> for ListOffsetsPartitionResponse {
    fn from(view: ListOffsetsPartitionResponseView) -> Self {
        Self {
            partition_index: view.partition_index,
            error_code: view.error_code,
            timestamp: view.timestamp,
            offset: view.offset,
            leader_epoch: view.leader_epoch,
        }
    }
}
