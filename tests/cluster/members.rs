//! Who may be part of a cluster: a broker that joins later, and strangers.

use std::time::Duration;

use crate::{
    broker::{Broker, PATIENCE, batch_of, process::assert_one_sentence, refusal, wait_for},
    cluster::{Cluster, issue, make_authority, must_produce},
};

#[test]
fn a_fourth_broker_joins_and_gets_replicas() {
    let mut cluster = Cluster::start();
    cluster.add(4);
    for id in 1..=4 {
        wait_for("everyone knows the fourth", PATIENCE, || {
            (cluster.members(id).ok()? == [1, 2, 3, 4]).then_some(())
        });
    }
    cluster.create_topic("wide", 4, 3);
    let partitions = cluster.wait_for_isr("wide", 3);
    let on_fourth = partitions.iter().filter(|partition| partition.replicas.contains(&4)).count();
    assert!(on_fourth > 0, "{partitions:?}");
    for partition in &partitions {
        let leader = cluster.broker(partition.leader.expect("it has one"));
        must_produce(
            &cluster,
            partition.leader.expect("it has one"),
            "wide",
            partition.index,
            &batch_of(&["x"]),
        );
        assert_eq!(leader.client().values("wide", partition.index), ["x"]);
    }
    // It is one of them: what it leads is led by others when it dies.
    cluster.kill(4);
    wait_for("others lead", PATIENCE, || {
        let partitions = cluster.partitions("wide");
        let elsewhere = |leader: Option<i32>| leader.is_some_and(|leader| leader != 4);
        (!partitions.is_empty() && partitions.iter().all(|p| elsewhere(p.leader))).then_some(())
    });
    for partition in cluster.partitions("wide") {
        let leader = cluster.broker(partition.leader.expect("it has one"));
        assert_eq!(leader.client().values("wide", partition.index), ["x"]);
    }
    cluster.restart(4);
    cluster.wait_for_isr("wide", 3);
}

#[test]
fn a_broker_that_moved_is_found() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 3, 3);
    cluster.wait_for_isr("t", 3);
    cluster.stop(2);
    cluster.move_listener(2);
    cluster.restart(2);
    cluster.wait_for_isr("t", 3);
    // Also by those who start later and know it from the metadata alone.
    cluster.stop(1);
    cluster.restart(1);
    cluster.wait_for_isr("t", 3);
}

/// To the controller the dead one was still alive, and the one with the new disk ended with a complaint about it.
#[test]
fn a_broker_with_another_disk_may_come_before_the_session_of_the_dead_one_is_over() {
    let mut cluster = Cluster::start();
    cluster.create_topic("t", 3, 3);
    cluster.wait_for_isr("t", 3);
    let controller = cluster.controller();
    for id in [1 + controller % 3, controller] {
        cluster.kill(id);
        cluster.lose_data(id);
        cluster.restart(id);
        cluster.wait_for_isr("t", 3);
    }
}

#[test]
fn a_certificate_of_another_broker_is_refused_at_once() {
    let cluster = Cluster::start();
    issue(&cluster.ca(), 5, &cluster.path("five"));
    let launch = cluster.launch(4, &cluster.path("five"));
    assert_one_sentence(&refusal(launch), &["is for broker 5", "this is broker 4"]);
}

#[test]
fn a_certificate_of_another_authority_opens_no_door() {
    let cluster = Cluster::start();
    make_authority(&cluster.path("their-ca"));
    issue(&cluster.path("their-ca"), 4, &cluster.path("their-four"));
    let mut stranger = Broker::at_rest(cluster.launch(4, &cluster.path("their-four")));
    stranger.spawn();
    const REFUSED: &str = "it is no broker of this cluster";
    wait_for("the stranger says why", PATIENCE, || stranger.said().contains(REFUSED).then_some(()));
    let told = |id: &i32| cluster.broker(*id).said().matches(REFUSED).count();
    wait_for("all three have refused it", PATIENCE, || [1, 2, 3].iter().all(|id| told(id) > 0).then_some(()));
    // It tries again and again, and nobody says so again.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!([1, 2, 3].map(|id| told(&id)), [1, 1, 1]);
    assert!(stranger.said().matches(REFUSED).count() <= 3, "one line for each of the three");
    for id in 1..=3 {
        assert_eq!(cluster.members(id).expect("it answers"), [1, 2, 3]);
    }
    assert!(stranger.is_running(), "it waits: somebody may correct the others");
    stranger.kill();
}
