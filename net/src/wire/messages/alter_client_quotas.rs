//! AlterClientQuotas, API key 49.
//!
//! Sets and removes quotas. An entity's name null is the default entity.
//!
//! Generated from `net/schema/alter_client_quotas.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 49;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=1;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 1;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub entries: Array<'a, RequestEntryView<'a>>,
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
        let view = Self { entries: reader.array(limits::ELEMENTS)?, validate_only: reader.bool()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct RequestEntryView<'a> {
    pub entity: Array<'a, EntityDataView<'a>>,
    pub ops: Array<'a, OpDataView<'a>>,
}

impl<'a> Element<'a> for RequestEntryView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 8,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { entity: reader.array(limits::ELEMENTS)?, ops: reader.array(limits::ELEMENTS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct OpDataView<'a> {
    pub key: &'a str,
    pub value: f64,
    pub remove: bool,
}

impl<'a> Element<'a> for OpDataView<'a> {
    fn bytes_min(_: Format) -> usize {
        11
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { key: reader.string()?, value: reader.float64()?, remove: reader.bool()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub entries: Array<'a, ResponseEntryView<'a>>,
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
        let view = Self { throttle_time_ms: reader.int32()?, entries: reader.array(limits::ELEMENTS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseEntryView<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub entity: Array<'a, EntityDataView<'a>>,
}

impl<'a> Element<'a> for ResponseEntryView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 8,
            _ => 5,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            entity: reader.array(limits::ELEMENTS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct EntityDataView<'a> {
    pub entity_type: &'a str,
    pub entity_name: Option<&'a str>,
}

impl<'a> Element<'a> for EntityDataView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 4,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { entity_type: reader.string()?, entity_name: reader.nullable_string()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub entries: Vec<RequestEntry<'a>>,
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
    const KEY: ApiKey = ApiKey::AlterClientQuotas;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.entries);
        writer.bool(self.validate_only);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { entries: view.entries.iter().map(Into::into).collect(), validate_only: view.validate_only }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestEntry<'a> {
    pub entity: Vec<EntityData<'a>>,
    pub ops: Vec<OpData<'a>>,
}

impl Encode for RequestEntry<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.entity);
        writer.array(&self.ops);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestEntryView<'a>> for RequestEntry<'a> {
    fn from(view: RequestEntryView<'a>) -> Self {
        Self {
            entity: view.entity.iter().map(Into::into).collect(),
            ops: view.ops.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpData<'a> {
    pub key: Cow<'a, str>,
    pub value: f64,
    pub remove: bool,
}

impl Encode for OpData<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.key);
        writer.float64(self.value);
        writer.bool(self.remove);
        writer.tagged_fields(0);
    }
}

impl<'a> From<OpDataView<'a>> for OpData<'a> {
    fn from(view: OpDataView<'a>) -> Self {
        Self { key: view.key.into(), value: view.value, remove: view.remove }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub entries: Vec<ResponseEntry<'a>>,
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
    const KEY: ApiKey = ApiKey::AlterClientQuotas;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.array(&self.entries);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            entries: view.entries.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResponseEntry<'a> {
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub entity: Vec<EntityData<'a>>,
}

impl Encode for ResponseEntry<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.array(&self.entity);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseEntryView<'a>> for ResponseEntry<'a> {
    fn from(view: ResponseEntryView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            entity: view.entity.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntityData<'a> {
    pub entity_type: Cow<'a, str>,
    pub entity_name: Option<Cow<'a, str>>,
}

impl Encode for EntityData<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.entity_type);
        writer.nullable_string(self.entity_name.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<EntityDataView<'a>> for EntityData<'a> {
    fn from(view: EntityDataView<'a>) -> Self {
        Self { entity_type: view.entity_type.into(), entity_name: view.entity_name.map(Into::into) }
    }
}
