//! Where metadata is decided, on shard 0 of the broker that leads the consensus: one proposal at a time is judged over
//! everything that is committed, its records go through the consensus, and once they are committed the next image goes
//! to every shard of every broker.
//!
//! ```text
//!   proposal -+-> this broker is the controller:  Controller (pure) -> records -> consensus -> committed
//!             +-> another one is:                 over its control lane, and back
//!             +-> nobody is known to be:          waits
//!   committed -> image -> every shard -> answer
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};

use coordinator::{
    BrokerConfig, Controller, Image, MetadataRecord, Refusal,
    controller::{Reassignment, Sessions},
    raft::ProposeError,
};
use engine::Disk;
use model::{BrokerId, ErrorCode, LeaderEpoch, Millis, Offset, TopicId};
use net::{Forwarded, Outcome, Proposal, Reassign, Responder, Shard, handlers};
use rt::{notify::Notify, oneshot::Tx};

use super::{
    consensus::{Consensus, NotCommitted},
    metadata_log,
    peers::Peers,
};

pub mod calls;
mod quorum;
pub mod wire;

use calls::Calls;

/// How long a proposal waits for a controller.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what a client asks waits for one: most clients wait 30 s for an answer, whatever it is.
const PATIENCE_OF_CLIENTS: Duration = Duration::from_secs(25);
/// How long a look for a controller takes before it is looked for again.
const LOOK: Duration = Duration::from_millis(200);
/// Heartbeats that a broker may miss while the controller changes.
const GRACE_HEARTBEATS: u32 = 3;
/// Partitions that change their leader at once without anybody asking for it.
const REBALANCED_MAX: usize = 1000;
/// A timer has no need of the hundred million years that a config may say.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);
const PAUSE: Duration = Duration::from_millis(50);

/// What was decided, and the offset up to which the metadata must be known for it to hold.
type Decided = (Outcome, Offset);

type Settled = Result<Decided, Failed>;

/// Why another try may go better.
#[derive(Debug)]
enum Failed {
    /// Nothing came of it.
    NotController,
    /// It may hold, now or later.
    Unknown,
    /// The log takes no records.
    Refused(Refusal),
}

pub struct Control<D: Disk> {
    shard: Rc<Shard<D>>,
    consensus: Rc<Consensus<D>>,
    calls: Option<Calls>,
    queue: RefCell<VecDeque<(Proposal, Tx<Settled>)>>,
    some: Notify,
    /// Of the brokers, while this one is the controller.
    sessions: RefCell<Option<(LeaderEpoch, Sessions)>>,
    session_timeout: Duration,
    heartbeat_interval: Duration,
    /// Every shard acts on what is committed up to here.
    published: Cell<Offset>,
    some_published: Notify,
}

impl<D: Disk> Control<D> {
    pub fn new(shard: Rc<Shard<D>>, consensus: Rc<Consensus<D>>, peers: Option<Rc<Peers>>) -> Rc<Self> {
        let session_timeout = shard.config().session_timeout();
        let heartbeat_interval = shard.config().heartbeat_interval();
        Rc::new(Self {
            shard,
            consensus,
            calls: peers.map(Calls::new),
            queue: RefCell::default(),
            some: Notify::new(),
            sessions: RefCell::default(),
            session_timeout,
            heartbeat_interval,
            published: Cell::new(Offset::NONE),
            some_published: Notify::new(),
        })
    }

    pub fn consensus(&self) -> &Rc<Consensus<D>> {
        &self.consensus
    }

    pub fn shard(&self) -> &Rc<Shard<D>> {
        &self.shard
    }

    pub fn start(self: &Rc<Self>) {
        let this = self.clone();
        rt::spawn(async move { this.run_inbox().await });
        let this = self.clone();
        rt::spawn(async move { this.run_decisions().await });
        let this = self.clone();
        rt::spawn(async move { this.run_publishing().await });
        if self.calls.is_some() {
            let this = self.clone();
            rt::spawn(async move { this.run_sessions().await });
            let this = self.clone();
            rt::spawn(async move { this.run_rebalancing().await });
            let this = self.clone();
            rt::spawn(async move { this.run_elections().await });
        }
    }

