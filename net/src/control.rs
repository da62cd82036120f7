//! Changes of the metadata, as values: proposed on any shard, decided on shard 0, told to all.
//!
//! ```text
//!   handler on shard C          shard 0                            shards 0..n
//!   propose ----------------->  inbox -> src/serve/control.rs decides
//!                               records appended and durable
//!                               publish(image) ------------------> inbox of images -> src/serve/partitions.rs
//!                                                                  opens and closes partitions -> apply_image
//!                               all have applied <---------------- Applied(offset)
//!   outcome <-----------------  answer
//! ```
//! An outcome leaves only after *every* shard acts on the new image. FIFO per pair alone would not do: a client that has
//! its answer may send the next request over another connection, to a shard that has the image in its inbox and has
//! not looked. Changes of the metadata are rare; one more round between shards is cheap beside their flush.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use bytes::Bytes;
use coordinator::{
    Image, Refusal,
    config::ConfigAlteration,
    controller::{
        AlterClientQuotas, AlterConfigsRequest, AlterPartition, CreatePartitions, CreateTopic, CreatedTopic,
        DeletedTopic, Election, FeatureUpdate, Heartbeat, HeartbeatAnswer, ProducerIdBlock, RegisterBroker,
        ReportDamage, TopicRef,
    },
};
use model::{BrokerId, ErrorCode, Offset, PartitionIndex, ShardId};
use rt::{notify::Notify, oneshot::Tx};
use rustc_hash::FxHashMap;

use crate::{
    mesh::{Link, Message},
    quorum::{ChangeVoters, QuorumState},
    request::{Peer, Request},
    wire::{ApiKey, Malformed},
};

/// Where the metadata is decided.
pub const CONTROL_SHARD: ShardId = ShardId(0);

#[derive(Clone, PartialEq, Debug)]
pub enum Proposal {
    CreateTopics {
        topics: Vec<CreateTopic>,
        validate_only: bool,
    },
    DeleteTopics(Vec<TopicRef>),
    CreatePartitions {
        topics: Vec<CreatePartitions>,
        validate_only: bool,
    },
    AlterConfigs {
        requests: Vec<AlterConfigsRequest<ConfigAlteration>>,
        validate_only: bool,
    },
    ReplaceConfigs {
        requests: Vec<AlterConfigsRequest<(String, Option<String>)>>,
        validate_only: bool,
    },
    AlterClientQuotas {
        requests: Vec<AlterClientQuotas>,
        validate_only: bool,
    },
    Reassign {
        partitions: Vec<Reassign>,
        allow_replication_factor_change: bool,
    },
    Elect {
        partitions: Vec<(String, PartitionIndex)>,
        election: Election,
    },
    UnregisterBroker(BrokerId),
    UpdateFeatures {
        updates: Vec<FeatureUpdate>,
        validate_only: bool,
    },
    /// Who takes part in deciding about the metadata, and how far they are.
    DescribeQuorum,
    ChangeVoters(ChangeVoters),
    ProducerIds,
    /// Topics that Metadata named and nobody created.
    AutoCreate(Vec<String>),
    /// A broker says that it is there, that it lives, what its partitions' in-sync replicas should be.
    RegisterBroker(RegisterBroker),
    Heartbeat(Heartbeat),
    AlterPartition(AlterPartition),
    /// A broker says that its records of some partitions are not what was written.
    ReportDamage(ReportDamage),
    /// A broker's session is over.
    Fence(BrokerId),
    /// Leadership goes back to preferred replicas.
    Rebalance,
    /// Partitions without a leader get one, where the configs allow it.
    ElectLeaderless,
    /// A client's request that the controller's own broker answers.
    Forward(Forwarded),
}

/// A request as it came in, and who sent it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// Without its length.
    pub frame: Bytes,
    pub address: SocketAddr,
    pub listener: String,
    pub local: IpAddr,
}

impl Forwarded {
    pub fn new(request: &Request) -> Self {
        let peer = &request.peer;
        let (address, local) = (peer.address, peer.local);
        Self { frame: request.frame(), address, listener: peer.listener.to_string(), local }
    }

