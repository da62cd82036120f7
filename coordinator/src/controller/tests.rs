//! A world to try the rules in: an image, a configuration, a generator of ids, and a log of what was decided.

mod brokers;
mod cluster_random;
mod configs;
mod damage;
mod features;
mod heartbeats;
mod isr;
mod partitions;
mod quotas;
mod random;
mod reassignments;
mod topics;

use model::{BrokerId, Offset, TopicId};

use super::*;
use crate::{
    config::{AlterOp, ConfigAlteration},
    metadata::{ConfigResource, Endpoint, SecurityProtocol},
};

struct World {
    image: Image,
    config: BrokerConfig,
    /// Everything that was decided, as it would lie in the metadata log.
    log: Vec<Vec<u8>>,
    next_id: u128,
}

impl World {
    /// With so many brokers, numbered from 1, without racks.
    fn of(brokers: i32) -> Self {
        Self::with(brokers, &[])
    }

    fn with(brokers: i32, file: &[(&str, &str)]) -> Self {
        let config = BrokerConfig::parse(file.iter().copied()).unwrap();
        let mut world = Self { image: Image::new("c"), config, log: vec![], next_id: 1000 };
        for id in 1..=brokers {
            world.register(id, None);
        }
        world
    }

    fn register(&mut self, id: i32, rack: Option<&str>) {
        let asked = registration(id, rack);
        self.decide(|controller, _| controller.register_broker(&asked, false)).unwrap();
    }

    /// Decides, and applies what was decided.
    fn decide<T>(
        &mut self,
        rule: impl FnOnce(Controller<'_>, &mut dyn FnMut() -> TopicId) -> Decision<T>,
    ) -> T {
        let config = self.config.with_dynamic(&self.image);
        let mut new_id = || {
            self.next_id += 1;
            TopicId(self.next_id.to_be_bytes())
        };
        let decision = rule(Controller::new(&self.image, &config), &mut new_id);
        for record in &decision.records {
            self.image
                .apply(self.image.offset() + 1, record)
                .expect("the controller decides what can be applied");
            self.log.push(record.encode());
        }
        decision.answer
    }

    fn create(&mut self, topic: CreateTopic) -> Result<CreatedTopic, Refusal> {
        self.decide(|controller, new_id| controller.create_topics(&[topic], false, new_id)).pop().unwrap()
    }

    /// The fenced broker says that it has caught up.
    fn unfence(&mut self, id: i32) {
        let heartbeat = Heartbeat {
            broker: BrokerId(id),
            broker_epoch: self.image.broker(BrokerId(id)).unwrap().epoch,
            metadata_offset: self.image.offset(),
            want_fence: false,
            want_shut_down: false,
        };
        assert!(!self.decide(|c, _| c.heartbeat(&heartbeat)).unwrap().fenced);
    }

    /// Sets a config of topic "t".
    fn configure(&mut self, key: &str, value: &str) {
        let set = ConfigAlteration { key: key.to_owned(), op: AlterOp::Set, value: Some(value.to_owned()) };
        let resource = ConfigResource::Topic("t".to_owned());
        let asked = [AlterConfigsRequest { resource, configs: vec![set] }];
        self.decide(|c, _| c.alter_configs(&asked, false)).pop().unwrap().unwrap();
    }

    /// What the log alone gives.
    fn replayed(&self) -> Image {
        let mut image = Image::new("c");
        for (offset, bytes) in self.log.iter().enumerate() {
            let record = MetadataRecord::decode(bytes).expect("encoded above");
            image.apply(Offset(offset as i64), &record).expect("applied above");
        }
        image
    }
}

fn registration(id: i32, rack: Option<&str>) -> RegisterBroker {
    let endpoint = Endpoint {
        listener: "PLAINTEXT".to_owned(),
        protocol: SecurityProtocol::Plaintext,
        host: "localhost".to_owned(),
        port: 9092,
    };
    RegisterBroker {
        id: BrokerId(id),
        incarnation: [id as u8; 16],
        rack: rack.map(str::to_owned),
        endpoints: vec![endpoint],
        peer: None,
        directory_id: [id as u8; 16],
        fenced: false,
    }
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> CreateTopic {
    CreateTopic { name: name.to_owned(), partitions, replication_factor, ..CreateTopic::default() }
}

fn ids(ids: &[i32]) -> Vec<BrokerId> {
    ids.iter().copied().map(BrokerId).collect()
}

fn code<T: std::fmt::Debug>(answer: Result<T, Refusal>) -> ErrorCode {
    match answer {
        Ok(_) => ErrorCode::None,
        Err(refusal) => {
            assert!(refusal.message.ends_with('.'), "no sentence: {refusal:?}");
            refusal.code
        }
    }
}
