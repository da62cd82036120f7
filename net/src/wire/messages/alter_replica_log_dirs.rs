//! AlterReplicaLogDirs, API key 34.
//!
//! Moves replicas to other log directories of the same broker.
//!
//! Generated from `net/schema/alter_replica_log_dirs.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 34;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 1..=2;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 1;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 2;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub dirs: Array<'a, AlterReplicaLogDirView<'a>>,
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
        let view = Self { dirs: reader.array(limits::ELEMENTS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AlterReplicaLogDirView<'a> {
    pub path: &'a str,
    pub topics: Array<'a, AlterReplicaLogDirTopicView<'a>>,
}

impl<'a> Element<'a> for AlterReplicaLogDirView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { path: reader.string()?, topics: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AlterReplicaLogDirTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, i32>,
}

impl<'a> Element<'a> for AlterReplicaLogDirTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1 => 6,
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
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub results: Array<'a, AlterReplicaLogDirTopicResultView<'a>>,
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
        let view = Self { throttle_time_ms: reader.int32()?, results: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AlterReplicaLogDirTopicResultView<'a> {
    pub topic_name: &'a str,
    pub partitions: Array<'a, AlterReplicaLogDirPartitionResultView>,
}

impl<'a> Element<'a> for AlterReplicaLogDirTopicResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic_name: reader.string()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AlterReplicaLogDirPartitionResultView {
    pub partition_index: i32,
    pub error_code: i16,
}

impl<'a> Element<'a> for AlterReplicaLogDirPartitionResultView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1 => 6,
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

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub dirs: Vec<AlterReplicaLogDir<'a>>,
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
    const KEY: ApiKey = ApiKey::AlterReplicaLogDirs;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.dirs);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { dirs: view.dirs.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlterReplicaLogDir<'a> {
    pub path: Cow<'a, str>,
    pub topics: Vec<AlterReplicaLogDirTopic<'a>>,
}

impl Encode for AlterReplicaLogDir<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.path);
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<AlterReplicaLogDirView<'a>> for AlterReplicaLogDir<'a> {
    fn from(view: AlterReplicaLogDirView<'a>) -> Self {
        Self { path: view.path.into(), topics: view.topics.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlterReplicaLogDirTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<i32>,
}

impl Encode for AlterReplicaLogDirTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<AlterReplicaLogDirTopicView<'a>> for AlterReplicaLogDirTopic<'a> {
    fn from(view: AlterReplicaLogDirTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<AlterReplicaLogDirTopicResult<'a>>,
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
    const KEY: ApiKey = ApiKey::AlterReplicaLogDirs;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.array(&self.results);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            results: view.results.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlterReplicaLogDirTopicResult<'a> {
    pub topic_name: Cow<'a, str>,
    pub partitions: Vec<AlterReplicaLogDirPartitionResult>,
}

impl Encode for AlterReplicaLogDirTopicResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic_name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<AlterReplicaLogDirTopicResultView<'a>> for AlterReplicaLogDirTopicResult<'a> {
    fn from(view: AlterReplicaLogDirTopicResultView<'a>) -> Self {
        Self {
            topic_name: view.topic_name.into(),
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlterReplicaLogDirPartitionResult {
    pub partition_index: i32,
    pub error_code: i16,
}

impl Encode for AlterReplicaLogDirPartitionResult {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl From<AlterReplicaLogDirPartitionResultView> for AlterReplicaLogDirPartitionResult {
    fn from(view: AlterReplicaLogDirPartitionResultView) -> Self {
        Self { partition_index: view.partition_index, error_code: view.error_code }
    }
}
