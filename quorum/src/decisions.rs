//! Where metadata is decided: on the broker that leads the consensus one proposal at a time is judged over everything that
//! is committed, and is answered once its records are. Other brokers send what they propose to that one.
//!
//! Beside them the sessions of brokers, which only that broker keeps: who is silent for too long is fenced.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use coordinator::{Image, MetadataRecord, Refusal, controller::Sessions, raft::ProposeError};
use engine::Disk;
use model::{BrokerId, ErrorCode, LeaderEpoch, Millis, Offset};
use replication::{Runtime, runtime::at_most};
use rt::{notify::Notify, oneshot::Tx};

use crate::{
    consensus::{Consensus, NotCommitted, Standing},
    edges::Doing,
};

/// Proposals that wait to be judged. Whoever comes then is told to come again.
const QUEUE_MAX: usize = 10_000;
/// How long a look for a controller takes before it is looked for again.
const LOOK: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(50);

/// What was decided, and the offset up to which the metadata must be known for it to hold.
pub type Decided<T> = (T, Offset);

/// Why another try may go better, or will not.
#[derive(Debug)]
pub enum Failed {
    /// Nothing came of it: that broker is not the controller, or cannot be reached.
    NotController,
    /// It may hold, now or later.
    Unknown,
    Refused(Refusal),
}

/// What a proposal is to the session of a broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Session {
    /// The broker lives.
    Lives(BrokerId),
    /// It lives, once that is committed.
    Begins(BrokerId),
    /// It is over, if nothing was heard meanwhile.
    Expires(BrokerId),
    Ends(BrokerId),
}

/// The cluster's rules, over what is committed.
pub trait Judge {
    type Proposal: Clone;
    type Outcome;

    /// The answer, and the records that make it true.
    fn judge(
        &self,
        image: &Image,
        proposal: Self::Proposal,
        is_live: &dyn Fn(BrokerId) -> bool,
    ) -> (Self::Outcome, Vec<MetadataRecord>);

    /// A heartbeat is none of a broker that the image does not know in the life that speaks.
    fn session(&self, image: &Image, proposal: &Self::Proposal) -> Option<Session>;

    /// That the broker's session is over. Its records are dropped if it was heard before they are due.
    fn expiry(&self, broker: BrokerId) -> Self::Proposal;

    /// As the node stands. The simulator's broken controllers look elsewhere.
    fn standing<D: Disk>(&self, consensus: &Consensus<D>) -> Standing {
        consensus.standing()
    }
}

/// To whom a proposal goes.
pub trait Route<P, O> {
    /// This broker is the controller.
    fn here(&self, proposal: P) -> Doing<'_, Result<Decided<O>, Failed>>;

    /// That one is. It may be given up at any moment, and has had no effect until `sent` is true.
    fn there<'a>(
        &'a self,
        leader: BrokerId,
        proposal: &'a P,
        sent: &'a Cell<bool>,
    ) -> Doing<'a, Result<Decided<O>, Failed>>;

    /// Does it do no harm to carry it out twice?
    fn may_be_repeated(&self, proposal: &P) -> bool;
}

#[derive(Clone, Copy, Debug)]
pub struct Pulse {
    /// Silence after which a session is over.
    pub session: Duration,
    pub heartbeat: Duration,
}

type Waiting<J> = (<J as Judge>::Proposal, Tx<Result<Decided<<J as Judge>::Outcome>, Failed>>);

pub struct Decisions<D: Disk, J: Judge> {
    consensus: Rc<Consensus<D>>,
    runtime: Rc<dyn Runtime>,
    judge: J,
    pulse: Pulse,
    queue: RefCell<VecDeque<Waiting<J>>>,
    some: Notify,
    /// Of the brokers, while this one is the controller.
    sessions: RefCell<Option<(LeaderEpoch, Sessions)>>,
    /// Every shard of this broker acts on what is committed up to here.
    published: Cell<Offset>,
    some_published: Notify,
}

impl<D: Disk, J: Judge> Decisions<D, J> {
    pub fn new(consensus: Rc<Consensus<D>>, runtime: Rc<dyn Runtime>, judge: J, pulse: Pulse) -> Rc<Self> {
        Rc::new(Self {
            consensus,
            runtime,
            judge,
            pulse,
            queue: RefCell::default(),
            some: Notify::new(),
            sessions: RefCell::default(),
            published: Cell::new(Offset::NONE),
            some_published: Notify::new(),
        })
    }

