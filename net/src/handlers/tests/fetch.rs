use std::collections::BTreeMap;

use model::{
    BatchView, ErrorCode,
    batch::record::{BatchMeta, Producer, Records, build_batch, write_record},
};

use super::{
    produce::produce,
    world::{Seen, WALL, World, batch, code},
};
use crate::{
    metrics::{Family, Label, Samples, Value, take_snapshot},
    wire::{
        ApiKey,
        messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic, Request, ResponseView},
    },
};

/// What a client sees of one partition.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Part {
    code: ErrorCode,
    high: i64,
    start: i64,
    records: Vec<u8>,
    diverging: (i32, i64),
}

struct Whole {
    code: ErrorCode,
    session: i32,
    parts: BTreeMap<(String, i32), Part>,
    /// In the order of the answer.
    order: Vec<i32>,
}

fn read(seen: &Seen, version: i16) -> Whole {
    let view = ResponseView::decode(seen.body(ApiKey::Fetch, version), version).unwrap();
    let mut whole = Whole {
        code: code(view.error_code),
        session: view.session_id,
        parts: BTreeMap::new(),
        order: vec![],
    };
    for topic in view.responses {
        for partition in topic.partitions {
            let part = Part {
                code: code(partition.error_code),
                high: partition.high_watermark,
                start: partition.log_start_offset,
                records: partition.records.unwrap().to_vec(),
                diverging: (partition.diverging_epoch.epoch, partition.diverging_epoch.end_offset),
            };
            whole.order.push(partition.partition_index);
            whole.parts.insert((topic.topic.to_owned(), partition.partition_index), part);
        }
    }
    whole
}

fn partition(partition: i32, fetch_offset: i64) -> FetchPartition {
    FetchPartition { partition, fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() }
}

