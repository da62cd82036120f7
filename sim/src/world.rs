//! One seed: a few lives of a store on one disk, each begun by recovery, lived under faults, and ended by a stop, a kill or
//! a power cut. After every start everything that was promised must be there.

use std::{
    cell::{Cell, RefCell},
    path::{Path, PathBuf},
    pin::Pin,
    rc::Rc,
};

use engine::{
    Compacted, CompactionBudget, LogConfig, SharedLog, Store, StoreOptions,
    compaction::Pace,
    disk::is_full,
    journal,
    properties::names::dir_name,
    recovery::{Recovery, RecoveryError},
};
use model::{Offset, PartitionIndex, TopicId, TopicPartition};
use rt::pages::PagePool;

use crate::{
    checkers::{contents, epochs, producers, rot, times, watermarks::Watermarks},
    disk::{Lie, SimDisk, SimFile, Trouble},
    executor::{self, Clock, Task},
    ghost::GhostLog,
    plan::{End, Plan},
    random::Random,
    retention::{remove_for_ever, retain_for_ever},
    trace::Trace,
    workload::{Life, Workload, read_for_ever},
};

pub const DATA: &str = "/data";
pub const TOPIC: &str = "t";
const RECOVERY_POOL_BYTES: usize = 64 << 20;
/// Housekeeping by the clock.
const TICK_MS: u64 = 100;
/// Operations of a recovery before which a crash may come.
const RECOVERY_OPERATIONS: u64 = 60;

/// What a seed did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub trace: u64,
    pub events: u64,
    pub lives: u64,
    pub batches: u64,
    pub crashes: u64,
}

pub struct World {
    seed: u64,
    plan: Rc<Plan>,
    random: Random,
    clock: Clock,
    trace: Trace,
    disk: SimDisk,
    ghosts: Rc<RefCell<Vec<GhostLog>>>,
    report: Report,
}

pub fn id(partition: usize) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(partition as i32))
}

pub fn dir(partition: usize) -> PathBuf {
    Path::new(DATA).join(dir_name(TOPIC, PartitionIndex(partition as i32)))
}

/// Lives through everything the seed says. Panics with what is wrong.
pub fn run(seed: u64, lie: Lie) -> Report {
    let mut world = World::new(seed, lie);
    for life in 0..world.plan.lives {
        world.live(life);
    }
    world.report.trace = world.trace.hash();
    world.report.events = world.trace.events();
    world.report
}

/// Where a log begins, if its first records were deleted, and up to where it was compacted.
pub type Known = (Option<Offset>, Option<Offset>);

/// Makes every log of a directory whole.
pub async fn recover(disk: SimDisk, logs: usize) -> Result<Vec<Known>, RecoveryError> {
    let recovery = Recovery::scan(disk, PagePool::new(RECOVERY_POOL_BYTES), Path::new(DATA)).await?;
    let named: Vec<_> = (0..logs).map(|partition| (id(partition), TOPIC.to_owned())).collect();
    for restored in recovery.restore_all(&named, |_| ()).await {
        restored?;
    }
    let known = |log| (recovery.log_start(log), recovery.cleaned_until(log));
    let starts = (0..logs).map(|partition| known(id(partition))).collect();
    recovery.sweep().await?;
    recovery.finish().await?;
    Ok(starts)
}

/// Starts a store and opens its logs.
pub async fn start(
    disk: SimDisk,
    plan: Rc<Plan>,
    salt: u64,
    starts: Vec<Known>,
    clock: Clock,
) -> Result<(Rc<Store<SimDisk>>, Vec<SharedLog<SimFile>>), String> {
    let options = StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt,
        journal_bytes_first: plan.journal_bytes_first,
        journal_bytes_max: plan.journal_bytes_max,
        cache_bytes_max: plan.cache_bytes_max,
        checkpoint_ms: plan.checkpoint_ms,
    };
    let (pages, journal_pages) = (PagePool::new(plan.page_bytes), PagePool::new(journal::POOL_BYTES));
    let store = Store::start(disk, pages, journal_pages, options).await.map_err(|e| e.to_string())?;
    let mut logs = vec![];
    for (partition, (config, (start, cleaned))) in plan.logs.iter().zip(starts).enumerate() {
        store.know_cleaned(cleaned.map(|offset| (id(partition), offset)));
        let opened = store.open_log(id(partition), TOPIC, *config, start, clock.now()).await;
        logs.push(opened.map_err(|e| e.to_string())?);
    }
    Ok((store, logs))
}

