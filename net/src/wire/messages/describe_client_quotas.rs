//! DescribeClientQuotas, API key 48.
//!
//! Quotas of users, client ids and addresses. Match types: exact 0, default 1, any 2.
//!
//! Generated from `net/schema/describe_client_quotas.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 48;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=1;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 1;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub components: Array<'a, ComponentDataView<'a>>,
    pub strict: bool,
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
        let view = Self { components: reader.array(limits::ELEMENTS)?, strict: reader.bool()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ComponentDataView<'a> {
    pub entity_type: &'a str,
    pub match_type: i8,
    pub matched: Option<&'a str>,
}

impl<'a> Element<'a> for ComponentDataView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 5,
            _ => 4,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            entity_type: reader.string()?,
            match_type: reader.int8()?,
            matched: reader.nullable_string()?,
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
    pub entries: Option<Array<'a, EntryDataView<'a>>>,
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
            entries: reader.nullable_array(limits::ELEMENTS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct EntryDataView<'a> {
    pub entity: Array<'a, EntityDataView<'a>>,
    pub values: Array<'a, ValueDataView<'a>>,
}

impl<'a> Element<'a> for EntryDataView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 8,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { entity: reader.array(limits::ELEMENTS)?, values: reader.array(limits::ELEMENTS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ValueDataView<'a> {
    pub key: &'a str,
    pub value: f64,
}

impl<'a> Element<'a> for ValueDataView<'a> {
    fn bytes_min(_: Format) -> usize {
        10
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { key: reader.string()?, value: reader.float64()? };
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
    pub components: Vec<ComponentData<'a>>,
    pub strict: bool,
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
    const KEY: ApiKey = ApiKey::DescribeClientQuotas;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.components);
        writer.bool(self.strict);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { components: view.components.iter().map(Into::into).collect(), strict: view.strict }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComponentData<'a> {
    pub entity_type: Cow<'a, str>,
    pub match_type: i8,
    pub matched: Option<Cow<'a, str>>,
}

impl Encode for ComponentData<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.entity_type);
        writer.int8(self.match_type);
        writer.nullable_string(self.matched.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<ComponentDataView<'a>> for ComponentData<'a> {
    fn from(view: ComponentDataView<'a>) -> Self {
        Self {
            entity_type: view.entity_type.into(),
            match_type: view.match_type,
            matched: view.matched.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub entries: Option<Vec<EntryData<'a>>>,
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
    const KEY: ApiKey = ApiKey::DescribeClientQuotas;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.nullable_array(self.entries.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            entries: view.entries.map(|x| x.iter().map(Into::into).collect()),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryData<'a> {
    pub entity: Vec<EntityData<'a>>,
    pub values: Vec<ValueData<'a>>,
}

impl Encode for EntryData<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.entity);
        writer.array(&self.values);
        writer.tagged_fields(0);
    }
}

impl<'a> From<EntryDataView<'a>> for EntryData<'a> {
    fn from(view: EntryDataView<'a>) -> Self {
        Self {
            entity: view.entity.iter().map(Into::into).collect(),
            values: view.values.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ValueData<'a> {
    pub key: Cow<'a, str>,
    pub value: f64,
}

impl Encode for ValueData<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.key);
        writer.float64(self.value);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ValueDataView<'a>> for ValueData<'a> {
    fn from(view: ValueDataView<'a>) -> Self {
        Self { key: view.key.into(), value: view.value }
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
