//! The APIs as a client sees them, over restarts where that matters.

mod broker;

use std::{collections::BTreeSet, thread};

use broker::{
    Broker, Client,
    batch::records,
    batch_of, client,
    client::{code, view},
};
use model::ErrorCode;
use net::wire::{
    ApiKey,
    messages::{
        create_partitions, create_topics, delete_topics, describe_cluster, describe_topic_partitions, fetch,
        metadata, produce,
    },
};

/// Where a config's value comes from.
const FROM_TOPIC: i8 = 1;
const FROM_FILE: i8 = 4;
const FROM_DEFAULT: i8 = 5;

#[test]
fn topics_are_created_described_and_deleted() {
    let broker = Broker::start();
    let mut client = broker.client();
    let id = client.create_topic("one", 3);
    assert_ne!(id, [0; 16]);
    let facts = client.topic("one").expect("the topic is there");
    assert_eq!((facts.id, facts.partitions, facts.is_internal), (id, 3, false));
    assert_eq!(client.create_topic_with("one", 1, &[]), Err(ErrorCode::TopicAlreadyExists));
    let other = client.create_topic("other", 1);
    assert_ne!(other, id);
    assert_eq!(client.topics(), ["one", "other"]);
    assert_eq!(client.delete_topic("one"), ErrorCode::None);
    assert_eq!(client.topic("one"), Err(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(client.delete_topic("one"), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(client.topics(), ["other"]);
    let produced = client.produce("one", 0, &batch_of(&["x"]));
    assert_eq!(produced.code, ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn what_cannot_be_a_topic_is_refused() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("a.b", 1);
    let long = "x".repeat(250);
    for (name, partitions, configs, expected) in [
        ("", 1, &[][..], ErrorCode::InvalidTopicException),
        (".", 1, &[], ErrorCode::InvalidTopicException),
        ("..", 1, &[], ErrorCode::InvalidTopicException),
        ("../up", 1, &[], ErrorCode::InvalidTopicException),
        ("a b", 1, &[], ErrorCode::InvalidTopicException),
        (&long, 1, &[], ErrorCode::InvalidTopicException),
        ("a_b", 1, &[], ErrorCode::InvalidTopicException),
        ("none", 0, &[], ErrorCode::InvalidPartitions),
        ("none", -3, &[], ErrorCode::InvalidPartitions),
        ("none", 1, &[("no.such.key", "1")], ErrorCode::InvalidConfig),
        ("none", 1, &[("segment.bytes", "1")], ErrorCode::InvalidConfig),
        ("none", 1, &[("compression.type", "brotli")], ErrorCode::InvalidConfig),
    ] {
        assert_eq!(
            client.create_topic_with(name, partitions, configs),
            Err(expected),
            "{name:?} {configs:?}"
        );
    }
    assert_eq!(client.topics(), ["a.b"]);
}

#[test]
fn a_validated_topic_is_not_made_and_a_topic_named_twice_neither() {
    let broker = Broker::start();
    let mut client = broker.client();
    let topic = |name: &'static str| create_topics::CreatableTopic {
        name: name.into(),
        num_partitions: 2,
        replication_factor: -1,
        ..Default::default()
    };
    let request =
        create_topics::Request { topics: vec![topic("t")], timeout_ms: 30_000, validate_only: true };
    let answer = client.call(7, &request);
    assert_eq!(
        code(view!(create_topics, answer).topics.iter().next().expect("one topic").error_code),
        ErrorCode::None
    );
    let topics = vec![topic("t"), topic("u"), topic("t")];
    let answer = client.call(7, &create_topics::Request { topics, timeout_ms: 30_000, validate_only: false });
    let view = view!(create_topics, answer);
    let codes: Vec<_> = view.topics.iter().map(|topic| (topic.name, code(topic.error_code))).collect();
    assert_eq!(codes, [("t", ErrorCode::InvalidRequest), ("u", ErrorCode::None)]);
    assert_eq!(client.topics(), ["u"]);
}

#[test]
fn metadata_creates_a_topic_when_asked_and_allowed() {
    let broker = Broker::start_with(|launch| launch.option("num.partitions=3"));
    let mut client = broker.client();
    assert_eq!(client.topic_at(12, "kept-out", false), Err(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(client.topic_at(4, "kept-out", false), Err(ErrorCode::UnknownTopicOrPartition));
    for (version, name) in [(12, "new-12"), (4, "new-4"), (1, "new-1")] {
        // Below version 4 a client cannot say no.
        let facts = client.topic_at(version, name, version >= 4).expect("the topic is made");
        assert_eq!(facts.partitions, 3, "{name}");
        client.must_produce(name, 2, &batch_of(&["at once"]));
    }
    assert_eq!(client.topic_at(12, "not/legal", true), Err(ErrorCode::InvalidTopicException));
    assert_eq!(client.topics(), ["new-1", "new-12", "new-4"]);
    let forbidding = Broker::start_with(|launch| launch.option("auto.create.topics.enable=false"));
    let mut client = forbidding.client();
    assert_eq!(client.topic_at(12, "new", true), Err(ErrorCode::UnknownTopicOrPartition));
    assert!(client.topics().is_empty());
}

#[test]
fn metadata_names_the_broker_by_the_address_the_client_used() {
    let broker = Broker::start_with(|launch| launch.option("node.id=5"));
    let mut client = broker.client();
    let answer = client.call(12, &metadata::Request { topics: Some(vec![]), ..Default::default() });
    let view = view!(metadata, answer);
    let brokers: Vec<_> = view.brokers.iter().map(|b| (b.node_id, b.host.to_owned(), b.port)).collect();
    assert_eq!(brokers, [(5, "127.0.0.1".to_owned(), i32::from(broker.launch.port))]);
    assert_eq!(view.controller_id, 5);
    assert!(view.topics.is_empty(), "none were asked for");
    let cluster = view.cluster_id.expect("a cluster id").to_owned();
    let answer = client.call(1, &describe_cluster::Request { endpoint_type: 1, ..Default::default() });
    let view = view!(describe_cluster, answer);
    assert_eq!((code(view.error_code), view.cluster_id, view.controller_id), (ErrorCode::None, &*cluster, 5));
}

#[test]
fn a_cluster_keeps_its_id_and_topics_theirs() {
    let mut broker = Broker::start();
    let cluster = |broker: &Broker| {
        let answer =
            broker.client().call(1, &describe_cluster::Request { endpoint_type: 1, ..Default::default() });
        view!(describe_cluster, answer).cluster_id.to_owned()
    };
    let ids: Vec<_> = ["a", "b", "c"].map(|name| broker.client().create_topic(name, 2)).to_vec();
    let before = cluster(&broker);
    for crash in [false, true] {
        if crash {
            broker.kill()
        } else {
            broker.stop()
        }
        broker.restart();
        assert_eq!(cluster(&broker), before);
        let after: Vec<_> =
            ["a", "b", "c"].map(|name| broker.client().topic(name).expect("it is there").id).to_vec();
        assert_eq!(after, ids);
    }
}

#[test]
fn a_topic_made_again_is_another_one_and_empty() {
    let mut broker = Broker::start();
    let mut ids = BTreeSet::new();
    for round in 0..4 {
        let mut client = broker.client();
        assert!(ids.insert(client.create_topic("t", 2)), "an id came twice");
        for partition in 0..2 {
            assert_eq!(client.list_offset("t", partition, -1).0, 0, "round {round}: not empty");
            for n in 0..20 {
                client.must_produce(
                    "t",
                    partition,
                    &batch_of(&[format!("{round}/{n}/{}", "x".repeat(20_000))]),
                );
            }
        }
        let expected: Vec<String> = (0..20).map(|n| format!("{round}/{n}/")).collect();
        let values = client.values("t", 1);
        assert!(values.iter().zip(&expected).all(|(value, start)| value.starts_with(start)));
        match round {
            0 => {}
            1 => broker.kill(),
            _ => broker.stop(),
        }
        if round > 0 {
            broker.restart();
        }
        assert_eq!(broker.client().values("t", 1), values);
        assert_eq!(broker.client().delete_topic("t"), ErrorCode::None);
        if round == 2 {
            broker.kill();
            broker.restart();
            assert_eq!(broker.client().topic("t"), Err(ErrorCode::UnknownTopicOrPartition));
        }
    }
}

#[test]
fn topics_are_reached_by_id() {
    let broker = Broker::start();
    let mut client = broker.client();
    let id = client.create_topic("t", 1);
    let produce = |client: &mut Client, id| {
        let batch = batch_of(&["by id"]);
        let data = produce::PartitionProduceData { index: 0, records: Some(batch.into()) };
        let topic =
            produce::TopicProduceData { topic_id: id, partition_data: vec![data], ..Default::default() };
        let request =
            produce::Request { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
        client::produced(&client.call(13, &request)).code
    };
    assert_eq!(produce(&mut client, id), ErrorCode::None);
    assert_eq!(produce(&mut client, [7; 16]), ErrorCode::UnknownTopicId);
    let fetch = |client: &mut Client, id| {
        let partition = fetch::FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = fetch::FetchTopic { topic_id: id, partitions: vec![partition], ..Default::default() };
        let request = fetch::Request {
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        client::fetched(&client.call(13, &request))
    };
    assert_eq!(records(&fetch(&mut client, id).bytes, 0)[0].text(), "by id");
    assert_eq!(fetch(&mut client, [7; 16]).code, ErrorCode::UnknownTopicId);
    let delete = |client: &mut Client, id| {
        let state = delete_topics::DeleteTopicState { topic_id: id, name: None };
        let request =
            delete_topics::Request { topics: vec![state], timeout_ms: 30_000, ..Default::default() };
        let answer = client.call(6, &request);
        code(view!(delete_topics, answer).responses.iter().next().expect("one topic").error_code)
    };
    assert_eq!(delete(&mut client, [7; 16]), ErrorCode::UnknownTopicId);
    assert_eq!(delete(&mut client, id), ErrorCode::None);
    assert!(client.topics().is_empty());
}

#[test]
fn a_topic_gets_more_partitions() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.must_produce("t", 0, &batch_of(&["before"]));
    let grow = |client: &mut Client, count| {
        let topic = create_partitions::CreatePartitionsTopic { name: "t".into(), count, assignments: None };
        let request =
            create_partitions::Request { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let answer = client.call(3, &request);
        code(view!(create_partitions, answer).results.iter().next().expect("one topic").error_code)
    };
    assert_eq!(grow(&mut client, 4), ErrorCode::None);
    assert_eq!(grow(&mut client, 4), ErrorCode::InvalidPartitions);
    assert_eq!(grow(&mut client, 2), ErrorCode::InvalidPartitions);
    for partition in 1..4 {
        assert_eq!(client.must_produce("t", partition, &batch_of(&["after"])), 0);
    }
    broker.kill();
    broker.restart();
    let mut client = broker.client();
    assert_eq!(client.topic("t").expect("it is there").partitions, 4);
    assert_eq!(client.values("t", 0), ["before"]);
    assert_eq!(client.values("t", 3), ["after"]);
}

#[test]
fn a_described_topic_has_a_leader_for_every_partition() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 3);
    let topic = describe_topic_partitions::TopicRequest { name: "t".into() };
    let request = describe_topic_partitions::Request {
        topics: vec![topic],
        response_partition_limit: 2000,
        ..Default::default()
    };
    let answer = client.call(0, &request);
    let view = view!(describe_topic_partitions, answer);
    let topic = view.topics.iter().next().expect("one topic");
    let leaders: Vec<_> = topic.partitions.iter().map(|p| (p.partition_index, p.leader_id)).collect();
    assert_eq!(leaders, [(0, 1), (1, 1), (2, 1)]);
}

#[test]
fn topic_configs_are_set_changed_and_described() {
    let mut broker = Broker::start_with(|launch| launch.option("log.retention.ms=777000"));
    let mut client = broker.client();
    client.create_topic_with("t", 1, &[("segment.bytes", "2000000")]).expect("the topic is made");
    let seen = |client: &mut Client, key: &str| {
        let configs = client.topic_configs("t");
        let config = configs.get(key).unwrap_or_else(|| panic!("{key} is not described"));
        (config.value.clone().expect("a value"), config.source)
    };
    assert_eq!(seen(&mut client, "segment.bytes"), ("2000000".to_owned(), FROM_TOPIC));
    assert_eq!(seen(&mut client, "retention.ms"), ("777000".to_owned(), FROM_FILE));
    assert_eq!(seen(&mut client, "cleanup.policy"), ("delete".to_owned(), FROM_DEFAULT));
    assert_eq!(client.alter_topic("t", "retention.ms", 0, Some("5000")), ErrorCode::None);
    assert_eq!(client.alter_topic("t", "cleanup.policy", 2, Some("compact")), ErrorCode::None);
    assert_eq!(client.alter_topic("t", "segment.bytes", 1, None), ErrorCode::None);
    for (key, operation, value) in [
        ("retention.ms", 0, Some("soon")),
        ("segment.bytes", 0, Some("12")),
        ("no.such.key", 0, Some("1")),
        ("retention.ms", 2, Some("1")),
        ("max.message.bytes", 0, Some("-1")),
    ] {
        let code = client.alter_topic("t", key, operation, value);
        assert_eq!(code, ErrorCode::InvalidConfig, "{key} {operation} {value:?}");
    }
    assert_eq!(
        client.alter_topic("nobody", "retention.ms", 0, Some("1")),
        ErrorCode::UnknownTopicOrPartition
    );
    for restart in [false, true] {
        if restart {
            broker.kill();
            broker.restart();
        }
        let mut client = broker.client();
        assert_eq!(seen(&mut client, "retention.ms"), ("5000".to_owned(), FROM_TOPIC));
        assert_eq!(seen(&mut client, "cleanup.policy"), ("delete,compact".to_owned(), FROM_TOPIC));
        assert_eq!(seen(&mut client, "segment.bytes"), ("1073741824".to_owned(), FROM_DEFAULT));
    }
}

#[test]
fn a_changed_config_is_obeyed_at_once() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 4);
    let batch = batch_of(&["x".repeat(3000)]);
    for limit in ["2000", "4000", "2000"] {
        assert_eq!(client.alter_topic("t", "max.message.bytes", 0, Some(limit)), ErrorCode::None);
        let expected = if limit == "2000" { ErrorCode::MessageTooLarge } else { ErrorCode::None };
        for partition in 0..4 {
            // A connection of its own each, on whichever shard.
            assert_eq!(broker.client().produce("t", partition, &batch).code, expected, "{limit}");
        }
    }
}

/// Every answer must hold on whichever connection, hence shard, the next request comes in.
#[test]
fn a_created_topic_is_there_on_every_connection_at_once() {
    let broker = Broker::start_with(|mut launch| {
        launch.shards = 3;
        launch
    });
    let mut clients: Vec<Client> = (0..12).map(|_| broker.client()).collect();
    for round in 0..12 {
        let name = format!("t{round}");
        clients[round].create_topic(&name, 6);
        for client in &mut clients {
            assert_eq!(client.topic(&name).expect("the topic is there").partitions, 6);
            for partition in 0..6 {
                client.must_produce(&name, partition, &batch_of(&["x"]));
            }
        }
        assert_eq!(clients[11 - round].delete_topic(&name), ErrorCode::None);
        for client in &mut clients {
            assert_eq!(client.topic(&name), Err(ErrorCode::UnknownTopicOrPartition));
        }
    }
}

/// Many clients at once make and delete the same few topics: nobody hangs, and in the end all agree.
#[test]
fn topics_may_be_made_and_deleted_by_many_at_once() {
    let broker = Broker::start();
    let address = broker.address();
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let address = address.clone();
            thread::spawn(move || {
                let mut client = Client::connect(&address);
                for round in 0..25 {
                    let name = format!("t{}", (worker + round) % 3);
                    match client.create_topic_with(&name, 2, &[]) {
                        Ok(_) | Err(ErrorCode::TopicAlreadyExists) => {}
                        Err(code) => panic!("creating {name}: {code:?}"),
                    }
                    let code = client.produce(&name, 1, &batch_of(&["x"])).code;
                    let fine =
                        [ErrorCode::None, ErrorCode::UnknownTopicOrPartition, ErrorCode::NotLeaderOrFollower];
                    assert!(fine.contains(&code), "{code:?}");
                    let code = client.delete_topic(&name);
                    assert!(
                        [ErrorCode::None, ErrorCode::UnknownTopicOrPartition].contains(&code),
                        "{code:?}"
                    );
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("no worker fails");
    }
    assert!(broker.client().topics().is_empty());
}

/// The versions that clients in use are pinned to. A minimum that rises locks them out.
#[test]
fn the_versions_that_living_clients_need_are_listed() {
    let broker = Broker::start();
    let listed = broker.client().api_versions().expect("a list");
    for (key, versions) in [
        (ApiKey::Produce, &[0, 3, 7][..]),
        (ApiKey::Fetch, &[4, 10, 11]),
        (ApiKey::ListOffsets, &[1, 3]),
        (ApiKey::Metadata, &[0, 1, 4, 6]),
        (ApiKey::FindCoordinator, &[0, 2]),
        (ApiKey::ApiVersions, &[0, 2, 3]),
        (ApiKey::CreateTopics, &[2, 3, 4]),
        (ApiKey::DeleteTopics, &[1]),
        (ApiKey::InitProducerId, &[0, 1]),
        (ApiKey::OffsetForLeaderEpoch, &[2]),
        (ApiKey::DescribeConfigs, &[1, 2]),
        (ApiKey::IncrementalAlterConfigs, &[0]),
        (ApiKey::CreatePartitions, &[0]),
    ] {
        let (min, max) = listed.get(&key.code()).copied().unwrap_or((1, 0));
        for version in versions {
            assert!((min..=max).contains(version), "{} {version} is not in {min}..{max}", key.name());
        }
    }
}
