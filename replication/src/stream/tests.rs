//! Each side of a lane, against frames that the test writes.

use std::{
    cell::Cell,
    collections::BTreeMap,
    future::Future,
    path::Path,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use engine::{LogConfig, ReadRange, Store, StoreOptions, disk::mem::MemDisk, journal};
use model::{
    BrokerId, LeaderEpoch, Millis, Offset, PartitionIndex, ShardId, Timestamp, TopicId, TopicPartition,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

use super::{
    frame::{FRAME_BYTES_MAX, Frame, Kind},
    *,
};
use crate::{
    AppendRules, Partition, PartitionState, PartitionTable, Runtime, Unhindered,
    runtime::Task,
    transport::{
        Lane, LinkError,
        memory::{self, Wire},
    },
};

const ID: TopicPartition = TopicPartition { topic: TopicId([5; 16]), partition: PartitionIndex(0) };
const ME: BrokerId = BrokerId(1);
const OTHER: BrokerId = BrokerId(2);
const EPOCH: LeaderEpoch = LeaderEpoch(0);
const NOW: Timestamp = Timestamp(1_000_000);

fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(out) => Some(out),
        Poll::Pending => None,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Some(out) = poll(future.as_mut()) {
            return out;
        }
    }
    panic!("it waits for somebody else");
}

/// Time that stands still, and tasks that run when the test says so.
#[derive(Default)]
struct ByHand {
    now_ms: Rc<Cell<u64>>,
    tasks: std::cell::RefCell<Vec<Task>>,
}

impl Runtime for ByHand {
    fn now(&self) -> Millis {
        Millis(self.now_ms.get())
    }

    fn wall(&self) -> Timestamp {
        NOW
    }

    fn spawn(&self, task: Task) {
        self.tasks.borrow_mut().push(task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        let now = self.now_ms.clone();
        let until = now.get() + duration.as_millis() as u64;
        let over =
            move |_: &mut Context<'_>| if now.get() >= until { Poll::Ready(()) } else { Poll::Pending };
        Box::pin(std::future::poll_fn(over))
    }

    fn give_way(&self) -> Task {
        Box::pin(async {})
    }
}

/// A broker, and the other end of the lane that it has.
struct World {
    hand: Rc<ByHand>,
    disk: MemDisk,
    store: Rc<Store<MemDisk>>,
    table: Rc<PartitionTable<MemDisk>>,
    far: Lane,
    wires: [Wire; 2],
    dial: Rc<NextLane>,
}

#[derive(Default)]
struct NextLane(Cell<Option<Lane>>);

impl Dial for NextLane {
    fn lane(&self, _: BrokerId, _: ShardId) -> Pin<Box<dyn Future<Output = Result<Lane, NoLane>> + '_>> {
        Box::pin(async { self.0.take().ok_or_else(|| NoLane("there is none".to_owned())) })
    }
}

fn start(disk: &MemDisk) -> Rc<Store<MemDisk>> {
    let options = StoreOptions {
        data_dir: "/data".into(),
        shard: 0,
        salt: 1,
        journal_bytes_first: 4 << 20,
        journal_bytes_max: 4 << 20,
        cache_bytes_max: 4 << 20,
        checkpoint_ms: 1000,
    };
    let pools = (PagePool::new(64 << 20), PagePool::new(journal::POOL_BYTES));
    block_on(Store::start(disk.clone(), pools.0, pools.1, options)).unwrap()
}

fn state(leader: BrokerId) -> PartitionState {
    let replicas = vec![ME, OTHER];
    PartitionState {
        leader: Some(leader),
        leader_epoch: EPOCH,
        isr: replicas.clone(),
        replicas,
        isr_min: 1,
        partition_epoch: 0,
    }
}

/// One batch of one record with so many bytes.
fn batch(bytes: usize) -> Vec<u8> {
    batch_of(0, NOW.0, Producer::NONE, &[&vec![b'v'; bytes]])
}

