//! ListGroups, API key 16.
//!
//! All groups this broker coordinates.
//! 4 adds states, 5 types.
//!
//! Generated from `net/schema/list_groups.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 16;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=5;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 3;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub states_filter: Array<'a, &'a str>,
    pub types_filter: Array<'a, &'a str>,
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
            states_filter: if version >= 4 { reader.array(limits::ELEMENTS)? } else { Array::default() },
            types_filter: if version >= 5 { reader.array(limits::ELEMENTS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Array<'a, ListedGroupView<'a>>,
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
            error_code: reader.int16()?,
            groups: reader.array(limits::GROUPS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ListedGroupView<'a> {
    pub group_id: &'a str,
    pub protocol_type: &'a str,
    pub group_state: &'a str,
    pub group_type: &'a str,
}

impl<'a> Element<'a> for ListedGroupView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=2 => 4,
            3 => 3,
            4 => 4,
            _ => 5,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            group_id: reader.string()?,
            protocol_type: reader.string()?,
            group_state: if version >= 4 { reader.string()? } else { "" },
            group_type: if version >= 5 { reader.string()? } else { "" },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub states_filter: Vec<Cow<'a, str>>,
    pub types_filter: Vec<Cow<'a, str>>,
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
    const KEY: ApiKey = ApiKey::ListGroups;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 4 {
            writer.array(&self.states_filter);
        }
        if version >= 5 {
            writer.array(&self.types_filter);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            states_filter: view.states_filter.iter().map(Into::into).collect(),
            types_filter: view.types_filter.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub groups: Vec<ListedGroup<'a>>,
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
    const KEY: ApiKey = ApiKey::ListGroups;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 1 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        writer.error_code(self.error_code);
        writer.array(&self.groups);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            groups: view.groups.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedGroup<'a> {
    pub group_id: Cow<'a, str>,
    pub protocol_type: Cow<'a, str>,
    pub group_state: Cow<'a, str>,
    pub group_type: Cow<'a, str>,
}

impl Encode for ListedGroup<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.group_id);
        writer.string(&self.protocol_type);
        if version >= 4 {
            writer.string(&self.group_state);
        }
        if version >= 5 {
            writer.string(&self.group_type);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<ListedGroupView<'a>> for ListedGroup<'a> {
    fn from(view: ListedGroupView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            protocol_type: view.protocol_type.into(),
            group_state: view.group_state.into(),
            group_type: view.group_type.into(),
        }
    }
}
