//! ElectLeaders, API key 43.
//!
//! Elects the preferred leader (0), or an unclean one (1, from version 1). Partitions null: all.
//!
//! Generated from `net/schema/elect_leaders.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 43;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=2;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 2;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub election_type: i8,
    pub topic_partitions: Option<Array<'a, TopicPartitionsView<'a>>>,
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
            election_type: if version >= 1 { reader.int8()? } else { 0 },
            topic_partitions: reader.nullable_array(limits::TOPICS)?,
            timeout_ms: reader.int32()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TopicPartitionsView<'a> {
    pub topic: &'a str,
    pub partitions: Array<'a, i32>,
}

impl<'a> Element<'a> for TopicPartitionsView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 6,
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
    pub replica_election_results: Array<'a, ReplicaElectionResultView<'a>>,
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
            error_code: if version >= 1 { reader.int16()? } else { 0 },
            replica_election_results: reader.array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ReplicaElectionResultView<'a> {
    pub topic: &'a str,
    pub partition_result: Array<'a, PartitionResultView<'a>>,
}

impl<'a> Element<'a> for ReplicaElectionResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic: reader.string()?, partition_result: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct PartitionResultView<'a> {
    pub partition_id: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

impl<'a> Element<'a> for PartitionResultView<'a> {
    fn bytes_min(_: Format) -> usize {
        8
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            partition_id: reader.int32()?,
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub election_type: i8,
    pub topic_partitions: Option<Vec<TopicPartitions<'a>>>,
    pub timeout_ms: i32,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { election_type: 0, topic_partitions: None, timeout_ms: 60000 }
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
    const KEY: ApiKey = ApiKey::ElectLeaders;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 1 {
            writer.int8(self.election_type);
        }
        writer.nullable_array(self.topic_partitions.as_deref());
        writer.int32(self.timeout_ms);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            election_type: view.election_type,
            topic_partitions: view.topic_partitions.map(|x| x.iter().map(Into::into).collect()),
            timeout_ms: view.timeout_ms,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicPartitions<'a> {
    pub topic: Cow<'a, str>,
    pub partitions: Vec<i32>,
}

impl Encode for TopicPartitions<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<TopicPartitionsView<'a>> for TopicPartitions<'a> {
    fn from(view: TopicPartitionsView<'a>) -> Self {
        Self { topic: view.topic.into(), partitions: view.partitions.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub replica_election_results: Vec<ReplicaElectionResult<'a>>,
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
    const KEY: ApiKey = ApiKey::ElectLeaders;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.throttle_time_ms(self.throttle_time_ms);
        if version >= 1 {
            writer.error_code(self.error_code);
        }
        writer.array(&self.replica_election_results);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            replica_election_results: view.replica_election_results.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaElectionResult<'a> {
    pub topic: Cow<'a, str>,
    pub partition_result: Vec<PartitionResult<'a>>,
}

impl Encode for ReplicaElectionResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.topic);
        writer.array(&self.partition_result);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ReplicaElectionResultView<'a>> for ReplicaElectionResult<'a> {
    fn from(view: ReplicaElectionResultView<'a>) -> Self {
        Self {
            topic: view.topic.into(),
            partition_result: view.partition_result.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionResult<'a> {
    pub partition_id: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
}

impl Encode for PartitionResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_id);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<PartitionResultView<'a>> for PartitionResult<'a> {
    fn from(view: PartitionResultView<'a>) -> Self {
        Self {
            partition_id: view.partition_id,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
        }
    }
}
