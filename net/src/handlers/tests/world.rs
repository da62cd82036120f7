//! A broker in the hand: some shards on one disk in memory, messages between them in queues, a controller that decides at
//! once, and a loop that polls everything.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use coordinator::{
    BrokerConfig, Controller, Image, MetadataRecord, Refusal, TopicConfig,
    controller::{CreateTopic, Reassignment, RegisterBroker},
    metadata::PartitionRecord,
};
use engine::{
    Disk, Durability, LogConfig, Store, StoreOptions, disk::mem::MemDisk, index::IndexLimits, journal,
};
use model::{
    BrokerId, ErrorCode, LeaderEpoch, Millis, Offset, PartitionIndex, ShardId, Timestamp, TopicId,
    TopicPartition,
    batch::record::{Producer, batch_of},
};
use replication::{Partition, PartitionState, PartitionTable};
use rt::pages::PagePool;

use crate::{
    clock::Clock,
    control::{Outcome, Proposal, Reassign},
    handlers::{Step, dispatch},
    host::{Host, LogLevel, Loggers},
    mesh::{Link, Message},
    quorum::{ChangeVoters, QuorumReplica, QuorumState, VoterChange},
    request::{Peer, Request},
    response::Response,
    shard::{Shard, ShardParts},
    wire::{ApiKey, RequestBody, ResponseHeader, Writer, write_request},
};

pub(crate) const BROKER: BrokerId = BrokerId(7);
/// Where every clock stands when a world begins.
pub(crate) const START: Millis = Millis(10_000);
pub(crate) const WALL: Timestamp = Timestamp(1_700_000_000_000);

/// Rounds in which nothing that can still happen is left out.
const ROUNDS: usize = 400;

thread_local! {
    static NOW: Cell<Millis> = const { Cell::new(START) };
    static FINE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static WORK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Between two looks at it so much has passed as a test says that work takes.
fn fine() -> Duration {
    FINE.replace(FINE.get() + WORK.get())
}

/// What every world's data directory is called in `meta.properties`.
pub(crate) const DIRECTORY: [u8; 16] = [0xd1; 16];

fn host() -> Host {
    Host { directory_id: DIRECTORY, loggers: Arc::new(Levels::default()) }
}

/// Loggers that are there, "root" and "net", and log nothing.
#[derive(Default)]
struct Levels(Mutex<BTreeMap<String, LogLevel>>);

impl Loggers for Levels {
    fn levels(&self) -> Vec<(String, LogLevel)> {
        let set = self.0.lock().unwrap();
        ["net", "root"].map(|n| (n.to_owned(), set.get(n).copied().unwrap_or(LogLevel::Info))).into()
    }

    fn change(
        &self,
        changes: &[(String, Option<LogLevel>)],
        validate_only: bool,
    ) -> Result<(), (ErrorCode, String)> {
        if let Some((name, _)) = changes.iter().find(|(name, _)| name != "net" && name != "root") {
            return Err((ErrorCode::InvalidConfig, format!("There is no logger {name}.")));
        }
        for (name, level) in changes.iter().filter(|_| !validate_only) {
            let mut set = self.0.lock().unwrap();
            match level {
                Some(level) => set.insert(name.clone(), *level),
                None => set.remove(name),
            };
        }
        Ok(())
    }
}

type Pump = Pin<Box<dyn Future<Output = ()>>>;
type Wires = Rc<RefCell<VecDeque<(ShardId, ShardId, Message)>>>;

struct Wire {
    from: ShardId,
    wires: Wires,
}

impl Link for Wire {
    fn send(&self, to: ShardId, message: Message) {
        self.wires.borrow_mut().push_back((self.from, to, message));
    }
    fn is_clogged(&self) -> bool {
        false
    }
    fn unclogged(&self) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        Box::pin(std::future::ready(()))
    }
}

pub(crate) struct World {
    pub(crate) shards: Vec<Rc<Shard<MemDisk>>>,
    pub(crate) disk: MemDisk,
    wires: Wires,
    pumps: Vec<Pump>,
    peer: Rc<Peer>,
    /// Messages that crossed shards so far.
    pub(crate) crossed: usize,
}

/// What a client sees of a request.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A whole frame without its length.
    Answer(Vec<u8>),
    Silent,
    Closed(String),
}

