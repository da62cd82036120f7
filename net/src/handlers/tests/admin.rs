//! Topics, configurations, producer ids, coordinators, and what is told of the cluster.

use model::{ErrorCode, TopicId};

use super::{
    produce::produce,
    world::{BROKER, World, batch, code},
};
use crate::wire::{
    ApiKey,
    messages::{
        alter_configs, create_partitions, create_topics, delete_topics, describe_cluster, describe_configs,
        describe_log_dirs, describe_topic_partitions, find_coordinator, incremental_alter_configs,
        init_producer_id,
    },
};

fn create(
    world: &mut World,
    version: i16,
    names: &[&'static str],
    validate_only: bool,
) -> Vec<(ErrorCode, [u8; 16], i32)> {
    let topic = |&name: &&'static str| create_topics::CreatableTopic {
        name: name.into(),
        num_partitions: 3,
        replication_factor: 1,
        ..Default::default()
    };
    let request = create_topics::Request {
        topics: names.iter().map(topic).collect(),
        validate_only,
        ..Default::default()
    };
    let seen = world.call(version, &request);
    let view =
        create_topics::ResponseView::decode(seen.body(ApiKey::CreateTopics, version), version).unwrap();
    let mut once = names.to_vec();
    once.dedup();
    assert_eq!(view.topics.iter().map(|t| t.name).collect::<Vec<_>>(), once);
    view.topics.iter().map(|t| (code(t.error_code), t.topic_id, t.num_partitions)).collect()
}

#[test]
fn topics_are_created_for_every_shard_before_the_answer() {
    for shards in [1, 4] {
        let mut world = World::of(shards);
        let created = create(&mut world, 7, &["a", "b"], false);
        assert_eq!(created[0], (ErrorCode::None, world.topic_id("a").0, 3));
        assert!(world.shards.iter().all(|shard| shard.image().topic("b").is_some()));
        for index in 0..3 {
            produce(&mut world, "b", index, &batch(&["x"]));
        }
        assert_eq!(create(&mut world, 2, &["a"], false)[0].0, ErrorCode::TopicAlreadyExists);
        assert_eq!(create(&mut world, 5, &["c"], true)[0], (ErrorCode::None, [0; 16], 3));
        assert!(world.image().topic("c").is_none());
        assert_eq!(
            create(&mut world, 5, &["d", "d"], false).iter().map(|c| c.0).collect::<Vec<_>>(),
            [ErrorCode::InvalidRequest]
        );
    }
}

#[test]
fn topics_are_deleted_by_name_and_by_id_and_come_back_as_others() {
    let mut world = World::of(2);
    let first = world.topic("t", 2, &[]);
    produce(&mut world, "t", 0, &batch(&["old"]));
    let delete = |world: &mut World, version: i16, name: Option<&'static str>, topic_id: [u8; 16]| {
        let state = delete_topics::DeleteTopicState { name: name.map(Into::into), topic_id };
        let names = name.map(Into::into).into_iter().collect();
        let request = match version {
            6 => delete_topics::Request { topics: vec![state], ..Default::default() },
            _ => delete_topics::Request { topic_names: names, ..Default::default() },
        };
        let seen = world.call(version, &request);
        let view =
            delete_topics::ResponseView::decode(seen.body(ApiKey::DeleteTopics, version), version).unwrap();
        let deleted = view.responses.iter().next().unwrap();
        (code(deleted.error_code), deleted.name.map(str::to_owned))
    };
    assert_eq!(delete(&mut world, 6, None, first.0), (ErrorCode::None, Some("t".to_owned())));
    assert_eq!(delete(&mut world, 6, None, first.0).0, ErrorCode::UnknownTopicId);
    assert_eq!(delete(&mut world, 6, Some("t"), [1; 16]).0, ErrorCode::InvalidRequest);
    assert_eq!(delete(&mut world, 6, None, [0; 16]).0, ErrorCode::InvalidRequest);
    assert_eq!(delete(&mut world, 1, Some("t"), [0; 16]).0, ErrorCode::UnknownTopicOrPartition);
    let second = world.topic("t", 2, &[]);
    assert_ne!(first, second);
    assert_eq!(super::fetch::values(&mut world, "t", 0, 0), Vec::<String>::new());
    assert_eq!(delete(&mut world, 1, Some("t"), [0; 16]).0, ErrorCode::None);
    assert!(world.shards.iter().all(|shard| shard.table().is_empty()));
}

#[test]
fn topics_grow() {
    let mut world = World::of(3);
    world.topic("t", 1, &[]);
    let topic = |name: &'static str, count| create_partitions::CreatePartitionsTopic {
        name: name.into(),
        count,
        assignments: None,
    };
    let request =
        create_partitions::Request { topics: vec![topic("t", 5), topic("u", 5)], ..Default::default() };
    let seen = world.call(1, &request);
    let view = create_partitions::ResponseView::decode(seen.body(ApiKey::CreatePartitions, 1), 1).unwrap();
    let results: Vec<_> = view.results.iter().map(|r| (r.name, code(r.error_code))).collect();
    assert_eq!(results, [("t", ErrorCode::None), ("u", ErrorCode::UnknownTopicOrPartition)]);
    produce(&mut world, "t", 4, &batch(&["x"]));
}

