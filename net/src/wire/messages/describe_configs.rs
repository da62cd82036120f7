//! DescribeConfigs, API key 32.
//!
//! Tells the configuration of topics and brokers. Keys null or empty: all of them.
//! 1 adds where a value comes from, 3 its type and documentation.
//!
//! Generated from `net/schema/describe_configs.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 32;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 1..=4;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 1;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 4;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub resources: Array<'a, DescribeConfigsResourceView<'a>>,
    pub include_synonyms: bool,
    pub include_documentation: bool,
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
            resources: reader.array(limits::RESOURCES)?,
            include_synonyms: reader.bool()?,
            include_documentation: if version >= 3 { reader.bool()? } else { false },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeConfigsResourceView<'a> {
    pub resource_type: i8,
    pub resource_name: &'a str,
    pub configuration_keys: Option<Array<'a, &'a str>>,
}

impl<'a> Element<'a> for DescribeConfigsResourceView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=3 => 7,
            _ => 4,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            resource_type: reader.int8()?,
            resource_name: reader.string()?,
            configuration_keys: reader.nullable_array(limits::CONFIGS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub results: Array<'a, DescribeConfigsResultView<'a>>,
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
        let view = Self { throttle_time_ms: reader.int32()?, results: reader.array(limits::RESOURCES)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeConfigsResultView<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub resource_type: i8,
    pub resource_name: &'a str,
    pub configs: Array<'a, DescribeConfigsResourceResultView<'a>>,
}

impl<'a> Element<'a> for DescribeConfigsResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=3 => 11,
            _ => 7,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            resource_type: reader.int8()?,
            resource_name: reader.string()?,
            configs: reader.array(limits::CONFIGS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeConfigsResourceResultView<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
    pub synonyms: Array<'a, DescribeConfigsSynonymView<'a>>,
    pub config_type: i8,
    pub documentation: Option<&'a str>,
}

impl<'a> Element<'a> for DescribeConfigsResourceResultView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=2 => 11,
            3 => 14,
            _ => 9,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            name: reader.string()?,
            value: reader.nullable_string()?,
            read_only: reader.bool()?,
            config_source: reader.int8()?,
            is_sensitive: reader.bool()?,
            synonyms: reader.array(limits::CONFIGS)?,
            config_type: if version >= 3 { reader.int8()? } else { 0 },
            documentation: if version >= 3 { reader.nullable_string()? } else { None },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeConfigsSynonymView<'a> {
    pub name: &'a str,
    pub value: Option<&'a str>,
    pub source: i8,
}

impl<'a> Element<'a> for DescribeConfigsSynonymView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            1..=3 => 5,
            _ => 4,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, value: reader.nullable_string()?, source: reader.int8()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub resources: Vec<DescribeConfigsResource<'a>>,
    pub include_synonyms: bool,
    pub include_documentation: bool,
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
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.array(&self.resources);
        writer.bool(self.include_synonyms);
        if version >= 3 {
            writer.bool(self.include_documentation);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            resources: view.resources.iter().map(Into::into).collect(),
            include_synonyms: view.include_synonyms,
            include_documentation: view.include_documentation,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeConfigsResource<'a> {
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
    pub configuration_keys: Option<Vec<Cow<'a, str>>>,
}

impl Encode for DescribeConfigsResource<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int8(self.resource_type);
        writer.string(&self.resource_name);
        writer.nullable_array(self.configuration_keys.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeConfigsResourceView<'a>> for DescribeConfigsResource<'a> {
    fn from(view: DescribeConfigsResourceView<'a>) -> Self {
        Self {
            resource_type: view.resource_type,
            resource_name: view.resource_name.into(),
            configuration_keys: view.configuration_keys.map(|x| x.iter().map(Into::into).collect()),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<DescribeConfigsResult<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeConfigs;
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
pub struct DescribeConfigsResult<'a> {
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub resource_type: i8,
    pub resource_name: Cow<'a, str>,
    pub configs: Vec<DescribeConfigsResourceResult<'a>>,
}

impl Encode for DescribeConfigsResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.int8(self.resource_type);
        writer.string(&self.resource_name);
        writer.array(&self.configs);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeConfigsResultView<'a>> for DescribeConfigsResult<'a> {
    fn from(view: DescribeConfigsResultView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            resource_type: view.resource_type,
            resource_name: view.resource_name.into(),
            configs: view.configs.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribeConfigsResourceResult<'a> {
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
    pub read_only: bool,
    pub config_source: i8,
    pub is_sensitive: bool,
    pub synonyms: Vec<DescribeConfigsSynonym<'a>>,
    pub config_type: i8,
    pub documentation: Option<Cow<'a, str>>,
}

impl Default for DescribeConfigsResourceResult<'_> {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            value: None,
            read_only: false,
            config_source: -1,
            is_sensitive: false,
            synonyms: Vec::new(),
            config_type: 0,
            documentation: None,
        }
    }
}

impl Encode for DescribeConfigsResourceResult<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.bool(self.read_only);
        writer.int8(self.config_source);
        writer.bool(self.is_sensitive);
        writer.array(&self.synonyms);
        if version >= 3 {
            writer.int8(self.config_type);
        }
        if version >= 3 {
            writer.nullable_string(self.documentation.as_deref());
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeConfigsResourceResultView<'a>> for DescribeConfigsResourceResult<'a> {
    fn from(view: DescribeConfigsResourceResultView<'a>) -> Self {
        Self {
            name: view.name.into(),
            value: view.value.map(Into::into),
            read_only: view.read_only,
            config_source: view.config_source,
            is_sensitive: view.is_sensitive,
            synonyms: view.synonyms.iter().map(Into::into).collect(),
            config_type: view.config_type,
            documentation: view.documentation.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeConfigsSynonym<'a> {
    pub name: Cow<'a, str>,
    pub value: Option<Cow<'a, str>>,
    pub source: i8,
}

impl Encode for DescribeConfigsSynonym<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.nullable_string(self.value.as_deref());
        writer.int8(self.source);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeConfigsSynonymView<'a>> for DescribeConfigsSynonym<'a> {
    fn from(view: DescribeConfigsSynonymView<'a>) -> Self {
        Self { name: view.name.into(), value: view.value.map(Into::into), source: view.source }
    }
}