fn request(topic: &'static str, partitions: Vec<FetchPartition>) -> Request<'static> {
    let topic = FetchTopic { topic: topic.into(), partitions, ..Default::default() };
    Request {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        session_epoch: -1,
        ..Default::default()
    }
}

/// Without waiting.
fn now(topic: &'static str, partitions: Vec<FetchPartition>) -> Request<'static> {
    Request { min_bytes: 0, ..request(topic, partitions) }
}

fn one(world: &mut World, version: i16, request: &Request<'_>) -> Part {
    let whole = read(&world.call(version, request), version);
    assert_eq!(whole.code, ErrorCode::None);
    assert_eq!(whole.parts.len(), 1);
    whole.parts.into_values().next().unwrap()
}

pub(super) fn records(world: &mut World, topic: &'static str, index: i32, offset: i64) -> Vec<u8> {
    one(world, 11, &now(topic, vec![partition(index, offset)])).records
}

/// Values of the records in batches, whole batches only.
fn values_in(mut bytes: &[u8]) -> Vec<String> {
    let mut values = vec![];
    while !bytes.is_empty() {
        let view = BatchView::check(bytes).unwrap();
        for record in Records::new(view.payload(), view.header().record_count()) {
            values.push(String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        }
        bytes = &bytes[view.bytes().len()..];
    }
    values
}

pub(super) fn values(world: &mut World, topic: &'static str, index: i32, offset: i64) -> Vec<String> {
    values_in(&records(world, topic, index, offset))
}

fn world_with_records(shards: u16) -> World {
    let mut world = World::of(shards);
    world.topic("t", 4, &[]);
    produce(&mut world, "t", 0, &batch(&["a", "b", "c"]));
    produce(&mut world, "t", 0, &batch(&["d", "e"]));
    world
}

#[test]
fn every_version_reads_what_was_written() {
    for shards in [1, 3] {
        let mut world = world_with_records(shards);
        let id = world.topic_id("t");
        for version in 4..=17 {
            let mut request = now("t", vec![partition(0, 0)]);
            request.topics[0].topic_id = id.0;
            let part = one(&mut world, version, &request);
            assert_eq!(values_in(&part.records), ["a", "b", "c", "d", "e"], "version {version}");
            assert_eq!((part.code, part.high), (ErrorCode::None, 5));
        }
    }
}

#[test]
fn an_offset_inside_a_batch_gives_the_whole_batch() {
    let mut world = world_with_records(1);
    for (offset, expected) in [(0, 5), (1, 5), (2, 5), (3, 2), (4, 2), (5, 0)] {
        assert_eq!(values(&mut world, "t", 0, offset).len(), expected, "offset {offset}");
    }
}

#[test]
fn offsets_outside_the_log_are_errors_and_its_end_is_none() {
    let mut world = world_with_records(2);
    for (offset, expected) in
        [(-1, ErrorCode::OffsetOutOfRange), (5, ErrorCode::None), (6, ErrorCode::OffsetOutOfRange)]
    {
        let part = one(&mut world, 11, &now("t", vec![partition(0, offset)]));
        assert_eq!((part.code, part.records.len()), (expected, 0), "offset {offset}");
    }
}

#[test]
fn nothing_that_is_not_safe_is_shown() {
    let world = world_with_records(1);
    let part = world.partition("t", 0);
    let rules = replication::AppendRules { isr_min: 0 };
    part.append(world.shards[0].store(), &batch(&["not yet"]), rules, WALL).unwrap();
    // The commit pump has not run since.
    let mut started = world.start(11, &now("t", vec![partition(0, 5)]));
    let seen = started.poll_alone().expect("in memory");
    let part = read(&seen, 11).parts.into_values().next().unwrap();
    assert_eq!((part.code, part.high, part.records.len()), (ErrorCode::None, 5, 0));
}

#[test]
fn the_first_batch_goes_out_however_large() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        world.topic("t", 4, &[]);
        let large = "x".repeat(5000);
        for index in 0..4 {
            for _ in 0..2 {
                produce(&mut world, "t", index, &batch(&[&large]));
            }
        }
        let small = |index| FetchPartition { partition_max_bytes: 10, ..partition(index, 0) };
        let request = Request { max_bytes: 100, ..now("t", (0..4).map(small).collect()) };
        let whole = read(&world.call(11, &request), 11);
        let counts: Vec<_> =
            (0..4).map(|i| values_in(&whole.parts[&("t".to_owned(), i)].records).len()).collect();
        assert_eq!(counts, [1, 0, 0, 0], "{shards} shards");
        // The limit of a partition holds for those behind the first.
        let request =
            Request { max_bytes: 1 << 20, ..now("t", vec![partition(0, 0), small(1), partition(2, 0)]) };
        let whole = read(&world.call(11, &request), 11);
        let counts: Vec<_> =
            (0..3).map(|i| values_in(&whole.parts[&("t".to_owned(), i)].records).len()).collect();
        if shards == 1 {
            assert_eq!(counts, [2, 0, 2]);
        }
    }
}

#[test]
fn a_long_poll_ends_with_data_or_with_time() {
    for shards in [1, 4] {
        let mut world = World::of(shards);
        world.topic("t", 4, &[]);
        let all = || request("t", (0..4).map(|index| partition(index, 0)).collect());
        let mut started = world.start(11, &all());
        assert!(!started.lets_the_next_begin());
        assert!(world.look(&mut started).is_none(), "nothing is there");
        produce(&mut world, "t", 2, &batch(&["news"]));
        let whole = read(&world.look(&mut started).expect("woken"), 11);
        assert_eq!(values_in(&whole.parts[&("t".to_owned(), 2)].records), ["news"]);
        assert_eq!(parked(&mut world), 0, "whoever still waited was told to forget it");

        let mut started = world.start(11, &request("t", vec![partition(0, 0), partition(1, 0)]));
        assert!(world.look(&mut started).is_none());
        world.pass(499);
        assert!(world.look(&mut started).is_none());
        world.pass(1);
        let whole = read(&world.look(&mut started).expect("the time is over"), 11);
        assert!(whole.parts.values().all(|part| part.code == ErrorCode::None && part.records.is_empty()));
        assert_eq!(parked(&mut world), 0);
    }
}

fn parked(world: &mut World) -> usize {
    world.settle();
    world.shards.iter().map(|shard| shard.owner().parked_count() + shard.table().waiting_count()).sum()
}

#[test]
fn a_long_poll_waits_for_enough() {
    for shards in [1, 4] {
        let mut world = World::of(shards);
        world.topic("t", 4, &[]);
        let enough = batch(&["x"]).len() as i32 * 3;
        let all = (0..4).map(|index| partition(index, 0)).collect();
        let mut started = world.start(11, &Request { min_bytes: enough, ..request("t", all) });
        for index in [0, 1] {
            assert!(world.look(&mut started).is_none());
            produce(&mut world, "t", index, &batch(&["x"]));
        }
        assert!(world.look(&mut started).is_none(), "{shards} shards");
        produce(&mut world, "t", 3, &batch(&["x"]));
        let whole = read(&world.look(&mut started).expect("enough is there"), 11);
        assert_eq!(record_counts(&whole), [1, 1, 0, 1], "{shards} shards");
        assert_eq!(parked(&mut world), 0);
    }
}

fn record_counts(whole: &Whole) -> Vec<usize> {
    whole.parts.values().map(|part| values_in(&part.records).len()).collect()
}

/// Once a fetch from several shards kept all that it had read while it waited for more.
#[test]
fn a_long_poll_keeps_no_records_while_it_waits() {
    for shards in [1, 4] {
        let mut world = World::of(shards);
        world.topic("t", 4, &[]);
        let large = batch(&["x".repeat(100_000).as_str()]);
        let all = || (0..4).map(|index| partition(index, 0)).collect();
        let asked = || Request { min_bytes: 3 * large.len() as i32, ..request("t", all()) };
        let in_use = |world: &World| world.owner("t", 0).store().figures().page_bytes_in_use;
        let before = in_use(&world);
        produce(&mut world, "t", 0, &large);
        let mut timely = world.start(11, &asked());
        assert!(world.look(&mut timely).is_none());
        // One whose time is over gets what there is all the same.
        world.pass(500);
        let whole = read(&world.look(&mut timely).expect("the time is over"), 11);
        assert_eq!(record_counts(&whole), [1, 0, 0, 0], "{shards} shards");

        let mut started = world.start(11, &asked());
        assert!(world.look(&mut started).is_none());
        produce(&mut world, "t", 1, &batch(&["woken to see that it is not enough"]));
        assert!(world.look(&mut started).is_none());
        // The log itself lets go of its newest bytes: nobody else may hold them.
        assert!(in_use(&world) >= before + large.len());
        let (store, log) = (world.owner("t", 0).store().clone(), world.partition("t", 0).log().clone());
        let held_by_others = in_use(&world) - log.tail_bytes();
        world.drive(async move { store.restart_at(&log, model::Offset(1)).await }).unwrap().unwrap();
        assert_eq!(in_use(&world), held_by_others, "{shards} shards");
    }
}

/// What the metrics of all shards together say of each topic; of all topics under an empty name.
fn bytes_out(world: &mut World) -> Vec<(String, u64)> {
    let mut samples = Samples::default();
    for shard in world.shards.clone() {
        let snapshot = world.drive(async move { take_snapshot(&shard).await });
        samples.extend(snapshot.expect("nothing to wait for").samples);
    }
    let series = samples.take(Family::BytesOut).into_iter().map(|(labels, value)| {
        let topic = match labels.first() {
            Some(Label::Text(topic)) => topic.to_string(),
            _ => String::new(),
        };
        let Value::Whole(bytes) = value else { panic!("it is a count") };
        (topic, bytes)
    });
    series.collect()
}

/// Once each look of a long poll counted, and what did not fit into the answer.
#[test]
fn records_count_once_when_they_leave() {
    for shards in [1, 4] {
        let mut world = World::of(shards);
        world.topic("quiet", 1, &[]);
        let id = world.topic("t", 4, &[]);
        let small = batch(&["x"]);
        let bytes = small.len() as u64;
        let all = || (0..4).map(|index| partition(index, 0)).collect();
        let of = |topic: &str, bytes| (topic.to_owned(), bytes);
        let enough = 3 * small.len() as i32;
        let mut started = world.start(11, &Request { min_bytes: enough, ..request("t", all()) });
        for index in [0, 1, 3] {
            assert!(world.look(&mut started).is_none());
            produce(&mut world, "t", index, &small);
        }
        assert!(world.look(&mut started).is_some());
        let expected = [of("", 3 * bytes), of("quiet", 0), of("t", 3 * bytes)];
        assert_eq!(bytes_out(&mut world), expected, "{shards} shards");

        // Each shard has a batch to give, and one fits.
        let seen = world.call(11, &Request { max_bytes: small.len() as i32, ..now("t", all()) });
        assert_eq!(record_counts(&read(&seen, 11)), [1, 0, 0, 0]);
        let expected = [of("", 4 * bytes), of("quiet", 0), of("t", 4 * bytes)];
        assert_eq!(bytes_out(&mut world), expected, "{shards} shards");

        // A topic takes its own count with it, and not what it gave to all.
        delete(&mut world, id);
        assert_eq!(bytes_out(&mut world), [of("", 4 * bytes), of("quiet", 0)], "{shards} shards");
        assert!(world.shards.iter().all(|shard| shard.metrics().records_bytes_out_of(id).is_none()));
    }
}

fn delete(world: &mut World, id: model::TopicId) {
    let delete = crate::control::Proposal::DeleteTopics(vec![coordinator::controller::TopicRef::Id(id)]);
    let shard = world.shards[0].clone();
    world.drive(async move { shard.control().propose(delete).await }).unwrap();
}

/// A fetch that waits for much wakes with each batch, and only the partition that got it is read then. The log of the other
/// one is emptied here without a word to anybody, so that reading it would be seen.
#[test]
fn a_woken_long_poll_reads_what_moved() {
    let mut world = World::of(1);
    world.topic("t", 2, &[]);
    let one = batch(&["x"]);
    produce(&mut world, "t", 0, &one);
    let both = vec![partition(0, 0), partition(1, 0)];
    let mut started = world.start(11, &Request { min_bytes: 3 * one.len() as i32, ..request("t", both) });
    assert!(world.look(&mut started).is_none());
    let (store, log) = (world.shards[0].store().clone(), world.partition("t", 0).log().clone());
    world.drive(async move { store.restart_at(&log, model::Offset(1)).await }).unwrap().unwrap();
    produce(&mut world, "t", 1, &one);
    assert!(world.look(&mut started).is_none(), "two batches are not enough");
    produce(&mut world, "t", 1, &one);
    let whole = read(&world.look(&mut started).expect("it may be enough, so all are read"), 11);
    let codes: Vec<_> = whole.parts.values().map(|part| part.code).collect();
    assert_eq!(codes, [ErrorCode::OffsetOutOfRange, ErrorCode::None]);
}

#[test]
fn an_error_is_told_at_once() {
    let mut world = World::of(3);
    world.topic("t", 3, &[]);
    for wrong in
        [partition(9, 0), partition(1, 7), FetchPartition { current_leader_epoch: 5, ..partition(1, 0) }]
    {
        let whole = read(&world.call(11, &request("t", vec![partition(0, 0), wrong])), 11);
        assert!(whole.parts.values().any(|part| part.code != ErrorCode::None));
    }
    assert_eq!(parked(&mut world), 0);
}

#[test]
fn a_deleted_topic_ends_a_long_poll() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        let id = world.topic("t", 3, &[]);
        let mut started = world.start(11, &request("t", (0..3).map(|index| partition(index, 0)).collect()));
        assert!(world.look(&mut started).is_none());
        delete(&mut world, id);
        let whole = read(&world.look(&mut started).expect("nothing is left to wait for"), 11);
        assert!(whole.parts.values().any(|part| part.code == ErrorCode::NotLeaderOrFollower));
    }
}