impl World {
    fn new(seed: u64, lie: Lie) -> Self {
        let plan = Rc::new(Plan::draw(seed));
        let (clock, trace) = (Clock::default(), Trace::default());
        let disk = SimDisk::new(seed, clock.clone(), trace.clone(), lie);
        disk.mem().put(&Path::new(DATA).join("meta.properties"), vec![]);
        let ghost = |log: &LogConfig| GhostLog { compacted: log.compaction.is_some(), ..GhostLog::default() };
        let ghosts = plan.logs.iter().map(ghost).collect();
        Self {
            seed,
            random: Random::stream(seed, "world"),
            clock,
            trace,
            disk,
            ghosts: Rc::new(RefCell::new(ghosts)),
            report: Report::default(),
            plan,
        }
    }

    fn block_on<T: 'static>(&mut self, future: impl Future<Output = T> + 'static) -> T {
        executor::block_on(&self.clock, &mut self.random, future)
    }

    fn what(&self, life: u64, n: usize) -> String {
        format!("seed {} life {life} log {n}", self.seed)
    }

    fn live(&mut self, number: u64) {
        let starts = self.recover(number);
        let life = self.begin(number, starts);
        self.verify(number, &life);
        let end = Plan::end(&mut self.random);
        self.trace.note("life", &[number]);
        let closed = self.work(&life, end);
        self.report.lives += 1;
        self.note_promises(&life);
        let logs = life.logs.len();
        drop(life);
        if closed {
            self.after_close(number, logs);
        } else {
            self.crash(end);
        }
        if self.plan.faults.rot {
            let copy = crate::disk::copy_of(self.disk.mem());
            let (ghosts, clock) = (self.ghosts.borrow().clone(), self.clock.clone());
            let what = format!("seed {} life {number}", self.seed);
            let trial =
                rot::Trial { what, disk: self.disk.with(copy), ghosts, plan: self.plan.clone(), clock };
            trial.run(&mut self.random);
        }
    }

    /// Recovers what the last life left. The power may go meanwhile, more than once.
    fn recover(&mut self, number: u64) -> Vec<Known> {
        let logs = self.plan.logs.len();
        if self.plan.faults.crash_in_recovery {
            for _ in 0..self.random.below(3) {
                let at = self.disk.mem().operations() + 1 + self.random.below(RECOVERY_OPERATIONS);
                self.disk.mem().fail_at(Some(at));
                let died = self.block_on(recover(self.disk.clone(), logs));
                self.disk.mem().fail_at(None);
                if died.is_err() {
                    self.report.crashes += 1;
                    self.disk = self.disk.after_power_cut();
                }
            }
        }
        let mut starts = self.block_on(recover(self.disk.clone(), logs));
        // A start needs room for what the journal holds. Without it nothing is lost, and somebody cleans up.
        if matches!(&starts, Err(RecoveryError::Io(error)) if is_full(error)) {
            self.disk.set_room(None);
            starts = self.block_on(recover(self.disk.clone(), logs));
        }
        self.disk.set_room(None);
        let starts = starts.unwrap_or_else(|why| panic!("seed {} life {number}: refused: {why}", self.seed));
        if self.random.one_in(4) {
            let once = data_files(&self.disk);
            self.block_on(recover(self.disk.clone(), logs)).expect("it was whole before");
            let twice = data_files(&self.disk);
            let changed = once.iter().filter(|file| !twice.contains(file));
            let changed: Vec<_> =
                changed.chain(twice.iter().filter(|file| !once.contains(file))).map(|f| &f.0).collect();
            assert!(
                changed.is_empty(),
                "seed {} life {number}: a second recovery changes {changed:?}",
                self.seed
            );
        }
        starts
    }

    fn begin(&mut self, number: u64, starts: Vec<Known>) -> Rc<Life> {
        let salt = self.random.next();
        let started = start(self.disk.clone(), self.plan.clone(), salt, starts, self.clock.clone());
        let started = self.block_on(started);
        let (store, logs) = started.unwrap_or_else(|why| panic!("seed {} life {number}: {why}", self.seed));
        Rc::new(Life {
            store,
            logs,
            ghosts: self.ghosts.clone(),
            disk: self.disk.clone(),
            clock: self.clock.clone(),
            trace: self.trace.clone(),
            plan: self.plan.clone(),
        })
    }

    /// Everything that was promised is there, and whatever is there was appended.
    fn verify(&mut self, number: u64, life: &Rc<Life>) {
        for n in 0..life.logs.len() {
            let what = self.what(number, n);
            let ghost = self.ghosts.borrow()[n].clone();
            let (world, mut random) = (life.clone(), Random::new(self.random.next()));
            let ghost = self.block_on(async move {
                let (store, log) = (&world.store, &world.logs[n]);
                let found = contents::read_all(store, log, &mut random).await;
                let found = found.unwrap_or_else(|why| panic!("{what}: {why}"));
                let ends = log.ends();
                // A kill has set what is durable to what was written: see `crash`.
                contents::check(&what, &ghost, &found, &ends);
                let mut ghost = ghost;
                ghost.settle(ends.start, ends.end);
                epochs::check(&what, &ghost, log);
                producers::check(&what, &ghost, store, log, world.clock.now());
                let looked = times::check(&what, &ghost, store, log, &mut random).await;
                looked.unwrap_or_else(|why| panic!("{what}: {why}"));
                ghost
            });
            self.ghosts.borrow_mut()[n] = ghost;
        }
    }

    /// All pumps of a shard, readers, and the workload, until the life ends. `true`: it ended in order.
    fn work(&mut self, life: &Rc<Life>, end: End) -> bool {
        life.disk.set_latency_us(self.plan.slow_disk_us);
        self.arm(life, end);
        let stop = Rc::new(Stop::default());
        let (steps, seed) = (self.plan.steps, self.random.next());
        let mut tasks: Vec<Task> = vec![
            Box::pin(drive(life.clone(), Random::stream(seed, "workload"), steps, end, stop.clone())),
            Box::pin(commit_for_ever(life.clone())),
            Box::pin(maintain(life.clone(), stop.clone())),
            {
                let life = life.clone();
                Box::pin(async move { life.store.read_ahead().await })
            },
        ];
        stop.compaction_ended.set(!life.logs.iter().any(|log| log.config().compaction.is_some()));
        if !stop.compaction_ended.get() {
            tasks.push(Box::pin(compact(life.clone(), Random::stream(seed, "compaction"), stop)));
        }
        if self.plan.uses.readers {
            for n in 0..2 {
                let random = Random::stream(seed, ["reader", "other reader"][n]);
                tasks.push(Box::pin(read_for_ever(life.clone(), random)));
            }
        }
        if self.plan.uses.retention {
            let random = Random::stream(seed, "time");
            tasks.push(Box::pin(retain_for_ever(life.clone(), random)));
        }
        if self.plan.uses.retention || self.plan.uses.delete_records {
            tasks.push(Box::pin(remove_for_ever(life.clone())));
        }
        let mut marks = Watermarks::default();
        let watched = life.clone();
        executor::run(&self.clock, &mut self.random, tasks, || {
            let failed = watched.store.failure().is_some();
            for (n, log) in watched.logs.iter().enumerate() {
                marks.observe(n, log, failed);
            }
        });
        life.disk.set_read_errors(0);
        let closed = end == End::Close && life.store.failure().is_none() && self.close(life);
        life.disk.set_latency_us(0);
        closed
    }

    /// Sets up what is to go wrong.
    fn arm(&mut self, life: &Life, end: End) {
        if let End::PowerCutAt(operation) = end {
            life.disk.mem().fail_at(Some(life.disk.mem().operations() + operation));
        }
        let (flushes, writes) = (self.random.below(30), self.random.below(60));
        if self.plan.faults.flush_errors && self.random.one_in(3) {
            life.disk.set_trouble(Trouble::Flush(flushes));
        } else if self.plan.faults.write_errors && self.random.one_in(3) {
            life.disk.set_trouble(Trouble::Write(writes));
        }
    }

    /// A stop in order. It may still meet the trouble that waits for this life.
    fn close(&mut self, life: &Rc<Life>) -> bool {
        let store = life.store.clone();
        if self.block_on(async move { store.close().await }).is_err() {
            assert!(life.disk.is_troubled(), "seed {}: the store cannot be closed", self.seed);
            return false;
        }
        for (n, log) in life.logs.iter().enumerate() {
            let ends = log.ends();
            assert_eq!(
                (ends.acknowledged, ends.durable),
                (ends.end, ends.end),
                "seed {} log {n}: closed",
                self.seed
            );
        }
        true
    }

    /// What the logs said of themselves in their last moment.
    fn note_promises(&mut self, life: &Life) {
        for (ghost, log) in self.ghosts.borrow_mut().iter_mut().zip(&life.logs) {
            ghost.hear(&log.ends());
            self.report.batches += ghost.batches.len() as u64;
        }
    }

    /// After a stop in order even a power cut takes nothing.
    fn after_close(&mut self, number: u64, logs: usize) {
        for n in 0..logs {
            let ghost = &self.ghosts.borrow()[n];
            let (what, start) = (self.what(number, n), ghost.start_min);
            // The start may have been moved without an answer: then the snapshot is compared as far as it goes.
            if ghost.start_min == ghost.start_max.max(ghost.retained_max) {
                producers::check_snapshot(&what, ghost, &self.disk, &dir(n), start, ghost.end);
            }
        }
        self.disk =
            if self.random.one_in(2) { self.disk.after_power_cut() } else { self.disk.as_after_kill() };
    }

    fn crash(&mut self, end: End) {
        self.report.crashes += 1;
        // A disk that failed may have lost what only the kernel had: nothing but a power cut is modelled then.
        let killed = end == End::Kill && !self.disk.is_troubled();
        self.disk.mem().fail_at(None);
        if killed {
            self.disk = self.disk.as_after_kill();
            self.ghosts
                .borrow_mut()
                .iter_mut()
                .for_each(|ghost| ghost.durable = ghost.durable.max(ghost.written));
        } else {
            self.disk = self.disk.after_power_cut();
        }
    }
}

