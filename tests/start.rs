//! Starts that cannot succeed, each with one sentence that names the reason; and stops.

mod broker;

use std::{
    fs,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use broker::{
    Broker, Client, FetchAt, Launch, PATIENCE, Scratch, batch_of, client, process::assert_one_sentence,
    refusal, skip, wait_for,
};

fn name(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are UTF-8")
}

/// What is in a directory, but for the lock, which names whoever tried last.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("the directory can be read");
        let bytes = if entry.path().is_dir() { Vec::new() } else { fs::read(entry.path()).expect("a file") };
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    let mut found: Vec<_> = fs::read_dir(dir).expect("the directory is there").map(entry).collect();
    found.retain(|(name, _)| name != ".lock");
    found.sort();
    found
}

#[test]
fn a_port_of_another_program_is_named() {
    let scratch = Scratch::new();
    let launch = Launch::new(&scratch.path().join("data"));
    let _holder = TcpListener::bind(launch.address()).expect("the port is free");
    let address = launch.address();
    assert_one_sentence(&refusal(launch), &[&address]);
}

/// Shards share a port by SO_REUSEPORT; another broker of the same user would join them in silence.
#[test]
fn a_port_of_another_broker_is_named() {
    let scratch = Scratch::new();
    let broker = Broker::start();
    let mut launch = Launch::new(&scratch.path().join("data"));
    launch.port = broker.launch.port;
    let address = launch.address();
    assert_one_sentence(&refusal(launch), &[&address]);
    broker.client().create_topic("still-served", 1);
}

#[test]
fn a_directory_of_another_node_is_named() {
    let mut broker = Broker::start();
    broker.stop();
    let before = contents(broker.data());
    let launch = broker.launch.clone().option("node.id=7");
    assert_one_sentence(&refusal(launch), &[name(broker.data()), "node 1", "node 7"]);
    assert!(contents(broker.data()) == before, "the refused start changed the directory");
    broker.restart();
}

#[test]
fn a_directory_of_another_program_is_named_and_left_alone() {
    let scratch = Scratch::new();
    let data = scratch.path().join("photos");
    fs::create_dir(&data).expect("the scratch directory is writable");
    fs::write(data.join("holiday.jpg"), [0xff, 0xd8]).expect("the scratch directory is writable");
    let before = contents(&data);
    assert_one_sentence(&refusal(Launch::new(&data)), &[name(&data), "holiday.jpg"]);
    assert_eq!(contents(&data), before);
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    fs::write(&data, "x").expect("the scratch directory is writable");
    assert_one_sentence(&refusal(Launch::new(&data)), &[name(&data)]);
}

#[test]
fn a_read_only_directory_is_named() {
    let mut scratch = Scratch::new();
    let data = scratch.path().join("data");
    let mut broker = Broker::start_at(Launch::new(&data));
    broker.stop();
    match scratch.read_only_view(&data) {
        Err(why) => skip(&format!("nothing can be mounted read-only here ({why})")),
        Ok(view) => assert_one_sentence(&refusal(Launch::new(&view)), &[name(&view), "read-only"]),
    }
}

#[test]
fn a_read_only_parent_is_named() {
    let mut scratch = Scratch::new();
    let parent = scratch.path().join("parent");
    fs::create_dir(&parent).expect("the scratch directory is writable");
    match scratch.read_only_view(&parent) {
        Err(why) => skip(&format!("nothing can be mounted read-only here ({why})")),
        Ok(view) => {
            let data = view.join("data");
            assert_one_sentence(&refusal(Launch::new(&data)), &[name(&data), "read-only"]);
        }
    }
}

#[test]
fn a_directory_in_use_is_named_with_its_process() {
    let broker = Broker::start();
    let launch = Launch::new(broker.data());
    let pid = broker.pid().to_string();
    assert_one_sentence(&refusal(launch), &[name(broker.data()), &pid]);
    broker.client().create_topic("still-served", 1);
}

#[test]
fn the_lock_goes_with_a_killed_process() {
    let mut broker = Broker::start();
    broker.kill();
    broker.restart();
}

#[test]
fn a_wrong_option_is_named() {
    let scratch = Scratch::new();
    for (option, names) in [
        ("num.partitions=none", "num.partitions"),
        ("listeners=SASL_SSL://127.0.0.1:9093", "SASL_SSL"),
        ("log.durability=maybe", "log.durability"),
    ] {
        let data = scratch.path().join("data");
        assert_one_sentence(&refusal(Launch::new(&data).option(option)), &[names]);
        assert!(!data.exists(), "{option} was refused after the directory was made");
    }
}

