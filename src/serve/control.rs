//! Where metadata is decided, on shard 0: what the shards propose goes to whoever is the controller (`quorum::Decisions`),
//! once it is committed the next image goes to every shard of every broker, and then it is answered.
//!
//! ```text
//!   proposal -> Decisions -> Controller (pure) -> records -> consensus -> committed
//!   committed -> image -> every shard -> answer
//! ```

use std::{cell::Cell, rc::Rc, time::Duration};

use coordinator::{BrokerConfig, Controller, Image, MetadataRecord, Refusal, controller::Reassignment};
use engine::Disk;
use model::{BrokerId, ErrorCode, Offset, TopicId};
use net::{Forwarded, Outcome, Proposal, Reassign, Responder, Shard, handlers};
use quorum::{Consensus, Decisions, Doing, Failed, Judge, Pulse, Route, Session, unknown};
use replication::OnShard;
use rt::notify::Notify;

use super::{metadata_log, peers::Peers};

pub mod calls;
mod voters;
pub mod wire;

use calls::{CallError, Calls};

/// How long a proposal waits for a controller.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long what a client asks waits for one: most clients wait 30 s for an answer, whatever it is.
const PATIENCE_OF_CLIENTS: Duration = Duration::from_secs(25);
/// Partitions that change their leader at once without anybody asking for it.
const REBALANCED_MAX: usize = 1000;
/// A timer has no need of the hundred million years that a config may say.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

type Decided = quorum::Decided<Outcome>;

pub struct Control<D: Disk> {
    shard: Rc<Shard<D>>,
    decisions: Rc<Decisions<D, Rules<D>>>,
    calls: Option<Calls>,
}

/// To whoever is the controller.
struct Way<'a, D: Disk>(&'a Rc<Control<D>>);

/// Production's controller, with the configuration of this broker.
struct Rules<D: Disk>(Rc<Shard<D>>);

impl<D: Disk> Control<D> {
    pub fn new(shard: Rc<Shard<D>>, consensus: Rc<Consensus<D>>, peers: Option<Rc<Peers>>) -> Rc<Self> {
        let (session, heartbeat) = (shard.config().session_timeout(), shard.config().heartbeat_interval());
        let rules = Rules(shard.clone());
        let decisions = Decisions::new(consensus, Rc::new(OnShard), rules, Pulse { session, heartbeat });
        Rc::new(Self { shard, decisions, calls: peers.map(Calls::new) })
    }

    pub fn consensus(&self) -> &Rc<Consensus<D>> {
        self.decisions.consensus()
    }

    pub fn shard(&self) -> &Rc<Shard<D>> {
        &self.shard
    }

