//! DeleteRecords, API key 21.
//!
//! Moves the log start offset of partitions forward; offset -1 is the high watermark.
//!
//! Generated from `net/schema/delete_records.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 21;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=2;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 2;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Array<'a, DeleteRecordsTopicView<'a>>,
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
        let view = Self { topics: reader.array(limits::TOPICS)?, timeout_ms: reader.int32()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DeleteRecordsTopicView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, DeleteRecordsPartitionView>,
}

impl<'a> Element<'a> for DeleteRecordsTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 6,
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
pub struct DeleteRecordsPartitionView {
    pub partition_index: i32,
    pub offset: i64,
}

impl<'a> Element<'a> for DeleteRecordsPartitionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 12,
            _ => 13,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { partition_index: reader.int32()?, offset: reader.int64()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub topics: Array<'a, DeleteRecordsTopicResultView<'a>>,
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
pub struct DeleteRecordsTopicResultView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, DeleteRecordsPartitionResultView>,
}

impl<'a> Element<'a> for DeleteRecordsTopicResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 6,
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
pub struct DeleteRecordsPartitionResultView {
    pub partition_index: i32,
    pub low_watermark: i64,
    pub error_code: i16,
}

impl<'a> Element<'a> for DeleteRecordsPartitionResultView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 14,
            _ => 15,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            partition_index: reader.int32()?,
            low_watermark: reader.int64()?,
            error_code: reader.int16()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub topics: Vec<DeleteRecordsTopic<'a>>,
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
    const KEY: ApiKey = ApiKey::DeleteRecords;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.topics);
        writer.int32(self.timeout_ms);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { topics: view.topics.iter().map(Into::into).collect(), timeout_ms: view.timeout_ms }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteRecordsTopic<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<DeleteRecordsPartition>,
}

impl Encode for DeleteRecordsTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DeleteRecordsTopicView<'a>> for DeleteRecordsTopic<'a> {
    fn from(view: DeleteRecordsTopicView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteRecordsPartition {
    pub partition_index: i32,
    pub offset: i64,
}

impl Encode for DeleteRecordsPartition {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.int64(self.offset);
        writer.tagged_fields(0);
    }
}

impl From<DeleteRecordsPartitionView> for DeleteRecordsPartition {
    fn from(view: DeleteRecordsPartitionView) -> Self {
        Self { partition_index: view.partition_index, offset: view.offset }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<DeleteRecordsTopicResult<'a>>,
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
    const KEY: ApiKey = ApiKey::DeleteRecords;
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
pub struct DeleteRecordsTopicResult<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<DeleteRecordsPartitionResult>,
}

impl Encode for DeleteRecordsTopicResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DeleteRecordsTopicResultView<'a>> for DeleteRecordsTopicResult<'a> {
    fn from(view: DeleteRecordsTopicResultView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteRecordsPartitionResult {
    pub partition_index: i32,
    pub low_watermark: i64,
    pub error_code: i16,
}

impl Encode for DeleteRecordsPartitionResult {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.int64(self.low_watermark);
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl From<DeleteRecordsPartitionResultView> for DeleteRecordsPartitionResult {
    fn from(view: DeleteRecordsPartitionResultView) -> Self {
        Self {
            partition_index: view.partition_index,
            low_watermark: view.low_watermark,
            error_code: view.error_code,
        }
    }
}
