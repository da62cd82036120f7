//! Much data that nobody judges: it makes the disks work, and fills them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    broker::{Client, batch_of},
    cluster::{Cluster, find_leader},
};

const TOPIC: &str = "ballast";
const PARTITIONS: i32 = 3;
const VALUE_BYTES: usize = 60_000;
/// Between two records of a partition.
const PAUSE: Duration = Duration::from_millis(2);
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A writer for each partition, until it is dropped.
pub(crate) struct Ballast {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Ballast {
    /// Each partition gets no more than `bytes_max`.
    pub(crate) fn start(cluster: &Cluster, bytes_max: usize) -> Self {
        cluster.create_topic(TOPIC, PARTITIONS, 3);
        let stop = Arc::new(AtomicBool::new(false));
        let write = |partition| {
            let (addresses, stop) = (cluster.addresses(), stop.clone());
            thread::spawn(move || {
                let batch = batch_of(&[&"x".repeat(VALUE_BYTES)]);
                let (mut leader, mut written) = (None::<Client>, 0);
                while !stop.load(Ordering::Acquire) && written < bytes_max {
                    let led = leader.take().or_else(|| find_leader(&addresses, TOPIC, partition));
                    let told = led.and_then(|mut client| {
                        let produced = client.try_produce(TOPIC, partition, &batch).ok()?;
                        Some((client, produced.code)).filter(|(_, code)| *code == model::ErrorCode::None)
                    });
                    let pause = if told.is_some() { PAUSE } else { RETRY_PAUSE };
                    if let Some((client, _)) = told {
                        (leader, written) = (Some(client), written + VALUE_BYTES);
                    }
                    thread::sleep(pause);
                }
            })
        };
        let threads = (0..PARTITIONS).map(write).collect();
        Self { stop, threads }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a writer of ballast is answered as Kafka answers");
        }
    }
}
