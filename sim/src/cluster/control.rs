//! Where metadata is decided, on a simulated broker: production's queue and sessions (`quorum::Decisions`) with production's
//! controller, and the simulated network to whom a broker takes for it.

use std::{cell::Cell, rc::Rc, time::Duration};

use coordinator::{
    Controller, Image, MetadataRecord, Refusal,
    controller::{AlterPartition, CreateTopic, Heartbeat, HeartbeatAnswer, RegisterBroker},
};
use engine::Disk;
use model::{BrokerId, ErrorCode, Offset, TopicId};
use quorum::{Consensus as Quorum, Decisions, Doing, Failed, Judge, Pulse, Route, Session, Standing};
use replication::Runtime;

use super::{
    Cluster,
    consensus::{self, Consensus},
    runtime::BrokerRuntime,
};
use crate::{disk::SimDisk, world::first_of};

pub const TOPIC: &str = "t";
pub const TOPIC_ID: TopicId = TopicId([9; 16]);
pub const SESSION: Duration = Duration::from_millis(500);
pub const HEARTBEAT_MS: u64 = 100;

/// How long a proposal waits for a controller.
const PATIENCE: Duration = Duration::from_secs(3);
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

pub type Decided = quorum::Decided<Outcome>;

pub struct Control {
    cluster: Rc<Cluster>,
    runtime: Rc<BrokerRuntime>,
    decisions: Rc<Decisions<SimDisk, Rules>>,
}

/// Production's controller.
struct Rules(Rc<Cluster>);

/// The network to whoever is the controller.
struct Way<'a>(&'a Control);

impl Control {
    pub fn new(cluster: Rc<Cluster>, runtime: Rc<BrokerRuntime>, consensus: Rc<Consensus>) -> Rc<Self> {
        let pulse = Pulse { session: SESSION, heartbeat: Duration::from_millis(HEARTBEAT_MS) };
        let decisions = Decisions::new(consensus, runtime.clone(), Rules(cluster.clone()), pulse);
        Rc::new(Self { cluster, runtime, decisions })
    }

    pub fn start(self: &Rc<Self>) {
        let decisions = self.decisions.clone();
        self.runtime.spawn(Box::pin(async move { decisions.run().await }));
        let decisions = self.decisions.clone();
        self.runtime.spawn(Box::pin(async move { decisions.run_sessions().await }));
        if self.cluster.plan.faults.moves {
            let this = self.clone();
            self.runtime.spawn(Box::pin(async move { this.run_rebalancing().await }));
        }
    }

    pub fn consensus(&self) -> &Rc<Consensus> {
        self.decisions.consensus()
    }

    pub fn standing(&self) -> Standing {
        self.decisions.standing()
    }

    /// Answers when the outcome holds on this broker. `None`: nobody answered, and what was asked for may hold or not.
    pub async fn propose(&self, proposal: Proposal) -> Option<Outcome> {
        let (outcome, offset) = self.settle(proposal).await?;
        self.decisions.known_everywhere(offset).await;
        Some(outcome)
    }

    /// By whoever is the controller.
    pub async fn settle(&self, proposal: Proposal) -> Option<Decided> {
        self.decisions.settle(&Way(self), proposal, PATIENCE).await.ok()
    }

    /// This broker acts on the metadata up to there.
    pub fn publish(&self, offset: Offset) {
        self.decisions.publish(offset);
    }

    pub fn published(&self) -> Offset {
        self.decisions.published()
    }

    /// Over the network, and back. What that broker began it finishes, whether its answer arrives or not.
    async fn call(&self, leader: BrokerId, proposal: &Proposal) -> Result<Decided, Failed> {
        let (cluster, own) = (&self.cluster, self.consensus().id().0);
        if !cluster.network.travel(own, leader.0).await {
            cluster.network.notice().await;
            return Err(Failed::Unknown);
        }
        let Some(there) = cluster.broker(leader.0).life() else { return Err(Failed::NotController) };
        let (tx, rx) = rt::oneshot();
        let (control, proposal) = (there.control.clone(), proposal.clone());
        let serve = async move {
            // The lane may be gone.
            drop(tx.send(control.decisions.queue(proposal).await));
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

    /// Gives leadership back to preferred replicas, for ever.
    async fn run_rebalancing(&self) {
        loop {
            self.runtime.sleep_ms(REBALANCE_MS).await;
            if self.standing().active {
                drop(self.decisions.queue(Proposal::Rebalance).await);
            }
        }
    }
}

impl Route<Proposal, Outcome> for Way<'_> {
    fn here(&self, proposal: Proposal) -> Doing<'_, Result<Decided, Failed>> {
        Box::pin(self.0.decisions.queue(proposal))
    }

    fn there<'a>(
        &'a self,
        leader: BrokerId,
        proposal: &'a Proposal,
        sent: &'a Cell<bool>,
    ) -> Doing<'a, Result<Decided, Failed>> {
        sent.set(true);
        Box::pin(self.0.call(leader, proposal))
    }

    fn may_be_repeated(&self, _: &Proposal) -> bool {
        true
    }
}

impl Judge for Rules {
    type Proposal = Proposal;
    type Outcome = Outcome;

    fn judge(
        &self,
        image: &Image,
        proposal: Proposal,
        is_live: &dyn Fn(BrokerId) -> bool,
    ) -> (Outcome, Vec<MetadataRecord>) {
        let config = self.0.config.with_dynamic(image);
        let controller = Controller::new(image, &config);
        match proposal {
            Proposal::Register(asked) => {
                let same = image.broker(asked.id).is_some_and(|b| b.directory_id == asked.directory_id);
                let decision = controller.register_broker(&asked, !same && is_live(asked.id));
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

    fn session(&self, image: &Image, proposal: &Proposal) -> Option<Session> {
        match proposal {
            Proposal::Heartbeat(it) => {
                it.is_of(image.broker(it.broker)?).then_some(Session::Lives(it.broker))
            }
            Proposal::Register(asked) => Some(Session::Begins(asked.id)),
            Proposal::Fence(broker) => Some(Session::Expires(*broker)),
            _ => None,
        }
    }

    fn expiry(&self, broker: BrokerId) -> Proposal {
        Proposal::Fence(broker)
    }

    fn standing<D: Disk>(&self, consensus: &Quorum<D>) -> Standing {
        consensus::standing(self.0.plan.bug, consensus)
    }
}