    /// Takes what the shards of this broker propose, for ever.
    async fn run_inbox(self: &Rc<Self>) {
        let inbox = self.shard.control().inbox().expect("the control shard has it");
        loop {
            let (proposal, responder) = inbox.next().await;
            let this = self.clone();
            rt::spawn(async move { this.answer(proposal, responder).await });
        }
    }

    async fn answer(self: Rc<Self>, proposal: Proposal, responder: Responder) {
        responder.answer(self.propose(proposal).await);
    }

    /// Answers when the outcome holds on every shard of this broker.
    pub async fn propose(self: &Rc<Self>, proposal: Proposal) -> Outcome {
        match self.settle(proposal).await {
            // It is committed; but a broker that is cut off by now may never hear of it.
            Ok((outcome, offset)) => {
                match rt::timer::timeout(PATIENCE_OF_CLIENTS, self.known_everywhere(offset)).await {
                    Some(()) => outcome,
                    None => Outcome::Failed(unknown()),
                }
            }
            Err(refusal) => Outcome::Failed(refusal),
        }
    }

    /// By whoever is the controller.
    pub async fn settle(self: &Rc<Self>, proposal: Proposal) -> Result<Decided, Refusal> {
        let of_client = matches!(proposal, Proposal::Forward(_));
        let deadline = rt::timer::now() + if of_client { PATIENCE_OF_CLIENTS } else { PATIENCE };
        loop {
            let changed = self.consensus.changed().wait();
            let standing = self.consensus.standing();
            let failed = match (standing.leader, &self.calls) {
                _ if standing.active => match self.settle_here(proposal.clone()).await {
                    Ok(decided) => return Ok(decided),
                    Err(failed) => failed,
                },
                (Some(leader), Some(calls)) if leader != self.consensus.id() => {
                    match calls.call(leader, &proposal).await {
                        Ok(Some(decided)) => return Ok(decided),
                        Ok(None) => Failed::NotController,
                        Err(calls::CallError::NotSent(error)) => {
                            tracing::debug!(broker = %leader, %error, "the controller cannot be reached");
                            Failed::NotController
                        }
                        Err(calls::CallError::NotForOthers) => {
                            let sentence = "This broker is not the controller; send it to the controller's.";
                            return Err(Refusal::new(ErrorCode::NotController, sentence));
                        }
                        Err(calls::CallError::Unknown) => Failed::Unknown,
                    }
                }
                _ => {
                    let _ = rt::timer::timeout(LOOK, changed).await;
                    Failed::NotController
                }
            };
            match failed {
                Failed::Refused(refusal) => return Err(refusal),
                // To do it twice might do harm; whoever asked knows better.
                Failed::Unknown if !may_be_repeated(&proposal) => return Err(unknown()),
                Failed::Unknown | Failed::NotController if rt::timer::now() >= deadline => {
                    let sentence =
                        "No controller answers: a majority of the voters must be alive and connected.";
                    return Err(Refusal::new(ErrorCode::NotController, sentence));
                }
                Failed::Unknown | Failed::NotController => rt::timer::sleep(PAUSE).await,
            }
        }
    }

    /// As the controller. `Err`: this broker is not, or not any more.
    async fn settle_here(self: &Rc<Self>, proposal: Proposal) -> Result<Decided, Failed> {
        match proposal {
            Proposal::Forward(forwarded) => return Ok(self.answer_forwarded(forwarded).await),
            Proposal::DescribeQuorum => {
                return Ok((Outcome::DescribeQuorum(self.quorum_state()), Offset::NONE));
            }
            Proposal::ChangeVoters(asked) => {
                return Ok((Outcome::ChangeVoters(self.change_voters(asked).await), Offset::NONE));
            }
            _ => {}
        }
        self.queue(proposal).await
    }

