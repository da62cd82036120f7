//! Brokers register.

use model::{BrokerId, ErrorCode};

use super::{BROKERS_MAX, Controller, Decision, Refusal};
use crate::{
    config::BrokerConfig,
    metadata::{Endpoint, MetadataRecord, record::BrokerRecord},
};

/// What a broker says of itself at its start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterBroker {
    pub id: BrokerId,
    /// Random for each start of the process.
    pub incarnation: [u8; 16],
    pub rack: Option<String>,
    /// As clients are told: with a host each.
    pub endpoints: Vec<Endpoint>,
}

impl RegisterBroker {
    /// `host` stands in where the configuration names none.
    pub fn from_config(config: &BrokerConfig, incarnation: [u8; 16], host: &str) -> Self {
        let mut endpoints = config.advertised_listeners.clone();
        for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.host.is_empty()) {
            host.clone_into(&mut endpoint.host);
        }
        Self { id: config.node_id, incarnation, rack: config.broker_rack.clone(), endpoints }
    }
}

impl Controller<'_> {
    /// The broker is usable from the commit on. A new incarnation takes the place of the old one; the same one again with
    /// nothing new needs no record.
    pub fn register_broker(&self, asked: &RegisterBroker) -> Decision<Result<(), Refusal>> {
        if let Err(refusal) = self.check_registration(asked) {
            return Decision { answer: Err(refusal), records: vec![] };
        }
        let record = BrokerRecord {
            id: asked.id,
            incarnation: asked.incarnation,
            rack: asked.rack.clone(),
            endpoints: asked.endpoints.clone(),
            fenced: false,
        };
        let known = self.image.broker(asked.id).is_some_and(|broker| {
            let same_life = broker.incarnation == record.incarnation && !broker.fenced;
            same_life && broker.rack == record.rack && broker.endpoints == record.endpoints
        });
        let records = if known { vec![] } else { vec![MetadataRecord::Broker(record)] };
        Decision { answer: Ok(()), records }
    }

    fn check_registration(&self, asked: &RegisterBroker) -> Result<(), Refusal> {
        let why = if asked.id.0 < 0 {
            format!("{} is no broker id; ids begin at 0.", asked.id)
        } else if asked.endpoints.is_empty() {
            "The broker has no listener; give it at least one.".to_owned()
        } else if asked.endpoints.len() > ENDPOINTS_MAX {
            format!("The broker has more than {ENDPOINTS_MAX} listeners.")
        } else if asked.endpoints.iter().any(|e| e.host.is_empty() || e.port == 0) {
            "Each listener of a broker needs the host and the port that clients use.".to_owned()
        } else if texts(asked).any(|text| text.len() > TEXT_BYTES_MAX) {
            format!("A listener's name, a host or a rack has more than {TEXT_BYTES_MAX} bytes.")
        } else if self.image.broker(asked.id).is_none() && self.image.brokers().len() >= BROKERS_MAX {
            format!("{BROKERS_MAX} brokers are registered, which is the most there may be.")
        } else {
            return Ok(());
        };
        Err(Refusal::new(ErrorCode::InvalidRequest, why))
    }
}

const ENDPOINTS_MAX: usize = 64;
/// As long as a host name can be.
const TEXT_BYTES_MAX: usize = 255;

fn texts(asked: &RegisterBroker) -> impl Iterator<Item = &String> {
    asked.endpoints.iter().flat_map(|endpoint| [&endpoint.listener, &endpoint.host]).chain(&asked.rack)
}
