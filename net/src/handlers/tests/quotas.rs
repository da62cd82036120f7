//! Client quotas: told, kept, and counted once however many shards a client is on.

use std::{rc::Rc, time::Duration};

use model::ErrorCode;

use super::world::{START, Seen, World, batch, code};
use crate::{
    request::Peer,
    wire::{
        ApiKey, RequestBody,
        messages::{
            alter_client_quotas, create_partitions, create_topics, delete_topics, describe_client_quotas,
            fetch, list_groups, metadata, produce,
        },
    },
};

type Part = (&'static str, Option<&'static str>);

const C1: &[Part] = &[("client-id", Some("c1"))];

fn alter(
    world: &mut World,
    version: i16,
    entity: &[Part],
    key: &'static str,
    value: Option<f64>,
) -> ErrorCode {
    let part = |&(entity_type, name): &Part| alter_client_quotas::EntityData {
        entity_type: entity_type.into(),
        entity_name: name.map(Into::into),
    };
    let op = alter_client_quotas::OpData {
        key: key.into(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    };
    let entity = entity.iter().map(part).collect();
    let entries = vec![alter_client_quotas::RequestEntry { entity, ops: vec![op] }];
    let seen = world.call(version, &alter_client_quotas::Request { entries, validate_only: false });
    let body = seen.body(ApiKey::AlterClientQuotas, version);
    let view = alter_client_quotas::ResponseView::decode(body, version).unwrap();
    let entry = view.entries.iter().next().unwrap();
    assert_eq!(entry.error_message.is_some(), entry.error_code != 0);
    code(entry.error_code)
}

fn limit(world: &mut World, entity: &[Part], key: &'static str, value: f64) {
    assert_eq!(alter(world, 1, entity, key, Some(value)), ErrorCode::None);
}

type Described = (Vec<(String, Option<String>)>, Vec<(String, f64)>);

fn describe(
    world: &mut World,
    version: i16,
    components: &[(&'static str, i8, Option<&'static str>)],
    strict: bool,
) -> Result<Vec<Described>, ErrorCode> {
    let component = |&(entity_type, match_type, matched): &(&'static str, i8, Option<&'static str>)| {
        let (entity_type, matched) = (entity_type.into(), matched.map(Into::into));
        describe_client_quotas::ComponentData { entity_type, match_type, matched }
    };
    let components = components.iter().map(component).collect();
    let seen = world.call(version, &describe_client_quotas::Request { components, strict });
    let body = seen.body(ApiKey::DescribeClientQuotas, version);
    let view = describe_client_quotas::ResponseView::decode(body, version).unwrap();
    let Some(entries) = view.entries else { return Err(code(view.error_code)) };
    let entry = |entry: describe_client_quotas::EntryDataView<'_>| {
        let part = |p: describe_client_quotas::EntityDataView<'_>| {
            (p.entity_type.to_owned(), p.entity_name.map(str::to_owned))
        };
        let value = |v: describe_client_quotas::ValueDataView<'_>| (v.key.to_owned(), v.value);
        (entry.entity.iter().map(part).collect(), entry.values.iter().map(value).collect())
    };
    Ok(entries.iter().map(entry).collect())
}

/// A request whose frame has exactly so many bytes.
fn produce_of(frame_bytes: usize, acks: i16) -> produce::Request<'static> {
    let request = |padding: usize| {
        let partition =
            produce::PartitionProduceData { index: 0, records: Some(batch(&[&"x".repeat(padding)]).into()) };
        let (name, partition_data) = ("t".into(), vec![partition]);
        let topic = produce::TopicProduceData { name, partition_data, ..Default::default() };
        produce::Request { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
    };
    let length = |padding: usize| {
        let mut writer = crate::wire::Writer::new();
        crate::wire::write_request(&request(padding), 7, 99, Some("c1"), &mut writer);
        writer.bytes().len() - 4
    };
    let padding = (0..frame_bytes).rev().find(|&padding| length(padding) == frame_bytes);
    request(padding.expect("some padding fits"))
}

/// The throttle time told, and until when the connection is not read.
fn call_as<B: RequestBody>(
    world: &mut World,
    shard: usize,
    client_id: &str,
    version: i16,
    body: &B,
) -> (Seen, Rc<Peer>) {
    let (mut started, peer) = world.start_as(shard, client_id, version, body);
    (world.look(&mut started).expect("an answer"), peer)
}

fn muted_ms(peer: &Peer) -> u64 {
    peer.quota.muted().map_or(0, |mute| mute.until.since(START).as_millis() as u64)
}

