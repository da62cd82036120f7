//! Fetch, API key 1.
//!
//! Reads record batches, waiting for them if asked to.
//! 4 adds isolation, 5 the log start offset, 7 sessions, 9 the leader epoch check, 10 allows zstd, 11 reads from a replica
//! near by, 12 finds divergence by epoch, 13 names topics by id, 15 moves the replica into a tagged field, 16 adds the
//! endpoints of new leaders, 17 the replica's directory, 18 the high watermark the replica knows.
//!
//! Generated from `net/schema/fetch.schema`; edit that.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::wire::api_key::ApiKey;
use crate::wire::array::{Array, Element};
use crate::wire::body::{self, RequestBody, ResponseBody};
use crate::wire::format::Format;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::records::RecordsRef;
use crate::wire::writer::{Encode, Writer};
use crate::wire::{Uuid, limits};

pub const API_KEY: i16 = 1;
/// What can be read and written.
pub const VERSIONS: RangeInclusive<i16> = 4..=18;
/// The lowest version to list.
pub const LISTED_FROM: i16 = 4;
/// The first version with compact lengths and tagged fields.
pub const FLEXIBLE_FROM: i16 = 12;

#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub cluster_id: Option<&'a str>,
    pub replica_id: i32,
    pub replica_state: ReplicaStateView,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Array<'a, FetchTopicView<'a>>,
    pub forgotten_topics_data: Array<'a, ForgottenTopicView<'a>>,
    pub rack_id: &'a str,
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
        let mut view = Self {
            cluster_id: None,
            replica_id: if version <= 14 { reader.int32()? } else { -1 },
            replica_state: ReplicaStateView::default(),
            max_wait_ms: reader.int32()?,
            min_bytes: reader.int32()?,
            max_bytes: reader.int32()?,
            isolation_level: reader.int8()?,
            session_id: if version >= 7 { reader.int32()? } else { 0 },
            session_epoch: if version >= 7 { reader.int32()? } else { -1 },
            topics: reader.array(limits::TOPICS)?,
            forgotten_topics_data: if version >= 7 {
                reader.array(limits::TOPICS)?
            } else {
                Array::default()
            },
            rack_id: if version >= 11 { reader.string()? } else { "" },
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 => view.cluster_id = field.nullable_string()?,
                1 if version >= 15 => view.replica_state = ReplicaStateView::read(field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ForgottenTopicView<'a> {
    pub topic: &'a str,
    pub topic_id: Uuid,
    pub partitions: Array<'a, i32>,
}

impl<'a> Element<'a> for ForgottenTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            7..=11 => 6,
            12 => 3,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            topic: if version <= 12 { reader.string()? } else { "" },
            topic_id: if version >= 13 { reader.uuid()? } else { [0; 16] },
            partitions: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct FetchTopicView<'a> {
    pub topic: &'a str,
    pub topic_id: Uuid,
    pub partitions: Array<'a, FetchPartitionView>,
}

impl<'a> Element<'a> for FetchTopicView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            4..=11 => 6,
            12 => 3,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            topic: if version <= 12 { reader.string()? } else { "" },
            topic_id: if version >= 13 { reader.uuid()? } else { [0; 16] },
            partitions: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct FetchPartitionView {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    pub replica_directory_id: Uuid,
    pub high_watermark: i64,
}

