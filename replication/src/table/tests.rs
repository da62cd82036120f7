use std::{
    future::Future,
    path::Path,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use engine::{Durability, LogConfig, ReadError, StoreOptions, disk::mem::MemDisk, journal};
use model::{
    BrokerId, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

use super::*;
use crate::{
    AppendRules, Feed, Isolation, Lineage, Mark, PartitionError, PartitionState, ReadFrom, Serves, Woken,
};

const NOW: Timestamp = Timestamp(1_000_000);
const LATE: Millis = Millis(1_000_000);
const RULES: AppendRules = AppendRules { isr_min: 1 };
const ME: BrokerId = BrokerId(1);

struct World {
    disk: MemDisk,
    store: Rc<Store<MemDisk>>,
    table: Rc<PartitionTable<MemDisk>>,
    /// The commit pump, which is not to be dropped while it waits.
    pump: RefCell<Pin<Box<dyn Future<Output = ()>>>>,
}

fn run<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..1000 {
        if let Poll::Ready(out) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(out);
        }
    }
    None
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicId([3; 16]), PartitionIndex(partition))
}

fn led(epoch: i32, isr: &[i32]) -> PartitionState {
    PartitionState {
        leader: Some(ME),
        leader_epoch: LeaderEpoch(epoch),
        replicas: isr.iter().copied().map(BrokerId).collect(),
        isr: isr.iter().copied().map(BrokerId).collect(),
        isr_min: 1,
        partition_epoch: epoch,
    }
}

impl World {
    fn new() -> Self {
        let disk = MemDisk::new(1);
        disk.put(Path::new("/data/meta.properties"), vec![]);
        let options = StoreOptions {
            data_dir: "/data".into(),
            shard: 0,
            salt: 1,
            journal_bytes_first: 1 << 20,
            journal_bytes_max: 1 << 20,
            cache_bytes_max: 1 << 20,
            checkpoint_ms: 1000,
        };
        let pools = (PagePool::new(64 << 20), PagePool::new(journal::POOL_BYTES));
        let store = run(Store::start(disk.clone(), pools.0, pools.1, options)).unwrap().unwrap();
        let table = Rc::new(PartitionTable::default());
        let (pumped, stored) = (table.clone(), store.clone());
        let pump: Pin<Box<dyn Future<Output = ()>>> =
            Box::pin(async move { pumped.run_commits(&stored).await });
        Self { disk, store, table, pump: RefCell::new(pump) }
    }

    fn open(&self, partition: i32, durability: Durability, state: &PartitionState) -> Rc<Partition<MemDisk>> {
        let config = LogConfig { durability, ..LogConfig::default() };
        let log = run(self.store.open_log(id(partition), "t", config, None, NOW)).unwrap().unwrap();
        self.table.insert(Partition::new(ME, log, state, Millis(0)))
    }

    fn append(&self, partition: &Partition<MemDisk>, count: usize) -> Result<Offset, PartitionError> {
        let values = vec![&b"v"[..]; count];
        let appended =
            partition.append(&self.store, &batch_of(0, NOW.0, Producer::NONE, &values), RULES, NOW)?;
        self.table.moved(partition);
        Ok(appended.next_offset)
    }

    fn park(&self, partition: i32, until: i64) -> Ticket {
        let place = Place { mark: Mark::High, id: id(partition), until: Offset(until) };
        self.table.park(&[place], Need::All, LATE)
    }

    fn woken(&self) -> Wakes {
        run(self.table.woken()).unwrap_or_default()
    }

    /// Runs the commit pump until it waits. `false`: it has ended.
    fn commit(&self) -> bool {
        run(self.pump.borrow_mut().as_mut()).is_none()
    }

    fn read(&self, partition: &Partition<MemDisk>, offset: i64) -> Result<usize, PartitionError> {
        self.read_of(partition, offset, Serves::Leader)
    }

