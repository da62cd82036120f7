//! DescribeLogDirs, API key 35.
//!
//! Log directories, the partitions in them and their sizes. Topics null: all.
//! 3 adds an error for the whole answer, 4 the size of the disk.
//! The durable offset is ours, not Kafka's: a tagged field of a number that Kafka is far from, skipped by who does not know it.
//!
//! Generated from `net/schema/describe_log_dirs.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 35;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 1..=4;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 1;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 2;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Option<Array<'a, DescribableLogDirTopicView<'a>>>,
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
        let view = Self { topics: reader.nullable_array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribableLogDirTopicView<'a> {
    pub topic: &'a str,
    pub partitions: Array<'a, i32>,
}

impl<'a> Element<'a> for DescribableLogDirTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1 => 6,
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
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub results: Array<'a, DescribeLogDirsResultView<'a>>,
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
            error_code: if version >= 3 { reader.int16()? } else { 0 },
            results: reader.array(limits::ELEMENTS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeLogDirsResultView<'a> {
    pub error_code: i16,
    pub log_dir: &'a str,
    pub topics: Array<'a, DescribeLogDirsTopicView<'a>>,
    pub total_bytes: i64,
    pub usable_bytes: i64,
}

impl<'a> Element<'a> for DescribeLogDirsResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1 => 8,
            2..=3 => 5,
            _ => 21,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            error_code: reader.int16()?,
            log_dir: reader.string()?,
            topics: reader.array(limits::TOPICS)?,
            total_bytes: if version >= 4 { reader.int64()? } else { -1 },
            usable_bytes: if version >= 4 { reader.int64()? } else { -1 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeLogDirsTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, DescribeLogDirsPartitionView>,
}

impl<'a> Element<'a> for DescribeLogDirsTopicView<'a> {
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
pub struct DescribeLogDirsPartitionView {
    pub partition_index: i32,
    pub partition_size: i64,
    pub offset_lag: i64,
    pub is_future_key: bool,
    pub durable_offset: i64,
}

impl<'a> Element<'a> for DescribeLogDirsPartitionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1 => 21,
            _ => 22,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut view = Self {
            partition_index: reader.int32()?,
            partition_size: reader.int64()?,
            offset_lag: reader.int64()?,
            is_future_key: reader.bool()?,
            durable_offset: -1,
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                10000 => view.durable_offset = field.int64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub topics: Option<Vec<DescribableLogDirTopic<'a>>>,
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
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.nullable_array(self.topics.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { topics: view.topics.map(|x| x.iter().map(Into::into).collect()) }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribableLogDirTopic<'a> {
    pub topic: Cow<'a, str>,
    pub partitions: Vec<i32>,
}

impl Encode for DescribableLogDirTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribableLogDirTopicView<'a>> for DescribableLogDirTopic<'a> {
    fn from(view: DescribableLogDirTopicView<'a>) -> Self {
        Self { topic: view.topic.into(), partitions: view.partitions.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub results: Vec<DescribeLogDirsResult<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.throttle_time_ms(self.throttle_time_ms);
        if version >= 3 {
            writer.error_code(self.error_code);
        }
        writer.array(&self.results);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            results: view.results.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeLogDirsResult<'a> {
    pub error_code: i16,
    pub log_dir: Cow<'a, str>,
    pub topics: Vec<DescribeLogDirsTopic<'a>>,
    pub total_bytes: i64,
    pub usable_bytes: i64,
}

impl Default for DescribeLogDirsResult<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            log_dir: Cow::Borrowed(""),
            topics: Vec::new(),
            total_bytes: -1,
            usable_bytes: -1,
        }
    }
}

impl Encode for DescribeLogDirsResult<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.error_code(self.error_code);
        writer.string(&self.log_dir);
        writer.array(&self.topics);
        if version >= 4 {
            writer.int64(self.total_bytes);
        }
        if version >= 4 {
            writer.int64(self.usable_bytes);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeLogDirsResultView<'a>> for DescribeLogDirsResult<'a> {
    fn from(view: DescribeLogDirsResultView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            log_dir: view.log_dir.into(),
            topics: view.topics.iter().map(Into::into).collect(),
            total_bytes: view.total_bytes,
            usable_bytes: view.usable_bytes,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeLogDirsTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<DescribeLogDirsPartition>,
}

impl Encode for DescribeLogDirsTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeLogDirsTopicView<'a>> for DescribeLogDirsTopic<'a> {
    fn from(view: DescribeLogDirsTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeLogDirsPartition {
    pub partition_index: i32,
    pub partition_size: i64,
    pub offset_lag: i64,
    pub is_future_key: bool,
    pub durable_offset: i64,
}

impl Default for DescribeLogDirsPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            partition_size: 0,
            offset_lag: 0,
            is_future_key: false,
            durable_offset: -1,
        }
    }
}

impl Encode for DescribeLogDirsPartition {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition_index);
        writer.int64(self.partition_size);
        writer.int64(self.offset_lag);
        writer.bool(self.is_future_key);
        let has_durable_offset = version >= 2 && self.durable_offset != -1;
        writer.tagged_fields(usize::from(has_durable_offset));
        if has_durable_offset {
            writer.tagged_field(10000, |writer| writer.int64(self.durable_offset));
        }
    }
}

impl From<DescribeLogDirsPartitionView> for DescribeLogDirsPartition {
    fn from(view: DescribeLogDirsPartitionView) -> Self {
        Self {
            partition_index: view.partition_index,
            partition_size: view.partition_size,
            offset_lag: view.offset_lag,
            is_future_key: view.is_future_key,
            durable_offset: view.durable_offset,
        }
    }
}
