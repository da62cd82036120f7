//! Brokers register, and are forgotten.

use model::{BrokerId, ErrorCode};

use super::{
    BROKERS_MAX, Controller, Decision, Refusal,
    change::{Changes, Target},
    election::Standing,
    heartbeats::{CHANGES_MAX, tells_of},
};
use crate::{
    config::BrokerConfig,
    metadata::{Broker, Endpoint, MetadataRecord, PeerAddress, UnregisterBrokerRecord},
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
    /// None: the broker is alone.
    pub peer: Option<PeerAddress>,
    /// Drawn once for each data folder; zero if the broker does not say.
    pub directory_id: [u8; 16],
    /// As brokers of a cluster register: to be usable only from the heartbeat on that says they have caught up.
    pub fenced: bool,
}

impl RegisterBroker {
    /// As a lone broker registers. `host` stands in where the configuration names none.
    pub fn from_config(config: &BrokerConfig, incarnation: [u8; 16], host: &str) -> Self {
        let mut endpoints = config.advertised_listeners.clone();
        for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.host.is_empty()) {
            host.clone_into(&mut endpoint.host);
        }
        Self {
            id: config.node_id,
            incarnation,
            rack: config.broker_rack.clone(),
            endpoints,
            peer: None,
            directory_id: [0; 16],
            fenced: false,
        }
    }
}