    fn read_of(
        &self,
        partition: &Partition<MemDisk>,
        offset: i64,
        serves: Serves,
    ) -> Result<usize, PartitionError> {
        let (offset, isolation) = (Offset(offset), Isolation::Uncommitted);
        let from = ReadFrom { offset, bytes_max: 1 << 20, at_least_one: true, isolation, serves };
        run(partition.read(&self.store, from)).unwrap().map(|batches| batches.bytes)
    }
}

#[test]
fn a_commit_wakes_whom_it_reaches() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(0, &[1]));
    assert_eq!(world.append(&partition, 2).unwrap(), Offset(2));
    let (near, far) = (world.park(0, 2), world.park(0, 3));
    assert_eq!(world.woken(), [], "nothing is safe yet");
    assert_eq!(world.read(&partition, 0).unwrap(), 0, "nor shown");
    assert!(world.commit());
    assert_eq!(world.woken(), [(near, Woken::Reached)]);
    assert_eq!(partition.watermarks().high, Offset(2));
    assert!(world.read(&partition, 0).unwrap() > 0);
    world.append(&partition, 1).unwrap();
    assert!(world.commit());
    assert_eq!(world.woken(), [(far, Woken::Reached)]);
    assert_eq!(world.table.waiting_count(), 0);
}

#[test]
fn what_is_reached_already_is_not_waited_for() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(0, &[1]));
    world.append(&partition, 2).unwrap();
    assert!(world.commit());
    let ticket = world.park(0, 2);
    assert_eq!(world.woken(), [(ticket, Woken::Reached)]);
    let nowhere = world.park(5, 1);
    assert_eq!(world.woken(), [(nowhere, Woken::Gone)]);
}

#[test]
fn a_topic_that_acknowledges_from_memory_needs_no_commit() {
    let world = World::new();
    let partition = world.open(0, Durability::Memory, &led(0, &[1]));
    let ticket = world.park(0, 1);
    world.append(&partition, 1).unwrap();
    assert_eq!(world.woken(), [(ticket, Woken::Reached)]);
    assert!(world.read(&partition, 0).unwrap() > 0);
}

#[test]
fn a_failed_store_ends_waits_for_acknowledgements_now_and_later() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(0, &[1]));
    world.append(&partition, 1).unwrap();
    let before = world.park(0, 1);
    world.disk.fail_at(Some(world.disk.operations() + 1));
    assert!(!world.commit(), "the pump ends with the store");
    assert_eq!(world.woken(), [(before, Woken::Failed)]);
    let after = world.park(0, 1);
    assert_eq!(world.woken(), [(after, Woken::Failed)]);
    assert!(matches!(world.append(&partition, 1), Err(PartitionError::Append(_))));
}

/// Once a failed store ended long polls too, now and later: every consumer got its empty answer at once, asked again,
/// and so kept the whole broker busy.
#[test]
fn a_failed_store_lets_long_polls_last() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(0, &[1]));
    let poll = |deadline| {
        world.table.park(&[Place { mark: Mark::High, id: id(0), until: Offset(1) }], Need::Any, deadline)
    };
    let before = poll(Millis(10));
    world.append(&partition, 1).unwrap();
    world.disk.fail_at(Some(world.disk.operations() + 1));
    assert!(!world.commit());
    let after = poll(Millis(20));
    assert_eq!(world.woken(), []);
    world.table.expire(Millis(20));
    assert_eq!(world.woken(), [(before, Woken::Expired), (after, Woken::Expired)]);
}

#[test]
fn deadlines_and_removals_end_waits() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(0, &[1]));
    world.open(1, Durability::Flushed, &led(0, &[1]));
    let place = |partition, until| Place { mark: Mark::High, id: id(partition), until: Offset(until) };
    let soon = world.table.park(&[place(0, 1)], Need::All, Millis(10));
    let any = world.table.park(&[place(0, 1), place(1, 1)], Need::Any, LATE);
    world.table.expire(Millis(10));
    assert_eq!(world.woken(), [(soon, Woken::Expired)]);
    world.table.remove(partition.id());
    assert_eq!(world.woken(), [(any, Woken::Gone)]);
    let given_up = world.park(1, 1);
    world.table.cancel(given_up);
    assert_eq!((world.woken(), world.table.waiting_count()), (Wakes::new(), 0));
}