impl Seen {
    /// The body of the answer.
    pub(crate) fn body(&self, key: ApiKey, version: i16) -> &[u8] {
        let Self::Answer(frame) = self else { panic!("no answer: {self:?}") };
        let (header, body) = ResponseHeader::decode(frame, key, version).unwrap();
        assert_eq!(header.correlation_id, 99);
        body
    }
}

/// A request under way.
pub(crate) struct Started(Option<Step>);

impl World {
    pub(crate) fn of(shards: u16) -> Self {
        Self::with(shards, &[])
    }

    pub(crate) fn with(shard_count: u16, file: &[(&str, &str)]) -> Self {
        NOW.set(START);
        WORK.set(Duration::ZERO);
        let own = [
            ("node.id", "7"),
            ("listeners", "PLAINTEXT://broker:9092,OTHER://elsewhere:9093"),
            ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT"),
        ];
        let config = BrokerConfig::parse(own.iter().chain(file).copied()).unwrap();
        let disk = MemDisk::new(1);
        disk.put(&Path::new("/data").join("meta.properties"), vec![]);
        let wires = Wires::default();
        let mut world = Self {
            shards: vec![],
            disk: disk.clone(),
            wires: wires.clone(),
            pumps: vec![],
            peer: Rc::new(peer("PLAINTEXT")),
            crossed: 0,
        };
        for id in (0..shard_count).map(ShardId) {
            let link = Rc::new(Wire { from: id, wires: wires.clone() });
            let store = block_on(start_store(disk.clone(), id.0));
            let parts = ShardParts {
                id,
                count: shard_count,
                config: config.clone(),
                image: Arc::new(Image::new("cluster-1")),
                store,
                table: Rc::new(PartitionTable::default()),
                link,
                clock: Clock::new(|| NOW.get(), || WALL, fine),
                host: host(),
            };
            world.shards.push(Shard::new(parts));
        }
        for shard in world.shards.clone() {
            world.start_pumps(shard);
        }
        world.pumps.push(Box::pin(control(world.shards[0].clone())));
        world.settle();
        world
    }

    fn start_pumps(&mut self, shard: Rc<Shard<MemDisk>>) {
        let (table, store) = (shard.table().clone(), shard.store().clone());
        self.pumps.push(Box::pin(async move { table.run_commits(&store).await }));
        let owner = shard.owner().clone();
        self.pumps.push(Box::pin(async move { owner.run_wakes().await }));
        let owner = shard.owner().clone();
        self.pumps.push(Box::pin(async move { owner.run_worker().await }));
        self.pumps.push(Box::pin(follow(shard)));
    }

    /// One more round of everything but the request itself.
    fn round(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        self.pumps.retain_mut(|pump| pump.as_mut().poll(&mut cx).is_pending());
        self.settle_messages();
    }

    /// Delivers what shards have sent, and moves nothing else.
    pub(crate) fn settle_messages(&mut self) {
        loop {
            let next = self.wires.borrow_mut().pop_front();
            let Some((from, to, message)) = next else { break };
            self.crossed += 1;
            self.shards[usize::from(to.0)].receive(from, message);
        }
    }

    pub(crate) fn settle(&mut self) {
        for _ in 0..ROUNDS {
            self.round();
        }
    }

    /// Moves every clock and ends what was to last until then.
    pub(crate) fn pass(&mut self, ms: u64) {
        NOW.set(Millis(NOW.get().0 + ms));
        for shard in &self.shards {
            shard.table().expire(NOW.get());
        }
    }

    pub(crate) fn image(&self) -> Arc<Image> {
        self.shards[0].image()
    }

    pub(crate) fn topic_id(&self, name: &str) -> TopicId {
        self.image().topic(name).unwrap().id
    }

    /// Another broker is there, usable and on another disk.
    pub(crate) fn broker(&mut self, id: BrokerId) {
        self.broker_in(id, None);
    }

    /// One in that rack.
    pub(crate) fn broker_in(&mut self, id: BrokerId, rack: Option<&str>) {
        let shard = self.shards[0].clone();
        let mut asked = RegisterBroker::from_config(&shard.config(), [2; 16], "other");
        let directory = DIRECTORY.map(|byte| byte + u8::try_from(id.0 - BROKER.0).unwrap());
        (asked.id, asked.directory_id) = (id, directory);
        asked.rack = rack.map(str::to_owned);
        let proposal = Proposal::RegisterBroker(asked);
        let outcome = self.drive(async move { shard.control().propose(proposal).await });
        assert_eq!(outcome, Some(Outcome::RegisterBroker(Ok(()))));
    }

