//! Requests as the coordinator takes them: what all versions of an API have in common, with the differences that matter
//! as fields.

use model::TopicId;

/// JoinGroup, one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinGroup {
    pub group_id: String,
    /// Empty for a new member.
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub protocol_type: String,
    /// Name and metadata, most wanted first.
    pub protocols: Vec<(String, Vec<u8>)>,
    pub session_timeout_ms: i32,
    /// The session timeout below version 1.
    pub rebalance_timeout_ms: i32,
    /// From version 4: a dynamic member first gets an id and then joins with it.
    pub requires_known_member_id: bool,
    /// From version 9.
    pub supports_skipping_assignment: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncGroup {
    pub group_id: String,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub generation: i32,
    /// From version 5; none is not checked.
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    /// Member id and assignment; of the leader.
    pub assignments: Vec<(String, Vec<u8>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Heartbeat {
    pub group_id: String,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub generation: i32,
}

/// One member below version 3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveGroup {
    pub group_id: String,
    pub members: Vec<LeavingMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeavingMember {
    /// May be empty for a static member.
    pub member_id: String,
    pub group_instance_id: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommit {
    pub group_id: String,
    /// The epoch for members of the new protocol; -1 for a client that is no member.
    pub generation_or_member_epoch: i32,
    pub member_id: String,
    pub group_instance_id: Option<String>,
    /// Versions 2 to 4 may ask for a retention of their own.
    pub retention_time_ms: Option<i64>,
    pub version: i16,
    pub offsets: Vec<OffsetToCommit>,
}

/// The edge has looked the topic up: partitions that do not exist do not come here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetToCommit {
    pub topic: String,
    pub topic_id: TopicId,
    pub partition: i32,
    pub offset: i64,
    /// -1: not said.
    pub leader_epoch: i32,
    pub metadata: String,
}

/// Who asks for offsets; members of the new protocol say so from version 9 on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetReader {
    pub member_id: Option<String>,
    pub member_epoch: i32,
}

impl OffsetReader {
    /// A request that names no member.
    pub fn anyone() -> Self {
        Self { member_id: None, member_epoch: -1 }
    }
}

/// ConsumerGroupHeartbeat. None is "as before".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupHeartbeat {
    pub group_id: String,
    pub member_id: String,
    /// 0 joins, -1 leaves, -2 leaves for a while (static members).
    pub member_epoch: i32,
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    /// -1: as before.
    pub rebalance_timeout_ms: i32,
    pub client_id: String,
    pub client_host: String,
    pub topic_names: Option<Vec<String>>,
    /// From version 1. Empty takes it back.
    pub topic_regex: Option<String>,
    pub server_assignor: Option<String>,
    pub owned: Option<Vec<(TopicId, Vec<i32>)>>,
    /// From version 1 the client makes its member id itself.
    pub makes_member_id: bool,
}
