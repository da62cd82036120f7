//! The edge of the consensus on one broker, as `src/serve/consensus.rs` is on a shard: gives production's node time, messages
//! and proposals, and does what it says in the order it says it, on the broker's own disk and clock.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use coordinator::{
    Image, MetadataRecord,
    metadata::{
        batches,
        snapshot_file::{self, Snapshot},
    },
    raft::{
        Action, Context, Entry, Message, Node, Payload, PersistId, Position, ProposeError, RaftConfig,
        Stored, Voters, codec,
    },
};
use engine::{AppendError, Store};
use model::{BrokerId, LeaderEpoch, Offset};
use replication::{Partition, Runtime, transport::Lane};
use rt::{notify::Notify, oneshot::Tx};

use super::{
    Cluster,
    broker::CLUSTER_ID,
    metadata_disk::{Loaded, MetadataDisk},
    plan::Bug,
    runtime::BrokerRuntime,
};
use crate::{disk::SimDisk, random::Random, world::first_of};

/// Brokers with these ids vote; another one follows the log.
pub const VOTERS: std::ops::RangeInclusive<i32> = 1..=3;

const ELECTION_MS: u64 = 200;
/// Messages that wait for one other broker.
const QUEUE_MAX: usize = 1000;
const PAUSE_FIRST_MS: u64 = 20;
const PAUSE_MAX_MS: u64 = 320;

/// Why a proposal is not committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotCommitted {
    /// It was never taken.
    Refused(ProposeError),
    /// It was taken, and this broker led no longer before it was committed: it may hold, now or later.
    Unknown,
}

enum Input {
    Message(Message),
    Persisted(PersistId),
    Propose {
        records: Vec<MetadataRecord>,
        answer: Tx<Result<Offset, NotCommitted>>,
    },
    /// A snapshot of this node is durable.
    Snapshotted(Position),
    /// Another node's snapshot came, and is durable; `None`: it did not.
    Fetched(Option<Box<Snapshot>>),
}

/// A proposal in the log, not yet committed.
struct Pending {
    base: Offset,
    end: Offset,
    answer: Tx<Result<Offset, NotCommitted>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub epoch: LeaderEpoch,
    pub leader: Option<BrokerId>,
    /// This node leads and knows everything that is committed.
    pub active: bool,
}

pub struct Consensus {
    cluster: Rc<Cluster>,
    runtime: Rc<BrokerRuntime>,
    random: RefCell<Random>,
    node: RefCell<Node>,
    disk: MetadataDisk,
    store: Rc<Store<SimDisk>>,
    partition: Rc<Partition<SimDisk>>,
    queues: RefCell<BTreeMap<BrokerId, Rc<Queue>>>,
    inbox: RefCell<VecDeque<Input>>,
    some: Notify,
    /// Appends on their way to the disk, and where they end.
    persisting: RefCell<VecDeque<(PersistId, Offset)>>,
    pending: RefCell<VecDeque<Pending>>,
    image: RefCell<Arc<Image>>,
    applied: Cell<Offset>,
    /// Committed since the last snapshot.
    bytes_since: Cell<usize>,
    snapshotting: Cell<bool>,
    standing: Cell<Standing>,
    changed: Notify,
}

/// What a broker has when it takes part.
pub struct Parts {
    pub cluster: Rc<Cluster>,
    pub id: BrokerId,
    pub runtime: Rc<BrokerRuntime>,
    /// Other random numbers for each life.
    pub random: Random,
    pub disk: MetadataDisk,
    pub loaded: Loaded,
    pub store: Rc<Store<SimDisk>>,
    pub partition: Rc<Partition<SimDisk>>,
}

impl Consensus {
    pub fn new(parts: Parts) -> Result<Rc<Self>, String> {
        let Parts { cluster, id, runtime, mut random, disk, loaded, store, partition } = parts;
        let voters: Voters = VOTERS.map(BrokerId).collect();
        let mut config = RaftConfig::new(id);
        config.election_timeout = std::time::Duration::from_millis(ELECTION_MS);
        config.heartbeat = config.election_timeout / 5;
        config.append_bytes_max = cluster.plan.append_bytes;
        config.in_flight_max = cluster.plan.in_flight;
        config.contacts = voters.iter().collect();
        let Loaded { start, snapshot, entries, voters: known, .. } = loaded;
        let stored =
            Stored { hard_state: disk.read_vote()?, start, voters: known.unwrap_or(voters), entries };
        let cx = Context { now: runtime.now(), random: random.next() };
        let node = Node::new(config, stored, cx);
        cluster.ledger.knows(id, node.high_watermark(), &snapshot);
        let applied = Cell::new(node.high_watermark());
        Ok(Rc::new(Self {
            cluster,
            runtime,
            random: RefCell::new(random),
            node: RefCell::new(node),
            disk,
            store,
            partition,
            queues: RefCell::default(),
            inbox: RefCell::default(),
            some: Notify::new(),
            persisting: RefCell::default(),
            pending: RefCell::default(),
            image: RefCell::new(Arc::new(snapshot)),
            applied,
            bytes_since: Cell::new(0),
            snapshotting: Cell::new(false),
            standing: Cell::default(),
            changed: Notify::new(),
        }))
    }

