//! The owner's side of every request that touches a partition: one door, `start`, for asks of this shard and of
//! others. It lives on every shard and works on the partitions that shard owns.
//!
//! ```text
//!   start(ask) --+-- answered at once ------------------------------------> reply
//!                +-- parked as a value --- woken (run_wakes) -------------> reply
//!                +-- reads the disk as a job (run_worker) --- parked ... -> reply
//! ```
//! A request that waits is a value in a map, not a task: waking it costs a lookup. An append is done before `start`
//! returns, and messages of one shard arrive in order, so batches of one connection reach the log in the order sent,
//! also across shards.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Instant};

use coordinator::{BrokerConfig, Image, metadata::Topic, quotas::Rates};
use engine::{Disk, Store};
use model::{
    ErrorCode, ShardId,
    figures::{Distribution, Histogram, LATENCY_NS},
};
use replication::{Partition, PartitionError, PartitionTable, Ticket, Woken};
use rustc_hash::FxHashMap;

use crate::{
    ask::{Answer, Ask, FoundEpochEnd, Size},
    clock::Clock,
    errors::Code,
    groups::Groups,
    jobs::Jobs,
    mesh::{Link, Message},
    metrics::nanos_between,
};

mod failures;
mod fetch;
mod lookups;
mod produce;

/// An ask among all of a process: who asked, and that shard's own number for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AskId {
    pub from: ShardId,
    pub number: u64,
}

/// Where an answer goes.
#[derive(Debug)]
pub enum ReplyTo {
    /// A task of this shard.
    Here(rt::oneshot::Tx<Answer>),
    Shard,
}

impl ReplyTo {
    pub(crate) fn send(self, link: &Rc<dyn Link>, id: AskId, answer: Answer) {
        match self {
            // Nobody may wait any more: the connection is gone.
            Self::Here(to) => drop(to.send(answer)),
            Self::Shard => link.send(id.from, Message::Answer(id.number, answer)),
        }
    }
}

/// An ask that waits for a watermark or a deadline.
struct Parked {
    id: AskId,
    reply: ReplyTo,
    errand: Errand,
    since: Instant,
}

enum Errand {
    Produce(produce::Pending),
    Fetch(crate::ask::FetchAsk, Vec<fetch::Look>),
}

pub struct Owner<D: Disk> {
    store: Rc<Store<D>>,
    table: Rc<PartitionTable<D>>,
    link: Rc<dyn Link>,
    clock: Clock,
    jobs: Jobs,
    groups: Rc<Groups<D>>,
    parked: RefCell<FxHashMap<Ticket, Parked>>,
    /// Fetches under way, so that they can be given up: with their ticket while they are parked.
    fetches: RefCell<FxHashMap<AskId, Option<Ticket>>>,
    /// How long asks were parked.
    produce_waits: Histogram,
    fetch_waits: Histogram,
    /// Of clients with a quota, those that have their home here.
    rates: RefCell<Rates>,
}

impl<D: Disk> Owner<D> {
    pub fn new(
        store: Rc<Store<D>>,
        table: Rc<PartitionTable<D>>,
        link: Rc<dyn Link>,
        clock: Clock,
        config: &BrokerConfig,
    ) -> Self {
        let groups = Groups::new(store.clone(), table.clone(), link.clone(), clock, config);
        let (jobs, parked, fetches) = (Jobs::default(), RefCell::default(), RefCell::default());
        let (produce_waits, fetch_waits) = (Histogram::new(LATENCY_NS), Histogram::new(LATENCY_NS));
        let rates = RefCell::default();
        Self { store, table, link, clock, jobs, groups, parked, fetches, produce_waits, fetch_waits, rates }
    }

    pub fn store(&self) -> &Rc<Store<D>> {
        &self.store
    }

    pub fn table(&self) -> &Rc<PartitionTable<D>> {
        &self.table
    }

