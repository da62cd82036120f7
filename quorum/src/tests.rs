//! Decisions of one broker, on a disk in memory and with time that stands still until the test moves it.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    path::Path,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use coordinator::{
    Image, MetadataRecord,
    metadata::{Broker, TopicRecord, snapshot_file::Snapshot},
    raft::{self, Body, HardState, Message, Node, Position, RaftConfig, Round, Stored, Voters},
};
use engine::{LogConfig, Store, StoreOptions, disk::mem::MemDisk, journal};
use model::{BrokerId, LeaderEpoch, Millis, Offset, Timestamp, TopicId, TopicPartition};
use replication::{Partition, PartitionState, Runtime, runtime::Task, stream::NoLane, transport::Lane};
use rt::pages::PagePool;

use crate::{
    Consensus, Decided, Decisions, Doing, Failed, Judge, Keep, NoSnapshot, Parts, Pulse, Reach, Route,
    Session, Unwatched,
};

const ME: BrokerId = BrokerId(1);
const OTHER: BrokerId = BrokerId(2);
const THIRD: BrokerId = BrokerId(3);
const SESSION: Duration = Duration::from_millis(700);
const ELECTION: Duration = Duration::from_millis(1000);

/// Time, and tasks that run when the test says so.
#[derive(Default)]
struct ByHand {
    now: Rc<Cell<u64>>,
    tasks: RefCell<Vec<Task>>,
}

impl Runtime for ByHand {
    fn now(&self) -> Millis {
        Millis(self.now.get())
    }

    fn wall(&self) -> Timestamp {
        Timestamp(1000)
    }

    fn spawn(&self, task: Task) {
        self.tasks.borrow_mut().push(task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        let (now, until) = (self.now.clone(), self.now.get() + duration.as_millis() as u64);
        let over =
            move |_: &mut Context<'_>| if now.get() >= until { Poll::Ready(()) } else { Poll::Pending };
        Box::pin(std::future::poll_fn(over))
    }

    fn give_way(&self) -> Task {
        Box::pin(async {})
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Proposal {
    /// Changes the metadata.
    Topic(u8),
    /// That this broker registers, and that it is refused.
    Register(BrokerId, bool),
    Heartbeat(BrokerId),
    Fence(BrokerId),
}

/// Notes what it judged.
struct Rules(Rc<RefCell<Vec<Proposal>>>);

impl Judge for Rules {
    type Proposal = Proposal;
    type Outcome = ();

    fn judge(
        &self,
        image: &Image,
        proposal: Proposal,
        _: &dyn Fn(BrokerId) -> bool,
    ) -> ((), Vec<MetadataRecord>) {
        let broker = |id, fenced| {
            let known = image.broker(id).cloned();
            let new = Broker {
                id,
                epoch: 0,
                incarnation: [1; 16],
                rack: None,
                endpoints: vec![],
                fenced,
                in_controlled_shutdown: false,
                peer: None,
                directory_id: [0; 16],
            };
            Broker { fenced, ..known.unwrap_or(new) }.to_record()
        };
        self.0.borrow_mut().push(proposal.clone());
        let records = match proposal {
            Proposal::Topic(n) => {
                vec![MetadataRecord::Topic(TopicRecord { id: TopicId([n; 16]), name: format!("t{n}") })]
            }
            Proposal::Register(id, false) => vec![broker(id, false)],
            Proposal::Fence(id) => vec![broker(id, true)],
            _ => vec![],
        };
        ((), records)
    }

    fn session(&self, image: &Image, proposal: &Proposal) -> Option<Session> {
        match *proposal {
            Proposal::Topic(_) => None,
            Proposal::Register(id, _) => Some(Session::Begins(id)),
            Proposal::Heartbeat(id) => image.broker(id).map(|_| Session::Lives(id)),
            Proposal::Fence(id) => Some(Session::Expires(id)),
        }
    }

    fn expiry(&self, broker: BrokerId) -> Proposal {
        Proposal::Fence(broker)
    }
}

struct Nothing;

impl Keep for Nothing {
    fn save(&self, _: HardState) -> Doing<'_, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn write_snapshot(
        &self,
        _: Arc<Image>,
        _: Voters,
        _: Position,
        _: Timestamp,
    ) -> Doing<'_, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn take_snapshot(&self, _: Position, _: Vec<u8>) -> Doing<'_, Result<Snapshot, NoSnapshot>> {
        Box::pin(async { Err("there is none".into()) })
    }
}

impl Reach for Nothing {
    fn lane(&self, _: BrokerId) -> Doing<'_, Result<Lane, NoLane>> {
        Box::pin(async { Err(NoLane("nobody is there".to_owned())) })
    }

    fn snapshot(&self, _: BrokerId) -> Doing<'_, Result<(Position, Vec<u8>), NoSnapshot>> {
        Box::pin(async { Err("nobody is there".into()) })
    }
}

