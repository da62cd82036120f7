//! The group coordinators of one shard: one for each partition of `__consumer_offsets` that is led from here. The pure
//! coordinator decides; this room gives it time and topics, appends its records, and takes its answers to who waits.
//!
//! ```text
//!   ask -> coordinator -> actions -+-> records -> the partition's log -> durable -> applied -> actions ...
//!                                  +-> answers -> who asked
//! ```
//! Records are appended before anything else happens to a coordinator: no function here waits but the one that loads.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use coordinator::{
    BrokerConfig, Image,
    controller::names::OFFSETS_TOPIC,
    group::{self, Actions, Append, AppendId, Context, GroupConfig, GroupCoordinator, ListedGroup, Ticket},
    metadata::Topic,
};
use engine::{Disk, Store};
use model::{
    ErrorCode, LeaderEpoch, Millis, PartitionIndex, TopicPartition,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};
use replication::{AppendRules, Mark, Need, Partition, PartitionTable, Place, Woken};
use rt::notify::Notify;
use rustc_hash::FxHashMap;

use crate::{
    ask::Answer,
    clock::Clock,
    errors::Code,
    mesh::Link,
    owner::{AskId, ReplyTo, code_of},
};

mod ask;
mod figures;
mod load;

pub use ask::{GroupAnswer, GroupAsk, GroupCommand, GroupQuery, GroupRequest, KnownOffset};

pub(crate) struct Groups<D: Disk> {
    store: Rc<Store<D>>,
    table: Rc<PartitionTable<D>>,
    link: Rc<dyn Link>,
    clock: Clock,
    config: RefCell<GroupConfig>,
    image: RefCell<Arc<Image>>,
    coordinators: RefCell<BTreeMap<TopicPartition, Hosted>>,
    /// Of which epoch of leadership each of them is.
    epochs: RefCell<BTreeMap<TopicPartition, LeaderEpoch>>,
    /// Requests that a coordinator has not answered yet.
    waiting: RefCell<FxHashMap<Ticket, (AskId, ReplyTo)>>,
    next_ticket: Cell<u64>,
    /// Appends that are not durable yet.
    appends: RefCell<FxHashMap<replication::Ticket, (TopicPartition, AppendId)>>,
    /// When `run_deadlines` looks again by itself.
    alarm: Cell<Millis>,
    sooner: Notify,
}

enum Hosted {
    /// Its records are being read. What they say of topics that have vanished meanwhile must not count.
    Loading {
        vanished: Vec<Arc<Topic>>,
    },
    Ready(Box<GroupCoordinator>),
    /// Its records cannot be read; the log says why.
    Lost,
}

/// The partition of `__consumer_offsets` whose leader coordinates a group.
pub fn coordinator_of(image: &Image, group_id: &str) -> Result<TopicPartition, ErrorCode> {
    let topic = image.topic(OFFSETS_TOPIC).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let index = partition_of(group_id, topic.partitions.len()).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    Ok(TopicPartition::new(topic.id, PartitionIndex(index)))
}

/// Kafka's choice, so that a directory of its keeps its groups: Java's hash of a string, without its sign.
fn partition_of(group_id: &str, partition_count: usize) -> Option<i32> {
    let hash =
        group_id.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    // The smallest number has no absolute value; Kafka takes zero for it.
    hash.checked_abs().unwrap_or(0).checked_rem(i32::try_from(partition_count).ok()?)
}

impl<D: Disk> Groups<D> {
    pub(crate) fn new(
        store: Rc<Store<D>>,
        table: Rc<PartitionTable<D>>,
        link: Rc<dyn Link>,
        clock: Clock,
        config: &BrokerConfig,
    ) -> Rc<Self> {
        Rc::new(Self {
            store,
            table,
            link,
            clock,
            config: RefCell::new(config.into()),
            image: RefCell::new(Arc::new(Image::new(""))),
            coordinators: RefCell::default(),
            epochs: RefCell::default(),
            waiting: RefCell::default(),
            next_ticket: Cell::new(0),
            appends: RefCell::default(),
            alarm: Cell::new(Millis(u64::MAX)),
            sooner: Notify::new(),
        })
    }

    /// The cluster is now as `image` says, without the topics that vanished. Answers the partitions whose coordinators
    /// are to be loaded.
    pub(crate) fn follow(
        &self,
        image: &Arc<Image>,
        vanished: &[Arc<Topic>],
        config: &BrokerConfig,
    ) -> Vec<Rc<Partition<D>>> {
        self.image.replace(image.clone());
        let config: GroupConfig = config.into();
        if *self.config.borrow() != config {
            self.config.replace(config.clone());
            for hosted in self.coordinators.borrow_mut().values_mut() {
                if let Hosted::Ready(coordinator) = hosted {
                    coordinator.reconfigure(config.clone());
                }
            }
        }
        self.unload_what_left();
        self.ids().into_iter().for_each(|id| self.delete_topics(id, vanished));
        self.begin_what_came()
    }