    pub fn consensus(&self) -> &Rc<Consensus<D>> {
        &self.consensus
    }

    pub fn standing(&self) -> Standing {
        self.judge.standing(&self.consensus)
    }

    /// By whoever is the controller, for as long as `patience` says.
    pub async fn settle(
        &self,
        route: &impl Route<J::Proposal, J::Outcome>,
        proposal: J::Proposal,
        patience: Duration,
    ) -> Result<Decided<J::Outcome>, Refusal> {
        let deadline = self.runtime.now() + patience;
        loop {
            let changed = self.consensus.changed().wait();
            let standing = self.standing();
            let settled = match standing.leader {
                _ if standing.active => route.here(proposal.clone()).await,
                Some(leader) if leader != self.consensus.id() => {
                    let sent = Cell::new(false);
                    let call = route.there(leader, &proposal, &sent);
                    // One that hangs may answer much later, or never.
                    let settled = unless(self.superseded(standing), call).await;
                    settled.unwrap_or(Err(if sent.get() { Failed::Unknown } else { Failed::NotController }))
                }
                _ => {
                    at_most(&*self.runtime, LOOK, changed).await;
                    Err(Failed::NotController)
                }
            };
            match settled {
                Ok(decided) => return Ok(decided),
                Err(Failed::Refused(refusal)) => return Err(refusal),
                // Whoever asked knows better whether to do it twice.
                Err(Failed::Unknown) if !route.may_be_repeated(&proposal) => return Err(unknown()),
                Err(_) if self.runtime.now() >= deadline => return Err(nobody()),
                Err(_) => self.runtime.sleep(PAUSE).await,
            }
        }
    }

    /// Returns when somebody leads in a later epoch than that.
    async fn superseded(&self, then: Standing) {
        loop {
            let changed = self.consensus.changed().wait();
            let now = self.standing();
            if now.epoch > then.epoch && now.leader.is_some() {
                return;
            }
            changed.await;
        }
    }

    /// As the controller: its turn comes after what is in the queue.
    pub async fn queue(&self, proposal: J::Proposal) -> Result<Decided<J::Outcome>, Failed> {
        if !self.standing().active {
            return Err(Failed::NotController);
        }
        // What waits before it takes time, and that is not the broker's silence.
        if let Some(Session::Lives(broker)) = self.judge.session(&self.consensus.image(), &proposal) {
            self.heard(broker);
        }
        if self.queue.borrow().len() >= QUEUE_MAX {
            return Err(Failed::Refused(busy()));
        }
        let (tx, rx) = rt::oneshot();
        self.queue.borrow_mut().push_back((proposal, tx));
        self.some.wake_all();
        rx.await.unwrap_or(Err(Failed::Unknown))
    }

    /// One proposal after another, for ever.
    pub async fn run(&self) {
        loop {
            let some = self.some.wait();
            let next = self.queue.borrow_mut().pop_front();
            match next {
                None => some.await,
                Some((proposal, answer)) => {
                    let decided = self.decide(proposal).await;
                    // Whoever asked may be gone; what was decided holds all the same.
                    drop(answer.send(decided));
                }
            }
            rt::yield_if_needed().await;
        }
    }

    async fn decide(&self, proposal: J::Proposal) -> Result<Decided<J::Outcome>, Failed> {
        if !self.standing().active {
            return Err(Failed::NotController);
        }
        let image = self.consensus.image();
        let session = self.judge.session(&image, &proposal);
        let is_live = |broker| self.is_live(broker);
        let (outcome, mut records) = self.judge.judge(&image, proposal, &is_live);
        if matches!(session, Some(Session::Expires(broker)) if is_live(broker)) {
            // It was heard while its end waited for this turn.
            records.clear();
        }
        let (mut offset, changes) = (image.offset(), !records.is_empty());
        if changes {
            let count = i64::try_from(records.len()).expect("a request has few records");
            offset = self.consensus.propose(records).await.map_err(not_committed)? + (count - 1);
        }
        match session {
            // Unless it was refused.
            Some(Session::Begins(broker)) if changes => self.heard(broker),
            Some(Session::Ends(broker)) => self.forget(broker),
            // One with very many partitions takes several turns.
            Some(Session::Expires(broker)) if self.is_fenced(broker) => self.forget(broker),
            _ => {}
        }
        Ok((outcome, offset))
    }