/// Told to the pumps that must end before the store is closed.
#[derive(Default)]
struct Stop {
    wanted: Cell<bool>,
    maintenance_ended: Cell<bool>,
    compaction_ended: Cell<bool>,
}

async fn drive(life: Rc<Life>, random: Random, steps: u64, end: End, stop: Rc<Stop>) {
    let mut work: Pin<Box<dyn Future<Output = ()>>> = Box::pin({
        let life = life.clone();
        async move { Workload::new(life, random).work(steps).await }
    });
    work.as_mut().await;
    if end != End::Close {
        return;
    }
    let waits = |life: &Life| life.logs.iter().any(|log| log.ends().acknowledged < log.ends().end);
    while life.store.failure().is_none() && (waits(&life) || !life.store.is_idle()) {
        life.clock.sleep_ms(1).await;
    }
    stop.wanted.set(true);
    while !stop.maintenance_ended.get() || !stop.compaction_ended.get() {
        life.clock.sleep_ms(1).await;
    }
}

async fn commit_for_ever(life: Rc<Life>) {
    while let Ok(moved) = life.store.commit().await {
        life.trace.note("commit", &[moved.len() as u64]);
    }
}

async fn maintain(life: Rc<Life>, stop: Rc<Stop>) {
    let mut tick = 0;
    while !stop.wanted.get() {
        // By the clock or because somebody asks, as on a shard.
        let asked = life.store.maintenance_wanted();
        let clock = life.clock.sleep_ms(TICK_MS);
        first_of(asked, clock).await;
        tick += 1;
        life.trace.note("tick", &[tick]);
        life.store.maintain(life.clock.now()).await;
    }
    stop.maintenance_ended.set(true);
}