#[test]
fn a_damaged_meta_properties_is_named() {
    let mut broker = Broker::start();
    broker.stop();
    let path = broker.data().join("meta.properties");
    let good = fs::read(&path).expect("the file is there");
    fs::write(&path, "node.id=1\nversion=1\n").expect("the file can be written");
    assert_one_sentence(&refusal(broker.launch.clone()), &[name(&path), "cluster.id"]);
    fs::write(&path, good).expect("the file can be written");
    broker.restart();
}

#[test]
fn two_brokers_on_directories_of_their_own_do_not_meet() {
    let (one, two) = (Broker::start(), Broker::start());
    one.client().create_topic("of-one", 1);
    two.client().create_topic("of-two", 1);
    assert_eq!(one.client().topics(), ["of-one"]);
    assert_eq!(two.client().topics(), ["of-two"]);
}

#[test]
fn a_clean_stop_and_a_start_change_nothing() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 3);
    for n in 0..300 {
        client.must_produce("t", n % 3, &batch_of(&[format!("value {n}")]));
    }
    let before: Vec<_> = (0..3).map(|partition| client.read_from("t", partition, 0)).collect();
    drop(client);
    for _ in 0..3 {
        broker.stop();
        assert!(broker.data().join(".kafka_cleanshutdown").exists(), "a stop in order leaves its mark");
        broker.restart();
        assert!(!broker.data().join(".kafka_cleanshutdown").exists(), "the mark is for one start");
        let mut client = broker.client();
        let after: Vec<_> = (0..3).map(|partition| client.read_from("t", partition, 0)).collect();
        assert_eq!(after, before);
    }
    assert_eq!(broker.client().must_produce("t", 0, &batch_of(&["next"])), 100);
}

/// Idle connections, a consumer in a long poll, a client in the middle of a frame: none of them holds the stop up.
#[test]
fn a_stop_does_not_wait_for_clients() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let _idle: Vec<Client> = (0..10).map(|_| broker.client()).collect();
    let mut halfway = broker.client();
    halfway.send_bytes(&[0, 0, 1, 0, 0]).expect("a part of a frame is taken");
    let waiting = FetchAt { max_wait_ms: 60_000, min_bytes: 1, ..FetchAt::new("t", 0, 0) };
    client.send(client::FETCH, &waiting.request());
    let begun = Instant::now();
    broker.terminate();
    let status = broker.wait_for_exit(PATIENCE);
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < Duration::from_secs(15), "the stop took {:?}", begun.elapsed());
}

#[test]
fn what_is_under_way_at_a_stop_is_answered_or_not_there() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let sent: Vec<_> = (0..50)
        .map(|n| {
            let batch = batch_of(&[format!("{n}")]);
            client.send(client::PRODUCE, &client::produce_request("t", 0, -1, Some(&batch)))
        })
        .collect();
    broker.terminate();
    let mut answered = 0;
    for sent in sent {
        let Ok(answer) = client.try_receive(sent) else { break };
        let produced = client::produced(&answer);
        assert_eq!((produced.code, produced.base_offset), (model::ErrorCode::None, answered));
        answered += 1;
    }
    let status = broker.wait_for_exit(PATIENCE);
    assert!(status.success(), "{status}");
    broker.restart();
    let values = broker.client().values("t", 0);
    assert!(values.len() as i64 >= answered, "{answered} answered, {} there", values.len());
    assert!(values.iter().enumerate().all(|(n, value)| *value == n.to_string()), "{values:?}");
}

/// The first signal begins a stop in order, the second ends it at once: nothing acknowledged is lost.
#[test]
fn a_second_sigterm_ends_the_broker_at_once() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..50 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}")]));
    }
    let waiting = FetchAt { max_wait_ms: 60_000, min_bytes: 1, ..FetchAt::new("t", 0, 50) };
    client.send(client::FETCH, &waiting.request());
    let begun = Instant::now();
    broker.terminate();
    broker.terminate();
    broker.wait_for_exit(PATIENCE);
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    broker.restart();
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(broker.client().values("t", 0), expected);
}

#[test]
fn a_start_says_where_it_serves() {
    let broker = Broker::start();
    let address = broker.address();
    wait_for("a line that names the address", PATIENCE, || {
        broker.said().lines().any(|line| line.contains("serves") && line.contains(&address)).then_some(())
    });
}
