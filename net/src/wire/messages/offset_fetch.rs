//! OffsetFetch, API key 9.
//!
//! Tells how far a group has read. Topics null: all that have an offset.
//! 2 adds an error for the whole answer, 5 leader epochs, 7 waits for transactions, 8 asks for many groups, 9 adds the
//! member of the newer groups, 10 names topics by id.
//!
//! Generated from `net/schema/offset_fetch.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 9;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 1..=10;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 1;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 6;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_id: &'a str,
    pub topics: Option<Array<'a, OffsetFetchRequestTopicView<'a>>>,
    pub groups: Array<'a, OffsetFetchRequestGroupView<'a>>,
    pub require_stable: bool,
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
            group_id: if version <= 7 { reader.string()? } else { "" },
            topics: if version <= 7 {
                if version >= 2 {
                    reader.nullable_array(limits::TOPICS)?
                } else {
                    Some(reader.array(limits::TOPICS)?)
                }
            } else {
                None
            },
            groups: if version >= 8 { reader.array(limits::GROUPS)? } else { Array::default() },
            require_stable: if version >= 7 { reader.bool()? } else { false },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetFetchRequestGroupView<'a> {
    pub group_id: &'a str,
    pub member_id: Option<&'a str>,
    pub member_epoch: i32,
    pub topics: Option<Array<'a, OffsetFetchRequestTopicsView<'a>>>,
}

impl<'a> Element<'a> for OffsetFetchRequestGroupView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            8 => 3,
            _ => 8,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            group_id: reader.string()?,
            member_id: if version >= 9 { reader.nullable_string()? } else { None },
            member_epoch: if version >= 9 { reader.int32()? } else { -1 },
            topics: reader.nullable_array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetFetchRequestTopicsView<'a> {
    pub name: &'a str,
    pub topic_id: Uuid,
    pub partition_indexes: Array<'a, i32>,
}

impl<'a> Element<'a> for OffsetFetchRequestTopicsView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
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
            partition_indexes: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetFetchRequestTopicView<'a> {
    pub name: &'a str,
    pub partition_indexes: Array<'a, i32>,
}

impl<'a> Element<'a> for OffsetFetchRequestTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=5 => 6,
            _ => 3,
        }
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
    pub topics: Array<'a, OffsetFetchResponseTopicView<'a>>,
    pub error_code: i16,
    pub groups: Array<'a, OffsetFetchResponseGroupView<'a>>,
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
            topics: if version <= 7 { reader.array(limits::TOPICS)? } else { Array::default() },
            error_code: if (2..=7).contains(&version) { reader.int16()? } else { 0 },
            groups: if version >= 8 { reader.array(limits::GROUPS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetFetchResponseGroupView<'a> {
    pub group_id: &'a str,
    pub topics: Array<'a, OffsetFetchResponseTopicsView<'a>>,
    pub error_code: i16,
}

impl<'a> Element<'a> for OffsetFetchResponseGroupView<'a> {
    fn bytes_min(_: Format) -> usize {
        5
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            group_id: reader.string()?,
            topics: reader.array(limits::TOPICS)?,
            error_code: reader.int16()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetFetchResponseTopicsView<'a> {
    pub name: &'a str,
    pub topic_id: Uuid,
    pub partitions: Array<'a, OffsetFetchResponsePartitionsView<'a>>,
}

impl<'a> Element<'a> for OffsetFetchResponseTopicsView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
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
pub struct OffsetFetchResponsePartitionsView<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<&'a str>,
    pub error_code: i16,
}

impl<'a> Element<'a> for OffsetFetchResponsePartitionsView<'a> {
    fn bytes_min(_: Format) -> usize {
        20
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            partition_index: reader.int32()?,
            committed_offset: reader.int64()?,
            committed_leader_epoch: reader.int32()?,
            metadata: reader.nullable_string()?,
            error_code: reader.int16()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OffsetFetchResponseTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, OffsetFetchResponsePartitionView<'a>>,
}

impl<'a> Element<'a> for OffsetFetchResponseTopicView<'a> {
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
pub struct OffsetFetchResponsePartitionView<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<&'a str>,
    pub error_code: i16,
}

impl<'a> Element<'a> for OffsetFetchResponsePartitionView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=4 => 16,
            _ => 20,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            partition_index: reader.int32()?,
            committed_offset: reader.int64()?,
            committed_leader_epoch: if version >= 5 { reader.int32()? } else { -1 },
            metadata: reader.nullable_string()?,
            error_code: reader.int16()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub group_id: Cow<'a, str>,
    pub topics: Option<Vec<OffsetFetchRequestTopic<'a>>>,
    pub groups: Vec<OffsetFetchRequestGroup<'a>>,
    pub require_stable: bool,
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
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 7 {
            writer.string(&self.group_id);
        }
        if version <= 7 {
            if version >= 2 {
                writer.nullable_array(self.topics.as_deref());
            } else {
                writer.array(self.topics.as_deref().unwrap_or_default());
            }
        }
        if version >= 8 {
            writer.array(&self.groups);
        }
        if version >= 7 {
            writer.bool(self.require_stable);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            topics: view.topics.map(|x| x.iter().map(Into::into).collect()),
            groups: view.groups.iter().map(Into::into).collect(),
            require_stable: view.require_stable,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestGroup<'a> {
    pub group_id: Cow<'a, str>,
    pub member_id: Option<Cow<'a, str>>,
    pub member_epoch: i32,
    pub topics: Option<Vec<OffsetFetchRequestTopics<'a>>>,
}

