//! Many clients, rude clients: memory stays within bounds, and everybody else is served.

mod broker;

use std::{
    fs,
    io::{ErrorKind, Write},
    process::Command,
    time::{Duration, Instant},
};

use broker::{Broker, Client, FetchAt, batch_of, client, client::view};
use net::wire::messages::metadata;

/// What an idle connection may cost the process.
const CONNECTION_BYTES_MAX: u64 = 8 << 10;
const CONNECTIONS: usize = 10_000;
/// Files of a test or a broker that are no connections.
const OTHER_FILES: usize = 500;
/// Others are served within this, whatever goes on.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// Raises this process's own limit of open files as far as it goes, and says how far that is. The broker, which
/// inherits it, does the same for itself.
fn open_files() -> usize {
    let pid = std::process::id();
    let limits = || fs::read_to_string("/proc/self/limits").expect("Linux tells");
    let of = |limits: &str, column: usize| {
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("Linux tells");
        let number = line.split_whitespace().nth(column).expect("two limits");
        number.parse().unwrap_or(usize::MAX)
    };
    let before = limits();
    if of(&before, 0) < of(&before, 1) {
        let hard = of(&before, 1);
        let raised =
            Command::new("prlimit").args([format!("--pid={pid}"), format!("--nofile={hard}")]).status();
        if !raised.is_ok_and(|status| status.success()) {
            eprintln!("the limit of open files could not be raised: prlimit failed");
        }
    }
    of(&limits(), 0)
}

#[track_caller]
fn assert_served(broker: &Broker, topic: &str) {
    let begun = Instant::now();
    let mut client = broker.client();
    client.set_patience(SERVED_WITHIN);
    let value = format!("{begun:?}");
    let offset = client.must_produce(topic, 0, &batch_of(&[&value]));
    let records = client.read_from(topic, 0, offset);
    assert_eq!(records[0].text(), value);
    assert!(begun.elapsed() < SERVED_WITHIN, "a client was served only after {:?}", begun.elapsed());
}

/// Others are served meanwhile, for a second: what must not grow is looked at more than once.
fn most_memory_while_served(broker: &Broker) -> u64 {
    let until = Instant::now() + Duration::from_secs(1);
    let mut most = 0;
    while Instant::now() < until {
        assert_served(broker, "t");
        most = most.max(broker.rss_bytes());
    }
    most
}

#[test]
fn ten_thousand_idle_connections_cost_little() {
    let room = open_files().saturating_sub(OTHER_FILES);
    let count = CONNECTIONS.min(room);
    if count < CONNECTIONS {
        eprintln!(
            "SCALED DOWN: {count} connections instead of {CONNECTIONS}, the limit of open files is lower"
        );
    }
    assert!(count >= 500, "{count} connections say nothing; raise the hard limit of open files");
    let broker = Broker::start();
    broker.client().create_topic("t", 1);
    // What the first clients make it allocate for good is not counted.
    for _ in 0..50 {
        assert_served(&broker, "t");
    }
    let before = broker.rss_bytes();
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = broker.client();
        client.api_versions().expect("each of them is served");
        idle.push(client);
    }
    let grown = broker.rss_bytes().saturating_sub(before);
    let each = grown / count as u64;
    eprintln!("{count} idle connections cost {each} bytes each");
    assert!(each < CONNECTION_BYTES_MAX, "an idle connection costs {each} bytes");
    assert_served(&broker, "t");
    for client in idle.iter_mut().step_by(97) {
        client.api_versions().expect("those that waited are served again");
    }
    drop(idle);
    assert_served(&broker, "t");
}

#[test]
fn connections_over_the_limit_are_refused_and_come_in_later() {
    let broker = Broker::start_with(|launch| launch.option("max.connections=20"));
    let mut held: Vec<Client> = Vec::new();
    broker::wait_for("the first look of the harness is over", broker::PATIENCE, || {
        held.clear();
        held.extend((0..20).map(|_| broker.client()));
        held.iter_mut().all(|client| client.api_versions().is_ok()).then_some(())
    });
    let mut refused = broker.client();
    assert!(refused.api_versions().is_err(), "the 21st of 20 connections was served");
    held.truncate(10);
    broker::wait_for("a place that became free is given away", broker::PATIENCE, || {
        broker.client().api_versions().ok()
    });
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let broker = Broker::start_with(|launch| launch.option("connections.max.idle.ms=500"));
    let mut idle = broker.client();
    idle.api_versions().expect("it is served first");
    idle.assert_closed("nobody used it for half a second");
    assert!(broker.client().api_versions().is_ok());
}

