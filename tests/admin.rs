//! What an operator asks of a running broker, and changes of it, over restarts where that matters.

mod broker;

use std::{fs, time::Duration};

use broker::{
    Broker, Client, PATIENCE,
    batch::batch_by,
    batch_of,
    client::{code, view},
    wait_for,
};
use model::{ErrorCode, TopicId, batch::record::Producer};
use net::wire::messages::{
    describe_configs, describe_log_dirs, describe_producers, describe_quorum, incremental_alter_configs,
};

const BROKER: i8 = 4;
const LOGGER: i8 = 8;

fn alter(client: &mut Client, resource_type: i8, name: &str, key: &str, value: Option<&str>) -> ErrorCode {
    let config = incremental_alter_configs::AlterableConfig {
        name: key.into(),
        config_operation: if value.is_some() { 0 } else { 1 },
        value: value.map(Into::into),
    };
    let resource = incremental_alter_configs::AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: vec![config],
    };
    let request = incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
    let answer = client.call(1, &request);
    let view = view!(incremental_alter_configs, answer);
    code(view.responses.iter().next().expect("one resource").error_code)
}

/// Value and source of one config.
fn config(client: &mut Client, resource_type: i8, name: &str, key: &str) -> (Option<String>, i8) {
    let resource = describe_configs::DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: Some(vec![key.into()]),
    };
    let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
    let answer = client.call(4, &request);
    let view = view!(describe_configs, answer);
    let result = view.results.iter().next().expect("one resource");
    let entry = result.configs.iter().next().unwrap_or_else(|| panic!("{key} is not told"));
    (entry.value.map(str::to_owned), entry.config_source)
}

/// Leader epoch, high watermark, end of the only voter's log, and its directory.
fn quorum(client: &mut Client) -> (i32, i64, i64, [u8; 16]) {
    let partitions = vec![describe_quorum::RequestPartition { partition_index: 0 }];
    let topic = describe_quorum::RequestTopic { topic_name: "__cluster_metadata".into(), partitions };
    let answer = client.call(2, &describe_quorum::Request { topics: vec![topic] });
    let view = view!(describe_quorum, answer);
    assert_eq!(code(view.error_code), ErrorCode::None);
    let partition =
        view.topics.iter().next().expect("a topic").partitions.iter().next().expect("a partition");
    let voter = partition.current_voters.iter().next().expect("a voter");
    assert_eq!((partition.leader_id, voter.replica_id), (1, 1));
    (partition.leader_epoch, partition.high_watermark, voter.log_end_offset, voter.replica_directory_id)
}

#[test]
fn the_quorum_is_this_broker_and_its_metadata_log() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    let (epoch, high, end, directory) = quorum(&mut client);
    assert_eq!(high, end, "whatever is answered is durable");
    let meta = fs::read_to_string(broker.data().join("meta.properties")).expect("it is there");
    let id = meta.lines().find_map(|line| line.strip_prefix("directory.id=")).expect("it names itself");
    assert_eq!(TopicId::from_base64(id), Some(TopicId(directory)));
    client.create_topic("t", 2);
    let (same, higher, ..) = quorum(&mut client);
    assert_eq!((same, higher), (epoch, high + 3), "a topic and its partitions");
    broker.stop();
    broker.restart();
    let (next, still, _, same) = quorum(&mut broker.client());
    assert_eq!((next, same), (epoch + 1, directory));
    assert!(still >= higher);
}

#[test]
fn configs_of_all_brokers_hold_at_once_and_after_a_restart() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let large = batch_of(&["x".repeat(2000)]);
    client.must_produce("t", 0, &large);
    assert_eq!(alter(&mut client, BROKER, "", "message.max.bytes", Some("1500")), ErrorCode::None);
    assert_eq!(client.produce("t", 0, &large).code, ErrorCode::MessageTooLarge);
    broker.stop();
    broker.restart();
    let mut client = broker.client();
    assert_eq!(client.produce("t", 0, &large).code, ErrorCode::MessageTooLarge);
    assert_eq!(config(&mut client, BROKER, "1", "message.max.bytes"), (Some("1500".to_owned()), 3));
    // This broker's own value is stronger.
    assert_eq!(alter(&mut client, BROKER, "1", "message.max.bytes", Some("3000")), ErrorCode::None);
    client.must_produce("t", 0, &large);
    assert_eq!(alter(&mut client, BROKER, "1", "message.max.bytes", None), ErrorCode::None);
    assert_eq!(client.produce("t", 0, &large).code, ErrorCode::MessageTooLarge);
    assert_eq!(alter(&mut client, BROKER, "1", "num.partitions", Some("3")), ErrorCode::InvalidRequest);
}