#[test]
fn leader_epochs_are_compared() {
    let mut world = world_with_records(1);
    let epoch = world.partition("t", 0).leader_epoch().0;
    let id = world.topic_id("t");
    let newer = model::LeaderEpoch(epoch + 1);
    let state = replication::PartitionState::alone(super::world::BROKER, newer);
    world.partition("t", 0).set_state(&state, model::Millis(0));
    for (asked, expected) in [
        (-1, ErrorCode::None),
        (epoch, ErrorCode::FencedLeaderEpoch),
        (epoch + 1, ErrorCode::None),
        (epoch + 2, ErrorCode::UnknownLeaderEpoch),
    ] {
        let asked_partition = FetchPartition { current_leader_epoch: asked, ..partition(0, 5) };
        let mut request = now("t", vec![asked_partition]);
        request.topics[0].topic_id = id.0;
        assert_eq!(one(&mut world, 9, &request).code, expected, "epoch {asked}");
        assert_eq!(one(&mut world, 13, &request).code, expected, "epoch {asked}");
    }
    // A client whose last record is of an epoch that ended before its offset is sent back to that end.
    let parted = FetchPartition { last_fetched_epoch: epoch, ..partition(0, 9) };
    let part = one(&mut world, 12, &now("t", vec![parted]));
    assert_eq!((part.code, part.diverging, part.records.len()), (ErrorCode::None, (epoch, 5), 0));
    let same = FetchPartition { last_fetched_epoch: epoch, ..partition(0, 3) };
    assert_eq!(values_in(&one(&mut world, 12, &now("t", vec![same])).records), ["d", "e"]);
}

