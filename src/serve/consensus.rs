//! The consensus about the metadata log, on shard 0: gives the pure node time, messages and proposals, and does what it
//! says in the order it says it.
//!
//! ```text
//!   tick, messages, proposals, durable ends -> Node -> actions -+-> quorum-state, log on this broker's disk
//!                                                               +-> messages to the others
//!                                                               +-> committed records -> image -> every shard
//! ```
//! A broker alone is a quorum of one: the same code, without others.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use coordinator::{
    Image, MetadataRecord,
    metadata::{
        batches,
        snapshot_file::{self, Snapshot},
    },
    raft::{Action, Context, Entry, Message, Node, Payload, PersistId, Position, ProposeError},
};
use engine::{AppendError, Disk, Store};
use model::{BrokerId, LeaderEpoch, Offset};
use replication::Partition;
use rt::{notify::Notify, oneshot::Tx};

use super::{metadata_snapshot::Snapshots, quorum_state::QuorumState};

/// Messages that wait for this node. What comes beyond is dropped, as a network may drop it.
const INBOX_MAX: usize = 10_000;

/// How old the note of what is committed may be.
const HINT_INTERVAL: Duration = Duration::from_secs(1);

/// The way to other brokers.
pub trait Outbox {
    /// May drop any message.
    fn send(&self, message: Message);
    /// That broker's snapshot: where it ends, and its bytes.
    fn fetch_snapshot(&self, from: BrokerId) -> Fetch<'_>;
}

pub type Fetch<'a> = Pin<Box<dyn Future<Output = anyhow::Result<(Position, Vec<u8>)>> + 'a>>;

/// Of a broker alone.
pub struct Nobody;

impl Outbox for Nobody {
    fn send(&self, _: Message) {}

    fn fetch_snapshot(&self, _: BrokerId) -> Fetch<'_> {
        Box::pin(async { bail!("there is no other broker") })
    }
}

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
    Change {
        change: Change,
        answer: Tx<Result<(), ProposeError>>,
    },
}

/// Whether the same may go well a moment later, without anybody else's doing.
fn passes(error: ProposeError) -> bool {
    match error {
        ProposeError::Busy
        | ProposeError::Transferring
        | ProposeError::NotReady
        | ProposeError::ChangeUnderWay
        | ProposeError::Behind => true,
        ProposeError::NotLeader(_)
        | ProposeError::IsVoter
        | ProposeError::NoVoter
        | ProposeError::VoterCount => false,
    }
}

/// Of who votes, or who leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    AddVoter(BrokerId),
    RemoveVoter(BrokerId),
    Transfer(BrokerId),
}

/// A proposal in the log, not yet committed.
struct Pending {
    base: Offset,
    end: Offset,
    answer: Tx<Result<Offset, NotCommitted>>,
}

/// What others may know of it at any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub epoch: LeaderEpoch,
    pub leader: Option<BrokerId>,
    /// This node leads and knows everything that is committed.
    pub active: bool,
}

pub struct Consensus<D: Disk> {
    node: RefCell<Node>,
    store: Rc<Store<D>>,
    /// The log as a partition of this shard, for its progress.
    partition: Rc<Partition<D>>,
    state: QuorumState,
    outbox: Rc<dyn Outbox>,
    inbox: RefCell<VecDeque<Input>>,
    some: Notify,
    /// Appends on their way to the disk, and where they end.
    persisting: RefCell<VecDeque<(PersistId, Offset)>>,
    pending: RefCell<VecDeque<Pending>>,
    /// Everything committed.
    image: RefCell<Arc<Image>>,
    applied: Cell<Offset>,
    snapshots: Snapshots,
    snapshot_bytes: usize,
    /// Committed since the last snapshot.
    bytes_since: Cell<usize>,
    /// One is being written, or fetched.
    snapshotting: Cell<bool>,
    standing: Cell<Standing>,
    /// The image or the standing.
    changed: Notify,
    /// Anything of the node.
    moved: Notify,
}

