//! DeleteGroups, API key 42.
//!
//! Deletes groups that have no members.
//!
//! Generated from `net/schema/delete_groups.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 42;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=2;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 2;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub groups_names: Array<'a, &'a str>,
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
        let view = Self { groups_names: reader.array(limits::GROUPS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub results: Array<'a, DeletableGroupResultView<'a>>,
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
        let view = Self { throttle_time_ms: reader.int32()?, results: reader.array(limits::GROUPS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DeletableGroupResultView<'a> {
    pub group_id: &'a str,
    pub error_code: i16,
}

impl<'a> Element<'a> for DeletableGroupResultView<'a> {
    fn bytes_min(_: Format) -> usize {
        4
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { group_id: reader.string()?, error_code: reader.int16()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub groups_names: Vec<Cow<'a, str>>,
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
    const KEY: ApiKey = ApiKey::DeleteGroups;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.groups_names);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self { groups_names: view.groups_names.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub results: Vec<DeletableGroupResult<'a>>,
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
    const KEY: ApiKey = ApiKey::DeleteGroups;
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
pub struct DeletableGroupResult<'a> {
    pub group_id: Cow<'a, str>,
    pub error_code: i16,
}

impl Encode for DeletableGroupResult<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.group_id);
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DeletableGroupResultView<'a>> for DeletableGroupResult<'a> {
    fn from(view: DeletableGroupResultView<'a>) -> Self {
        Self { group_id: view.group_id.into(), error_code: view.error_code }
    }
}