#[test]
fn a_slow_replica_holds_the_mark_back_until_it_leaves() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(0, &[1, 2]));
    world.append(&partition, 3).unwrap();
    assert!(world.commit());
    assert_eq!((partition.watermarks().durable, partition.watermarks().high), (Offset(3), Offset(0)));
    let smaller = PartitionState { partition_epoch: 1, ..led(0, &[1]) };
    assert!(!partition.set_state(&smaller, Millis(0)), "the same leader and epoch");
    assert_eq!(partition.watermarks().high, Offset(3));
}

#[test]
fn roles_follow_epochs_and_epochs_never_go_back() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(3, &[1]));
    let check = |asked| partition.check_epoch(LeaderEpoch(asked));
    assert!(check(-1).is_ok() && check(3).is_ok());
    assert!(matches!(check(2), Err(PartitionError::FencedEpoch)));
    assert!(matches!(check(4), Err(PartitionError::UnknownEpoch)));
    let other = PartitionState { leader: Some(BrokerId(2)), ..led(4, &[2]) };
    assert!(partition.set_state(&other, Millis(0)));
    assert!(matches!(check(4), Err(PartitionError::NotLeader)));
    assert!(matches!(check(5), Err(PartitionError::UnknownEpoch)));
    assert!(matches!(world.append(&partition, 1), Err(PartitionError::NotLeader)));
    assert!(matches!(world.read(&partition, 0), Err(PartitionError::NotLeader)));
    assert!(!partition.set_state(&led(3, &[1]), Millis(0)), "a late message");
    assert!(!partition.leads());
    assert!(partition.set_state(&led(5, &[1]), Millis(0)));
    assert!(check(5).is_ok());
}

/// KIP-392: what it knows to be committed, and why not what is asked for beyond that.
#[test]
fn a_follower_serves_what_it_knows_to_be_committed() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(3, &[1]));
    let state = PartitionState { leader: Some(BrokerId(2)), ..led(4, &[1, 2]) };
    assert!(partition.set_state(&state, Millis(0)));
    let records = batch_of(0, NOW.0, Producer::NONE, &[b"a", b"b", b"c"]);
    partition.append_replica(&world.store, LeaderEpoch(4), &records, NOW).unwrap();
    assert!(world.commit());
    let read = |offset| world.read_of(&partition, offset, Serves::AnyReplica);
    assert!(matches!(world.read(&partition, 0), Err(PartitionError::NotLeader)), "not to who asks a leader");
    assert_eq!(read(0).unwrap(), 0, "its leader has told of nothing committed");
    assert!(matches!(read(4), Err(PartitionError::Read(ReadError::OutOfRange))));
    partition.heard_high(LeaderEpoch(4), Offset(5)).unwrap();
    world.table.moved(&partition);
    assert_eq!(read(0).unwrap(), records.len());
    assert_eq!(read(3).unwrap(), 0, "the next one is not there yet");
    for offset in [4, 5] {
        assert!(matches!(read(offset), Err(PartitionError::OffsetNotAvailable)), "{offset} is committed");
    }
    assert!(matches!(read(6), Err(PartitionError::Read(ReadError::OutOfRange))));
    let check = |asked| partition.check_reader(LeaderEpoch(asked), Serves::AnyReplica);
    assert!(check(-1).is_ok() && check(4).is_ok());
    assert!(matches!(check(3), Err(PartitionError::FencedEpoch)));
    assert!(matches!(check(5), Err(PartitionError::UnknownEpoch)));
    // Whom it is followed by it does not know.
    assert_eq!(partition.nearest(&[BrokerId(2)], Offset(0)), None);
}

