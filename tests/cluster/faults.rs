//! Faults under load. After each: everything acknowledged is where it was said to be, once, on every replica.

use std::time::Duration;

use crate::{
    broker::client::FetchAt,
    run::{PARTITIONS, Run, TOPIC},
};

#[test]
fn killed_leaders_are_replaced_and_nothing_is_lost() {
    let mut run = Run::start();
    for partition in 0..PARTITIONS {
        let leader = run.leader(partition);
        run.cluster.kill(leader);
        run.wait_for_progress();
        run.cluster.restart(leader);
        run.cluster.wait_for_isr(TOPIC, 3);
    }
    run.end();
}

#[test]
fn a_rolling_restart_loses_nothing() {
    let mut run = Run::start();
    for id in [1, 2, 3] {
        run.cluster.stop(id);
        run.wait_for_progress();
        run.cluster.restart(id);
        run.cluster.wait_for_isr(TOPIC, 3);
    }
    run.end();
}

/// To the others it is dead, and then it comes back with what it believed before.
#[test]
fn a_controller_that_was_away_leads_no_longer() {
    let run = Run::start();
    let controller = run.cluster.controller();
    run.cluster.broker(controller).pause();
    std::thread::sleep(Duration::from_secs(3));
    run.cluster.broker(controller).resume();
    run.wait_for_progress();
    run.cluster.wait_for_isr(TOPIC, 3);
    run.wait_for_progress();
    run.end();
}

#[test]
fn a_cluster_that_was_killed_has_everything_it_acknowledged() {
    let mut run = Run::start();
    for id in [1, 2, 3] {
        run.cluster.kill(id);
    }
    run.cluster.start_all(&[1, 2, 3]);
    run.wait_for_progress();
    run.end();
}

/// The others have everything, and a broker with an empty disk is given it all.
#[test]
fn a_lost_disk_is_filled_anew() {
    let mut run = Run::start();
    let leader = run.leader(0);
    run.cluster.kill(leader);
    run.wait_for_progress();
    run.cluster.lose_data(leader);
    run.cluster.restart(leader);
    run.cluster.wait_for_isr(TOPIC, 3);
    // It leads as any other does.
    let other = (1..=3).find(|&id| id != leader).expect("there are three");
    run.cluster.kill(other);
    run.wait_for_progress();
    run.cluster.restart(other);
    run.end();
}

/// What one broker alone appended and nobody else has is not shown, neither before nor after.
#[test]
fn a_minority_acknowledges_nothing() {
    let mut run = Run::start();
    let leader = run.leader(0);
    let others: Vec<i32> = [1, 2, 3].into_iter().filter(|&id| id != leader).collect();
    others.iter().for_each(|&id| run.cluster.kill(id));
    let mut client = run.cluster.broker(leader).client();
    let alone = client.fetch(FetchAt::new(TOPIC, 0, 0)).high_watermark;
    std::thread::sleep(Duration::from_secs(2));
    let still = client.fetch(FetchAt::new(TOPIC, 0, 0)).high_watermark;
    // An acknowledgement of a replica may have been on its way when it was killed.
    assert!(still - alone <= 20, "{alone} became {still} without a majority");
    run.cluster.start_all(&others);
    run.wait_for_progress();
    run.end();
}
