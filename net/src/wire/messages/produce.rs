//! Produce, API key 0.
//!
//! Appends one record batch to each partition named.
//! 3 brings batches of magic 2 and transactions, 5 the log start offset, 7 allows zstd, 8 adds errors per record, 10 the
//! current leader, 12 is for transactions of the second kind, 13 names topics by id.
//! Versions 0 to 2 are listed, because old clients look for them before they compress, and refused when used.
//!
//! Generated from `net/schema/produce.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 0;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 3..=13;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 9;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub transactional_id: Option<&'a str>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Array<'a, TopicProduceDataView<'a>>,
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
        let view = Self {
            transactional_id: reader.nullable_string()?,
            acks: reader.int16()?,
            timeout_ms: reader.int32()?,
            topic_data: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TopicProduceDataView<'a> {
    pub name: &'a str,
    pub topic_id: Uuid,
    pub partition_data: Array<'a, PartitionProduceDataView<'a>>,
}

impl<'a> Element<'a> for TopicProduceDataView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            3..=8 => 6,
            9..=12 => 3,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            name: if version <= 12 { reader.string()? } else { "" },
            topic_id: if version >= 13 { reader.uuid()? } else { [0; 16] },
            partition_data: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct PartitionProduceDataView<'a> {
    pub index: i32,
    pub records: Option<&'a [u8]>,
}

