//! Everything a request handler of one shard can reach. Built once per shard by the binary, which also opens and closes
//! the partitions in `table`; nothing here touches a socket.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use coordinator::{
    BrokerConfig, ConfigResource, Image, TopicConfig,
    metadata::{Endpoint, Topic},
};
use engine::{Disk, Store};
use model::{BrokerId, ErrorCode, ShardId, TopicId};
use replication::PartitionTable;
use rt::notify::Notify;
use rustc_hash::FxHashMap;

use crate::{
    clock::Clock,
    connection::budget::FrameBudget,
    control::{ControlPort, Images},
    host::Host,
    jobs,
    mesh::{Asks, Link, Message},
    metrics::{Metrics, Scrapes, run_snapshots},
    owner::{AskId, Owner, ReplyTo},
    pressure::Pressure,
    producer_ids::ProducerIds,
    quotas::Quotas,
    request::Peer,
    sessions::FetchSessions,
    transit::Transit,
};

/// An image counted on this shard before it is counted among shards: handlers take and drop it many times a second, and the
/// outer counter shares its cache line with nobody.
pub type LocalImage = Rc<Arc<Image>>;

/// What a shard is made of.
pub struct ShardParts<D: Disk> {
    pub id: ShardId,
    pub count: u16,
    /// As started; dynamic configs of the image are laid over it.
    pub config: BrokerConfig,
    pub image: Arc<Image>,
    pub store: Rc<Store<D>>,
    pub table: Rc<PartitionTable<D>>,
    pub link: Rc<dyn Link>,
    pub clock: Clock,
    pub host: Host,
}

pub struct Shard<D: Disk> {
    id: ShardId,
    count: u16,
    started_with: BrokerConfig,
    config: RefCell<Rc<BrokerConfig>>,
    image: RefCell<LocalImage>,
    topic_configs: RefCell<FxHashMap<TopicId, Rc<TopicConfig>>>,
    owner: Rc<Owner<D>>,
    asks: Rc<Asks<D>>,
    link: Rc<dyn Link>,
    control: ControlPort,
    images: Images,
    pressure: Pressure,
    transit: Rc<Transit>,
    starved: Notify,
    pub(crate) frames: Rc<FrameBudget>,
    pub(crate) sessions: RefCell<FetchSessions>,
    pub(crate) producer_ids: ProducerIds,
    quotas: Quotas,
    metrics: Metrics,
    scrapes: Scrapes,
    clock: Clock,
    host: Host,
}

impl<D: Disk> Shard<D> {
    pub fn new(parts: ShardParts<D>) -> Rc<Self> {
        let ShardParts { id, count, config, image, store, table, link, clock, host } = parts;
        assert!(id.0 < count, "shard {id} of {count}");
        let in_force = config.with_dynamic(&image);
        let owner = Rc::new(Owner::new(store, table, link.clone(), clock, &in_force));
        owner.follow(&image, &[], &in_force);
        let slots = usize::try_from(in_force.max_incremental_fetch_session_cache_slots).unwrap_or(0);
        let seed = clock.wall().0 as u64;
        let transit = Rc::new(Transit::new(count));
        let quotas = Quotas::new(count, &image, &in_force);
        let frame_bytes_max = in_force.socket_request_max_bytes;
        Rc::new(Self {
            id,
            count,
            config: RefCell::new(Rc::new(in_force)),
            started_with: config,
            image: RefCell::new(Rc::new(image)),
            topic_configs: RefCell::default(),
            asks: Rc::new(Asks::new(id, owner.clone(), link.clone(), transit.clone())),
            owner,
            control: ControlPort::new(id, link.clone()),
            images: Images::new(id, count, link.clone()),
            pressure: Pressure::new(id, count, link.clone()),
            transit,
            starved: Notify::new(),
            scrapes: Scrapes::new(id, link.clone()),
            frames: FrameBudget::new(usize::try_from(frame_bytes_max).unwrap_or(0)),
            link,
            sessions: RefCell::new(FetchSessions::new(id, count, slots.div_ceil(usize::from(count)), seed)),
            producer_ids: ProducerIds::default(),
            quotas,
            metrics: Metrics::default(),
            clock,
            host,
        })
    }

    pub fn id(&self) -> ShardId {
        self.id
    }
    pub fn count(&self) -> u16 {
        self.count
    }
    pub fn broker(&self) -> BrokerId {
        self.started_with.node_id
    }
    /// Whether the controller may be another broker.
    pub fn forwards(&self) -> bool {
        self.started_with.quorum.is_some()
    }
    pub fn config(&self) -> Rc<BrokerConfig> {
        self.config.borrow().clone()
    }
    pub fn image(&self) -> Arc<Image> {
        (**self.image.borrow()).clone()
    }
    /// The same, for use on this shard only: cheaper to take.
    pub fn local_image(&self) -> LocalImage {
        self.image.borrow().clone()
    }
    pub fn owner(&self) -> &Rc<Owner<D>> {
        &self.owner
    }
    pub fn table(&self) -> &Rc<PartitionTable<D>> {
        self.owner.table()
    }
    pub fn store(&self) -> &Rc<Store<D>> {
        self.owner.store()
    }
    pub fn asks(&self) -> &Rc<Asks<D>> {
        &self.asks
    }
    pub fn control(&self) -> &ControlPort {
        &self.control
    }
    pub fn images(&self) -> &Images {
        &self.images
    }
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
    pub(crate) fn scrapes(&self) -> &Scrapes {
        &self.scrapes
    }