#[test]
fn limits_of_connections_hold_for_whoever_comes_next() {
    let broker = Broker::start();
    let mut client = broker.client();
    assert_eq!(alter(&mut client, BROKER, "", "max.connections", Some("1")), ErrorCode::None);
    let mut second = broker.client();
    second.assert_closed("one connection is all there may be");
    assert_eq!(alter(&mut client, BROKER, "", "max.connections", None), ErrorCode::None);
    assert!(broker.client().api_versions().is_ok());
}

#[test]
fn loggers_are_loud_until_the_next_start() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    let before = config(&mut client, LOGGER, "1", "net");
    assert_eq!(alter(&mut client, LOGGER, "1", "tailrace", Some("TRACE")), ErrorCode::None);
    assert_eq!(alter(&mut client, LOGGER, "1", "net", Some("ERROR")), ErrorCode::None);
    assert_eq!(config(&mut client, LOGGER, "1", "net"), (Some("ERROR".to_owned()), 6));
    assert_eq!(alter(&mut client, LOGGER, "1", "kafka", Some("INFO")), ErrorCode::InvalidConfig);
    // What a stop says is said at the level of information, and the binary says it.
    assert_eq!(alter(&mut client, LOGGER, "1", "tailrace", Some("ERROR")), ErrorCode::None);
    broker.stop();
    assert!(!broker.said().contains("stopping"), "{}", broker.said());
    broker.restart();
    assert_eq!(config(&mut broker.client(), LOGGER, "1", "net"), before);
    broker.stop();
    assert!(broker.said().contains("stopping"), "{}", broker.said());
}

#[test]
fn the_log_directory_tells_its_disk() {
    let broker = Broker::start();
    let answer = broker.client().call(4, &describe_log_dirs::Request::default());
    let view = view!(describe_log_dirs, answer);
    let dir = view.results.iter().next().expect("a directory");
    assert_eq!(fs::canonicalize(dir.log_dir).ok(), fs::canonicalize(broker.data()).ok());
    assert!(dir.log_dir.starts_with('/'), "{}", dir.log_dir);
    assert!(0 < dir.usable_bytes && dir.usable_bytes <= dir.total_bytes, "{dir:?}");
}

/// Id, epoch and last sequence of each producer.
fn producers(client: &mut Client, topic: &str) -> Vec<(i64, i32, i32)> {
    let topic = describe_producers::TopicRequest { name: topic.into(), partition_indexes: vec![0] };
    let answer = client.call(0, &describe_producers::Request { topics: vec![topic] });
    let view = view!(describe_producers, answer);
    let partition =
        view.topics.iter().next().expect("a topic").partitions.iter().next().expect("a partition");
    let active = partition.active_producers.iter();
    active.map(|p| (p.producer_id, p.producer_epoch, p.last_sequence)).collect()
}

#[test]
fn producers_are_remembered_over_a_kill() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let producer = client.init_producer_id();
    client.must_produce("t", 0, &batch_by(producer, &["a", "b"]));
    client.must_produce("t", 0, &batch_by(Producer { base_sequence: 2, ..producer }, &["c"]));
    let expected = vec![(producer.id, i32::from(producer.epoch), 2)];
    assert_eq!(producers(&mut client, "t"), expected);
    broker.kill();
    broker.restart();
    let patience: Duration = PATIENCE;
    let told = wait_for("the producer is told", patience, || {
        Some(producers(&mut broker.client(), "t")).filter(|told| !told.is_empty())
    });
    assert_eq!(told, expected);
}
