//! Replicas that are not what was written: they leave, are repaired from the others, and come back by themselves. A partition
//! that has no others stays as it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use model::{BatchView, ErrorCode};
use net::wire::messages::elect_leaders;

use crate::{
    broker::{
        FetchAt, PATIENCE,
        batch::{batch_at, records},
        scratch::{files_with, flip},
        wait_for,
    },
    cluster::{Cluster, must_produce},
};

const TOPIC: &str = "t";
/// The smallest there are.
const SMALL_SEGMENTS: (&str, &str) = ("segment.bytes", "1048576");
const BATCHES: i64 = 240;
const PER_BATCH: i64 = 4;

fn value(n: i64) -> String {
    format!("{n:0>4000}")
}

/// About 16 KiB.
fn sizeable(n: i64) -> Vec<u8> {
    let values: Vec<_> =
        (PER_BATCH * n..PER_BATCH * (n + 1)).map(|n| (1_700_000_000_000 + n, value(n))).collect();
    batch_at(&values)
}

/// Three brokers, and a partition of several segments on as many as the topic says.
fn start(replicas: i16) -> Cluster {
    let cluster = Cluster::start();
    if replicas > 1 {
        cluster.client().create_topic_with(TOPIC, 1, &[SMALL_SEGMENTS]).expect("the topic is made");
    } else {
        cluster.create_topic(TOPIC, 1, replicas);
        let set = cluster.client().alter_topic(TOPIC, "min.insync.replicas", 0, Some("1"));
        assert_eq!(set, ErrorCode::None);
    }
    cluster.wait_for_isr(TOPIC, replicas as usize);
    write(&cluster, 0..BATCHES);
    cluster
}

fn write(cluster: &Cluster, batches: std::ops::Range<i64>) {
    let leader = leader(cluster);
    for n in batches {
        must_produce(cluster, leader, TOPIC, 0, &sizeable(n));
    }
}

fn leader(cluster: &Cluster) -> i32 {
    cluster.wait_for_isr(TOPIC, 1)[0].leader.expect("it has one")
}

/// As a consumer does it: from whoever leads, and again after an error.
#[track_caller]
fn assert_all_is_read(cluster: &Cluster, batches: i64) {
    let mut next = 0;
    while next < PER_BATCH * batches {
        let found = wait_for("the leader answers", PATIENCE, || {
            let leader = cluster.partitions(TOPIC).first()?.leader?;
            let fetched = cluster.broker(leader).client().fetch(FetchAt::new(TOPIC, 0, next));
            match fetched.code {
                ErrorCode::None => Some(records(&fetched.bytes, next)).filter(|found| !found.is_empty()),
                code if code.is_retriable() => None,
                code => panic!("at {next}: {code:?}"),
            }
        });
        for record in found {
            assert!(record.offset == next && record.text() == value(next), "offset {next} is another record");
            next += 1;
        }
    }
}

fn segments(cluster: &Cluster, id: i32) -> Vec<PathBuf> {
    files_with(&cluster.broker(id).folder(TOPIC, 0), "log")
}

/// Rots a bit in the last batch of a segment; answers the bytes as they are then.
fn rot(segment: &Path) -> Vec<u8> {
    let bytes = fs::read(segment).expect("a segment");
    let whole: usize = batches(&bytes);
    flip(segment, whole as u64 - 1000, 4);
    fs::read(segment).expect("a segment")
}

/// Where the last batch of a segment ends: behind it may be zeros.
fn batches(mut bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Ok(batch) = BatchView::check(bytes) {
        end += batch.bytes().len();
        bytes = &bytes[batch.bytes().len()..];
    }
    end
}

fn wait_until_said(cluster: &Cluster, id: i32, what: &str) {
    wait_for(what, PATIENCE, || cluster.broker(id).said().contains(what).then_some(()));
}

/// All are in sync, have the same bytes, and the damaged segment is there for a person, as it was found.
fn assert_repaired(mut cluster: Cluster, victim: i32, segment: &Path, damaged: &[u8], written: i64) {
    wait_until_said(&cluster, victim, "what was corrupt is gone");
    assert_in_sync_and_equal(&mut cluster, written);
    let kept = PathBuf::from(format!("{}.damaged", segment.display()));
    assert!(fs::read(kept).expect("the damaged segment is kept") == damaged, "it is kept with other bytes");
}

fn assert_in_sync_and_equal(cluster: &mut Cluster, written: i64) {
    cluster.wait_for_isr(TOPIC, 3);
    write(cluster, written..written + 5);
    cluster.wait_for_isr(TOPIC, 3);
    assert_all_is_read(cluster, written + 5);
    cluster.stop_all();
    let logs = [1, 2, 3].map(|id| {
        let paths = segments(cluster, id);
        paths.iter().flat_map(|path| fs::read(path).expect("a segment")).collect::<Vec<u8>>()
    });
    assert!(logs[0] == logs[1] && logs[1] == logs[2], "the replicas differ");
}