fn produce_as(world: &mut World, shard: usize, client_id: &str, frame_bytes: usize) -> u64 {
    let (seen, peer) = call_as(world, shard, client_id, 7, &produce_of(frame_bytes, -1));
    let view = produce::ResponseView::decode(seen.body(ApiKey::Produce, 7), 7).unwrap();
    let told = u64::try_from(view.throttle_time_ms).unwrap();
    assert_eq!(muted_ms(&peer).saturating_sub(passed(world)), told, "told and done are the same");
    told
}

fn passed(world: &World) -> u64 {
    world.shards[0].clock().now().since(START).as_millis() as u64
}

#[test]
fn quotas_are_altered_and_described() {
    for (shards, version) in [(1, 0), (3, 1)] {
        let mut world = World::of(shards);
        let both: &[Part] = &[("user", None), ("client-id", Some("c1"))];
        assert_eq!(alter(&mut world, version, C1, "producer_byte_rate", Some(1024.0)), ErrorCode::None);
        assert_eq!(alter(&mut world, version, C1, "request_percentage", Some(12.5)), ErrorCode::None);
        assert_eq!(alter(&mut world, version, both, "consumer_byte_rate", Some(7.0)), ErrorCode::None);
        assert_eq!(alter(&mut world, version, C1, "nope", Some(1.0)), ErrorCode::InvalidRequest);
        assert!(world.shards.iter().all(|shard| shard.image().quotas().len() == 2));
        let all = describe(&mut world, version, &[], false).unwrap();
        assert_eq!(all.len(), 2);
        let strict = describe(&mut world, version, &[("client-id", 0, Some("c1"))], true).unwrap();
        let values = [("producer_byte_rate".to_owned(), 1024.0), ("request_percentage".to_owned(), 12.5)];
        assert_eq!(strict, [(vec![("client-id".to_owned(), Some("c1".to_owned()))], values.to_vec())]);
        let loose = describe(&mut world, version, &[("user", 1, None)], false).unwrap();
        let parts = [("client-id".to_owned(), Some("c1".to_owned())), ("user".to_owned(), None)];
        assert_eq!(loose, [(parts.to_vec(), vec![("consumer_byte_rate".to_owned(), 7.0)])]);
        let refused = describe(&mut world, version, &[("group", 0, Some("g"))], false);
        assert_eq!(refused, Err(ErrorCode::UnsupportedVersion));
    }
}

#[test]
fn a_producer_has_its_quota_once_on_all_shards() {
    for shards in [1, 4] {
        let mut world = World::of(shards);
        world.topic("t", 1, &[]);
        limit(&mut world, C1, "producer_byte_rate", 1000.0);
        let shard = |n: u64| (n % u64::from(shards)) as usize;
        for n in 0..10 {
            assert_eq!(produce_as(&mut world, shard(n), "c1", 1000), 0, "the windows' worth is free");
        }
        assert_eq!(produce_as(&mut world, shard(1), "c1", 500), 500);
        assert_eq!(produce_as(&mut world, shard(2), "c1", 500), 1000);
        assert_eq!(produce_as(&mut world, shard(3), "c2", 20_000), 0, "another client");
        world.pass(1000);
        assert_eq!(produce_as(&mut world, shard(4), "c1", 200), 200);
    }
}

#[test]
fn whoever_has_no_quota_costs_no_message() {
    let mut world = World::of(4);
    world.topic("t", 1, &[]);
    let crossed = |world: &mut World, client_id: &str| {
        let before = world.crossed;
        call_as(world, 0, client_id, 7, &produce_of(500, -1));
        world.crossed - before
    };
    let plain = crossed(&mut world, "c1");
    limit(&mut world, &[("client-id", Some("tests"))], "producer_byte_rate", 1e9);
    assert_eq!(crossed(&mut world, "c1"), plain);
}

#[test]
fn a_default_quota_is_for_each_and_a_users_for_all_of_his() {
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    limit(&mut world, &[("client-id", None)], "producer_byte_rate", 1000.0);
    assert_eq!(produce_as(&mut world, 0, "c1", 10_000), 0);
    assert_eq!(produce_as(&mut world, 0, "c2", 10_000), 0);
    assert_eq!(produce_as(&mut world, 1, "c2", 1000), 1000);
    limit(&mut world, &[("user", Some("ANONYMOUS"))], "producer_byte_rate", 1000.0);
    assert_eq!(produce_as(&mut world, 0, "c1", 10_000), 0);
    assert_eq!(produce_as(&mut world, 1, "c2", 1000), 1000);
}

#[test]
fn a_change_holds_for_the_next_request() {
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    limit(&mut world, C1, "producer_byte_rate", 1.0);
    assert_eq!(produce_as(&mut world, 0, "c1", 1010), 1_000_000);
    limit(&mut world, C1, "producer_byte_rate", 1e6);
    assert_eq!(produce_as(&mut world, 0, "c1", 1000), 0);
    limit(&mut world, C1, "producer_byte_rate", 1.0);
    assert!(produce_as(&mut world, 0, "c1", 1000) > 1_000_000);
    assert_eq!(alter(&mut world, 1, C1, "producer_byte_rate", None), ErrorCode::None);
    assert_eq!(produce_as(&mut world, 0, "c1", 1000), 0);
}

