//! The follower's side: one task for each shard of another broker that leads partitions which are followed here.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    mem,
    pin::Pin,
    rc::Rc,
    time::Duration,
};

use engine::{AppendError, Disk, Store, epochs::EpochEnd};
use model::{BatchHeader, BatchView, BrokerId, LeaderEpoch, Offset, ShardId, TopicPartition};
use rt::notify::Notify;

use super::frame::{BadFrame, FRAME_BYTES_MAX, Frame, Kind};
use crate::{
    Feed, Held, Partition, PartitionError, PartitionTable, Runtime,
    runtime::at_most,
    transport::{Lane, LaneReceiver, LaneSender, LinkError},
};

const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// A partition that the leader refuses is asked for again after this: it may not have heard of its election. Each time
/// after twice as long, up to the second: it may be that it cannot read its log.
const RETRY: Duration = Duration::from_millis(25);
const RETRY_MAX: Duration = Duration::from_millis(500);
/// And one that cannot take what it is sent: most of the time its disk is full.
const RETRY_OF_TROUBLED: Duration = Duration::from_millis(500);
/// Acknowledgements in one frame.
const ACKNOWLEDGEMENTS_MAX: usize = 256;

/// Why a broker cannot be reached now, as a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoLane(pub String);

/// Opens lanes to the shards of other brokers.
pub trait Dial {
    /// A lane on which the other side expects a follower, or why there is none now.
    fn lane(
        &self,
        leader: BrokerId,
        shard: ShardId,
    ) -> Pin<Box<dyn Future<Output = Result<Lane, NoLane>> + '_>>;
}

type Sources<D> = BTreeMap<(BrokerId, ShardId), Rc<Source<D>>>;

/// What is followed on one shard.
pub struct Replicator<D: Disk> {
    runtime: Rc<dyn Runtime>,
    table: Rc<PartitionTable<D>>,
    store: Rc<Store<D>>,
    dial: Rc<dyn Dial>,
    sources: RefCell<Sources<D>>,
    followed: RefCell<BTreeMap<TopicPartition, (BrokerId, ShardId)>>,
}

/// The partitions that one shard of another broker leads.
struct Source<D: Disk> {
    runtime: Rc<dyn Runtime>,
    table: Rc<PartitionTable<D>>,
    store: Rc<Store<D>>,
    dial: Rc<dyn Dial>,
    leader: BrokerId,
    shard: ShardId,
    partitions: RefCell<BTreeMap<TopicPartition, Followed>>,
    /// Partitions to ask for, or to acknowledge.
    feed: RefCell<Rc<Feed>>,
    /// No partition is left.
    ended: Cell<bool>,
    changed: Notify,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Followed {
    epoch: LeaderEpoch,
    /// The last epoch that began with a leader that may have lacked what was committed.
    unclean: Option<LeaderEpoch>,
    /// It could not take the last records that came, and that was said.
    troubled: bool,
    /// How long it rests if it is refused once more.
    retry: Duration,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// To be asked for.
    Wanted,
    /// Asked for; the leader has not answered.
    Asked,
    /// The logs are equal up to our end, and what follows comes.
    Streams,
    /// Waits before it is asked for again.
    Rests,
}

#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("{0}")]
    Lane(#[from] NoLane),
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("{0}")]
    Frame(#[from] BadFrame),
    #[error("the leader closed the lane")]
    Closed,
}

impl<D: Disk> Replicator<D> {
    pub fn new(
        runtime: Rc<dyn Runtime>,
        table: Rc<PartitionTable<D>>,
        store: Rc<Store<D>>,
        dial: Rc<dyn Dial>,
    ) -> Self {
        Self { runtime, table, store, dial, sources: RefCell::default(), followed: RefCell::default() }
    }

    /// A partition that is open here is led by that shard of that broker. Said again, it changes nothing.
    pub fn follow(
        &self,
        id: TopicPartition,
        leader: BrokerId,
        shard: ShardId,
        epoch: LeaderEpoch,
        unclean: Option<LeaderEpoch>,
    ) {
        let key = (leader, shard);
        if self.followed.borrow().get(&id).is_some_and(|&known| known != key) {
            self.leave(id);
        }
        self.followed.borrow_mut().insert(id, key);
        let known = self.sources.borrow().get(&key).cloned();
        let source = known.unwrap_or_else(|| self.begin(leader, shard));
        source.follow(id, epoch, unclean);
    }

