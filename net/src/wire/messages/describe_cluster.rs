//! DescribeCluster, API key 60.
//!
//! Brokers and controller of the cluster.
//! 1 tells brokers (1) from controllers (2), 2 shows fenced brokers.
//!
//! Generated from `net/schema/describe_cluster.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::limits;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::writer::{Encode, Writer};

pub const API_KEY: i16 = 60;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 0..=2;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 0;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 0;

#[derive(Clone, Copy, Debug)]
pub struct RequestView {
    pub include_cluster_authorized_operations: bool,
    pub endpoint_type: i8,
    pub include_fenced_brokers: bool,
}

impl RequestView {
    /// Validates a whole body; no walk through the view can fail afterwards.
    pub fn decode(body: &[u8], version: i16) -> Result<Self, Malformed> {
        body::decode(body, version, &VERSIONS, FLEXIBLE_FROM)
    }
}

impl<'a> Element<'a> for RequestView {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            include_cluster_authorized_operations: reader.bool()?,
            endpoint_type: if version >= 1 { reader.int8()? } else { 1 },
            include_fenced_brokers: if version >= 2 { reader.bool()? } else { false },
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
    pub endpoint_type: i8,
    pub cluster_id: &'a str,
    pub controller_id: i32,
    pub brokers: Array<'a, DescribeClusterBrokerView<'a>>,
    pub cluster_authorized_operations: i32,
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
            throttle_time_ms: reader.int32()?,
            error_code: reader.int16()?,
            error_message: reader.nullable_string()?,
            endpoint_type: if version >= 1 { reader.int8()? } else { 1 },
            cluster_id: reader.string()?,
            controller_id: reader.int32()?,
            brokers: reader.array(limits::BROKERS)?,
            cluster_authorized_operations: reader.int32()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct DescribeClusterBrokerView<'a> {
    pub broker_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
    pub is_fenced: bool,
}

impl<'a> Element<'a> for DescribeClusterBrokerView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            0..=1 => 11,
            _ => 12,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            broker_id: reader.int32()?,
            host: reader.string()?,
            port: reader.int32()?,
            rack: reader.nullable_string()?,
            is_fenced: if version >= 2 { reader.bool()? } else { false },
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub include_cluster_authorized_operations: bool,
    pub endpoint_type: i8,
    pub include_fenced_brokers: bool,
}

impl Default for Request {
    fn default() -> Self {
        Self { include_cluster_authorized_operations: false, endpoint_type: 1, include_fenced_brokers: false }
    }
}

impl Request {
    /// Writes the body without a header.
    ///
    /// # Panics
    /// If the version is not one of `VERSIONS`.
    pub fn encode(&self, version: i16, writer: &mut Writer) {
        body::encode(self, version, &VERSIONS, FLEXIBLE_FROM, writer);
    }
}

impl RequestBody for Request {
    const KEY: ApiKey = ApiKey::DescribeCluster;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.bool(self.include_cluster_authorized_operations);
        if version >= 1 {
            writer.int8(self.endpoint_type);
        }
        if version >= 2 {
            writer.bool(self.include_fenced_brokers);
        }
        writer.tagged_fields(0);
    }
}

impl From<RequestView> for Request {
    fn from(view: RequestView) -> Self {
        Self {
            include_cluster_authorized_operations: view.include_cluster_authorized_operations,
            endpoint_type: view.endpoint_type,
            include_fenced_brokers: view.include_fenced_brokers,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub error_message: Option<Cow<'a, str>>,
    pub endpoint_type: i8,
    pub cluster_id: Cow<'a, str>,
    pub controller_id: i32,
    pub brokers: Vec<DescribeClusterBroker<'a>>,
    pub cluster_authorized_operations: i32,
}

impl Default for Response<'_> {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error_code: 0,
            error_message: None,
            endpoint_type: 1,
            cluster_id: Cow::Borrowed(""),
            controller_id: -1,
            brokers: Vec::new(),
            cluster_authorized_operations: -2147483648,
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
    const KEY: ApiKey = ApiKey::DescribeCluster;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.throttle_time_ms(self.throttle_time_ms);
        writer.error_code(self.error_code);
        writer.nullable_string(self.error_message.as_deref());
        if version >= 1 {
            writer.int8(self.endpoint_type);
        }
        writer.string(&self.cluster_id);
        writer.int32(self.controller_id);
        writer.array(&self.brokers);
        writer.int32(self.cluster_authorized_operations);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            error_message: view.error_message.map(Into::into),
            endpoint_type: view.endpoint_type,
            cluster_id: view.cluster_id.into(),
            controller_id: view.controller_id,
            brokers: view.brokers.iter().map(Into::into).collect(),
            cluster_authorized_operations: view.cluster_authorized_operations,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DescribeClusterBroker<'a> {
    pub broker_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
    pub is_fenced: bool,
}

impl Encode for DescribeClusterBroker<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.broker_id);
        writer.string(&self.host);
        writer.int32(self.port);
        writer.nullable_string(self.rack.as_deref());
        if version >= 2 {
            writer.bool(self.is_fenced);
        }
        writer.tagged_fields(0);
    }
}

impl<'a> From<DescribeClusterBrokerView<'a>> for DescribeClusterBroker<'a> {
    fn from(view: DescribeClusterBrokerView<'a>) -> Self {
        Self {
            broker_id: view.broker_id,
            host: view.host.into(),
            port: view.port,
            rack: view.rack.map(Into::into),
            is_fenced: view.is_fenced,
        }
    }
}