#[test]
fn a_produce_without_acks_waits_too() {
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    limit(&mut world, C1, "producer_byte_rate", 100.0);
    let (seen, peer) = call_as(&mut world, 0, "c1", 7, &produce_of(1500, 0));
    assert!(matches!(seen, Seen::Silent));
    assert_eq!(muted_ms(&peer), 5000);
}

fn fetch_from(offset: i64, session: (i32, i32)) -> fetch::Request<'static> {
    let partition = fetch::FetchPartition {
        partition: 0,
        fetch_offset: offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = fetch::FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    fetch::Request {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_id: session.0,
        session_epoch: session.1,
        topics: vec![topic],
        ..Default::default()
    }
}

/// Throttle time, session, and bytes of records.
fn fetch_as(world: &mut World, shard: usize, request: &fetch::Request<'_>) -> (u64, i32, usize) {
    let (seen, peer) = call_as(world, shard, "c1", 12, request);
    let view = fetch::ResponseView::decode(seen.body(ApiKey::Fetch, 12), 12).unwrap();
    assert_eq!(view.error_code, 0);
    let partitions = view.responses.iter().flat_map(|topic| topic.partitions.iter());
    let bytes = partitions.map(|partition| partition.records.unwrap_or_default().len()).sum();
    let told = u64::try_from(view.throttle_time_ms).unwrap();
    assert_eq!(muted_ms(&peer).saturating_sub(passed(world)), told, "told and done are the same");
    (told, view.session_id, bytes)
}

const BATCH_BYTES: usize = 1000;

fn world_with_batches() -> (World, usize) {
    let mut world = World::of(3);
    world.topic("t", 1, &[]);
    let mut batches = (0..BATCH_BYTES).rev().map(|padding| batch(&[&"x".repeat(padding)]));
    let batch = batches.find(|batch| batch.len() == BATCH_BYTES).expect("some padding fits");
    for _ in 0..5 {
        super::produce::produce(&mut world, "t", 0, &batch);
    }
    (world, BATCH_BYTES)
}

#[test]
fn a_fetch_over_the_quota_is_empty_and_keeps_its_session() {
    let (mut world, bytes) = world_with_batches();
    // One batch a second, ten at once.
    limit(&mut world, C1, "consumer_byte_rate", bytes as f64);
    let (told, session, got) = fetch_as(&mut world, 0, &fetch_from(0, (0, 0)));
    assert_eq!((told, got), (0, 5 * bytes));
    assert_ne!(session, 0);
    assert_eq!(fetch_as(&mut world, 0, &fetch_from(0, (session, 1))), (0, session, 5 * bytes));
    assert_eq!(fetch_as(&mut world, 0, &fetch_from(0, (session, 2))), (5000, session, 0));
    assert_eq!(fetch_as(&mut world, 0, &fetch_from(0, (session, 3))), (5000, session, 0), "not counted");
    assert_eq!(fetch_as(&mut world, 1, &fetch_from(0, (0, 0))), (5000, 0, 0), "no session begins so");
    world.pass(5000);
    assert_eq!(fetch_as(&mut world, 0, &fetch_from(0, (session, 4))), (0, session, 5 * bytes));
}

#[test]
fn a_fetch_is_no_larger_than_its_quota_allows_at_once() {
    let (mut world, bytes) = world_with_batches();
    limit(&mut world, C1, "consumer_byte_rate", 0.25 * bytes as f64);
    let (told, _, got) = fetch_as(&mut world, 0, &fetch_from(0, (0, -1)));
    assert_eq!((told, got), (0, 2 * bytes), "ten windows of a quarter");
}

#[test]
fn a_batch_that_is_larger_than_the_windows_goes_out_and_is_paid_for() {
    let (mut world, bytes) = world_with_batches();
    limit(&mut world, C1, "consumer_byte_rate", 0.01 * bytes as f64);
    assert_eq!(fetch_as(&mut world, 0, &fetch_from(0, (0, -1))), (90_000, 0, bytes));
    assert_eq!(fetch_as(&mut world, 0, &fetch_from(1, (0, -1))), (190_000, 0, 0));
    world.pass(190_000);
    assert_eq!(fetch_as(&mut world, 0, &fetch_from(1, (0, -1))), (90_000, 0, bytes));
}

