//! The leader's side of a lane: checks where each log of the follower stands, then pushes what is appended.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    iter,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use engine::{Disk, ReadBatches, Store};
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset, TopicPartition};

use super::frame::{BadFrame, FRAME_BYTES_MAX, Frame, HEADER_BYTES, Kind};
use crate::{
    Feed, Held, Lineage, Pace, Partition, PartitionTable, Runtime,
    transport::{Lane, LaneReceiver, LaneSender, LinkError},
};

/// Of one partition in one turn; then others have theirs.
const TURN_BYTES: usize = 512 << 10;
/// Fewer bytes of records are copied into their frame: that costs less than to hold their pages.
pub(super) const HELD_BYTES_MIN: usize = 128 << 10;
/// Who must wait for a throttle asks again after this at the latest: it may have been taken off.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How far one follower was sent one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cursor {
    epoch: LeaderEpoch,
    next: Offset,
    told: Option<(Offset, Offset)>,
}

struct Feeder<D: Disk> {
    runtime: Rc<dyn Runtime>,
    table: Rc<PartitionTable<D>>,
    store: Rc<Store<D>>,
    pace: Rc<dyn Pace>,
    follower: BrokerId,
    /// The follower's broker epoch.
    life: i64,
    cursors: RefCell<BTreeMap<TopicPartition, Cursor>>,
    feed: Rc<Feed>,
    /// Partitions that wait for the throttle.
    slowed: RefCell<BTreeSet<TopicPartition>>,
    /// Answers to Follow that hold no records.
    answers: RefCell<Vec<Frame>>,
    /// Partitions that could not be read when they were last, which was said.
    troubled: RefCell<BTreeSet<TopicPartition>>,
}

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("{0}")]
    Frame(#[from] BadFrame),
}

/// Until the lane ends. `broker` has proved who it is; `life` is the broker epoch that it says it has.
pub async fn serve_follower<D: Disk>(
    runtime: Rc<dyn Runtime>,
    table: Rc<PartitionTable<D>>,
    store: Rc<Store<D>>,
    pace: Rc<dyn Pace>,
    broker: BrokerId,
    life: i64,
    lane: Lane,
) -> Result<(), FeedError> {
    let Lane { sender, receiver } = lane;
    let feeder = Rc::new(Feeder {
        runtime: runtime.clone(),
        table,
        store,
        pace,
        follower: broker,
        life,
        cursors: RefCell::default(),
        feed: Rc::new(Feed::to(broker)),
        slowed: RefCell::default(),
        answers: RefCell::default(),
        troubled: RefCell::default(),
    });
    let pusher = feeder.clone();
    runtime.spawn(Box::pin(async move {
        if let Err(error) = pusher.push_all(sender).await {
            tracing::debug!(broker = %pusher.follower, %error, "a lane to a follower ended");
        }
    }));
    let ended = feeder.listen(receiver).await;
    // Wakes the pusher, which finds nothing to do any more.
    feeder.leave_all();
    ended
}

impl<D: Disk> Feeder<D> {
    async fn listen(&self, mut receiver: LaneReceiver) -> Result<(), FeedError> {
        while let Some(bytes) = receiver.receive(FRAME_BYTES_MAX).await? {
            for piece in bytes.chunks(HEADER_BYTES) {
                let (frame, _) = Frame::decode(piece)?;
                match frame.kind {
                    Kind::Follow => self.begin(&frame),
                    Kind::Acknowledged => self.acknowledged(&frame),
                    Kind::Leave => {
                        self.leave(frame.id);
                        self.troubled.borrow_mut().remove(&frame.id);
                    }
                    // Of a leader only.
                    Kind::Batches | Kind::Diverged | Kind::Restart | Kind::Refused => {}
                }
            }
            rt::yield_if_needed().await;
        }
        Ok(())
    }

    fn begin(&self, asked: &Frame) {
        self.leave(asked.id);
        match self.compare(asked) {
            Ok((cursor, partition)) => {
                self.cursors.borrow_mut().insert(asked.id, cursor);
                partition.attach(&self.feed);
                partition.queue(&self.feed);
            }
            Err(answer) => {
                self.answers.borrow_mut().push(answer);
                self.feed.push(asked.id);
            }
        }
    }

    /// Where to go on, or why not yet.
    fn compare(&self, asked: &Frame) -> Result<(Cursor, Rc<Partition<D>>), Frame> {
        let Frame { id, epoch, .. } = *asked;
        let answer = |kind, first, second| Frame { kind, first, second, ..*asked };
        let partition = self.table.find(id).filter(|p| p.leads() && p.leader_epoch() == epoch);
        let partition =
            partition.ok_or_else(|| answer(Kind::Refused, ErrorCode::NotLeaderOrFollower as i64, 0))?;
        let (end, ends) = (Offset(asked.first), partition.log().ends());
        if end < ends.start {
            return Err(answer(Kind::Restart, ends.start.0, 0));
        }
        let lineage = match asked.second_epoch() {
            LeaderEpoch(last) if last < 0 && end > ends.start => Lineage::Unknown,
            LeaderEpoch(last) if last < 0 => Lineage::Same,
            last => partition.lineage(end, last),
        };
        match lineage {
            Lineage::Diverges(at) => Err(answer(Kind::Diverged, at.end_offset.0, i64::from(at.epoch.0))),
            Lineage::Unknown => Err(answer(Kind::Restart, ends.start.0, 0)),
            Lineage::Same => {
                // What it vouches for it says next: its log may be longer than what is safe of it.
                partition.follower_begun(self.follower, self.life);
                Ok((Cursor { epoch, next: end, told: None }, partition))
            }
        }
    }

