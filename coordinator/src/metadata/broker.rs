//! One broker as the image has it.

use model::{BrokerId, Offset};

use super::record::{BrokerRecord, BrokerRegistrationRecord, Endpoint, MetadataRecord, PeerAddress};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    pub id: BrokerId,
    /// Tells two lives of one broker apart.
    pub epoch: i64,
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    pub peer: Option<PeerAddress>,
    pub directory_id: [u8; 16],
}

impl Broker {
    /// May it be given replicas and leadership?
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// The record that makes the broker so; its epoch is not in it.
    pub fn to_record(&self) -> MetadataRecord {
        MetadataRecord::BrokerRegistration(BrokerRegistrationRecord {
            id: self.id,
            incarnation: self.incarnation,
            rack: self.rack.clone(),
            endpoints: self.endpoints.clone(),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            peer: self.peer.clone(),
            directory_id: self.directory_id,
        })
    }
}

/// With no epoch yet: `put_broker` gives it.
impl From<&BrokerRecord> for Broker {
    fn from(record: &BrokerRecord) -> Self {
        Self {
            id: record.id,
            epoch: Offset::NONE.0,
            incarnation: record.incarnation,
            rack: record.rack.clone(),
            endpoints: record.endpoints.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: false,
            peer: None,
            directory_id: [0; 16],
        }
    }
}

/// With no epoch yet: `put_broker` gives it.
impl From<&BrokerRegistrationRecord> for Broker {
    fn from(record: &BrokerRegistrationRecord) -> Self {
        Self {
            id: record.id,
            epoch: Offset::NONE.0,
            incarnation: record.incarnation,
            rack: record.rack.clone(),
            endpoints: record.endpoints.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            peer: record.peer.clone(),
            directory_id: record.directory_id,
        }
    }
}
