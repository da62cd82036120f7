//! A group of the consumer protocol (KIP-848): one record for the group's epoch, one for the target's epoch, and three for
//! each member: what it wants, what it is to have, what it has. All values are version 0 and flexible.

use model::TopicId;

use super::codec::{BadRecord, Form, Reader, Writer};

fn reader(bytes: &[u8]) -> Result<Reader<'_>, BadRecord> {
    match Reader::versioned(bytes)? {
        (0, rest) => Ok(Reader::new(rest, Form::Flexible)),
        (version, _) => Err(BadRecord::Version(version)),
    }
}

fn writer() -> Writer {
    Writer::new(0, Form::Flexible)
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupMetadataValue {
    pub epoch: i32,
    /// Of the topics that the group reads; 0 if not known. Tells whether they changed while nobody looked.
    pub metadata_hash: i64,
}

impl ConsumerGroupMetadataValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = reader(bytes)?;
        let mut value = Self { epoch: reader.i32()?, metadata_hash: 0 };
        reader.tagged(|tag, field| {
            if tag == 0 {
                value.metadata_hash = field.i64()?;
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = writer();
        writer.i32(self.epoch);
        writer.tagged((self.metadata_hash != 0).then_some(|w: &mut Writer| w.i64(self.metadata_hash)));
        writer.done()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionMetadataValue {
    pub topics: Vec<TopicMetadataValue>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicMetadataValue {
    pub topic_id: TopicId,
    pub topic_name: String,
    pub partition_count: i32,
    /// Racks of each partition that has any.
    pub partition_racks: Vec<(i32, Vec<String>)>,
}

impl PartitionMetadataValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = reader(bytes)?;
        let topics = reader.array(|reader| {
            let topic = TopicMetadataValue {
                topic_id: TopicId(reader.uuid()?),
                topic_name: reader.string()?,
                partition_count: reader.i32()?,
                partition_racks: reader.array(|reader| {
                    let partition = (reader.i32()?, reader.array(Reader::string)?);
                    reader.untagged()?;
                    Ok(partition)
                })?,
            };
            reader.untagged()?;
            Ok(topic)
        })?;
        reader.untagged()?;
        Ok(Self { topics })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = writer();
        writer.array(&self.topics, |writer, topic| {
            writer.uuid(topic.topic_id.0);
            writer.string(&topic.topic_name);
            writer.i32(topic.partition_count);
            writer.array(&topic.partition_racks, |writer, (partition, racks)| {
                writer.i32(*partition);
                writer.array(racks, |writer, rack| writer.string(rack));
                writer.untagged();
            });
            writer.untagged();
        });
        writer.untagged();
        writer.done()
    }
}

/// What a member wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberMetadataValue {
    pub instance_id: Option<String>,
    pub rack_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub subscribed_topic_names: Vec<String>,
    pub subscribed_topic_regex: Option<String>,
    pub rebalance_timeout_ms: i32,
    pub server_assignor: Option<String>,
    /// Of a member that speaks the classic protocol in a group of the new one.
    pub classic: Option<ClassicMemberMetadata>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicMemberMetadata {
    pub session_timeout_ms: i32,
    /// Name and metadata, in the member's order.
    pub supported_protocols: Vec<(String, Vec<u8>)>,
}

impl MemberMetadataValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = reader(bytes)?;
        let mut value = Self {
            instance_id: reader.nullable_string()?,
            rack_id: reader.nullable_string()?,
            client_id: reader.string()?,
            client_host: reader.string()?,
            subscribed_topic_names: reader.array(Reader::string)?,
            subscribed_topic_regex: reader.nullable_string()?,
            rebalance_timeout_ms: reader.i32()?,
            server_assignor: reader.nullable_string()?,
            classic: None,
        };
        reader.tagged(|tag, field| {
            // A nullable struct says with one byte whether it is there.
            if tag == 0 && field.i8()? == 1 {
                value.classic = Some(ClassicMemberMetadata::read(field)?);
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = writer();
        writer.nullable_string(self.instance_id.as_deref());
        writer.nullable_string(self.rack_id.as_deref());
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.array(&self.subscribed_topic_names, |writer, name| writer.string(name));
        writer.nullable_string(self.subscribed_topic_regex.as_deref());
        writer.i32(self.rebalance_timeout_ms);
        writer.nullable_string(self.server_assignor.as_deref());
        writer.tagged(self.classic.as_ref().map(|classic| {
            |writer: &mut Writer| {
                writer.i8(1);
                classic.write(writer);
            }
        }));
        writer.done()
    }
}

impl ClassicMemberMetadata {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BadRecord> {
        let session_timeout_ms = reader.i32()?;
        let supported_protocols = reader.array(|reader| {
            let protocol = (reader.string()?, reader.bytes()?);
            reader.untagged()?;
            Ok(protocol)
        })?;
        reader.untagged()?;
        Ok(Self { session_timeout_ms, supported_protocols })
    }

    fn write(&self, writer: &mut Writer) {
        writer.i32(self.session_timeout_ms);
        writer.array(&self.supported_protocols, |writer, (name, metadata)| {
            writer.string(name);
            writer.bytes(metadata);
            writer.untagged();
        });
        writer.untagged();
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetAssignmentMetadataValue {
    pub assignment_epoch: i32,
    /// Tag 0; zero if not known.
    pub assignment_timestamp: i64,
}

impl TargetAssignmentMetadataValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = reader(bytes)?;
        let mut value = Self { assignment_epoch: reader.i32()?, assignment_timestamp: 0 };
        reader.tagged(|tag, field| {
            if tag == 0 {
                value.assignment_timestamp = field.i64()?;
            }
            Ok(())
        })?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = writer();
        writer.i32(self.assignment_epoch);
        let timestamp = Some(self.assignment_timestamp).filter(|at| *at != 0);
        writer.tagged(timestamp.map(|at| move |writer: &mut Writer| writer.i64(at)));
        writer.done()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicPartitionsValue {
    pub topic_id: TopicId,
    pub partitions: Vec<i32>,
    /// Of what a member has: since which epoch it has each of the partitions; tag 0, empty if not known.
    pub assignment_epochs: Vec<i32>,
}

impl TopicPartitionsValue {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BadRecord> {
        let mut value = Self {
            topic_id: TopicId(reader.uuid()?),
            partitions: reader.array(Reader::i32)?,
            assignment_epochs: vec![],
        };
        reader.tagged(|tag, field| {
            if tag == 0 {
                value.assignment_epochs = field.nullable_array(Reader::i32)?.unwrap_or_default();
            }
            Ok(())
        })?;
        Ok(value)
    }

    fn write(&self, writer: &mut Writer) {
        writer.uuid(self.topic_id.0);
        writer.array(&self.partitions, |writer, partition| writer.i32(*partition));
        let epochs = Some(&self.assignment_epochs).filter(|epochs| !epochs.is_empty());
        writer
            .tagged(epochs.map(|epochs| {
                |writer: &mut Writer| writer.array(epochs, |writer, epoch| writer.i32(*epoch))
            }));
    }
}

/// What a member is to have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetAssignmentMemberValue {
    pub topic_partitions: Vec<TopicPartitionsValue>,
}

impl TargetAssignmentMemberValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = reader(bytes)?;
        let value = Self { topic_partitions: reader.array(TopicPartitionsValue::read)? };
        reader.untagged()?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = writer();
        writer.array(&self.topic_partitions, |writer, topic| topic.write(writer));
        writer.untagged();
        writer.done()
    }
}

/// What a member has, and what it has to give up first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CurrentMemberAssignmentValue {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub state: i8,
    pub assigned_partitions: Vec<TopicPartitionsValue>,
    pub partitions_pending_revocation: Vec<TopicPartitionsValue>,
}

impl CurrentMemberAssignmentValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = reader(bytes)?;
        let value = Self {
            member_epoch: reader.i32()?,
            previous_member_epoch: reader.i32()?,
            state: reader.i8()?,
            assigned_partitions: reader.array(TopicPartitionsValue::read)?,
            partitions_pending_revocation: reader.array(TopicPartitionsValue::read)?,
        };
        reader.untagged()?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = writer();
        writer.i32(self.member_epoch);
        writer.i32(self.previous_member_epoch);
        writer.i8(self.state);
        writer.array(&self.assigned_partitions, |writer, topic| topic.write(writer));
        writer.array(&self.partitions_pending_revocation, |writer, topic| topic.write(writer));
        writer.untagged();
        writer.done()
    }
}

/// The topics that a regular expression matched when it was last looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegularExpressionValue {
    pub topics: Vec<String>,
    /// Of the metadata it was matched against.
    pub version: i64,
    pub timestamp: i64,
}

impl RegularExpressionValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let mut reader = reader(bytes)?;
        let value =
            Self { topics: reader.array(Reader::string)?, version: reader.i64()?, timestamp: reader.i64()? };
        reader.untagged()?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = writer();
        writer.array(&self.topics, |writer, topic| writer.string(topic));
        writer.i64(self.version);
        writer.i64(self.timestamp);
        writer.untagged();
        writer.done()
    }
}
