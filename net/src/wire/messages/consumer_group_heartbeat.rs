//! ConsumerGroupHeartbeat, API key 68.
//!
//! A member of a consumer group lives, says what it wants and holds, and learns what it may hold.
//! 1 adds subscriptions by regular expression, and the member makes its own id.
//!
//! Generated from `net/schema/consumer_group_heartbeat.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 68;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=1;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_id: &'a str,
    pub member_id: &'a str,
    pub member_epoch: i32,
    pub instance_id: Option<&'a str>,
    pub rack_id: Option<&'a str>,
    pub rebalance_timeout_ms: i32,
    pub subscribed_topic_names: Option<Array<'a, &'a str>>,
    pub subscribed_topic_regex: Option<&'a str>,
    pub server_assignor: Option<&'a str>,
    pub topic_partitions: Option<Array<'a, TopicPartitionsView<'a>>>,
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
            member_id: reader.string()?,
            member_epoch: reader.int32()?,
            instance_id: reader.nullable_string()?,
            rack_id: reader.nullable_string()?,
            rebalance_timeout_ms: reader.int32()?,
            subscribed_topic_names: reader.nullable_array(limits::TOPICS)?,
            subscribed_topic_regex: if version >= 1 { reader.nullable_string()? } else { None },
            server_assignor: reader.nullable_string()?,
            topic_partitions: reader.nullable_array(limits::TOPICS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub member_id: Option<&'a str>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment: Option<AssignmentView<'a>>,
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
        let view = Self {
            throttle_time_ms: reader.int32()?,
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            member_id: reader.nullable_string()?,
            member_epoch: reader.int32()?,
            heartbeat_interval_ms: reader.int32()?,
            assignment: reader.nullable_struct()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AssignmentView<'a> {
    pub topic_partitions: Array<'a, TopicPartitionsView<'a>>,
}

impl<'a> Element<'a> for AssignmentView<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic_partitions: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TopicPartitionsView<'a> {
    pub topic_id: Uuid,
    pub partitions: Array<'a, i32>,
}

impl<'a> Element<'a> for TopicPartitionsView<'a> {
    fn bytes_min(_: Format) -> usize {
        18
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic_id: reader.uuid()?, partitions: reader.array(limits::PARTITIONS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub group_id: Cow<'a, str>,
    pub member_id: Cow<'a, str>,
    pub member_epoch: i32,
    pub instance_id: Option<Cow<'a, str>>,
    pub rack_id: Option<Cow<'a, str>>,
    pub rebalance_timeout_ms: i32,
    pub subscribed_topic_names: Option<Vec<Cow<'a, str>>>,
    pub subscribed_topic_regex: Option<Cow<'a, str>>,
    pub server_assignor: Option<Cow<'a, str>>,
    pub topic_partitions: Option<Vec<TopicPartitions>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            group_id: Cow::Borrowed(""),
            member_id: Cow::Borrowed(""),
            member_epoch: 0,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
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
    const KEY: ApiKey = ApiKey::ConsumerGroupHeartbeat;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.group_id);
        writer.string(&self.member_id);
        writer.int32(self.member_epoch);
        writer.nullable_string(self.instance_id.as_deref());
        writer.nullable_string(self.rack_id.as_deref());
        writer.int32(self.rebalance_timeout_ms);
        writer.nullable_array(self.subscribed_topic_names.as_deref());
        if version >= 1 {
            writer.nullable_string(self.subscribed_topic_regex.as_deref());
        }
        writer.nullable_string(self.server_assignor.as_deref());
        writer.nullable_array(self.topic_partitions.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            member_id: view.member_id.into(),
            member_epoch: view.member_epoch,
            instance_id: view.instance_id.map(Into::into),
            rack_id: view.rack_id.map(Into::into),
            rebalance_timeout_ms: view.rebalance_timeout_ms,
            subscribed_topic_names: view.subscribed_topic_names.map(|x| x.iter().map(Into::into).collect()),
            subscribed_topic_regex: view.subscribed_topic_regex.map(Into::into),
            server_assignor: view.server_assignor.map(Into::into),
            topic_partitions: view.topic_partitions.map(|x| x.iter().map(Into::into).collect()),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub member_id: Option<Cow<'a, str>>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    pub assignment: Option<Assignment>,
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
    const KEY: ApiKey = ApiKey::ConsumerGroupHeartbeat;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.nullable_string(self.member_id.as_deref());
        writer.int32(self.member_epoch);
        writer.int32(self.heartbeat_interval_ms);
        writer.nullable_struct(self.assignment.as_ref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            member_id: view.member_id.map(Into::into),
            member_epoch: view.member_epoch,
            heartbeat_interval_ms: view.heartbeat_interval_ms,
            assignment: view.assignment.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment {
    pub topic_partitions: Vec<TopicPartitions>,
}

impl Encode for Assignment {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.topic_partitions);
        writer.tagged_fields(0);
    }
}

impl From<AssignmentView<'_>> for Assignment {
    fn from(view: AssignmentView<'_>) -> Self {
        Self { topic_partitions: view.topic_partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl Encode for TopicPartitions {
    fn write(&self, writer: &mut Writer) {
        writer.uuid(self.topic_id);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl From<TopicPartitionsView<'_>> for TopicPartitions {
    fn from(view: TopicPartitionsView<'_>) -> Self {
        Self { topic_id: view.topic_id, partitions: view.partitions.iter().collect() }
    }
}
