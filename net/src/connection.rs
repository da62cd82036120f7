//! One client's connection on the shard that accepted it: a task that reads requests and starts them, and a task that
//! sends answers. Never more tasks, however many requests.
//!
//! ```text
//!   socket -> frames -> dispatch -+- answered at once ----------+-> answers, in order -> socket
//!                                 +- Wait: the reader waits ----+
//!                                 +- Ordered: the next is read -+   (produce: the writer waits)
//! ```
//! So a request starts when those before it have ended, as in Apache Kafka, but a produce lets the next one start as
//! soon as its place in the log is settled. The socket is not read while too many requests are under way, too many bytes
//! wait to be sent, the client is over a quota, or the shard has no room; then TCP holds the client back.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::{Duration, Instant},
};

use engine::Disk;
use model::Millis;
use rt::net::{OutPart, Stream};
use smallvec::SmallVec;

pub(crate) mod answers;
pub(crate) mod budget;
pub(crate) mod frames;

use self::{
    answers::{Answers, Ended, Next},
    budget::{FREE_BYTES, Share},
    frames::Frames,
};
use crate::{
    handlers::{Step, dispatch},
    metrics::Started,
    request::{Peer, Request},
    response::Response,
    shard::Shard,
};

pub(crate) struct Connection<D: Disk> {
    shard: Rc<Shard<D>>,
    stream: Stream,
    peer: Rc<Peer>,
    answers: Answers,
    /// When something last came in or went out.
    active: Cell<Millis>,
    /// A handler is at work on a request that the reader waits for.
    handling: Cell<bool>,
    /// The reader waits for this shard to have room.
    starved: Cell<bool>,
    /// The reader waits because a quota says so.
    muted: Cell<bool>,
    stopping: Cell<bool>,
    /// While an answer with pages of records is on its way out: how much the client has taken, and since when no more.
    taken: Cell<Option<Taken>>,
}

#[derive(Clone, Copy)]
struct Taken {
    bytes: u64,
    since: Millis,
}

/// Why the reader stops.
enum End {
    /// The client has nothing more to say, or this broker takes no more.
    Quiet,
    Bad(String),
}

impl<D: Disk> Connection<D> {
    pub(crate) fn new(shard: Rc<Shard<D>>, stream: Stream, peer: Peer) -> Self {
        let active = Cell::new(shard.clock().now());
        let (handling, starved, muted, stopping, taken) = Default::default();
        let (peer, answers) = (Rc::new(peer), Answers::default());
        Self { shard, stream, peer, answers, active, handling, starved, muted, stopping, taken }
    }

    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The reader's task.
    pub(crate) async fn read(&self) {
        let bytes_max = usize::try_from(self.shard.config().socket_request_max_bytes).unwrap_or(0);
        let mut frames = Frames::new(bytes_max);
        let mut share = None;
        let end = loop {
            if let Err(end) = self.read_one(&mut frames, &mut share).await {
                break end;
            }
        };
        match end {
            End::Quiet => self.answers.end(),
            End::Bad(why) => self.answers.close(why),
        }
    }

    /// `share` is what a large frame that is on its way holds of the shard's memory.
    async fn read_one(&self, frames: &mut Frames, share: &mut Option<Share>) -> Result<(), End> {
        self.answers.room().await;
        if !self.shard.has_room() && !self.is_over() {
            // The wait is ours: the connection is not idle. Nor is it at work, so a stop does not wait for it.
            self.starved.set(true);
            self.shard.room().await;
            self.starved.set(false);
            self.active.set(self.shard.clock().now());
        }
        if self.peer.quota.muted().is_some() {
            self.while_muted().await;
        }
        // All these waits may have been long.
        if self.is_over() {
            return Err(End::Quiet);
        }
        let frame = match frames.next_frame().map_err(|bad| End::Bad(bad.to_string()))? {
            Some(frame) => frame,
            None => return self.receive(frames, share).await,
        };
        let request = Request::read(frame, self.peer.clone())
            .map_err(|bad| End::Bad(format!("a request head: {bad}")))?;
        let started = Started::now(request.key);
        let step = dispatch(&self.shard, request);
        if matches!(step, Step::Wait(_)) {
            frames.rest();
        }
        self.finish(started, step).await;
        *share = None;
        rt::yield_if_needed().await;
        Ok(())
    }

    /// Until the time to wait is over, the quotas have changed, or there is nothing to wait for. The connection is not idle
    /// meanwhile, nor at work.
    async fn while_muted(&self) {
        self.muted.set(true);
        let mut changed = pin!(self.shard.quotas().changed());
        while let Some(mute) = self.peer.quota.muted()
            && self.shard.clock().now() < mute.until
            && self.shard.quotas().still_holds(mute)
            && !self.is_over()
        {
            let mut due = pin!(rt::timer::sleep_until(mute.until));
            let (mut ended, mut gone) = (pin!(self.answers.ended()), pin!(self.stream.hung_up()));
            let is_over = poll_fn(|cx| {
                let over = ended.as_mut().poll(cx).is_ready()
                    || gone.as_mut().poll(cx).is_ready()
                    || changed.as_mut().poll(cx).is_ready();
                if over { Poll::Ready(true) } else { due.as_mut().poll(cx).map(|()| false) }
            });
            if is_over.await {
                break;
            }
        }
        self.peer.quota.unmute();
        self.muted.set(false);
        self.active.set(self.shard.clock().now());
    }