struct World {
    hand: Rc<ByHand>,
    store: Rc<Store<MemDisk>>,
    partition: Rc<Partition<MemDisk>>,
    consensus: Rc<Consensus<MemDisk>>,
    decisions: Rc<Decisions<MemDisk, Rules>>,
    judged: Rc<RefCell<Vec<Proposal>>>,
}

/// What needs nothing but the disk in memory. `None`: it waits for something to do.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..1000 {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
    }
    None
}

impl World {
    /// With `voters`, this broker among them.
    fn new(voters: &[BrokerId]) -> Self {
        let disk = MemDisk::new(1);
        disk.put(Path::new("/data/meta.properties"), vec![]);
        let options = StoreOptions {
            data_dir: "/data".into(),
            shard: 0,
            salt: 1,
            journal_bytes_first: 4 << 20,
            journal_bytes_max: 4 << 20,
            cache_bytes_max: 4 << 20,
            checkpoint_ms: 1000,
        };
        let (pages, journal) = (PagePool::new(64 << 20), PagePool::new(journal::POOL_BYTES));
        let store = at_once(Store::start(disk, pages, journal, options)).unwrap().unwrap();
        let id = TopicPartition::METADATA;
        let log = at_once(store.open_log(id, "__cluster_metadata", LogConfig::default(), None, Timestamp(0)));
        let state = PartitionState {
            leader: None,
            leader_epoch: LeaderEpoch(0),
            replicas: vec![ME],
            isr: vec![],
            isr_min: 1,
            partition_epoch: 0,
        };
        let mut config = RaftConfig::new(ME);
        config.election_timeout = ELECTION;
        let stored = Stored {
            hard_state: HardState::default(),
            start: Position::default(),
            voters: voters.iter().copied().collect(),
            entries: vec![],
        };
        let hand = Rc::new(ByHand::default());
        let partition = Rc::new(Partition::new(ME, log.unwrap().unwrap(), &state, Millis(0)));
        let consensus = Consensus::new(Parts {
            node: Node::new(config, stored, raft::Context { now: Millis(0), random: 0 }),
            store: store.clone(),
            partition: partition.clone(),
            image: Image::new("c"),
            snapshot_bytes: usize::MAX,
            runtime: hand.clone(),
            random: Box::new(|| 0),
            keep: Rc::new(Nothing),
            reach: Some(Rc::new(Nothing)),
            watch: Rc::new(Unwatched),
        });
        let judged = Rc::default();
        let pulse = Pulse { session: SESSION, heartbeat: Duration::from_millis(100) };
        let decisions = Decisions::new(consensus.clone(), hand.clone(), Rules(Rc::clone(&judged)), pulse);
        let running = consensus.clone();
        hand.spawn(Box::pin(async move {
            let Err(error) = running.run().await;
            panic!("{error}");
        }));
        let running = consensus.clone();
        hand.spawn(Box::pin(async move { running.run_persisted().await }));
        let running = decisions.clone();
        hand.spawn(Box::pin(async move { running.run().await }));
        let running = decisions.clone();
        hand.spawn(Box::pin(async move { running.run_sessions().await }));
        Self { hand, store, partition, consensus, decisions, judged }
    }

    /// Leads alone, with what it needs for that on the disk.
    fn controller() -> Self {
        let world = Self::new(&[ME]);
        world.pass(2 * ELECTION);
        world.commit();
        assert!(world.decisions.standing().active);
        world
    }

    /// Everybody does what there is to do now. Nothing becomes durable by it.
    fn turn(&self) {
        for _ in 0..50 {
            for mut task in self.hand.tasks.take() {
                if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                    self.hand.spawn(task);
                }
            }
        }
    }

    fn pass(&self, time: Duration) {
        self.hand.now.set(self.hand.now.get() + time.as_millis() as u64);
        self.turn();
    }

    fn commit(&self) {
        if let Some(committed) = at_once(self.store.commit()) {
            committed.unwrap();
        }
        self.partition.refresh();
        self.turn();
        self.turn();
    }

    fn propose(&self, proposal: Proposal) -> Rc<Cell<Option<bool>>> {
        let (done, answer) = (Rc::new(Cell::new(None)), self.decisions.clone());
        let told = done.clone();
        self.hand.spawn(Box::pin(async move { told.set(Some(answer.queue(proposal).await.is_ok())) }));
        self.turn();
        done
    }

    fn fenced(&self, broker: BrokerId) -> Option<bool> {
        self.consensus.image().broker(broker).map(|broker| broker.fenced)
    }
}

