//! OffsetForLeaderEpoch, API key 23.
//!
//! Where a leader epoch ends, so that followers and clients find where their logs part.
//! 3 adds the replica id.
//!
//! Generated from `net/schema/offset_for_leader_epoch.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 23;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 2..=4;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 2;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 4;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub replica_id: i32,
    pub topics: Array<'a, OffsetForLeaderTopicView<'a>>,
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
            replica_id: if version >= 3 { reader.int32()? } else { -2 },
            topics: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetForLeaderTopicView<'a> {
    pub topic: &'a str,
    pub partitions: Array<'a, OffsetForLeaderPartitionView>,
}

impl<'a> Element<'a> for OffsetForLeaderTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=3 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetForLeaderPartitionView {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub leader_epoch: i32,
}

impl<'a> Element<'a> for OffsetForLeaderPartitionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=3 => 12,
            _ => 13,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            partition: reader.int32()?,
            current_leader_epoch: reader.int32()?,
            leader_epoch: reader.int32()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub topics: Array<'a, OffsetForLeaderTopicResultView<'a>>,
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
        let view = Self { throttle_time_ms: reader.int32()?, topics: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetForLeaderTopicResultView<'a> {
    pub topic: &'a str,
    pub partitions: Array<'a, EpochEndOffsetView>,
}

impl<'a> Element<'a> for OffsetForLeaderTopicResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=3 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct EpochEndOffsetView {
    pub error_code: i16,
    pub partition: i32,
    pub leader_epoch: i32,
    pub end_offset: i64,
}

impl<'a> Element<'a> for EpochEndOffsetView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=3 => 18,
            _ => 19,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            error_code: reader.int16()?,
            partition: reader.int32()?,
            leader_epoch: reader.int32()?,
            end_offset: reader.int64()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub replica_id: i32,
    pub topics: Vec<OffsetForLeaderTopic<'a>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { replica_id: -2, topics: Vec::new() }
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
    const KEY: ApiKey = ApiKey::OffsetForLeaderEpoch;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 3 {
            writer.int32(self.replica_id);
        }
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { replica_id: view.replica_id, topics: view.topics.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetForLeaderTopic<'a> {
    pub topic: Cow<'a, str>,
    pub partitions: Vec<OffsetForLeaderPartition>,
}

impl Encode for OffsetForLeaderTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetForLeaderTopicView<'a>> for OffsetForLeaderTopic<'a> {
    fn from(view: OffsetForLeaderTopicView<'a>) -> Self {
        Self { topic: view.topic.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetForLeaderPartition {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub leader_epoch: i32,
}

impl Default for OffsetForLeaderPartition {
    fn default() -> Self {
        Self { partition: 0, current_leader_epoch: -1, leader_epoch: 0 }
    }
}

impl Encode for OffsetForLeaderPartition {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition);
        writer.int32(self.current_leader_epoch);
        writer.int32(self.leader_epoch);
        writer.tagged_fields(0);
    }
}

impl From<OffsetForLeaderPartitionView> for OffsetForLeaderPartition {
    fn from(view: OffsetForLeaderPartitionView) -> Self {
        Self {
            partition: view.partition,
            current_leader_epoch: view.current_leader_epoch,
            leader_epoch: view.leader_epoch,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetForLeaderTopicResult<'a>>,
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
    const KEY: ApiKey = ApiKey::OffsetForLeaderEpoch;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
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
pub struct OffsetForLeaderTopicResult<'a> {
    pub topic: Cow<'a, str>,
    pub partitions: Vec<EpochEndOffset>,
}

impl Encode for OffsetForLeaderTopicResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetForLeaderTopicResultView<'a>> for OffsetForLeaderTopicResult<'a> {
    fn from(view: OffsetForLeaderTopicResultView<'a>) -> Self {
        Self { topic: view.topic.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    pub error_code: i16,
    pub partition: i32,
    pub leader_epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { error_code: 0, partition: 0, leader_epoch: -1, end_offset: -1 }
    }
}

impl Encode for EpochEndOffset {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.int32(self.partition);
        writer.int32(self.leader_epoch);
        writer.int64(self.end_offset);
        writer.tagged_fields(0);
    }
}

impl From<EpochEndOffsetView> for EpochEndOffset {
    fn from(view: EpochEndOffsetView) -> Self {
        Self {
            error_code: view.error_code,
            partition: view.partition,
            leader_epoch: view.leader_epoch,
            end_offset: view.end_offset,
        }
    }
}
