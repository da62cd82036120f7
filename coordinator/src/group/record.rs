//! The records of `__consumer_offsets`, in Kafka's own formats, so that Kafka's tools read our log and we read Kafka's.
//!
//! A key is a two-byte type followed by strings in the old form; a value is a two-byte version followed by its fields.
//! A record without a value is a tombstone. Types of other coordinators (share and streams groups, and whatever comes
//! later) are skipped. What is written is what Kafka 4.3 writes: offset commits in version 4 (version 1 if they expire
//! on their own), classic groups in version 3, everything else in version 0.

mod classic;
mod codec;
mod consumer;
mod offset_commit;

pub use classic::{ClassicMemberValue, GroupMetadataValue};
pub use codec::BadRecord;
pub use consumer::{
    ClassicMemberMetadata, ConsumerGroupMetadataValue, CurrentMemberAssignmentValue, MemberMetadataValue,
    PartitionMetadataValue, RegularExpressionValue, TargetAssignmentMemberValue,
    TargetAssignmentMetadataValue, TopicMetadataValue, TopicPartitionsValue,
};
pub use offset_commit::{OffsetCommitKey, OffsetCommitValue};

use codec::{Form, Reader, Writer};

/// A record of the log: a key, and a value or none for a tombstone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupRecord {
    OffsetCommit {
        key: OffsetCommitKey,
        value: Option<OffsetCommitValue>,
    },
    GroupMetadata {
        group: String,
        value: Option<GroupMetadataValue>,
    },
    ConsumerGroupMetadata {
        group: String,
        value: Option<ConsumerGroupMetadataValue>,
    },
    /// Written by Kafka before 4.1; read so that its tombstones are understood.
    PartitionMetadata {
        group: String,
        value: Option<PartitionMetadataValue>,
    },
    MemberMetadata {
        group: String,
        member: String,
        value: Option<MemberMetadataValue>,
    },
    TargetAssignmentMetadata {
        group: String,
        value: Option<TargetAssignmentMetadataValue>,
    },
    TargetAssignmentMember {
        group: String,
        member: String,
        value: Option<TargetAssignmentMemberValue>,
    },
    CurrentMemberAssignment {
        group: String,
        member: String,
        value: Option<CurrentMemberAssignmentValue>,
    },
    RegularExpression {
        group: String,
        regex: String,
        value: Option<RegularExpressionValue>,
    },
}

impl GroupRecord {
    pub fn group(&self) -> &str {
        match self {
            Self::OffsetCommit { key, .. } => &key.group,
            Self::GroupMetadata { group, .. }
            | Self::ConsumerGroupMetadata { group, .. }
            | Self::PartitionMetadata { group, .. }
            | Self::MemberMetadata { group, .. }
            | Self::TargetAssignmentMetadata { group, .. }
            | Self::TargetAssignmentMember { group, .. }
            | Self::CurrentMemberAssignment { group, .. }
            | Self::RegularExpression { group, .. } => group,
        }
    }

    pub fn is_tombstone(&self) -> bool {
        match self {
            Self::OffsetCommit { value, .. } => value.is_none(),
            Self::GroupMetadata { value, .. } => value.is_none(),
            Self::ConsumerGroupMetadata { value, .. } => value.is_none(),
            Self::PartitionMetadata { value, .. } => value.is_none(),
            Self::MemberMetadata { value, .. } => value.is_none(),
            Self::TargetAssignmentMetadata { value, .. } => value.is_none(),
            Self::TargetAssignmentMember { value, .. } => value.is_none(),
            Self::CurrentMemberAssignment { value, .. } => value.is_none(),
            Self::RegularExpression { value, .. } => value.is_none(),
        }
    }

