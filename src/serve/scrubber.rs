//! The pump that reads closed segments which nobody reads, slowly, so that rot is found while other replicas still have what
//! it takes. Of partitions with other replicas alone: for all others there is nothing to be done about it but to go offline
//! sooner. In a cluster, one a shard, in the background; it ends before the store is closed.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use engine::{
    Disk,
    compaction::{Pace, throttle::Throttle},
};
use net::Shard;
use rt::notify::Notify;

/// Of one shard: a gigabyte in two minutes, and hardly anything of what a disk can do.
const BYTES_PER_SECOND: f64 = (8 << 20) as f64;
/// From the beginning of one look at everything to the next.
const PERIOD: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Default)]
pub struct Scrubber(Rc<State>);

#[derive(Default)]
struct State {
    stopping: Cell<bool>,
    running: Cell<bool>,
    changed: Notify,
}

impl Scrubber {
    /// Once the shard's partitions are open.
    pub fn start<D: Disk>(&self, shard: Rc<Shard<D>>) {
        let state = self.0.clone();
        state.running.set(true);
        rt::spawn_background(async move {
            run(&shard, &state).await;
            state.running.set(false);
            state.changed.wake_all();
        });
    }

    /// Returns when nothing is read any more.
    pub async fn stop(&self) {
        self.0.stopping.set(true);
        self.0.changed.wake_all();
        loop {
            let changed = self.0.changed.wait();
            if !self.0.running.get() {
                return;
            }
            changed.await;
        }
    }
}

async fn run<D: Disk>(shard: &Shard<D>, state: &State) {
    let pace = ShardPace { state, throttle: RefCell::default(), started: Instant::now() };
    while !state.stopping.get() {
        let began = Instant::now();
        let count = look(shard, &pace).await;
        if state.stopping.get() {
            return;
        }
        tracing::info!(shard = %shard.id(), partitions = count, "closed segments were read and checked");
        while !state.stopping.get() && began.elapsed() < PERIOD {
            let left = PERIOD.saturating_sub(began.elapsed());
            let _ = rt::timer::timeout(left, state.changed.wait()).await;
        }
    }
}

/// At everything once. Answers at how many partitions.
async fn look<D: Disk>(shard: &Shard<D>, pace: &ShardPace<'_>) -> usize {
    let mut count = 0;
    for partition in shard.table().all() {
        let (id, image) = (partition.id(), shard.image());
        let placed = image.partition(id.topic, id.partition);
        if placed.is_some_and(|placed| placed.replicas.len() > 1) {
            shard.store().scrub(partition.log(), pace).await;
            count += 1;
        }
    }
    count
}

struct ShardPace<'a> {
    state: &'a State,
    throttle: RefCell<Throttle>,
    started: Instant,
}

impl Pace for ShardPace<'_> {
    async fn spent(&self, mut bytes: usize) {
        while !self.is_stopping() {
            let now_us = self.started.elapsed().as_micros() as u64;
            let wait_us =
                self.throttle.borrow_mut().spend(now_us, std::mem::take(&mut bytes), BYTES_PER_SECOND);
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
