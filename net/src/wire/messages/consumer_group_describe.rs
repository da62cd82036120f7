//! ConsumerGroupDescribe, API key 69.
//!
//! State and members of consumer groups, with what they hold and what they are to hold.
//! 1 tells classic members from others.
//!
//! Generated from `net/schema/consumer_group_describe.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 69;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=1;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub group_ids: Array<'a, &'a str>,
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
        let view =
            Self { group_ids: reader.array(limits::GROUPS)?, include_authorized_operations: reader.bool()? };
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
        let view = Self { throttle_time_ms: reader.int32()?, groups: reader.array(limits::GROUPS)? };
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
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: &'a str,
    pub members: Array<'a, MemberView<'a>>,
    pub authorized_operations: i32,
}

impl<'a> Element<'a> for DescribedGroupView<'a> {
    fn bytes_min(_: Format) -> usize {
        20
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            group_id: reader.string()?,
            group_state: reader.string()?,
            group_epoch: reader.int32()?,
            assignment_epoch: reader.int32()?,
            assignor_name: reader.string()?,
            members: reader.array(limits::MEMBERS)?,
            authorized_operations: reader.int32()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct MemberView<'a> {
    pub member_id: &'a str,
    pub instance_id: Option<&'a str>,
    pub rack_id: Option<&'a str>,
    pub member_epoch: i32,
    pub client_id: &'a str,
    pub client_host: &'a str,
    pub subscribed_topic_names: Array<'a, &'a str>,
    pub subscribed_topic_regex: Option<&'a str>,
    pub assignment: AssignmentView<'a>,
    pub target_assignment: AssignmentView<'a>,
    pub member_type: i8,
}

impl<'a> Element<'a> for MemberView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0 => 16,
            _ => 17,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            member_id: reader.string()?,
            instance_id: reader.nullable_string()?,
            rack_id: reader.nullable_string()?,
            member_epoch: reader.int32()?,
            client_id: reader.string()?,
            client_host: reader.string()?,
            subscribed_topic_names: reader.array(limits::TOPICS)?,
            subscribed_topic_regex: reader.nullable_string()?,
            assignment: AssignmentView::read(reader)?,
            target_assignment: AssignmentView::read(reader)?,
            member_type: if version >= 1 { reader.int8()? } else { -1 },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct AssignmentView<'a> {
    pub topic_partitions: Array<'a, TopicPartitionsView<'a>>,
}

impl<'a> Element<'a> for AssignmentView<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { topic_partitions: reader.array(limits::TOPICS)? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct TopicPartitionsView<'a> {
    pub topic_id: Uuid,
    pub topic_name: &'a str,
    pub partitions: Array<'a, i32>,
}

impl<'a> Element<'a> for TopicPartitionsView<'a> {
    fn bytes_min(_: Format) -> usize {
        19
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            topic_id: reader.uuid()?,
            topic_name: reader.string()?,
            partitions: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request<'a> {
    pub group_ids: Vec<Cow<'a, str>>,
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
    const KEY: ApiKey = ApiKey::ConsumerGroupDescribe;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.group_ids);
        writer.bool(self.include_authorized_operations);
        writer.tagged_fields(0);
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            group_ids: view.group_ids.iter().map(Into::into).collect(),
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
    const KEY: ApiKey = ApiKey::ConsumerGroupDescribe;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.throttle_time_ms(self.throttle_time_ms);
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
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor_name: Cow<'a, str>,
    pub members: Vec<Member<'a>>,
    pub authorized_operations: i32,
}

impl Default for DescribedGroup<'_> {
    fn default() -> Self {
        Self {
            error_code: 0,
            error_message: None,
            group_id: Cow::Borrowed(""),
            group_state: Cow::Borrowed(""),
            group_epoch: 0,
            assignment_epoch: 0,
            assignor_name: Cow::Borrowed(""),
            members: Vec::new(),
            authorized_operations: -2147483648,
        }
    }
}

impl Encode for DescribedGroup<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        writer.string(&self.group_id);
        writer.string(&self.group_state);
        writer.int32(self.group_epoch);
        writer.int32(self.assignment_epoch);
        writer.string(&self.assignor_name);
        writer.array(&self.members);
        writer.int32(self.authorized_operations);
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
            group_epoch: view.group_epoch,
            assignment_epoch: view.assignment_epoch,
            assignor_name: view.assignor_name.into(),
            members: view.members.iter().map(Into::into).collect(),
            authorized_operations: view.authorized_operations,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Member<'a> {
    pub member_id: Cow<'a, str>,
    pub instance_id: Option<Cow<'a, str>>,
    pub rack_id: Option<Cow<'a, str>>,
    pub member_epoch: i32,
    pub client_id: Cow<'a, str>,
    pub client_host: Cow<'a, str>,
    pub subscribed_topic_names: Vec<Cow<'a, str>>,
    pub subscribed_topic_regex: Option<Cow<'a, str>>,
    pub assignment: Assignment<'a>,
    pub target_assignment: Assignment<'a>,
    pub member_type: i8,
}

impl Default for Member<'_> {
    fn default() -> Self {
        Self {
            member_id: Cow::Borrowed(""),
            instance_id: None,
            rack_id: None,
            member_epoch: 0,
            client_id: Cow::Borrowed(""),
            client_host: Cow::Borrowed(""),
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: None,
            assignment: Assignment::default(),
            target_assignment: Assignment::default(),
            member_type: -1,
        }
    }
}

impl Encode for Member<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.string(&self.member_id);
        writer.nullable_string(self.instance_id.as_deref());
        writer.nullable_string(self.rack_id.as_deref());
        writer.int32(self.member_epoch);
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.array(&self.subscribed_topic_names);
        writer.nullable_string(self.subscribed_topic_regex.as_deref());
        self.assignment.write(writer);
        self.target_assignment.write(writer);
        if version >= 1 {
            writer.int8(self.member_type);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<MemberView<'a>> for Member<'a> {
    fn from(view: MemberView<'a>) -> Self {
        Self {
            member_id: view.member_id.into(),
            instance_id: view.instance_id.map(Into::into),
            rack_id: view.rack_id.map(Into::into),
            member_epoch: view.member_epoch,
            client_id: view.client_id.into(),
            client_host: view.client_host.into(),
            subscribed_topic_names: view.subscribed_topic_names.iter().map(Into::into).collect(),
            subscribed_topic_regex: view.subscribed_topic_regex.map(Into::into),
            assignment: view.assignment.into(),
            target_assignment: view.target_assignment.into(),
            member_type: view.member_type,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment<'a> {
    pub topic_partitions: Vec<TopicPartitions<'a>>,
}

impl Encode for Assignment<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.array(&self.topic_partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<AssignmentView<'a>> for Assignment<'a> {
    fn from(view: AssignmentView<'a>) -> Self {
        Self { topic_partitions: view.topic_partitions.iter().map(Into::into).collect() }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicPartitions<'a> {
    pub topic_id: Uuid,
    pub topic_name: Cow<'a, str>,
    pub partitions: Vec<i32>,
}

impl Encode for TopicPartitions<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.uuid(self.topic_id);
        writer.string(&self.topic_name);
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<TopicPartitionsView<'a>> for TopicPartitions<'a> {
    fn from(view: TopicPartitionsView<'a>) -> Self {
        Self {
            topic_id: view.topic_id,
            topic_name: view.topic_name.into(),
            partitions: view.partitions.iter().collect(),
        }
    }
}