fn described(world: &mut World, keys: Option<&[&'static str]>) -> Vec<(String, Option<String>, i8)> {
    let resource = describe_configs::DescribeConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|&key| key.into()).collect()),
    };
    let request =
        describe_configs::Request { resources: vec![resource], include_synonyms: true, ..Default::default() };
    let seen = world.call(4, &request);
    let view = describe_configs::ResponseView::decode(seen.body(ApiKey::DescribeConfigs, 4), 4).unwrap();
    let result = view.results.iter().next().unwrap();
    assert_eq!(code(result.error_code), ErrorCode::None);
    result.configs.iter().map(|c| (c.name.to_owned(), c.value.map(str::to_owned), c.config_source)).collect()
}

#[test]
fn configs_are_described_altered_and_obeyed() {
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    assert!(described(&mut world, None).len() > 20, "every key is listed");
    assert_eq!(described(&mut world, Some(&[])).len(), described(&mut world, None).len());
    let alter = |world: &mut World, config_operation, value: Option<&'static str>| {
        let config = incremental_alter_configs::AlterableConfig {
            name: "max.message.bytes".into(),
            config_operation,
            value: value.map(Into::into),
        };
        let resource = incremental_alter_configs::AlterConfigsResource {
            resource_type: 2,
            resource_name: "t".into(),
            configs: vec![config],
        };
        let request = incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
        let seen = world.call(1, &request);
        let body = seen.body(ApiKey::IncrementalAlterConfigs, 1);
        let view = incremental_alter_configs::ResponseView::decode(body, 1).unwrap();
        code(view.responses.iter().next().unwrap().error_code)
    };
    let limit = |world: &mut World| described(world, Some(&["max.message.bytes"])).remove(0);
    assert_eq!(alter(&mut world, 0, Some("200")), ErrorCode::None);
    assert_eq!(limit(&mut world), ("max.message.bytes".to_owned(), Some("200".to_owned()), 1));
    assert_eq!(world.shards[1].topic_config(world.image().topic("t").unwrap()).max_message_bytes, 200);
    assert_eq!(alter(&mut world, 0, Some("many")), ErrorCode::InvalidConfig);
    assert_eq!(alter(&mut world, 2, Some("1")), ErrorCode::InvalidConfig);
    assert_eq!(alter(&mut world, 9, Some("1")), ErrorCode::InvalidRequest);
    assert_eq!(alter(&mut world, 1, None), ErrorCode::None);
    assert_eq!(limit(&mut world).2, 5, "the default again");

    let config = |name: &'static str, value: &'static str| alter_configs::AlterableConfig {
        name: name.into(),
        value: Some(value.into()),
    };
    let resource = alter_configs::AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configs: vec![config("retention.ms", "1000")],
    };
    let seen = world.call(1, &alter_configs::Request { resources: vec![resource], validate_only: false });
    let view = alter_configs::ResponseView::decode(seen.body(ApiKey::AlterConfigs, 1), 1).unwrap();
    assert_eq!(code(view.responses.iter().next().unwrap().error_code), ErrorCode::None);
    let own: Vec<_> = described(&mut world, None).into_iter().filter(|c| c.2 == 1).map(|c| c.0).collect();
    assert_eq!(own, ["retention.ms"]);
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut world = World::of(1);
    let init = |world: &mut World, request: &init_producer_id::Request<'_>| {
        let seen = world.call(2, request);
        let view = init_producer_id::ResponseView::decode(seen.body(ApiKey::InitProducerId, 2), 2).unwrap();
        (code(view.error_code), view.producer_id, view.producer_epoch)
    };
    let plain = init_producer_id::Request::default();
    let mut last = -1;
    for _ in 0..2500 {
        let (error, id, epoch) = init(&mut world, &plain);
        assert_eq!((error, epoch), (ErrorCode::None, 0));
        assert!(id > last);
        last = id;
    }
    let transactional =
        init_producer_id::Request { transactional_id: Some("tx".into()), ..Default::default() };
    assert_eq!(init(&mut world, &transactional).0, ErrorCode::UnsupportedVersion);
}

#[test]
fn this_broker_coordinates_groups() {
    let mut world = World::of(1);
    for version in 0..=3 {
        let seen = world.call(version, &find_coordinator::Request { key: "g".into(), ..Default::default() });
        let view =
            find_coordinator::ResponseView::decode(seen.body(ApiKey::FindCoordinator, version), version)
                .unwrap();
        assert_eq!((view.error_code, view.node_id, view.host, view.port), (0, BROKER.0, "broker", 9092));
    }
    let request =
        find_coordinator::Request { coordinator_keys: vec!["g".into(), "h".into()], ..Default::default() };
    let seen = world.call(4, &request);
    let view = find_coordinator::ResponseView::decode(seen.body(ApiKey::FindCoordinator, 4), 4).unwrap();
    let found: Vec<_> = view.coordinators.iter().map(|c| (c.key, c.error_code, c.node_id)).collect();
    assert_eq!(found, [("g", 0, BROKER.0), ("h", 0, BROKER.0)]);
    let seen =
        world.call(1, &find_coordinator::Request { key: "tx".into(), key_type: 1, ..Default::default() });
    let view = find_coordinator::ResponseView::decode(seen.body(ApiKey::FindCoordinator, 1), 1).unwrap();
    assert_eq!((code(view.error_code), view.node_id), (ErrorCode::UnsupportedVersion, -1));
}