    /// The partition is led here now, by nobody, or is gone.
    pub fn leave(&self, id: TopicPartition) {
        let Some(key) = self.followed.borrow_mut().remove(&id) else { return };
        let source = self.sources.borrow().get(&key).cloned();
        if let Some(source) = source
            && source.leave(id)
        {
            self.sources.borrow_mut().remove(&key);
        }
    }

    fn begin(&self, leader: BrokerId, shard: ShardId) -> Rc<Source<D>> {
        let source = Rc::new(Source {
            runtime: self.runtime.clone(),
            table: self.table.clone(),
            store: self.store.clone(),
            dial: self.dial.clone(),
            leader,
            shard,
            partitions: RefCell::default(),
            feed: RefCell::default(),
            ended: Cell::new(false),
            changed: Notify::new(),
        });
        self.sources.borrow_mut().insert((leader, shard), source.clone());
        let running = source.clone();
        self.runtime.spawn(Box::pin(async move { running.run().await }));
        source
    }
}

impl<D: Disk> Source<D> {
    fn follow(&self, id: TopicPartition, epoch: LeaderEpoch, unclean: Option<LeaderEpoch>) {
        let mut partitions = self.partitions.borrow_mut();
        if partitions.get(&id).is_some_and(|known| known.epoch >= epoch) {
            return;
        }
        let stage = Stage::Wanted;
        partitions.insert(id, Followed { epoch, unclean, troubled: false, retry: RETRY, stage });
        drop(partitions);
        self.feed().push(id);
    }

    /// Whether it was the last one.
    fn leave(&self, id: TopicPartition) -> bool {
        self.partitions.borrow_mut().remove(&id);
        if let Some(partition) = self.table.find(id) {
            partition.detach(&self.feed());
        }
        self.feed().push(id);
        let last = self.partitions.borrow().is_empty();
        if last {
            self.ended.set(true);
            self.feed().close();
            self.changed.wake_all();
        }
        last
    }

    fn feed(&self) -> Rc<Feed> {
        self.feed.borrow().clone()
    }

    /// Returns how it was.
    fn trouble(&self, id: TopicPartition, epoch: LeaderEpoch, troubled: bool) -> bool {
        let mut partitions = self.partitions.borrow_mut();
        let known = partitions.get_mut(&id).filter(|known| known.epoch == epoch);
        known.is_some_and(|known| mem::replace(&mut known.troubled, troubled))
    }

    fn stage(&self, id: TopicPartition, epoch: LeaderEpoch, stage: Stage) {
        if let Some(known) = self.partitions.borrow_mut().get_mut(&id).filter(|known| known.epoch == epoch) {
            known.stage = stage;
            if stage == Stage::Streams {
                known.retry = RETRY;
            }
        }
    }

    fn refused(self: &Rc<Self>, id: TopicPartition, known: Followed) {
        if let Some(again) = self.partitions.borrow_mut().get_mut(&id) {
            again.retry = (known.retry * 2).min(RETRY_MAX);
        }
        self.rest(id, known.epoch, known.retry);
    }