#[test]
fn zstd_is_kept_from_old_clients() {
    let mut world = World::of(1);
    world.topic("t", 1, &[]);
    let mut payload = vec![];
    write_record(&mut payload, 0, 0, None, Some(b"v"), &[]);
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: 0,
        attributes: 4,
        base_timestamp: WALL.0,
        max_timestamp: WALL.0,
        record_count: 1,
        producer: Producer::NONE,
    };
    produce(&mut world, "t", 0, &batch(&["plain"]));
    produce(&mut world, "t", 0, &build_batch(meta, &payload));
    for (version, offset, expected) in [
        (9, 0, (ErrorCode::None, batch(&["plain"]).len())),
        (9, 1, (ErrorCode::UnsupportedCompressionType, 0)),
        (10, 1, (ErrorCode::None, build_batch(meta, &payload).len())),
    ] {
        let part = one(&mut world, version, &now("t", vec![partition(0, offset)]));
        assert_eq!((part.code, part.records.len()), expected, "version {version} offset {offset}");
    }
}

#[test]
fn a_topic_that_will_be_zstd_is_kept_from_old_clients_at_once() {
    let mut world = World::of(2);
    world.topic("t", 1, &[("compression.type", "zstd")]);
    for (version, expected) in [(9, ErrorCode::UnsupportedCompressionType), (10, ErrorCode::None)] {
        let part = one(&mut world, version, &now("t", vec![partition(0, 0)]));
        assert_eq!(part.code, expected, "version {version}");
    }
}