impl World {
    /// Leads a log with batches of these sizes. `cold`: nothing of it is in memory.
    fn leader(batches: &[usize], segment_bytes: u64, cold: bool) -> Self {
        let disk = MemDisk::new(1);
        disk.put(Path::new("/data/meta.properties"), vec![]);
        let config = LogConfig { segment_bytes, ..LogConfig::default() };
        let mut store = start(&disk);
        let open = |store: &Rc<Store<MemDisk>>| {
            let log = block_on(store.open_log(ID, "t", config, None, NOW)).unwrap();
            Partition::new(ME, log, &state(ME), Millis(0))
        };
        let mut partition = open(&store);
        for &bytes in batches {
            partition.append(&store, &batch(bytes), AppendRules { isr_min: 1 }, NOW).unwrap();
        }
        block_on(store.commit()).unwrap();
        if cold {
            block_on(store.close()).unwrap();
            store = start(&disk);
            partition = open(&store);
        }
        let table = Rc::new(PartitionTable::default());
        table.insert(partition);
        let (near, far, wires) = memory::pair(1 << 20);
        let hand = Rc::new(ByHand::default());
        let served =
            serve_follower(hand.clone(), table.clone(), store.clone(), Rc::new(Unhindered), OTHER, 1, near);
        hand.spawn(Box::pin(async move { drop(served.await) }));
        Self { hand, disk, store, table, far, wires, dial: Rc::default() }
    }

    /// Follows an empty log of the other broker.
    fn follower() -> (Self, Replicator<MemDisk>) {
        let disk = MemDisk::new(1);
        disk.put(Path::new("/data/meta.properties"), vec![]);
        let store = start(&disk);
        let log = block_on(store.open_log(ID, "t", LogConfig::default(), None, NOW)).unwrap();
        let table = Rc::new(PartitionTable::default());
        table.insert(Partition::new(ME, log, &state(OTHER), Millis(0)));
        let (near, far, wires) = memory::pair(1 << 20);
        let hand = Rc::new(ByHand::default());
        let dial = Rc::new(NextLane(Cell::new(Some(near))));
        let replicator = Replicator::new(hand.clone(), table.clone(), store.clone(), dial.clone());
        replicator.follow(ID, OTHER, ShardId(0), EPOCH, None);
        (Self { hand, disk, store, table, far, wires, dial }, replicator)
    }

    /// Until nothing happens any more at this time. What is sent arrives.
    fn run(&self) {
        for _ in 0..100 {
            let mut tasks = self.hand.tasks.take();
            tasks.retain_mut(|task| poll(task.as_mut()).is_none());
            self.hand.tasks.borrow_mut().extend(tasks);
            for wire in &self.wires {
                while poll(wire.under_way()) == Some(true) {
                    wire.arrive(|frame| frame);
                }
            }
        }
    }

    fn tell(&mut self, frame: Frame) {
        poll(self.far.sender.send(&[&frame.encode()])).unwrap().unwrap();
        self.run();
    }

    /// What came, with its records.
    fn heard(&mut self) -> Vec<(Frame, Vec<u8>)> {
        self.run();
        let mut heard = Vec::new();
        while let Some(Ok(Some(bytes))) = poll(self.far.receiver.receive(FRAME_BYTES_MAX)) {
            let (frame, records) = Frame::decode(&bytes).unwrap();
            heard.push((frame, records.to_vec()));
            self.run();
        }
        heard
    }

    fn kinds(&mut self) -> Vec<Kind> {
        self.heard().into_iter().map(|(frame, _)| frame.kind).collect()
    }
}

/// Forty times a second, for each partition, for as long as a leader cannot read its log.
#[test]
fn who_is_refused_again_and_again_asks_less_often() {
    let (mut world, _replicator) = World::follower();
    let mut asked = Vec::new();
    for ms in (0..2000).step_by(5) {
        world.hand.now_ms.set(ms);
        for kind in world.kinds() {
            assert_eq!(kind, Kind::Follow);
            asked.push(ms);
            world.tell(Frame::new(Kind::Refused, ID, EPOCH));
        }
    }
    assert_eq!(asked, [0, 25, 75, 175, 375, 775, 1275, 1775]);
    world.hand.now_ms.set(2275);
    assert_eq!(world.kinds(), [Kind::Follow]);
    world.tell(Frame::new(Kind::Batches, ID, EPOCH));
    assert_eq!(world.kinds(), [Kind::Acknowledged], "it streams");
    world.tell(Frame::new(Kind::Refused, ID, EPOCH));
    world.hand.now_ms.set(2299);
    assert_eq!(world.kinds(), []);
    world.hand.now_ms.set(2300);
    assert_eq!(world.kinds(), [Kind::Follow]);
}

