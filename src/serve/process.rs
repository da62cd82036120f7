//! What the shards of one process share: the plan they start from, and the few places where they meet at the start and
//! at the stop. Nothing here is touched while requests are served.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use coordinator::{BrokerConfig, Quorum};
use model::{Offset, PartitionIndex, TopicPartition};
use net::{Admission, Host};
use replication::transport::Identity;

use super::{
    addresses::Bound,
    checkpoints::{CleanerOffsets, LogStarts},
};

/// How long a shard at a meeting point sleeps before it looks again.
const MEETING_PAUSE: Duration = Duration::from_millis(1);

/// Decided before the shards start.
pub struct Plan {
    pub config: BrokerConfig,
    pub data_dir: PathBuf,
    pub cluster_id: String,
    /// `None`: a broker alone.
    pub cluster: Option<Cluster>,
    /// Random: this start of the process among all.
    pub incarnation: [u8; 16],
    pub host: Host,
    /// The last stop was in order.
    pub clean: bool,
    pub bound: Vec<Bound>,
    /// Where shard 0 serves metrics.
    pub metrics: Vec<SocketAddr>,
    pub page_bytes: usize,
    /// What the kernel offers, for the start-up line.
    pub kernel: String,
    pub started: Instant,
}

/// How this broker is one of several.
pub struct Cluster {
    pub quorum: Quorum,
    pub identity: Identity,
    /// Of shard 0; the port of every other shard follows.
    pub address: SocketAddr,
}

pub struct Process {
    pub plan: Plan,
    pub admission: Arc<Admission>,
    shard_count: usize,
    /// Where logs begin that lost their first records; known once shard 0 has recovered them.
    log_starts: OnceLock<LogStarts>,
    /// How far logs are compacted; known before that.
    cleaned: OnceLock<CleanerOffsets>,
    /// Logs that recovery refused, and the first segment of each that is corrupt; known before that.
    damaged: OnceLock<BTreeMap<TopicPartition, Offset>>,
    failed: Mutex<mpsc::Sender<anyhow::Result<()>>>,
    entered: AtomicBool,
    left: AtomicBool,
    drained: AtomicUsize,
    closed: Mutex<Vec<ClosedLog>>,
    unfinished: AtomicBool,
}

/// Where a log stood when its store was closed. Of one that could not be opened, only what was known before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClosedLog {
    pub topic: String,
    pub partition: PartitionIndex,
    pub start: Option<Offset>,
    pub high: Option<Offset>,
    /// Up to where it was compacted, if ever.
    pub cleaned: Option<Offset>,
    pub end: Option<Offset>,
}

impl Process {
    pub fn new(plan: Plan, shard_count: usize, failed: mpsc::Sender<anyhow::Result<()>>) -> Self {
        let config = &plan.config;
        let admission = Admission::new(config.max_connections, config.max_connections_per_ip);
        admission.follow(config);
        Self {
            admission,
            plan,
            shard_count,
            log_starts: OnceLock::new(),
            cleaned: OnceLock::new(),
            damaged: OnceLock::new(),
            failed: Mutex::new(failed),
            entered: AtomicBool::new(false),
            left: AtomicBool::new(false),
            drained: AtomicUsize::new(0),
            closed: Mutex::default(),
            unfinished: AtomicBool::new(false),
        }
    }

    /// By shard 0, once nothing is left to recover.
    pub fn set_recovered(
        &self,
        starts: LogStarts,
        cleaned: CleanerOffsets,
        damaged: BTreeMap<TopicPartition, Offset>,
    ) {
        assert!(self.damaged.set(damaged).is_ok(), "recovery ends once");
        assert!(self.cleaned.set(cleaned).is_ok(), "recovery ends once");
        assert!(self.log_starts.set(starts).is_ok(), "recovery ends once");
    }

    /// Returns when the directory is whole, so that stores may start on it.
    pub async fn meet_recovered(&self) {
        while self.log_starts.get().is_none() {
            rt::timer::sleep(MEETING_PAUSE).await;
        }
    }

    pub fn log_starts(&self) -> &LogStarts {
        self.log_starts.get().expect("logs are opened after recovery")
    }

    pub fn cleaned(&self) -> &CleanerOffsets {
        self.cleaned.get().expect("logs are opened after recovery")
    }

    pub fn damaged(&self) -> &BTreeMap<TopicPartition, Offset> {
        self.damaged.get().expect("logs are opened after recovery")
    }

    /// A shard cannot go on: the process ends with this sentence.
    pub fn fail(&self, error: anyhow::Error) {
        let failed = self.failed.lock().expect("nobody panics while sending");
        // The main thread may have left with another shard's failure.
        let _ = failed.send(Err(error));
    }

    /// Shard 0: this broker is part of its cluster, and every shard has its partitions.
    pub fn set_entered(&self) {
        self.entered.store(true, Ordering::Release);
    }

    /// Returns when clients may come: whichever shard they come to, the partitions of all are there.
    pub async fn meet_entered(&self) {
        while !self.entered.load(Ordering::Acquire) {
            rt::timer::sleep(MEETING_PAUSE).await;
        }
    }

    /// Shard 0: others lead what this broker led, or it need not wait for that.
    pub fn set_left(&self) {
        self.left.store(true, Ordering::Release);
    }

    /// Returns when the broker has taken leave of its cluster: until then every shard serves.
    pub async fn meet_left(&self) {
        while !self.left.load(Ordering::Acquire) {
            rt::timer::sleep(MEETING_PAUSE).await;
        }
    }

    /// This shard asks nothing of others any more. Returns when none does.
    pub async fn meet_drained(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
        while self.drained.load(Ordering::Acquire) < self.shard_count {
            rt::timer::sleep(MEETING_PAUSE).await;
        }
    }

    /// Something is left that only a start with recovery puts in order.
    pub fn set_unfinished(&self) {
        self.unfinished.store(true, Ordering::Release);
    }

    pub fn is_unfinished(&self) -> bool {
        self.unfinished.load(Ordering::Acquire)
    }

    pub fn add_closed(&self, logs: impl IntoIterator<Item = ClosedLog>) {
        self.closed.lock().expect("nobody panics while adding").extend(logs);
    }

    pub fn take_closed(&self) -> Vec<ClosedLog> {
        std::mem::take(&mut self.closed.lock().expect("nobody panics while adding"))
    }
}