impl Controller<'_> {
    /// A new incarnation takes the place of the old one, unless that `is_live`: its session goes on. What the old one had
    /// in sync the new one must show again, and with another disk it has nothing. The same incarnation again keeps its
    /// standing, and with nothing new it needs no record. The epoch of the broker is in the image that has the records.
    pub fn register_broker(&self, asked: &RegisterBroker, is_live: bool) -> Decision<Result<(), Refusal>> {
        if let Err(refusal) = self.check_registration(asked, is_live) {
            return Decision { answer: Err(refusal), records: vec![] };
        }
        let before = self.image.broker(asked.id);
        let same_life = before.filter(|broker| broker.incarnation == asked.incarnation);
        let broker = Broker {
            id: asked.id,
            epoch: before.map_or(model::Offset::NONE.0, |broker| broker.epoch),
            incarnation: asked.incarnation,
            rack: asked.rack.clone(),
            endpoints: asked.endpoints.clone(),
            fenced: asked.fenced && same_life.is_none_or(|broker| broker.fenced),
            in_controlled_shutdown: asked.fenced
                && same_life.is_some_and(|broker| broker.in_controlled_shutdown),
            peer: asked.peer.clone(),
            directory_id: asked.directory_id,
        };
        if before == Some(&broker) {
            return Decision { answer: Ok(()), records: vec![] };
        }
        let lost = before
            .is_some_and(|old| old.directory_id != NO_DIRECTORY && old.directory_id != asked.directory_id);
        let records = self.registered(&broker, same_life.is_none(), lost);
        if broker.fenced && !tells_of(&records, broker.id) {
            let sentence =
                format!("What an earlier life of broker {} led is still given to others.", broker.id);
            let refusal = Refusal::new(ErrorCode::DuplicateBrokerRegistration, sentence);
            return Decision { answer: Err(refusal), records };
        }
        Decision { answer: Ok(()), records }
    }

    /// A fenced broker leaves first and is registered then, a usable one the other way round, so that each record alone
    /// leaves things in order. Out of very many partitions it leaves in several steps, of which the last registers it.
    fn registered(&self, broker: &Broker, new_life: bool, lost: bool) -> Vec<MetadataRecord> {
        let standing = match broker {
            _ if broker.is_active() => Standing::Active,
            _ if broker.fenced => Standing::Away,
            _ => Standing::Leaving,
        };
        let mut changes = Changes::with(*self, broker.id, standing);
        if !broker.fenced {
            changes.records.push(broker.to_record());
        }
        for (topic, index, partition) in self.partitions_of(broker.id) {
            let target = match (lost, new_life) {
                (true, _) => Target::without_lost(partition, broker.id),
                (false, true) => Target::without(partition, broker.id),
                (false, false) => Target::of(partition),
            };
            if broker.fenced && changes.records.len() >= CHANGES_MAX {
                return changes.records;
            }
            changes.push(topic, index, partition, target);
        }
        if broker.fenced {
            changes.records.push(broker.to_record());
        }
        changes.records
    }

    /// The broker is forgotten, and with it which disk it had: should one of that id come again, nothing says that it has
    /// any records, so it leaves even where it was the last in sync. It stays a replica, as in Apache Kafka, until
    /// somebody moves its partitions.
    pub fn unregister_broker(&self, id: BrokerId) -> Decision<Result<(), Refusal>> {
        if self.image.broker(id).is_none() {
            let refusal =
                Refusal::new(ErrorCode::BrokerIdNotRegistered, format!("Broker {id} is not registered."));
            return Decision { answer: Err(refusal), records: vec![] };
        }
        let mut changes = Changes::with(*self, id, Standing::Away);
        for (topic, index, partition) in self.partitions_of(id) {
            if changes.records.len() >= CHANGES_MAX {
                let sentence =
                    format!("Broker {id} is out of {CHANGES_MAX} partitions, and in more; ask again.");
                let refusal = Refusal::new(ErrorCode::RequestTimedOut, sentence);
                return Decision { answer: Err(refusal), records: changes.records };
            }
            changes.push(topic, index, partition, Target::without_lost(partition, id));
        }
        changes.records.push(MetadataRecord::UnregisterBroker(UnregisterBrokerRecord { id }));
        Decision { answer: Ok(()), records: changes.records }
    }

    fn check_registration(&self, asked: &RegisterBroker, is_live: bool) -> Result<(), Refusal> {
        let other = |broker: &&Broker| broker.incarnation != asked.incarnation;
        if is_live && self.image.broker(asked.id).filter(other).is_some() {
            let sentence = format!(
                "Another broker {} is alive. Give this one another node.id, or wait for the other's session to end.",
                asked.id
            );
            return Err(Refusal::new(ErrorCode::DuplicateBrokerRegistration, sentence));
        }
        let why = if asked.id.0 < 0 {
            format!("{} is no broker id; ids begin at 0.", asked.id)
        } else if asked.endpoints.is_empty() {
            "The broker has no listener; give it at least one.".to_owned()
        } else if asked.endpoints.len() > ENDPOINTS_MAX {
            format!("The broker has more than {ENDPOINTS_MAX} listeners.")
        } else if asked.endpoints.iter().any(|e| e.host.is_empty() || e.port == 0) {
            "Each listener of a broker needs the host and the port that clients use.".to_owned()
        } else if asked.peer.as_ref().is_some_and(|peer| !is_reachable(peer)) {
            "The address for other brokers needs a host, a port above 0, and as many ports as there are shards."
                .to_owned()
        } else if let Some(owner) = self.owner_of(asked.directory_id).filter(|owner| *owner != asked.id) {
            format!(
                "The data folder belongs to broker {owner}; a copy of it cannot serve as another broker's."
            )
        } else if texts(asked).any(|text| text.len() > TEXT_BYTES_MAX) {
            format!("A listener's name, a host or a rack has more than {TEXT_BYTES_MAX} bytes.")
        } else if self.image.broker(asked.id).is_none() && self.image.brokers().len() >= BROKERS_MAX {
            format!("{BROKERS_MAX} brokers are registered, which is the most there may be.")
        } else {
            return Ok(());
        };
        Err(Refusal::new(ErrorCode::InvalidRequest, why))
    }

    fn owner_of(&self, directory_id: [u8; 16]) -> Option<BrokerId> {
        let owns = |broker: &&Broker| broker.directory_id == directory_id && directory_id != NO_DIRECTORY;
        self.image.brokers().find(owns).map(|broker| broker.id)
    }
}

const NO_DIRECTORY: [u8; 16] = [0; 16];

const ENDPOINTS_MAX: usize = 64;
/// As long as a host name can be.
const TEXT_BYTES_MAX: usize = 255;

fn texts(asked: &RegisterBroker) -> impl Iterator<Item = &String> {
    let of_endpoints = asked.endpoints.iter().flat_map(|endpoint| [&endpoint.listener, &endpoint.host]);
    of_endpoints.chain(&asked.rack).chain(asked.peer.as_ref().map(|peer| &peer.host))
}

fn is_reachable(peer: &PeerAddress) -> bool {
    let last = peer.shards.checked_sub(1).and_then(|more| peer.port.checked_add(more));
    !peer.host.is_empty() && peer.port > 0 && last.is_some()
}
