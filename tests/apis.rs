//! The APIs as a client sees them, over restarts where that matters.

mod broker;

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use broker::{
    Broker, Client, FetchAt, PATIENCE,
    batch::{batch_at, records},
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

const NOON: i64 = 1_700_000_000_000;
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
        ("none", 1, &[("compression.type", "gzip")], ErrorCode::InvalidConfig),
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
    let expected =
        [("t", ErrorCode::InvalidRequest), ("u", ErrorCode::None), ("t", ErrorCode::InvalidRequest)];
    assert_eq!(codes, expected);
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
fn offsets_are_found_by_time_wherever_in_a_batch() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    assert_eq!(client.list_offset("t", 0, -1), (0, -1));
    assert_eq!(client.list_offset("t", 0, -2), (0, -1));
    assert_eq!(client.list_offset("t", 0, -3), (-1, -1));
    assert_eq!(client.list_offset("t", 0, NOON), (-1, -1));
    // The largest time stands in the middle of a batch in the middle.
    let times = [[10, 20, 30], [40, 90, 50], [60, 70, 80]];
    for batch in times {
        client.must_produce("t", 0, &batch_at(&batch.map(|time| (NOON + time, "x"))));
    }
    for restart in ["not yet", "a stop", "a crash"] {
        let mut client = broker.client();
        assert_eq!(client.list_offset("t", 0, -1), (9, -1), "{restart}");
        assert_eq!(client.list_offset("t", 0, -2), (0, -1), "{restart}");
        assert_eq!(client.list_offset("t", 0, -3), (4, NOON + 90), "{restart}");
        for (time, offset, found) in [
            (0, 0, 10),
            (10, 0, 10),
            (11, 1, 20),
            (30, 2, 30),
            (31, 3, 40),
            (41, 4, 90),
            (55, 4, 90),
            (90, 4, 90),
        ] {
            assert_eq!(client.list_offset("t", 0, NOON + time), (offset, NOON + found), "{time} {restart}");
        }
        assert_eq!(client.list_offset("t", 0, NOON + 91), (-1, -1), "{restart}");
        match restart {
            "not yet" => broker.stop(),
            "a stop" => broker.kill(),
            _ => return,
        }
        broker.restart();
    }
}

#[test]
fn the_broker_s_clock_stamps_where_a_topic_wants_it() {
    let broker = Broker::start();
    let mut client = broker.client();
    client
        .create_topic_with("t", 1, &[("message.timestamp.type", "LogAppendTime")])
        .expect("the topic is made");
    let produced = client.produce("t", 0, &batch_at(&[(NOON, "a"), (NOON + 5, "b")]));
    assert_eq!(produced.code, ErrorCode::None);
    assert!(produced.log_append_time > NOON + 1_000_000, "{produced:?}");
    let there = client.read_from("t", 0, 0);
    assert!(there.iter().all(|record| record.timestamp == produced.log_append_time), "{there:?}");
    client.create_topic("created", 1);
    assert_eq!(client.produce("created", 0, &batch_at(&[(NOON, "a")])).log_append_time, -1);
    assert_eq!(client.read_from("created", 0, 0)[0].timestamp, NOON);
}

