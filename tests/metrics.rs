//! What a scrape gives, against what was done; and a listener that nobody can hold up.

mod broker;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use broker::{
    Broker, Client, FetchAt, Launch, PATIENCE, batch_of,
    client::{code, view},
    exposition::Exposition,
    wait_for,
};
use model::ErrorCode;
use net::wire::messages::{find_coordinator, offset_commit};

fn with_metrics(change: impl FnOnce(Launch) -> Launch) -> Broker {
    Broker::start_with(|launch| {
        let mut launch = change(launch);
        launch.more.extend(["--metrics".to_owned(), "127.0.0.1:0".to_owned()]);
        launch
    })
}

/// Where metrics are, as the start-up line says.
fn address(broker: &Broker) -> String {
    wait_for("the start-up line", PATIENCE, || {
        let said = broker.said();
        let (_, rest) = said.split_once("http://")?;
        Some(rest.split_once("/metrics")?.0.to_owned())
    })
}

/// Whole answer: head and body.
fn http(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).expect("metrics are served");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("the request is taken");
    stream.shutdown(Shutdown::Write).expect("the end is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer comes, and the end after it");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    (head.to_owned(), body.to_owned())
}

fn get(address: &str, path: &str) -> (String, String) {
    http(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

#[track_caller]
fn scrape(broker: &Broker) -> Exposition {
    let (head, body) = get(&address(broker), "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    Exposition::parse(&body).unwrap_or_else(|why| panic!("{why}\n{body}"))
}

#[track_caller]
fn check(seen: &Exposition, name: &str, labels: &[(&str, &str)], expected: f64) {
    assert_eq!(seen.value(name, labels), Some(expected), "{name} {labels:?}");
}

fn commit(client: &mut Client, group: &str, topic: &str, partition: i32, offset: i64) -> ErrorCode {
    wait_for("a coordinator", PATIENCE, || {
        let asked = find_coordinator::Request { coordinator_keys: vec![group.into()], ..Default::default() };
        let answer = client.call(4, &asked);
        let view = view!(find_coordinator, answer);
        (view.coordinators.iter().next().expect("one key, one answer").error_code == 0).then_some(())
    });
    let partition = offset_commit::OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: Some("".into()),
    };
    let topic = offset_commit::OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let asked = offset_commit::Request {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        retention_time_ms: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = client.call(8, &asked);
    let view = view!(offset_commit, answer);
    let topic = view.topics.iter().next().expect("one topic");
    code(topic.partitions.iter().next().expect("one partition").error_code)
}

#[test]
fn a_scrape_counts_what_was_done() {
    let broker = with_metrics(|launch| launch.option("offsets.topic.num.partitions=4"));
    let mut client = broker.client();
    client.create_topic("t", 3);
    client.create_topic("quiet", 1);
    let batch = batch_of(&["one", "two", "three"]);
    for partition in [0, 1, 1] {
        client.must_produce("t", partition, &batch);
    }
    assert_eq!(client.produce("none", 0, &batch).code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(client.fetch(FetchAt::new("t", 1, 0)).bytes.len(), 2 * batch.len());
    assert_eq!(client.fetch(FetchAt::new("t", 1, 99)).code, ErrorCode::OffsetOutOfRange);
    let waits = FetchAt { max_wait_ms: 50, min_bytes: 1, ..FetchAt::new("t", 2, 0) };
    assert!(client.fetch(waits).bytes.is_empty());
    let seen = wait_for("the last answer is counted", PATIENCE, || {
        let seen = scrape(&broker);
        let fetches =
            seen.value("kafka_network_requestmetrics_totaltime_seconds_count", &[("request", "Fetch")]);
        (fetches == Some(3.0)).then_some(seen)
    });
    for (request, count) in [("Produce", 4.0), ("Fetch", 3.0), ("CreateTopics", 2.0)] {
        let labels = [("request", request)];
        check(&seen, "kafka_network_requestmetrics_requests_total", &labels, count);
        check(&seen, "kafka_network_requestmetrics_totaltime_seconds_count", &labels, count);
    }
    let errors = "kafka_network_requestmetrics_errors_total";
    check(&seen, errors, &[("request", "Produce"), ("error", "UNKNOWN_TOPIC_OR_PARTITION")], 1.0);
    check(&seen, errors, &[("request", "Fetch"), ("error", "OFFSET_OUT_OF_RANGE")], 1.0);
    assert_eq!(seen.series.keys().filter(|(name, _)| name == errors).count(), 2, "no other error");
    // Three produces and one fetch had to wait, the fetch for all of its time.
    let waited = "kafka_network_requestmetrics_remotetime_seconds";
    check(&seen, &format!("{waited}_count"), &[("request", "Produce")], 3.0);
    check(&seen, &format!("{waited}_count"), &[("request", "Fetch")], 1.0);
    check(&seen, &format!("{waited}_bucket"), &[("request", "Fetch"), ("le", "0.025")], 0.0);
    let (bytes, topic) = (batch.len() as f64, [("topic", "t")]);
    for (name, of_topic) in [("messagesin", 9.0), ("bytesin", 3.0 * bytes), ("bytesout", 2.0 * bytes)] {
        let name = format!("kafka_server_brokertopicmetrics_{name}_total");
        check(&seen, &name, &topic, of_topic);
        check(&seen, &name, &[("topic", "quiet")], 0.0);
        check(&seen, &name, &[], of_topic);
    }
    for (partition, end) in [("0", 3.0), ("1", 6.0), ("2", 0.0)] {
        let labels = [("topic", "t"), ("partition", partition)];
        for name in [
            "kafka_log_log_logendoffset",
            "tailrace_partition_high_watermark",
            "tailrace_partition_durable_offset",
        ] {
            check(&seen, name, &labels, end);
        }
        check(&seen, "kafka_log_log_logstartoffset", &labels, 0.0);
        check(&seen, "kafka_log_log_size", &labels, end / 3.0 * bytes);
    }
    for (name, value) in [
        ("kafka_server_replicamanager_partitioncount", 4.0),
        ("kafka_server_replicamanager_leadercount", 4.0),
        ("kafka_server_replicamanager_underreplicatedpartitions", 0.0),
        ("kafka_server_replicamanager_offlinereplicacount", 0.0),
        ("kafka_controller_kafkacontroller_activecontrollercount", 1.0),
        ("kafka_controller_kafkacontroller_globaltopiccount", 2.0),
        ("kafka_server_socketservermetrics_connection_count", 1.0),
        ("tailrace_shards", 2.0),
        ("tailrace_metrics_partitions_left_out", 0.0),
    ] {
        check(&seen, name, &[], value);
    }
    // Each produce was one commit; metadata has its own.
    assert!(seen.value("tailrace_commit_partitions_count", &[]).is_some_and(|commits| commits >= 3.0));
    let durable = seen.value("tailrace_disk_operation_seconds_count", &[("operation", "durable_write")]);
    assert!(durable.is_some_and(|writes| writes >= 3.0), "{durable:?}");
    let resident = seen.value("process_resident_memory_bytes", &[]).expect("it has memory");
    let rss = broker.rss_bytes() as f64;
    assert!((resident - rss).abs() < rss / 4.0, "{resident} is not near {rss}");
    assert!(seen.value("tailrace_build_info", &[("version", env!("CARGO_PKG_VERSION"))]) == Some(1.0));
}

#[test]
fn the_lag_of_a_group_follows_what_it_commits() {
    let broker = with_metrics(|launch| launch.option("offsets.topic.num.partitions=4"));
    let mut client = broker.client();
    client.create_topic("t", 2);
    client.must_produce("t", 1, &batch_of(&["a", "b", "c", "d", "e"]));
    let group = "a \"quoted\"\\group\n";
    assert_eq!(commit(&mut client, group, "t", 1, 2), ErrorCode::None);
    assert_eq!(commit(&mut client, "other", "t", 0, 0), ErrorCode::None);
    let seen = scrape(&broker);
    let labels = [("group", group), ("topic", "t"), ("partition", "1")];
    check(&seen, "kafka_consumergroup_lag", &labels, 3.0);
    check(&seen, "kafka_consumergroup_current_offset", &labels, 2.0);
    check(&seen, "kafka_consumergroup_lag", &[("group", "other"), ("topic", "t"), ("partition", "0")], 0.0);
    check(&seen, "kafka_coordinator_group_groupmetadatamanager_numgroups", &[], 2.0);
    check(&seen, "kafka_coordinator_group_groupmetadatamanager_numoffsets", &[], 2.0);
    check(&seen, "tailrace_group_count", &[("protocol", "classic"), ("state", "Empty")], 2.0);
    client.must_produce("t", 1, &batch_of(&["f"]));
    check(&scrape(&broker), "kafka_consumergroup_lag", &labels, 4.0);
    assert_eq!(commit(&mut client, group, "t", 1, 6), ErrorCode::None);
    check(&scrape(&broker), "kafka_consumergroup_lag", &labels, 0.0);
    client.delete_topic("t");
    let seen = scrape(&broker);
    assert_eq!(seen.value("kafka_consumergroup_lag", &labels), None, "there is nothing to lag behind");
    // What is not of the deleted topic is of the offsets: the total has not fallen.
    let messages = "kafka_server_brokertopicmetrics_messagesin_total";
    let all = seen.value(messages, &[]).expect("a total");
    check(&seen, messages, &[("topic", "__consumer_offsets")], all - 6.0);
}

#[test]
fn what_is_shown_one_by_one_is_bounded() {
    let broker = with_metrics(|launch| {
        launch
            .option("offsets.topic.num.partitions=2")
            .option("metrics.partitions.max=5")
            .option("metrics.group.offsets.max=3")
    });
    let mut client = broker.client();
    for (name, partitions) in [("a", 3), ("b", 4), ("c", 1)] {
        client.create_topic(name, partitions);
    }
    for group in ["g1", "g2", "g3", "g4"] {
        assert_eq!(commit(&mut client, group, "b", 0, 0), ErrorCode::None);
    }
    assert_eq!(commit(&mut client, &"x".repeat(300), "b", 0, 0), ErrorCode::None);
    let seen = scrape(&broker);
    let shown = |name: &str, label: &str| -> Vec<String> {
        let of = seen.series.keys().filter(|(known, _)| known == name);
        let mut values: Vec<String> = of.map(|(_, labels)| labels[label].clone()).collect();
        values.sort();
        values
    };
    // `__consumer_offsets` comes first by name, and takes two.
    assert_eq!(
        shown("kafka_log_log_logendoffset", "topic"),
        ["__consumer_offsets", "__consumer_offsets", "a", "a", "a"]
    );
    check(&seen, "tailrace_metrics_partitions_left_out", &[], 5.0);
    assert_eq!(shown("kafka_consumergroup_lag", "group"), ["g1", "g2", "g3"]);
    check(&seen, "tailrace_metrics_group_offsets_left_out", &[], 2.0);
    check(&seen, "kafka_server_replicamanager_partitioncount", &[], 10.0);
}

#[test]
fn other_requests_are_told_what_is_there() {
    let broker = with_metrics(|launch| launch);
    let address = address(&broker);
    let check = |request: &str, status: &str| -> String {
        let (head, body) = http(&address, request);
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request:?}: {head}");
        body
    };
    assert_eq!(check("GET /healthz HTTP/1.1\r\n\r\n", "200"), "ok\n");
    assert_eq!(check("HEAD /metrics HTTP/1.1\r\n\r\n", "200"), "");
    check("GET /metrics?x=y HTTP/1.0\r\n\r\n", "200");
    check("GET / HTTP/1.1\r\n\r\n", "404");
    check("POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "405");
    check("\0\0\0\x2b\0\x12\0\x03\0\0\0\0\0\x09", "400");
    check(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000)), "431");
    check(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100)), "431");
}