    /// None: the key belongs to a coordinator or a time that is not ours.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, BadRecord> {
        let (kind, rest) = Reader::versioned(key)?;
        let mut key = Reader::new(rest, Form::Old);
        let record = match kind {
            0 | 1 => {
                let key =
                    OffsetCommitKey { group: key.string()?, topic: key.string()?, partition: key.i32()? };
                Self::OffsetCommit { key, value: value.map(OffsetCommitValue::decode).transpose()? }
            }
            2 => Self::GroupMetadata {
                group: key.string()?,
                value: value.map(GroupMetadataValue::decode).transpose()?,
            },
            3 => Self::ConsumerGroupMetadata {
                group: key.string()?,
                value: value.map(ConsumerGroupMetadataValue::decode).transpose()?,
            },
            4 => Self::PartitionMetadata {
                group: key.string()?,
                value: value.map(PartitionMetadataValue::decode).transpose()?,
            },
            5 => Self::MemberMetadata {
                group: key.string()?,
                member: key.string()?,
                value: value.map(MemberMetadataValue::decode).transpose()?,
            },
            6 => Self::TargetAssignmentMetadata {
                group: key.string()?,
                value: value.map(TargetAssignmentMetadataValue::decode).transpose()?,
            },
            7 => Self::TargetAssignmentMember {
                group: key.string()?,
                member: key.string()?,
                value: value.map(TargetAssignmentMemberValue::decode).transpose()?,
            },
            8 => Self::CurrentMemberAssignment {
                group: key.string()?,
                member: key.string()?,
                value: value.map(CurrentMemberAssignmentValue::decode).transpose()?,
            },
            16 => Self::RegularExpression {
                group: key.string()?,
                regex: key.string()?,
                value: value.map(RegularExpressionValue::decode).transpose()?,
            },
            _ => return Ok(None),
        };
        Ok(Some(record))
    }

    pub fn encode_key(&self) -> Vec<u8> {
        let (kind, second) = match self {
            Self::OffsetCommit { key, .. } => (1, Some(&key.topic)),
            Self::GroupMetadata { .. } => (2, None),
            Self::ConsumerGroupMetadata { .. } => (3, None),
            Self::PartitionMetadata { .. } => (4, None),
            Self::MemberMetadata { member, .. } => (5, Some(member)),
            Self::TargetAssignmentMetadata { .. } => (6, None),
            Self::TargetAssignmentMember { member, .. } => (7, Some(member)),
            Self::CurrentMemberAssignment { member, .. } => (8, Some(member)),
            Self::RegularExpression { regex, .. } => (16, Some(regex)),
        };
        let mut writer = Writer::new(kind, Form::Old);
        writer.string(self.group());
        second.inspect(|text| writer.string(text));
        if let Self::OffsetCommit { key, .. } = self {
            writer.i32(key.partition);
        }
        writer.done()
    }

    /// None is a tombstone.
    pub fn encode_value(&self) -> Option<Vec<u8>> {
        match self {
            Self::OffsetCommit { value, .. } => value.as_ref().map(OffsetCommitValue::encode),
            Self::GroupMetadata { value, .. } => value.as_ref().map(GroupMetadataValue::encode),
            Self::ConsumerGroupMetadata { value, .. } => {
                value.as_ref().map(ConsumerGroupMetadataValue::encode)
            }
            Self::PartitionMetadata { value, .. } => value.as_ref().map(PartitionMetadataValue::encode),
            Self::MemberMetadata { value, .. } => value.as_ref().map(MemberMetadataValue::encode),
            Self::TargetAssignmentMetadata { value, .. } => {
                value.as_ref().map(TargetAssignmentMetadataValue::encode)
            }
            Self::TargetAssignmentMember { value, .. } => {
                value.as_ref().map(TargetAssignmentMemberValue::encode)
            }
            Self::CurrentMemberAssignment { value, .. } => {
                value.as_ref().map(CurrentMemberAssignmentValue::encode)
            }
            Self::RegularExpression { value, .. } => value.as_ref().map(RegularExpressionValue::encode),
        }
    }
}

#[cfg(test)]
mod tests;
