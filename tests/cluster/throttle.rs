//! A move of a partition that is held back, so that it takes no more of the network than it was given (KIP-73).

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    broker::{PATIENCE, batch_of, wait_for},
    cluster::{Cluster, Ground, must_produce},
};

const BATCHES: usize = 6;
const BATCH_BYTES: usize = 500_000;
/// How long the move is seen to stand still. Without a throttle it takes some milliseconds.
const STANDSTILL: Duration = Duration::from_secs(2);

/// What `tailrace cluster` says to these arguments; it must end well.
#[track_caller]
fn tool(cluster: &Cluster, args: &[&str]) -> String {
    let running = cluster.running();
    let address = &cluster.addresses()[&running[0]];
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
    let output = command.arg("cluster").args(args).args(["-b", address]).output().expect("the binary runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text")
}

fn moves(cluster: &Cluster) -> bool {
    tool(cluster, &["reassignments", "--preserve-throttles"]).starts_with("TOPIC")
}

#[test]
fn a_throttled_move_goes_on_as_fast_as_it_may_and_the_throttle_goes_with_it() {
    let cluster =
        Cluster::start_with(Ground::default(), |_| vec!["replication.quota.window.num=2".to_owned()]);
    cluster.create_topic("t", 1, 2);
    let before = cluster.wait_for_isr("t", 2)[0].clone();
    let leader = before.leader.expect("it has one");
    let comes = (1..=3).find(|id| !before.replicas.contains(id)).expect("two of three have it");
    for n in 0..BATCHES {
        let value = vec![b'a' + n as u8; BATCH_BYTES];
        must_produce(&cluster, leader, "t", 0, &batch_of(&[value]));
    }
    let wanted = format!("{leader},{comes}");
    tool(&cluster, &["reassign", "t", "0", &wanted, "--throttle", "1"]);
    let until = Instant::now() + STANDSTILL;
    while Instant::now() < until {
        assert!(moves(&cluster), "at a byte a second it would take months");
        // Those in sync are not held back.
        must_produce(&cluster, leader, "t", 0, &batch_of(&["between"]));
    }
    let told = tool(&cluster, &["reassignments"]);
    let expected = format!(
        "throttle: of brokers {}",
        [1, 2, 3].map(|id| format!("{id} at 1 bytes a second")).join(", ")
    );
    assert!(told.contains(&expected) && told.ends_with("; of topics t\n"), "{told}");

    // Two megabytes are left at least, at half a megabyte a second, and as much of it at once.
    let began = Instant::now();
    tool(&cluster, &["reassign", "t", "0", &wanted, "--throttle", "500000"]);
    wait_for("the move is done", PATIENCE, || (!moves(&cluster)).then_some(()));
    assert!(began.elapsed() > Duration::from_secs(2), "it took {:?}", began.elapsed());
    let now = cluster.wait_for_isr("t", 2)[0].clone();
    assert_eq!(now.replicas, [leader, comes]);
    let told = tool(&cluster, &["reassignments"]);
    assert!(told.starts_with("nothing moves\nthrottle taken off: "), "{told}");
    // Each broker tells its own configs, and hears of their end in its own time.
    wait_for("the throttle is gone", PATIENCE, || {
        (tool(&cluster, &["reassignments"]) == "nothing moves\n").then_some(())
    });
}
