//! ListOffsets, OffsetForLeaderEpoch, DeleteRecords.

use model::{
    ErrorCode,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};

use super::{
    produce::produce,
    world::{World, batch, code},
};
use crate::wire::{
    ApiKey,
    messages::{delete_records, list_offsets, offset_for_leader_epoch},
};

/// One record every 10 ms from `from` on.
fn timed(from: i64, count: i32) -> Vec<u8> {
    let mut payload = vec![];
    for n in 0..count {
        write_record(&mut payload, n, i64::from(n) * 10, None, Some(b"v"), &[]);
    }
    let max_timestamp = from + i64::from(count - 1) * 10;
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: 0,
        attributes: 0,
        base_timestamp: from,
        max_timestamp,
        record_count: count,
        producer: Producer::NONE,
    };
    build_batch(meta, &payload)
}

fn offset_at(world: &mut World, version: i16, partition_index: i32, timestamp: i64) -> (ErrorCode, i64, i64) {
    let partition = list_offsets::ListOffsetsPartition { partition_index, timestamp, ..Default::default() };
    let topic = list_offsets::ListOffsetsTopic { name: "t".into(), partitions: vec![partition] };
    let request = list_offsets::Request { replica_id: -1, topics: vec![topic], ..Default::default() };
    let seen = world.call(version, &request);
    let view = list_offsets::ResponseView::decode(seen.body(ApiKey::ListOffsets, version), version).unwrap();
    let found = view.topics.iter().next().unwrap().partitions.iter().next().unwrap();
    (code(found.error_code), found.offset, found.timestamp)
}

#[test]
fn a_time_finds_its_record_inside_a_batch() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        world.topic("t", 2, &[]);
        produce(&mut world, "t", 1, &timed(1000, 3));
        produce(&mut world, "t", 1, &timed(2000, 5));
        produce(&mut world, "t", 1, &timed(1500, 2));
        let none = ErrorCode::None;
        for version in 1..=7 {
            for (timestamp, expected) in [
                (-1, (none, 10, -1)),
                (-2, (none, 0, -1)),
                (0, (none, 0, 1000)),
                (1000, (none, 0, 1000)),
                (1001, (none, 1, 1010)),
                (1020, (none, 2, 1020)),
                (1021, (none, 3, 2000)),
                (2035, (none, 7, 2040)),
                (2041, (none, -1, -1)),
            ] {
                assert_eq!(offset_at(&mut world, version, 1, timestamp), expected, "time {timestamp}");
            }
            let latest = if version >= 7 { (none, 7, 2040) } else { (ErrorCode::UnsupportedVersion, -1, -1) };
            assert_eq!(offset_at(&mut world, version, 1, -3), latest);
        }
        assert_eq!(offset_at(&mut world, 7, 0, -3), (none, -1, -1), "an empty log");
        assert_eq!(offset_at(&mut world, 7, 0, 5), (none, -1, -1));
        assert_eq!(offset_at(&mut world, 7, 2, -1).0, ErrorCode::UnknownTopicOrPartition);
    }
}

#[test]
fn deleted_records_are_gone_and_the_rest_is_not() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        world.topic("t", 2, &[]);
        for _ in 0..4 {
            produce(&mut world, "t", 0, &batch(&["x", "y"]));
        }
        let mut delete = |offset| {
            let partition = delete_records::DeleteRecordsPartition { partition_index: 0, offset };
            let topic = delete_records::DeleteRecordsTopic { name: "t".into(), partitions: vec![partition] };
            let request = delete_records::Request { topics: vec![topic], timeout_ms: 1000 };
            let seen = world.call(1, &request);
            let view = delete_records::ResponseView::decode(seen.body(ApiKey::DeleteRecords, 1), 1).unwrap();
            let deleted = view.topics.iter().next().unwrap().partitions.iter().next().unwrap();
            let outcome = (code(deleted.error_code), deleted.low_watermark);
            (outcome, offset_at(&mut world, 1, 0, -2).1, offset_at(&mut world, 1, 0, -1).1)
        };
        assert_eq!(delete(3), ((ErrorCode::None, 3), 3, 8));
        assert_eq!(delete(2), ((ErrorCode::None, 3), 3, 8), "the start never goes back");
        assert_eq!(delete(9), ((ErrorCode::OffsetOutOfRange, -1), 3, 8));
        assert_eq!(delete(-2), ((ErrorCode::OffsetOutOfRange, -1), 3, 8));
        assert_eq!(delete(-1), ((ErrorCode::None, 8), 8, 8));
    }
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let mut world = World::of(1);
    world.topic("t", 1, &[]);
    produce(&mut world, "t", 0, &batch(&["a", "b"]));
    let first = world.partition("t", 0).leader_epoch();
    let second = model::LeaderEpoch(first.0 + 1);
    let broker = super::world::BROKER;
    let state = replication::PartitionState::alone(broker, second);
    world.partition("t", 0).set_state(&state, model::Millis(0));
    produce(&mut world, "t", 0, &batch(&["c"]));
    let mut ask = |current_leader_epoch, leader_epoch: i32| {
        let partition = offset_for_leader_epoch::OffsetForLeaderPartition {
            partition: 0,
            current_leader_epoch,
            leader_epoch,
        };
        let topic =
            offset_for_leader_epoch::OffsetForLeaderTopic { topic: "t".into(), partitions: vec![partition] };
        let request = offset_for_leader_epoch::Request { topics: vec![topic], ..Default::default() };
        let seen = world.call(2, &request);
        let body = seen.body(ApiKey::OffsetForLeaderEpoch, 2);
        let view = offset_for_leader_epoch::ResponseView::decode(body, 2).unwrap();
        let end = view.topics.iter().next().unwrap().partitions.iter().next().unwrap();
        (code(end.error_code), end.leader_epoch, end.end_offset)
    };
    assert_eq!(ask(-1, first.0), (ErrorCode::None, first.0, 2));
    assert_eq!(ask(second.0, second.0), (ErrorCode::None, second.0, 3));
    assert_eq!(ask(-1, second.0 + 5), (ErrorCode::None, -1, -1));
    assert_eq!(ask(first.0, first.0).0, ErrorCode::FencedLeaderEpoch);
    assert_eq!(ask(second.0 + 1, first.0).0, ErrorCode::UnknownLeaderEpoch);
}
