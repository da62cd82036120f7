//! A cluster with a topic that is written and watched while a test does to it what it does; and its judgement.

use std::{fs, time::Duration};

use crate::{
    check::{self, Contents, Value},
    cluster::{Cluster, Ground, Partition},
    load::Load,
    watch::Watch,
};

pub(crate) const TOPIC: &str = "t";
pub(crate) const PARTITIONS: i32 = 3;
/// Others must lead by then; and after a heal all must be written by then.
pub(crate) const FAIL_OVER: Duration = Duration::from_secs(10);
const REPLICAS: usize = 3;

pub(crate) struct Run {
    pub(crate) cluster: Cluster,
    pub(crate) load: Load,
    watch: Watch,
}

impl Run {
    pub(crate) fn start() -> Self {
        Self::start_on(Ground::default())
    }

    pub(crate) fn start_on(ground: Ground) -> Self {
        Self::start_with(Cluster::start_on(ground))
    }

    pub(crate) fn start_with(cluster: Cluster) -> Self {
        cluster.create_topic(TOPIC, PARTITIONS, REPLICAS as i16);
        cluster.wait_for_isr(TOPIC, REPLICAS);
        let load = Load::start(&cluster, TOPIC, PARTITIONS);
        let watch = Watch::start(&cluster, TOPIC, PARTITIONS, load.shared.clone());
        load.wait_for_batches(50);
        Self { cluster, load, watch }
    }

    #[track_caller]
    pub(crate) fn wait_for_progress(&self) {
        self.wait_for_progress_within(FAIL_OVER);
    }

    #[track_caller]
    pub(crate) fn wait_for_progress_within(&self, limit: Duration) {
        let took = self.load.wait_for_progress(limit);
        println!("written again after {} ms", took.as_millis());
    }

    pub(crate) fn leader(&self, partition: i32) -> i32 {
        let partitions = self.cluster.wait_for_isr(TOPIC, 1);
        partitions[partition as usize].leader.expect("it has one")
    }

    #[track_caller]
    pub(crate) fn wait_until_in_sync(&self) -> Vec<Partition> {
        self.cluster.wait_for_isr(TOPIC, REPLICAS)
    }

    /// Everything heals, and is judged.
    #[track_caller]
    pub(crate) fn end(mut self) {
        let history = self.load.end();
        let partitions = self.cluster.wait_for_isr(TOPIC, REPLICAS);
        let mut complaints = self.watch.end();
        let contents = read(&self.cluster);
        complaints.extend(check::judge(&history, &contents));
        let acknowledged: u64 = history.acknowledged.iter().map(|ack| ack.count).sum();
        let records: usize = contents.values().map(Vec::len).sum();
        println!("{acknowledged} records were acknowledged, {records} are there");
        self.cluster.stop_all();
        complaints.extend(differences(&self.cluster, &partitions));
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}
/// All partitions, from their leaders.
fn read(cluster: &Cluster) -> Contents {
    let mut contents = Contents::new();
    for partition in cluster.wait_for_isr(TOPIC, REPLICAS) {
        let leader = partition.leader.expect("it has one");
        let records = cluster.broker(leader).client().read_from(TOPIC, partition.index, 0);
        let value = |text: &str| Value::parse(text).unwrap_or_else(|| panic!("nobody wrote {text}"));
        let records = records.iter().map(|record| (record.offset, value(record.text()))).collect();
        contents.insert(partition.index, records);
    }
    contents
}

/// What the replicas have on their disks, once all are stopped: the same bytes.
fn differences(cluster: &Cluster, partitions: &[Partition]) -> Vec<String> {
    let mut complaints = Vec::new();
    for Partition { index, replicas, .. } in partitions {
        let (first, others) = replicas.split_first().expect("a partition has replicas");
        let expected = log(cluster, *first, *index);
        for id in others {
            let found = log(cluster, *id, *index);
            if found != expected {
                let same = found.iter().zip(&expected).take_while(|(a, b)| a == b).count();
                let (a, b) = (expected.len(), found.len());
                complaints.push(format!(
                    "partition {index}: brokers {first} and {id} differ from byte {same} on, of {a} and {b}"
                ));
            }
        }
    }
    complaints
}

/// All segments of a replica, one after the other.
fn log(cluster: &Cluster, id: i32, partition: i32) -> Vec<u8> {
    let entries = fs::read_dir(cluster.broker(id).folder(TOPIC, partition)).expect("a replica");
    let paths = entries.map(|entry| entry.expect("a file").path());
    let mut segments: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    segments.sort();
    segments.iter().flat_map(|path| fs::read(path).expect("a segment")).collect()
}