#[test]
fn topics_by_id_that_nobody_has_are_unknown() {
    let mut world = world_with_records(2);
    let mut request = now("t", vec![partition(0, 0)]);
    request.topics[0].topic_id = [9; 16];
    assert_eq!(one(&mut world, 13, &request).code, ErrorCode::UnknownTopicId);
    assert_eq!(
        one(&mut world, 12, &now("other", vec![partition(0, 0)])).code,
        ErrorCode::UnknownTopicOrPartition
    );
    assert_eq!(
        one(&mut world, 12, &now("t", vec![partition(4, 0)])).code,
        ErrorCode::UnknownTopicOrPartition
    );
}

#[test]
fn a_session_tells_what_changed_and_forgets_what_it_is_told() {
    for shards in [1, 3] {
        let mut world = world_with_records(shards);
        let start = Request {
            session_epoch: 0,
            ..now("t", (0..4).map(|index| partition(index, 5 * i64::from(index == 0))).collect())
        };
        let whole = read(&world.call(11, &start), 11);
        assert_eq!(whole.parts.len(), 4, "a full fetch tells all");
        let session = whole.session;
        assert!(session > 0);
        let next =
            |epoch| Request { session_id: session, session_epoch: epoch, topics: vec![], ..now("t", vec![]) };
        let whole = read(&world.call(11, &next(1)), 11);
        assert_eq!((whole.session, whole.parts.len()), (session, 0), "nothing changed");
        produce(&mut world, "t", 3, &batch(&["n"]));
        let whole = read(&world.call(11, &next(2)), 11);
        assert_eq!(whole.order, [3]);
        let forget = ForgottenTopic { topic: "t".into(), partitions: vec![3], ..Default::default() };
        let whole = read(&world.call(11, &Request { forgotten_topics_data: vec![forget], ..next(3) }), 11);
        assert!(whole.parts.is_empty());
        for (request, expected) in [
            (next(3), ErrorCode::InvalidFetchSessionEpoch),
            (Request { session_id: session + 1, ..next(4) }, ErrorCode::FetchSessionIdNotFound),
        ] {
            let whole = read(&world.call(11, &request), 11);
            assert_eq!((whole.code, whole.session), (expected, 0));
        }
    }
}

#[test]
fn one_message_a_shard_whatever_is_asked() {
    let mut world = World::of(3);
    world.topic("t", 30, &[]);
    world.settle();
    let before = world.crossed;
    read(&world.call(11, &now("t", (0..30).map(|index| partition(index, 0)).collect())), 11);
    assert_eq!(world.crossed - before, 4, "two other shards, there and back");
}
