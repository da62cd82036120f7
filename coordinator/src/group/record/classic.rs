//! A group of the classic protocol: its generation, and each member with what it subscribed to and was given.

use super::codec::{BadRecord, Form, Reader, Writer};

/// The highest version without tagged fields, which is what Kafka writes.
const WRITTEN_VERSION: i16 = 3;

/// ```text
/// version   state timestamp   instance id   rebalance timeout
///   0
///   1                                              x
///   2              x                               x
///   3              x               x               x
///   4              x               x               x            flexible
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupMetadataValue {
    pub protocol_type: String,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<String>,
    /// When the group came into its state; -1 before version 2.
    pub current_state_timestamp: i64,
    pub members: Vec<ClassicMemberValue>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassicMemberValue {
    pub member_id: String,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    /// -1 in version 0.
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Vec<u8>,
    pub assignment: Vec<u8>,
}

impl GroupMetadataValue {
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRecord> {
        let (version, rest) = Reader::versioned(bytes)?;
        if !(0..=4).contains(&version) {
            return Err(BadRecord::Version(version));
        }
        let mut reader = Reader::new(rest, if version >= 4 { Form::Flexible } else { Form::Old });
        let value = Self {
            protocol_type: reader.string()?,
            generation: reader.i32()?,
            protocol: reader.nullable_string()?,
            leader: reader.nullable_string()?,
            current_state_timestamp: if version >= 2 { reader.i64()? } else { -1 },
            members: reader.array(|reader| ClassicMemberValue::read(reader, version))?,
        };
        reader.untagged()?;
        Ok(value)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(WRITTEN_VERSION, Form::Old);
        writer.string(&self.protocol_type);
        writer.i32(self.generation);
        writer.nullable_string(self.protocol.as_deref());
        writer.nullable_string(self.leader.as_deref());
        writer.i64(self.current_state_timestamp);
        writer.array(&self.members, |writer, member| member.write(writer));
        writer.done()
    }
}

impl ClassicMemberValue {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, BadRecord> {
        let member = Self {
            member_id: reader.string()?,
            group_instance_id: if version >= 3 { reader.nullable_string()? } else { None },
            client_id: reader.string()?,
            client_host: reader.string()?,
            rebalance_timeout_ms: if version >= 1 { reader.i32()? } else { -1 },
            session_timeout_ms: reader.i32()?,
            subscription: reader.bytes()?,
            assignment: reader.bytes()?,
        };
        reader.untagged()?;
        Ok(member)
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(&self.member_id);
        writer.nullable_string(self.group_instance_id.as_deref());
        writer.string(&self.client_id);
        writer.string(&self.client_host);
        writer.i32(self.rebalance_timeout_ms);
        writer.i32(self.session_timeout_ms);
        writer.bytes(&self.subscription);
        writer.bytes(&self.assignment);
    }
}