impl Default for OffsetFetchRequestGroup<'_> {
    fn default() -> Self {
        Self { group_id: Cow::Borrowed(""), member_id: None, member_epoch: -1, topics: None }
    }
}

impl Encode for OffsetFetchRequestGroup<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.group_id);
        if version >= 9 {
            writer.nullable_string(self.member_id.as_deref());
        }
        if version >= 9 {
            writer.int32(self.member_epoch);
        }
        writer.nullable_array(self.topics.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetFetchRequestGroupView<'a>> for OffsetFetchRequestGroup<'a> {
    fn from(view: OffsetFetchRequestGroupView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            member_id: view.member_id.map(Into::into),
            member_epoch: view.member_epoch,
            topics: view.topics.map(|x| x.iter().map(Into::into).collect()),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchRequestTopics<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partition_indexes: Vec<i32>,
}

impl Encode for OffsetFetchRequestTopics<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 9 {
            writer.string(&self.name);
        }
        if version >= 10 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partition_indexes);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetFetchRequestTopicsView<'a>> for OffsetFetchRequestTopics<'a> {
    fn from(view: OffsetFetchRequestTopicsView<'a>) -> Self {
        Self {
            name: view.name.into(),
            topic_id: view.topic_id,
            partition_indexes: view.partition_indexes.iter().collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchRequestTopic<'a> {
    pub name: Cow<'a, str>,
    pub partition_indexes: Vec<i32>,
}

impl Encode for OffsetFetchRequestTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partition_indexes);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetFetchRequestTopicView<'a>> for OffsetFetchRequestTopic<'a> {
    fn from(view: OffsetFetchRequestTopicView<'a>) -> Self {
        Self { name: view.name.into(), partition_indexes: view.partition_indexes.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<OffsetFetchResponseTopic<'a>>,
    pub error_code: i16,
    pub groups: Vec<OffsetFetchResponseGroup<'a>>,
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
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 3 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        if version <= 7 {
            writer.array(&self.topics);
        }
        if (2..=7).contains(&version) {
            writer.error_code(self.error_code);
        }
        if version >= 8 {
            writer.array(&self.groups);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            topics: view.topics.iter().map(Into::into).collect(),
            error_code: view.error_code,
            groups: view.groups.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchResponseGroup<'a> {
    pub group_id: Cow<'a, str>,
    pub topics: Vec<OffsetFetchResponseTopics<'a>>,
    pub error_code: i16,
}

impl Encode for OffsetFetchResponseGroup<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.group_id);
        writer.array(&self.topics);
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetFetchResponseGroupView<'a>> for OffsetFetchResponseGroup<'a> {
    fn from(view: OffsetFetchResponseGroupView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            topics: view.topics.iter().map(Into::into).collect(),
            error_code: view.error_code,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchResponseTopics<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<OffsetFetchResponsePartitions<'a>>,
}

impl Encode for OffsetFetchResponseTopics<'_> {
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

impl<'a> From<OffsetFetchResponseTopicsView<'a>> for OffsetFetchResponseTopics<'a> {
    fn from(view: OffsetFetchResponseTopicsView<'a>) -> Self {
        Self {
            name: view.name.into(),
            topic_id: view.topic_id,
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartitions<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<Cow<'a, str>>,
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: 0,
        }
    }
}

impl Encode for OffsetFetchResponsePartitions<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.int64(self.committed_offset);
        writer.int32(self.committed_leader_epoch);
        writer.nullable_string(self.metadata.as_deref());
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetFetchResponsePartitionsView<'a>> for OffsetFetchResponsePartitions<'a> {
    fn from(view: OffsetFetchResponsePartitionsView<'a>) -> Self {
        Self {
            partition_index: view.partition_index,
            committed_offset: view.committed_offset,
            committed_leader_epoch: view.committed_leader_epoch,
            metadata: view.metadata.map(Into::into),
            error_code: view.error_code,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetFetchResponseTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<OffsetFetchResponsePartition<'a>>,
}

impl Encode for OffsetFetchResponseTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetFetchResponseTopicView<'a>> for OffsetFetchResponseTopic<'a> {
    fn from(view: OffsetFetchResponseTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartition<'a> {
    pub partition_index: i32,
    pub committed_offset: i64,
    pub committed_leader_epoch: i32,
    pub metadata: Option<Cow<'a, str>>,
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition<'_> {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: None,
            error_code: 0,
        }
    }
}

impl Encode for OffsetFetchResponsePartition<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition_index);
        writer.int64(self.committed_offset);
        if version >= 5 {
            writer.int32(self.committed_leader_epoch);
        }
        writer.nullable_string(self.metadata.as_deref());
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OffsetFetchResponsePartitionView<'a>> for OffsetFetchResponsePartition<'a> {
    fn from(view: OffsetFetchResponsePartitionView<'a>) -> Self {
        Self {
            partition_index: view.partition_index,
            committed_offset: view.committed_offset,
            committed_leader_epoch: view.committed_leader_epoch,
            metadata: view.metadata.map(Into::into),
            error_code: view.error_code,
        }
    }
}