    /// It only asks, so it does no harm to ask twice.
    pub fn only_asks(&self) -> bool {
        self.frame.first_chunk().is_some_and(|&key| i16::from_be_bytes(key) == ApiKey::DescribeQuorum.code())
    }

    /// As if it had come in here.
    pub fn request(self) -> Result<Request, Malformed> {
        let peer = Peer::new(self.address, self.listener.into(), self.local);
        Request::read(self.frame, Rc::new(peer))
    }
}

/// One partition moves to other replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reassign {
    pub topic: String,
    pub partition: PartitionIndex,
    /// None ends the move that is under way.
    pub replicas: Option<Vec<BrokerId>>,
}

/// One result for each thing proposed, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    CreateTopics(Vec<Result<CreatedTopic, Refusal>>),
    DeleteTopics(Vec<Result<DeletedTopic, Refusal>>),
    CreatePartitions(Vec<Result<(), Refusal>>),
    AlterConfigs(Vec<Result<(), Refusal>>),
    ReplaceConfigs(Vec<Result<(), Refusal>>),
    AlterClientQuotas(Vec<Result<(), Refusal>>),
    Reassign(Vec<Result<(), Refusal>>),
    Elect(Vec<Result<(), Refusal>>),
    UnregisterBroker(Result<(), Refusal>),
    /// Of the whole request.
    UpdateFeatures(Result<(), Refusal>),
    DescribeQuorum(QuorumState),
    ChangeVoters(Result<(), Refusal>),
    ProducerIds(Result<ProducerIdBlock, Refusal>),
    AutoCreate(Vec<Result<(), Refusal>>),
    RegisterBroker(Result<(), Refusal>),
    Heartbeat(Result<HeartbeatAnswer, Refusal>),
    /// By partition, in the order asked.
    AlterPartition(Result<Vec<ErrorCode>, Refusal>),
    /// As that.
    ReportDamage(Result<Vec<ErrorCode>, Refusal>),
    Fence,
    Rebalance,
    /// True: there may be more to elect.
    ElectLeaderless(bool),
    /// The answer's frame, with its length; `None`: the connection is to end.
    Forward(Option<Vec<u8>>),
    /// The whole proposal failed: the metadata log takes no records now.
    Failed(Refusal),
}

impl Outcome {
    /// For an outcome that is not of the proposal's kind: a bug here, not the client's.
    pub fn refusal(self) -> Refusal {
        match self {
            Self::Failed(refusal) => refusal,
            _ => Refusal::new(ErrorCode::UnknownServerError, "The controller answered another question."),
        }
    }
}

/// What a handler proposes through. One a shard.
pub struct ControlPort {
    shard: ShardId,
    link: Rc<dyn Link>,
    waiting: RefCell<FxHashMap<u64, Tx<Outcome>>>,
    next: Cell<u64>,
    /// On shard 0 only.
    inbox: Option<Rc<ControlInbox>>,
}

impl ControlPort {
    pub fn new(shard: ShardId, link: Rc<dyn Link>) -> Self {
        let inbox = (shard == CONTROL_SHARD).then(Rc::default);
        Self { shard, link, waiting: RefCell::default(), next: Cell::new(0), inbox }
    }

    /// On shard 0: what comes in from every shard.
    pub fn inbox(&self) -> Option<Rc<ControlInbox>> {
        self.inbox.clone()
    }

    /// Answers when the outcome holds on every shard. Dropped before that, the proposal is carried out all the same.
    pub async fn propose(&self, proposal: Proposal) -> Outcome {
        let (tx, rx) = rt::oneshot();
        match &self.inbox {
            Some(inbox) => inbox.push(proposal, Responder(Whom::Here(tx))),
            None => {
                let number = self.next.replace(self.next.get() + 1);
                self.waiting.borrow_mut().insert(number, tx);
                self.link.send(CONTROL_SHARD, Message::Propose(number, proposal));
            }
        }
        rx.await.unwrap_or_else(|| {
            Outcome::Failed(Refusal::new(
                ErrorCode::UnknownServerError,
                "The controller of this broker has ended.",
            ))
        })
    }

    /// Proposals of this shard that have no outcome yet, those of shard 0's own left out.
    pub fn waiting_count(&self) -> usize {
        self.waiting.borrow().len()
    }

