//! DescribeGroups, API key 15.
//!
//! State and members of classic groups.
//! 3 adds authorized operations, 4 static members, 6 an error's text, and says of an unknown group that it is unknown.
//!
//! Generated from `net/schema/describe_groups.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 15;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=6;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 5;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub groups: Array<'a, &'a str>,
    pub include_authorized_operations: bool,
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
            groups: reader.array(limits::GROUPS)?,
            include_authorized_operations: if version >= 3 { reader.bool()? } else { false },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub groups: Array<'a, DescribedGroupView<'a>>,
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
            groups: reader.array(limits::GROUPS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribedGroupView<'a> {
    pub error_code: i16,
    pub error_message: Option<&'a str>,
    pub group_id: &'a str,
    pub group_state: &'a str,
    pub protocol_type: &'a str,
    pub protocol_data: &'a str,
    pub members: Array<'a, DescribedGroupMemberView<'a>>,
    pub authorized_operations: i32,
}

impl<'a> Element<'a> for DescribedGroupView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=2 => 14,
            3..=4 => 18,
            5 => 12,
            _ => 13,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            error_code: reader.int16()?,
            error_message: if version >= 6 { reader.nullable_string()? } else { None },
            group_id: reader.string()?,
            group_state: reader.string()?,
            protocol_type: reader.string()?,
            protocol_data: reader.string()?,
            members: reader.array(limits::MEMBERS)?,
            authorized_operations: if version >= 3 { reader.int32()? } else { -2147483648 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribedGroupMemberView<'a> {
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub member_metadata: &'a [u8],
    pub member_assignment: &'a [u8],
}

impl<'a> Element<'a> for DescribedGroupMemberView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=3 => 14,
            4 => 16,
            _ => 7,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            member_id: reader.string()?,
            group_instance_id: if version >= 4 { reader.nullable_string()? } else { None },
            client_id: reader.string()?,
            client_host: reader.string()?,
            member_metadata: reader.bytes()?,
            member_assignment: reader.bytes()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub groups: Vec<Cow<'a, str>>,
    pub include_authorized_operations: bool,
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
    const KEY: ApiKey = ApiKey::DescribeGroups;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.array(&self.groups);
        if version >= 3 {
            writer.bool(self.include_authorized_operations);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            groups: view.groups.iter().map(Into::into).collect(),
            include_authorized_operations: view.include_authorized_operations,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub groups: Vec<DescribedGroup<'a>>,
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
    const KEY: ApiKey = ApiKey::DescribeGroups;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version >= 1 {
            writer.throttle_time_ms(self.throttle_time_ms);
        }
        writer.array(&self.groups);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self { throttle_time_ms: view.throttle_time_ms, groups: view.groups.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DescribedGroup<'a> {
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub group_id: Cow<'a, str>,
    pub group_state: Cow<'a, str>,
    pub protocol_type: Cow<'a, str>,
    pub protocol_data: Cow<'a, str>,
    pub members: Vec<DescribedGroupMember<'a>>,
    pub authorized_operations: i32,
}

impl Default for DescribedGroup<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: Cow::Borrowed(""),
            group_state: Cow::Borrowed(""),
            protocol_type: Cow::Borrowed(""),
            protocol_data: Cow::Borrowed(""),
            members: Vec::new(),
            authorized_operations: -2147483648,
        }
    }
}

impl Encode for DescribedGroup<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.error_code(self.error_code);
        if version >= 6 {
            writer.nullable_string(self.error_message.as_deref());
        }
        writer.string(&self.group_id);
        writer.string(&self.group_state);
        writer.string(&self.protocol_type);
        writer.string(&self.protocol_data);
        writer.array(&self.members);
        if version >= 3 {
            writer.int32(self.authorized_operations);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribedGroupView<'a>> for DescribedGroup<'a> {
    fn from(view: DescribedGroupView<'a>) -> Self {
        Self {
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            group_id: view.group_id.into(),
            group_state: view.group_state.into(),
            protocol_type: view.protocol_type.into(),
            protocol_data: view.protocol_data.into(),
            members: view.members.iter().map(Into::into).collect(),
            authorized_operations: view.authorized_operations,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribedGroupMember<'a> {
    pub member_id: Cow<'a, str>,
    pub group_instance_id: Option<Cow<'a, str>>,
    pub client_id: Cow<'a, str>,
    pub client_host: Cow<'a, str>,
    pub member_metadata: Cow<'a, [u8]>,
    pub member_assignment: Cow<'a, [u8]>,
}

impl Encode for DescribedGroupMember<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.member_id);
        if version >= 4 {
            writer.nullable_string(self.group_instance_id.as_deref());
        }
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.bytes_field(&self.member_metadata);
        writer.bytes_field(&self.member_assignment);
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribedGroupMemberView<'a>> for DescribedGroupMember<'a> {
    fn from(view: DescribedGroupMemberView<'a>) -> Self {
        Self {
            member_id: view.member_id.into(),
            group_instance_id: view.group_instance_id.map(Into::into),
            client_id: view.client_id.into(),
            client_host: view.client_host.into(),
            member_metadata: view.member_metadata.into(),
            member_assignment: view.member_assignment.into(),
        }
    }
}