#[test]
fn the_cluster_is_described() {
    let mut world = World::of(1);
    for version in 0..=2 {
        let seen = world.call(version, &describe_cluster::Request::default());
        let view =
            describe_cluster::ResponseView::decode(seen.body(ApiKey::DescribeCluster, version), version)
                .unwrap();
        let brokers: Vec<_> = view.brokers.iter().map(|b| (b.broker_id, b.host, b.port)).collect();
        assert_eq!(
            (view.error_code, view.cluster_id, brokers),
            (0, "cluster-1", vec![(BROKER.0, "broker", 9092)])
        );
    }
    let controllers = describe_cluster::Request { endpoint_type: 2, ..Default::default() };
    let seen = world.call(1, &controllers);
    let view = describe_cluster::ResponseView::decode(seen.body(ApiKey::DescribeCluster, 1), 1).unwrap();
    assert_eq!(code(view.error_code), ErrorCode::MismatchedEndpointType);
}

#[test]
fn pages_of_partitions_join_without_gap_or_repeat() {
    let mut world = World::of(1);
    for (name, partitions) in [("a", 3), ("b", 1), ("c", 4)] {
        world.topic(name, partitions, &[]);
    }
    for limit in 1..10 {
        for names in [&[][..], &["c", "a", "nowhere", "b"]] {
            let (mut seen_partitions, mut unknown, mut cursor) = (vec![], 0, None);
            for _ in 0..20 {
                let topics = names
                    .iter()
                    .map(|&name| describe_topic_partitions::TopicRequest { name: name.into() })
                    .collect();
                let request = describe_topic_partitions::Request {
                    topics,
                    response_partition_limit: limit,
                    cursor: cursor.take(),
                };
                let seen = world.call(0, &request);
                let body = seen.body(ApiKey::DescribeTopicPartitions, 0);
                let view = describe_topic_partitions::ResponseView::decode(body, 0).unwrap();
                let mut shown = 0;
                for topic in view.topics {
                    unknown += i32::from(topic.error_code != 0);
                    shown += topic.partitions.len();
                    seen_partitions.extend(
                        topic.partitions.iter().map(|p| (topic.name.unwrap().to_owned(), p.partition_index)),
                    );
                }
                assert!(shown <= limit as usize);
                let next = view.next_cursor.map(|c| (c.topic_name.to_owned(), c.partition_index));
                match next {
                    None => break,
                    Some((topic_name, partition_index)) => {
                        cursor = Some(describe_topic_partitions::Cursor {
                            topic_name: topic_name.into(),
                            partition_index,
                        });
                    }
                }
            }
            let all = [("a", 3), ("b", 1), ("c", 4)]
                .into_iter()
                .flat_map(|(name, n)| (0..n).map(move |i| (name.to_owned(), i)));
            assert_eq!(seen_partitions, all.collect::<Vec<_>>(), "limit {limit}");
            assert_eq!(unknown > 0, !names.is_empty());
        }
    }
}

#[test]
fn log_dirs_tell_the_bytes_of_every_partition() {
    let mut world = World::of(3);
    world.topic("t", 5, &[]);
    world.topic("u", 1, &[]);
    let bytes = batch(&["x"]).len() as i64;
    for index in 0..5 {
        produce(&mut world, "t", index, &batch(&["x"]));
    }
    let mut sizes = |topics: Option<Vec<describe_log_dirs::DescribableLogDirTopic<'static>>>| {
        let seen = world.call(1, &describe_log_dirs::Request { topics });
        let view = describe_log_dirs::ResponseView::decode(seen.body(ApiKey::DescribeLogDirs, 1), 1).unwrap();
        let dir = view.results.iter().next().unwrap();
        assert_eq!(dir.error_code, 0);
        let sizes = dir
            .topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(move |p| (t.name, p.partition_index, p.partition_size)));
        sizes.map(|(name, index, size)| (name.to_owned(), index, size)).collect::<Vec<_>>()
    };
    let t = |index| ("t".to_owned(), index, bytes);
    assert_eq!(sizes(None), [t(0), t(1), t(2), t(3), t(4), ("u".to_owned(), 0, 0)]);
    let some = describe_log_dirs::DescribableLogDirTopic { topic: "t".into(), partitions: vec![3, 9, 1] };
    assert_eq!(sizes(Some(vec![some])), [t(1), t(3)]);
    assert_eq!(sizes(Some(vec![])), []);
    assert_ne!(world.topic_id("t"), TopicId::ZERO);
}