    /// Takes an ask. What is ordered (appends) is done on return.
    pub fn start(self: &Rc<Self>, id: AskId, ask: Ask, reply: ReplyTo) {
        match ask {
            Ask::Produce(ask) => self.produce(id, ask, reply),
            Ask::Fetch(ask) => self.fetch(id, ask, reply),
            Ask::Offsets(ask) => {
                let owner = self.clone();
                self.jobs.begin(async move {
                    let found = owner.find_offsets(&ask).await;
                    owner.reply(id, reply, Answer::Offsets(found));
                });
            }
            Ask::DeleteRecords(parts) => {
                let owner = self.clone();
                self.jobs.begin(async move {
                    let deleted = owner.delete_records(&parts).await;
                    owner.reply(id, reply, Answer::DeleteRecords(deleted));
                });
            }
            Ask::EpochEnds(parts) => {
                let ends: Vec<FoundEpochEnd> = parts.iter().map(|part| self.epoch_end(part)).collect();
                self.reply(id, reply, Answer::EpochEnds(ends));
            }
            Ask::Sizes(ids) => {
                let sizes: Vec<Size> = self.sizes(ids.as_deref());
                self.reply(id, reply, Answer::Sizes(sizes));
            }
            Ask::Producers(ids) => {
                let producers = ids.iter().map(|&id| self.producers(id)).collect();
                self.reply(id, reply, Answer::Producers(producers));
            }
            Ask::Group(ask) => self.groups.start(id, *ask, reply),
            Ask::ListGroups { states, types } => {
                self.reply(id, reply, Answer::ListGroups(self.groups.list(&states, &types)));
            }
            Ask::Charge(charge) => {
                let charged = self.rates.borrow_mut().charge(self.clock.now(), &charge);
                self.reply(id, reply, Answer::Charge(charged));
            }
        }
    }

    pub(crate) fn groups(&self) -> &Rc<Groups<D>> {
        &self.groups
    }

    /// The cluster is now as `image` says, and the partitions of this shard with it.
    pub(crate) fn follow(&self, image: &Arc<Image>, vanished: &[Arc<Topic>], config: &BrokerConfig) {
        for partition in self.groups.follow(image, vanished, config) {
            self.jobs.begin(self.groups.clone().load(partition));
        }
    }

    /// The asker is gone: a fetch that waits for data need not.
    pub fn forget(&self, id: AskId) {
        if let Some(Some(ticket)) = self.fetches.borrow_mut().remove(&id) {
            self.table.cancel(ticket);
            self.parked.borrow_mut().remove(&ticket);
        }
    }

    pub fn parked_count(&self) -> usize {
        self.parked.borrow().len()
    }

    /// Produces and fetches that wait.
    pub(crate) fn parked_counts(&self) -> (usize, usize) {
        let parked = self.parked.borrow();
        let produces = parked.values().filter(|parked| matches!(parked.errand, Errand::Produce(_))).count();
        (produces, parked.len() - produces)
    }

    /// How long asks waited until they were woken, by Kafka's name of the API.
    pub(crate) fn wait_times(&self) -> [(&'static str, Distribution); 2] {
        [("Produce", self.produce_waits.distribution()), ("Fetch", self.fetch_waits.distribution())]
    }

    /// Ends waits as they come to their end, for ever. One pump a shard.
    pub async fn run_wakes(self: &Rc<Self>) {
        loop {
            for (ticket, why) in self.table.woken().await {
                let parked = self.parked.borrow_mut().remove(&ticket);
                match parked {
                    Some(Parked { id, reply, errand: Errand::Produce(pending), since }) => {
                        if pending.is_of_clients() {
                            self.produce_waits.observe(nanos_between(since, Instant::now()));
                        }
                        let produced = self.produced(pending, why);
                        self.reply(id, reply, Answer::Produce(produced));
                    }
                    Some(Parked { id, reply, errand: Errand::Fetch(ask, looks), since }) => {
                        self.fetch_waits.observe(nanos_between(since, Instant::now()));
                        self.wake_fetch(id, (ask, looks), reply, why);
                    }
                    // An append of a group, or given up in the meantime.
                    None => self.groups.woken(ticket, why),
                }
                // One commit may end the waits of thousands.
                rt::yield_if_needed().await;
            }
        }
    }

    /// Reads the disk for asks, for ever. `jobs::WORKERS` of them a shard.
    pub async fn run_worker(&self) {
        self.jobs.run_worker().await;
    }

    fn park(&self, ticket: Ticket, id: AskId, reply: ReplyTo, errand: Errand) {
        let parked = Parked { id, reply, errand, since: Instant::now() };
        let before = self.parked.borrow_mut().insert(ticket, parked);
        assert!(before.is_none(), "a ticket is parked once");
    }

    fn reply(&self, id: AskId, reply: ReplyTo, answer: Answer) {
        reply.send(&self.link, id, answer);
    }

    /// A partition that is here and led from here.
    fn find(&self, id: model::TopicPartition) -> Result<Rc<Partition<D>>, ErrorCode> {
        // The metadata that the asker has names this broker, so the partition is about to come, or just went.
        self.table.find(id).ok_or_else(|| PartitionError::NotLeader.code())
    }
}

/// What a wait that ended without being reached means to the client.
pub(crate) fn code_of(why: Woken) -> ErrorCode {
    match why {
        Woken::Reached => ErrorCode::None,
        Woken::Expired => ErrorCode::RequestTimedOut,
        Woken::Gone => ErrorCode::NotLeaderOrFollower,
        Woken::Failed => ErrorCode::KafkaStorageError,
    }
}