#[test]
fn too_few_in_sync_replicas_take_no_batch_that_asks_for_more() {
    let world = World::new();
    let replicas = vec![ME, BrokerId(2)];
    let partition = world.open(0, Durability::Flushed, &PartitionState { replicas, ..led(0, &[1]) });
    let batch = batch_of(0, NOW.0, Producer::NONE, &[b"v"]);
    let append = |isr_min| partition.append(&world.store, &batch, AppendRules { isr_min }, NOW);
    assert!(matches!(append(2), Err(PartitionError::NotEnoughReplicas(1))));
    assert!(append(1).is_ok() && append(0).is_ok());
    assert!(partition.set_state(&led(1, &[1]), Millis(0)));
    assert!(append(2).is_ok(), "there is no second replica");
}

#[test]
fn a_way_to_fail_is_new_to_a_partition_once() {
    use std::io::ErrorKind::{OutOfMemory, UnexpectedEof};
    let world = World::new();
    let one = world.open(0, Durability::Flushed, &led(0, &[1]));
    let other = world.open(1, Durability::Flushed, &led(0, &[1]));
    assert!(one.is_first_failure(OutOfMemory) && !one.is_first_failure(OutOfMemory));
    assert!(one.is_first_failure(UnexpectedEof) && !one.is_first_failure(OutOfMemory));
    assert!(other.is_first_failure(OutOfMemory));
}

#[test]
fn pasts_are_compared_by_epoch_and_end() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(2, &[1]));
    world.append(&partition, 4).unwrap();
    partition.set_state(&led(5, &[1]), Millis(0));
    world.append(&partition, 4).unwrap();
    assert!(world.commit());
    let diverges = |offset, epoch| match partition.lineage(Offset(offset), LeaderEpoch(epoch)) {
        Lineage::Diverges(end) => Some((end.epoch.0, end.end_offset.0)),
        Lineage::Same => None,
        Lineage::Unknown => Some((-1, -1)),
    };
    // offset, epoch of the reader's last record, where the pasts part
    for (offset, epoch, expected) in [
        (0, -1, None),
        (4, 2, None),
        (5, 2, Some((2, 4))),
        (8, 5, None),
        (4, 3, Some((2, 4))),
        (9, 5, Some((5, 8))),
        (0, 9, Some((-1, -1))),
    ] {
        assert_eq!(diverges(offset, epoch), expected, "offset {offset} epoch {epoch}");
    }
}

/// What clients have seen is not asked about any more: it is known again once the leader tells.
#[test]
fn only_a_follower_gives_up_what_is_corrupt() {
    let world = World::new();
    let partition = world.open(0, Durability::Flushed, &led(0, &[1]));
    assert_eq!(world.append(&partition, 2).unwrap(), Offset(2));
    world.commit();
    assert_eq!(partition.watermarks().high, Offset(2));
    let refused = run(partition.cut_damage(&world.store)).unwrap();
    assert!(matches!(refused, Err(PartitionError::FencedEpoch)), "{refused:?}");
    assert_eq!(partition.watermarks().high, Offset(2));
    let follows = PartitionState { leader: Some(BrokerId(2)), ..led(1, &[2]) };
    partition.set_state(&follows, Millis(0));
    assert_eq!(run(partition.cut_damage(&world.store)).unwrap().unwrap(), Offset(2));
    world.table.moved(&partition);
    assert_eq!(partition.watermarks().high, Offset::ZERO);
    partition.heard_high(LeaderEpoch(1), Offset(2)).unwrap();
    world.table.moved(&partition);
    assert_eq!(partition.watermarks().high, Offset(2));
}

/// A follower of broker 2 in epoch 1 that has ten records of one each, which clients have seen.
fn followed(world: &World) -> Rc<Partition<MemDisk>> {
    let partition = world.open(0, Durability::Flushed, &led(0, &[1]));
    for _ in 0..10 {
        world.append(&partition, 1).unwrap();
    }
    world.commit();
    assert_eq!(partition.watermarks().high, Offset(10));
    partition.set_state(&PartitionState { leader: Some(BrokerId(2)), ..led(1, &[2]) }, Millis(0));
    partition
}

