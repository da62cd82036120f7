//! Where metadata is decided, as in `src/serve/control.rs`: on the broker that leads the consensus one proposal at a time is
//! judged by production's controller over everything committed, and answered once its records are committed. Every
//! broker has one of these, and sends what it proposes to whom it takes for the controller.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use coordinator::{
    Controller, Image, MetadataRecord, Refusal,
    controller::{AlterPartition, CreateTopic, Heartbeat, HeartbeatAnswer, RegisterBroker, Sessions},
    raft::ProposeError,
};
use model::{BrokerId, ErrorCode, LeaderEpoch, Millis, Offset, TopicId};
use replication::Runtime;
use rt::{notify::Notify, oneshot::Tx};

use super::{
    Cluster,
    consensus::{Consensus, NotCommitted},
    runtime::BrokerRuntime,
};
use crate::world::first_of;

pub const TOPIC: &str = "t";
pub const TOPIC_ID: TopicId = TopicId([9; 16]);
pub const SESSION: Duration = Duration::from_millis(500);
pub const HEARTBEAT_MS: u64 = 100;

const GRACE_HEARTBEATS: u32 = 3;
/// How long a proposal waits for a controller.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_MS: u64 = 200;
const PAUSE_MS: u64 = 50;
const REBALANCE_MS: u64 = 300;

#[derive(Clone, Debug)]
pub enum Proposal {
    Register(RegisterBroker),
    Heartbeat(Heartbeat),
    AlterPartition(AlterPartition),
    CreateTopic(CreateTopic),
    Fence(BrokerId),
    Rebalance,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    Register(Result<(), Refusal>),
    Heartbeat(Result<HeartbeatAnswer, Refusal>),
    /// What becomes of each part.
    AlterPartition(Result<Vec<ErrorCode>, Refusal>),
    Done,
}

/// What was decided, and the offset up to which the metadata must be known for it to hold.
pub type Decided = (Outcome, Offset);

/// Why another try may go better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failed {
    /// Nothing came of it.
    NotController,
    /// It may hold, now or later.
    Unknown,
}

/// A proposal that waits its turn, and who waits for what becomes of it.
type Waiting = (Proposal, Tx<Result<Decided, Failed>>);

pub struct Control {
    cluster: Rc<Cluster>,
    runtime: Rc<BrokerRuntime>,
    consensus: Rc<Consensus>,
    queue: RefCell<VecDeque<Waiting>>,
    some: Notify,
    /// Of the brokers, while this one is the controller.
    sessions: RefCell<Option<(LeaderEpoch, Sessions)>>,
    /// This broker acts on what is committed up to here.
    published: Cell<Offset>,
    some_published: Notify,
}

impl Control {
    pub fn new(cluster: Rc<Cluster>, runtime: Rc<BrokerRuntime>, consensus: Rc<Consensus>) -> Rc<Self> {
        Rc::new(Self {
            cluster,
            runtime,
            consensus,
            queue: RefCell::default(),
            some: Notify::new(),
            sessions: RefCell::default(),
            published: Cell::new(Offset::NONE),
            some_published: Notify::new(),
        })
    }

