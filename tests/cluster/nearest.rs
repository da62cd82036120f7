//! Consumers that read at the replica in their rack (KIP-392).

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use model::ErrorCode;

use crate::{
    broker::{FetchAt, PATIENCE, batch::records, batch_of, client::Fetched, skip, wait_for},
    cluster::{Cluster, Ground, must_produce},
};

/// Broker 1 stands in rack-1, and so on.
fn start() -> Cluster {
    let selector = "replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector";
    Cluster::start_with(Ground::default(), |id| vec![selector.to_owned(), format!("broker.rack=rack-{id}")])
}

fn fetch(cluster: &Cluster, broker: i32, rack: &str, offset: i64, wait_ms: i32) -> Fetched {
    let at = FetchAt { max_wait_ms: wait_ms, min_bytes: 1, rack, ..FetchAt::new("t", 0, offset) };
    cluster.broker(broker).client().fetch(at)
}

fn values(fetched: &Fetched) -> Vec<String> {
    records(&fetched.bytes, 0).iter().map(|record| record.text().to_owned()).collect()
}

/// One partition with one record: its leader, and another broker.
fn leader_and_follower(cluster: &Cluster) -> (i32, i32) {
    cluster.create_topic("t", 1, 3);
    let partitions = cluster.wait_for_isr("t", 3);
    let leader = partitions[0].leader.expect("it has one");
    must_produce(cluster, leader, "t", 0, &batch_of(&["first"]));
    let follower = partitions[0].isr.iter().copied().find(|&id| id != leader).expect("three are in sync");
    (leader, follower)
}

#[test]
fn a_consumer_reads_at_the_follower_in_its_rack_until_that_dies() {
    let mut cluster = start();
    let (leader, follower) = leader_and_follower(&cluster);
    let rack = format!("rack-{follower}");

    let sent_away = fetch(&cluster, leader, &rack, 0, 0);
    assert_eq!((sent_away.code, sent_away.preferred), (ErrorCode::None, Some(follower)));
    assert_eq!(sent_away.bytes, [], "it gets the records there");
    let served = fetch(&cluster, follower, &rack, 0, 1000);
    assert_eq!((served.preferred, values(&served)), (None, vec!["first".to_owned()]));
    let stays = fetch(&cluster, leader, &format!("rack-{leader}"), 0, 0);
    assert_eq!((stays.preferred, values(&stays)), (None, vec!["first".to_owned()]));

    // Who waits at the follower hears of a new record once it is committed.
    let address = cluster.addresses()[&follower].clone();
    let (at_follower, heard) = mpsc::channel();
    let waiting = thread::spawn(move || {
        let mut client = crate::broker::Client::connect(&address);
        let at = FetchAt { max_wait_ms: 20_000, min_bytes: 1, ..FetchAt::new("t", 0, 1) };
        let sent = client.send(crate::broker::client::FETCH, &at.request());
        at_follower.send(()).expect("the test waits for it");
        crate::broker::client::fetched(&client.receive(sent))
    });
    heard.recv_timeout(PATIENCE).expect("it was asked");
    must_produce(&cluster, leader, "t", 0, &batch_of(&["second"]));
    let fetched = waiting.join().expect("the fetch is answered");
    assert_eq!((fetched.high_watermark, values(&fetched)), (2, vec!["second".to_owned()]));

    cluster.kill(follower);
    let back = wait_for("the leader serves the rack itself", PATIENCE, || {
        Some(fetch(&cluster, leader, &rack, 0, 0)).filter(|fetched| fetched.preferred.is_none())
    });
    assert_eq!(values(&back), ["first", "second"]);

    cluster.restart(follower);
    cluster.wait_for_isr("t", 3);
    wait_for("the leader sends it away again", PATIENCE, || {
        (fetch(&cluster, leader, &rack, 2, 0).preferred == Some(follower)).then_some(())
    });
    assert_eq!(values(&fetch(&cluster, follower, &rack, 0, 1000)), ["first", "second"]);
}

/// librdkafka in that rack. How soon it goes back to the leader when the follower dies is its own matter: 2.0 waits for the
/// end of a lease of five minutes, 2.16 does not.
#[test]
fn kcat_reads_at_the_follower_in_its_rack() {
    let said = Command::new("kcat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !said.is_ok_and(|status| status.success()) {
        return skip("kcat is not installed");
    }
    let cluster = start();
    let (leader, follower) = leader_and_follower(&cluster);
    let addresses = cluster.addresses();
    let rack = format!("client.rack=rack-{follower}");
    let mut kcat = Command::new("kcat")
        .args(["-b", &addresses[&leader], "-C", "-u", "-t", "t", "-p", "0", "-o", "beginning"])
        .args(["-X", &rack, "-X", "debug=fetch", "-f", "%s\\n"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kcat runs");
    let said = BufReader::new(kcat.stderr.take().expect("it is piped"));
    let said = thread::spawn(move || said.lines().map_while(Result::ok).collect::<Vec<_>>());
    let lines = BufReader::new(kcat.stdout.take().expect("it is piped")).lines();
    let (to, read) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| to.send(line)));
    let next = || read.recv_timeout(PATIENCE).expect("kcat reads on");
    assert_eq!(next(), "first");
    must_produce(&cluster, leader, "t", 0, &batch_of(&["second"]));
    assert_eq!(next(), "second");
    kcat.kill().expect("it runs");
    kcat.wait().expect("it was killed");
    let said = said.join().expect("it only reads");
    let asked = format!("{}/{follower}: Fetch topic t [0] at offset 1", addresses[&follower]);
    assert!(said.iter().any(|line| line.contains(&asked)), "{asked}: {said:#?}");
}
