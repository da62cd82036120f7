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
/// A vote wants a new file, and a voter that cannot make its vote durable ends: a limit that docs/cluster.md names. On a
/// busy machine the ordinary timeout brings elections that have nothing to do with the disk.
const NO_ELECTION: &str = "controller.quorum.election.timeout.ms=10000";
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
    let run = Run::start_on(Ground {
        data,
        options: [LAG, NO_ELECTION].map(str::to_owned).to_vec(),
        ..Ground::default()
    });
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
    drop(ballast);
    fs::remove_file(&reserve).expect("the reserve is there");
    run.wait_for_progress_within(FAIL_OVER);
    run.end();
}
