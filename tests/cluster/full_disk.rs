//! One of three brokers has no room on its disk. The others go on without it, and it comes back by itself.

use std::{fs, time::Duration};

use crate::{
    ballast::Ballast,
    broker::{PATIENCE, Scratch, scratch::FileSystem, skip, wait_for},
    cluster::Ground,
    run::{Run, TOPIC},
};

const FULL: i32 = 2;
const DISK_BYTES: u64 = 512 << 20;
const RESERVE_BYTES: usize = 400 << 20;
/// Of each of three partitions: more than fits beside the reserve, and by far less than the disk. What the others took
/// in meanwhile comes when there is room again, and a disk that it fills anew cannot be closed in order.
const BALLAST_BYTES: usize = 40 << 20;
/// A follower that takes nothing is not waited for longer (replica.lag.time.max.ms).
const LAG: &str = "replica.lag.time.max.ms=2000";
/// That lag, and some looks at it.
const FAIL_OVER: Duration = Duration::from_secs(15);

#[test]
fn a_full_disk_of_one_broker_stops_only_what_it_leads() {
    let mut scratch = Scratch::new();
    let disk = match scratch.file_system("small", FileSystem::Ext4, DISK_BYTES) {
        Ok(disk) => disk,
        Err(why) => return skip(&format!("no small file system can be mounted here ({why})")),
    };
    let reserve = disk.join("reserve");
    fs::write(&reserve, vec![0x5a; RESERVE_BYTES]).expect("there is room");
    let data = [(FULL, disk.join("data"))].into();
    let mut run = Run::start_on(Ground { data, options: vec![LAG.to_owned()], ..Ground::default() });
    let ballast = Ballast::start(&run.cluster, BALLAST_BYTES);
    wait_for("the disk is full", 2 * PATIENCE, || {
        run.cluster.broker(FULL).said().contains("the disk is full").then_some(())
    });
    // Writers 2n and 2n + 1 have partition n.
    let led_by_others = run.cluster.wait_for_isr(TOPIC, 1).into_iter().filter(|p| p.leader != Some(FULL));
    let writers: Vec<u32> =
        led_by_others.flat_map(|p| [2 * p.index as u32, 2 * p.index as u32 + 1]).collect();
    assert!(!writers.is_empty(), "broker {FULL} leads everything");
    let took = run.load.wait_for_progress_of(&writers, FAIL_OVER);
    println!("those that others lead are written again after {} ms", took.as_millis());
    // Nobody is controller without the vote of the one that has no room.
    let gone = Some(run.cluster.controller()).filter(|&id| id != FULL).unwrap_or(1);
    run.cluster.kill(gone);
    run.cluster.create_topic("made-by-two", 1, 1);
    run.cluster.restart(gone);
    drop(ballast);
    fs::remove_file(&reserve).expect("the reserve is there");
    run.wait_for_progress_within(FAIL_OVER);
    run.end();
}
