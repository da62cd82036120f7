//! Faults under load. After each: everything acknowledged is where it was said to be, once, on every replica.

use std::{fs, time::Duration};

use crate::{
    broker::client::FetchAt,
    check::{self, Contents, Value},
    cluster::Cluster,
    load::Load,
    watch::Watch,
};

const TOPIC: &str = "t";
const PARTITIONS: i32 = 3;
/// Others must lead by then.
const FAIL_OVER: Duration = Duration::from_secs(10);

/// A cluster with a topic that is written and watched.
struct Run {
    cluster: Cluster,
    load: Load,
    watch: Watch,
}

impl Run {
    fn start() -> Self {
        let cluster = Cluster::start();
        cluster.create_topic(TOPIC, PARTITIONS, 3);
        cluster.wait_for_isr(TOPIC, 3);
        let load = Load::start(&cluster, TOPIC, PARTITIONS);
        let watch = Watch::start(&cluster, TOPIC, PARTITIONS, load.shared.clone());
        load.wait_for_batches(50);
        Self { cluster, load, watch }
    }

    fn wait_for_progress(&self) {
        let took = self.load.wait_for_progress(FAIL_OVER);
        println!("written again after {} ms", took.as_millis());
    }

    fn leader(&self, partition: i32) -> i32 {
        let partitions = self.cluster.wait_for_isr(TOPIC, 1);
        partitions[partition as usize].leader.expect("it has one")
    }

    /// Everything heals, and is judged.
    #[track_caller]
    fn end(mut self) {
        let history = self.load.end();
        self.cluster.wait_for_isr(TOPIC, 3);
        let mut complaints = self.watch.end();
        let contents = read(&self.cluster);
        complaints.extend(check::judge(&history, &contents));
        let records: usize = contents.values().map(Vec::len).sum();
        println!("{} batches were acknowledged, {records} records are there", history.acknowledged.len());
        self.cluster.stop_all();
        complaints.extend(differences(&self.cluster));
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}

/// All partitions, from their leaders.
fn read(cluster: &Cluster) -> Contents {
    let mut contents = Contents::new();
    for partition in cluster.wait_for_isr(TOPIC, 3) {
        let leader = partition.leader.expect("it has one");
        let records = cluster.broker(leader).client().read_from(TOPIC, partition.index, 0);
        let value = |text: &str| Value::parse(text).unwrap_or_else(|| panic!("nobody wrote {text}"));
        let records = records.iter().map(|record| (record.offset, value(record.text()))).collect();
        contents.insert(partition.index, records);
    }
    contents
}

/// What the replicas have on their disks, once all are stopped: the same bytes.
fn differences(cluster: &Cluster) -> Vec<String> {
    let mut complaints = Vec::new();
    for partition in 0..PARTITIONS {
        let logs = [1, 2, 3].map(|id| {
            let entries = fs::read_dir(cluster.broker(id).folder(TOPIC, partition)).expect("a replica");
            let paths = entries.map(|entry| entry.expect("a file").path());
            let mut segments: Vec<_> =
                paths.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
            segments.sort();
            segments.iter().flat_map(|path| fs::read(path).expect("a segment")).collect::<Vec<u8>>()
        });
        for (id, log) in [2, 3].into_iter().zip(&logs[1..]) {
            if *log != logs[0] {
                let same = log.iter().zip(&logs[0]).take_while(|(a, b)| a == b).count();
                let (a, b) = (logs[0].len(), log.len());
                complaints.push(format!(
                    "partition {partition}: brokers 1 and {id} differ from byte {same} on, of {a} and {b}"
                ));
            }
        }
    }
    complaints
}

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
