//! Answers, one type an API. The edge puts them into the version that was asked for.

use model::{ErrorCode, TopicId};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    JoinGroup(JoinGroupAnswer),
    SyncGroup(SyncGroupAnswer),
    Heartbeat(ErrorCode),
    LeaveGroup(LeaveGroupAnswer),
    OffsetCommit(OffsetCommitAnswer),
    OffsetDelete(OffsetDeleteAnswer),
    DeleteGroup(ErrorCode),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatAnswer),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinGroupAnswer {
    pub error: ErrorCode,
    pub generation: i32,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub leader: String,
    pub skip_assignment: bool,
    pub member_id: String,
    /// For the leader only.
    pub members: Vec<JoinedMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinedMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub metadata: Vec<u8>,
}

impl JoinGroupAnswer {
    pub(super) fn refused(error: ErrorCode, member_id: &str) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: vec![],
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SyncGroupAnswer {
    pub error: ErrorCode,
    pub protocol_type: Option<String>,
    pub protocol_name: Option<String>,
    pub assignment: Vec<u8>,
}

impl SyncGroupAnswer {
    pub(super) fn refused(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol_name: None, assignment: vec![] }
    }
}

/// Below version 3 the error is the one member's, if the whole has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaveGroupAnswer {
    pub error: ErrorCode,
    pub members: Vec<LeftMember>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftMember {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub error: ErrorCode,
}

/// One a partition, in the order of the request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommitAnswer {
    pub errors: Vec<ErrorCode>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetDeleteAnswer {
    pub error: ErrorCode,
    /// One a partition, in the order of the request.
    pub errors: Vec<ErrorCode>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupHeartbeatAnswer {
    pub error: ErrorCode,
    pub error_message: Option<String>,
    pub member_id: Option<String>,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// None: nothing new for the member.
    pub assignment: Option<Vec<(TopicId, Vec<i32>)>>,
}

impl ConsumerGroupHeartbeatAnswer {
    pub(super) fn refused(error: ErrorCode, sentence: impl Into<String>) -> Self {
        Self {
            error,
            error_message: Some(sentence.into()),
            member_id: None,
            member_epoch: 0,
            heartbeat_interval_ms: 0,
            assignment: None,
        }
    }
}

impl Answer {
    /// The same answer, had the log refused the records it stands on.
    pub(super) fn failed(self, append: ErrorCode) -> Self {
        match self {
            Self::JoinGroup(a) => {
                Self::JoinGroup(JoinGroupAnswer::refused(refusal_of_append(append), &a.member_id))
            }
            Self::SyncGroup(_) => Self::SyncGroup(SyncGroupAnswer::refused(refusal_of_append(append))),
            Self::Heartbeat(_) => Self::Heartbeat(refusal_of_append(append)),
            Self::LeaveGroup(_) => {
                Self::LeaveGroup(LeaveGroupAnswer { error: refusal_of_append(append), members: vec![] })
            }
            Self::OffsetCommit(a) => {
                let errors = a
                    .errors
                    .into_iter()
                    .map(|e| if e == ErrorCode::None { refusal_of_commit(append) } else { e });
                Self::OffsetCommit(OffsetCommitAnswer { errors: errors.collect() })
            }
            Self::OffsetDelete(a) => {
                Self::OffsetDelete(OffsetDeleteAnswer { error: refusal_of_append(append), errors: a.errors })
            }
            Self::DeleteGroup(_) => Self::DeleteGroup(refusal_of_append(append)),
            Self::ConsumerGroupHeartbeat(_) => Self::ConsumerGroupHeartbeat(
                ConsumerGroupHeartbeatAnswer::refused(refusal_of_append(append), append.text()),
            ),
        }
    }
}

/// What a client is told when the coordinator's own write failed: something that sends it back to look for the
/// coordinator, not an error about a partition it never named.
pub(super) fn refusal_of_append(append: ErrorCode) -> ErrorCode {
    match append {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}

fn refusal_of_commit(append: ErrorCode) -> ErrorCode {
    match append {
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::InvalidCommitOffsetSize
        }
        other => refusal_of_append(other),
    }
}

macro_rules! into_answer {
    ($($variant:ident($inner:ty),)*) => {
        $(impl From<$inner> for Answer {
            fn from(inner: $inner) -> Self {
                Self::$variant(inner)
            }
        })*
    };
}

into_answer! {
    JoinGroup(JoinGroupAnswer),
    SyncGroup(SyncGroupAnswer),
    LeaveGroup(LeaveGroupAnswer),
    OffsetCommit(OffsetCommitAnswer),
    OffsetDelete(OffsetDeleteAnswer),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatAnswer),
}