    fn heard(&self, broker: BrokerId) {
        if let Some((_, sessions)) = &mut *self.sessions.borrow_mut() {
            sessions.heard(broker, self.runtime.now());
        }
    }

    fn forget(&self, broker: BrokerId) {
        if let Some((_, sessions)) = &mut *self.sessions.borrow_mut() {
            sessions.forget(broker);
        }
    }

    fn is_live(&self, broker: BrokerId) -> bool {
        let sessions = self.sessions.borrow();
        sessions.as_ref().is_some_and(|(_, sessions)| sessions.is_live(broker, self.runtime.now()))
    }

    fn is_fenced(&self, broker: BrokerId) -> bool {
        self.consensus.image().broker(broker).is_none_or(|broker| broker.fenced)
    }

    /// Fences whose session is over, for ever.
    pub async fn run_sessions(&self) {
        loop {
            let changed = self.consensus.changed().wait();
            let standing = self.standing();
            if !standing.active {
                self.sessions.borrow_mut().take();
                changed.await;
                continue;
            }
            for broker in self.expired(standing.epoch, self.runtime.now()) {
                tracing::info!(%broker, "its session is over");
                if self.queue(self.judge.expiry(broker)).await.is_err() {
                    // Whoever is in the way may be gone then.
                    self.runtime.sleep(PAUSE).await;
                }
            }
            let next = self.sessions.borrow().as_ref().and_then(|(_, sessions)| sessions.next_deadline());
            let wait = next.map_or(self.pulse.session, |at| at.since(self.runtime.now()));
            at_most(&*self.runtime, wait.max(Duration::from_millis(1)), changed).await;
        }
    }

    fn expired(&self, epoch: LeaderEpoch, now: Millis) -> Vec<BrokerId> {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let Pulse { session, heartbeat } = self.pulse;
            let image = self.consensus.image();
            let alive = image.brokers().filter(|broker| !broker.fenced).map(|broker| broker.id);
            let former = self.consensus.node().last_leader();
            *sessions = Some((epoch, Sessions::taken_over(alive, former, session, heartbeat, now)));
        }
        let (_, sessions) = sessions.as_mut().expect("set above");
        sessions.expired(now)
    }

    /// Every shard acts on the metadata up to there.
    pub fn publish(&self, to: Offset) {
        assert!(to > self.published.replace(to), "metadata only goes forward (M4)");
        self.some_published.wake_all();
    }

    pub fn published(&self) -> Offset {
        self.published.get()
    }

    /// Wakes when every shard acts on more.
    pub fn some_published(&self) -> &Notify {
        &self.some_published
    }

    /// Returns when every shard of this broker acts on the metadata up to there.
    pub async fn known_everywhere(&self, offset: Offset) {
        loop {
            let published = self.some_published.wait();
            if self.published.get() >= offset {
                return;
            }
            published.await;
        }
    }
}

fn not_committed(why: NotCommitted) -> Failed {
    match why {
        NotCommitted::Unknown => Failed::Unknown,
        NotCommitted::Refused(ProposeError::Busy) => Failed::Refused(busy()),
        NotCommitted::Refused(ProposeError::TooLarge) => Failed::Refused(too_large()),
        NotCommitted::Refused(_) => Failed::NotController,
    }
}

/// Whether it holds this broker cannot say: the controller changed under it, or the metadata does not arrive any more.
pub fn unknown() -> Refusal {
    let sentence = "The controller changed, or was lost, while this was decided; look whether it holds.";
    Refusal::new(ErrorCode::RequestTimedOut, sentence)
}

fn nobody() -> Refusal {
    let sentence = "No controller answers: a majority of the voters must be alive and connected.";
    Refusal::new(ErrorCode::NotController, sentence)
}

fn busy() -> Refusal {
    let sentence =
        "Too many changes of the metadata wait to be committed; is a majority of the voters alive?";
    Refusal::new(ErrorCode::RequestTimedOut, sentence)
}

fn too_large() -> Refusal {
    let sentence = "This changes more of the metadata than can be committed at once; ask for it in parts.";
    Refusal::new(ErrorCode::InvalidRequest, sentence)
}

/// What `future` gives, unless `other` ends first.
async fn unless<T>(other: impl Future<Output = ()>, future: impl Future<Output = T>) -> Option<T> {
    let (mut other, mut future) = (pin!(other), pin!(future));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => other.as_mut().poll(cx).map(|()| None),
    })
    .await
}