    pub fn start(self: &Rc<Self>) {
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move {
            let Err(why) = this.run().await;
            panic!("seed {}: the consensus of broker {} failed: {why}", this.cluster.seed, this.id());
        }));
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move { this.run_persisted().await }));
    }

    pub fn id(&self) -> BrokerId {
        self.node.borrow().id()
    }

    pub fn standing(&self) -> Standing {
        self.standing.get()
    }

    /// Everything that is committed, as far as this broker knows.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    /// Wakes when the image or the standing changes.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    /// Where the log ends, if all of it is durable and that leader leads.
    pub fn settled_end(&self) -> Option<(LeaderEpoch, Option<BrokerId>, Position)> {
        let node = self.node.borrow();
        let end = node.log().end();
        (node.log().durable() == end.offset).then(|| (node.epoch(), node.leader(), end))
    }

    /// For a sentence.
    pub fn describe(&self) -> String {
        let node = self.node.borrow();
        let log = node.log();
        format!(
            "it follows {:?} in epoch {}, log {:?} to {:?}, durable {}, high watermark {}, on the disk {:?}, {} inputs wait, \
             {:?} are on their way to the disk, a snapshot {}",
            node.leader(),
            node.epoch(),
            log.start(),
            log.end(),
            log.durable(),
            node.high_watermark(),
            self.partition.log().ends(),
            self.inbox.borrow().len(),
            self.persisting.borrow(),
            if self.snapshotting.get() { "too" } else { "not" },
        )
    }

    /// Returns when the records are committed, with the offset of the first: they are one unit.
    pub async fn propose(&self, records: Vec<MetadataRecord>) -> Result<Offset, NotCommitted> {
        let (answer, committed) = rt::oneshot();
        self.push(Input::Propose { records, answer });
        committed.await.unwrap_or(Err(NotCommitted::Unknown))
    }

    /// Messages of another broker, until the lane ends.
    pub async fn hear(&self, mut lane: Lane) {
        while let Ok(Some(bytes)) = lane.receiver.receive(codec::MESSAGE_BYTES_MAX).await {
            self.push(Input::Message(codec::decode(&bytes).expect("a broker said it")));
        }
    }

    fn push(&self, input: Input) {
        self.inbox.borrow_mut().push_back(input);
        self.some.wake_all();
    }

    async fn run(self: &Rc<Self>) -> Result<std::convert::Infallible, String> {
        loop {
            let some = self.some.wait();
            let cx = Context { now: self.runtime.now(), random: self.random.borrow_mut().next() };
            let deadline = self.node.borrow().next_deadline();
            if deadline <= cx.now {
                let actions = self.node.borrow_mut().tick(cx);
                self.carry_out(actions).await?;
            }
            let input = self.inbox.borrow_mut().pop_front();
            match input {
                Some(input) => {
                    let actions = match input {
                        Input::Snapshotted(end) => self.compact(end).await?,
                        Input::Fetched(snapshot) => self.install(snapshot, cx).await?,
                        input => self.step(input, cx),
                    };
                    self.carry_out(actions).await?;
                }
                None => {
                    let deadline = self.node.borrow().next_deadline();
                    first_of(self.runtime.sleep(deadline.since(self.runtime.now())), some).await;
                }
            }
            give_way().await;
        }
    }

    /// Tells the node what has become durable, for ever.
    async fn run_persisted(&self) {
        loop {
            let progress = self.partition.progress().wait();
            let durable = self.partition.log().ends().durable;
            match self.take_persisted(durable) {
                Some(id) => self.push(Input::Persisted(id)),
                None => progress.await,
            }
        }
    }

    fn take_persisted(&self, durable: Offset) -> Option<PersistId> {
        let mut persisting = self.persisting.borrow_mut();
        let mut last = None;
        while persisting.front().is_some_and(|&(_, end)| end <= durable) {
            last = persisting.pop_front().map(|(id, _)| id);
        }
        last
    }

    fn step(&self, input: Input, cx: Context) -> Vec<Action> {
        let mut node = self.node.borrow_mut();
        match input {
            Input::Message(message) => node.receive(message, cx),
            Input::Persisted(id) => node.persisted(id, cx),
            Input::Propose { records, answer } => {
                let batch = batches::batch(&records, self.runtime.wall());
                let count = u32::try_from(records.len()).expect("a request has few records");
                let (taken, actions) = node.propose(batch.into(), count, cx);
                match taken {
                    Ok(base) => {
                        let end = base + i64::from(count);
                        self.pending.borrow_mut().push_back(Pending { base, end, answer });
                    }
                    // Whoever asked may be gone.
                    Err(error) => drop(answer.send(Err(NotCommitted::Refused(error)))),
                }
                actions
            }
            Input::Snapshotted(_) | Input::Fetched(_) => unreachable!("they wait for the disk"),
        }
    }

    async fn carry_out(self: &Rc<Self>, actions: Vec<Action>) -> Result<(), String> {
        let bug = self.cluster.plan.bug;
        for action in actions {
            match action {
                Action::Save(_) if bug == Some(Bug::ForgetsVotes) => {}
                Action::Save(state) => self.disk.write_vote(state).await.map_err(|why| why.to_string())?,
                Action::Append { id, entries } => self.append(id, &entries).await?,
                Action::Truncate(to) => self.truncate(to).await?,
                Action::Send(message) => self.send(message),
                Action::Commit(to) => self.apply(to)?,
                Action::Lead(epoch) => {
                    self.cluster.ledger.leads(self.id(), epoch, &self.node.borrow());
                    self.fail_pending();
                }
                Action::Follow { .. } => self.fail_pending(),
                Action::Contradiction { from, what } => return Err(format!("broker {from}: {what} (M1)")),
                Action::FetchSnapshot { from, .. } => self.fetch_snapshot(from),
                Action::ReadReady { .. } | Action::ReadFailed(_) => {}
            }
        }
        self.snapshot_if_due();
        self.note_standing();
        Ok(())
    }

    async fn append(&self, id: PersistId, entries: &[Entry]) -> Result<(), String> {
        let now = self.runtime.wall();
        self.cluster.ledger.appends(self.id(), entries, &self.node.borrow());
        let leader = self.node.borrow().leader().unwrap_or(self.id());
        let mut end = self.partition.log().ends().end;
        for entry in entries {
            let batch = batches::batch_of_entry(entry, leader, now);
            end = loop {
                match self.store.append_replica(self.partition.log(), &batch, now) {
                    Ok(end) => break end,
                    Err(AppendError::NoRoom) => self.store.room().await,
                    Err(error) => return Err(format!("the metadata log takes no records: {error}")),
                }
            };
        }
        self.persisting.borrow_mut().push_back((id, end));
        self.partition.progress().wake_all();
        Ok(())
    }

    async fn truncate(&self, to: Offset) -> Result<(), String> {
        self.cluster.note("cuts its metadata", to.0 as u64, true);
        for (_, end) in self.persisting.borrow_mut().iter_mut() {
            *end = (*end).min(to);
        }
        let cut = self.store.truncate(self.partition.log(), to).await;
        cut.map_err(|error| format!("the metadata log cannot be cut: {error}"))?;
        self.partition.progress().wake_all();
        Ok(())
    }

    /// Everything below is committed.
    fn apply(&self, to: Offset) -> Result<(), String> {
        let mut next = Image::clone(&self.image());
        let node = self.node.borrow();
        let entries = || node.log().range(self.applied.get(), to);
        self.cluster.ledger.commits(node.id(), node.epoch(), entries());
        for entry in entries() {
            if let Payload::Records { bytes, .. } = &entry.payload {
                self.bytes_since.set(self.bytes_since.get() + bytes.len());
                for (offset, record) in batches::records(entry.base, bytes).map_err(|why| why.to_string())? {
                    next.apply(offset, &record).map_err(|why| why.to_string())?;
                }
            }
        }
        self.cluster.ledger.knows(node.id(), to, &next);
        drop(node);
        self.applied.set(to);
        self.image.replace(Arc::new(next));
        let mut pending = self.pending.borrow_mut();
        while pending.front().is_some_and(|pending| pending.end <= to) {
            let Pending { base, answer, .. } = pending.pop_front().expect("seen above");
            let _ = answer.send(Ok(base));
        }
        drop(pending);
        self.changed.wake_all();
        Ok(())
    }

    fn snapshot_if_due(self: &Rc<Self>) {
        if self.bytes_since.get() < self.cluster.plan.snapshot_bytes || self.snapshotting.replace(true) {
            return;
        }
        self.bytes_since.set(0);
        let node = self.node.borrow();
        let (end, voters) = (node.committed(), node.voters_at(node.committed().offset).clone());
        drop(node);
        let bytes = snapshot_file::encode(&self.image(), &voters, end, self.runtime.wall());
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move {
            let written = this.disk.write_snapshot(end, bytes).await;
            written.expect("no errors of the disk are asked for");
            this.push(Input::Snapshotted(end));
        }));
    }

    async fn compact(&self, end: Position) -> Result<Vec<Action>, String> {
        self.snapshotting.set(false);
        // Another one, that was fetched, may go further.
        if end.offset > self.node.borrow().log().start().offset {
            self.node.borrow_mut().compact(end.offset);
            let deleted = self.store.delete_records(self.partition.log(), end.offset).await;
            deleted.map_err(|why| why.to_string())?;
            self.cluster.note("snapshot", end.offset.0 as u64, true);
        }
        Ok(Vec::new())
    }

    /// Asked for again and again until it is there.
    fn fetch_snapshot(self: &Rc<Self>, from: BrokerId) {
        if self.snapshotting.replace(true) {
            return;
        }
        self.cluster.tell(|| format!("broker {} fetches a snapshot of {from}", self.id()));
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move {
            let fetched = match this.cluster.fetch_snapshot(this.id(), from).await {
                None => None,
                Some((end, bytes)) => {
                    let snapshot = snapshot_file::decode(&bytes, end, CLUSTER_ID).expect("a broker wrote it");
                    let written = this.disk.write_snapshot(end, bytes).await;
                    written.expect("no errors of the disk are asked for");
                    Some(Box::new(snapshot))
                }
            };
            this.push(Input::Fetched(fetched));
        }));
    }

    async fn install(&self, snapshot: Option<Box<Snapshot>>, cx: Context) -> Result<Vec<Action>, String> {
        self.snapshotting.set(false);
        let Some(snapshot) = snapshot else { return Ok(Vec::new()) };
        let Snapshot { end, voters, image } = *snapshot;
        // Another leader may have brought the log there meanwhile.
        if !self.node.borrow().wants_snapshot(end) {
            return Ok(Vec::new());
        }
        self.cluster.note("installs", end.offset.0 as u64, true);
        self.persisting.borrow_mut().clear();
        let emptied = self.store.restart_at(self.partition.log(), end.offset).await;
        emptied.map_err(|error| format!("the metadata log cannot begin anew: {error}"))?;
        let actions = self.node.borrow_mut().installed(end, voters, cx);
        self.cluster.ledger.knows(self.id(), end.offset, &image);
        self.cluster.note("installed", end.offset.0 as u64, true);
        self.applied.set(end.offset);
        self.image.replace(Arc::new(image));
        self.bytes_since.set(0);
        self.changed.wake_all();
        Ok(actions)
    }

    fn fail_pending(&self) {
        for pending in self.pending.take() {
            let _ = pending.answer.send(Err(NotCommitted::Unknown));
        }
    }

    fn note_standing(&self) {
        let node = self.node.borrow();
        let active = match self.cluster.plan.bug {
            Some(Bug::DecidesEarly) => node.is_leader(),
            _ => node.is_active(),
        };
        let standing = Standing { epoch: node.epoch(), leader: node.leader(), active };
        drop(node);
        if self.standing.replace(standing) != standing {
            self.cluster.tell(|| format!("broker {}: {standing:?}", self.id()));
            self.changed.wake_all();
        }
    }

    fn send(self: &Rc<Self>, message: Message) {
        let to = message.to;
        let known = self.queues.borrow().get(&to).cloned();
        let queue = known.unwrap_or_else(|| {
            let queue = Rc::new(Queue::default());
            self.queues.borrow_mut().insert(to, queue.clone());
            let (this, sending) = (self.clone(), queue.clone());
            self.runtime.spawn(Box::pin(async move { sending.run(&this, to).await }));
            queue
        });
        let mut messages = queue.messages.borrow_mut();
        if messages.len() == QUEUE_MAX {
            messages.pop_front();
        }
        messages.push_back(message);
        drop(messages);
        queue.some.wake_all();
    }
}

/// Messages on their way to one other broker, as in `src/serve/outbox.rs`.
#[derive(Default)]
struct Queue {
    messages: RefCell<VecDeque<Message>>,
    some: Notify,
}

impl Queue {
    async fn run(&self, from: &Consensus, to: BrokerId) {
        let mut pause = PAUSE_FIRST_MS;
        loop {
            if let Ok(lane) = from.cluster.connect_consensus(from.id(), to).await {
                pause = PAUSE_FIRST_MS;
                self.send_all(lane).await;
            }
            // They are old by now.
            self.messages.borrow_mut().clear();
            from.runtime.sleep_ms(pause).await;
            pause = (pause * 2).min(PAUSE_MAX_MS);
        }
    }

    async fn send_all(&self, mut lane: Lane) {
        loop {
            let some = self.some.wait();
            let next = self.messages.borrow_mut().pop_front();
            match next {
                Some(message) => {
                    if lane.sender.send(&[&codec::encode(&message)]).await.is_err() {
                        return;
                    }
                }
                None => some.await,
            }
        }
    }
}

/// Others may run.
async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
