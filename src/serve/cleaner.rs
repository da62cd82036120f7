//! The pump that compacts a shard's logs, one after another, in the background: at Kafka's pace (`log.cleaner.backoff.ms`)
//! and within Kafka's limits, of which every shard has the same share. It ends before the store is closed.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use engine::{
    Compacted, CompactionBudget, Disk,
    compaction::{Pace, throttle::Throttle},
};
use net::Shard;
use rt::notify::Notify;

/// A change of the pace is heard within this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Default)]
pub struct Cleaner(Rc<State>);

#[derive(Default)]
struct State {
    stopping: Cell<bool>,
    ended: Cell<bool>,
    changed: Notify,
}

impl Cleaner {
    pub fn start<D: Disk>(&self, shard: Rc<Shard<D>>) {
        let state = self.0.clone();
        rt::spawn_background(async move {
            // As with Kafka the switch is looked at when the broker starts.
            if shard.config().log_cleaner_enable {
                run(&shard, &state).await;
            }
            state.ended.set(true);
            state.changed.wake_all();
        });
    }

    /// Returns when the pump has ended. A pass under way is given up at its next step.
    pub async fn stop(&self) {
        self.0.stopping.set(true);
        self.0.changed.wake_all();
        loop {
            let changed = self.0.changed.wait();
            if self.0.ended.get() {
                return;
            }
            changed.await;
        }
    }
}

async fn run<D: Disk>(shard: &Shard<D>, state: &State) {
    let pace = ShardPace { shard, state, throttle: RefCell::default(), started: Instant::now() };
    while !state.stopping.get() {
        match shard.store().compact_one(rt::timer::wall(), budget(shard), &pace).await {
            Compacted::Cleaned(..) => rt::yield_if_needed().await,
            Compacted::Nothing | Compacted::GivenUp(_) => rest(shard, state).await,
        }
    }
}

fn budget<D: Disk>(shard: &Shard<D>) -> CompactionBudget {
    let config = shard.config();
    let bytes = usize::try_from(config.log_cleaner_dedupe_buffer_size).unwrap_or(0);
    let seed = uuid::Uuid::new_v4().as_u64_pair();
    CompactionBudget {
        key_bytes: bytes / usize::from(shard.count()),
        load_factor: config.log_cleaner_io_buffer_load_factor,
        seed: [seed.0, seed.1],
    }
}

/// Until there may be something to do, or the broker stops.
async fn rest<D: Disk>(shard: &Shard<D>, state: &State) {
    let began = Instant::now();
    while !state.stopping.get() {
        let backoff = u64::try_from(shard.config().log_cleaner_backoff_ms).unwrap_or(0);
        let left = Duration::from_millis(backoff).saturating_sub(began.elapsed());
        if left.is_zero() {
            // Without a backoff others want their turn all the same.
            return rt::yield_now().await;
        }
        let _ = rt::timer::timeout(left.min(LOOK_AGAIN), state.changed.wait()).await;
    }
}

struct ShardPace<'a, D: Disk> {
    shard: &'a Shard<D>,
    state: &'a State,
    throttle: RefCell<Throttle>,
    started: Instant,
}

impl<D: Disk> Pace for ShardPace<'_, D> {
    async fn spent(&self, mut bytes: usize) {
        while !self.is_stopping() {
            let all_shards = self.shard.config().log_cleaner_io_max_bytes_per_second;
            let now_us = self.started.elapsed().as_micros() as u64;
            let rate = all_shards / f64::from(self.shard.count());
            let wait_us = self.throttle.borrow_mut().spend(now_us, std::mem::take(&mut bytes), rate);
            if wait_us == 0 {
                break;
            }
            let stops = self.state.changed.wait();
            let _ = rt::timer::timeout(Duration::from_micros(wait_us), stops).await;
        }
        rt::yield_if_needed().await;
    }

    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        rt::blocking_aside(work).await
    }

    fn is_stopping(&self) -> bool {
        self.state.stopping.get()
    }
}