impl<'a> Element<'a> for FetchPartitionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            4 => 16,
            5..=8 => 24,
            9..=11 => 28,
            _ => 33,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let mut view = Self {
            partition: reader.int32()?,
            current_leader_epoch: if version >= 9 { reader.int32()? } else { -1 },
            fetch_offset: reader.int64()?,
            last_fetched_epoch: if version >= 12 { reader.int32()? } else { -1 },
            log_start_offset: if version >= 5 { reader.int64()? } else { -1 },
            partition_max_bytes: reader.int32()?,
            replica_directory_id: [0; 16],
            high_watermark: 9223372036854775807,
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 if version >= 17 => view.replica_directory_id = field.uuid()?,
                1 if version >= 18 => view.high_watermark = field.int64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ReplicaStateView {
    pub replica_id: i32,
    pub replica_epoch: i64,
}

impl Default for ReplicaStateView {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl<'a> Element<'a> for ReplicaStateView {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { replica_id: reader.int32()?, replica_epoch: reader.int64()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub responses: Array<'a, FetchableTopicResponseView<'a>>,
    pub node_endpoints: Array<'a, NodeEndpointView<'a>>,
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
            throttle_time_ms: reader.int32()?,
            error_code: if version >= 7 { reader.int16()? } else { 0 },
            session_id: if version >= 7 { reader.int32()? } else { 0 },
            responses: reader.array(limits::TOPICS)?,
            node_endpoints: Array::default(),
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 if version >= 16 => view.node_endpoints = field.array(limits::BROKERS)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct NodeEndpointView<'a> {
    pub node_id: i32,
    pub host: &'a str,
    pub port: i32,
    pub rack: Option<&'a str>,
}

impl<'a> Element<'a> for NodeEndpointView<'a> {
    fn bytes_min(_: Format) -> usize {
        11
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self {
            node_id: reader.int32()?,
            host: reader.string()?,
            port: reader.int32()?,
            rack: reader.nullable_string()?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct FetchableTopicResponseView<'a> {
    pub topic: &'a str,
    pub topic_id: Uuid,
    pub partitions: Array<'a, PartitionDataView<'a>>,
}

impl<'a> Element<'a> for FetchableTopicResponseView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            4..=11 => 6,
            12 => 3,
            _ => 18,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let view = Self {
            topic: if version <= 12 { reader.string()? } else { "" },
            topic_id: if version >= 13 { reader.uuid()? } else { [0; 16] },
            partitions: reader.array(limits::PARTITIONS)?,
        };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct PartitionDataView<'a> {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: EpochEndOffsetView,
    pub current_leader: LeaderIdAndEpochView,
    pub snapshot_id: SnapshotIdView,
    pub aborted_transactions: Option<Array<'a, AbortedTransactionView>>,
    pub preferred_read_replica: i32,
    pub records: Option<&'a [u8]>,
}

impl<'a> Element<'a> for PartitionDataView<'a> {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            4 => 30,
            5..=10 => 38,
            11 => 42,
            _ => 37,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let version = reader.version();
        let mut view = Self {
            partition_index: reader.int32()?,
            error_code: reader.int16()?,
            high_watermark: reader.int64()?,
            last_stable_offset: reader.int64()?,
            log_start_offset: if version >= 5 { reader.int64()? } else { -1 },
            diverging_epoch: EpochEndOffsetView::default(),
            current_leader: LeaderIdAndEpochView::default(),
            snapshot_id: SnapshotIdView::default(),
            aborted_transactions: reader.nullable_array(limits::ELEMENTS)?,
            preferred_read_replica: if version >= 11 { reader.int32()? } else { -1 },
            records: reader.nullable_bytes()?,
        };
        reader.tagged_fields(|tag, field| {
            match tag {
                0 => view.diverging_epoch = EpochEndOffsetView::read(field)?,
                1 => view.current_leader = LeaderIdAndEpochView::read(field)?,
                2 => view.snapshot_id = SnapshotIdView::read(field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct AbortedTransactionView {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl<'a> Element<'a> for AbortedTransactionView {
    fn bytes_min(format: Format) -> usize {
        match format.version {
            4..=11 => 16,
            _ => 17,
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { producer_id: reader.int64()?, first_offset: reader.int64()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct SnapshotIdView {
    pub end_offset: i64,
    pub epoch: i32,
}

impl Default for SnapshotIdView {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl<'a> Element<'a> for SnapshotIdView {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { end_offset: reader.int64()?, epoch: reader.int32()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct LeaderIdAndEpochView {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpochView {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl<'a> Element<'a> for LeaderIdAndEpochView {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { leader_id: reader.int32()?, leader_epoch: reader.int32()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct EpochEndOffsetView {
    pub epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffsetView {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl<'a> Element<'a> for EpochEndOffsetView {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let view = Self { epoch: reader.int32()?, end_offset: reader.int64()? };
        reader.unknown_fields()?;
        Ok(view)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Request<'a> {
    pub cluster_id: Option<Cow<'a, str>>,
    pub replica_id: i32,
    pub replica_state: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation_level: i8,
    pub session_id: i32,
    pub session_epoch: i32,
    pub topics: Vec<FetchTopic<'a>>,
    pub forgotten_topics_data: Vec<ForgottenTopic<'a>>,
    pub rack_id: Cow<'a, str>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            cluster_id: None,
            replica_id: -1,
            replica_state: ReplicaState::default(),
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 2147483647,
            isolation_level: 0,
            session_id: 0,
            session_epoch: -1,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
            rack_id: Cow::Borrowed(""),
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
    const KEY: ApiKey = ApiKey::Fetch;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Request<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 14 {
            writer.int32(self.replica_id);
        }
        writer.int32(self.max_wait_ms);
        writer.int32(self.min_bytes);
        writer.int32(self.max_bytes);
        writer.int8(self.isolation_level);
        if version >= 7 {
            writer.int32(self.session_id);
        }
        if version >= 7 {
            writer.int32(self.session_epoch);
        }
        writer.array(&self.topics);
        if version >= 7 {
            writer.array(&self.forgotten_topics_data);
        }
        if version >= 11 {
            writer.string(&self.rack_id);
        }
        let has_cluster_id = version >= 12 && self.cluster_id.is_some();
        let has_replica_state = version >= 15 && self.replica_state != ReplicaState::default();
        writer.tagged_fields(usize::from(has_cluster_id) + usize::from(has_replica_state));
        if has_cluster_id {
            writer.tagged_field(0, |writer| writer.nullable_string(self.cluster_id.as_deref()));
        }
        if has_replica_state {
            writer.tagged_field(1, |writer| self.replica_state.write(writer));
        }
    }
}

impl<'a> From<RequestView<'a>> for Request<'a> {
    fn from(view: RequestView<'a>) -> Self {
        Self {
            cluster_id: view.cluster_id.map(Into::into),
            replica_id: view.replica_id,
            replica_state: view.replica_state.into(),
            max_wait_ms: view.max_wait_ms,
            min_bytes: view.min_bytes,
            max_bytes: view.max_bytes,
            isolation_level: view.isolation_level,
            session_id: view.session_id,
            session_epoch: view.session_epoch,
            topics: view.topics.iter().map(Into::into).collect(),
            forgotten_topics_data: view.forgotten_topics_data.iter().map(Into::into).collect(),
            rack_id: view.rack_id.into(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForgottenTopic<'a> {
    pub topic: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

impl Encode for ForgottenTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 12 {
            writer.string(&self.topic);
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<ForgottenTopicView<'a>> for ForgottenTopic<'a> {
    fn from(view: ForgottenTopicView<'a>) -> Self {
        Self {
            topic: view.topic.into(),
            topic_id: view.topic_id,
            partitions: view.partitions.iter().collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchTopic<'a> {
    pub topic: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartition>,
}

impl Encode for FetchTopic<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 12 {
            writer.string(&self.topic);
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<FetchTopicView<'a>> for FetchTopic<'a> {
    fn from(view: FetchTopicView<'a>) -> Self {
        Self {
            topic: view.topic.into(),
            topic_id: view.topic_id,
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct FetchPartition {
    pub partition: i32,
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
    pub partition_max_bytes: i32,
    pub replica_directory_id: Uuid,
    pub high_watermark: i64,
}

impl Default for FetchPartition {
    fn default() -> Self {
        Self {
            partition: 0,
            current_leader_epoch: -1,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 0,
            replica_directory_id: [0; 16],
            high_watermark: 9223372036854775807,
        }
    }
}

impl Encode for FetchPartition {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition);
        if version >= 9 {
            writer.int32(self.current_leader_epoch);
        }
        writer.int64(self.fetch_offset);
        if version >= 12 {
            writer.int32(self.last_fetched_epoch);
        }
        if version >= 5 {
            writer.int64(self.log_start_offset);
        }
        writer.int32(self.partition_max_bytes);
        let has_replica_directory_id = version >= 17 && self.replica_directory_id != [0; 16];
        let has_high_watermark = version >= 18 && self.high_watermark != 9223372036854775807;
        writer.tagged_fields(usize::from(has_replica_directory_id) + usize::from(has_high_watermark));
        if has_replica_directory_id {
            writer.tagged_field(0, |writer| writer.uuid(self.replica_directory_id));
        }
        if has_high_watermark {
            writer.tagged_field(1, |writer| writer.int64(self.high_watermark));
        }
    }
}

impl From<FetchPartitionView> for FetchPartition {
    fn from(view: FetchPartitionView) -> Self {
        Self {
            partition: view.partition,
            current_leader_epoch: view.current_leader_epoch,
            fetch_offset: view.fetch_offset,
            last_fetched_epoch: view.last_fetched_epoch,
            log_start_offset: view.log_start_offset,
            partition_max_bytes: view.partition_max_bytes,
            replica_directory_id: view.replica_directory_id,
            high_watermark: view.high_watermark,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    pub replica_id: i32,
    pub replica_epoch: i64,
}

impl Default for ReplicaState {
    fn default() -> Self {
        Self { replica_id: -1, replica_epoch: -1 }
    }
}

impl Encode for ReplicaState {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.replica_id);
        writer.int64(self.replica_epoch);
        writer.tagged_fields(0);
    }
}

impl From<ReplicaStateView> for ReplicaState {
    fn from(view: ReplicaStateView) -> Self {
        Self { replica_id: view.replica_id, replica_epoch: view.replica_epoch }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response<'a> {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse<'a>>,
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
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
    const KEY: ApiKey = ApiKey::Fetch;
    const VERSIONS: RangeInclusive<i16> = VERSIONS;
    const FLEXIBLE_FROM: i16 = FLEXIBLE_FROM;
}

impl Encode for Response<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.throttle_time_ms(self.throttle_time_ms);
        if version >= 7 {
            writer.error_code(self.error_code);
        }
        if version >= 7 {
            writer.int32(self.session_id);
        }
        writer.array(&self.responses);
        let has_node_endpoints = version >= 16 && !self.node_endpoints.is_empty();
        writer.tagged_fields(usize::from(has_node_endpoints));
        if has_node_endpoints {
            writer.tagged_field(0, |writer| writer.array(&self.node_endpoints));
        }
    }
}

impl<'a> From<ResponseView<'a>> for Response<'a> {
    fn from(view: ResponseView<'a>) -> Self {
        Self {
            throttle_time_ms: view.throttle_time_ms,
            error_code: view.error_code,
            session_id: view.session_id,
            responses: view.responses.iter().map(Into::into).collect(),
            node_endpoints: view.node_endpoints.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeEndpoint<'a> {
    pub node_id: i32,
    pub host: Cow<'a, str>,
    pub port: i32,
    pub rack: Option<Cow<'a, str>>,
}

impl Encode for NodeEndpoint<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.node_id);
        writer.string(&self.host);
        writer.int32(self.port);
        writer.nullable_string(self.rack.as_deref());
        writer.tagged_fields(0);
    }
}

impl<'a> From<NodeEndpointView<'a>> for NodeEndpoint<'a> {
    fn from(view: NodeEndpointView<'a>) -> Self {
        Self {
            node_id: view.node_id,
            host: view.host.into(),
            port: view.port,
            rack: view.rack.map(Into::into),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchableTopicResponse<'a> {
    pub topic: Cow<'a, str>,
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

impl Encode for FetchableTopicResponse<'_> {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        if version <= 12 {
            writer.string(&self.topic);
        }
        if version >= 13 {
            writer.uuid(self.topic_id);
        }
        writer.array(&self.partitions);
        writer.tagged_fields(0);
    }
}

impl<'a> From<FetchableTopicResponseView<'a>> for FetchableTopicResponse<'a> {
    fn from(view: FetchableTopicResponseView<'a>) -> Self {
        Self {
            topic: view.topic.into(),
            topic_id: view.topic_id,
            partitions: view.partitions.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: EpochEndOffset,
    pub current_leader: LeaderIdAndEpoch,
    pub snapshot_id: SnapshotId,
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    pub preferred_read_replica: i32,
    pub records: Option<RecordsRef>,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: EpochEndOffset::default(),
            current_leader: LeaderIdAndEpoch::default(),
            snapshot_id: SnapshotId::default(),
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Some(RecordsRef::EMPTY),
        }
    }
}

impl Encode for PartitionData {
    fn write(&self, writer: &mut Writer) {
        let version = writer.version();
        writer.int32(self.partition_index);
        writer.error_code(self.error_code);
        writer.int64(self.high_watermark);
        writer.int64(self.last_stable_offset);
        if version >= 5 {
            writer.int64(self.log_start_offset);
        }
        writer.nullable_array(self.aborted_transactions.as_deref());
        if version >= 11 {
            writer.int32(self.preferred_read_replica);
        }
        writer.nullable_records(self.records);
        let has_diverging_epoch = version >= 12 && self.diverging_epoch != EpochEndOffset::default();
        let has_current_leader = version >= 12 && self.current_leader != LeaderIdAndEpoch::default();
        let has_snapshot_id = version >= 12 && self.snapshot_id != SnapshotId::default();
        writer.tagged_fields(
            usize::from(has_diverging_epoch) + usize::from(has_current_leader) + usize::from(has_snapshot_id),
        );
        if has_diverging_epoch {
            writer.tagged_field(0, |writer| self.diverging_epoch.write(writer));
        }
        if has_current_leader {
            writer.tagged_field(1, |writer| self.current_leader.write(writer));
        }
        if has_snapshot_id {
            writer.tagged_field(2, |writer| self.snapshot_id.write(writer));
        }
    }
}

impl From<PartitionDataView<'_>> for PartitionData {
    fn from(view: PartitionDataView<'_>) -> Self {
        Self {
            partition_index: view.partition_index,
            error_code: view.error_code,
            high_watermark: view.high_watermark,
            last_stable_offset: view.last_stable_offset,
            log_start_offset: view.log_start_offset,
            diverging_epoch: view.diverging_epoch.into(),
            current_leader: view.current_leader.into(),
            snapshot_id: view.snapshot_id.into(),
            aborted_transactions: view.aborted_transactions.map(|x| x.iter().map(Into::into).collect()),
            preferred_read_replica: view.preferred_read_replica,
            records: view.records.map(|x| RecordsRef { bytes: x.len(), slot: 0 }),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

impl Encode for AbortedTransaction {
    fn write(&self, writer: &mut Writer) {
        writer.int64(self.producer_id);
        writer.int64(self.first_offset);
        writer.tagged_fields(0);
    }
}

impl From<AbortedTransactionView> for AbortedTransaction {
    fn from(view: AbortedTransactionView) -> Self {
        Self { producer_id: view.producer_id, first_offset: view.first_offset }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl Default for SnapshotId {
    fn default() -> Self {
        Self { end_offset: -1, epoch: -1 }
    }
}

impl Encode for SnapshotId {
    fn write(&self, writer: &mut Writer) {
        writer.int64(self.end_offset);
        writer.int32(self.epoch);
        writer.tagged_fields(0);
    }
}

impl From<SnapshotIdView> for SnapshotId {
    fn from(view: SnapshotIdView) -> Self {
        Self { end_offset: view.end_offset, epoch: view.epoch }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: i32,
    pub leader_epoch: i32,
}

impl Default for LeaderIdAndEpoch {
    fn default() -> Self {
        Self { leader_id: -1, leader_epoch: -1 }
    }
}

impl Encode for LeaderIdAndEpoch {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.leader_id);
        writer.int32(self.leader_epoch);
        writer.tagged_fields(0);
    }
}

impl From<LeaderIdAndEpochView> for LeaderIdAndEpoch {
    fn from(view: LeaderIdAndEpochView) -> Self {
        Self { leader_id: view.leader_id, leader_epoch: view.leader_epoch }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
}

impl Default for EpochEndOffset {
    fn default() -> Self {
        Self { epoch: -1, end_offset: -1 }
    }
}

impl Encode for EpochEndOffset {
    fn write(&self, writer: &mut Writer) {
        writer.int32(self.epoch);
        writer.int64(self.end_offset);
        writer.tagged_fields(0);
    }
}

impl From<EpochEndOffsetView> for EpochEndOffset {
    fn from(view: EpochEndOffsetView) -> Self {
        Self { epoch: view.epoch, end_offset: view.end_offset }
    }
}
