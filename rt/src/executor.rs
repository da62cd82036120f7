//! Shards: a pinned thread with its own executor, ring and pages. Nothing is shared between shards but what
//! `channel` carries and `PageSlice`s.
//!
//! Tasks are detached when spawned and end by themselves; there is no cancel, because each cancelled task would leak
//! its header. Two lanes: network work, which is latency sensitive, and background work with fewer shares.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    io,
    panic::{self, AssertUnwindSafe},
    pin::pin,
    sync::mpsc,
    task::Poll,
    thread,
    time::Duration,
};

use glommio::{
    Latency, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, Shares, TaskQueueHandle,
};
use model::ShardId;

use crate::{
    affinity, blocking,
    notify::Notify,
    pages::PagePool,
    ring::{Ring, RingOptions},
    timer, turn,
};

/// The executor does not start with less memory for its own IO.
const IO_MEMORY_MIN: usize = 512 << 10;
const SHARDS_MAX: usize = 1024;
/// How long a shard that has ended waits for its ring.
const SHUTDOWN_WAIT_MAX: Duration = Duration::from_secs(5);
const NETWORK_SHARES: usize = 900;
const BACKGROUND_SHARES: usize = 100;

#[derive(Clone, Debug)]
pub struct ExecutorOptions {
    /// Spin this long before sleeping: a much shorter wake for CPU burnt at each sleep. 0: sleep at once.
    pub spin_us: u32,
    /// Memory that the executor registers for its own IO, three times over.
    pub io_memory: usize,
    /// How long tasks may run before the executor looks at what has come in meanwhile: `yield_if_needed` yields
    /// then, and a busy shard sees another's message after that time at the latest. 50 to 10 000.
    pub preempt_us: u32,
    /// Budget of each shard's page pool.
    pub page_bytes: usize,
    pub ring: RingOptions,
    /// Bind each shard to a core of its own. Left out anyway when there are more shards than cores.
    pub pin: bool,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            spin_us: 0,
            io_memory: 1 << 20,
            preempt_us: 500,
            page_bytes: 256 << 20,
            ring: RingOptions::default(),
            pin: true,
        }
    }
}

/// What `make` gets on each shard's own thread.
#[derive(Clone, Debug)]
pub struct Shard {
    pub id: ShardId,
    pub count: u16,
    pub ring: Ring,
    pub pages: PagePool,
}

/// One shard, decided before its thread starts.
#[derive(Clone, Debug)]
pub struct ShardSpec {
    pub id: ShardId,
    pub count: u16,
    /// The core it is bound to.
    pub core: Option<usize>,
    pub options: ExecutorOptions,
}

/// Runs `make(shard)` on `count` shards, 0 meaning one for each core this process may use, and returns when all are
/// done. The first shard that panics or cannot start ends the wait with an error; the process should then end too.
pub fn run_shards<F, Fut>(count: usize, options: ExecutorOptions, make: F) -> io::Result<()>
where
    F: Fn(Shard) -> Fut + Send + Clone + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let (done, results) = mpsc::channel();
    let specs = plan_shards(count, &options)?;
    let shard_count = specs.len();
    for spec in specs {
        let (make, report) = (make.clone(), Report::new(spec.id, done.clone()));
        thread::Builder::new().name(format!("shard-{}", spec.id)).spawn(move || {
            let outcome = run_shard(&spec, make);
            report.send(outcome.map(drop));
        })?;
    }
    for _ in 0..shard_count {
        results.recv().expect("every shard reports")?;
    }
    Ok(())
}