#[test]
fn deleted_records_stay_deleted() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..10 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}a"), format!("{n}b")]));
    }
    assert_eq!(client.delete_records("t", 0, 21), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(client.delete_records("t", 0, -2), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(client.delete_records("t", 7, 1), Err(ErrorCode::UnknownTopicOrPartition));
    // In the middle of a batch.
    assert_eq!(client.delete_records("t", 0, 7), Ok(7));
    // Never back.
    assert_eq!(client.delete_records("t", 0, 3), Ok(7));
    for restart in ["not yet", "a crash", "a stop", "a crash again"] {
        let mut client = broker.client();
        assert_eq!(client.list_offset("t", 0, -2).0, 7, "{restart}");
        assert_eq!(client.list_offset("t", 0, -1).0, 20, "{restart}");
        assert_eq!(client.fetch(FetchAt::new("t", 0, 6)).code, ErrorCode::OffsetOutOfRange, "{restart}");
        let there = client.read_from("t", 0, 7);
        assert_eq!((there.len(), there[0].text()), (13, "3b"), "{restart}");
        assert_eq!(client.fetch(FetchAt::new("t", 0, 7)).log_start, 7, "{restart}");
        match restart {
            "a crash" => broker.stop(),
            _ => broker.kill(),
        }
        broker.restart();
    }
    let mut client = broker.client();
    assert_eq!(client.delete_records("t", 0, -1), Ok(20), "-1 is the high watermark");
    broker.stop();
    broker.restart();
    let mut client = broker.client();
    assert_eq!((client.list_offset("t", 0, -2).0, client.list_offset("t", 0, -1).0), (20, 20));
    assert_eq!(client.must_produce("t", 0, &batch_of(&["next"])), 20);
}

#[test]
fn deleting_records_frees_segments() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic_with("t", 1, &[("segment.bytes", "1048576")]).expect("the topic is made");
    for n in 0..50 {
        client.must_produce("t", 0, &batch_of(&["0".repeat(100_000) + &n.to_string()]));
    }
    let folder = broker.folder("t", 0);
    broker::wait_for("several segments are on the disk", PATIENCE, || {
        (folder.exists() && broker::scratch::files_with(&folder, "log").len() >= 4).then_some(())
    });
    assert_eq!(client.delete_records("t", 0, 45), Ok(45));
    broker::wait_for("whole segments below the new start go", PATIENCE, || {
        (broker::scratch::files_with(&folder, "log").len() <= 2).then_some(())
    });
    assert_eq!(client.read_from("t", 0, 45).len(), 5);
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..5 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}")]));
    }
    let answer = client.call(client::FETCH, &FetchAt::new("t", 0, 0).request());
    let epoch = broker::batch::batches(&client::fetched(&answer).bytes)[0].header().leader_epoch().0;
    assert_eq!(client.epoch_end("t", 0, epoch, epoch), Ok((epoch, 5)));
    assert_eq!(client.epoch_end("t", 0, -1, epoch), Ok((epoch, 5)));
    assert_eq!(client.epoch_end("t", 0, -1, epoch + 5), Ok((-1, -1)), "an epoch that never was");
    assert_eq!(client.epoch_end("t", 0, epoch + 5, epoch), Err(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(client.epoch_end("nobody", 0, -1, 0), Err(ErrorCode::UnknownTopicOrPartition));
}

#[test]
fn a_fetch_with_another_leader_epoch_is_fenced() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.must_produce("t", 0, &batch_of(&["x"]));
    let mut request = FetchAt::new("t", 0, 0).request();
    request.topics[0].partitions[0].current_leader_epoch = 99;
    let answer = client.call(client::FETCH, &request);
    assert_eq!(client::fetched(&answer).code, ErrorCode::UnknownLeaderEpoch);
}

#[test]
fn a_fetch_outside_the_log_is_out_of_range_and_at_its_end_is_empty() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.must_produce("t", 0, &batch_of(&["0", "1", "2"]));
    for (offset, expected) in
        [(-1, ErrorCode::OffsetOutOfRange), (4, ErrorCode::OffsetOutOfRange), (3, ErrorCode::None)]
    {
        let fetched = client.fetch(FetchAt::new("t", 0, offset));
        assert_eq!(fetched.code, expected, "{offset}");
        assert!(fetched.bytes.is_empty());
    }
    // In the middle of a batch: all of it.
    let fetched = client.fetch(FetchAt::new("t", 0, 2));
    assert_eq!(records(&fetched.bytes, 0).len(), 3);
}

#[test]
fn a_batch_larger_than_the_fetch_s_limit_comes_all_the_same() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for _ in 0..3 {
        client.must_produce("t", 0, &batch_of(&["x".repeat(50_000)]));
    }
    let at = |max_bytes| FetchAt { max_bytes, ..FetchAt::new("t", 0, 0) };
    for (max_bytes, expected) in [(1, 1), (50_000, 1), (100_000, 1), (110_000, 2), (1 << 20, 3)] {
        let fetched = client.fetch(at(max_bytes));
        assert_eq!(records(&fetched.bytes, 0).len(), expected, "{max_bytes}");
    }
}

#[test]
fn a_long_poll_wakes_when_something_comes() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 4);
    let mut consumer = broker.client();
    let mut waits = Vec::new();
    for n in 0..40 {
        let partition = n % 4;
        let offset = i64::from(n / 4);
        let at = FetchAt { max_wait_ms: 20_000, min_bytes: 1, ..FetchAt::new("t", partition, offset) };
        let sent = consumer.send(client::FETCH, &at.request());
        // So that the fetch waits: it was started before a later request of another connection is answered.
        client.list_offset("t", partition, -1);
        client.must_produce("t", partition, &batch_of(&[format!("{n}")]));
        let produced = Instant::now();
        let fetched = client::fetched(&consumer.receive(sent));
        waits.push(produced.elapsed());
        assert_eq!(records(&fetched.bytes, offset)[0].text(), n.to_string());
    }
    waits.sort();
    let median = waits[waits.len() / 2];
    assert!(median < Duration::from_millis(10), "a consumer wakes after {median:?}, all: {waits:?}");
    assert!(waits[waits.len() - 1] < Duration::from_secs(2), "{waits:?}");
}

