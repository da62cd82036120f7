//! CreatePartitions, API key 37.
//!
//! Adds partitions to topics. The answer names every topic asked for.
//! 3 may answer that a quota throttles.
//!
//! Generated from `net/schema/create_partitions.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 37;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=3;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 2;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Array<'a, CreatePartitionsTopicView<'a>>,
    pub timeout_ms: i32,
    pub validate_only: bool,
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
            topics: reader.array(limits::TOPICS)?,
            timeout_ms: reader.int32()?,
            validate_only: reader.bool()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CreatePartitionsTopicView<'a> {
    pub name: &'a str,
    pub count: i32,
    pub assignments: Option<Array<'a, CreatePartitionsAssignmentView<'a>>>,
}

impl<'a> Element<'a> for CreatePartitionsTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 10,
            _ => 7,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            name: reader.string()?,
            count: reader.int32()?,
            assignments: reader.nullable_array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CreatePartitionsAssignmentView<'a> {
    pub broker_ids: Array<'a, i32>,
}

impl<'a> Element<'a> for CreatePartitionsAssignmentView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 4,
            _ => 2,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { broker_ids: reader.array(limits::REPLICAS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub results: Array<'a, CreatePartitionsTopicResultView<'a>>,
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
pub struct CreatePartitionsTopicResultView<'a> {
    pub name: &'a str,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

impl<'a> Element<'a> for CreatePartitionsTopicResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 6,
            _ => 5,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            name: reader.string()?,
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub topics: Vec<CreatePartitionsTopic<'a>>,
    pub timeout_ms: i32,
    pub validate_only: bool,
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
    const KEY: ApiKey = ApiKey::CreatePartitions;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.topics);
        writer.int32(self.timeout_ms);
        writer.bool(self.validate_only);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            topics: view.topics.iter().map(Into::into).collect(),
            timeout_ms: view.timeout_ms,
            validate_only: view.validate_only,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatePartitionsTopic<'a> {
    pub name: Cow<'a, str>,
    pub count: i32,
    pub assignments: Option<Vec<CreatePartitionsAssignment>>,
}

impl Encode for CreatePartitionsTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.int32(self.count);
        writer.nullable_array(self.assignments.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<CreatePartitionsTopicView<'a>> for CreatePartitionsTopic<'a> {
    fn from(view: CreatePartitionsTopicView<'a>) -> Self {
        Self {
            name: view.name.into(),
            count: view.count,
            assignments: view.assignments.map(|x| x.iter().map(Into::into).collect()),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatePartitionsAssignment {
    pub broker_ids: Vec<i32>,
}

impl Encode for CreatePartitionsAssignment {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.broker_ids);
        writer.tagged_fields(0);
    }
}

impl From<CreatePartitionsAssignmentView<'_>> for CreatePartitionsAssignment {
    fn from(view: CreatePartitionsAssignmentView<'_>) -> Self {
        Self { broker_ids: view.broker_ids.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<CreatePartitionsTopicResult<'a>>,
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
    const KEY: ApiKey = ApiKey::CreatePartitions;
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
pub struct CreatePartitionsTopicResult<'a> {
    pub name: Cow<'a, str>,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
}

impl Encode for CreatePartitionsTopicResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<CreatePartitionsTopicResultView<'a>> for CreatePartitionsTopicResult<'a> {
    fn from(view: CreatePartitionsTopicResultView<'a>) -> Self {
        Self {
            name: view.name.into(),
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
        }
    }
}