/// Runs one shard to its end and hands out what it returns.
pub fn run_single<T, F, Fut>(options: ExecutorOptions, make: F) -> io::Result<T>
where
    F: FnOnce(Shard) -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let spec = ShardSpec { id: ShardId(0), count: 1, core: None, options };
    let thread = thread::Builder::new().name("shard-0".into()).spawn(move || run_shard(&spec, make))?;
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn plan_shards(count: usize, options: &ExecutorOptions) -> io::Result<Vec<ShardSpec>> {
    let cores = affinity::allowed_cores()?;
    let count = if count == 0 { cores.len() } else { count };
    if count > SHARDS_MAX {
        let text = format!("{count} shards asked for, at most {SHARDS_MAX} are possible");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let pin = options.pin && count <= cores.len();
    let spec = |n: usize| ShardSpec {
        id: ShardId(n as u16),
        count: count as u16,
        core: pin.then(|| cores[n]),
        options: options.clone(),
    };
    Ok((0..count).map(spec).collect())
}

fn run_shard<T, F, Fut>(spec: &ShardSpec, make: F) -> io::Result<T>
where
    F: FnOnce(Shard) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let executor = make_executor(&spec.options)?;
    // Only now, so that the executor's pool for blocking calls stays free to run elsewhere.
    if let Some(core) = spec.core {
        affinity::bind_to(core)?;
    }
    let outcome = executor.run(async {
        let lanes = Lanes::create();
        LANES.set(Some(lanes));
        let turns = glommio::spawn_local_into(turn::start(spec.options.quantum())?, lanes.network);
        let turns = turns.map_err(io::Error::from)?;
        timer::start();
        let ring = Ring::start(spec.options.ring_options())?;
        let pages = PagePool::new(spec.options.page_bytes);
        ring.adopt(&pages);
        let future = make(Shard { id: spec.id, count: spec.count, ring: ring.clone(), pages });
        let main = glommio::spawn_local_into(caught(future), lanes.network).map_err(io::Error::from)?;
        let main = async {
            match main.await {
                Some(output) => Ok(output),
                None => Err(first_panic().await),
            }
        };
        let outcome = futures_lite::future::or(main, async { Err(first_panic().await) }).await;
        if timer::timeout(SHUTDOWN_WAIT_MAX, ring.shutdown()).await.is_none() {
            tracing::warn!("the ring did not end in time");
        }
        blocking::all_ended().await;
        timer::stop();
        turn::stop();
        turns.await;
        LANES.set(None);
        Ok(outcome)
    });
    match outcome {
        Ok(Err(payload)) => panic::resume_unwind(payload),
        Ok(Ok(output)) => Ok(output),
        Err(e) => Err(e),
    }
}

type Payload = Box<dyn Any + Send>;

thread_local! {
    static PANIC: RefCell<Option<Payload>> = const { RefCell::new(None) };
    static PANICKED: Notify = Notify::new();
}

/// A panic that unwinds through the executor aborts the process with a message of its own. So a task's panic is caught
/// here, ends the shard, and goes on from the thread of the shard, as in a test it should. A release build aborts at
/// the panic itself. `None`: it panicked.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let polled = panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(polled) => polled.map(Some),
            Err(payload) => {
                PANIC.with_borrow_mut(|first| {
                    first.get_or_insert(payload);
                });
                PANICKED.with(Notify::wake_all);
                Poll::Ready(None)
            }
        }
    })
    .await
}

async fn first_panic() -> Payload {
    loop {
        let panicked = PANICKED.with(Notify::wait);
        if let Some(payload) = PANIC.take() {
            return payload;
        }
        panicked.await;
    }
}

