//! Where errors of the rooms below become Kafka's codes. Why a batch is refused the engine tells with Kafka's code
//! itself, and a wait that ended early is told by `owner::code_of`.

use std::io;

use engine::{AppendError, ReadError, records::ProduceError};
use model::ErrorCode;
use replication::PartitionError;

/// An error that a client can be told.
pub trait Code {
    fn code(&self) -> ErrorCode;
}

impl Code for PartitionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader => ErrorCode::NotLeaderOrFollower,
            Self::FencedEpoch => ErrorCode::FencedLeaderEpoch,
            Self::UnknownEpoch => ErrorCode::UnknownLeaderEpoch,
            Self::OffsetNotAvailable => ErrorCode::OffsetNotAvailable,
            Self::CutBelowHigh(_) | Self::Cut(_) => ErrorCode::KafkaStorageError,
            Self::NotEnoughReplicas(_) => ErrorCode::NotEnoughReplicas,
            Self::Append(error) => error.code(),
            Self::Read(error) => error.code(),
        }
    }
}

impl Code for AppendError {
    fn code(&self) -> ErrorCode {
        AppendError::code(*self)
    }
}

impl Code for ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfRange => ErrorCode::OffsetOutOfRange,
            // The disk is well: the client is to come again, and not to take the partition for lost.
            Self::Io(error) if error.kind() == io::ErrorKind::OutOfMemory => ErrorCode::ReplicaNotAvailable,
            // Corruption is never served and never told as such: the client is to come again, perhaps to another broker.
            Self::Moved | Self::Corrupt { .. } | Self::Io(_) => ErrorCode::KafkaStorageError,
        }
    }
}

impl Code for ProduceError {
    fn code(&self) -> ErrorCode {
        ProduceError::code(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once a read that found no page free was told as a failed disk.
    #[test]
    fn too_little_memory_is_not_told_as_a_failed_disk() {
        let code = |kind: io::ErrorKind| ReadError::Io(kind.into()).code();
        assert_eq!(code(io::ErrorKind::OutOfMemory), ErrorCode::ReplicaNotAvailable);
        assert!(ErrorCode::ReplicaNotAvailable.is_retriable());
        assert_eq!(code(io::ErrorKind::UnexpectedEof), ErrorCode::KafkaStorageError);
    }
}