    fn delete_topics(&self, id: TopicPartition, topics: &[Arc<Topic>]) {
        if topics.is_empty() {
            return;
        }
        if let Some(Hosted::Loading { vanished }) = self.coordinators.borrow_mut().get_mut(&id) {
            return vanished.extend_from_slice(topics);
        }
        let topics: Vec<_> = topics.iter().map(|topic| (&*topic.name, topic.id)).collect();
        self.act(id, |coordinator, _| coordinator.delete_topics(&topics));
    }

    fn unload_what_left(&self) {
        // Led again is led anew: another broker may have written meanwhile.
        let is_here = |id: TopicPartition| {
            let epoch = self.epochs.borrow().get(&id).copied();
            self.table.find(id).is_some_and(|p| p.leads() && Some(p.leader_epoch()) == epoch)
        };
        for id in self.ids().into_iter().filter(|id| !is_here(*id)) {
            let hosted = self.coordinators.borrow_mut().remove(&id);
            if let Some(Hosted::Ready(coordinator)) = hosted {
                coordinator.unload().into_iter().for_each(|(ticket, answer)| self.answer(ticket, answer));
            }
        }
    }

    fn begin_what_came(&self) -> Vec<Rc<Partition<D>>> {
        let image = self.image.borrow().clone();
        let Some(topic) = image.topic(OFFSETS_TOPIC) else { return vec![] };
        let mut to_load = vec![];
        for index in (0i32..).map(PartitionIndex).take(topic.partitions.len()) {
            let id = TopicPartition::new(topic.id, index);
            let Some(partition) = self.table.find(id).filter(|partition| partition.leads()) else { continue };
            if self.coordinators.borrow().contains_key(&id) {
                continue;
            }
            self.epochs.borrow_mut().insert(id, partition.leader_epoch());
            let ends = partition.log().ends();
            if ends.start == ends.end {
                self.ready(id, GroupCoordinator::new(self.config.borrow().clone()));
            } else {
                self.coordinators.borrow_mut().insert(id, Hosted::Loading { vanished: vec![] });
                to_load.push(partition);
            }
        }
        to_load
    }

    fn ready(&self, id: TopicPartition, coordinator: GroupCoordinator) {
        self.coordinators.borrow_mut().insert(id, Hosted::Ready(Box::new(coordinator)));
        self.act(id, |coordinator, cx| coordinator.loaded(cx));
    }

    fn ids(&self) -> Vec<TopicPartition> {
        self.coordinators.borrow().keys().copied().collect()
    }

    /// A request for one group.
    pub(crate) fn start(&self, id: AskId, ask: GroupAsk, reply: ReplyTo) {
        let coordinator = ask.coordinator;
        if let Err(code) = self.check(coordinator) {
            return reply.send(&self.link, id, Answer::Group(Err(code)));
        }
        match ask.request {
            GroupRequest::Query(query) => {
                let answer = self.read(coordinator, |coordinator| query.answer(coordinator));
                reply.send(&self.link, id, Answer::Group(answer.and_then(|answer| answer)));
            }
            GroupRequest::Command(command) => {
                let ticket = Ticket(self.next_ticket.replace(self.next_ticket.get() + 1));
                self.waiting.borrow_mut().insert(ticket, (id, reply));
                self.act(coordinator, |coordinator, cx| command.decide(coordinator, cx, ticket));
            }
        }
    }

    /// All groups of this shard; those that are still being loaded would be missing, so that is an error.
    pub(crate) fn list(&self, states: &[String], types: &[String]) -> Result<Vec<ListedGroup>, ErrorCode> {
        let mut listed = vec![];
        for hosted in self.coordinators.borrow().values() {
            match hosted {
                Hosted::Ready(coordinator) => listed.extend(coordinator.list(states, types)),
                Hosted::Loading { .. } => return Err(ErrorCode::CoordinatorLoadInProgress),
                Hosted::Lost => return Err(ErrorCode::CoordinatorNotAvailable),
            }
        }
        Ok(listed)
    }

    fn check(&self, id: TopicPartition) -> Result<(), ErrorCode> {
        match self.coordinators.borrow().get(&id) {
            Some(Hosted::Ready(_)) => Ok(()),
            Some(Hosted::Loading { .. }) => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(Hosted::Lost) => Err(ErrorCode::CoordinatorNotAvailable),
            None => Err(ErrorCode::NotCoordinator),
        }
    }

    fn read<T>(&self, id: TopicPartition, read: impl FnOnce(&GroupCoordinator) -> T) -> Result<T, ErrorCode> {
        match self.coordinators.borrow().get(&id) {
            Some(Hosted::Ready(coordinator)) => Ok(read(coordinator)),
            _ => Err(ErrorCode::NotCoordinator),
        }
    }