impl<D: Disk> Consensus<D> {
    pub fn new(
        node: Node,
        store: Rc<Store<D>>,
        partition: Rc<Partition<D>>,
        state: QuorumState,
        outbox: Rc<dyn Outbox>,
        image: Image,
        (snapshots, snapshot_bytes): (Snapshots, usize),
    ) -> Rc<Self> {
        let applied = Cell::new(node.high_watermark());
        Rc::new(Self {
            node: RefCell::new(node),
            store,
            partition,
            state,
            outbox,
            inbox: RefCell::default(),
            some: Notify::new(),
            persisting: RefCell::default(),
            pending: RefCell::default(),
            image: RefCell::new(Arc::new(image)),
            applied,
            snapshots,
            snapshot_bytes,
            bytes_since: Cell::new(0),
            snapshotting: Cell::new(false),
            standing: Cell::default(),
            changed: Notify::new(),
            moved: Notify::new(),
        })
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

    /// The other voter that has most of the log.
    pub fn successor(&self) -> Option<BrokerId> {
        let node = self.node.borrow();
        let replicas = node.replicas();
        let others = replicas.iter().filter(|replica| replica.id != node.id());
        let voters = others.filter(|replica| node.voters().contains(replica.id));
        voters.max_by_key(|replica| (replica.matched, replica.answered)).map(|replica| replica.id)
    }

    /// Wakes when the image or the standing changes.
    pub fn changed(&self) -> &Notify {
        &self.changed
    }

    pub fn node(&self) -> std::cell::Ref<'_, Node> {
        self.node.borrow()
    }

    /// From another broker.
    pub fn receive(&self, message: Message) {
        if self.inbox.borrow().len() < INBOX_MAX {
            self.push(Input::Message(message));
        }
    }

    /// Returns when the records are committed, with the offset of the first: they are one unit.
    pub async fn propose(&self, records: Vec<MetadataRecord>) -> Result<Offset, NotCommitted> {
        let (answer, committed) = rt::oneshot();
        self.push(Input::Propose { records, answer });
        committed.await.unwrap_or(Err(NotCommitted::Unknown))
    }

    /// Returns when the change is begun.
    pub async fn change(&self, change: Change) -> Result<(), ProposeError> {
        let (answer, begun) = rt::oneshot();
        self.push(Input::Change { change, answer });
        begun.await.unwrap_or(Err(ProposeError::NotLeader(None)))
    }

    /// Returns when the voters are so; with `until_committed`, when that holds for good. A voter to be added is waited for
    /// until it has the log, and a change that is under way until it is committed.
    pub async fn change_voters(&self, change: Change, until_committed: bool) -> Result<(), ProposeError> {
        let (id, votes) = match change {
            Change::AddVoter(id) => (id, true),
            Change::RemoveVoter(id) => (id, false),
            Change::Transfer(_) => return self.change(change).await,
        };
        loop {
            let moved = self.moved.wait();
            match self.may_change(id, votes) {
                Ok(()) => match self.change(change).await {
                    Err(error) if passes(error) => {}
                    Err(error) => return Err(error),
                    Ok(()) => break,
                },
                Err(error) if passes(error) => moved.await,
                Err(error) => return Err(error),
            }
        }
        if !until_committed {
            return Ok(());
        }
        loop {
            let moved = self.moved.wait();
            if let Some(settled) = self.settled(id, votes) {
                return settled;
            }
            moved.await;
        }
    }

    fn may_change(&self, id: BrokerId, votes: bool) -> Result<(), ProposeError> {
        let node = self.node.borrow();
        let voters = if votes { node.may_add_voter(id) } else { node.may_remove_voter(id) };
        voters.map(drop)
    }

    /// Of a change that is begun. None: it is not known yet what becomes of it.
    fn settled(&self, id: BrokerId, votes: bool) -> Option<Result<(), ProposeError>> {
        let node = self.node.borrow();
        match node.is_settled_voter(id) {
            Some(settled) if settled == votes => Some(Ok(())),
            _ if !node.is_leader() => Some(Err(ProposeError::NotLeader(None))),
            _ => None,
        }
    }

    fn push(&self, input: Input) {
        self.inbox.borrow_mut().push_back(input);
        self.some.wake_all();
    }

