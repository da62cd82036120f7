//! A committed offset.

use model::TopicId;

use super::codec::{BadRecord, Form, Reader, Writer};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OffsetCommitKey {
    pub group: String,
    pub topic: String,
    pub partition: i32,
}

/// ```text
/// version   offset  leader epoch  metadata  commit time  expiry  topic id
///   0, 2      x                      x          x
///   1         x                      x          x          x
///   3         x          x           x          x
///   4         x          x           x          x                 tag 0, if known; flexible
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommitValue {
    pub offset: i64,
    /// -1 if the client did not say.
    pub leader_epoch: i32,
    pub metadata: String,
    pub commit_timestamp: i64,
    /// Only of clients that asked for a retention of their own (OffsetCommit up to version 4).
    pub expire_timestamp: Option<i64>,
    /// Zero if not known.
    pub topic_id: TopicId,
}

impl OffsetCommitValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let (version, rest) = Reader::versioned(bytes)?;
        if !(0..=4).contains(&version) {
            return Err(BadRecord::Version(version));
        }
        let mut reader = Reader::new(rest, if version >= 4 { Form::Flexible } else { Form::Old });
        let mut value = Self {
            offset: reader.i64()?,
            leader_epoch: if version >= 3 { reader.i32()? } else { -1 },
            metadata: reader.string()?,
            commit_timestamp: reader.i64()?,
            expire_timestamp: if version == 1 { Some(reader.i64()?).filter(|at| *at != -1) } else { None },
            topic_id: TopicId::ZERO,
        };
        reader.tagged(|tag, field| {
            if tag == 0 {
                value.topic_id = TopicId(field.uuid()?);
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let version = if self.expire_timestamp.is_some() { 1 } else { 4 };
        let mut writer = Writer::new(version, if version >= 4 { Form::Flexible } else { Form::Old });
        writer.i64(self.offset);
        if version >= 3 {
            writer.i32(self.leader_epoch);
        }
        writer.string(&self.metadata);
        writer.i64(self.commit_timestamp);
        self.expire_timestamp.inspect(|at| writer.i64(*at));
        writer.tagged((self.topic_id != TopicId::ZERO).then_some(|w: &mut Writer| w.uuid(self.topic_id.0)));
        writer.done()
    }
}
