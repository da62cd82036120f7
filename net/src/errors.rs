//! The one place where our errors become Kafka's codes.

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
            // Corruption is never served and never told as such: the partition is offline here.
            Self::Offline | Self::Corrupt { .. } | Self::Io(_) => ErrorCode::KafkaStorageError,
        }
    }
}

impl Code for ProduceError {
    fn code(&self) -> ErrorCode {
        ProduceError::code(self)
    }
}