    /// One call of a coordinator, and all that it leads to. Nothing if it is not there any more.
    fn act(&self, id: TopicPartition, call: impl FnOnce(&mut GroupCoordinator, &Context<'_>) -> Actions) {
        let mut due = VecDeque::from([self.call(id, call)]);
        while let Some(actions) = due.pop_front() {
            for append in actions.appends {
                if let Err(code) = self.append(id, &append) {
                    tracing::error!(partition = %id.partition, ?code, "the offsets log takes no records of a group");
                    // Those that would follow fail with it: what is in the log is a prefix of what was decided.
                    due.push_back(self.call(id, |coordinator, cx| coordinator.failed(cx, append.id, code)));
                    break;
                }
            }
            actions.answers.into_iter().for_each(|(ticket, answer)| self.answer(ticket, answer));
        }
        let next = self.read(id, GroupCoordinator::next_deadline).ok().flatten();
        if next.is_some_and(|at| at < self.alarm.get()) {
            self.sooner.wake_all();
        }
    }

    fn call(
        &self,
        id: TopicPartition,
        call: impl FnOnce(&mut GroupCoordinator, &Context<'_>) -> Actions,
    ) -> Actions {
        let image = self.image.borrow().clone();
        let random = uuid::Uuid::new_v4().as_u128();
        let cx = Context { now: self.clock.now(), wall: self.clock.wall(), random, topics: &*image };
        match self.coordinators.borrow_mut().get_mut(&id) {
            Some(Hosted::Ready(coordinator)) => call(coordinator, &cx),
            _ => Actions::default(),
        }
    }

    /// Appends the records as one batch. When they are durable `woken` hears of it: there is no deadline, because what is
    /// in the log may be read again after a restart.
    fn append(&self, id: TopicPartition, append: &Append) -> Result<(), ErrorCode> {
        let partition = self.table.find(id).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let now = self.clock.wall();
        let batch = batch_of_records(append, now.0);
        let rules = AppendRules { isr_min: partition.isr_min().unwrap_or(1) };
        let appended = partition.append(&self.store, &batch, rules, now);
        let appended = appended.map_err(|error| error.code())?;
        self.table.moved(&partition);
        let place = Place { id, mark: Mark::High, until: appended.next_offset };
        let ticket = self.table.park(&[place], Need::All, Millis(u64::MAX));
        self.appends.borrow_mut().insert(ticket, (id, append.id));
        Ok(())
    }

    /// The wait for an append is over.
    pub(crate) fn woken(&self, ticket: replication::Ticket, why: Woken) {
        let Some((id, append)) = self.appends.borrow_mut().remove(&ticket) else { return };
        match code_of(why) {
            ErrorCode::None => self.act(id, |coordinator, cx| coordinator.applied(cx, append)),
            code => self.act(id, |coordinator, cx| coordinator.failed(cx, append, code)),
        }
    }

    fn answer(&self, ticket: Ticket, answer: group::Answer) {
        let waiting = self.waiting.borrow_mut().remove(&ticket);
        let (id, reply) = waiting.expect("a ticket is answered once");
        reply.send(&self.link, id, Answer::Group(Ok(GroupAnswer::Done(answer))));
    }

    /// Does what is due by the clock, for ever. One pump a shard.
    pub(crate) async fn run_deadlines(&self) {
        loop {
            let sooner = self.sooner.wait();
            self.tick();
            match self.next_deadline() {
                None => {
                    self.alarm.set(Millis(u64::MAX));
                    sooner.await;
                }
                Some(at) => {
                    self.alarm.set(at);
                    let _ = rt::timer::timeout(at.since(self.clock.now()), sooner).await;
                }
            }
        }
    }

    fn tick(&self) {
        let now = self.clock.now();
        for id in self.ids() {
            let due = self.read(id, |coordinator| coordinator.next_deadline().is_some_and(|at| at <= now));
            if due == Ok(true) {
                self.act(id, |coordinator, cx| coordinator.tick(cx));
            }
        }
    }

    fn next_deadline(&self) -> Option<Millis> {
        let coordinators = self.coordinators.borrow();
        let deadlines = coordinators.values().filter_map(|hosted| match hosted {
            Hosted::Ready(coordinator) => coordinator.next_deadline(),
            Hosted::Loading { .. } | Hosted::Lost => None,
        });
        deadlines.min()
    }
}

fn batch_of_records(append: &Append, now: i64) -> Vec<u8> {
    let mut payload = Vec::new();
    for (delta, record) in (0..).zip(&append.records) {
        let (key, value) = (record.encode_key(), record.encode_value());
        write_record(&mut payload, delta, 0, Some(&key), value.as_deref(), &[]);
    }
    let record_count = i32::try_from(append.records.len()).expect("an append is small");
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: -1,
        attributes: 0,
        base_timestamp: now,
        max_timestamp: now,
        record_count,
        producer: Producer::NONE,
    };
    build_batch(meta, &payload)
}

#[cfg(test)]
mod tests {
    use super::partition_of;

    #[test]
    fn a_group_is_found_where_kafka_puts_it() {
        fn check(group: &str, expected: i32) {
            assert_eq!(partition_of(group, 50), Some(expected), "{group}");
        }
        check("", 0);
        check("g", 103 % 50);
        check("ab", (97 * 31 + 98) % 50);
        check("polygenelubricants", 0);
        assert_eq!(partition_of("g", 0), None);
    }
}