/// The disk is slow, and what waits for it is not the broker's silence.
#[test]
fn a_heartbeat_counts_when_it_comes() {
    let world = World::controller();
    let registered = world.propose(Proposal::Register(OTHER, false));
    world.commit();
    assert_eq!((registered.get(), world.fenced(OTHER)), (Some(true), Some(false)));
    let slow = world.propose(Proposal::Topic(1));
    for _ in 0..10 {
        world.pass(SESSION / 2);
        world.propose(Proposal::Heartbeat(OTHER));
    }
    assert_eq!(slow.get(), None);
    world.commit();
    world.commit();
    assert_eq!((slow.get(), world.fenced(OTHER)), (Some(true), Some(false)));
    let fences = || world.judged.borrow().iter().filter(|it| **it == Proposal::Fence(OTHER)).count();
    assert_eq!(fences(), 0);
    // Now it is silent.
    world.pass(SESSION);
    world.commit();
    assert_eq!((fences(), world.fenced(OTHER)), (1, Some(true)));
}

/// While a fence waited for its turn, the broker was heard.
#[test]
fn a_fence_looks_again_whether_the_broker_lives() {
    let world = World::controller();
    world.propose(Proposal::Register(OTHER, false));
    world.commit();
    world.propose(Proposal::Topic(1));
    world.pass(SESSION);
    world.propose(Proposal::Heartbeat(OTHER));
    world.commit();
    world.commit();
    assert!(world.judged.borrow().contains(&Proposal::Fence(OTHER)));
    assert_eq!(world.fenced(OTHER), Some(false));
}

/// Whoever comes with another disk is refused while the one before it lives, and must not keep it alive by asking.
#[test]
fn a_refused_registration_is_no_sign_of_life() {
    let world = World::controller();
    world.propose(Proposal::Register(OTHER, false));
    world.commit();
    for _ in 0..4 {
        world.pass(SESSION / 2);
        world.propose(Proposal::Register(OTHER, true));
    }
    world.commit();
    assert_eq!(world.fenced(OTHER), Some(true));
}

/// The first controller hangs: it took the call and never answers.
struct Hangs {
    called: RefCell<Vec<BrokerId>>,
}

impl Route<Proposal, ()> for Hangs {
    fn here(&self, _: Proposal) -> Doing<'_, Result<Decided<()>, Failed>> {
        Box::pin(async { Err(Failed::NotController) })
    }

    fn there<'a>(
        &'a self,
        leader: BrokerId,
        proposal: &'a Proposal,
        sent: &'a Cell<bool>,
    ) -> Doing<'a, Result<Decided<()>, Failed>> {
        self.called.borrow_mut().push(leader);
        sent.set(*proposal != Proposal::Topic(2));
        Box::pin(async move {
            match leader {
                OTHER => std::future::pending().await,
                _ => Ok(((), Offset(0))),
            }
        })
    }

    fn may_be_repeated(&self, proposal: &Proposal) -> bool {
        matches!(proposal, Proposal::Heartbeat(_))
    }
}

#[test]
fn a_call_to_a_controller_that_hangs_ends_with_its_successor() {
    let world = World::new(&[ME, OTHER, THIRD]);
    let leads = |leader, epoch| {
        let (before, high_watermark) = (Position::default(), Offset::ZERO);
        let body = Body::Append { before, entries: vec![], high_watermark, round: Round(1) };
        world.consensus.receive(Message { from: leader, to: ME, epoch: LeaderEpoch(epoch), body });
        world.turn();
    };
    leads(OTHER, 1);
    let route = Hangs { called: RefCell::default() };
    let patience = Duration::from_secs(30);
    let settle = |proposal| world.decisions.settle(&route, proposal, patience);
    let mut repeated: Pin<Box<_>> = Box::pin(settle(Proposal::Heartbeat(ME)));
    let mut once: Pin<Box<_>> = Box::pin(settle(Proposal::Topic(1)));
    let mut unsent: Pin<Box<_>> = Box::pin(settle(Proposal::Topic(2)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(repeated.as_mut().poll(&mut cx).is_pending());
    assert!(once.as_mut().poll(&mut cx).is_pending());
    assert!(unsent.as_mut().poll(&mut cx).is_pending());
    leads(OTHER, 1);
    assert!(repeated.as_mut().poll(&mut cx).is_pending());
    leads(THIRD, 2);
    assert!(matches!(once.as_mut().poll(&mut cx), Poll::Ready(Err(_))), "nobody may do it twice");
    assert!(repeated.as_mut().poll(&mut cx).is_pending());
    assert!(unsent.as_mut().poll(&mut cx).is_pending());
    world.pass(Duration::from_millis(100));
    assert!(matches!(repeated.as_mut().poll(&mut cx), Poll::Ready(Ok(_))));
    assert!(matches!(unsent.as_mut().poll(&mut cx), Poll::Ready(Ok(_))), "it was never sent");
    assert_eq!(*route.called.borrow(), [OTHER, OTHER, OTHER, THIRD, THIRD]);
}
