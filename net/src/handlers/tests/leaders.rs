//! Clients that asked the wrong broker are told the right one, and where it is (KIP-951). The answers are read by another
//! implementation of the protocol.

use bytes::Bytes;
use kafka_protocol::{
    messages::{BrokerId as OtherId, FetchResponse, ProduceResponse, fetch_response, produce_response},
    protocol::{Decodable, StrBytes},
};
use model::{BrokerId, ErrorCode, LeaderEpoch};

use super::world::{BROKER, Seen, World, batch, code};
use crate::wire::{
    ApiKey,
    messages::{fetch, produce},
};

const FAR: BrokerId = BrokerId(BROKER.0 + 1);
const NEAR: BrokerId = BrokerId(BROKER.0 + 2);
/// Nobody knows it.
const GONE: BrokerId = BrokerId(BROKER.0 + 3);

/// Error, leader and its epoch, by partition in the order asked.
type Parts = Vec<(ErrorCode, i32, i32)>;
/// Broker, host, port and rack.
type Endpoint = (i32, String, i32, Option<String>);

/// A topic of five partitions. Two went to broker `FAR`, then one to `NEAR` and one to `GONE`; the last is still here.
fn moved(shards: u16) -> World {
    let mut world = World::of(shards);
    world.broker_in(FAR, Some("far"));
    world.broker(NEAR);
    world.topic("t", 5, &[]);
    let moves = [(0, FAR), (1, FAR), (2, NEAR), (3, GONE)];
    world.moves("t", &moves.map(|(index, leader)| (index, leader, LeaderEpoch(10 + index))));
    world
}

fn endpoint(id: BrokerId, host: &str, port: i32, rack: Option<&str>) -> Endpoint {
    (id.0, host.to_owned(), port, rack.map(str::to_owned))
}

fn named(id: OtherId, host: &StrBytes, port: i32, rack: Option<&StrBytes>) -> Endpoint {
    (id.0, host.to_string(), port, rack.map(StrBytes::to_string))
}

fn body(seen: &Seen, key: ApiKey, version: i16) -> Bytes {
    Bytes::copy_from_slice(seen.body(key, version))
}

fn produced(seen: &Seen, version: i16) -> (Parts, Vec<Endpoint>) {
    let answer = ProduceResponse::decode(&mut body(seen, ApiKey::Produce, version), version).unwrap();
    let part = |part: &produce_response::PartitionProduceResponse| {
        let leader = &part.current_leader;
        (code(part.error_code), leader.leader_id.0, leader.leader_epoch)
    };
    let parts = answer.responses.iter().flat_map(|topic| &topic.partition_responses).map(part).collect();
    let nodes = answer.node_endpoints.iter();
    (parts, nodes.map(|node| named(node.node_id, &node.host, node.port, node.rack.as_ref())).collect())
}

fn fetched(seen: &Seen, version: i16) -> (Parts, Vec<Endpoint>) {
    let answer = FetchResponse::decode(&mut body(seen, ApiKey::Fetch, version), version).unwrap();
    let part = |part: &fetch_response::PartitionData| {
        let leader = &part.current_leader;
        (code(part.error_code), leader.leader_id.0, leader.leader_epoch)
    };
    let parts = answer.responses.iter().flat_map(|topic| &topic.partitions).map(part).collect();
    let nodes = answer.node_endpoints.iter();
    (parts, nodes.map(|node| named(node.node_id, &node.host, node.port, node.rack.as_ref())).collect())
}

fn produce_to(world: &World, indexes: impl IntoIterator<Item = i32>) -> produce::Request<'static> {
    let part = |index| produce::PartitionProduceData { index, records: Some(batch(&["a"]).into()) };
    let partition_data = indexes.into_iter().map(part).collect();
    let topic_id = world.topic_id("t").0;
    let topic = produce::TopicProduceData { name: "t".into(), topic_id, partition_data };
    produce::Request { acks: -1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

fn fetch_of(world: &World, partitions: Vec<fetch::FetchPartition>) -> fetch::Request<'static> {
    let topic_id = world.topic_id("t").0;
    let topic = fetch::FetchTopic { topic: "t".into(), topic_id, partitions };
    fetch::Request { max_bytes: 1 << 20, session_epoch: -1, topics: vec![topic], ..Default::default() }
}

fn partition(partition: i32) -> fetch::FetchPartition {
    fetch::FetchPartition { partition, partition_max_bytes: 1 << 20, ..Default::default() }
}

/// What is told of the five partitions, in versions with the leaders and in those without.
fn told(with_leaders: bool) -> Parts {
    let moved = |leader: BrokerId, epoch| match with_leaders {
        true => (ErrorCode::NotLeaderOrFollower, leader.0, epoch),
        false => (ErrorCode::NotLeaderOrFollower, -1, -1),
    };
    vec![moved(FAR, 10), moved(FAR, 11), moved(NEAR, 12), moved(GONE, 13), (ErrorCode::None, -1, -1)]
}

fn here() -> Vec<Endpoint> {
    vec![endpoint(FAR, "broker", 9092, Some("far")), endpoint(NEAR, "broker", 9092, None)]
}

fn elsewhere() -> Vec<Endpoint> {
    vec![endpoint(FAR, "elsewhere", 9093, Some("far")), endpoint(NEAR, "elsewhere", 9093, None)]
}

#[test]
fn a_produce_to_the_wrong_broker_names_the_leaders_each_once() {
    for shards in [1, 3] {
        let mut world = moved(shards);
        let request = produce_to(&world, 0..5);
        for version in 9..=13 {
            let knows = version >= 10;
            let expected = (told(knows), if knows { here() } else { vec![] });
            assert_eq!(produced(&world.call(version, &request), version), expected, "version {version}");
        }
        let seen = world.call_on("OTHER", 13, &request);
        assert_eq!(produced(&seen, 13), (told(true), elsewhere()), "the addresses of the client's listener");
    }
}

#[test]
fn a_fetch_from_the_wrong_broker_names_the_leaders_each_once() {
    for shards in [1, 3] {
        let mut world = moved(shards);
        let request = fetch_of(&world, (0..5).map(partition).collect());
        for version in 11..=17 {
            let expected = (told(version >= 12), if version >= 16 { here() } else { vec![] });
            assert_eq!(fetched(&world.call(version, &request), version), expected, "version {version}");
        }
        let seen = world.call_on("OTHER", 17, &request);
        assert_eq!(fetched(&seen, 17), (told(true), elsewhere()), "the addresses of the client's listener");
    }
}

#[test]
fn a_fetch_by_an_old_epoch_is_told_the_new_one_and_other_errors_name_nobody() {
    let mut world = World::of(2);
    world.topic("t", 2, &[]);
    world.leads("t", 0, LeaderEpoch(10));
    let at_epoch = |index, epoch| fetch::FetchPartition { current_leader_epoch: epoch, ..partition(index) };
    let mut check = |partition, expected: (ErrorCode, i32, i32), endpoints| {
        let request = fetch_of(&world, vec![partition]);
        assert_eq!(fetched(&world.call(17, &request), 17), (vec![expected], endpoints));
    };
    let own = vec![endpoint(BROKER, "broker", 9092, None)];
    check(at_epoch(0, 9), (ErrorCode::FencedLeaderEpoch, BROKER.0, 10), own);
    check(at_epoch(0, 11), (ErrorCode::UnknownLeaderEpoch, -1, -1), vec![]);
    check(at_epoch(0, 10), (ErrorCode::None, -1, -1), vec![]);
    check(partition(7), (ErrorCode::UnknownTopicOrPartition, -1, -1), vec![]);
}