#[test]
fn a_long_poll_over_several_shards_wakes_for_any_partition() {
    const PARTITIONS: i32 = 8;
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", PARTITIONS);
    let mut consumer = broker.client();
    for round in 0..PARTITIONS {
        let partitions = (0..PARTITIONS).map(|partition| fetch::FetchPartition {
            partition,
            fetch_offset: i64::from(partition < round),
            partition_max_bytes: 1 << 20,
            ..Default::default()
        });
        let topic =
            fetch::FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..Default::default() };
        let request = fetch::Request {
            max_wait_ms: 20_000,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let sent = consumer.send(client::FETCH, &request);
        let begun = Instant::now();
        client.must_produce("t", round, &batch_of(&["news"]));
        let answer = consumer.receive(sent);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let view = view!(fetch, answer);
        let with_records: Vec<i32> = view
            .responses
            .iter()
            .flat_map(|topic| topic.partitions.iter())
            .filter(|partition| partition.records.is_some_and(|records| !records.is_empty()))
            .map(|partition| partition.partition_index)
            .collect();
        assert_eq!(with_records, [round]);
    }
}

#[test]
fn a_long_poll_ends_at_its_time_with_nothing() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 2);
    client.must_produce("t", 0, &batch_of(&["x"]));
    for max_wait_ms in [0, 1, 200, 700] {
        let at = FetchAt { max_wait_ms, min_bytes: 1, ..FetchAt::new("t", 0, 1) };
        let begun = Instant::now();
        let fetched = client.fetch(at);
        let took = begun.elapsed();
        assert_eq!((fetched.code, fetched.bytes.len()), (ErrorCode::None, 0));
        let wait = Duration::from_millis(max_wait_ms as u64);
        // The clock of the broker counts whole milliseconds.
        assert!(took + Duration::from_millis(2) >= wait, "{took:?} for {wait:?}");
        assert!(took < wait + Duration::from_secs(2), "{took:?} for {wait:?}");
    }
    // Less than was asked for is better than nothing, once the time is over.
    let at = FetchAt { max_wait_ms: 100, min_bytes: 1 << 20, ..FetchAt::new("t", 0, 0) };
    assert_eq!(records(&client.fetch(at).bytes, 0).len(), 1);
}

#[test]
fn a_long_poll_ends_when_its_topic_goes() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let mut consumer = broker.client();
    let at = FetchAt { max_wait_ms: 25_000, min_bytes: 1, ..FetchAt::new("t", 0, 0) };
    let sent = consumer.send(client::FETCH, &at.request());
    client.list_offset("t", 0, -1);
    let begun = Instant::now();
    assert_eq!(client.delete_topic("t"), ErrorCode::None);
    let fetched = client::fetched(&consumer.receive(sent));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let expected = [ErrorCode::NotLeaderOrFollower, ErrorCode::UnknownTopicOrPartition];
    assert!(expected.contains(&fetched.code), "{:?}", fetched.code);
}

/// What a client knows of a fetch session, driven by hand.
struct Session<'a> {
    client: &'a mut Client,
    id: i32,
    epoch: i32,
}

impl Session<'_> {
    /// Names partitions of topic `t` with their offsets, and others to forget; answers those that came back with their
    /// records.
    fn fetch(&mut self, wants: &[(i32, i64)], forgotten: &[i32]) -> Result<Vec<(i32, usize)>, ErrorCode> {
        let partitions = wants.iter().map(|&(partition, fetch_offset)| fetch::FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        });
        let topic =
            fetch::FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..Default::default() };
        let forget =
            fetch::ForgottenTopic { topic: "t".into(), partitions: forgotten.to_vec(), ..Default::default() };
        let request = fetch::Request {
            max_bytes: 8 << 20,
            session_id: self.id,
            session_epoch: self.epoch,
            topics: if wants.is_empty() { vec![] } else { vec![topic] },
            forgotten_topics_data: if forgotten.is_empty() { vec![] } else { vec![forget] },
            ..Default::default()
        };
        let answer = self.client.call(client::FETCH, &request);
        let view = view!(fetch, answer);
        match code(view.error_code) {
            ErrorCode::None => {}
            code => return Err(code),
        }
        self.id = view.session_id;
        self.epoch = if view.session_id == 0 { 0 } else { self.epoch + 1 };
        let partition = |p: fetch::PartitionDataView<'_>| {
            assert_eq!(code(p.error_code), ErrorCode::None);
            (p.partition_index, records(p.records.unwrap_or_default(), 0).len())
        };
        Ok(view.responses.iter().flat_map(|topic| topic.partitions.iter()).map(partition).collect())
    }
}