/// Runs a cut, and whatever else refreshes a partition between any two of its steps.
fn disturbed<T>(world: &World, partition: &Partition<MemDisk>, cut: impl Future<Output = T>) -> T {
    let mut cut = pin!(cut);
    for _ in 0..1000 {
        if let Poll::Ready(out) = cut.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return out;
        }
        world.table.moved(partition);
    }
    panic!("the cut does not end");
}

/// A producer that still sent to a broker whose log began anew brought it down: the log was empty where it had begun
/// before, below the high watermark.
#[test]
fn a_log_that_is_being_cut_moves_no_mark() {
    let epoch = LeaderEpoch(1);
    let world = World::new();
    let partition = followed(&world);
    let poll = world.park(0, 20);
    disturbed(&world, &partition, partition.restart_at(&world.store, epoch, Offset(50), false)).unwrap();
    let marks = partition.watermarks();
    assert_eq!((marks.log_start, marks.high, marks.log_end), (Offset(50), Offset(50), Offset(50)));
    world.table.moved(&partition);
    assert_eq!(world.woken(), [(poll, Woken::Reached)]);

    let world = World::new();
    let partition = followed(&world);
    partition.heard_high(epoch, Offset(10)).unwrap();
    disturbed(&world, &partition, partition.truncate(&world.store, epoch, Offset(4), true)).unwrap();
    let marks = partition.watermarks();
    assert_eq!((marks.high, marks.log_end), (Offset(4), Offset(4)));
}

/// What a failure leaves may be an empty log, of which nothing was seen here.
#[test]
fn a_log_that_could_not_begin_anew_has_ordered_marks() {
    let mut emptied = false;
    for operation in 1.. {
        let world = World::new();
        let partition = followed(&world);
        world.disk.fail_at(Some(world.disk.operations() + operation));
        let restarted = partition.restart_at(&world.store, LeaderEpoch(1), Offset(50), false);
        if disturbed(&world, &partition, restarted).is_ok() {
            assert!(operation > 5 && emptied, "{operation}");
            return;
        }
        world.table.moved(&partition);
        let marks = partition.watermarks();
        assert_eq!(marks.log_end, partition.log().ends().end);
        emptied |= marks.log_end == Offset::ZERO;
    }
}

/// Acknowledgements once waited until a thousand other partitions had each sent half a megabyte to a follower that came
/// back.
#[test]
fn what_goes_to_followers_in_sync_goes_in_front() {
    let world = World::new();
    let replicas = |state| PartitionState { replicas: vec![ME, BrokerId(2)], ..state };
    let lagging = world.open(0, Durability::Flushed, &replicas(led(0, &[1])));
    let in_sync = world.open(1, Durability::Flushed, &replicas(led(0, &[1, 2])));
    let feed = Rc::new(Feed::to(BrokerId(2)));
    let both = [&lagging, &in_sync];
    let append = || both.map(|partition| world.append(partition, 1).unwrap());
    both.iter().for_each(|partition| partition.attach(&feed));
    append();
    assert_eq!([feed.pop(), feed.pop(), feed.pop()], [Some(id(1)), Some(id(0)), None]);
    // It is let in, and others wait for it from now on.
    feed.push_behind(id(5));
    append();
    lagging.set_state(&PartitionState { partition_epoch: 1, ..replicas(led(0, &[1, 2])) }, Millis(0));
    assert_eq!([feed.pop(), feed.pop()], [Some(id(1)), Some(id(0))]);
    in_sync.set_state(&PartitionState { partition_epoch: 1, ..replicas(led(0, &[1])) }, Millis(0));
    append();
    assert_eq!([feed.pop(), feed.pop(), feed.pop()], [Some(id(0)), Some(id(5)), Some(id(1))]);
}
