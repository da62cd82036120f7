//! JoinGroup, API key 11.
//!
//! A member joins a classic group; the answer to the leader lists all members.
//! 1 adds the rebalance timeout, 5 static members, 7 the protocol type in the answer, 8 a reason, 9 lets the leader skip
//! the assignment.
//!
//! Generated from `net/schema/join_group.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 11;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=9;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 6;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_id: &'a str,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub protocol_type: &'a str,
    pub protocols: Array<'a, JoinGroupRequestProtocolView<'a>>,
    pub reason: Option<&'a str>,
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
            session_timeout_ms: reader.int32()?,
            rebalance_timeout_ms: if version >= 1 { reader.int32()? } else { -1 },
            member_id: reader.string()?,
            group_instance_id: if version >= 5 { reader.nullable_string()? } else { None },
            protocol_type: reader.string()?,
            protocols: reader.array(limits::PROTOCOLS)?,
            reason: if version >= 8 { reader.nullable_string()? } else { None },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct JoinGroupRequestProtocolView<'a> {
    pub name: &'a str,
    pub metadata: &'a [u8],
}

impl<'a> Element<'a> for JoinGroupRequestProtocolView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=5 => 6,
            _ => 3,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { name: reader.string()?, metadata: reader.bytes()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub generation_id: i32,
    pub protocol_type: Option<&'a str>,
    pub protocol_name: Option<&'a str>,
    pub leader: &'a str,
    pub skip_assignment: bool,
    pub member_id: &'a str,
    pub members: Array<'a, JoinGroupResponseMemberView<'a>>,
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
            throttle_time_ms: if version >= 2 { reader.int32()? } else { 0 },
            error_code: reader.int16()?,
            generation_id: reader.int32()?,
            protocol_type: if version >= 7 { reader.nullable_string()? } else { None },
            protocol_name: if version >= 7 { reader.nullable_string()? } else { Some(reader.string()?) },
            leader: reader.string()?,
            skip_assignment: if version >= 9 { reader.bool()? } else { false },
            member_id: reader.string()?,
            members: reader.array(limits::MEMBERS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct JoinGroupResponseMemberView<'a> {
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub metadata: &'a [u8],
}

impl<'a> Element<'a> for JoinGroupResponseMemberView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=4 => 6,
            5 => 8,
            _ => 4,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            member_id: reader.string()?,
            group_instance_id: if version >= 5 { reader.nullable_string()? } else { None },
            metadata: reader.bytes()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub group_id: Cow<'a, str>,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub protocol_type: Cow<'a, str>,
    pub protocols: Vec<JoinGroupRequestProtocol<'a>>,
    pub reason: Option<Cow<'a, str>>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            group_id: Cow::Borrowed(""),
            session_timeout_ms: 0,
            rebalance_timeout_ms: -1,
            member_id: Cow::Borrowed(""),
            group_instance_id: None,
            protocol_type: Cow::Borrowed(""),
            protocols: Vec::new(),
            reason: None,
        }
    }
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
    const KEY: ApiKey = ApiKey::JoinGroup;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.group_id);
        writer.int32(self.session_timeout_ms);
        if version >= 1 {
            writer.int32(self.rebalance_timeout_ms);
        }
        writer.string(&self.member_id);
        if version >= 5 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        writer.string(&self.protocol_type);
        writer.array(&self.protocols);
        if version >= 8 {
            writer.nullable_string(self.reason.as_deref());
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            group_id: view.group_id.into(),
            session_timeout_ms: view.session_timeout_ms,
            rebalance_timeout_ms: view.rebalance_timeout_ms,
            member_id: view.member_id.into(),
            group_instance_id: view.group_instance_id.map(Into::into),
            protocol_type: view.protocol_type.into(),
            protocols: view.protocols.iter().map(Into::into).collect(),
            reason: view.reason.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinGroupRequestProtocol<'a> {
    pub name: Cow<'a, str>,
    pub metadata: Cow<'a, [u8]>,
}

impl Encode for JoinGroupRequestProtocol<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.string(&self.name);
        writer.bytes_field(&self.metadata);
        writer.tagged_fields(0);
    }
}

impl<'a> From<JoinGroupRequestProtocolView<'a>> for JoinGroupRequestProtocol<'a> {
    fn from(view: JoinGroupRequestProtocolView<'a>) -> Self {
        Self { name: view.name.into(), metadata: view.metadata.into() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub generation_id: i32,
    pub protocol_type: Option<Cow<'a, str>>,
    pub protocol_name: Option<Cow<'a, str>>,
    pub leader: Cow<'a, str>,
    pub skip_assignment: bool,
    pub member_id: Cow<'a, str>,
    pub members: Vec<JoinGroupResponseMember<'a>>,
}

impl Default for Response<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: Cow::Borrowed(""),
            skip_assignment: false,
            member_id: Cow::Borrowed(""),
            members: Vec::new(),
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
    const KEY: ApiKey = ApiKey::JoinGroup;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 2 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        writer.error_code(self.error_code);
        writer.int32(self.generation_id);
        if version >= 7 {
            writer.nullable_string(self.protocol_type.as_deref());
        }
        if version >= 7 {
            writer.nullable_string(self.protocol_name.as_deref());
        } else {
            writer.string(self.protocol_name.as_deref().unwrap_or_default());
        }
        writer.string(&self.leader);
        if version >= 9 {
            writer.bool(self.skip_assignment);
        }
        writer.string(&self.member_id);
        writer.array(&self.members);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            generation_id: view.generation_id,
            protocol_type: view.protocol_type.map(Into::into),
            protocol_name: view.protocol_name.map(Into::into),
            leader: view.leader.into(),
            skip_assignment: view.skip_assignment,
            member_id: view.member_id.into(),
            members: view.members.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinGroupResponseMember<'a> {
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub metadata: Cow<'a, [u8]>,
}

impl Encode for JoinGroupResponseMember<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.member_id);
        if version >= 5 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        writer.bytes_field(&self.metadata);
        writer.tagged_fields(0);
    }
}

impl<'a> From<JoinGroupResponseMemberView<'a>> for JoinGroupResponseMember<'a> {
    fn from(view: JoinGroupResponseMemberView<'a>) -> Self {
        Self {
            member_id: view.member_id.into(),
            group_instance_id: view.group_instance_id.map(Into::into),
            metadata: view.metadata.into(),
        }
    }
}