#[test]
fn a_fetch_session_tells_only_what_changed() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 3);
    let mut consumer = broker.client();
    let mut session = Session { client: &mut consumer, id: 0, epoch: 0 };
    assert_eq!(session.fetch(&[(0, 0), (1, 0), (2, 0)], &[]), Ok(vec![(0, 0), (1, 0), (2, 0)]));
    assert_ne!(session.id, 0, "there is room for a session");
    assert_eq!(session.fetch(&[], &[]), Ok(vec![]));
    client.must_produce("t", 1, &batch_of(&["x"]));
    assert_eq!(session.fetch(&[], &[]), Ok(vec![(1, 1)]));
    // As long as the client does not move on it is told again.
    assert_eq!(session.fetch(&[], &[]), Ok(vec![(1, 1)]));
    assert_eq!(session.fetch(&[(1, 1)], &[]), Ok(vec![]));
    client.must_produce("t", 0, &batch_of(&["x"]));
    client.must_produce("t", 2, &batch_of(&["x"]));
    assert_eq!(session.fetch(&[], &[0]), Ok(vec![(2, 1)]), "partition 0 is forgotten");
    let (id, epoch) = (session.id, session.epoch);
    session.epoch = epoch + 7;
    assert_eq!(session.fetch(&[], &[]), Err(ErrorCode::InvalidFetchSessionEpoch));
    session.id = id + 1_000_000;
    session.epoch = 1;
    assert_eq!(session.fetch(&[], &[]), Err(ErrorCode::FetchSessionIdNotFound));
    (session.id, session.epoch) = (id, epoch);
    assert_eq!(session.fetch(&[(2, 1)], &[]), Ok(vec![]), "neither mistake harmed the session");
    session.epoch = -1;
    assert_eq!(session.fetch(&[(1, 0)], &[]), Ok(vec![(1, 1)]));
    assert_eq!(session.id, 0, "the session is over");
    (session.id, session.epoch) = (id, epoch + 1);
    assert_eq!(session.fetch(&[], &[]), Err(ErrorCode::FetchSessionIdNotFound));
}

#[test]
fn without_slots_there_are_no_sessions_and_fetches_all_the_same() {
    let broker = Broker::start_with(|launch| launch.option("max.incremental.fetch.session.cache.slots=0"));
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.must_produce("t", 0, &batch_of(&["x"]));
    let mut session = Session { client: &mut client, id: 0, epoch: 0 };
    assert_eq!(session.fetch(&[(0, 0)], &[]), Ok(vec![(0, 1)]));
    assert_eq!(session.id, 0);
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

#[test]
fn a_producer_s_compression_is_kept() {
    use model::{
        Compression,
        batch::record::{BatchMeta, Producer, build_batch, write_record},
    };
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (attributes, codec) in (0..).zip(codecs) {
        let mut payload = Vec::new();
        write_record(&mut payload, 0, 0, None, Some("squeeze ".repeat(500).as_bytes()), &[]);
        let payload = if codec == Compression::None {
            payload
        } else {
            engine::compression::compress(codec, None, &payload)
        };
        let meta = BatchMeta {
            base_offset: 0,
            leader_epoch: -1,
            attributes,
            base_timestamp: NOON,
            max_timestamp: NOON,
            record_count: 1,
            producer: Producer::NONE,
        };
        client.must_produce("t", 0, &build_batch(meta, &payload));
    }
    let fetched = client.fetch(FetchAt::new("t", 0, 0));
    let there: Vec<_> =
        broker::batch::batches(&fetched.bytes).iter().map(|b| b.header().compression()).collect();
    assert_eq!(there, codecs.map(Ok));
    assert!(records(&fetched.bytes, 0).iter().all(|record| record.text() == "squeeze ".repeat(500)));
    // A client from before zstd sees everything up to it, and then an error that says why.
    let old = |client: &mut Client, offset| {
        client::fetched(&client.call(9, &FetchAt::new("t", 0, offset).request()))
    };
    let before = old(&mut client, 0);
    assert_eq!((before.code, broker::batch::batches(&before.bytes).len()), (ErrorCode::None, 4));
    assert_eq!(old(&mut client, 4).code, ErrorCode::UnsupportedCompressionType);
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