    /// Creates a topic and answers its id.
    pub(crate) fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> TopicId {
        let configs = configs.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect();
        let topic = CreateTopic {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            configs,
            ..CreateTopic::default()
        };
        let shard = self.shards[0].clone();
        let proposal = Proposal::CreateTopics { topics: vec![topic], validate_only: false };
        let outcome =
            self.drive(async move { shard.control().propose(proposal).await }).expect("decides at once");
        let Outcome::CreateTopics(mut created) = outcome else { panic!("{outcome:?}") };
        created.pop().unwrap().unwrap().id
    }

    /// Partitions go to other brokers, in their epochs; each alone has what it got.
    pub(crate) fn moves(&mut self, topic: &str, moves: &[(i32, BrokerId, LeaderEpoch)]) {
        self.tells(topic, moves);
        for &(index, ..) in moves {
            let id = TopicPartition::new(self.topic_id(topic), PartitionIndex(index));
            self.owner(topic, index).table().remove(id);
        }
    }

    /// This broker leads a partition in a new epoch.
    pub(crate) fn leads(&mut self, topic: &str, index: i32, epoch: LeaderEpoch) {
        self.tells(topic, &[(index, BROKER, epoch)]);
        self.partition(topic, index).set_state(&PartitionState::alone(BROKER, epoch), NOW.get());
    }

    /// The metadata alone says who leads, of partitions with one replica.
    fn tells(&mut self, topic: &str, leaders: &[(i32, BrokerId, LeaderEpoch)]) {
        let topic = self.topic_id(topic);
        let record = |&(index, leader, leader_epoch): &(i32, BrokerId, LeaderEpoch)| {
            MetadataRecord::Partition(PartitionRecord {
                topic,
                index: PartitionIndex(index),
                leader: Some(leader),
                leader_epoch,
                replicas: vec![leader],
                isr: vec![leader],
                partition_epoch: 1,
            })
        };
        let (shard, records) = (self.shards[0].clone(), leaders.iter().map(record).collect());
        self.drive(async move { publish(&shard, records).await }).expect("every shard takes it");
    }

    /// The shard that owns a partition.
    pub(crate) fn owner(&self, topic: &str, partition: i32) -> &Rc<Shard<MemDisk>> {
        let id = TopicPartition::new(self.topic_id(topic), PartitionIndex(partition));
        &self.shards[usize::from(id.owner(self.shards.len() as u16).0)]
    }

    pub(crate) fn partition(&self, topic: &str, partition: i32) -> Rc<Partition<MemDisk>> {
        let id = TopicPartition::new(self.topic_id(topic), PartitionIndex(partition));
        self.owner(topic, partition).table().find(id).unwrap()
    }

    /// A request of a connection to shard 0, through its first step.
    pub(crate) fn start<B: RequestBody>(&self, version: i16, body: &B) -> Started {
        let mut writer = Writer::new();
        write_request(body, version, 99, Some("tests"), &mut writer);
        self.start_frame(&writer.bytes()[4..])
    }

    /// A request of a client of that name, of a connection of its own to some shard, and that connection.
    pub(crate) fn start_as<B: RequestBody>(
        &self,
        shard: usize,
        client_id: &str,
        version: i16,
        body: &B,
    ) -> (Started, Rc<Peer>) {
        let mut writer = Writer::new();
        write_request(body, version, 99, Some(client_id), &mut writer);
        let peer = Rc::new(peer("PLAINTEXT"));
        let frame = Bytes::copy_from_slice(&writer.bytes()[4..]);
        let request = Request::read(frame, peer.clone()).unwrap();
        (Started(Some(dispatch(&self.shards[shard], request))), peer)
    }

    /// Each piece of work on a request takes so long.
    pub(crate) fn set_work(&self, work: Duration) {
        WORK.set(work);
    }

    pub(crate) fn start_frame(&self, frame: &[u8]) -> Started {
        self.start_frame_of(frame, &self.peer)
    }

    fn start_frame_of(&self, frame: &[u8], peer: &Rc<Peer>) -> Started {
        let step = match Request::read(Bytes::copy_from_slice(frame), peer.clone()) {
            Ok(request) => dispatch(&self.shards[0], request),
            Err(bad) => Step::Close(format!("a request head: {bad}")),
        };
        Started(Some(step))
    }