fn make_executor(options: &ExecutorOptions) -> io::Result<LocalExecutor> {
    if options.io_memory < IO_MEMORY_MIN {
        let text = format!("io_memory is {}, the least is {IO_MEMORY_MIN}", options.io_memory);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let builder = LocalExecutorBuilder::new(Placement::Unbound)
        .io_memory(options.io_memory)
        .preempt_timer(turn::PREEMPT_TIMER)
        .blocking_thread_pool_placement(PoolPlacement::Unbound(blocking::THREADS))
        .spin_before_park(Duration::from_micros(options.spin_us.into()));
    builder.make().map_err(io::Error::from)
}

impl ExecutorOptions {
    /// A thread that spins outside the kernel must be interrupted to learn of completions; one that sleeps need not.
    fn ring_options(&self) -> RingOptions {
        let mut options = self.ring.clone();
        options.allow.coop_taskrun &= self.spin_us == 0;
        options
    }

    fn quantum(&self) -> Duration {
        Duration::from_micros(self.preempt_us.clamp(50, 10_000).into())
    }
}

/// Tells the waiting thread how a shard ended, also when it panicked.
struct Report {
    shard: ShardId,
    to: Option<mpsc::Sender<io::Result<()>>>,
}

impl Report {
    fn new(shard: ShardId, to: mpsc::Sender<io::Result<()>>) -> Self {
        Self { shard, to: Some(to) }
    }

    fn send(mut self, outcome: io::Result<()>) {
        let to = self.to.take().expect("sent once");
        // Nobody listens any more when another shard failed first.
        let _ = to.send(outcome);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(to) = self.to.take() {
            let _ = to.send(Err(io::Error::other(format!("shard {} panicked", self.shard))));
        }
    }
}

#[derive(Clone, Copy)]
struct Lanes {
    network: TaskQueueHandle,
    background: TaskQueueHandle,
}

impl Lanes {
    fn create() -> Self {
        let executor = glommio::executor();
        let network = Shares::Static(NETWORK_SHARES);
        let background = Shares::Static(BACKGROUND_SHARES);
        Self {
            network: executor.create_task_queue(network, Latency::Matters(turn::PREEMPT_TIMER), "network"),
            background: executor.create_task_queue(background, Latency::NotImportant, "background"),
        }
    }
}

thread_local! {
    static LANES: Cell<Option<Lanes>> = const { Cell::new(None) };
    static SPAWNED: Cell<u64> = const { Cell::new(0) };
}

/// Runs `future` on this shard, beside the network work, until it ends by itself.
pub fn spawn(future: impl Future<Output = ()> + 'static) {
    SPAWNED.set(SPAWNED.get() + 1);
    spawn_into(future, LANES.get().map(|lanes| lanes.network));
}

/// As `spawn`, for a future of others that never calls `yield_if_needed`: it is called for it, before each poll.
pub fn spawn_in_turns(future: impl Future<Output = ()> + 'static) {
    spawn(turn::in_turns(future));
}

/// As `spawn`, for work that should give way to the network: destage, compaction, retention.
pub fn spawn_background(future: impl Future<Output = ()> + 'static) {
    SPAWNED.set(SPAWNED.get() + 1);
    spawn_into(future, LANES.get().map(|lanes| lanes.background));
}

/// Tasks spawned on this shard so far, those of the runtime itself left out.
pub fn spawned_tasks() -> u64 {
    SPAWNED.get()
}

pub(crate) fn spawn_uncounted(future: impl Future<Output = ()> + 'static) {
    spawn_into(future, LANES.get().map(|lanes| lanes.network));
}

fn spawn_into(future: impl Future<Output = ()> + 'static, lane: Option<TaskQueueHandle>) {
    let future = async {
        let _ = caught(future).await;
    };
    let task = match lane {
        Some(lane) => glommio::spawn_local_into(future, lane).expect("lanes live as long as their shard"),
        None => glommio::spawn_local(future),
    };
    drop(task.detach());
}

/// Yields when the task has had its share of time. To be called in every loop over input.
pub async fn yield_if_needed() {
    turn::yield_if_due().await;
}

/// Yields now: every other ready task of this lane runs first.
pub async fn yield_now() {
    turn::yield_now().await;
}

impl fmt::Display for ShardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.core {
            Some(core) => write!(f, "shard {} of {} on core {core}", self.id, self.count),
            None => write!(f, "shard {} of {}, not bound", self.id, self.count),
        }
    }
}