#[test]
fn time_is_counted_in_percent_of_a_thread_and_told_in_every_answer() {
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    limit(&mut world, C1, "request_percentage", 5.0);
    world.set_work(Duration::from_millis(400));
    let groups = list_groups::Request::default();
    let told = |world: &mut World, client_id: &str| {
        let (seen, peer) = call_as(world, 0, client_id, 1, &groups);
        let view = list_groups::ResponseView::decode(seen.body(ApiKey::ListGroups, 1), 1).unwrap();
        assert_eq!(muted_ms(&peer), view.throttle_time_ms as u64);
        view.throttle_time_ms
    };
    // Two shards answer: the request is polled twice or more, and that is more than 50 percent of a second.
    assert_eq!(told(&mut world, "c1"), 1000, "never longer than a window");
    assert_eq!(told(&mut world, "c2"), 0);
    // Where an answer has no place for it, the connection waits all the same.
    let (_, peer) = call_as(&mut world, 1, "c1", 0, &metadata::Request::default());
    assert_eq!(muted_ms(&peer), 1000);
    // An answer that there is no waiting for is measured as well.
    let mut world = World::of(1);
    limit(&mut world, C1, "request_percentage", 5.0);
    world.set_work(Duration::from_millis(502));
    let (seen, _) = call_as(&mut world, 0, "c1", 3, &metadata::Request::default());
    let view = metadata::ResponseView::decode(seen.body(ApiKey::Metadata, 3), 3).unwrap();
    assert_eq!(view.throttle_time_ms, 40, "(5.02 - 5) / 5 * 10 s");
}

/// By version: the code of each topic, the throttle time, and what there is afterwards.
fn create_as(world: &mut World, version: i16, names: &[&'static str]) -> (Vec<ErrorCode>, i32) {
    let topic = |&name: &&'static str| create_topics::CreatableTopic {
        name: name.into(),
        num_partitions: 6,
        replication_factor: 1,
        ..Default::default()
    };
    let request = create_topics::Request { topics: names.iter().map(topic).collect(), ..Default::default() };
    let (seen, peer) = call_as(world, 1, "c1", version, &request);
    let body = seen.body(ApiKey::CreateTopics, version);
    let view = create_topics::ResponseView::decode(body, version).unwrap();
    assert_eq!(view.topics.iter().map(|topic| topic.name).collect::<Vec<_>>(), names);
    assert_eq!(muted_ms(&peer).saturating_sub(passed(world)), view.throttle_time_ms as u64);
    (view.topics.iter().map(|topic| code(topic.error_code)).collect(), view.throttle_time_ms)
}

#[test]
fn changes_of_topics_are_refused_or_slowed_down() {
    use ErrorCode::{None, ThrottlingQuotaExceeded, TopicAlreadyExists};
    let mut world = World::of(2);
    limit(&mut world, C1, "controller_mutation_rate", 1.0);
    // Eleven at once, and what goes beyond is still made.
    assert_eq!(create_as(&mut world, 7, &["a", "b", "c"]), (vec![None, None, ThrottlingQuotaExceeded], 1000));
    assert!(world.image().topic("c").is_none() && world.image().topic("b").is_some());
    assert_eq!(create_as(&mut world, 5, &["c"]), (vec![None], 7000), "told, and made all the same");
    world.pass(7000);
    assert_eq!(create_as(&mut world, 7, &["a", "d"]), (vec![TopicAlreadyExists, None], 0));
    let names =
        ["a", "b"].map(|name| delete_topics::DeleteTopicState { name: Some(name.into()), topic_id: [0; 16] });
    let (seen, _) = call_as(
        &mut world,
        0,
        "c1",
        6,
        &delete_topics::Request { topics: names.to_vec(), ..Default::default() },
    );
    let view = delete_topics::ResponseView::decode(seen.body(ApiKey::DeleteTopics, 6), 6).unwrap();
    let codes: Vec<_> = view.responses.iter().map(|topic| code(topic.error_code)).collect();
    assert_eq!((codes, view.throttle_time_ms), (vec![ThrottlingQuotaExceeded; 2], 6000));
    let topic =
        create_partitions::CreatePartitionsTopic { name: "a".into(), count: 7, assignments: Option::None };
    let grow = create_partitions::Request { topics: vec![topic], ..Default::default() };
    let (seen, _) = call_as(&mut world, 0, "c1", 3, &grow);
    let view = create_partitions::ResponseView::decode(seen.body(ApiKey::CreatePartitions, 3), 3).unwrap();
    assert_eq!(code(view.results.iter().next().unwrap().error_code), ThrottlingQuotaExceeded);
    let (seen, _) = call_as(&mut world, 0, "c2", 3, &grow);
    let view = create_partitions::ResponseView::decode(seen.body(ApiKey::CreatePartitions, 3), 3).unwrap();
    assert_eq!(code(view.results.iter().next().unwrap().error_code), None, "another client");
}
