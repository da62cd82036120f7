//! DescribeProducers, API key 61.
//!
//! Producers a partition remembers.
//!
//! Generated from `net/schema/describe_producers.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 61;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=0;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Array<'a, TopicRequestView<'a>>,
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
        let view = Self { topics: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TopicRequestView<'a> {
    pub name: &'a str,
    pub partition_indexes: Array<'a, i32>,
}

impl<'a> Element<'a> for TopicRequestView<'a> {
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
    pub topics: Array<'a, TopicResponseView<'a>>,
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
pub struct TopicResponseView<'a> {
    pub name: &'a str,
    pub partitions: Array<'a, PartitionResponseView<'a>>,
}

impl<'a> Element<'a> for TopicResponseView<'a> {
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
pub struct PartitionResponseView<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub active_producers: Array<'a, ProducerStateView>,
}

impl<'a> Element<'a> for PartitionResponseView<'a> {
    fn bytes_min(_: Format) -> usize {
        9
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            partition_index: reader.int32()?,
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            active_producers: reader.array(limits::ELEMENTS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ProducerStateView {
    pub producer_id: i64,
    pub producer_epoch: i32,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    pub current_txn_start_offset: i64,
}

impl<'a> Element<'a> for ProducerStateView {
    fn bytes_min(_: Format) -> usize {
        37
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            producer_id: reader.int64()?,
            producer_epoch: reader.int32()?,
            last_sequence: reader.int32()?,
            last_timestamp: reader.int64()?,
            coordinator_epoch: reader.int32()?,
            current_txn_start_offset: reader.int64()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub topics: Vec<TopicRequest<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeProducers;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.topics);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { topics: view.topics.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicRequest<'a> {
    pub name: Cow<'a, str>,
    pub partition_indexes: Vec<i32>,
}

impl Encode for TopicRequest<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partition_indexes);
        writer.tagged_fields(0);
    }
}

impl<'a> From<TopicRequestView<'a>> for TopicRequest<'a> {
    fn from(view: TopicRequestView<'a>) -> Self {
        Self { name: view.name.into(), partition_indexes: view.partition_indexes.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<TopicResponse<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeProducers;
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
pub struct TopicResponse<'a> {
    pub name: Cow<'a, str>,
    pub partitions: Vec<PartitionResponse<'a>>,
}

impl Encode for TopicResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<TopicResponseView<'a>> for TopicResponse<'a> {
    fn from(view: TopicResponseView<'a>) -> Self {
        Self { name: view.name.into(), partitions: view.partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionResponse<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub active_producers: Vec<ProducerState>,
}

impl Encode for PartitionResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.array(&self.active_producers);
        writer.tagged_fields(0);
    }
}

impl<'a> From<PartitionResponseView<'a>> for PartitionResponse<'a> {
    fn from(view: PartitionResponseView<'a>) -> Self {
        Self {
            partition_index: view.partition_index,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            active_producers: view.active_producers.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ProducerState {
    pub producer_id: i64,
    pub producer_epoch: i32,
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    pub current_txn_start_offset: i64,
}

impl Default for ProducerState {
    fn default() -> Self {
        Self {
            producer_id: 0,
            producer_epoch: 0,
            last_sequence: -1,
            last_timestamp: -1,
            coordinator_epoch: 0,
            current_txn_start_offset: -1,
        }
    }
}

impl Encode for ProducerState {
    fn write(&self, writer: &mut Writer) {
        writer.int64(self.producer_id);
        writer.int32(self.producer_epoch);
        writer.int32(self.last_sequence);
        writer.int64(self.last_timestamp);
        writer.int32(self.coordinator_epoch);
        writer.int64(self.current_txn_start_offset);
        writer.tagged_fields(0);
    }
}

impl From<ProducerStateView> for ProducerState {
    fn from(view: ProducerStateView) -> Self {
        Self {
            producer_id: view.producer_id,
            producer_epoch: view.producer_epoch,
            last_sequence: view.last_sequence,
            last_timestamp: view.last_timestamp,
            coordinator_epoch: view.coordinator_epoch,
            current_txn_start_offset: view.current_txn_start_offset,
        }
    }
}