    /// Takes no request any more.
    fn is_over(&self) -> bool {
        self.answers.is_ended() || self.stopping.get()
    }

    async fn receive(&self, frames: &mut Frames, share: &mut Option<Share>) -> Result<(), End> {
        let frame_bytes = frames.frame_bytes().ok().flatten().unwrap_or(0);
        if frame_bytes > FREE_BYTES && share.is_none() {
            *share = Some(self.shard.frames.take(frame_bytes).await);
            // The wait was ours, not the client's.
            self.active.set(self.shard.clock().now());
        }
        let count = match self.stream.try_recv(frames.space()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                frames.rest();
                self.stream.readable().await.map_err(|_| End::Quiet)?;
                return Ok(());
            }
            received => received.map_err(|_| End::Quiet)?,
        };
        if count == 0 {
            return Err(End::Quiet);
        }
        frames.received(count);
        self.shard.metrics().bytes_in.add(count as u64);
        self.active.set(self.shard.clock().now());
        Ok(())
    }

    async fn finish(&self, started: Started, mut step: Step) {
        loop {
            step = match step {
                Step::Answer(response) => return self.answers.push(started, response),
                Step::Silent => return self.shard.metrics().ended(started, Instant::now()),
                Step::Close(why) => return self.answers.close(why),
                Step::Ordered(later) => return self.answers.push_later(started, later),
                Step::Wait(future) => {
                    self.handling.set(true);
                    let step = future.await;
                    self.handling.set(false);
                    self.active.set(self.shard.clock().now());
                    step
                }
            };
        }
    }

    /// The writer's task. When it returns the connection is over.
    pub(crate) async fn write(&self) {
        loop {
            match self.answers.next().await {
                Next::Send(ended) => {
                    let (starts, responses) = self.note(ended);
                    let bytes: usize = responses.iter().map(Response::total_bytes).sum();
                    if self.send(responses).await.is_err() {
                        break;
                    }
                    let now = Instant::now();
                    starts.into_iter().for_each(|started| self.shard.metrics().ended(started, now));
                    self.shard.metrics().bytes_out.add(bytes as u64);
                    self.active.set(self.shard.clock().now());
                }
                Next::End(None) => break,
                Next::End(Some(why)) => {
                    self.shard.metrics().connections_malformed.add(1);
                    tracing::warn!(peer = %self.peer.address, client = %self.peer.software(), "connection closed: {why}");
                    break;
                }
            }
        }
        self.answers.abandon();
        // Wakes the reader, if it still waits for the client.
        let _ = self.stream.shutdown();
    }

    fn note(&self, ended: Vec<Ended>) -> (SmallVec<[Started; 8]>, Vec<Response>) {
        let starts = ended.iter().map(|ended| ended.started).collect();
        let responses = ended.into_iter().filter_map(|ended| {
            let response = ended.response?;
            self.shard.metrics().answered(ended.started, response.errors());
            Some(response)
        });
        (starts, responses.collect())
    }

    /// Answers without records go as one piece; records go as the pages they lie in.
    async fn send(&self, responses: Vec<Response>) -> io::Result<()> {
        let mut header = Vec::new();
        let mut parts: Vec<OutPart> = Vec::new();
        for response in responses {
            let (bytes, more) = response.into_parts();
            match parts.last_mut() {
                None if header.is_empty() => header = bytes,
                None => header.extend(bytes),
                Some(OutPart::Owned(last)) => last.extend(bytes),
                Some(OutPart::Page(_)) => parts.push(OutPart::Owned(bytes)),
            }
            parts.extend(more);
        }
        if parts.is_empty() {
            return self.stream.send_all(&header).await;
        }
        self.taken.set(Some(Taken { bytes: 0, since: self.shard.clock().now() }));
        let sent = self.stream.send_vectored(header, parts).await;
        self.taken.set(None);
        sent
    }

    /// Has its client taken nothing of an answer that holds pages, for `patience`? To be asked now and then.
    pub(crate) fn is_stuck(&self, now: Millis, patience: Duration) -> bool {
        let (Some(taken), Ok(bytes)) = (self.taken.get(), self.stream.acknowledged_bytes()) else {
            return false;
        };
        if bytes != taken.bytes {
            self.taken.set(Some(Taken { bytes, since: now }));
            return false;
        }
        now.since(taken.since) >= patience
    }

    /// Does nobody use it? A handler at work, and a request or an answer that waits for this broker, are use.
    pub(crate) fn is_idle_since(&self, at: Millis) -> bool {
        let waits = self.starved.get() || self.muted.get() || self.answers.waits_for_us();
        let in_use = self.handling.get() || waits;
        self.active.get() < at && !in_use
    }

    /// Takes no more requests; those under way are answered, then the connection ends.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
        if !self.handling.get() {
            self.answers.end();
        }
    }

    /// Ends at once, whatever is under way.
    pub(crate) fn cut(&self) {
        let _ = self.stream.shutdown();
    }

    /// As `cut`, and what the client has not taken yet is dropped.
    pub(crate) fn abort(&self) {
        let _ = self.stream.abort();
    }
}

#[cfg(test)]
mod tests;
