//! SyncGroup, API key 14.
//!
//! The leader hands in the assignment, every member gets its part.
//! 3 adds static members, 5 the protocol type and name.
//!
//! Generated from `net/schema/sync_group.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 14;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=5;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 4;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_id: &'a str,
    pub generation_id: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub protocol_type: Option<&'a str>,
    pub protocol_name: Option<&'a str>,
    pub assignments: Array<'a, SyncGroupRequestAssignmentView<'a>>,
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
            group_id: reader.string()?,
            generation_id: reader.int32()?,
            member_id: reader.string()?,
            group_instance_id: if version >= 3 { reader.nullable_string()? } else { None },
            protocol_type: if version >= 5 { reader.nullable_string()? } else { None },
            protocol_name: if version >= 5 { reader.nullable_string()? } else { None },
            assignments: reader.array(limits::MEMBERS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct SyncGroupRequestAssignmentView<'a> {
    pub member_id: &'a str,
    pub assignment: &'a [u8],
}

impl<'a> Element<'a> for SyncGroupRequestAssignmentView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=3 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { member_id: reader.string()?, assignment: reader.bytes()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub protocol_type: Option<&'a str>,
    pub protocol_name: Option<&'a str>,
    pub assignment: &'a [u8],
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
            protocol_type: if version >= 5 { reader.nullable_string()? } else { None },
            protocol_name: if version >= 5 { reader.nullable_string()? } else { None },
            assignment: reader.bytes()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub group_id: Cow<'a, str>,
    pub generation_id: i32,
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub protocol_type: Option<Cow<'a, str>>,
    pub protocol_name: Option<Cow<'a, str>>,
    pub assignments: Vec<SyncGroupRequestAssignment<'a>>,
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
    const KEY: ApiKey = ApiKey::SyncGroup;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.group_id);
        writer.int32(self.generation_id);
        writer.string(&self.member_id);
        if version >= 3 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        if version >= 5 {
            writer.nullable_string(self.protocol_type.as_deref());
        }
        if version >= 5 {
            writer.nullable_string(self.protocol_name.as_deref());
        }
        writer.array(&self.assignments);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            generation_id: view.generation_id,
            member_id: view.member_id.into(),
            group_instance_id: view.group_instance_id.map(Into::into),
            protocol_type: view.protocol_type.map(Into::into),
            protocol_name: view.protocol_name.map(Into::into),
            assignments: view.assignments.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SyncGroupRequestAssignment<'a> {
    pub member_id: Cow<'a, str>,
    pub assignment: Cow<'a, [u8]>,
}

impl Encode for SyncGroupRequestAssignment<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.member_id);
        writer.bytes_field(&self.assignment);
        writer.tagged_fields(0);
    }
}

impl<'a> From<SyncGroupRequestAssignmentView<'a>> for SyncGroupRequestAssignment<'a> {
    fn from(view: SyncGroupRequestAssignmentView<'a>) -> Self {
        Self { member_id: view.member_id.into(), assignment: view.assignment.into() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub protocol_type: Option<Cow<'a, str>>,
    pub protocol_name: Option<Cow<'a, str>>,
    pub assignment: Cow<'a, [u8]>,
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
    const KEY: ApiKey = ApiKey::SyncGroup;
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
        if version >= 5 {
            writer.nullable_string(self.protocol_type.as_deref());
        }
        if version >= 5 {
            writer.nullable_string(self.protocol_name.as_deref());
        }
        writer.bytes_field(&self.assignment);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            protocol_type: view.protocol_type.map(Into::into),
            protocol_name: view.protocol_name.map(Into::into),
            assignment: view.assignment.into(),
        }
    }
}
