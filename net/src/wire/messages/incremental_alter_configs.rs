//! IncrementalAlterConfigs, API key 44.
//!
//! Changes single configuration keys: set 0, delete 1, append 2, subtract 3.
//!
//! Generated from `net/schema/incremental_alter_configs.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 44;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=1;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 1;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub resources: Array<'a, AlterConfigsResourceView<'a>>,
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
        let view = Self { resources: reader.array(limits::RESOURCES)?, validate_only: reader.bool()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AlterConfigsResourceView<'a> {
    pub resource_type: i8,
    pub resource_name: &'a str,
    pub configs: Array<'a, AlterableConfigView<'a>>,
}

impl<'a> Element<'a> for AlterConfigsResourceView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 7,
            _ => 4,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            resource_type: reader.int8()?,
            resource_name: reader.string()?,
            configs: reader.array(limits::CONFIGS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AlterableConfigView<'a> {
    pub name: &'a str,
    pub config_operation: i8,
    pub value: Option<&'a str>,
}

impl<'a> Element<'a> for AlterableConfigView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 5,
            _ => 4,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            name: reader.string()?,
            config_operation: reader.int8()?,
            value: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub responses: Array<'a, AlterConfigsResourceResponseView<'a>>,
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
        let view = Self { throttle_time_ms: reader.int32()?, responses: reader.array(limits::RESOURCES)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AlterConfigsResourceResponseView<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub resource_type: i8,
    pub resource_name: &'a str,
}

impl<'a> Element<'a> for AlterConfigsResourceResponseView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 7,
            _ => 6,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            resource_type: reader.int8()?,
            resource_name: reader.string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub resources: Vec<AlterConfigsResource<'a>>,
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
    const KEY: ApiKey = ApiKey::IncrementalAlterConfigs;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.resources);
        writer.bool(self.validate_only);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { resources: view.resources.iter().map(Into::into).collect(), validate_only: view.validate_only }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlterConfigsResource<'a> {
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
    pub configs: Vec<AlterableConfig<'a>>,
}

impl Encode for AlterConfigsResource<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int8(self.resource_type);
        writer.string(&self.resource_name);
        writer.array(&self.configs);
        writer.tagged_fields(0);
    }
}

impl<'a> From<AlterConfigsResourceView<'a>> for AlterConfigsResource<'a> {
    fn from(view: AlterConfigsResourceView<'a>) -> Self {
        Self {
            resource_type: view.resource_type,
            resource_name: view.resource_name.into(),
            configs: view.configs.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlterableConfig<'a> {
    pub name: Cow<'a, str>,
    pub config_operation: i8,
    pub value: Option<Cow<'a, str>>,
}

impl Encode for AlterableConfig<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.int8(self.config_operation);
        writer.nullable_string(self.value.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<AlterableConfigView<'a>> for AlterableConfig<'a> {
    fn from(view: AlterableConfigView<'a>) -> Self {
        Self {
            name: view.name.into(),
            config_operation: view.config_operation,
            value: view.value.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub responses: Vec<AlterConfigsResourceResponse<'a>>,
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
    const KEY: ApiKey = ApiKey::IncrementalAlterConfigs;
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
pub struct AlterConfigsResourceResponse<'a> {
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
}

impl Encode for AlterConfigsResourceResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.int8(self.resource_type);
        writer.string(&self.resource_name);
        writer.tagged_fields(0);
    }
}

impl<'a> From<AlterConfigsResourceResponseView<'a>> for AlterConfigsResourceResponse<'a> {
    fn from(view: AlterConfigsResourceResponseView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            resource_type: view.resource_type,
            resource_name: view.resource_name.into(),
        }
    }
}