/// What a start looks at is found by it: the replica is not even open while it is told.
#[test]
fn a_replica_that_cannot_be_opened_is_repaired_before_it_counts() {
    let mut cluster = start(3);
    let victim = (1..=3).find(|&id| id != leader(&cluster)).expect("there are three");
    cluster.stop(victim);
    write(&cluster, BATCHES..BATCHES + 20);
    let segment = segments(&cluster, victim).pop().expect("it has segments");
    let damaged = rot(&segment);
    cluster.restart(victim);
    assert_repaired(cluster, victim, &segment, &damaged, BATCHES + 20);
}

/// After a kill the journal may still have what rots in a segment, or only say what stood there: it is healed or repaired.
#[test]
fn rot_on_a_killed_replica_does_no_harm() {
    let mut cluster = start(3);
    let victim = (1..=3).find(|&id| id != leader(&cluster)).expect("there are three");
    cluster.kill(victim);
    write(&cluster, BATCHES..BATCHES + 20);
    for segment in segments(&cluster, victim) {
        rot(&segment);
    }
    cluster.restart(victim);
    assert_in_sync_and_equal(&mut cluster, BATCHES + 20);
}

/// Nobody reads an old segment of a follower but who looks for rot.
#[test]
fn rot_in_a_closed_segment_of_a_follower_is_found_and_repaired() {
    let mut cluster = start(3);
    let victim = (1..=3).find(|&id| id != leader(&cluster)).expect("there are three");
    cluster.stop(victim);
    let all = segments(&cluster, victim);
    assert!(all.len() >= 3, "{all:?}");
    let damaged = rot(&all[1]);
    cluster.restart(victim);
    assert_repaired(cluster, victim, &all[1], &damaged, BATCHES);
}

#[test]
fn a_leader_that_meets_rot_gives_up_its_leadership_and_is_repaired() {
    let mut cluster = start(3);
    let victim = cluster.partitions(TOPIC)[0].replicas[0];
    // What it wrote is in its memory; what it finds on its disk at a start is not.
    cluster.stop(victim);
    let (said, shards) = (cluster.broker(victim).said().len(), cluster.broker(victim).launch.shards);
    cluster.restart(victim);
    cluster.wait_for_isr(TOPIC, 3);
    let all = segments(&cluster, victim);
    assert!(all.len() >= 3, "{all:?}");
    // Here it is to be met by a reader.
    wait_for("every shard has looked for rot", PATIENCE, || {
        let looks = cluster.broker(victim).said()[said..].matches("closed segments were read").count();
        (looks == usize::from(shards)).then_some(())
    });
    let damaged = rot(&all[1]);
    elect_preferred(&cluster);
    wait_for("it leads", PATIENCE, || (leader(&cluster) == victim).then_some(()));
    assert_all_is_read(&cluster, BATCHES);
    assert_ne!(leader(&cluster), victim, "it leads still");
    assert_repaired(cluster, victim, &all[1], &damaged, BATCHES);
}

fn elect_preferred(cluster: &Cluster) {
    let topics = vec![elect_leaders::TopicPartitions { topic: TOPIC.into(), partitions: vec![0] }];
    let request =
        elect_leaders::Request { election_type: 0, topic_partitions: Some(topics), timeout_ms: 30_000 };
    cluster.client().call(2, &request);
}

/// Beyond the budget the answer is an error, and never a loss.
#[test]
fn a_corrupt_partition_without_other_replicas_stays_offline() {
    let mut cluster = start(1);
    let victim = leader(&cluster);
    cluster.stop(victim);
    let segment = segments(&cluster, victim).pop().expect("it has segments");
    let before = fs::read(&segment).expect("a segment");
    let damaged = rot(&segment);
    cluster.restart(victim);
    wait_until_said(&cluster, victim, &format!("{} is corrupt at byte", segment.display()));
    let fetched = cluster.broker(victim).client().fetch(FetchAt::new(TOPIC, 0, 0));
    assert!(fetched.code.is_retriable(), "{:?}", fetched.code);
    cluster.create_topic("other", 3, 3);
    cluster.wait_for_isr("other", 3);
    cluster.stop(victim);
    assert!(fs::read(&segment).expect("a segment") == damaged, "it was changed");
    fs::write(&segment, before).expect("it can be put back");
    cluster.restart(victim);
    assert_all_is_read(&cluster, BATCHES);
}
