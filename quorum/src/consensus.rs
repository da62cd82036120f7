//! The node, its log and what is committed, in one task that never does two things at once.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::VecDeque,
    convert::Infallible,
    io,
    rc::Rc,
    sync::Arc,
};

use coordinator::{
    Image, MetadataRecord,
    metadata::{
        BadApply,
        batches::{self, BadBatch},
        snapshot_file::Snapshot,
    },
    raft::{
        Action, Context, Entry, HardState, Message, Node, Payload, PersistId, Position, ProposeError, codec,
    },
};
use engine::{AppendError, Disk, Store, TruncateError};
use model::{BrokerId, LeaderEpoch, Offset};
use replication::{Partition, Runtime, runtime::at_most, transport::Lane};
use rt::{notify::Notify, oneshot::Tx};

use crate::{
    change::Change,
    edges::{Keep, Reach, Watch},
    outbox::Outbox,
};

/// Messages that wait for this node. What comes beyond is dropped, as a network may drop it.
const INBOX_MAX: usize = 10_000;

/// Why a proposal is not committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotCommitted {
    /// It was never taken.
    Refused(ProposeError),
    /// It was taken, and this broker led no longer before it was committed: it may hold, now or later.
    Unknown,
}

/// This node can take part no longer.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    #[error("the vote cannot be made durable: {0}")]
    Vote(#[source] io::Error),
    #[error("the metadata log takes no records: {0}")]
    Append(#[source] AppendError),
    #[error("the metadata log cannot be cut: {0}")]
    Truncate(#[source] TruncateError),
    #[error("the metadata log cannot begin anew: {0}")]
    Restart(#[source] TruncateError),
    #[error("the metadata log cannot be shortened: {0}")]
    Shorten(#[source] io::Error),
    #[error("a batch of the metadata log does not parse: {0}")]
    Batch(#[from] BadBatch),
    #[error("the metadata log contradicts itself: {0}")]
    Record(#[from] BadApply),
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

/// What a broker has when it takes part.
pub struct Parts<D: Disk> {
    pub node: Node,
    pub store: Rc<Store<D>>,
    /// The log as a partition of this shard, for its progress.
    pub partition: Rc<Partition<D>>,
    /// Everything that the node knows to be committed.
    pub image: Image,
    /// How much is committed between two snapshots.
    pub snapshot_bytes: usize,
    pub runtime: Rc<dyn Runtime>,
    pub random: Box<dyn FnMut() -> u64>,
    pub keep: Rc<dyn Keep>,
    /// `None`: a broker alone, which is a quorum of one.
    pub reach: Option<Rc<dyn Reach>>,
    pub watch: Rc<dyn Watch>,
}

pub struct Consensus<D: Disk> {
    node: RefCell<Node>,
    store: Rc<Store<D>>,
    partition: Rc<Partition<D>>,
    runtime: Rc<dyn Runtime>,
    random: RefCell<Box<dyn FnMut() -> u64>>,
    keep: Rc<dyn Keep>,
    reach: Option<Rc<dyn Reach>>,
    watch: Rc<dyn Watch>,
    outbox: Option<Outbox>,
    inbox: RefCell<VecDeque<Input>>,
    some: Notify,
    /// Appends on their way to the disk, and where they end.
    persisting: RefCell<VecDeque<(PersistId, Offset)>>,
    pending: RefCell<VecDeque<Pending>>,
    /// Everything committed.
    image: RefCell<Arc<Image>>,
    applied: Cell<Offset>,
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
    pub fn new(parts: Parts<D>) -> Rc<Self> {
        let Parts { node, store, partition, image, snapshot_bytes, runtime, random, keep, reach, watch } =
            parts;
        let applied = node.high_watermark();
        watch.knows(&node, applied, &image);
        let outbox = reach.clone().map(|reach| Outbox::new(runtime.clone(), reach));
        Rc::new(Self {
            node: RefCell::new(node),
            store,
            partition,
            runtime,
            random: RefCell::new(random),
            keep,
            reach,
            watch,
            outbox,
            inbox: RefCell::default(),
            some: Notify::new(),
            persisting: RefCell::default(),
            pending: RefCell::default(),
            image: RefCell::new(Arc::new(image)),
            applied: Cell::new(applied),
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

    /// Everything below is in the image.
    pub fn applied(&self) -> Offset {
        self.applied.get()
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

    /// Wakes when anything of the node may have changed.
    pub(crate) fn moved(&self) -> &Notify {
        &self.moved
    }

    pub fn node(&self) -> Ref<'_, Node> {
        self.node.borrow()
    }

    /// For a sentence: what waits here.
    pub fn describe(&self) -> String {
        let (inputs, persisting) = (self.inbox.borrow().len(), self.persisting.borrow());
        let snapshot = if self.snapshotting.get() { "too" } else { "not" };
        format!("{inputs} inputs wait, {persisting:?} are on their way to the disk, a snapshot {snapshot}")
    }

    /// Messages of that other broker, until the lane ends.
    pub async fn hear(&self, broker: BrokerId, mut lane: Lane) {
        loop {
            let bytes = match lane.receiver.receive(codec::MESSAGE_BYTES_MAX).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%broker, %error, "a lane of the consensus ended");
                    return;
                }
            };
            match codec::decode(&bytes) {
                Ok(message) if message.from == broker => self.receive(message),
                Ok(message) => {
                    tracing::warn!(%broker, as_if = %message.from, "it speaks for another broker, and is not heard");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%broker, %error, "a message of the consensus");
                    return;
                }
            }
            rt::yield_if_needed().await;
        }
    }

    pub(crate) fn receive(&self, message: Message) {
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

    fn push(&self, input: Input) {
        self.inbox.borrow_mut().push_back(input);
        self.some.wake_all();
    }

    /// Until the disk fails. One task.
    pub async fn run(self: &Rc<Self>) -> Result<Infallible, ConsensusError> {
        loop {
            let some = self.some.wait();
            // What came while the disk was waited for counts before the silence does that it seems to be.
            let waiting = self.inbox.borrow().len();
            for _ in 0..waiting {
                let input = self.inbox.borrow_mut().pop_front().expect("counted above");
                self.take(input).await?;
                self.runtime.give_way().await;
            }
            let cx = self.context();
            let deadline = self.node.borrow().next_deadline();
            if deadline <= cx.now {
                let actions = self.node.borrow_mut().tick(cx);
                self.carry_out(actions).await?;
            }
            if self.inbox.borrow().is_empty() {
                let deadline = self.node.borrow().next_deadline();
                at_most(&*self.runtime, deadline.since(self.runtime.now()), some).await;
            }
            rt::yield_if_needed().await;
        }
    }

    async fn take(self: &Rc<Self>, input: Input) -> Result<(), ConsensusError> {
        let cx = self.context();
        let actions = match input {
            Input::Snapshotted(end) => self.shorten(end).await?,
            Input::Fetched(snapshot) => self.install(snapshot, cx).await?,
            input => self.step(input, cx),
        };
        self.carry_out(actions).await
    }

    fn context(&self) -> Context {
        Context { now: self.runtime.now(), random: (self.random.borrow_mut())() }
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

    async fn carry_out(self: &Rc<Self>, actions: Vec<Action>) -> Result<(), ConsensusError> {
        for action in actions {
            match action {
                Action::Save(vote) => self.save(vote).await?,
                Action::Append { id, entries } => self.append(id, &entries).await?,
                Action::Truncate(to) => self.truncate(to).await?,
                Action::Send(message) => self.send(message),
                Action::Commit(to) => self.apply(to)?,
                Action::Lead(_) => {
                    self.watch.leads(&self.node());
                    self.fail_pending();
                }
                Action::Follow { .. } => self.fail_pending(),
                Action::Contradiction { from, what } => {
                    tracing::error!(broker = %from, "the metadata of two brokers cannot both be right: {what}");
                    self.watch.contradicts(&self.node(), from, what);
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

    async fn save(&self, vote: HardState) -> Result<(), ConsensusError> {
        self.keep.save(vote).await.map_err(ConsensusError::Vote)
    }

    fn send(&self, message: Message) {
        if let Some(outbox) = &self.outbox {
            outbox.send(message);
        }
    }

    async fn append(&self, id: PersistId, entries: &[Entry]) -> Result<(), ConsensusError> {
        let now = self.runtime.wall();
        self.watch.appends(&self.node(), entries);
        let leader = self.node.borrow().leader().unwrap_or(self.id());
        let mut end = self.partition.log().ends().end;
        for entry in entries {
            let batch = batches::batch_of_entry(entry, leader, now);
            end = loop {
                match self.store.append_replica(self.partition.log(), &batch, now) {
                    Ok(end) => break end,
                    Err(AppendError::NoRoom) => self.store.room().await,
                    Err(error) => return Err(ConsensusError::Append(error)),
                }
            };
        }
        self.persisting.borrow_mut().push_back((id, end));
        self.partition.progress().wake_all();
        Ok(())
    }

    async fn truncate(&self, to: Offset) -> Result<(), ConsensusError> {
        self.watch.cuts(&self.node(), to);
        for (_, end) in self.persisting.borrow_mut().iter_mut() {
            *end = (*end).min(to);
        }
        let cut = self.store.truncate(self.partition.log(), to).await;
        cut.map_err(ConsensusError::Truncate)?;
        self.partition.progress().wake_all();
        Ok(())
    }

    /// Everything below is committed.
    fn apply(&self, to: Offset) -> Result<(), ConsensusError> {
        let mut next = Image::clone(&self.image());
        let node = self.node();
        self.watch.commits(&node, self.applied.get(), to);
        for entry in node.log().range(self.applied.get(), to) {
            if let Payload::Records { bytes, .. } = &entry.payload {
                self.bytes_since.set(self.bytes_since.get() + bytes.len());
                for (offset, record) in batches::records(entry.base, bytes)? {
                    next.apply(offset, &record)?;
                }
            }
        }
        self.watch.knows(&node, to, &next);
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

    fn fail_pending(&self) {
        for pending in self.pending.take() {
            let _ = pending.answer.send(Err(NotCommitted::Unknown));
        }
    }

    /// Keeps the log short: everything committed goes into one file.
    fn snapshot_if_due(self: &Rc<Self>) {
        if self.bytes_since.get() < self.snapshot_bytes || self.snapshotting.replace(true) {
            return;
        }
        self.bytes_since.set(0);
        let node = self.node();
        let (end, voters) = (node.committed(), node.voters_at(node.committed().offset).clone());
        drop(node);
        let (this, image, now) = (self.clone(), self.image(), self.runtime.wall());
        self.runtime.spawn(Box::pin(async move {
            match this.keep.write_snapshot(image, voters, end, now).await {
                Ok(()) => this.push(Input::Snapshotted(end)),
                Err(error) => {
                    tracing::error!(%error, "no snapshot of the metadata could be written; the log stays as long as it is");
                    this.snapshotting.set(false);
                }
            }
        }));
    }

    async fn shorten(&self, end: Position) -> Result<Vec<Action>, ConsensusError> {
        self.snapshotting.set(false);
        // Another one, that was fetched, may go further.
        if end.offset > self.node.borrow().log().start().offset {
            self.node.borrow_mut().compact(end.offset);
            let deleted = self.store.delete_records(self.partition.log(), end.offset).await;
            deleted.map_err(ConsensusError::Shorten)?;
            self.watch.shortens(&self.node(), end.offset);
            tracing::info!(end = end.offset.0, "a snapshot of the metadata is taken");
        }
        Ok(Vec::new())
    }

    /// Asked for again and again until it is there.
    fn fetch_snapshot(self: &Rc<Self>, from: BrokerId) {
        let Some(reach) = self.reach.clone() else { return };
        if self.snapshotting.replace(true) {
            return;
        }
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move {
            let fetched = async {
                let (end, bytes) = reach.snapshot(from).await?;
                this.keep.take_snapshot(end, bytes).await
            };
            let fetched = fetched.await;
            if let Err(error) = &fetched {
                tracing::warn!(broker = %from, %error, "its snapshot of the metadata cannot be had");
            }
            this.push(Input::Fetched(fetched.ok().map(Box::new)));
        }));
    }

    async fn install(
        &self,
        snapshot: Option<Box<Snapshot>>,
        cx: Context,
    ) -> Result<Vec<Action>, ConsensusError> {
        self.snapshotting.set(false);
        let Some(snapshot) = snapshot else { return Ok(Vec::new()) };
        let Snapshot { end, voters, image } = *snapshot;
        // Another leader may have brought the log there meanwhile.
        if !self.node.borrow().wants_snapshot(end) {
            return Ok(Vec::new());
        }
        self.watch.begins_anew(&self.node(), end.offset);
        self.persisting.borrow_mut().clear();
        let emptied = self.store.restart_at(self.partition.log(), end.offset).await;
        emptied.map_err(ConsensusError::Restart)?;
        let actions = self.node.borrow_mut().installed(end, voters, cx);
        self.watch.knows(&self.node(), end.offset, &image);
        self.applied.set(end.offset);
        self.image.replace(Arc::new(image));
        self.bytes_since.set(0);
        self.changed.wake_all();
        tracing::info!(end = end.offset.0, "another broker's snapshot of the metadata is taken over");
        Ok(actions)
    }

    fn note_standing(&self) {
        let node = self.node();
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
}