    /// What has become of a request by now.
    pub(crate) fn look(&mut self, started: &mut Started) -> Option<Seen> {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..ROUNDS {
            let step = match started.0.take().expect("it was seen to its end before") {
                Step::Answer(response) => return Some(Seen::Answer(flat(response))),
                Step::Silent => return Some(Seen::Silent),
                Step::Close(why) => return Some(Seen::Closed(why)),
                Step::Wait(mut future) => match future.as_mut().poll(&mut cx) {
                    Poll::Ready(step) => step,
                    Poll::Pending => Step::Wait(future),
                },
                Step::Ordered(mut future) => match future.as_mut().poll(&mut cx) {
                    Poll::Ready(step) => step,
                    Poll::Pending => Step::Ordered(future),
                },
            };
            started.0 = Some(step);
            self.round();
        }
        None
    }

    /// A few rounds, for tests that only want nothing to panic.
    pub(crate) fn look_briefly(&mut self, started: &mut Started) {
        let mut cx = Context::from_waker(Waker::noop());
        if let Some(Step::Wait(future) | Step::Ordered(future)) = &mut started.0 {
            let _ = future.as_mut().poll(&mut cx);
        }
        self.round();
    }

    pub(crate) fn call<B: RequestBody>(&mut self, version: i16, body: &B) -> Seen {
        let mut started = self.start(version, body);
        self.look(&mut started).expect("an answer without waiting")
    }

    pub(crate) fn call_on<B: RequestBody>(&mut self, listener: &str, version: i16, body: &B) -> Seen {
        let mut writer = Writer::new();
        write_request(body, version, 99, None, &mut writer);
        let mut started = self.start_frame_of(&writer.bytes()[4..], &Rc::new(peer(listener)));
        self.look(&mut started).expect("an answer without waiting")
    }

    /// Polls a future once, and nothing else.
    pub(crate) fn drive_alone<T>(&self, future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(out) => Some(out),
            Poll::Pending => None,
        }
    }

    /// Polls a future with everything else; `None` if it is still waiting.
    pub(crate) fn drive<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = std::pin::pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..ROUNDS {
            if let Poll::Ready(out) = future.as_mut().poll(&mut cx) {
                return Some(out);
            }
            self.round();
        }
        None
    }
}

impl Started {
    /// Polls the request alone: nothing else moves.
    pub(crate) fn poll_alone(&mut self) -> Option<Seen> {
        let Some(Step::Wait(mut future) | Step::Ordered(mut future)) = self.0.take() else {
            panic!("nothing waits")
        };
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Step::Answer(response)) => Some(Seen::Answer(flat(response))),
            _ => None,
        }
    }

    /// Polls what the next request of the connection waits for, alone.
    pub(crate) fn poll_first_stage(&mut self) {
        let Some(Step::Wait(future)) = &mut self.0 else { panic!("nothing waits") };
        let Poll::Ready(step) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("it waits for something")
        };
        self.0 = Some(step);
    }

    /// May the next request of the connection begin?
    pub(crate) fn lets_the_next_begin(&self) -> bool {
        !matches!(self.0, Some(Step::Wait(_)))
    }
}

/// A plain batch of one producer without idempotence.
pub(crate) fn batch(values: &[&str]) -> Vec<u8> {
    batch_by(Producer::NONE, values)
}

pub(crate) fn batch_by(producer: Producer, values: &[&str]) -> Vec<u8> {
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
    batch_of(0, WALL.0, producer, &values)
}

pub(crate) fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

/// What the socket would get, without the length.
fn flat(response: Response) -> Vec<u8> {
    let total = response.total_bytes();
    let (mut bytes, parts) = response.into_parts();
    parts.iter().for_each(|part| bytes.extend(part.bytes()));
    assert_eq!(bytes.len(), total);
    let length = i32::from_be_bytes(bytes[..4].try_into().unwrap());
    assert_eq!(length as usize, total - 4, "the frame's length counts its records");
    bytes.split_off(4)
}

fn peer(listener: &str) -> Peer {
    let address = SocketAddr::from(([10, 0, 0, 9], 4444));
    Peer::new(address, listener.into(), IpAddr::V4(Ipv4Addr::LOCALHOST))
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    for _ in 0..1_000_000 {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return out;
        }
    }
    panic!("it hangs");
}

