//! OffsetCommit, API key 8.
//!
//! Stores how far a group has read.
//! 5 drops the retention time, 6 adds leader epochs, 7 static members, 9 the member epoch of the newer groups, 10 names
//! topics by id.
//!
//! Generated from `net/schema/offset_commit.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 8;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 2..=10;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 2;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 8;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_id: &'a str,
    pub generation_id_or_member_epoch: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub retention_time_ms: i64,
    pub topics: Array<'a, OffsetCommitRequestTopicView<'a>>,
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
            group_id: reader.string()?,
            generation_id_or_member_epoch: reader.int32()?,
            member_id: reader.string()?,
            group_instance_id: if version >= 7 { reader.nullable_string()? } else { None },
            retention_time_ms: if version <= 4 { reader.int64()? } else { -1 },
            topics: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetCommitRequestTopicView<'a> {
    pub name: &'a str,
    pub topic_id: Uuid,
    pub partitions: Array<'a, OffsetCommitRequestPartitionView<'a>>,
}

impl<'a> Element<'a> for OffsetCommitRequestTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=7 => 6,
            8..=9 => 3,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            name: if version <= 9 { reader.string()? } else { "" },
            topic_id: if version >= 10 { reader.uuid()? } else { [0; 16] },
            partitions: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetCommitRequestPartitionView<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub committed_metadata: Option<&'a str>,
}

impl<'a> Element<'a> for OffsetCommitRequestPartitionView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=5 => 14,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            partition_index: reader.int32()?,
            committed_offset: reader.int64()?,
            committed_leader_epoch: if version >= 6 { reader.int32()? } else { -1 },
            committed_metadata: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub topics: Array<'a, OffsetCommitResponseTopicView<'a>>,
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
            topics: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetCommitResponseTopicView<'a> {
    pub name: &'a str,
    pub topic_id: Uuid,
    pub partitions: Array<'a, OffsetCommitResponsePartitionView>,
}

impl<'a> Element<'a> for OffsetCommitResponseTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=7 => 6,
            8..=9 => 3,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            name: if version <= 9 { reader.string()? } else { "" },
            topic_id: if version >= 10 { reader.uuid()? } else { [0; 16] },
            partitions: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetCommitResponsePartitionView {
    pub partition_index: i32,
    pub error_code: i16,
}

impl<'a> Element<'a> for OffsetCommitResponsePartitionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=7 => 6,
            _ => 7,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { partition_index: reader.int32()?, error_code: reader.int16()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub group_id: Cow<'a, str>,
    pub generation_id_or_member_epoch: i32,
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub retention_time_ms: i64,
    pub topics: Vec<OffsetCommitRequestTopic<'a>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            group_id: Cow::Borrowed(""),
            generation_id_or_member_epoch: -1,
            member_id: Cow::Borrowed(""),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
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
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.group_id);
        writer.int32(self.generation_id_or_member_epoch);
        writer.string(&self.member_id);
        if version >= 7 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        if version <= 4 {
            writer.int64(self.retention_time_ms);
        }
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            generation_id_or_member_epoch: view.generation_id_or_member_epoch,
            member_id: view.member_id.into(),
            group_instance_id: view.group_instance_id.map(Into::into),
            retention_time_ms: view.retention_time_ms,
            topics: view.topics.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetCommitRequestTopic<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitRequestPartition<'a>>,
}

impl Encode for OffsetCommitRequestTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 9 {
            writer.string(&self.name);
        }
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetCommitRequestTopicView<'a>> for OffsetCommitRequestTopic<'a> {
    fn from(view: OffsetCommitRequestTopicView<'a>) -> Self {
        Self {
            name: view.name.into(),
            topic_id: view.topic_id,
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestPartition<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub committed_metadata: Option<Cow<'a, str>>,
}

impl Default for OffsetCommitRequestPartition<'_> {
    fn default() -> Self {
        Self { partition_index: 0, committed_offset: 0, committed_leader_epoch: -1, committed_metadata: None }
    }
}

impl Encode for OffsetCommitRequestPartition<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition_index);
        writer.int64(self.committed_offset);
        if version >= 6 {
            writer.int32(self.committed_leader_epoch);
        }
        writer.nullable_string(self.committed_metadata.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetCommitRequestPartitionView<'a>> for OffsetCommitRequestPartition<'a> {
    fn from(view: OffsetCommitRequestPartitionView<'a>) -> Self {
        Self {
            partition_index: view.partition_index,
            committed_offset: view.committed_offset,
            committed_leader_epoch: view.committed_leader_epoch,
            committed_metadata: view.committed_metadata.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetCommitResponseTopic<'a>>,
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
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 3 {
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
pub struct OffsetCommitResponseTopic<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl Encode for OffsetCommitResponseTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 9 {
            writer.string(&self.name);
        }
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetCommitResponseTopicView<'a>> for OffsetCommitResponseTopic<'a> {
    fn from(view: OffsetCommitResponseTopicView<'a>) -> Self {
        Self {
            name: view.name.into(),
            topic_id: view.topic_id,
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetCommitResponsePartition {
    pub partition_index: i32,
    pub error_code: i16,
}

impl Encode for OffsetCommitResponsePartition {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl From<OffsetCommitResponsePartitionView> for OffsetCommitResponsePartition {
    fn from(view: OffsetCommitResponsePartitionView) -> Self {
        Self { partition_index: view.partition_index, error_code: view.error_code }
    }
}
