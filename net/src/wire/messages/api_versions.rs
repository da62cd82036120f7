//! ApiVersions, API key 18.
//!
//! Which APIs the broker serves, in which versions: the switch by which clients turn features on.
//! 1 adds the throttle time, 3 the client's software name and the features, 4 lets a feature start at 0.
//! The head of the answer is in the old form even when the body is flexible.
//!
//! Generated from `net/schema/api_versions.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 18;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=4;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 3;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub client_software_name: &'a str,
    pub client_software_version: &'a str,
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
            client_software_name: if version >= 3 { reader.string()? } else { "" },
            client_software_version: if version >= 3 { reader.string()? } else { "" },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub error_code: i16,
    pub api_keys: Array<'a, ApiVersionView>,
    pub throttle_time_ms: i32,
    pub supported_features: Array<'a, SupportedFeatureKeyView<'a>>,
    pub finalized_features_epoch: i64,
    pub finalized_features: Array<'a, FinalizedFeatureKeyView<'a>>,
    pub zk_migration_ready: bool,
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
        let mut view = Self {
            error_code: reader.int16()?,
            api_keys: reader.array(limits::ELEMENTS)?,
            throttle_time_ms: if version >= 1 { reader.int32()? } else { 0 },
            supported_features: Array::default(),
            finalized_features_epoch: -1,
            finalized_features: Array::default(),
            zk_migration_ready: false,
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 => view.supported_features = field.array(limits::ELEMENTS)?,
                1 => view.finalized_features_epoch = field.int64()?,
                2 => view.finalized_features = field.array(limits::ELEMENTS)?,
                3 => view.zk_migration_ready = field.bool()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct FinalizedFeatureKeyView<'a> {
    pub name: &'a str,
    pub max_version_level: i16,
    pub min_version_level: i16,
}

impl<'a> Element<'a> for FinalizedFeatureKeyView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            name: reader.string()?,
            max_version_level: reader.int16()?,
            min_version_level: reader.int16()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct SupportedFeatureKeyView<'a> {
    pub name: &'a str,
    pub min_version: i16,
    pub max_version: i16,
}

impl<'a> Element<'a> for SupportedFeatureKeyView<'a> {
    fn bytes_min(_: Format) -> usize {
        6
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view =
            Self { name: reader.string()?, min_version: reader.int16()?, max_version: reader.int16()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ApiVersionView {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

impl<'a> Element<'a> for ApiVersionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=2 => 6,
            _ => 7,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view =
            Self { api_key: reader.int16()?, min_version: reader.int16()?, max_version: reader.int16()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub client_software_name: Cow<'a, str>,
    pub client_software_version: Cow<'a, str>,
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
    const KEY: ApiKey = ApiKey::ApiVersions;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 3 {
            writer.string(&self.client_software_name);
        }
        if version >= 3 {
            writer.string(&self.client_software_version);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            client_software_name: view.client_software_name.into(),
            client_software_version: view.client_software_version.into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    pub error_code: i16,
    pub api_keys: Vec<ApiVersion>,
    pub throttle_time_ms: i32,
    pub supported_features: Vec<SupportedFeatureKey<'a>>,
    pub finalized_features_epoch: i64,
    pub finalized_features: Vec<FinalizedFeatureKey<'a>>,
    pub zk_migration_ready: bool,
}

impl Default for Response<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
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
    const KEY: ApiKey = ApiKey::ApiVersions;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.error_code(self.error_code);
        writer.array(&self.api_keys);
        if version >= 1 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        let has_supported_features = version >= 3 && !self.supported_features.is_empty();
        let has_finalized_features_epoch = version >= 3 && self.finalized_features_epoch != -1;
        let has_finalized_features = version >= 3 && !self.finalized_features.is_empty();
        let has_zk_migration_ready = version >= 3 && self.zk_migration_ready;
        writer.tagged_fields(
            usize::from(has_supported_features)
                + usize::from(has_finalized_features_epoch)
                + usize::from(has_finalized_features)
                + usize::from(has_zk_migration_ready),
        );
        if has_supported_features {
            writer.tagged_field(0, |writer| writer.array(&self.supported_features));
        }
        if has_finalized_features_epoch {
            writer.tagged_field(1, |writer| writer.int64(self.finalized_features_epoch));
        }
        if has_finalized_features {
            writer.tagged_field(2, |writer| writer.array(&self.finalized_features));
        }
        if has_zk_migration_ready {
            writer.tagged_field(3, |writer| writer.bool(self.zk_migration_ready));
        }
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            api_keys: view.api_keys.iter().map(Into::into).collect(),
            throttle_time_ms: view.throttle_time_ms,
            supported_features: view.supported_features.iter().map(Into::into).collect(),
            finalized_features_epoch: view.finalized_features_epoch,
            finalized_features: view.finalized_features.iter().map(Into::into).collect(),
            zk_migration_ready: view.zk_migration_ready,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FinalizedFeatureKey<'a> {
    pub name: Cow<'a, str>,
    pub max_version_level: i16,
    pub min_version_level: i16,
}

impl Encode for FinalizedFeatureKey<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.int16(self.max_version_level);
        writer.int16(self.min_version_level);
        writer.tagged_fields(0);
    }
}

impl<'a> From<FinalizedFeatureKeyView<'a>> for FinalizedFeatureKey<'a> {
    fn from(view: FinalizedFeatureKeyView<'a>) -> Self {
        Self {
            name: view.name.into(),
            max_version_level: view.max_version_level,
            min_version_level: view.min_version_level,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SupportedFeatureKey<'a> {
    pub name: Cow<'a, str>,
    pub min_version: i16,
    pub max_version: i16,
}

impl Encode for SupportedFeatureKey<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.int16(self.min_version);
        writer.int16(self.max_version);
        writer.tagged_fields(0);
    }
}

impl<'a> From<SupportedFeatureKeyView<'a>> for SupportedFeatureKey<'a> {
    fn from(view: SupportedFeatureKeyView<'a>) -> Self {
        Self { name: view.name.into(), min_version: view.min_version, max_version: view.max_version }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

impl Encode for ApiVersion {
    fn write(&self, writer: &mut Writer) {
        writer.int16(self.api_key);
        writer.int16(self.min_version);
        writer.int16(self.max_version);
        writer.tagged_fields(0);
    }
}

impl From<ApiVersionView> for ApiVersion {
    fn from(view: ApiVersionView) -> Self {
        Self { api_key: view.api_key, min_version: view.min_version, max_version: view.max_version }
    }
}
