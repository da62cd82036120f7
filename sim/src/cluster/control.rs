//! The metadata, decided by the production controller in one place that never fails, and told to brokers late: each hears
//! of all images in their order, or of the last of several.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use coordinator::{
    BrokerConfig, Controller, Decision, Image, MetadataRecord,
    controller::{CreateTopic, RegisterBroker, Sessions},
};
use model::{BrokerId, Millis, Offset, PartitionIndex, TopicId, TopicPartition};
use rt::notify::Notify;

use super::{
    broker::{Broker, registration},
    network::{CONTROLLER, Network},
    plan::{Bug, Plan},
    scheduler::{Owner, Scheduler, WORLD},
};
use crate::trace::Trace;

pub const TOPIC: &str = "t";
pub const SESSION: Duration = Duration::from_millis(500);
pub const MIN_INSYNC: usize = 2;
pub const REPLICATION_FACTOR: i16 = 3;

pub struct Control {
    scheduler: Scheduler,
    network: Rc<Network>,
    trace: Trace,
    config: BrokerConfig,
    image: RefCell<Arc<Image>>,
    sessions: RefCell<Sessions>,
    changed: Notify,
}

impl Control {
    pub fn new(scheduler: Scheduler, network: Rc<Network>, trace: Trace, plan: &Plan) -> Rc<Self> {
        let unclean = (plan.bug == Some(Bug::ElectsAnybody)).to_string();
        let minimum = MIN_INSYNC.to_string();
        let file = [("min.insync.replicas", &minimum), ("unclean.leader.election.enable", &unclean)];
        let config = BrokerConfig::parse(file).unwrap_or_else(|why| panic!("{why:?}"));
        Rc::new(Self {
            scheduler,
            network,
            trace,
            config,
            image: RefCell::new(Arc::new(Image::new("c"))),
            sessions: RefCell::new(Sessions::new([], SESSION, Millis(0))),
            changed: Notify::new(),
        })
    }

    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    fn now(&self) -> Millis {
        Millis(self.scheduler.clock().now_us() / 1000)
    }

    /// Decides, and applies what was decided.
    pub fn decide<T>(&self, rule: impl FnOnce(Controller<'_>) -> Decision<T>) -> (T, Offset) {
        let mut image = (*self.image()).clone();
        let config = self.config.with_dynamic(&image);
        let Decision { answer, records } = rule(Controller::new(&image, &config));
        if !records.is_empty() {
            for record in &records {
                image.apply(image.offset() + 1, record).expect("the controller decides what can be applied");
                self.note(record);
            }
            self.image.replace(Arc::new(image));
            self.changed.wake_all();
        }
        let offset = self.image().offset();
        (answer, offset)
    }

    fn note(&self, record: &MetadataRecord) {
        let sum = u64::from(model::batch::crc32c(&record.encode()));
        self.trace.note("metadata", &[self.scheduler.clock().now_us(), sum]);
        if self.trace.is_told() {
            println!("{:>9} controller: {record:?}", self.scheduler.clock().now_us());
        }
    }

    /// A broker asks the controller. `None`: no answer came, and what it asked for may hold or not.
    pub async fn call<T>(&self, from: Owner, rule: impl FnOnce(&Self) -> T) -> Option<T> {
        if !self.network.travel(from, CONTROLLER).await {
            self.scheduler.clock().sleep_ms(200).await;
            return None;
        }
        let answer = rule(self);
        if !self.network.travel(CONTROLLER, from).await {
            self.scheduler.clock().sleep_ms(200).await;
            return None;
        }
        Some(answer)
    }

    pub fn heard(&self, broker: BrokerId) {
        self.sessions.borrow_mut().heard(broker, self.now());
    }

    pub fn is_live(&self, broker: BrokerId) -> bool {
        self.sessions.borrow().is_live(broker, self.now())
    }

    /// The brokers are known before they start, and usable: else nobody could be given replicas.
    pub fn register_first(&self, brokers: &[Rc<Broker>]) {
        for broker in brokers {
            let asked =
                RegisterBroker { fenced: false, ..registration(broker.id, [0; 16], broker.directory.get()) };
            self.decide(|controller| controller.register_broker(&asked, false))
                .0
                .unwrap_or_else(|why| panic!("{why}"));
        }
    }

    pub fn create_topic(&self, plan: &Plan) -> Vec<TopicPartition> {
        let indexes = (0..plan.partitions).map(PartitionIndex);
        let replicas = |index: PartitionIndex| {
            (0..i32::from(REPLICATION_FACTOR)).map(|n| BrokerId(1 + (index.0 + n) % plan.brokers)).collect()
        };
        let topic = CreateTopic {
            name: TOPIC.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: indexes.clone().map(|index| (index, replicas(index))).collect(),
            configs: vec![],
        };
        let id = TopicId([9; 16]);
        let (mut answer, _) = self.decide(|controller| controller.create_topics(&[topic], false, &mut || id));
        answer.pop().expect("one topic").unwrap_or_else(|why| panic!("{why}"));
        indexes.map(|index| TopicPartition::new(id, index)).collect()
    }

    /// Fences whose session is over, for ever.
    pub async fn run_sessions(self: Rc<Self>) {
        loop {
            self.scheduler.clock().sleep_ms(20).await;
            let expired = self.sessions.borrow().expired(self.now());
            for broker in expired {
                self.decide(|controller| controller.fence(broker));
                self.sessions.borrow_mut().forget(broker);
            }
        }
    }

    /// Gives leadership back, for ever.
    pub async fn run_rebalancing(self: Rc<Self>, interval_ms: u64) {
        loop {
            self.scheduler.clock().sleep_ms(interval_ms).await;
            self.decide(|controller| controller.preferred_imbalance(100));
        }
    }

    pub fn start(self: &Rc<Self>, moves: bool) {
        self.scheduler.spawn(WORLD, Box::pin(self.clone().run_sessions()));
        if moves {
            self.scheduler.spawn(WORLD, Box::pin(self.clone().run_rebalancing(300)));
        }
    }
}
