//! Brokers that cannot hear each other, or hardly, while clients write to whom they can reach.

use std::{thread, time::Duration};

use crate::{
    cluster::Ground,
    network::Network,
    run::{PARTITIONS, Run},
};

/// Longer than a broker's session and the voters' election timeout, by far.
const CUT: Duration = Duration::from_millis(2500);
/// Two that cannot hear each other and that the controller hears: the leader waits for its follower no longer.
const LAG: &str = "replica.lag.time.max.ms=3000";
/// A client that waits for who was cut off gives up after 5 seconds, and looks for another.
const FAIL_OVER_OF_CUT: Duration = Duration::from_secs(15);
/// With lost datagrams sessions may end, and begin again.
const FAIL_OVER_OF_BAD_LINK: Duration = Duration::from_secs(25);

fn start() -> Option<Run> {
    let network = Some(Network::new(3)?);
    let options = vec![LAG.to_owned()];
    Some(Run::start_on(Ground { network, options, ..Ground::default() }))
}

impl Run {
    fn network(&self) -> &Network {
        self.cluster.network().expect("started with one")
    }

    /// All go on, all come into sync, and nothing is wrong.
    #[track_caller]
    fn heal_and_end(self) {
        self.network().heal();
        self.wait_for_progress();
        self.end();
    }
}

/// Its clients still reach it, and it must not tell them that anything is written.
#[test]
fn a_leader_that_is_cut_off_from_brokers_is_replaced() {
    let Some(run) = start() else { return };
    let leader = run.leader(0);
    run.network().isolate(leader);
    run.wait_for_progress_within(FAIL_OVER_OF_CUT);
    thread::sleep(CUT);
    run.heal_and_end();
}

/// The voters that hear nothing of their controller, and the controller that hears all of them.
#[test]
fn a_controller_that_nobody_hears_is_replaced() {
    let Some(run) = start() else { return };
    let controller = run.cluster.controller();
    for other in [1, 2, 3].into_iter().filter(|&id| id != controller) {
        run.network().deafen(other, controller);
    }
    run.wait_for_progress_within(FAIL_OVER_OF_CUT);
    thread::sleep(CUT);
    run.heal_and_end();
}

/// Both ways round the same link: who cannot be heard, and then who cannot hear.
#[test]
fn a_link_that_is_cut_one_way_stops_nobody_for_long() {
    let Some(run) = start() else { return };
    let leader = run.leader(0);
    let follower = 1 + leader % 3;
    for (deaf, other) in [(leader, follower), (follower, leader)] {
        run.network().deafen(deaf, other);
        run.wait_for_progress_within(FAIL_OVER_OF_BAD_LINK);
        thread::sleep(CUT);
        run.wait_for_progress_within(FAIL_OVER_OF_BAD_LINK);
        run.network().heal();
        run.wait_until_in_sync();
    }
    run.heal_and_end();
}

#[test]
fn brokers_that_are_all_cut_off_acknowledge_nothing_and_go_on_afterwards() {
    let Some(run) = start() else { return };
    (1..=3).for_each(|id| run.network().isolate(id));
    // What was on its way when the cut came is answered by now.
    thread::sleep(CUT);
    let ends = || (0..PARTITIONS).map(|partition| run.load.shared.end(partition)).collect::<Vec<_>>();
    let before = ends();
    thread::sleep(CUT);
    assert_eq!(ends(), before, "something was acknowledged by one broker alone");
    run.heal_and_end();
}

/// One after the other: a leader that sends slowly, links that lose a fifth of everything, and a cable that is out for a
/// moment and then for longer than a session.
#[test]
fn bad_links_lose_no_record() {
    let Some(run) = start() else { return };
    run.network().slow_down(run.leader(0), 400);
    for _ in 0..3 {
        run.wait_for_progress_within(FAIL_OVER_OF_BAD_LINK);
        thread::sleep(CUT / 2);
    }
    run.network().heal();
    (1..=3).for_each(|id| run.network().lose(id, 20));
    for _ in 0..3 {
        run.wait_for_progress_within(FAIL_OVER_OF_BAD_LINK);
        thread::sleep(CUT / 2);
    }
    run.network().heal();
    for out in [Duration::from_millis(300), CUT] {
        run.wait_until_in_sync();
        run.network().unplug(run.leader(0));
        thread::sleep(out);
        run.network().heal();
        run.wait_for_progress_within(FAIL_OVER_OF_CUT);
    }
    run.heal_and_end();
}

/// A tunnel on the way, say, that carries less than both ends believe: links that live and links that begin both find out
/// what comes through.
#[test]
fn a_path_that_swallows_large_datagrams_stops_nobody() {
    let Some(mut run) = start() else { return };
    // QUIC's smallest datagram, with the heads of IP and UDP, is 1228 bytes.
    run.network().narrow(1260);
    for _ in 0..3 {
        run.wait_for_progress_within(FAIL_OVER_OF_BAD_LINK);
        thread::sleep(CUT / 2);
    }
    run.wait_until_in_sync();
    let leader = run.leader(0);
    run.cluster.kill(leader);
    run.wait_for_progress_within(FAIL_OVER_OF_BAD_LINK);
    run.cluster.restart(leader);
    run.wait_until_in_sync();
    let lost = run.network().narrow_lost();
    println!("{lost} packets were too large");
    assert!(lost > 0, "the path was not narrow");
    run.heal_and_end();
}