    /// Until the disk fails. One task.
    pub async fn run(self: &Rc<Self>) -> anyhow::Result<()> {
        loop {
            let some = self.some.wait();
            let cx = Context { now: rt::timer::now(), random: uuid::Uuid::new_v4().as_u64_pair().0 };
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
                    let _ = rt::timer::timeout(deadline.since(rt::timer::now()), some).await;
                }
            }
            rt::yield_if_needed().await;
        }
    }

    /// Tells the node what has become durable, for ever. One task.
    pub async fn run_persisted(&self) {
        loop {
            let progress = self.partition.progress().wait();
            let durable = self.partition.log().ends().durable;
            match self.take_persisted(durable) {
                Some(id) => self.push(Input::Persisted(id)),
                None => progress.await,
            }
        }
    }

    /// The last append of those that are durable by now.
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
                let batch = batches::batch(&records, rt::timer::wall());
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
            Input::Change { change, answer } => {
                let (begun, actions) = match change {
                    Change::AddVoter(id) => node.add_voter(id, cx),
                    Change::RemoveVoter(id) => node.remove_voter(id, cx),
                    Change::Transfer(to) => node.transfer(to, cx),
                };
                let _ = answer.send(begun);
                actions
            }
        }
    }

    async fn carry_out(self: &Rc<Self>, actions: Vec<Action>) -> anyhow::Result<()> {
        for action in actions {
            match action {
                Action::Save(state) => {
                    let file = self.state.clone();
                    let written = rt::blocking(move || file.write(state)).await;
                    written.context("the vote cannot be made durable")?;
                }
                Action::Append { id, entries } => self.append(id, &entries).await?,
                Action::Truncate(to) => self.truncate(to).await?,
                Action::Send(message) => self.outbox.send(message),
                Action::Commit(to) => self.apply(to)?,
                Action::Lead(_) | Action::Follow { .. } => self.fail_pending(),
                Action::Contradiction { from, what } => {
                    tracing::error!(broker = %from, "the metadata of two brokers cannot both be right: {what}");
                }
                Action::FetchSnapshot { from, .. } => self.fetch_snapshot(from),
                // Nobody asks: what is read is read from what is committed.
                Action::ReadReady { .. } | Action::ReadFailed(_) => {}
            }
        }
        self.snapshot_if_due();
        self.note_standing();
        self.moved.wake_all();
        Ok(())
    }

    async fn append(&self, id: PersistId, entries: &[Entry]) -> anyhow::Result<()> {
        let now = rt::timer::wall();
        let leader = self.node.borrow().leader().unwrap_or(self.id());
        let mut end = self.partition.log().ends().end;
        for entry in entries {
            let batch = batches::batch_of_entry(entry, leader, now);
            end = loop {
                match self.store.append_replica(self.partition.log(), &batch, now) {
                    Ok(end) => break end,
                    Err(AppendError::NoRoom) => self.store.room().await,
                    Err(error) => bail!("the metadata log takes no records: {error}"),
                }
            };
        }
        self.persisting.borrow_mut().push_back((id, end));
        self.partition.progress().wake_all();
        Ok(())
    }

    async fn truncate(&self, to: Offset) -> anyhow::Result<()> {
        for (_, end) in self.persisting.borrow_mut().iter_mut() {
            *end = (*end).min(to);
        }
        let cut = self.store.truncate(self.partition.log(), to).await;
        cut.map_err(|error| anyhow!("the metadata log cannot be cut: {error}"))?;
        self.partition.progress().wake_all();
        Ok(())
    }

    /// Everything below is committed.
    fn apply(&self, to: Offset) -> anyhow::Result<()> {
        let mut next = Image::clone(&self.image());
        for entry in self.node.borrow().log().range(self.applied.get(), to) {
            if let Payload::Records { bytes, .. } = &entry.payload {
                self.bytes_since.set(self.bytes_since.get() + bytes.len());
                for (offset, record) in batches::records(entry.base, bytes)? {
                    next.apply(offset, &record).context("the metadata log contradicts itself")?;
                }
            }
        }
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

    /// Keeps the log short: everything committed goes into one file.
    fn snapshot_if_due(self: &Rc<Self>) {
        if self.bytes_since.get() < self.snapshot_bytes || self.snapshotting.replace(true) {
            return;
        }
        self.bytes_since.set(0);
        let node = self.node.borrow();
        let (end, voters) = (node.committed(), node.voters_at(node.committed().offset).clone());
        drop(node);
        let (this, image, snapshots) = (self.clone(), self.image(), self.snapshots.clone());
        let now = rt::timer::wall();
        rt::spawn_background(async move {
            let written = rt::blocking_aside(move || {
                snapshots.write(end, &snapshot_file::encode(&image, &voters, end, now))
            });
            match written.await {
                Ok(()) => this.push(Input::Snapshotted(end)),
                Err(error) => {
                    tracing::error!(%error, "no snapshot of the metadata could be written; the log stays as long as it is");
                    this.snapshotting.set(false);
                }
            }
        });
    }

    async fn compact(&self, end: Position) -> anyhow::Result<Vec<Action>> {
        self.snapshotting.set(false);
        // Another one, that was fetched, may go further.
        if end.offset > self.node.borrow().log().start().offset {
            self.node.borrow_mut().compact(end.offset);
            let deleted = self.store.delete_records(self.partition.log(), end.offset).await;
            deleted.context("the metadata log cannot be shortened")?;
            tracing::info!(end = end.offset.0, "a snapshot of the metadata is taken");
        }
        Ok(Vec::new())
    }

    /// Asked for again and again until it is there.
    fn fetch_snapshot(self: &Rc<Self>, from: BrokerId) {
        if self.snapshotting.replace(true) {
            return;
        }
        let (this, snapshots) = (self.clone(), self.snapshots.clone());
        let cluster_id = self.image.borrow().cluster_id().to_owned();
        rt::spawn_background(async move {
            let fetched = async {
                let (end, bytes) = this.outbox.fetch_snapshot(from).await?;
                let kept = rt::blocking_aside(move || -> anyhow::Result<Snapshot> {
                    let snapshot = snapshot_file::decode(&bytes, end, &cluster_id)?;
                    snapshots.write(end, &bytes)?;
                    Ok(snapshot)
                });
                kept.await
            };
            let fetched = fetched.await;
            if let Err(error) = &fetched {
                tracing::warn!(broker = %from, %error, "its snapshot of the metadata cannot be had");
            }
            this.push(Input::Fetched(fetched.ok().map(Box::new)));
        });
    }

    async fn install(&self, snapshot: Option<Box<Snapshot>>, cx: Context) -> anyhow::Result<Vec<Action>> {
        self.snapshotting.set(false);
        let Some(snapshot) = snapshot else { return Ok(Vec::new()) };
        let Snapshot { end, voters, image } = *snapshot;
        // Another leader may have brought the log there meanwhile.
        if !self.node.borrow().wants_snapshot(end) {
            return Ok(Vec::new());
        }
        self.persisting.borrow_mut().clear();
        let emptied = self.store.restart_at(self.partition.log(), end.offset).await;
        emptied.map_err(|error| anyhow!("the metadata log cannot begin anew: {error}"))?;
        let actions = self.node.borrow_mut().installed(end, voters, cx);
        self.applied.set(end.offset);
        self.image.replace(Arc::new(image));
        self.bytes_since.set(0);
        self.changed.wake_all();
        tracing::info!(end = end.offset.0, "another broker's snapshot of the metadata is taken over");
        Ok(actions)
    }

    fn fail_pending(&self) {
        for pending in self.pending.take() {
            let _ = pending.answer.send(Err(NotCommitted::Unknown));
        }
    }

    fn note_standing(&self) {
        let node = self.node.borrow();
        let standing = Standing { epoch: node.epoch(), leader: node.leader(), active: node.is_active() };
        drop(node);
        let before = self.standing.replace(standing);
        if before == standing {
            return;
        }
        if before.leader != standing.leader || before.active != standing.active {
            match standing.leader {
                Some(leader) if leader == self.id() && standing.active => {
                    tracing::info!(epoch = standing.epoch.0, "this broker is the controller");
                }
                Some(leader) if leader != self.id() => {
                    tracing::info!(epoch = standing.epoch.0, "broker {leader} is the controller");
                }
                Some(_) => {}
                None => tracing::info!(epoch = standing.epoch.0, "there is no controller"),
            }
        }
        self.changed.wake_all();
    }

    /// Notes from time to time what is committed, for ever. One task.
    pub async fn run_hints(&self) {
        let mut noted = Offset::NONE;
        loop {
            let applied = self.applied.get();
            if applied > noted {
                let file = self.state.clone();
                if let Err(error) = rt::blocking(move || file.write_committed(applied)).await {
                    tracing::warn!(%error, "how much of the metadata is committed could not be noted");
                }
                noted = applied;
            }
            rt::timer::sleep(HINT_INTERVAL).await;
        }
    }
}
