//! ListConfigResources, API key 74.
//!
//! Resources that have a configuration of their own. In 0: client metrics only; 1 asks for any types.
//!
//! Generated from `net/schema/list_config_resources.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 74;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=1;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub resource_types: Array<'a, i8>,
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
            resource_types: if version >= 1 { reader.array(limits::ELEMENTS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub config_resources: Array<'a, ConfigResourceView<'a>>,
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
            config_resources: reader.array(limits::RESOURCES)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ConfigResourceView<'a> {
    pub resource_name: &'a str,
    pub resource_type: i8,
}

impl<'a> Element<'a> for ConfigResourceView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 2,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            resource_name: reader.string()?,
            resource_type: if version >= 1 { reader.int8()? } else { 16 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    pub resource_types: Vec<i8>,
}

impl Request {
    /// Writes the body without a header.
    ///
    /// # Panics
    /// If the version is not one of `VERSIONS`.
    pub fn encode(&self, version: i16, writer: &mut Writer) {
        body::encode(self, version, &VERSIONS, FLEXIBLE_FROM, writer);
    }
}

impl RequestBody for Request {
    const KEY: ApiKey = ApiKey::ListConfigResources;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 1 {
            writer.array(&self.resource_types);
        }
        writer.tagged_fields(0);
    }
}

impl From<RequestView<'_>> for Request {
    fn from(view: RequestView<'_>) -> Self {
        Self { resource_types: view.resource_types.iter().collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub config_resources: Vec<ConfigResource<'a>>,
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
    const KEY: ApiKey = ApiKey::ListConfigResources;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.array(&self.config_resources);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            config_resources: view.config_resources.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ConfigResource<'a> {
    pub resource_name: Cow<'a, str>,
    pub resource_type: i8,
}

impl Default for ConfigResource<'_> {
    fn default() -> Self {
        Self { resource_name: Cow::Borrowed(""), resource_type: 16 }
    }
}

impl Encode for ConfigResource<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.resource_name);
        if version >= 1 {
            writer.int8(self.resource_type);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<ConfigResourceView<'a>> for ConfigResource<'a> {
    fn from(view: ConfigResourceView<'a>) -> Self {
        Self { resource_name: view.resource_name.into(), resource_type: view.resource_type }
    }
}