    fn acknowledged(&self, frame: &Frame) {
        let known = self.cursors.borrow().get(&frame.id).copied();
        let Some(partition) = self.table.find(frame.id) else { return };
        if known.is_some_and(|cursor| cursor.epoch == frame.epoch && Offset(frame.first) <= cursor.next) {
            let held = Held { start: Offset(frame.second), end: Offset(frame.first) };
            partition.follower_acknowledged(self.follower, frame.epoch, held, self.runtime.now());
            self.table.moved(&partition);
        }
    }

    fn leave(&self, id: TopicPartition) {
        if self.cursors.borrow_mut().remove(&id).is_some()
            && let Some(partition) = self.table.find(id)
        {
            partition.detach(&self.feed);
        }
    }

    fn leave_all(&self) {
        let ids: Vec<TopicPartition> = self.cursors.borrow().keys().copied().collect();
        ids.into_iter().for_each(|id| self.leave(id));
        self.feed.close();
    }

    async fn push_all(self: &Rc<Self>, mut sender: LaneSender) -> Result<(), LinkError> {
        while let Some(id) = self.feed.next().await {
            for answer in self.answers.take() {
                sender.send(&[&answer.encode()]).await?;
            }
            let cursor = self.cursors.borrow().get(&id).copied();
            if let Some(cursor) = cursor {
                self.push(id, cursor, &mut sender).await?;
            }
            rt::yield_if_needed().await;
        }
        Ok(())
    }

    /// One turn of one partition.
    async fn push(
        self: &Rc<Self>,
        id: TopicPartition,
        cursor: Cursor,
        sender: &mut LaneSender,
    ) -> Result<(), LinkError> {
        let led = self.table.find(id).filter(|p| p.leads() && p.leader_epoch() == cursor.epoch);
        let Some(partition) = led else {
            return self.refuse(id, cursor.epoch, ErrorCode::NotLeaderOrFollower, sender).await;
        };
        let catches_up = !partition.is_in_sync(self.follower);
        if catches_up && self.must_wait(&partition) {
            return Ok(());
        }
        let read = match self.read(&partition, cursor.next).await {
            Ok(read) => read,
            Err(error) => {
                if self.troubled.borrow_mut().insert(id) {
                    tracing::warn!(partition = %id, broker = %self.follower, %error, "a follower cannot be sent the log");
                }
                return self.refuse(id, cursor.epoch, ErrorCode::KafkaStorageError, sender).await;
            }
        };
        if read.next.is_some() {
            self.troubled.borrow_mut().remove(&id);
        }
        let next = read.next.unwrap_or(cursor.next);
        let marks = partition.watermarks();
        let told = (marks.high, marks.log_start);
        if read.bytes == 0 && cursor.told == Some(told) {
            return Ok(());
        }
        // Before it is sent, so that no acknowledgement overtakes it.
        if let Some(known) = self.cursors.borrow_mut().get_mut(&id).filter(|known| **known == cursor) {
            *known = Cursor { next, told: Some(told), ..cursor };
        } else {
            return Ok(());
        }
        let frame = Frame::new(Kind::Batches, id, cursor.epoch);
        let head = Frame { first: told.0.0, second: told.1.0, third: cursor.next.0, ..frame }.encode();
        if catches_up {
            self.pace.sent(id, self.follower, read.bytes, self.runtime.now());
        }
        send(&head, read, sender).await?;
        if next < partition.log().ends().end {
            partition.queue(&self.feed);
        }
        Ok(())
    }

    /// If the throttle says so, the partition's next turn comes when that is over.
    fn must_wait(self: &Rc<Self>, partition: &Rc<Partition<D>>) -> bool {
        let id = partition.id();
        let wait = self.pace.wait(id, self.follower, self.runtime.now()).min(WAIT_MAX);
        if wait.is_zero() {
            return false;
        }
        if self.slowed.borrow_mut().insert(id) {
            let (this, partition) = (self.clone(), partition.clone());
            self.runtime.spawn(Box::pin(async move {
                this.runtime.sleep(wait).await;
                this.slowed.borrow_mut().remove(&id);
                partition.queue(&this.feed);
            }));
        }
        true
    }

    async fn read(&self, partition: &Partition<D>, from: Offset) -> Result<ReadBatches, engine::ReadError> {
        let until = partition.log().ends().end;
        if from >= until {
            return Ok(ReadBatches::default());
        }
        let range = engine::ReadRange { from, until, bytes_max: TURN_BYTES, at_least_one: true };
        self.store.read(partition.log(), range).await
    }

    async fn refuse(
        &self,
        id: TopicPartition,
        epoch: LeaderEpoch,
        code: ErrorCode,
        sender: &mut LaneSender,
    ) -> Result<(), LinkError> {
        self.leave(id);
        let frame = Frame { first: code as i64, ..Frame::new(Kind::Refused, id, epoch) };
        sender.send(&[&frame.encode()]).await
    }
}

/// What is large goes out of the pages that it lies in, which the lane holds until all of it has arrived.
///
/// Beside the records of frames that are under way, which are no more than the lane's window of 8 MiB and one frame, that
/// holds what else lies in the first and the last page of each of them: a page is a mebibyte at the most, and so many
/// frames as are not copied in that window are 64. A follower that takes nothing in does not make it more, and one that is
/// not heard of any more ends the link, and with it all of that.
async fn send(head: &[u8], read: ReadBatches, sender: &mut LaneSender) -> Result<(), LinkError> {
    if read.bytes < HELD_BYTES_MIN {
        let slices = read.slices.iter().map(|slice| &slice[..]);
        let parts: Vec<&[u8]> = iter::once(head).chain(slices).collect();
        return sender.send(&parts).await;
    }
    sender.send_bytes(head, read.slices.into_iter().map(Bytes::from_owner).collect()).await
}