    pub(crate) fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    pub fn host(&self) -> &Host {
        &self.host
    }
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// This shard acts on `image` from now on: its partitions are open and closed as the image says. Tells shard 0.
    pub fn apply_image(&self, image: Arc<Image>) {
        let offset = image.offset();
        let before = self.image.replace(Rc::new(image.clone()));
        let delta = before.delta(&image);
        let mut configs = self.topic_configs.borrow_mut();
        if delta.broker_configs_changed {
            configs.clear();
            *self.config.borrow_mut() = Rc::new(self.started_with.with_dynamic(&image));
        }
        for topic in delta.vanished.iter().chain(&delta.changed) {
            configs.remove(&topic.id);
        }
        drop(configs);
        delta.vanished.iter().for_each(|topic| self.metrics.topic_gone(topic.id));
        if delta.quotas_changed {
            self.quotas.follow(&image, &self.config());
        }
        self.owner.follow(&image, &delta.vanished, &self.config());
        self.images.applied(offset);
    }

    /// What is configured of a topic, resolved once per change of the metadata.
    pub fn topic_config(&self, topic: &Topic) -> Rc<TopicConfig> {
        if let Some(config) = self.topic_configs.borrow().get(&topic.id) {
            return config.clone();
        }
        let config = Rc::new(TopicConfig::resolve(&topic.name, &self.local_image(), &self.config()));
        self.topic_configs.borrow_mut().insert(topic.id, config.clone());
        config
    }

    pub fn own_config_resource(&self) -> ConfigResource {
        ConfigResource::Broker(self.broker())
    }

    /// Where clients of this listener reach a broker.
    pub fn endpoint_of(&self, broker: BrokerId, peer: &Peer) -> Result<(String, u16), ErrorCode> {
        let image = self.local_image();
        let config = self.config();
        let endpoints: &[Endpoint] = if broker == self.broker() {
            &config.advertised_listeners
        } else {
            &image.broker(broker).ok_or(ErrorCode::BrokerNotAvailable)?.endpoints
        };
        let found =
            endpoints.iter().find(|e| *e.listener == *peer.listener).ok_or(ErrorCode::ListenerNotFound)?;
        // Nothing is advertised: the address by which this client reached us serves it again.
        let host = if found.host.is_empty() { peer.local.to_string() } else { found.host.clone() };
        Ok((host, found.port))
    }

    /// One message of another shard. What is ordered is done on return.
    pub fn receive(&self, from: ShardId, message: Message) {
        match message {
            Message::Ask(number, ask) => {
                let bytes = ask.bytes();
                self.owner.start(AskId { from, number }, ask, ReplyTo::Shard);
                if let Some(bytes) = self.transit.took(from, bytes) {
                    self.link.send(from, Message::Taken(bytes));
                }
                if !self.store().has_room() {
                    self.pressure.announce();
                }
            }
            Message::Answer(number, answer) => self.asks.answered(number, answer),
            Message::Forget(number) => self.owner.forget(AskId { from, number }),
            Message::Taken(bytes) => self.transit.taken(bytes),
            Message::Propose(number, proposal) => self.control.proposed(from, number, proposal),
            Message::Decided(number, outcome) => self.control.decided(number, outcome),
            Message::Image(image) => self.images.arrived(image),
            Message::Pressed(pressed) => self.pressure.heard(from, pressed),
            Message::Applied(offset) => self.images.applied_by(from, offset),
            Message::Scrape(number) => self.scrapes.asked_by(from, number),
            Message::Scraped(number, snapshot) => self.scrapes.answered(number, *snapshot),
        }
    }

    /// May this shard take in more work? If not, its sockets are not read.
    pub fn has_room(&self) -> bool {
        let others_have_room = self.pressure.others_have_room() && self.transit.has_room();
        self.store().has_room() && !self.link.is_clogged() && others_have_room
    }

    pub async fn room(&self) {
        while !self.has_room() {
            self.starved.wake_all();
            self.store().room().await;
            self.link.unclogged().await;
            self.pressure.eased().await;
            self.transit.room().await;
            if self.store().failure().is_some() {
                // Room for records never comes back; requests go on and are refused one by one.
                return;
            }
        }
    }

    /// Waits until somebody waits for room.
    pub(crate) async fn starved(&self) {
        self.starved.wait().await;
    }

    #[cfg(test)]
    pub(crate) fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    /// Tells the other shards when this one has room again, for ever. One pump a shard.
    pub(crate) async fn run_pressure(&self) {
        loop {
            self.pressure.announced().await;
            // If the store failed there is nothing to wait for: what comes is refused.
            self.store().room().await;
            self.pressure.ease();
        }
    }

    /// Starts the tasks that every shard runs: group commit, wakes, deadlines, workers. Call it once, on the shard.
    pub fn spawn_pumps(self: &Rc<Self>) {
        let (table, store) = (self.table().clone(), self.store().clone());
        rt::spawn(async move { table.run_commits(&store).await });
        let table = self.table().clone();
        rt::spawn(async move { table.run_deadlines().await });
        let owner = self.owner.clone();
        rt::spawn(async move { owner.run_wakes().await });
        let groups = self.owner.groups().clone();
        rt::spawn(async move { groups.run_deadlines().await });
        let shard = self.clone();
        rt::spawn(async move { shard.run_pressure().await });
        rt::spawn_background(run_snapshots(self.clone()));
        for _ in 0..jobs::WORKERS {
            let owner = self.owner.clone();
            rt::spawn(async move { owner.run_worker().await });
        }
    }

    /// Takes messages of the other shards, for ever. One pump a shard.
    pub async fn run_mesh(&self, mesh: rt::Mesh<Message>) {
        loop {
            let (from, message) = mesh.recv().await;
            self.receive(from, message);
            rt::yield_if_needed().await;
        }
    }
}
