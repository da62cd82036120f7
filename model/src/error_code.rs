//! Kafka's error codes, by Kafka's names (protocol guide, "Error codes").

macro_rules! codes {
    ($($name:ident = $code:literal, $retriable:literal, $text:literal;)*) => {
        /// What an answer says went wrong. `i16` on the wire.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(i16)]
        pub enum ErrorCode { $(#[doc = $text] $name = $code,)* }

        impl ErrorCode {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            pub fn from_code(code: i16) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
            /// May the client try the same request again?
            pub fn is_retriable(self) -> bool {
                match self { $(Self::$name => $retriable,)* }
            }
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    UnknownServerError = -1, false, "The server met an error it did not expect.";
    None = 0, false, "No error.";
    OffsetOutOfRange = 1, false, "The offset is outside the range this broker holds.";
    CorruptMessage = 2, true, "The record batch failed its checksum, exceeds a valid size, or is otherwise corrupt.";
    UnknownTopicOrPartition = 3, true, "This broker does not host that topic and partition.";
    InvalidFetchSize = 4, false, "The fetch size is not valid.";
    LeaderNotAvailable = 5, true, "The partition has no leader at the moment.";
    NotLeaderOrFollower = 6, true, "This broker is not a leader or follower of that partition.";
    RequestTimedOut = 7, true, "The request timed out.";
    BrokerNotAvailable = 8, false, "The broker is not available.";
    ReplicaNotAvailable = 9, true, "The replica is not available for that partition.";
    MessageTooLarge = 10, false, "The batch is larger than the broker accepts.";
    StaleControllerEpoch = 11, false, "The controller moved to another broker.";
    OffsetMetadataTooLarge = 12, false, "The metadata of the offset commit is too large.";
    NetworkException = 13, true, "The server disconnected before an answer was received.";
    CoordinatorLoadInProgress = 14, true, "The coordinator is loading and cannot answer yet.";
    CoordinatorNotAvailable = 15, true, "The coordinator is not available.";
    NotCoordinator = 16, true, "This is not the right coordinator.";
    InvalidTopicException = 17, false, "The topic name is not valid, or the topic may not be used so.";
    RecordListTooLarge = 18, false, "The batch is larger than a segment.";
    NotEnoughReplicas = 19, true, "Fewer in-sync replicas than required.";
    NotEnoughReplicasAfterAppend = 20, true, "The batch was written, but to fewer in-sync replicas than required.";
    InvalidRequiredAcks = 21, false, "Required acks must be -1, 0 or 1.";
    IllegalGeneration = 22, false, "The group generation is not current.";
    InconsistentGroupProtocol = 23, false, "The group member's protocols do not fit the group's.";
    InvalidGroupId = 24, false, "The group id is not valid.";
    UnknownMemberId = 25, false, "The coordinator does not know this member.";
    InvalidSessionTimeout = 26, false, "The session timeout is outside the broker's range.";
    RebalanceInProgress = 27, false, "The group is rebalancing, so a rejoin is needed.";
    InvalidCommitOffsetSize = 28, false, "The offset commit is larger than allowed.";
    TopicAuthorizationFailed = 29, false, "Not authorised for this topic.";
    GroupAuthorizationFailed = 30, false, "Not authorised for this group.";
    ClusterAuthorizationFailed = 31, false, "Not authorised for the cluster.";
    InvalidTimestamp = 32, false, "The record's timestamp is out of the accepted range.";
    UnsupportedSaslMechanism = 33, false, "The broker does not support this SASL mechanism.";
    IllegalSaslState = 34, false, "The request is not valid in this SASL state.";
    UnsupportedVersion = 35, false, "The version of this API is not supported.";
    TopicAlreadyExists = 36, false, "A topic of this name already exists.";
    InvalidPartitions = 37, false, "The number of partitions is not valid.";
    InvalidReplicationFactor = 38, false, "The replication factor is below 1 or above the number of brokers.";
    InvalidReplicaAssignment = 39, false, "The replica assignment is not valid.";
    InvalidConfig = 40, false, "The configuration is not valid.";
    NotController = 41, true, "This is not the controller of the cluster.";
    InvalidRequest = 42, false, "The request is malformed or contradicts itself.";
    UnsupportedForMessageFormat = 43, false, "The message format does not support the request.";
    PolicyViolation = 44, false, "The request violates a policy.";
    OutOfOrderSequenceNumber = 45, false, "The producer's sequence number is out of order.";
    DuplicateSequenceNumber = 46, false, "The producer sent a duplicate sequence number.";
    InvalidProducerEpoch = 47, false, "The producer epoch is old.";
    InvalidTxnState = 48, false, "The transaction is not in a state that allows this.";
    InvalidProducerIdMapping = 49, false, "The producer id does not belong to this transactional id.";
    InvalidTransactionTimeout = 50, false, "The transaction timeout is above the broker's maximum.";
    ConcurrentTransactions = 51, true, "Another transaction of this producer is being completed.";
    TransactionCoordinatorFenced = 52, false, "The transaction coordinator is fenced.";
    TransactionalIdAuthorizationFailed = 53, false, "Not authorised for this transactional id.";
    SecurityDisabled = 54, false, "Security features are disabled.";
    OperationNotAttempted = 55, false, "The operation was not tried.";
    KafkaStorageError = 56, true, "The disk of this partition failed or is full.";
    LogDirNotFound = 57, false, "The log directory is not in the broker's configuration.";
    SaslAuthenticationFailed = 58, false, "SASL authentication failed.";
    UnknownProducerId = 59, false, "The broker has no state for this producer id.";
    ReassignmentInProgress = 60, false, "A reassignment of this partition is under way.";
    DelegationTokenAuthDisabled = 61, false, "Delegation tokens are not enabled.";
    DelegationTokenNotFound = 62, false, "There is no such delegation token.";
    DelegationTokenOwnerMismatch = 63, false, "The principal does not own this token.";
    DelegationTokenRequestNotAllowed = 64, false, "This connection may not ask for delegation tokens.";
    DelegationTokenAuthorizationFailed = 65, false, "Not authorised for this delegation token.";
    DelegationTokenExpired = 66, false, "The delegation token has expired.";
    InvalidPrincipalType = 67, false, "The principal type is not supported.";
    NonEmptyGroup = 68, false, "The group still has members.";
    GroupIdNotFound = 69, false, "There is no such group.";
    FetchSessionIdNotFound = 70, true, "There is no such fetch session.";
    InvalidFetchSessionEpoch = 71, true, "The fetch session epoch is not the expected one.";
    ListenerNotFound = 72, true, "The leader has no listener of the name the request came in on.";
    TopicDeletionDisabled = 73, false, "Topic deletion is disabled.";
    FencedLeaderEpoch = 74, true, "The leader epoch of the request is older than the broker's.";
    UnknownLeaderEpoch = 75, true, "The leader epoch of the request is newer than the broker's.";
    UnsupportedCompressionType = 76, false, "This version of the request does not support the compression.";
    StaleBrokerEpoch = 77, false, "The broker epoch has changed.";
    OffsetNotAvailable = 78, true, "The high watermark of the new leader has not caught up yet.";
    MemberIdRequired = 79, false, "The member must join again with the id it was given.";
    PreferredLeaderNotAvailable = 80, true, "The preferred leader is not available.";
    GroupMaxSizeReached = 81, false, "The group is at its maximum size.";
    FencedInstanceId = 82, false, "Another member uses this static instance id.";
    EligibleLeadersNotAvailable = 83, true, "No eligible leader is available.";
    ElectionNotNeeded = 84, true, "No leader election is needed.";
    NoReassignmentInProgress = 85, false, "No reassignment is under way.";
    GroupSubscribedToTopic = 86, false, "The group is subscribed to the topic, so its offsets stay.";
    InvalidRecord = 87, false, "A record broke a rule of the broker.";
    UnstableOffsetCommit = 88, true, "There are unstable offsets that must be cleared first.";
    ThrottlingQuotaExceeded = 89, true, "The throttling quota is exceeded.";
    ProducerFenced = 90, false, "A newer producer with the same transactional id fenced this one.";
    ResourceNotFound = 91, false, "The resource was not found.";
    DuplicateResource = 92, false, "The resource is named twice.";
    UnacceptableCredential = 93, false, "The credential is not acceptable.";
    InconsistentVoterSet = 94, false, "The voter set does not match.";
    InvalidUpdateVersion = 95, false, "The update version is not valid.";
    FeatureUpdateFailed = 96, false, "The features could not be updated.";
    PrincipalDeserializationFailure = 97, false, "The principal could not be read.";
    UnknownTopicId = 100, true, "This broker does not host a topic of that id.";
    DuplicateBrokerRegistration = 101, false, "The broker is registered already.";
    BrokerIdNotRegistered = 102, false, "The broker id is not registered.";
    InconsistentTopicId = 103, true, "The topic id does not match the topic's name.";
    InconsistentClusterId = 104, false, "The cluster id does not match.";
    TransactionalIdNotFound = 105, false, "There is no such transactional id.";
    FetchSessionTopicIdError = 106, true, "The fetch session mixes topic names and topic ids.";
    IneligibleReplica = 107, false, "The replica may not join the in-sync replicas.";
    NewLeaderElected = 108, false, "A new leader was elected by the request.";
    OffsetMovedToTieredStorage = 109, false, "The offset lives in tiered storage.";
    FencedMemberEpoch = 110, false, "The member epoch is fenced.";
    UnreleasedInstanceId = 111, false, "The static instance id is still in use.";
    UnsupportedAssignor = 112, false, "The group does not support the assignor.";
    StaleMemberEpoch = 113, false, "The member epoch is stale.";
    MismatchedEndpointType = 114, false, "The request was sent to the wrong kind of endpoint.";
    UnsupportedEndpointType = 115, false, "This kind of endpoint does not serve the request.";
    TransactionAbortable = 120, false, "The transaction must be aborted.";
    InvalidRecordState = 121, false, "The record is not in a state that allows this.";
    ShareSessionNotFound = 122, true, "There is no such share session.";
    InvalidShareSessionEpoch = 123, true, "The share session epoch is not the expected one.";
    FencedStateEpoch = 124, false, "The state epoch is fenced.";
    InvalidVoterKey = 125, false, "The voter key does not match.";
    DuplicateVoter = 126, false, "The voter is in the set already.";
    VoterNotFound = 127, false, "There is no such voter.";
    InvalidRegularExpression = 128, false, "The regular expression is not valid.";
    RebootstrapRequired = 129, false, "The client must bootstrap again.";
}

impl ErrorCode {
    pub fn code(self) -> i16 {
        self as i16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_finds_itself() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(code));
        }
        assert_eq!(ErrorCode::from_code(9999), None);
    }
}
