//! FindCoordinator, API key 10.
//!
//! Finds the coordinator of a group (key type 0), a transaction (1) or a share partition (2).
//! 1 adds key types and the error's text, 4 asks for many keys at once, 6 is for share groups.
//!
//! Generated from `net/schema/find_coordinator.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 10;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=6;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 3;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub key: &'a str,
    pub key_type: i8,
    pub coordinator_keys: Array<'a, &'a str>,
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
            key: if version <= 3 { reader.string()? } else { "" },
            key_type: if version >= 1 { reader.int8()? } else { 0 },
            coordinator_keys: if version >= 4 { reader.array(limits::GROUPS)? } else { Array::default() },
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
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub coordinators: Array<'a, CoordinatorView<'a>>,
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
        let view = Self {
            throttle_time_ms: if version >= 1 { reader.int32()? } else { 0 },
            error_code: if version <= 3 { reader.int16()? } else { 0 },
            error_message: if (1..=3).contains(&version) { reader.nullable_string()? } else { None },
            node_id: if version <= 3 { reader.int32()? } else { 0 },
            host: if version <= 3 { reader.string()? } else { "" },
            port: if version <= 3 { reader.int32()? } else { 0 },
            coordinators: if version >= 4 { reader.array(limits::GROUPS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct CoordinatorView<'a> {
    pub key: &'a str,
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub error_code: i16,
    pub error_message: Option<&'a str>,
}

impl<'a> Element<'a> for CoordinatorView<'a> {
    fn bytes_min(_: Format) -> usize {
        14
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            key: reader.string()?,
            node_id: reader.int32()?,
            host: reader.string()?,
            port: reader.int32()?,
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub key: Cow<'a, str>,
    pub key_type: i8,
    pub coordinator_keys: Vec<Cow<'a, str>>,
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
    const KEY: ApiKey = ApiKey::FindCoordinator;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 3 {
            writer.string(&self.key);
        }
        if version >= 1 {
            writer.int8(self.key_type);
        }
        if version >= 4 {
            writer.array(&self.coordinator_keys);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            key: view.key.into(),
            key_type: view.key_type,
            coordinator_keys: view.coordinator_keys.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub coordinators: Vec<Coordinator<'a>>,
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
    const KEY: ApiKey = ApiKey::FindCoordinator;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 1 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        if version <= 3 {
            writer.error_code(self.error_code);
        }
        if (1..=3).contains(&version) {
            writer.nullable_string(self.error_message.as_deref());
        }
        if version <= 3 {
            writer.int32(self.node_id);
        }
        if version <= 3 {
            writer.string(&self.host);
        }
        if version <= 3 {
            writer.int32(self.port);
        }
        if version >= 4 {
            writer.array(&self.coordinators);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            node_id: view.node_id,
            host: view.host.into(),
            port: view.port,
            coordinators: view.coordinators.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coordinator<'a> {
    pub key: Cow<'a, str>,
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
}

impl Encode for Coordinator<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.key);
        writer.int32(self.node_id);
        writer.string(&self.host);
        writer.int32(self.port);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<CoordinatorView<'a>> for Coordinator<'a> {
    fn from(view: CoordinatorView<'a>) -> Self {
        Self {
            key: view.key.into(),
            node_id: view.node_id,
            host: view.host.into(),
            port: view.port,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
        }
    }
}