pub(crate) async fn start_store<D: Disk>(disk: D, shard: u16) -> Rc<Store<D>> {
    let options = StoreOptions {
        data_dir: "/data".into(),
        shard,
        salt: 1,
        journal_bytes_first: 1 << 20,
        journal_bytes_max: 1 << 20,
        cache_bytes_max: 1 << 20,
        checkpoint_ms: 1000,
    };
    Store::start(disk, PagePool::new(64 << 20), PagePool::new(journal::POOL_BYTES), options).await.unwrap()
}

/// What the binary does with images: opens and closes partitions, then lets the shard act on it.
pub(crate) async fn follow(shard: Rc<Shard<MemDisk>>) {
    loop {
        let image = shard.images().next().await;
        let delta = shard.image().delta(&image);
        for topic in &delta.vanished {
            for index in 0..topic.partitions.len() as i32 {
                let id = TopicPartition::new(topic.id, PartitionIndex(index));
                if shard.table().remove(id).is_some() {
                    shard.store().delete_log(id, &topic.name, [1; 16]).await.unwrap();
                }
            }
        }
        for topic in delta.appeared.iter().chain(&delta.changed) {
            let config = log_config(&TopicConfig::resolve(&topic.name, &image, &shard.config()));
            for (index, partition) in topic.partitions.iter().enumerate() {
                let id = TopicPartition::new(topic.id, PartitionIndex(index as i32));
                if id.owner(shard.count()) != shard.id() {
                    continue;
                }
                let state = PartitionState {
                    leader: partition.leader,
                    leader_epoch: partition.leader_epoch,
                    replicas: partition.replicas.clone(),
                    isr: partition.isr.clone(),
                    isr_min: 1,
                    partition_epoch: partition.partition_epoch,
                };
                match shard.table().find(id) {
                    Some(open) => open.log().set_config(config),
                    None => {
                        let log = shard.store().open_log(id, &topic.name, config, None, WALL).await.unwrap();
                        shard.table().insert(Partition::new(BROKER, log, &state, NOW.get()));
                    }
                }
            }
        }
        shard.apply_image(image);
    }
}

fn reassignment(asked: &Reassign) -> Reassignment<'_> {
    let Reassign { topic, partition, replicas } = asked;
    Reassignment { topic, partition: *partition, replicas: replicas.clone() }
}

/// What every world's controller says of its quorum: broker 8 votes as well, and broker 9 follows and was never heard.
pub(crate) fn quorum() -> QuorumState {
    let replica = |id, end, at| QuorumReplica { id: BrokerId(id), end, last_fetch: at, last_caught_up: at };
    let earlier = Timestamp(WALL.0 - 250);
    QuorumState {
        leader: BROKER,
        epoch: LeaderEpoch(5),
        high_watermark: Offset(40),
        voters: vec![
            replica(BROKER.0, Offset(42), Some(WALL)),
            replica(BROKER.0 + 1, Offset(40), Some(earlier)),
        ],
        observers: vec![replica(BROKER.0 + 2, Offset::NONE, None)],
    }
}

fn change_voters(asked: &ChangeVoters) -> Result<(), Refusal> {
    let refuse = |code: ErrorCode| Err(Refusal::new(code, code.text()));
    let votes = quorum().voters.iter().any(|voter| voter.id == asked.id);
    match asked.change {
        _ if asked.timeout.is_zero() => refuse(ErrorCode::RequestTimedOut),
        VoterChange::Add if votes => refuse(ErrorCode::DuplicateVoter),
        VoterChange::Remove if !votes => refuse(ErrorCode::VoterNotFound),
        _ => Ok(()),
    }
}

fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        durability: match config.durability {
            coordinator::config::Durability::Memory => Durability::Memory,
            coordinator::config::Durability::Written => Durability::Written,
            coordinator::config::Durability::Flushed => Durability::Flushed,
        },
        segment_bytes: config.segment_bytes as u64,
        segment_ms: config.segment_ms,
        index: IndexLimits { interval_bytes: 64, index_bytes_max: 1 << 16 },
        timestamp_type: config.message_timestamp_type,
        ..LogConfig::default()
    }
}