    async fn run(self: &Rc<Self>) {
        let mut pause = PAUSE_FIRST;
        let mut told = false;
        while !self.ended.get() {
            let began = self.runtime.now();
            let error = match self.dial.lane(self.leader, self.shard).await {
                Ok(lane) => self.stream(lane).await,
                Err(error) => error.into(),
            };
            if self.ended.get() {
                return;
            }
            if self.runtime.now().since(began) > PAUSE_MAX {
                (pause, told) = (PAUSE_FIRST, false);
            }
            if !told {
                tracing::info!(broker = %self.leader, shard = %self.shard, %error, "the leader's stream ended; trying again");
                told = true;
            }
            let changed = self.changed.wait();
            at_most(&*self.runtime, pause, changed).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// One life of a lane. What was asked for in the last one is asked for again.
    async fn stream(self: &Rc<Self>, lane: Lane) -> StreamError {
        let Lane { sender, receiver } = lane;
        let feed = Rc::new(Feed::default());
        self.feed.replace(feed.clone()).close();
        for (&id, followed) in self.partitions.borrow_mut().iter_mut() {
            (followed.stage, followed.retry) = (Stage::Wanted, RETRY);
            feed.push(id);
        }
        let (this, feed_of_writer) = (self.clone(), feed.clone());
        self.runtime.spawn(Box::pin(async move {
            if let Err(error) = this.write(&feed_of_writer, sender).await {
                tracing::debug!(broker = %this.leader, %error, "a lane to a leader ended");
            }
        }));
        let ended = self.read(&feed, receiver).await;
        feed.close();
        ended
    }

    /// Asks and acknowledges, until the feed is closed.
    async fn write(self: &Rc<Self>, feed: &Rc<Feed>, mut sender: LaneSender) -> Result<(), LinkError> {
        let mut frames = Vec::new();
        while let Some(id) = feed.next().await {
            frames.clear();
            let mut next = Some(id);
            while let Some(id) = next {
                frames.extend(self.frame_of(id).map(|frame| frame.encode()));
                next = if frames.len() < ACKNOWLEDGEMENTS_MAX { feed.pop() } else { None };
            }
            if !frames.is_empty() {
                sender.send(&[frames.as_flattened()]).await?;
            }
        }
        sender.finish();
        Ok(())
    }

    /// What there is to say of a partition.
    fn frame_of(self: &Rc<Self>, id: TopicPartition) -> Option<Frame> {
        let mut partitions = self.partitions.borrow_mut();
        let Some(followed) = partitions.get_mut(&id) else {
            return Some(Frame::new(Kind::Leave, id, LeaderEpoch::NONE));
        };
        let partition = self.table.find(id)?;
        match followed.stage {
            // For the leader before this one. Where it ends is not to be said now.
            Stage::Wanted if partition.log().is_being_cut() => {
                let epoch = followed.epoch;
                drop(partitions);
                self.rest(id, epoch, RETRY);
                None
            }
            Stage::Wanted => {
                followed.stage = Stage::Asked;
                let (end, last) = partition.log().last_position();
                Some(Frame::follow(id, followed.epoch, end, last))
            }
            Stage::Streams => {
                let ends = partition.log().ends();
                let held = Held { start: ends.start, end: ends.acknowledged };
                Some(Frame::acknowledged(id, followed.epoch, held))
            }
            Stage::Asked | Stage::Rests => None,
        }
    }

    async fn read(self: &Rc<Self>, feed: &Rc<Feed>, mut receiver: LaneReceiver) -> StreamError {
        loop {
            let bytes = match receiver.receive(FRAME_BYTES_MAX).await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return StreamError::Closed,
                Err(error) => return error.into(),
            };
            let (frame, records) = match Frame::decode(&bytes) {
                Ok(decoded) => decoded,
                Err(error) => return error.into(),
            };
            let known = self.partitions.borrow().get(&frame.id).copied();
            if let Some(known) = known.filter(|known| known.epoch == frame.epoch)
                && let Some(partition) = self.table.find(frame.id)
                && let Err(error) = self.take(&partition, &frame, known, records, feed).await
            {
                if !self.trouble(frame.id, frame.epoch, true) {
                    tracing::warn!(
                        partition = %frame.id, leader = %self.leader, %error,
                        "the replica cannot take what its leader sends; trying again"
                    );
                }
                self.rest(frame.id, frame.epoch, RETRY_OF_TROUBLED);
            }
            rt::yield_if_needed().await;
        }
    }

    async fn take(
        self: &Rc<Self>,
        partition: &Rc<Partition<D>>,
        frame: &Frame,
        known: Followed,
        records: &[u8],
        feed: &Rc<Feed>,
    ) -> Result<(), PartitionError> {
        let epoch = frame.epoch;
        match frame.kind {
            // Of a stream that was given up. What it lacks would be missing here for good.
            Kind::Batches if Offset(frame.third) != partition.log().ends().end => {
                if known.stage == Stage::Streams {
                    self.rest(frame.id, epoch, RETRY);
                }
            }
            Kind::Batches if matches!(known.stage, Stage::Wanted | Stage::Rests) => {}
            Kind::Batches => {
                if known.stage == Stage::Asked {
                    self.forget_empty_epoch(partition, known).await?;
                    self.stage(frame.id, epoch, Stage::Streams);
                    partition.attach(feed);
                    feed.push(frame.id);
                }
                self.append(partition, epoch, records).await?;
                if known.troubled && !records.is_empty() {
                    self.trouble(frame.id, epoch, false);
                }
                partition.heard_high(epoch, Offset(frame.first))?;
                self.table.moved(partition);
                self.follow_start(partition, Offset(frame.second)).await;
            }
            Kind::Diverged => {
                let theirs = EpochEnd { epoch: frame.second_epoch(), end_offset: Offset(frame.first) };
                let to = common_end(theirs, partition.log().end_offset_for(theirs.epoch));
                tracing::info!(partition = %frame.id, leader = %self.leader, %to, "the log is cut to the leader's");
                let unclean = partition.is_taken_back(known.unclean);
                partition.truncate(&self.store, epoch, to, unclean).await?;
                self.ask_again(partition, epoch, feed);
            }
            Kind::Restart => {
                let start = Offset(frame.first);
                tracing::info!(partition = %frame.id, leader = %self.leader, %start, "the log begins anew where the leader's does");
                let unclean = partition.is_taken_back(known.unclean);
                partition.restart_at(&self.store, epoch, start, unclean).await?;
                self.ask_again(partition, epoch, feed);
            }
            Kind::Refused => self.refused(frame.id, known),
            // Of a follower only.
            Kind::Follow | Kind::Acknowledged | Kind::Leave => {}
        }
        Ok(())
    }

    /// An epoch that was led here and wrote nothing is none of this leader's, whose records may be of earlier ones.
    async fn forget_empty_epoch(
        &self,
        partition: &Partition<D>,
        known: Followed,
    ) -> Result<(), PartitionError> {
        let (end, last) = partition.log().last_position();
        if partition.log().latest_epoch().is_some_and(|latest| latest > last) {
            let unclean = partition.is_taken_back(known.unclean);
            partition.truncate(&self.store, known.epoch, end, unclean).await?;
        }
        Ok(())
    }

    /// Waits while there is no room: the leader then sends nothing more.
    async fn append(
        &self,
        partition: &Partition<D>,
        epoch: LeaderEpoch,
        batches: &[u8],
    ) -> Result<(), PartitionError> {
        check(batches)?;
        if batches.is_empty() {
            return Ok(());
        }
        let ends = partition.log().ends();
        // The leader's log begins within a batch, which comes as a whole.
        let begins = BatchHeader::read(batches).map_or(ends.end, |header| header.base_offset());
        if ends.start == ends.end && begins < ends.end {
            partition.restart_at(&self.store, epoch, begins, true).await?;
        }
        let end = partition.log().ends().end;
        loop {
            // What went in before there was no room stays in.
            let rest = behind(batches, partition.log().ends().end.max(end));
            match partition.append_replica(&self.store, epoch, rest, self.runtime.wall()) {
                Err(PartitionError::Append(AppendError::NoRoom)) => self.store.room().await,
                done => return done,
            }
        }
    }

    /// What the leader has deleted goes here too.
    async fn follow_start(&self, partition: &Partition<D>, start: Offset) {
        let marks = partition.watermarks();
        let start = start.min(marks.high);
        if start > marks.log_start {
            if let Err(error) = self.store.delete_records(partition.log(), start).await {
                tracing::warn!(partition = %partition.id(), %error, "records could not be deleted");
            }
            self.table.moved(partition);
        }
    }

    fn ask_again(&self, partition: &Partition<D>, epoch: LeaderEpoch, feed: &Feed) {
        self.table.moved(partition);
        self.stage(partition.id(), epoch, Stage::Wanted);
        feed.push(partition.id());
    }

    fn rest(self: &Rc<Self>, id: TopicPartition, epoch: LeaderEpoch, pause: Duration) {
        self.stage(id, epoch, Stage::Rests);
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move {
            this.runtime.sleep(pause).await;
            let rests = |known: &Followed| known.epoch == epoch && known.stage == Stage::Rests;
            if this.partitions.borrow().get(&id).is_some_and(rests) {
                this.stage(id, epoch, Stage::Wanted);
                // It may have begun to rest on a lane before this one, and rest again.
                this.feed().push(id);
            }
        }));
    }
}

/// How much of two logs is the same, where the leader's epoch `theirs.epoch`, or ours that is no later, ends first
/// (KIP-101, KIP-279).
fn common_end(theirs: EpochEnd, ours: EpochEnd) -> Offset {
    let none = |end: Offset| if end == Offset::NONE { Offset::ZERO } else { end };
    none(ours.end_offset).min(none(theirs.end_offset))
}

/// What came over the network is looked at before it goes to the disk.
fn check(batches: &[u8]) -> Result<(), PartitionError> {
    let malformed = BatchView::check_all(batches).any(|batch| batch.is_err());
    if malformed { Err(AppendError::Malformed.into()) } else { Ok(()) }
}

/// Whole batches from an offset on.
fn behind(mut batches: &[u8], offset: Offset) -> &[u8] {
    while let Ok(header) = model::BatchHeader::read(batches) {
        if header.base_offset() >= offset {
            break;
        }
        let rest = header.total_bytes().ok().and_then(|bytes| batches.get(bytes..));
        let Some(rest) = rest else { break };
        batches = rest;
    }
    batches
}
