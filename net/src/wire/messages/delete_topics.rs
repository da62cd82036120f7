//! DeleteTopics, API key 20.
//!
//! Deletes topics.
//! 5 adds the error's text, 6 names topics by id or by name.
//!
//! Generated from `net/schema/delete_topics.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 20;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 1..=6;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 1;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 4;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub topics: Array<'a, DeleteTopicStateView<'a>>,
    pub topic_names: Array<'a, &'a str>,
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
            topics: if version >= 6 { reader.array(limits::TOPICS)? } else { Array::default() },
            topic_names: if version <= 5 { reader.array(limits::TOPICS)? } else { Array::default() },
            timeout_ms: reader.int32()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DeleteTopicStateView<'a> {
    pub name: Option<&'a str>,
    pub topic_id: Uuid,
}

impl<'a> Element<'a> for DeleteTopicStateView<'a> {
    fn bytes_min(_: Format) -> usize {
        18
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.nullable_string()?, topic_id: reader.uuid()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub responses: Array<'a, DeletableTopicResultView<'a>>,
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
        let view = Self { throttle_time_ms: reader.int32()?, responses: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DeletableTopicResultView<'a> {
    pub name: Option<&'a str>,
    pub topic_id: Uuid,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

impl<'a> Element<'a> for DeletableTopicResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=4 => 4,
            5 => 5,
            _ => 21,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            name: if version >= 6 { reader.nullable_string()? } else { Some(reader.string()?) },
            topic_id: if version >= 6 { reader.uuid()? } else { [0; 16] },
            error_code: reader.int16()?,
            error_message: if version >= 5 { reader.nullable_string()? } else { None },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub topics: Vec<DeleteTopicState<'a>>,
    pub topic_names: Vec<Cow<'a, str>>,
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
    const KEY: ApiKey = ApiKey::DeleteTopics;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 6 {
            writer.array(&self.topics);
        }
        if version <= 5 {
            writer.array(&self.topic_names);
        }
        writer.int32(self.timeout_ms);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            topics: view.topics.iter().map(Into::into).collect(),
            topic_names: view.topic_names.iter().map(Into::into).collect(),
            timeout_ms: view.timeout_ms,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteTopicState<'a> {
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
}

impl Encode for DeleteTopicState<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.nullable_string(self.name.as_deref());
        writer.uuid(self.topic_id);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DeleteTopicStateView<'a>> for DeleteTopicState<'a> {
    fn from(view: DeleteTopicStateView<'a>) -> Self {
        Self { name: view.name.map(Into::into), topic_id: view.topic_id }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub responses: Vec<DeletableTopicResult<'a>>,
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
    const KEY: ApiKey = ApiKey::DeleteTopics;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.array(&self.responses);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            responses: view.responses.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeletableTopicResult<'a> {
    pub name: Option<Cow<'a, str>>,
    pub topic_id: Uuid,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
}

impl Encode for DeletableTopicResult<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 6 {
            writer.nullable_string(self.name.as_deref());
        } else {
            writer.string(self.name.as_deref().unwrap_or_default());
        }
        if version >= 6 {
            writer.uuid(self.topic_id);
        }
        writer.error_code(self.error_code);
        if version >= 5 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<DeletableTopicResultView<'a>> for DeletableTopicResult<'a> {
    fn from(view: DeletableTopicResultView<'a>) -> Self {
        Self {
            name: view.name.map(Into::into),
            topic_id: view.topic_id,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
        }
    }
}