/// What the binary does on shard 0: decides, makes it durable, publishes, answers.
pub(crate) async fn control(shard: Rc<Shard<MemDisk>>) {
    let shard = &shard;
    let mut ids = 0u128;
    let mut new_id = move || {
        ids = ids.wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        TopicId(ids.to_be_bytes())
    };
    let asked = RegisterBroker::from_config(&shard.config(), [1; 16], "broker");
    let registered = Controller::new(&shard.image(), &shard.config()).register_broker(&asked, false);
    publish(shard, registered.records).await;
    let inbox = shard.control().inbox().unwrap();
    loop {
        let (proposal, responder) = inbox.next().await;
        let (image, config) = (shard.image(), shard.config());
        let (outcome, records) = decide(Controller::new(&image, &config), proposal, &mut new_id);
        publish(shard, records).await;
        responder.answer(outcome);
    }
}

async fn publish(shard: &Rc<Shard<MemDisk>>, records: Vec<MetadataRecord>) {
    if records.is_empty() {
        return;
    }
    let mut image = (*shard.image()).clone();
    for record in &records {
        image.apply(image.offset() + 1, record).unwrap();
    }
    shard.images().publish(Arc::new(image)).await;
}

fn decide(
    controller: Controller<'_>,
    proposal: Proposal,
    new_id: &mut dyn FnMut() -> TopicId,
) -> (Outcome, Vec<MetadataRecord>) {
    match proposal {
        Proposal::CreateTopics { topics, validate_only } => {
            let decision = controller.create_topics(&topics, validate_only, new_id);
            (Outcome::CreateTopics(decision.answer), decision.records)
        }
        Proposal::AutoCreate(names) => {
            let (mut answers, mut records) = (vec![], vec![]);
            for name in names {
                let decision = controller.auto_create(&name, new_id);
                answers.push(decision.answer.map(drop));
                records.extend(decision.records);
            }
            (Outcome::AutoCreate(answers), records)
        }
        Proposal::DeleteTopics(topics) => {
            let decision = controller.delete_topics(&topics);
            (Outcome::DeleteTopics(decision.answer), decision.records)
        }
        Proposal::CreatePartitions { topics, validate_only } => {
            let decision = controller.create_partitions(&topics, validate_only);
            (Outcome::CreatePartitions(decision.answer), decision.records)
        }
        Proposal::AlterConfigs { requests, validate_only } => {
            let decision = controller.alter_configs(&requests, validate_only);
            (Outcome::AlterConfigs(decision.answer), decision.records)
        }
        Proposal::ReplaceConfigs { requests, validate_only } => {
            let decision = controller.replace_configs(&requests, validate_only);
            (Outcome::ReplaceConfigs(decision.answer), decision.records)
        }
        Proposal::AlterClientQuotas { requests, validate_only } => {
            let decision = controller.alter_client_quotas(&requests, validate_only);
            (Outcome::AlterClientQuotas(decision.answer), decision.records)
        }
        Proposal::ProducerIds => {
            let decision = controller.allocate_producer_ids();
            (Outcome::ProducerIds(decision.answer), decision.records)
        }
        Proposal::Reassign { partitions, allow_replication_factor_change } => {
            let asked: Vec<_> = partitions.iter().map(reassignment).collect();
            let decision = controller.reassign(&asked, allow_replication_factor_change);
            (Outcome::Reassign(decision.answer), decision.records)
        }
        Proposal::Elect { partitions, election } => {
            let asked: Vec<_> = partitions.iter().map(|(topic, index)| (topic.as_str(), *index)).collect();
            let decision = controller.elect(&asked, election);
            (Outcome::Elect(decision.answer), decision.records)
        }
        Proposal::UnregisterBroker(broker) => {
            let decision = controller.unregister_broker(broker);
            (Outcome::UnregisterBroker(decision.answer), decision.records)
        }
        Proposal::UpdateFeatures { updates, validate_only } => {
            let decision = controller.update_features(&updates, validate_only);
            (Outcome::UpdateFeatures(decision.answer), decision.records)
        }
        Proposal::RegisterBroker(asked) => {
            let decision = controller.register_broker(&asked, false);
            (Outcome::RegisterBroker(decision.answer), decision.records)
        }
        Proposal::DescribeQuorum => (Outcome::DescribeQuorum(quorum()), vec![]),
        Proposal::ChangeVoters(asked) => (Outcome::ChangeVoters(change_voters(&asked)), vec![]),
        // The controller that it went to died.
        Proposal::Forward(_) => {
            let refusal = Refusal::new(ErrorCode::RequestTimedOut, "Nobody knows.");
            (Outcome::Failed(refusal), vec![])
        }
        other => unreachable!("no handler proposes {other:?} of its own"),
    }
}
