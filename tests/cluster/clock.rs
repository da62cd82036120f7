//! Brokers whose clocks are hours wrong: one ahead, one behind, one right.

use std::{
    fs,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use model::ErrorCode;

use crate::{
    broker::{PATIENCE, batch_of, skip, wait_for},
    cluster::{Cluster, Environment, Ground},
    run::Run,
};

const HOURS: i64 = 5;
const HOUR_MS: i64 = 3_600_000;
const STAMPED: &str = "stamped";

/// A library that comes between a process and its wall clock.
fn faketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// The clock that must not jump is left alone: nobody can set it.
fn shifted(library: &std::path::Path, hours: i64) -> Environment {
    let library = library.to_str().expect("a path in UTF-8");
    let of = |(key, value): (&str, String)| (key.to_owned(), value);
    [
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME", format!("{hours:+}h")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
    .map(of)
    .to_vec()
}

/// The offset of each broker's clock in hours, as the records say that it stamps.
fn assert_clocks(cluster: &Cluster, expected: &[(i32, i64)]) {
    let made = wait_for("a topic is made", PATIENCE, || {
        let config = [("message.timestamp.type", "LogAppendTime")];
        match cluster.client().create_topic_with(STAMPED, 3, &config) {
            Err(code) if code.is_retriable() => None,
            made => Some(made),
        }
    });
    assert!(matches!(made, Ok(_) | Err(ErrorCode::TopicAlreadyExists)), "{made:?}");
    let mut seen = Vec::new();
    for partition in cluster.wait_for_isr(STAMPED, 3) {
        let leader = partition.leader.expect("it has one");
        let mut client = cluster.broker(leader).client();
        let produced = wait_for("the leader takes a batch", PATIENCE, || {
            let produced = client.produce(STAMPED, partition.index, &batch_of(&["x"]));
            (produced.code == ErrorCode::None).then_some(produced)
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
        seen.push((leader, (produced.log_append_time - now + HOUR_MS / 2).div_euclid(HOUR_MS)));
    }
    seen.sort_unstable();
    assert_eq!(seen, expected);
}

#[test]
fn clocks_that_are_hours_wrong_change_nothing() {
    let Some(library) = faketime() else { return skip("libfaketime is not installed") };
    let environment = [(1, shifted(&library, HOURS)), (2, shifted(&library, -HOURS))].into();
    // To the one that is behind they are valid by now.
    let of_certificates = shifted(&library, -2 * HOURS);
    let mut run = Run::start_on(Ground { environment, of_certificates, ..Ground::default() });
    assert_clocks(&run.cluster, &[(1, HOURS), (2, -HOURS), (3, 0)]);
    for id in [1, 2, 3] {
        run.cluster.kill(id);
        run.wait_for_progress();
        run.cluster.restart(id);
        run.wait_until_in_sync();
    }
    run.end();
}
