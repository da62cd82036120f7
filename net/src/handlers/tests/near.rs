//! Consumers that read where they stand (KIP-392).

use std::rc::Rc;

use engine::disk::mem::MemDisk;
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use replication::{Held, Partition, PartitionState};

use super::{
    produce::produce,
    world::{BROKER, START, Seen, WALL, World, batch, code},
};
use crate::wire::{
    ApiKey,
    messages::fetch::{FetchPartition, FetchTopic, Request, ResponseView},
};

const OTHER: BrokerId = BrokerId(BROKER.0 + 1);
const SELECTOR: (&str, &str) =
    ("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector");

/// What a client sees of the one partition that it asks for.
#[derive(PartialEq, Eq, Debug)]
struct Told {
    code: ErrorCode,
    preferred: i32,
    high: i64,
    record_bytes: usize,
}

fn request(rack: &str, offset: i64, min_bytes: i32) -> Request<'_> {
    let partition =
        FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    Request {
        max_wait_ms: 500,
        min_bytes,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![topic],
        rack_id: rack.into(),
        ..Default::default()
    }
}

fn told(seen: &Seen, version: i16) -> Option<Told> {
    let view = ResponseView::decode(seen.body(ApiKey::Fetch, version), version).unwrap();
    let partition = view.responses.iter().next()?.partitions.iter().next()?;
    Some(Told {
        code: code(partition.error_code),
        preferred: partition.preferred_read_replica,
        high: partition.high_watermark,
        record_bytes: partition.records.unwrap().len(),
    })
}

fn fetch(world: &mut World, version: i16, rack: &str, offset: i64) -> Told {
    told(&world.call(version, &request(rack, offset, 0)), version).unwrap()
}

fn records(bytes: usize) -> Told {
    Told { code: ErrorCode::None, preferred: -1, high: 3, record_bytes: bytes }
}

fn state(leader: BrokerId, partition: &Partition<MemDisk>, epochs_later: i32) -> PartitionState {
    let before = partition.leader_epoch();
    PartitionState {
        leader: Some(leader),
        leader_epoch: LeaderEpoch(before.0 + epochs_later),
        replicas: vec![BROKER, OTHER],
        isr: vec![BROKER, OTHER],
        isr_min: 1,
        partition_epoch: 9,
    }
}

/// Three records, and a follower in rack "far" that has all of them.
fn led(file: &[(&str, &str)]) -> (World, usize, Rc<Partition<MemDisk>>) {
    let mut world = World::with(2, file);
    world.broker_in(OTHER, Some("far"));
    world.topic("t", 1, &[]);
    let records = batch(&["a", "b", "c"]);
    produce(&mut world, "t", 0, &records);
    let partition = world.partition("t", 0);
    partition.set_state(&state(BROKER, &partition, 0), START);
    partition.follower_begun(OTHER, 1);
    acknowledge(&partition, 0, 3);
    (world, records.len(), partition)
}

fn acknowledge(partition: &Partition<MemDisk>, start: i64, end: i64) {
    let held = Held { start: Offset(start), end: Offset(end) };
    partition.follower_acknowledged(OTHER, partition.leader_epoch(), held, START);
}

#[test]
fn a_leader_sends_a_consumer_to_a_follower_in_its_rack() {
    let (mut world, bytes, partition) = led(&[SELECTOR, ("broker.rack", "here")]);
    for version in [11, 12] {
        let sent_away = Told { preferred: OTHER.0, ..records(0) };
        assert_eq!(fetch(&mut world, version, "far", 0), sent_away, "version {version}");
        assert_eq!(fetch(&mut world, version, "far", 3), sent_away);
        for stays in ["here", "nowhere", ""] {
            assert_eq!(fetch(&mut world, version, stays, 0), records(bytes), "{stays}");
        }
        let beyond = fetch(&mut world, version, "far", 4);
        assert_eq!((beyond.code, beyond.preferred), (ErrorCode::OffsetOutOfRange, -1));
    }
    // It has nothing of what came before.
    acknowledge(&partition, 2, 3);
    assert_eq!(fetch(&mut world, 12, "far", 1), records(bytes));
    assert_eq!(fetch(&mut world, 12, "far", 2).preferred, OTHER.0);
    // It is out of sync.
    let alone = PartitionState { isr: vec![BROKER], partition_epoch: 10, ..state(BROKER, &partition, 0) };
    partition.set_state(&alone, START);
    assert_eq!(fetch(&mut world, 12, "far", 2), records(bytes));
}

#[test]
fn nobody_is_sent_away_without_the_selector() {
    let (mut world, bytes, _) = led(&[("broker.rack", "here")]);
    assert_eq!(fetch(&mut world, 12, "far", 0), records(bytes));
}

/// Waiting for records would be waiting for nothing.
#[test]
fn who_is_sent_away_hears_it_at_once_and_in_a_session_each_time() {
    let (mut world, _, _) = led(&[SELECTOR]);
    let first = Request { session_epoch: 0, ..request("far", 3, 1) };
    let seen = world.call(12, &first);
    assert_eq!(told(&seen, 12).unwrap().preferred, OTHER.0);
    let session_id = ResponseView::decode(seen.body(ApiKey::Fetch, 12), 12).unwrap().session_id;
    assert_ne!(session_id, 0);
    let next = Request { session_id, session_epoch: 1, topics: vec![], ..request("far", 3, 1) };
    assert_eq!(told(&world.call(12, &next), 12).map(|told| told.preferred), Some(OTHER.0));
}

#[test]
fn a_follower_serves_what_it_knows_to_be_committed() {
    let mut world = World::of(2);
    world.broker(OTHER);
    world.topic("t", 1, &[]);
    let partition = world.partition("t", 0);
    let owner = world.owner("t", 0).clone();
    partition.set_state(&state(OTHER, &partition, 1), START);
    let epoch = partition.leader_epoch();
    let batch = batch(&["a", "b", "c"]);
    partition.append_replica(owner.store(), epoch, &batch, WALL).unwrap();
    world.settle();

    // A fetch that waits hears when the leader tells of more.
    let mut waiting = world.start(12, &request("", 0, 1));
    assert!(world.look(&mut waiting).is_none());
    partition.heard_high(epoch, Offset(3)).unwrap();
    owner.table().moved(&partition);
    let served = world.look(&mut waiting).expect("it was woken");
    assert_eq!(told(&served, 12).unwrap(), records(batch.len()));

    assert_eq!(fetch(&mut world, 11, "", 0), records(batch.len()));
    assert_eq!(fetch(&mut world, 11, "", 3), records(0));
    assert_eq!(fetch(&mut world, 10, "", 0).code, ErrorCode::NotLeaderOrFollower, "it knows leaders alone");
    assert_eq!(fetch(&mut world, 11, "", 4).code, ErrorCode::OffsetOutOfRange);
    partition.heard_high(epoch, Offset(5)).unwrap();
    owner.table().moved(&partition);
    assert_eq!(fetch(&mut world, 11, "", 4).code, ErrorCode::OffsetNotAvailable, "its leader has it");
    assert_eq!(fetch(&mut world, 11, "", 6).code, ErrorCode::OffsetOutOfRange);
    let mut late = request("", 0, 0);
    late.topics[0].partitions[0].current_leader_epoch = epoch.0 - 1;
    assert_eq!(told(&world.call(12, &late), 12).unwrap().code, ErrorCode::FencedLeaderEpoch);
}