/// Heads that never end, and answers that nobody reads, on more connections than there are places.
#[test]
fn slow_clients_hold_nobody_up() {
    let broker = with_metrics(|launch| launch);
    let address = address(&broker);
    let mut slow = vec![];
    for number in 0..60 {
        let mut stream = TcpStream::connect(&address).expect("it is accepted");
        let request: &[u8] = if number % 2 == 0 { b"GET /metr" } else { b"GET /metrics HTTP/1.1\r\n\r\n" };
        // A connection that had to give way takes no more.
        let _ = stream.write_all(request);
        slow.push(stream);
        if number % 10 == 9 {
            let began = Instant::now();
            check(&scrape(&broker), "tailrace_shards", &[], 2.0);
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        }
    }
    // Whoever says nothing more is let go, in bounded time.
    let last = slow.iter_mut().rev().nth(1).expect("there are many");
    last.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut byte = [0];
    assert!(matches!(last.read(&mut byte), Ok(0) | Err(_)), "nothing is said to half a head");
    broker.client().api_versions().expect("clients are served");
}

#[test]
fn without_the_option_nothing_listens_and_the_configuration_shows_it() {
    let broker = Broker::start();
    assert!(!broker.said().contains("http://"), "{}", broker.said());
    assert_eq!(broker.client().broker_config("metrics.listener").value, None);
    let broker = with_metrics(|launch| launch);
    assert_eq!(broker.client().broker_config("metrics.listener").value.as_deref(), Some("127.0.0.1:0"));
    let busy = address(&broker);
    let scratch = broker::Scratch::new();
    let mut launch = Launch::new(&scratch.path().join("data"));
    launch.more.extend(["--metrics".to_owned(), busy.clone()]);
    let said = broker::refusal(launch);
    assert!(said.contains(&busy) && said.contains("--metrics"), "{said}");
    let mut launch = Launch::new(&scratch.path().join("data"));
    launch.more.extend(["--metrics".to_owned(), "9644".to_owned()]);
    let said = broker::refusal(launch);
    assert!(said.contains("metrics.listener: '9644' is not host:port"), "{said}");
}