    /// Its turn comes after what is in the queue.
    async fn queue(&self, proposal: Proposal) -> Settled {
        let (tx, rx) = rt::oneshot();
        self.queue.borrow_mut().push_back((proposal, tx));
        self.some.wake_all();
        rx.await.unwrap_or(Err(Failed::Unknown))
    }

    async fn answer_forwarded(&self, forwarded: Forwarded) -> Decided {
        let frame = Box::pin(handlers::answer_forwarded(&self.shard, forwarded)).await;
        (Outcome::Forward(frame), self.consensus.image().offset())
    }

    /// Of another broker, for its control lane: `None` if this one is not the controller.
    pub async fn serve_call(self: &Rc<Self>, proposal: Proposal) -> Option<Decided> {
        if !self.consensus.standing().active {
            return None;
        }
        match self.settle_here(proposal).await {
            Ok(decided) => Some(decided),
            Err(Failed::NotController) => None,
            Err(Failed::Unknown) => Some((Outcome::Failed(unknown()), Offset::NONE)),
            Err(Failed::Refused(refusal)) => Some((Outcome::Failed(refusal), Offset::NONE)),
        }
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
            Proposal::RegisterBroker(asked) => (Some(asked.id), None),
            Proposal::Fence(broker) | Proposal::UnregisterBroker(broker) => (None, Some(*broker)),
            _ => (None, None),
        };
        let image = self.consensus.image();
        let config = self.shard.config().with_dynamic(&image);
        let is_live = |broker| self.is_live(broker);
        let (outcome, records) = decide(&image, &config, proposal, &is_live, &mut random_id);
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
            Err(NotCommitted::Refused(ProposeError::Busy)) => Err(Failed::Refused(Refusal::new(
                ErrorCode::RequestTimedOut,
                "Too many changes of the metadata wait to be committed; is a majority of the voters alive?",
            ))),
            Err(NotCommitted::Refused(_)) => Err(Failed::NotController),
        }
    }

    fn heard(&self, broker: BrokerId) {
        if let Some((_, sessions)) = &mut *self.sessions.borrow_mut() {
            sessions.heard(broker, rt::timer::now());
        }
    }

    fn forget(&self, broker: BrokerId) {
        if let Some((_, sessions)) = &mut *self.sessions.borrow_mut() {
            sessions.forget(broker);
        }
    }

    fn is_live(&self, broker: BrokerId) -> bool {
        let sessions = self.sessions.borrow();
        sessions.as_ref().is_some_and(|(_, sessions)| sessions.is_live(broker, rt::timer::now()))
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
            let now = rt::timer::now();
            for broker in self.expired(standing.epoch, now) {
                tracing::info!(%broker, "its session is over");
                drop(self.queue(Proposal::Fence(broker)).await);
            }
            let next = self.sessions.borrow().as_ref().and_then(|(_, sessions)| sessions.next_deadline());
            let wait = next.map_or(self.session_timeout, |at| at.since(rt::timer::now()));
            let _ = rt::timer::timeout(wait.max(Duration::from_millis(1)), changed).await;
        }
    }

    /// A controller that is new to it gives everybody time to find it, which takes a few heartbeats.
    fn expired(&self, epoch: LeaderEpoch, now: Millis) -> Vec<BrokerId> {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.as_ref().is_none_or(|(known, _)| *known != epoch) {
            let image = self.consensus.image();
            let alive = image.brokers().filter(|broker| !broker.fenced).map(|broker| broker.id);
            let given = (self.heartbeat_interval * GRACE_HEARTBEATS).min(self.session_timeout);
            let spent = u64::try_from((self.session_timeout - given).as_millis()).unwrap_or(0);
            let began = Millis(now.0.saturating_sub(spent));
            *sessions = Some((epoch, Sessions::new(alive, self.session_timeout, began)));
        }
        let (_, sessions) = sessions.as_mut().expect("set above");
        sessions.expired(now)
    }

    /// Gives leadership back to preferred replicas, for ever.
    async fn run_rebalancing(&self) {
        loop {
            let config = self.shard.config();
            let seconds = u64::try_from(config.leader_imbalance_check_interval_seconds).unwrap_or(0).max(1);
            rt::timer::sleep(Duration::from_secs(seconds)).await;
            if config.auto_leader_rebalance_enable && self.consensus.standing().active {
                drop(self.queue(Proposal::Rebalance).await);
            }
        }
    }

    /// Looks for partitions that have no leader and may have one, for ever: when this broker becomes the controller, whose
    /// configuration may be another than that of the one before it, and from time to time.
    async fn run_elections(&self) {
        let mut looked = None;
        loop {
            let changed = self.consensus.changed().wait();
            let standing = self.consensus.standing();
            if !standing.active {
                looked = None;
                changed.await;
                continue;
            }
            let now = rt::timer::now();
            let ms = u64::try_from(self.shard.config().unclean_leader_election_interval_ms).unwrap_or(0);
            let interval = Duration::from_millis(ms.max(1));
            let due = match looked {
                Some((epoch, at)) if epoch == standing.epoch => at + interval,
                _ => now,
            };
            if now < due {
                let _ = rt::timer::timeout(due.since(now).min(LONGEST_SLEEP), changed).await;
                continue;
            }
            while let Ok((Outcome::ElectLeaderless(true), _)) = self.queue(Proposal::ElectLeaderless).await {}
            looked = Some((standing.epoch, rt::timer::now()));
        }
    }

    /// Takes what is committed to every shard, for ever.
    async fn run_publishing(&self) {
        loop {
            let changed = self.consensus.changed().wait();
            let image = self.consensus.image();
            if image.offset() > self.published.get() {
                let offset = image.offset();
                self.shard.images().publish(image).await;
                self.published.set(offset);
                self.some_published.wake_all();
            } else {
                changed.await;
            }
        }
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

    pub fn published(&self) -> Offset {
        self.published.get()
    }

    /// Wakes when every shard acts on more.
    pub fn some_published(&self) -> &Notify {
        &self.some_published
    }
}