    pub(crate) fn proposed(&self, from: ShardId, number: u64, proposal: Proposal) {
        assert_eq!(self.shard, CONTROL_SHARD, "proposals go to shard 0");
        let inbox = self.inbox.as_ref().expect("shard 0 has it");
        inbox.push(proposal, Responder(Whom::Shard { link: self.link.clone(), shard: from, number }));
    }

    pub(crate) fn decided(&self, number: u64, outcome: Outcome) {
        if let Some(tx) = self.waiting.borrow_mut().remove(&number) {
            drop(tx.send(outcome));
        }
    }
}

/// Proposals of all shards in the order they came. As many as connections at the most: a connection has one at a time.
#[derive(Default)]
pub struct ControlInbox {
    proposals: RefCell<VecDeque<(Proposal, Responder)>>,
    some: Notify,
}

impl ControlInbox {
    /// For one task.
    pub async fn next(&self) -> (Proposal, Responder) {
        loop {
            let some = self.some.wait();
            if let Some(next) = self.proposals.borrow_mut().pop_front() {
                return next;
            }
            some.await;
        }
    }

    fn push(&self, proposal: Proposal, responder: Responder) {
        self.proposals.borrow_mut().push_back((proposal, responder));
        self.some.wake_all();
    }
}

/// Takes the outcome of one proposal to where it was made.
pub struct Responder(Whom);

enum Whom {
    Here(Tx<Outcome>),
    Shard { link: Rc<dyn Link>, shard: ShardId, number: u64 },
}

impl Responder {
    pub fn answer(self, outcome: Outcome) {
        match self.0 {
            // The connection may be gone by now; the change holds all the same.
            Whom::Here(tx) => drop(tx.send(outcome)),
            Whom::Shard { link, shard, number } => link.send(shard, Message::Decided(number, outcome)),
        }
    }
}

/// The way of a new image to every shard and back. One a shard; publishing is shard 0's.
pub struct Images {
    shard: ShardId,
    link: Rc<dyn Link>,
    incoming: RefCell<VecDeque<Arc<Image>>>,
    some: Notify,
    /// By shard, what it said it has applied. On shard 0.
    applied: RefCell<Vec<Offset>>,
    some_applied: Notify,
}

impl Images {
    pub fn new(shard: ShardId, shard_count: u16, link: Rc<dyn Link>) -> Self {
        Self {
            shard,
            link,
            incoming: RefCell::default(),
            some: Notify::new(),
            applied: RefCell::new(vec![Offset::NONE; usize::from(shard_count)]),
            some_applied: Notify::new(),
        }
    }

    /// On shard 0: hands the image to every shard, this one too, and returns when all act on it.
    pub async fn publish(&self, image: Arc<Image>) {
        assert_eq!(self.shard, CONTROL_SHARD, "images come from shard 0");
        let offset = image.offset();
        for shard in 1..self.applied.borrow().len() {
            self.link.send(ShardId(shard as u16), Message::Image(image.clone()));
        }
        self.arrived(image);
        loop {
            let changed = self.some_applied.wait();
            if self.applied.borrow().iter().all(|&applied| applied >= offset) {
                return;
            }
            changed.await;
        }
    }

    /// The next image to act on. For one task, which then calls `Shard::apply_image`.
    pub async fn next(&self) -> Arc<Image> {
        loop {
            let some = self.some.wait();
            if let Some(image) = self.incoming.borrow_mut().pop_front() {
                return image;
            }
            some.await;
        }
    }

    pub(crate) fn arrived(&self, image: Arc<Image>) {
        self.incoming.borrow_mut().push_back(image);
        self.some.wake_all();
    }

    pub(crate) fn applied(&self, offset: Offset) {
        if self.shard == CONTROL_SHARD {
            self.applied_by(CONTROL_SHARD, offset);
        } else {
            self.link.send(CONTROL_SHARD, Message::Applied(offset));
        }
    }

    pub(crate) fn applied_by(&self, shard: ShardId, offset: Offset) {
        let mut applied = self.applied.borrow_mut();
        let known = &mut applied[usize::from(shard.0)];
        *known = offset.max(*known);
        drop(applied);
        self.some_applied.wake_all();
    }
}
