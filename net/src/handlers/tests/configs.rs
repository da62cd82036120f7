//! Configurations of everything that has any: who has them, what is told of them, and which may change.

use model::ErrorCode;

use super::world::{World, code};
use crate::wire::{
    ApiKey,
    messages::{
        alter_configs, describe_configs, describe_topic_partitions, incremental_alter_configs,
        list_config_resources,
    },
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

fn alter(
    world: &mut World,
    resource_type: i8,
    name: &'static str,
    configs: &[(&'static str, i8, Option<&'static str>)],
    validate_only: bool,
) -> (ErrorCode, String) {
    let config = |&(name, config_operation, value): &(&'static str, i8, Option<&'static str>)| {
        incremental_alter_configs::AlterableConfig {
            name: name.into(),
            config_operation,
            value: value.map(Into::into),
        }
    };
    let resource = incremental_alter_configs::AlterConfigsResource {
        resource_type,
        resource_name: name.into(),
        configs: configs.iter().map(config).collect(),
    };
    let request = incremental_alter_configs::Request { resources: vec![resource], validate_only };
    let seen = world.call(1, &request);
    let body = seen.body(ApiKey::IncrementalAlterConfigs, 1);
    let view = incremental_alter_configs::ResponseView::decode(body, 1).unwrap();
    let response = view.responses.iter().next().unwrap();
    (code(response.error_code), response.error_message.unwrap_or_default().to_owned())
}

type Described = Vec<(String, Option<String>, i8)>;

fn describe(
    world: &mut World,
    resource_type: i8,
    name: &'static str,
    keys: Option<&[&'static str]>,
) -> Result<Described, ErrorCode> {
    let resource = describe_configs::DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|&key| key.into()).collect()),
    };
    let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
    let seen = world.call(4, &request);
    let view = describe_configs::ResponseView::decode(seen.body(ApiKey::DescribeConfigs, 4), 4).unwrap();
    let result = view.results.iter().next().unwrap();
    match code(result.error_code) {
        ErrorCode::None => Ok(result
            .configs
            .iter()
            .map(|c| (c.name.to_owned(), c.value.map(str::to_owned), c.config_source))
            .collect()),
        refused => Err(refused),
    }
}

fn entry(name: &str, value: &str, source: i8) -> (String, Option<String>, i8) {
    (name.to_owned(), Some(value.to_owned()), source)
}

#[test]
fn levels_of_loggers_are_configs_of_the_broker_alone() {
    use ErrorCode::*;
    let mut world = World::of(2);
    let all = |world: &mut World| describe(world, LOGGER, "7", Option::None).unwrap();
    assert_eq!(all(&mut world), [entry("net", "INFO", 6), entry("root", "INFO", 6)]);
    assert_eq!(alter(&mut world, LOGGER, "7", &[("net", 0, Some("DEBUG"))], true).0, None);
    assert_eq!(all(&mut world)[0], entry("net", "INFO", 6), "that was only tried");
    assert_eq!(alter(&mut world, LOGGER, "7", &[("net", 0, Some("DEBUG"))], false).0, None);
    assert_eq!(describe(&mut world, LOGGER, "7", Some(&["net"])), Ok(vec![entry("net", "DEBUG", 6)]));
    assert_eq!(alter(&mut world, LOGGER, "7", &[("net", 1, Option::None)], false).0, None);
    assert_eq!(all(&mut world)[0], entry("net", "INFO", 6));
    let mut refuses = |name, config: (&'static str, i8, Option<&'static str>), expected| {
        assert_eq!(alter(&mut world, LOGGER, name, &[config], false).0, expected, "{name} {config:?}");
    };
    refuses("7", ("net", 0, Some("debug")), InvalidConfig);
    refuses("7", ("net", 0, Some("OFF")), InvalidConfig);
    refuses("7", ("kafka", 0, Some("DEBUG")), InvalidConfig);
    refuses("7", ("net", 0, Option::None), InvalidRequest);
    refuses("7", ("net", 2, Some("DEBUG")), InvalidRequest);
    refuses("8", ("net", 0, Some("DEBUG")), InvalidRequest);
    refuses("", ("net", 0, Some("DEBUG")), InvalidRequest);
    let twice = [("net", 0, Some("DEBUG")), ("net", 0, Some("WARN"))];
    assert_eq!(alter(&mut world, LOGGER, "7", &twice, false).0, InvalidRequest);
    assert_eq!(describe(&mut world, LOGGER, "8", Option::None), Err(InvalidRequest));
    let resource = alter_configs::AlterConfigsResource {
        resource_type: LOGGER,
        resource_name: "7".into(),
        configs: vec![],
    };
    let seen = world.call(1, &alter_configs::Request { resources: vec![resource], validate_only: false });
    let view = alter_configs::ResponseView::decode(seen.body(ApiKey::AlterConfigs, 1), 1).unwrap();
    assert_eq!(code(view.responses.iter().next().unwrap().error_code), InvalidRequest);
}