/// Compacts whatever is dirty enough, with a rest after each look.
async fn compact(life: Rc<Life>, mut random: Random, stop: Rc<Stop>) {
    let pace = SlowPace { clock: life.clock.clone(), stop: stop.clone() };
    while !stop.wanted.get() {
        let seed = [random.next(), random.next()];
        let budget = CompactionBudget { key_bytes: life.plan.key_bytes, load_factor: 0.9, seed };
        let compacted = life.store.compact_one(life.clock.now(), budget, &pace).await;
        life.trace.note("compact", &[matches!(compacted, Compacted::Cleaned(..)).into()]);
        let rest = random.between(1, 200);
        life.clock.sleep_ms(rest).await;
    }
    stop.compaction_ended.set(true);
}

/// Gives the others time at every step.
struct SlowPace {
    clock: Clock,
    stop: Rc<Stop>,
}

impl Pace for SlowPace {
    async fn spent(&self, bytes: usize) {
        if bytes > 0 {
            self.clock.sleep_us(bytes as u64 / 4).await;
        }
    }
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.clock.sleep_us(100).await;
        work()
    }
    fn is_stopping(&self) -> bool {
        self.stop.wanted.get()
    }
}

pub(crate) async fn first_of(a: impl Future<Output = ()>, b: impl Future<Output = ()>) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    std::future::poll_fn(|cx| {
        if a.as_mut().poll(cx).is_ready() || b.as_mut().poll(cx).is_ready() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

fn data_files(disk: &SimDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let journals = Path::new(DATA).join("journal");
    let files = disk.mem().files().into_iter().filter(|path| !path.starts_with(&journals));
    files.map(|path| (path.clone(), disk.mem().contents(&path))).collect()
}