/// A rest that began on one lane ends on the next, where the partition may rest as well.
#[test]
fn who_rests_on_two_lanes_is_asked_for_on_the_second() {
    let (mut world, _replicator) = World::follower();
    let refuse = |world: &mut World, ms: std::ops::Range<u64>| {
        let mut asked = 0;
        for ms in ms.step_by(5) {
            world.hand.now_ms.set(ms);
            for _ in world.kinds() {
                asked += 1;
                world.tell(Frame::new(Kind::Refused, ID, EPOCH));
            }
        }
        asked
    };
    assert_eq!(refuse(&mut world, 0..1300), 7, "the last rest is to end at 1775");
    let (near, far, wires) = memory::pair(1 << 20);
    world.dial.0.set(Some(near));
    world.wires.iter().for_each(|wire| wire.fail_receiver(LinkError::ClosedHere));
    (world.far, world.wires) = (far, wires);
    assert!(refuse(&mut world, 1300..1775) > 2);
    assert!(refuse(&mut world, 1775..4000) > 3, "nobody asks any more");
}

/// Counts what the leader's side warns of.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().ends_with("feeder")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn that_a_log_cannot_be_read_is_said_once_until_it_can() {
    let mut world = World::leader(&[1500; 20], 4000, true);
    let path = Path::new("/data/t-0/00000000000000000006.log");
    let bytes = world.disk.contents(path).expect("two batches are in a segment").len();
    world.disk.flip(path, bytes - 700, 4);
    let warnings = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Warnings(warnings.clone()), || {
        let follow = |end| Frame::follow(ID, EPOCH, Offset(end), EPOCH);
        let mut counted = BTreeMap::new();
        for (step, (end, kind)) in [
            (7, Kind::Refused),
            (7, Kind::Refused),
            (7, Kind::Refused),
            (8, Kind::Batches),
            (7, Kind::Refused),
            (7, Kind::Refused),
        ]
        .into_iter()
        .enumerate()
        {
            world.tell(follow(end));
            assert_eq!(world.kinds(), [kind], "step {step}");
            counted.insert(step, warnings.load(Ordering::Relaxed));
        }
        let counted: Vec<usize> = counted.into_values().collect();
        assert_eq!(counted, [1, 1, 1, 1, 2, 2]);
    });
}

/// Small ones are copied, large ones are not; the follower cannot tell.
#[test]
fn records_arrive_as_they_stand_in_the_log() {
    for cold in [false, true] {
        let sizes = [100, 300_000, 10, 1500, 500_000, 100_000, 1];
        let mut world = World::leader(&sizes, 1 << 20, cold);
        let none = LeaderEpoch(-1);
        world.tell(Frame::follow(ID, EPOCH, Offset(0), none));
        let heard = world.heard();
        assert!(heard.iter().all(|(frame, _)| frame.kind == Kind::Batches));
        let records: Vec<Vec<u8>> = heard.into_iter().map(|(_, records)| records).collect();
        let held: Vec<bool> = records.iter().map(|records| records.len() >= feeder::HELD_BYTES_MIN).collect();
        assert_eq!(held, [true, true, false]);
        let log = world.table.find(ID).unwrap().log().clone();
        let until = log.ends().end;
        let range = ReadRange { from: Offset(0), until, bytes_max: usize::MAX, at_least_one: true };
        let read = block_on(world.store.read(&log, range)).unwrap();
        assert_eq!(read.next, Some(Offset(sizes.len() as i64)));
        let expected: Vec<Bytes> = read.slices.into_iter().map(Bytes::from_owner).collect();
        assert!(records.concat() == expected.concat(), "cold: {cold}");
    }
}
