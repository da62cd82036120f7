//! LeaveGroup, API key 13.
//!
//! Members leave a classic group.
//! 3 lets several leave at once, static ones too, 5 adds a reason.
//!
//! Generated from `net/schema/leave_group.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 13;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=5;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 4;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_id: &'a str,
    pub member_id: &'a str,
    pub members: Array<'a, MemberIdentityView<'a>>,
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
            member_id: if version <= 2 { reader.string()? } else { "" },
            members: if version >= 3 { reader.array(limits::MEMBERS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MemberIdentityView<'a> {
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub reason: Option<&'a str>,
}

impl<'a> Element<'a> for MemberIdentityView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            3 => 4,
            4 => 3,
            _ => 4,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            member_id: reader.string()?,
            group_instance_id: reader.nullable_string()?,
            reason: if version >= 5 { reader.nullable_string()? } else { None },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub members: Array<'a, MemberResponseView<'a>>,
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
            members: if version >= 3 { reader.array(limits::MEMBERS)? } else { Array::default() },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MemberResponseView<'a> {
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub error_code: i16,
}

impl<'a> Element<'a> for MemberResponseView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            3 => 6,
            _ => 5,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            member_id: reader.string()?,
            group_instance_id: reader.nullable_string()?,
            error_code: reader.int16()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub group_id: Cow<'a, str>,
    pub member_id: Cow<'a, str>,
    pub members: Vec<MemberIdentity<'a>>,
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
    const KEY: ApiKey = ApiKey::LeaveGroup;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.group_id);
        if version <= 2 {
            writer.string(&self.member_id);
        }
        if version >= 3 {
            writer.array(&self.members);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            member_id: view.member_id.into(),
            members: view.members.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberIdentity<'a> {
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub reason: Option<Cow<'a, str>>,
}

impl Encode for MemberIdentity<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.member_id);
        writer.nullable_string(self.group_instance_id.as_deref());
        if version >= 5 {
            writer.nullable_string(self.reason.as_deref());
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<MemberIdentityView<'a>> for MemberIdentity<'a> {
    fn from(view: MemberIdentityView<'a>) -> Self {
        Self {
            member_id: view.member_id.into(),
            group_instance_id: view.group_instance_id.map(Into::into),
            reason: view.reason.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub members: Vec<MemberResponse<'a>>,
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
    const KEY: ApiKey = ApiKey::LeaveGroup;
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
        if version >= 3 {
            writer.array(&self.members);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            members: view.members.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberResponse<'a> {
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub error_code: i16,
}

impl Encode for MemberResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.member_id);
        writer.nullable_string(self.group_instance_id.as_deref());
        writer.error_code(self.error_code);
        writer.tagged_fields(0);
    }
}

impl<'a> From<MemberResponseView<'a>> for MemberResponse<'a> {
    fn from(view: MemberResponseView<'a>) -> Self {
        Self {
            member_id: view.member_id.into(),
            group_instance_id: view.group_instance_id.map(Into::into),
            error_code: view.error_code,
        }
    }
}