/// Answers that nobody takes are made only as far as there is room for them.
#[test]
fn clients_that_fetch_and_never_read_are_held_back() {
    const RUDE: usize = 16;
    const FETCHES: usize = 500;
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("big", 1);
    client.create_topic("t", 1);
    let megabyte = batch_of(&["x".repeat(1_000_000)]);
    for _ in 0..16 {
        client.must_produce("big", 0, &megabyte);
    }
    // What readers make it keep is there before the measure is taken.
    client.read_from("big", 0, 0);
    let before = broker.rss_bytes();
    let mut rude: Vec<Client> = (0..RUDE).map(|_| broker.client()).collect();
    let mut pushed = 0;
    for client in &mut rude {
        client.stream().set_nonblocking(true).expect("a socket");
        for fetch in 0..FETCHES {
            let at = FetchAt { max_bytes: 50 << 20, ..FetchAt::new("big", 0, fetch as i64 % 16) };
            let (_, frame) = client.frame(client::FETCH, &at.request());
            match client.stream().write_all(&frame) {
                Ok(()) => pushed += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(pushed > RUDE * 10, "only {pushed} fetches went out: the test is too weak");
    // As long as nobody reads it must stay so: looked at over a second while others are served.
    let grown = most_memory_while_served(&broker).saturating_sub(before);
    eprintln!("{pushed} fetches that nobody reads took {} MiB", grown >> 20);
    assert!(grown < 128 << 20, "{pushed} fetches that nobody reads took {} MiB", grown >> 20);
    drop(rude);
    assert_served(&broker, "t");
}

/// Answers that wait to be sent hold pages. If all of a shard's pages are held so, others must be served all the same:
/// whoever does not read is the one to wait, or to go.
#[test]
fn clients_that_hold_all_pages_of_a_shard_do_not_stop_the_others() {
    const RUDE: i64 = 16;
    // Pages are half of the free memory, but no more than this for a shard.
    const SHARD_BYTES_MAX: i64 = 512 << 20;
    const FETCH_BYTES: i64 = 50_000_000;
    let broker = Broker::start_with(|mut launch| {
        launch.shards = 1;
        launch
    });
    let mut client = broker.client();
    client.create_topic("big", 1);
    client.create_topic("t", 1);
    let megabyte = batch_of(&["x".repeat(1_000_000)]);
    let batches = SHARD_BYTES_MAX / 1_000_000 + 2 * FETCH_BYTES / 1_000_000;
    for _ in 0..batches / 8 {
        let request = client::produce_request("big", 0, -1, Some(&megabyte));
        let sent: Vec<_> = (0..8).map(|_| client.send(client::PRODUCE, &request)).collect();
        for sent in sent {
            assert_eq!(client::produced(&client.receive(sent)).code, model::ErrorCode::None);
        }
    }
    let mut rude: Vec<Client> = (0..RUDE).map(|_| broker.client()).collect();
    for (n, client) in (0..).zip(&mut rude) {
        let offset = n * batches / RUDE;
        let at = FetchAt { max_bytes: FETCH_BYTES as i32, ..FetchAt::new("big", 0, offset) };
        client.send(client::FETCH, &at.request());
    }
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        assert_served(&broker, "t");
    }
    let most = broker.rss_bytes();
    assert!(most < (SHARD_BYTES_MAX as u64) + (256 << 20), "{} MiB", most >> 20);
    drop(rude);
    assert_served(&broker, "t");
}

/// As above, with requests whose answers are many times larger than they are.
#[test]
fn clients_that_ask_for_all_metadata_and_never_read_are_held_back() {
    let broker = Broker::start();
    let mut client = broker.client();
    for n in 0..20 {
        client.create_topic(&format!("topic-with-a-name-of-some-length-{n}"), 50);
    }
    client.create_topic("t", 1);
    assert_served(&broker, "t");
    let before = broker.rss_bytes();
    let mut rude: Vec<Client> = (0..16).map(|_| broker.client()).collect();
    let mut pushed = 0;
    for client in &mut rude {
        client.stream().set_nonblocking(true).expect("a socket");
        for _ in 0..3000 {
            let (_, frame) = client.frame(12, &metadata::Request { topics: None, ..Default::default() });
            match client.stream().write_all(&frame) {
                Ok(()) => pushed += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(pushed > 16 * 100, "only {pushed} requests went out: the test is too weak");
    let grown = most_memory_while_served(&broker).saturating_sub(before);
    eprintln!("{pushed} requests whose answers nobody reads took {} MiB", grown >> 20);
    assert!(grown < 128 << 20, "{pushed} requests whose answers nobody reads took {} MiB", grown >> 20);
}

/// Produces of one connection to partitions of several shards, other requests between them: answered in the order
/// sent, and in that order in the logs.
#[test]
fn pipelined_requests_are_answered_in_order() {
    const PARTITIONS: i32 = 4;
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", PARTITIONS);
    let mut sent = Vec::new();
    for n in 0..400 {
        let batch = batch_of(&[format!("{n}")]);
        let request = client::produce_request("t", n % PARTITIONS, -1, Some(&batch));
        sent.push((client.send(client::PRODUCE, &request), Some(n)));
        if n % 10 == 0 {
            let request = metadata::Request { topics: Some(vec![]), ..Default::default() };
            sent.push((client.send(12, &request), None));
        }
    }
    for (sent, n) in sent {
        // The correlation id is checked here.
        let answer = client.receive(sent);
        match n {
            Some(n) => {
                let produced = client::produced(&answer);
                assert_eq!(
                    (produced.code, produced.base_offset),
                    (model::ErrorCode::None, i64::from(n / PARTITIONS))
                );
            }
            None => assert_eq!(view!(metadata, answer).brokers.len(), 1),
        }
    }
    for partition in 0..PARTITIONS {
        let expected: Vec<String> = (0..100).map(|n| (n * PARTITIONS + partition).to_string()).collect();
        assert_eq!(client.values("t", partition), expected);
    }
}

/// A journal is small at first and grows while it is used. Whatever place it is filled to at that moment, produce goes
/// on: a commit that waits for room must not wait for the clock.
#[test]
fn a_busy_first_moment_does_not_stall() {
    for round in 0..5 {
        let broker = Broker::start();
        let mut client = broker.client();
        client.create_topic("t", 2);
        let large = batch_of(&["x".repeat(900_000)]);
        let small = batch_of(&["x"]);
        let begun = Instant::now();
        let mut sent = Vec::new();
        for n in 0..40 {
            for batch in [&large, &small] {
                let request = client::produce_request("t", n % 2, -1, Some(batch));
                sent.push(client.send(client::PRODUCE, &request));
            }
        }
        for (place, sent) in sent.into_iter().enumerate() {
            let code = client::produced(&client.receive(sent)).code;
            assert_eq!(
                code,
                model::ErrorCode::None,
                "round {round}, batch {place}, after {:?}",
                begun.elapsed()
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "round {round} took {:?}", begun.elapsed());
    }
}

/// A long poll of one connection does not hold up the others, nor a produce that wakes it.
#[test]
fn hundreds_of_waiting_consumers_all_wake() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let waiting = FetchAt { max_wait_ms: 60_000, min_bytes: 1, ..FetchAt::new("t", 0, 0) };
    let mut consumers: Vec<_> = (0..500)
        .map(|_| {
            let mut consumer = broker.client();
            let sent = consumer.send(client::FETCH, &waiting.request());
            (consumer, sent)
        })
        .collect();
    client.must_produce("t", 0, &batch_of(&["news"]));
    let begun = Instant::now();
    for (consumer, sent) in &mut consumers {
        let fetched = client::fetched(&consumer.receive(*sent));
        assert_eq!(broker::batch::records(&fetched.bytes, 0)[0].text(), "news");
    }
    assert!(begun.elapsed() < SERVED_WITHIN, "the last of 500 woke after {:?}", begun.elapsed());
}