    pub fn start(self: &Rc<Self>) {
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move { this.run_decisions().await }));
        let this = self.clone();
        self.runtime.spawn(Box::pin(async move { this.run_sessions().await }));
        if self.cluster.plan.faults.moves {
            let this = self.clone();
            self.runtime.spawn(Box::pin(async move { this.run_rebalancing().await }));
        }
    }

    pub fn consensus(&self) -> &Rc<Consensus> {
        &self.consensus
    }

    /// Answers when the outcome holds on this broker. `None`: nobody answered, and what was asked for may hold or not.
    pub async fn propose(self: &Rc<Self>, proposal: Proposal) -> Option<Outcome> {
        let (outcome, offset) = self.settle(proposal).await?;
        loop {
            let published = self.some_published.wait();
            if self.published.get() >= offset {
                return Some(outcome);
            }
            published.await;
        }
    }

    /// By whoever is the controller.
    pub async fn settle(self: &Rc<Self>, proposal: Proposal) -> Option<Decided> {
        let deadline = self.runtime.now() + PATIENCE;
        loop {
            let changed = self.consensus.changed().wait();
            let standing = self.consensus.standing();
            let settled = match standing.leader {
                _ if standing.active => self.queue(proposal.clone()).await,
                Some(leader) if leader != self.consensus.id() => self.call(leader, &proposal).await,
                _ => {
                    first_of(self.runtime.sleep_ms(LOOK_MS), changed).await;
                    Err(Failed::NotController)
                }
            };
            match settled {
                Ok(decided) => return Some(decided),
                Err(failed) => {
                    self.cluster.tell(|| format!("broker {}: {failed:?}: {proposal:?}", self.consensus.id()));
                    if self.runtime.now() >= deadline {
                        return None;
                    }
                    self.runtime.sleep_ms(PAUSE_MS).await;
                }
            }
        }
    }

    /// Over the network, and back. What that broker began it finishes, whether its answer arrives or not.
    async fn call(&self, leader: BrokerId, proposal: &Proposal) -> Result<Decided, Failed> {
        let (cluster, own) = (&self.cluster, self.consensus.id().0);
        if !cluster.network.travel(own, leader.0).await {
            cluster.network.notice().await;
            return Err(Failed::Unknown);
        }
        let Some(there) = cluster.broker(leader.0).life() else { return Err(Failed::NotController) };
        let (tx, rx) = rt::oneshot();
        let (control, proposal) = (there.control.clone(), proposal.clone());
        let serve = async move {
            // The lane may be gone.
            drop(tx.send(control.serve_call(proposal).await));
        };
        there.runtime.spawn(Box::pin(serve));
        let mut answer = None;
        first_of(async { answer = rx.await }, cluster.network.dark(own, leader.0)).await;
        let back = cluster.network.travel(leader.0, own).await;
        match answer.filter(|_| back) {
            Some(settled) => settled,
            None => {
                cluster.network.notice().await;
                Err(Failed::Unknown)
            }
        }
    }

    async fn serve_call(&self, proposal: Proposal) -> Result<Decided, Failed> {
        if !self.consensus.standing().active {
            return Err(Failed::NotController);
        }
        self.queue(proposal).await
    }

    /// Its turn comes after what is in the queue.
    async fn queue(&self, proposal: Proposal) -> Result<Decided, Failed> {
        let (tx, rx) = rt::oneshot();
        self.queue.borrow_mut().push_back((proposal, tx));
        self.some.wake_all();
        rx.await.unwrap_or(Err(Failed::Unknown))
    }

    /// One proposal after another, for ever.
    async fn run_decisions(&self) {
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
        }
    }

    async fn decide(&self, proposal: Proposal) -> Result<Decided, Failed> {
        if !self.consensus.standing().active {
            return Err(Failed::NotController);
        }
        if let Proposal::Heartbeat(heartbeat) = &proposal {
            self.heard(heartbeat.broker);
        }
        let (registers, ends) = match &proposal {
            Proposal::Register(asked) => (Some(asked.id), None),
            Proposal::Fence(broker) => (None, Some(*broker)),
            _ => (None, None),
        };
        let image = self.consensus.image();
        let (outcome, records) = self.judge(&image, proposal);
        if records.is_empty() {
            if let Some(broker) = ends {
                self.forget(broker);
            }
            return Ok((outcome, image.offset()));
        }
        let count = i64::try_from(records.len()).expect("a request has few records");
        match self.consensus.propose(records).await {
            Ok(base) => {
                if let Some(broker) = registers {
                    self.heard(broker);
                }
                if let Some(broker) = ends {
                    self.forget(broker);
                }
                Ok((outcome, base + (count - 1)))
            }
            Err(NotCommitted::Unknown) => Err(Failed::Unknown),
            Err(NotCommitted::Refused(ProposeError::Busy)) => unreachable!("one proposal at a time"),
            Err(NotCommitted::Refused(_)) => Err(Failed::NotController),
        }
    }

    fn judge(&self, image: &Image, proposal: Proposal) -> (Outcome, Vec<MetadataRecord>) {
        let config = self.cluster.config.with_dynamic(image);
        let controller = Controller::new(image, &config);
        match proposal {
            Proposal::Register(asked) => {
                let same = image.broker(asked.id).is_some_and(|b| b.directory_id == asked.directory_id);
                let decision = controller.register_broker(&asked, !same && self.is_live(asked.id));
                (Outcome::Register(decision.answer), decision.records)
            }
            Proposal::Heartbeat(heartbeat) => {
                let decision = controller.heartbeat(&heartbeat);
                (Outcome::Heartbeat(decision.answer), decision.records)
            }
            Proposal::AlterPartition(asked) => {
                let decision = controller.alter_partition(&asked);
                let code =
                    |part: &Result<_, Refusal>| part.as_ref().err().map_or(ErrorCode::None, |no| no.code);
                let codes = decision.answer.map(|parts| parts.iter().map(code).collect());
                (Outcome::AlterPartition(codes), decision.records)
            }
            Proposal::CreateTopic(topic) => {
                let decision = controller.create_topics(&[topic], false, &mut || TOPIC_ID);
                (Outcome::Done, decision.records)
            }
            Proposal::Fence(broker) => (Outcome::Done, controller.fence(broker).records),
            Proposal::Rebalance => (Outcome::Done, controller.preferred_imbalance(100).records),
        }
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

    /// Fences whose session is over, for ever.
    async fn run_sessions(&self) {
        loop {
            let changed = self.consensus.changed().wait();
            let standing = self.consensus.standing();
            if !standing.active {
                self.sessions.borrow_mut().take();
                changed.await;
                continue;
            }
            for broker in self.expired(standing.epoch, self.runtime.now()) {
                drop(self.queue(Proposal::Fence(broker)).await);
            }
            let next = self.sessions.borrow().as_ref().and_then(|(_, sessions)| sessions.next_deadline());
            let wait = next.map_or(SESSION, |at| at.since(self.runtime.now()));
            first_of(self.runtime.sleep(wait.max(Duration::from_millis(1))), changed).await;
        }
    }

    /// A controller that is new to it gives everybody time to find it, which takes a few heartbeats.
    fn expired(&self, epoch: LeaderEpoch, now: Millis) -> Vec<BrokerId> {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let image = self.consensus.image();
            let alive = image.brokers().filter(|broker| !broker.fenced).map(|broker| broker.id);
            let given = (Duration::from_millis(HEARTBEAT_MS) * GRACE_HEARTBEATS).min(SESSION);
            let spent = u64::try_from((SESSION - given).as_millis()).expect("it is short");
            *sessions = Some((epoch, Sessions::new(alive, SESSION, Millis(now.0.saturating_sub(spent)))));
        }
        let (_, sessions) = sessions.as_mut().expect("set above");
        sessions.expired(now)
    }

    /// Gives leadership back to preferred replicas, for ever.
    async fn run_rebalancing(&self) {
        loop {
            self.runtime.sleep_ms(REBALANCE_MS).await;
            if self.consensus.standing().active {
                drop(self.queue(Proposal::Rebalance).await);
            }
        }
    }

    /// This broker acts on the metadata up to there.
    pub fn publish(&self, offset: Offset) {
        assert!(offset > self.published.replace(offset), "metadata only goes forward (M4)");
        self.some_published.wake_all();
    }

    pub fn published(&self) -> Offset {
        self.published.get()
    }
}
