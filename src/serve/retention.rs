//! What time does to a shard's logs: records beyond their retention go, so do the files of dropped segments once their
//! delay is over, and producers that nobody has seen for long are forgotten. By the clock, a few logs at a time.

use std::{cell::Cell, rc::Rc, time::Duration};

use engine::{Disk, Store};
use model::TopicPartition;
use net::Shard;
use replication::Partition;
use rt::notify::Notify;

/// Logs whose starts are moved with one write.
const LOGS_IN_ONE_STEP: usize = 64;
/// The first look comes no later than this after the start, as with Kafka.
const FIRST_CHECK_MAX: Duration = Duration::from_secs(30);

/// The pumps of one shard.
#[derive(Clone, Default)]
pub struct Retention(Rc<State>);

#[derive(Default)]
struct State {
    stopping: Cell<bool>,
    running: Cell<usize>,
    changed: Notify,
}

impl Retention {
    pub fn start<D: Disk>(&self, shard: &Rc<Shard<D>>) {
        let this = (self.clone(), shard.clone());
        self.spawn(async move { this.0.check_logs(&this.1).await });
        let store = shard.store().clone();
        rt::spawn_background(async move { remove_files(&store).await });
        let this = (self.clone(), shard.clone());
        self.spawn(async move { this.0.expire_producers(&this.1).await });
    }

    fn spawn(&self, pump: impl Future<Output = ()> + 'static) {
        let state = self.0.clone();
        state.running.set(state.running.get() + 1);
        rt::spawn_background(async move {
            pump.await;
            state.running.set(state.running.get() - 1);
            state.changed.wake_all();
        });
    }

    /// Returns when no log is looked at any more.
    pub async fn stop(&self) {
        self.0.stopping.set(true);
        self.0.changed.wake_all();
        loop {
            let changed = self.0.changed.wait();
            if self.0.running.get() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// `true`: the time is over, and nobody has asked to stop.
    async fn sleep(&self, time: Duration) -> bool {
        let until = rt::timer::now() + time;
        loop {
            let changed = self.0.changed.wait();
            if self.0.stopping.get() {
                return false;
            }
            if rt::timer::timeout(until.since(rt::timer::now()), changed).await.is_none() {
                return true;
            }
        }
    }

    async fn check_logs<D: Disk>(&self, shard: &Shard<D>) {
        let interval = || {
            let ms = shard.config().log_retention_check_interval_ms;
            Duration::from_millis(ms.try_into().unwrap_or(0))
        };
        let mut pause = interval().min(FIRST_CHECK_MAX);
        while self.sleep(pause).await {
            for some in shard.table().all().chunks(LOGS_IN_ONE_STEP) {
                retain(shard, some).await;
                if self.0.stopping.get() {
                    return;
                }
                rt::yield_now().await;
            }
            pause = interval();
        }
    }

    async fn expire_producers<D: Disk>(&self, shard: &Shard<D>) {
        let ms = |ms: i32| Duration::from_millis(ms.try_into().unwrap_or(0));
        while self.sleep(ms(shard.config().producer_id_expiration_check_interval_ms)).await {
            let expiration_ms = shard.config().producer_id_expiration_ms.into();
            for partition in shard.table().all() {
                let forgotten = partition.log().expire_producers(rt::timer::wall(), expiration_ms);
                if forgotten > 0 {
                    tracing::debug!(partition = %partition.id(), forgotten, "producers have expired");
                }
                rt::yield_if_needed().await;
            }
        }
    }
}

async fn retain<D: Disk>(shard: &Shard<D>, partitions: &[Rc<Partition<D>>]) {
    // The cluster's own log is cut by nobody.
    let ours = partitions.iter().filter(|partition| partition.id() != TopicPartition::METADATA);
    let logs: Vec<_> = ours.map(|p| (p.log().clone(), p.watermarks().high)).collect();
    for log in shard.store().retain(&logs, rt::timer::wall()).await {
        let Some(partition) = shard.table().find(log.id()) else { continue };
        shard.table().moved(&partition);
        let topic = shard.image().topic_by_id(log.id().topic).map(|topic| topic.name.clone());
        let (topic, partition) = (topic.unwrap_or_default(), log.id().partition);
        tracing::info!(%topic, %partition, start = %log.ends().start, "the oldest records have had their time");
    }
}

/// For ever. What a stop leaves, the next start finds.
async fn remove_files<D: Disk>(store: &Store<D>) {
    loop {
        let dropped = store.files_dropped();
        match store.remove_dropped(rt::timer::wall()).await {
            None => dropped.await,
            Some(due) => {
                let pause = due.0.saturating_sub(rt::timer::wall().0);
                let pause = Duration::from_millis(pause.try_into().unwrap_or(0));
                // The clock or more files: both are reasons.
                let _ = rt::timer::timeout(pause, dropped).await;
            }
        }
    }
}