fn unknown() -> Refusal {
    let sentence = "The controller changed, or was lost, while this was decided; look whether it holds.";
    Refusal::new(ErrorCode::RequestTimedOut, sentence)
}

fn may_be_repeated(proposal: &Proposal) -> bool {
    match proposal {
        Proposal::RegisterBroker(_)
        | Proposal::Heartbeat(_)
        | Proposal::AlterPartition(_)
        | Proposal::ReportDamage(_)
        | Proposal::ProducerIds
        | Proposal::AutoCreate(_) => true,
        Proposal::Forward(forwarded) => forwarded.only_asks(),
        _ => false,
    }
}

fn random_id() -> TopicId {
    TopicId(*uuid::Uuid::new_v4().as_bytes())
}

/// Pure: the answer, and the records that make it true.
fn decide(
    image: &Image,
    config: &BrokerConfig,
    proposal: Proposal,
    is_live: &dyn Fn(BrokerId) -> bool,
    new_id: &mut dyn FnMut() -> TopicId,
) -> (Outcome, Vec<MetadataRecord>) {
    let controller = Controller::new(image, config);
    macro_rules! decided {
        ($outcome:path, $decision:expr) => {{
            let decision = $decision;
            ($outcome(decision.answer), decision.records)
        }};
    }
    match proposal {
        Proposal::CreateTopics { topics, validate_only } => {
            decided!(Outcome::CreateTopics, controller.create_topics(&topics, validate_only, new_id))
        }
        Proposal::DeleteTopics(topics) => decided!(Outcome::DeleteTopics, controller.delete_topics(&topics)),
        Proposal::CreatePartitions { topics, validate_only } => {
            decided!(Outcome::CreatePartitions, controller.create_partitions(&topics, validate_only))
        }
        Proposal::AlterConfigs { requests, validate_only } => {
            decided!(Outcome::AlterConfigs, controller.alter_configs(&requests, validate_only))
        }
        Proposal::ReplaceConfigs { requests, validate_only } => {
            decided!(Outcome::ReplaceConfigs, controller.replace_configs(&requests, validate_only))
        }
        Proposal::AlterClientQuotas { requests, validate_only } => {
            decided!(Outcome::AlterClientQuotas, controller.alter_client_quotas(&requests, validate_only))
        }
        Proposal::Reassign { partitions, allow_replication_factor_change } => {
            let asked: Vec<_> = partitions.iter().map(reassignment).collect();
            decided!(Outcome::Reassign, controller.reassign(&asked, allow_replication_factor_change))
        }
        Proposal::Elect { partitions, election } => {
            let asked: Vec<_> = partitions.iter().map(|(topic, index)| (topic.as_str(), *index)).collect();
            decided!(Outcome::Elect, controller.elect(&asked, election))
        }
        Proposal::UnregisterBroker(broker) => {
            decided!(Outcome::UnregisterBroker, controller.unregister_broker(broker))
        }
        Proposal::UpdateFeatures { updates, validate_only } => {
            decided!(Outcome::UpdateFeatures, controller.update_features(&updates, validate_only))
        }
        Proposal::ProducerIds => decided!(Outcome::ProducerIds, controller.allocate_producer_ids()),
        Proposal::AutoCreate(names) => auto_create(image, config, &names, new_id),
        Proposal::RegisterBroker(asked) => {
            decided!(Outcome::RegisterBroker, {
                // Who holds the directory's lock is no second broker: the other one is dead.
                let same = image.broker(asked.id).is_some_and(|b| b.directory_id == asked.directory_id);
                controller.register_broker(&asked, !same && is_live(asked.id))
            })
        }
        Proposal::Heartbeat(heartbeat) => decided!(Outcome::Heartbeat, controller.heartbeat(&heartbeat)),
        Proposal::AlterPartition(asked) => {
            let decision = controller.alter_partition(&asked);
            (Outcome::AlterPartition(decision.answer.map(codes)), decision.records)
        }
        Proposal::ReportDamage(asked) => {
            let decision = controller.report_damage(&asked);
            (Outcome::ReportDamage(decision.answer.map(codes)), decision.records)
        }
        Proposal::Fence(broker) => (Outcome::Fence, controller.fence(broker).records),
        Proposal::ElectLeaderless => {
            decided!(Outcome::ElectLeaderless, controller.elect_leaderless(REBALANCED_MAX))
        }
        Proposal::Rebalance => (Outcome::Rebalance, controller.preferred_imbalance(REBALANCED_MAX).records),
        Proposal::Forward(_) => unreachable!("it is answered by handlers, which propose what is in it"),
        Proposal::DescribeQuorum | Proposal::ChangeVoters(_) => {
            unreachable!("the consensus answers it, not the controller")
        }
    }
}

fn codes<T>(parts: Vec<Result<T, Refusal>>) -> Vec<ErrorCode> {
    parts.iter().map(|part| part.as_ref().err().map_or(ErrorCode::None, |no| no.code)).collect()
}

fn reassignment(asked: &Reassign) -> Reassignment<'_> {
    let Reassign { topic, partition, replicas } = asked;
    Reassignment { topic, partition: *partition, replicas: replicas.clone() }
}

/// Topics one by one, each over an image that has those before it: two names may collide with each other.
fn auto_create(
    image: &Image,
    config: &BrokerConfig,
    names: &[String],
    new_id: &mut dyn FnMut() -> TopicId,
) -> (Outcome, Vec<MetadataRecord>) {
    let mut working = image.clone();
    let (mut answers, mut records) = (Vec::new(), Vec::new());
    for name in names {
        let decision = Controller::new(&working, config).auto_create(name, new_id);
        working = metadata_log::applied(&working, working.offset() + 1, &decision.records);
        answers.push(decision.answer.map(drop));
        records.extend(decision.records);
    }
    (Outcome::AutoCreate(answers), records)
}

#[cfg(test)]
mod tests;