impl<'a> Element<'a> for PartitionProduceDataView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            3..=8 => 8,
            _ => 6,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { index: reader.int32()?, records: reader.nullable_bytes()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub responses: Array<'a, TopicProduceResponseView<'a>>,
    pub throttle_time_ms: i32,
    pub node_endpoints: Array<'a, NodeEndpointView<'a>>,
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
        let mut view = Self {
            responses: reader.array(limits::TOPICS)?,
            throttle_time_ms: reader.int32()?,
            node_endpoints: Array::default(),
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 if version >= 10 => view.node_endpoints = field.array(limits::BROKERS)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct NodeEndpointView<'a> {
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

impl<'a> Element<'a> for NodeEndpointView<'a> {
    fn bytes_min(_: Format) -> usize {
        11
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            node_id: reader.int32()?,
            host: reader.string()?,
            port: reader.int32()?,
            rack: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TopicProduceResponseView<'a> {
    pub name: &'a str,
    pub topic_id: Uuid,
    pub partition_responses: Array<'a, PartitionProduceResponseView<'a>>,
}

impl<'a> Element<'a> for TopicProduceResponseView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            3..=8 => 6,
            9..=12 => 3,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            name: if version <= 12 { reader.string()? } else { "" },
            topic_id: if version >= 13 { reader.uuid()? } else { [0; 16] },
            partition_responses: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct PartitionProduceResponseView<'a> {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    pub record_errors: Array<'a, BatchIndexAndErrorMessageView<'a>>,
    pub error_message: Option<&'a str>,
    pub current_leader: LeaderIdAndEpochView,
}

impl<'a> Element<'a> for PartitionProduceResponseView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            3..=4 => 22,
            5..=7 => 30,
            8 => 36,
            _ => 33,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let mut view = Self {
            index: reader.int32()?,
            error_code: reader.int16()?,
            base_offset: reader.int64()?,
            log_append_time_ms: reader.int64()?,
            log_start_offset: if version >= 5 { reader.int64()? } else { -1 },
            record_errors: if version >= 8 { reader.array(limits::ELEMENTS)? } else { Array::default() },
            error_message: if version >= 8 { reader.nullable_string()? } else { None },
            current_leader: LeaderIdAndEpochView::default(),
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 if version >= 10 => view.current_leader = LeaderIdAndEpochView::read(field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct LeaderIdAndEpochView {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpochView {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl<'a> Element<'a> for LeaderIdAndEpochView {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { leader_id: reader.int32()?, leader_epoch: reader.int32()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct BatchIndexAndErrorMessageView<'a> {
    pub batch_index: i32,
    pub batch_index_error_message: Option<&'a str>,
}

impl<'a> Element<'a> for BatchIndexAndErrorMessageView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view =
            Self { batch_index: reader.int32()?, batch_index_error_message: reader.nullable_string()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub transactional_id: Option<Cow<'a, str>>,
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic_data: Vec<TopicProduceData<'a>>,
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
    const KEY: ApiKey = ApiKey::Produce;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.nullable_string(self.transactional_id.as_deref());
        writer.int16(self.acks);
        writer.int32(self.timeout_ms);
        writer.array(&self.topic_data);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            transactional_id: view.transactional_id.map(Into::into),
            acks: view.acks,
            timeout_ms: view.timeout_ms,
            topic_data: view.topic_data.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicProduceData<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partition_data: Vec<PartitionProduceData<'a>>,
}

impl Encode for TopicProduceData<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 12 {
            writer.string(&self.name);
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partition_data);
        writer.tagged_fields(0);
    }
}

impl<'a> From<TopicProduceDataView<'a>> for TopicProduceData<'a> {
    fn from(view: TopicProduceDataView<'a>) -> Self {
        Self {
            name: view.name.into(),
            topic_id: view.topic_id,
            partition_data: view.partition_data.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionProduceData<'a> {
    pub index: i32,
    pub records: Option<Cow<'a, [u8]>>,
}

impl Encode for PartitionProduceData<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.index);
        writer.nullable_bytes_field(self.records.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<PartitionProduceDataView<'a>> for PartitionProduceData<'a> {
    fn from(view: PartitionProduceDataView<'a>) -> Self {
        Self { index: view.index, records: view.records.map(Into::into) }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub responses: Vec<TopicProduceResponse<'a>>,
    pub throttle_time_ms: i32,
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
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
    const KEY: ApiKey = ApiKey::Produce;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.array(&self.responses);
        writer.throttle_time_ms(self.throttle_time_ms);
        let has_node_endpoints = version >= 10 && !self.node_endpoints.is_empty();
        writer.tagged_fields(usize::from(has_node_endpoints));
        if has_node_endpoints {
            writer.tagged_field(0, |writer| writer.array(&self.node_endpoints));
        }
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            responses: view.responses.iter().map(Into::into).collect(),
            throttle_time_ms: view.throttle_time_ms,
            node_endpoints: view.node_endpoints.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeEndpoint<'a> {
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
}

impl Encode for NodeEndpoint<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.node_id);
        writer.string(&self.host);
        writer.int32(self.port);
        writer.nullable_string(self.rack.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<NodeEndpointView<'a>> for NodeEndpoint<'a> {
    fn from(view: NodeEndpointView<'a>) -> Self {
        Self {
            node_id: view.node_id,
            host: view.host.into(),
            port: view.port,
            rack: view.rack.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicProduceResponse<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partition_responses: Vec<PartitionProduceResponse<'a>>,
}

impl Encode for TopicProduceResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 12 {
            writer.string(&self.name);
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partition_responses);
        writer.tagged_fields(0);
    }
}

impl<'a> From<TopicProduceResponseView<'a>> for TopicProduceResponse<'a> {
    fn from(view: TopicProduceResponseView<'a>) -> Self {
        Self {
            name: view.name.into(),
            topic_id: view.topic_id,
            partition_responses: view.partition_responses.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionProduceResponse<'a> {
    pub index: i32,
    pub error_code: i16,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    pub record_errors: Vec<BatchIndexAndErrorMessage<'a>>,
    pub error_message: Option<Cow<'a, str>>,
    pub current_leader: LeaderIdAndEpoch,
}

impl Default for PartitionProduceResponse<'_> {
    fn default() -> Self {
        Self {
            index: 0,
            error_code: 0,
            base_offset: 0,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: LeaderIdAndEpoch::default(),
        }
    }
}

impl Encode for PartitionProduceResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.index);
        writer.error_code(self.error_code);
        writer.int64(self.base_offset);
        writer.int64(self.log_append_time_ms);
        if version >= 5 {
            writer.int64(self.log_start_offset);
        }
        if version >= 8 {
            writer.array(&self.record_errors);
        }
        if version >= 8 {
            writer.nullable_string(self.error_message.as_deref());
        }
        let has_current_leader = version >= 10 && self.current_leader != LeaderIdAndEpoch::default();
        writer.tagged_fields(usize::from(has_current_leader));
        if has_current_leader {
            writer.tagged_field(0, |writer| self.current_leader.write(writer));
        }
    }
}

impl<'a> From<PartitionProduceResponseView<'a>> for PartitionProduceResponse<'a> {
    fn from(view: PartitionProduceResponseView<'a>) -> Self {
        Self {
            index: view.index,
            error_code: view.error_code,
            base_offset: view.base_offset,
            log_append_time_ms: view.log_append_time_ms,
            log_start_offset: view.log_start_offset,
            record_errors: view.record_errors.iter().map(Into::into).collect(),
            error_message: view.error_message.map(Into::into),
            current_leader: view.current_leader.into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl Encode for LeaderIdAndEpoch {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.leader_id);
        writer.int32(self.leader_epoch);
        writer.tagged_fields(0);
    }
}

impl From<LeaderIdAndEpochView> for LeaderIdAndEpoch {
    fn from(view: LeaderIdAndEpochView) -> Self {
        Self { leader_id: view.leader_id, leader_epoch: view.leader_epoch }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct BatchIndexAndErrorMessage<'a> {
    pub batch_index: i32,
    pub batch_index_error_message: Option<Cow<'a, str>>,
}

impl Encode for BatchIndexAndErrorMessage<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.batch_index);
        writer.nullable_string(self.batch_index_error_message.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<BatchIndexAndErrorMessageView<'a>> for BatchIndexAndErrorMessage<'a> {
    fn from(view: BatchIndexAndErrorMessageView<'a>) -> Self {
        Self {
            batch_index: view.batch_index,
            batch_index_error_message: view.batch_index_error_message.map(Into::into),
        }
    }
}