#[test]
fn a_broker_is_altered_where_it_is_and_where_it_can_be() {
    use ErrorCode::*;
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    let (refused, why) = alter(
        &mut world,
        BROKER,
        "7",
        &[("num.partitions", 0, Some("3")), ("log.dir", 0, Some("/x"))],
        false,
    );
    assert_eq!(refused, InvalidRequest);
    assert!(why.starts_with("Cannot update these configs dynamically: [num.partitions, log.dirs]"), "{why}");
    assert_eq!(
        alter(&mut world, BROKER, "8", &[("message.max.bytes", 0, Some("3"))], false).0,
        InvalidRequest
    );
    // What all brokers have holds for topics at once, on every shard.
    assert_eq!(alter(&mut world, BROKER, "", &[("log.retention.ms", 0, Some("77"))], false).0, None);
    let image = world.image();
    for shard in &world.shards {
        assert_eq!(shard.topic_config(image.topic("t").unwrap()).retention_ms, Some(77));
    }
    assert_eq!(describe(&mut world, BROKER, "", Option::None), Ok(vec![entry("log.retention.ms", "77", 3)]));
    assert_eq!(
        describe(&mut world, TOPIC, "t", Some(&["retention.ms"])),
        Ok(vec![entry("retention.ms", "77", 3)])
    );
}

#[test]
fn clients_push_no_metrics() {
    let mut world = World::of(1);
    let all = describe(&mut world, CLIENT_METRICS, "m", Option::None).unwrap();
    assert_eq!(all, [entry("interval.ms", "300000", 5), entry("match", "", 5), entry("metrics", "", 5)]);
    assert_eq!(describe(&mut world, CLIENT_METRICS, "", Option::None), Err(ErrorCode::InvalidRequest));
    let altered = alter(&mut world, CLIENT_METRICS, "m", &[("interval.ms", 0, Some("1000"))], false);
    assert_eq!(altered.0, ErrorCode::InvalidRequest);
}

#[test]
fn what_has_configs_is_listed_by_type() {
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    let session = ("consumer.session.timeout.ms", 0, Some("50000"));
    assert_eq!(alter(&mut world, GROUP, "g", &[session], false).0, ErrorCode::None);
    let mut list = |version, resource_types: &[i8]| {
        let request = list_config_resources::Request { resource_types: resource_types.to_vec() };
        let seen = world.call(version, &request);
        let body = seen.body(ApiKey::ListConfigResources, version);
        let view = list_config_resources::ResponseView::decode(body, version).unwrap();
        let named: Vec<_> = view
            .config_resources
            .iter()
            .map(|resource| (resource.resource_name.to_owned(), resource.resource_type))
            .collect();
        (code(view.error_code), named)
    };
    let of = |name: &str, kind| (name.to_owned(), kind);
    let all = vec![of("t", TOPIC), of("7", BROKER), of("7", LOGGER), of("g", GROUP)];
    assert_eq!(list(1, &[]), (ErrorCode::None, all));
    assert_eq!(list(1, &[GROUP, TOPIC, TOPIC]).1, [of("t", TOPIC), of("g", GROUP)]);
    assert_eq!(list(1, &[CLIENT_METRICS]), (ErrorCode::None, vec![]));
    assert_eq!(list(1, &[TOPIC, 1]), (ErrorCode::UnsupportedVersion, vec![]));
    assert_eq!(list(0, &[]), (ErrorCode::None, vec![]));
}

#[test]
fn a_cursor_names_one_of_the_topics_asked_for() {
    let mut world = World::of(1);
    world.topic("b", 2, &[]);
    let mut page = |names: &[&'static str], cursor: (&'static str, i32)| {
        let request = describe_topic_partitions::Request {
            topics: names
                .iter()
                .map(|&n| describe_topic_partitions::TopicRequest { name: n.into() })
                .collect(),
            response_partition_limit: 10,
            cursor: Some(describe_topic_partitions::Cursor {
                topic_name: cursor.0.into(),
                partition_index: cursor.1,
            }),
        };
        let seen = world.call(0, &request);
        let body = seen.body(ApiKey::DescribeTopicPartitions, 0);
        let view = describe_topic_partitions::ResponseView::decode(body, 0).unwrap();
        let topics = view.topics.iter().map(|t| (code(t.error_code), t.partitions.len()));
        topics.collect::<Vec<_>>()
    };
    let refused = [(ErrorCode::InvalidRequest, 0)];
    assert_eq!(page(&["b"], ("b", 1)), [(ErrorCode::None, 1)]);
    assert_eq!(page(&["b"], ("b", 9)), [(ErrorCode::None, 0)]);
    assert_eq!(page(&["b"], ("b", -1)), refused);
    assert_eq!(page(&["b"], ("a", 0)), refused);
    assert_eq!(page(&["b"], ("c", 0)), refused);
    // Of all topics the one at the cursor may be gone by now.
    assert_eq!(page(&[], ("a", 1)), [(ErrorCode::None, 2)]);
    assert_eq!(page(&[], ("c", 0)), []);
}
