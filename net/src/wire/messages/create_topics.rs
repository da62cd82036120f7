//! CreateTopics, API key 19.
//!
//! Creates topics.
//! 4 lets -1 stand for the broker's default counts, 5 answers with the topic's configuration, 7 with its id.
//!
//! Generated from `net/schema/create_topics.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 19;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 2..=7;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 2;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 5;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Array<'a, CreatableTopicView<'a>>,
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
pub struct CreatableTopicView<'a> {
    pub name: &'a str,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub assignments: Array<'a, CreatableReplicaAssignmentView<'a>>,
    pub configs: Array<'a, CreatableTopicConfigView<'a>>,
}

impl<'a> Element<'a> for CreatableTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=4 => 16,
            _ => 10,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            name: reader.string()?,
            num_partitions: reader.int32()?,
            replication_factor: reader.int16()?,
            assignments: reader.array(limits::PARTITIONS)?,
            configs: reader.array(limits::CONFIGS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CreatableTopicConfigView<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
}

impl<'a> Element<'a> for CreatableTopicConfigView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=4 => 4,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, value: reader.nullable_string()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CreatableReplicaAssignmentView<'a> {
    pub partition_index: i32,
    pub broker_ids: Array<'a, i32>,
}

impl<'a> Element<'a> for CreatableReplicaAssignmentView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=4 => 8,
            _ => 6,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { partition_index: reader.int32()?, broker_ids: reader.array(limits::REPLICAS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub topics: Array<'a, CreatableTopicResultView<'a>>,
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
pub struct CreatableTopicResultView<'a> {
    pub name: &'a str,
    pub topic_id: Uuid,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub topic_config_error_code: i16,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub configs: Option<Array<'a, CreatableTopicConfigsView<'a>>>,
}

impl<'a> Element<'a> for CreatableTopicResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            2..=4 => 6,
            5..=6 => 12,
            _ => 28,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let mut view = Self {
            name: reader.string()?,
            topic_id: if version >= 7 { reader.uuid()? } else { [0; 16] },
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            topic_config_error_code: 0,
            num_partitions: if version >= 5 { reader.int32()? } else { -1 },
            replication_factor: if version >= 5 { reader.int16()? } else { -1 },
            configs: if version >= 5 { reader.nullable_array(limits::CONFIGS)? } else { None },
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 => view.topic_config_error_code = field.int16()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CreatableTopicConfigsView<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
}

impl<'a> Element<'a> for CreatableTopicConfigsView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            name: reader.string()?,
            value: reader.nullable_string()?,
            read_only: reader.bool()?,
            config_source: reader.int8()?,
            is_sensitive: reader.bool()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub topics: Vec<CreatableTopic<'a>>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self { topics: Vec::new(), timeout_ms: 60000, validate_only: false }
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
    const KEY: ApiKey = ApiKey::CreateTopics;
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
pub struct CreatableTopic<'a> {
    pub name: Cow<'a, str>,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub assignments: Vec<CreatableReplicaAssignment>,
    pub configs: Vec<CreatableTopicConfig<'a>>,
}

impl Encode for CreatableTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.int32(self.num_partitions);
        writer.int16(self.replication_factor);
        writer.array(&self.assignments);
        writer.array(&self.configs);
        writer.tagged_fields(0);
    }
}

impl<'a> From<CreatableTopicView<'a>> for CreatableTopic<'a> {
    fn from(view: CreatableTopicView<'a>) -> Self {
        Self {
            name: view.name.into(),
            num_partitions: view.num_partitions,
            replication_factor: view.replication_factor,
            assignments: view.assignments.iter().map(Into::into).collect(),
            configs: view.configs.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatableTopicConfig<'a> {
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
}

impl Encode for CreatableTopicConfig<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<CreatableTopicConfigView<'a>> for CreatableTopicConfig<'a> {
    fn from(view: CreatableTopicConfigView<'a>) -> Self {
        Self { name: view.name.into(), value: view.value.map(Into::into) }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreatableReplicaAssignment {
    pub partition_index: i32,
    pub broker_ids: Vec<i32>,
}

impl Encode for CreatableReplicaAssignment {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.partition_index);
        writer.array(&self.broker_ids);
        writer.tagged_fields(0);
    }
}

impl From<CreatableReplicaAssignmentView<'_>> for CreatableReplicaAssignment {
    fn from(view: CreatableReplicaAssignmentView<'_>) -> Self {
        Self { partition_index: view.partition_index, broker_ids: view.broker_ids.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub topics: Vec<CreatableTopicResult<'a>>,
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
    const KEY: ApiKey = ApiKey::CreateTopics;
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

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicResult<'a> {
    pub name: Cow<'a, str>,
    pub topic_id: Uuid,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub topic_config_error_code: i16,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub configs: Option<Vec<CreatableTopicConfigs<'a>>>,
}

impl Default for CreatableTopicResult<'_> {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            topic_id: [0; 16],
            error_code: 0,
            error_message: None,
            topic_config_error_code: 0,
            num_partitions: -1,
            replication_factor: -1,
            configs: None,
        }
    }
}

impl Encode for CreatableTopicResult<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.name);
        if version >= 7 {
            writer.uuid(self.topic_id);
        }
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        if version >= 5 {
            writer.int32(self.num_partitions);
        }
        if version >= 5 {
            writer.int16(self.replication_factor);
        }
        if version >= 5 {
            writer.nullable_array(self.configs.as_deref());
        }
        let has_topic_config_error_code = version >= 5 && self.topic_config_error_code != 0;
        writer.tagged_fields(usize::from(has_topic_config_error_code));
        if has_topic_config_error_code {
            writer.tagged_field(0, |writer| writer.int16(self.topic_config_error_code));
        }
    }
}

impl<'a> From<CreatableTopicResultView<'a>> for CreatableTopicResult<'a> {
    fn from(view: CreatableTopicResultView<'a>) -> Self {
        Self {
            name: view.name.into(),
            topic_id: view.topic_id,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            topic_config_error_code: view.topic_config_error_code,
            num_partitions: view.num_partitions,
            replication_factor: view.replication_factor,
            configs: view.configs.map(|x| x.iter().map(Into::into).collect()),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CreatableTopicConfigs<'a> {
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
}

impl Default for CreatableTopicConfigs<'_> {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
        }
    }
}

impl Encode for CreatableTopicConfigs<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.bool(self.read_only);
        writer.int8(self.config_source);
        writer.bool(self.is_sensitive);
        writer.tagged_fields(0);
    }
}

impl<'a> From<CreatableTopicConfigsView<'a>> for CreatableTopicConfigs<'a> {
    fn from(view: CreatableTopicConfigsView<'a>) -> Self {
        Self {
            name: view.name.into(),
            value: view.value.map(Into::into),
            read_only: view.read_only,
            config_source: view.config_source,
            is_sensitive: view.is_sensitive,
        }
    }
}
