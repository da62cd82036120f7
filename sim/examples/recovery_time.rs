//! How long a start after a kill takes for what the journal holds, without the disk: the memory disk answers at once, so this
//! is what recovery itself costs. `cargo run -p sim --release --example recovery_time`

use std::{
    future::Future,
    path::Path,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use engine::{LogConfig, Store, StoreOptions, disk::mem::MemDisk, journal, recovery::Recovery};
use model::{
    LeaderEpoch, PartitionIndex, Timestamp, TopicId, TopicPartition,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

const DATA: &str = "/data";
const TOPIC: &str = "t";
const BATCH_BYTES: usize = 4096;
const RUNS: usize = 5;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let (mut future, mut cx) = (pin!(future), Context::from_waker(Waker::noop()));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
}

fn id(partition: i32) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(partition))
}

/// A disk whose journal holds `bytes` of batches that are in no segment yet.
async fn killed(bytes: usize, partitions: i32) -> MemDisk {
    let disk = MemDisk::new(1);
    disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
    let options = StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt: 1,
        journal_bytes_first: 256 << 20,
        journal_bytes_max: 256 << 20,
        cache_bytes_max: 0,
        checkpoint_ms: i64::MAX,
    };
    let (pages, journal) = (PagePool::new(1 << 30), PagePool::new(journal::POOL_BYTES));
    let store = Store::start(disk.clone(), pages, journal, options).await.expect("a disk that works");
    let mut logs = vec![];
    for partition in 0..partitions {
        let opened = store.open_log(id(partition), TOPIC, LogConfig::default(), None, Timestamp(0)).await;
        logs.push(opened.expect("a new log"));
    }
    let batch = batch_of(0, 0, Producer::NONE, &[&[b'v'; BATCH_BYTES]]);
    for n in 0..bytes / batch.len() {
        let log = &logs[n % logs.len()];
        store.append(log, &batch, LeaderEpoch(0), Timestamp(0)).expect("there is room");
        if n % 16 == 15 {
            store.commit().await.expect("a disk that works");
        }
    }
    while !store.is_idle() {
        store.commit().await.expect("a disk that works");
    }
    disk
}

/// The scan of the journal, and the logs with the end.
async fn recover(disk: MemDisk, partitions: i32) -> (Duration, Duration) {
    let began = Instant::now();
    let recovery = Recovery::scan(disk, PagePool::new(64 << 20), Path::new(DATA)).await.expect("a journal");
    let scanned = began.elapsed();
    for partition in 0..partitions {
        recovery.restore(id(partition), TOPIC).await.expect("nothing is corrupt");
    }
    let restored = began.elapsed() - scanned;
    // Its one sync is the memory disk's own cost: it copies every file.
    recovery.finish().await.expect("a disk that works");
    (scanned, restored)
}

fn main() {
    println!("live journal, partitions: scan, logs (median of {RUNS})");
    for partitions in [1, 1000] {
        for mib in [1, 8, 32, 120] {
            let mut times: Vec<_> = (0..RUNS)
                .map(|_| block_on(async { recover(killed(mib << 20, partitions).await, partitions).await }))
                .collect();
            times.sort();
            let (scan, logs) = times[RUNS / 2];
            println!("{mib:4} MiB, {partitions:4}: {:6.1} ms, {:6.1} ms", ms(scan), ms(logs));
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
