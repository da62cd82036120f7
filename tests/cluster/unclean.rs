//! Partitions whose records are gone with their brokers, and who leads them when that is allowed.

use std::process::Command;

use model::ErrorCode;

use crate::{
    broker::{PATIENCE, batch_of, wait_for},
    cluster::{Cluster, must_produce},
};

/// The cluster's voters are well all the time: the brokers that hold the partition have no vote.
#[test]
fn a_partition_without_a_leader_gets_one_as_soon_as_that_is_allowed() {
    let mut cluster = Cluster::start();
    cluster.add(4);
    cluster.add(5);
    let mut client = cluster.broker(1).client();
    let min_one = [("min.insync.replicas", "1")];
    client.create_topic_with("t", 1, &min_one).expect("a topic like others");
    let address = cluster.addresses()[&1].clone();
    let reassign = ["cluster", "reassign", "t", "0", "4,5", "-b", &address];
    let moved = Command::new(env!("CARGO_BIN_EXE_tailrace")).args(reassign).output().expect("it runs");
    assert!(moved.status.success());
    wait_for("the partition is on brokers 4 and 5, and 4 leads", PATIENCE, || {
        let partition = cluster.partitions("t").into_iter().next()?;
        (partition.replicas == [4, 5] && partition.isr.len() == 2 && partition.leader == Some(4))
            .then_some(())
    });
    must_produce(&cluster, 4, "t", 0, &batch_of(&["both have it"]));
    cluster.kill(5);
    wait_for("4 is alone in sync", PATIENCE, || (cluster.partitions("t")[0].isr == [4]).then_some(()));
    must_produce(&cluster, 4, "t", 0, &batch_of(&["only 4 has it"]));
    cluster.kill(4);
    wait_for("nobody leads", PATIENCE, || cluster.partitions("t")[0].leader.is_none().then_some(()));
    cluster.restart(5);
    wait_for("5 is alive", PATIENCE, || cluster.members(1).ok()?.contains(&5).then_some(()));
    assert_eq!(cluster.partitions("t")[0].leader, None, "it lacks what was acknowledged");

    let altered = client.alter_topic("t", "unclean.leader.election.enable", 0, Some("true"));
    assert_eq!(altered, ErrorCode::None);
    wait_for("5 leads", PATIENCE, || (cluster.partitions("t")[0].leader == Some(5)).then_some(()));
    must_produce(&cluster, 5, "t", 0, &batch_of(&["later"]));
    assert_eq!(cluster.broker(5).client().values("t", 0), ["both have it", "later"]);
}