    pub fn start(self: &Rc<Self>) {
        let this = self.clone();
        rt::spawn(async move { this.run_inbox().await });
        let decisions = self.decisions.clone();
        rt::spawn(async move { decisions.run().await });
        let this = self.clone();
        rt::spawn(async move { this.run_publishing().await });
        if self.calls.is_some() {
            let decisions = self.decisions.clone();
            rt::spawn(async move { decisions.run_sessions().await });
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
                match rt::timer::timeout(PATIENCE_OF_CLIENTS, self.decisions.known_everywhere(offset)).await {
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
        let patience = if of_client { PATIENCE_OF_CLIENTS } else { PATIENCE };
        self.decisions.settle(&Way(self), proposal, patience).await
    }

    /// As the controller.
    async fn settle_here(self: &Rc<Self>, proposal: Proposal) -> Result<Decided, Failed> {
        match proposal {
            Proposal::Forward(forwarded) => Ok(self.answer_forwarded(forwarded).await),
            Proposal::DescribeQuorum => Ok((Outcome::DescribeQuorum(self.quorum_state()), Offset::NONE)),
            Proposal::ChangeVoters(asked) => {
                Ok((Outcome::ChangeVoters(self.change_voters(asked).await), Offset::NONE))
            }
            proposal => self.decisions.queue(proposal).await,
        }
    }

    async fn answer_forwarded(&self, forwarded: Forwarded) -> Decided {
        let frame = Box::pin(handlers::answer_forwarded(&self.shard, forwarded)).await;
        (Outcome::Forward(frame), self.consensus().image().offset())
    }

    /// Of another broker, for its control lane: `None` if this one is not the controller.
    pub async fn serve_call(self: &Rc<Self>, proposal: Proposal) -> Option<Decided> {
        if !self.consensus().standing().active {
            return None;
        }
        match self.settle_here(proposal).await {
            Ok(decided) => Some(decided),
            Err(Failed::NotController) => None,
            Err(Failed::Unknown) => Some((Outcome::Failed(unknown()), Offset::NONE)),
            Err(Failed::Refused(refusal)) => Some((Outcome::Failed(refusal), Offset::NONE)),
        }
    }

    /// Gives leadership back to preferred replicas, for ever.
    async fn run_rebalancing(&self) {
        loop {
            let config = self.shard.config();
            let seconds = u64::try_from(config.leader_imbalance_check_interval_seconds).unwrap_or(0).max(1);
            rt::timer::sleep(Duration::from_secs(seconds)).await;
            if config.auto_leader_rebalance_enable && self.consensus().standing().active {
                drop(self.decisions.queue(Proposal::Rebalance).await);
            }
        }
    }

    /// Looks for partitions that have no leader and may have one, for ever: when this broker becomes the controller, whose
    /// configuration may be another than that of the one before it, and from time to time.
    async fn run_elections(&self) {
        let mut looked = None;
        loop {
            let changed = self.consensus().changed().wait();
            let standing = self.consensus().standing();
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
            while let Ok((Outcome::ElectLeaderless(true), _)) =
                self.decisions.queue(Proposal::ElectLeaderless).await
            {}
            looked = Some((standing.epoch, rt::timer::now()));
        }
    }

    /// Takes what is committed to every shard, for ever.
    async fn run_publishing(&self) {
        loop {
            let changed = self.consensus().changed().wait();
            let image = self.consensus().image();
            if image.offset() > self.published() {
                let offset = image.offset();
                self.shard.images().publish(image).await;
                self.decisions.publish(offset);
            } else {
                changed.await;
            }
        }
    }

    pub fn published(&self) -> Offset {
        self.decisions.published()
    }

    /// Wakes when every shard acts on more.
    pub fn some_published(&self) -> &Notify {
        self.decisions.some_published()
    }
}

impl<D: Disk> Route<Proposal, Outcome> for Way<'_, D> {
    fn here(&self, proposal: Proposal) -> Doing<'_, Result<Decided, Failed>> {
        Box::pin(self.0.settle_here(proposal))
    }

    fn there<'a>(
        &'a self,
        leader: BrokerId,
        proposal: &'a Proposal,
        sent: &'a Cell<bool>,
    ) -> Doing<'a, Result<Decided, Failed>> {
        Box::pin(async move {
            let Some(calls) = &self.0.calls else { return Err(Failed::NotController) };
            match calls.call(leader, proposal, sent).await {
                Ok(Some(decided)) => Ok(decided),
                Ok(None) => Err(Failed::NotController),
                Err(CallError::NotSent(error)) => {
                    tracing::debug!(broker = %leader, %error, "the controller cannot be reached");
                    Err(Failed::NotController)
                }
                Err(CallError::NotForOthers) => {
                    let sentence = "This broker is not the controller; send it to the controller's.";
                    Err(Failed::Refused(Refusal::new(ErrorCode::NotController, sentence)))
                }
                Err(CallError::Unknown) => Err(Failed::Unknown),
            }
        })
    }

    fn may_be_repeated(&self, proposal: &Proposal) -> bool {
        may_be_repeated(proposal)
    }
}

impl<D: Disk> Judge for Rules<D> {
    type Proposal = Proposal;
    type Outcome = Outcome;

    fn judge(
        &self,
        image: &Image,
        proposal: Proposal,
        is_live: &dyn Fn(BrokerId) -> bool,
    ) -> (Outcome, Vec<MetadataRecord>) {
        decide(image, &self.0.config().with_dynamic(image), proposal, is_live, &mut random_id)
    }

    fn session(&self, image: &Image, proposal: &Proposal) -> Option<Session> {
        match proposal {
            Proposal::Heartbeat(it) => {
                it.is_of(image.broker(it.broker)?).then_some(Session::Lives(it.broker))
            }
            Proposal::RegisterBroker(asked) => Some(Session::Begins(asked.id)),
            Proposal::Fence(broker) => Some(Session::Expires(*broker)),
            Proposal::UnregisterBroker(broker) => Some(Session::Ends(*broker)),
            _ => None,
        }
    }

    fn expiry(&self, broker: BrokerId) -> Proposal {
        Proposal::Fence(broker)
    }
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
