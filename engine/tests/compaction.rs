//! Compaction on the cruel disk: of each key the last record stays, at its offset and in its order, whatever is compacted
//! how often, and after a crash at any operation of a pass or of the recovery behind it. A model knows every record.

#![expect(clippy::unwrap_used, reason = "the model of a test stops where it is wrong")]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::Future,
    path::Path,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use engine::{
    Compacted, CompactionBudget, Disk, LogConfig, ReadRange, SharedLog, Store, StoreOptions,
    compaction::{CompactionConfig, DirtyRatio, Pace},
    compression::{compress, decompress},
    disk::mem::{MemDisk, MemFile},
    index::IndexLimits,
    journal,
    recovery::{Recovery, RecoveryError},
    store::cleaner_offsets_path,
};
use model::{
    BatchHeader, BatchView, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
    batch::record::{BatchMeta, Producer, Records, build_batch, write_record},
};
use rt::pages::PagePool;

const DATA: &str = "/data";
const KEYS: u64 = 7;
const PRODUCERS: u64 = 3;
/// A key map for everything.
const ROOMY: usize = 1 << 20;

/// xorshift64
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Rec {
    offset: i64,
    time: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// What the test alone knows to be true of the log.
#[derive(Default, Clone)]
struct Ghost {
    records: Vec<Rec>,
    acknowledged: i64,
    /// By producer: the last batch as it was sent, its sequence, its offset, and the offset behind it.
    producers: BTreeMap<u64, Vec<(Vec<u8>, i64, i64)>>,
    /// Of deletions that were asked for.
    start: i64,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;
type MemLog = SharedLog<MemFile>;
type Shared = Rc<RefCell<Ghost>>;

/// Polls all tasks in turn until the first one is done.
fn run_until_first_ends(mut tasks: Vec<Task>) {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..5_000_000 {
        for (i, task) in tasks.iter_mut().enumerate() {
            if task.as_mut().poll(&mut cx) == Poll::Ready(()) && i == 0 {
                return;
            }
        }
    }
    panic!("the scenario hangs");
}

fn block_on<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let out = Rc::new(RefCell::new(None));
    let slot = out.clone();
    run_until_first_ends(vec![Box::pin(async move { *slot.borrow_mut() = Some(future.await) })]);
    out.take().expect("ran to its end")
}

async fn yield_once() {
    let mut polled = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

/// As fast as it goes, others now and then in between.
struct Free;

impl Pace for Free {
    async fn spent(&self, bytes: usize) {
        if bytes > 0 {
            yield_once().await;
        }
    }
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }
    fn is_stopping(&self) -> bool {
        false
    }
}

fn id() -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(0))
}

fn compaction() -> CompactionConfig {
    CompactionConfig { min_dirty_ratio: DirtyRatio::new(0.0), ..CompactionConfig::default() }
}

fn config(segment_bytes: u64, compaction: CompactionConfig) -> LogConfig {
    LogConfig {
        segment_bytes,
        index: IndexLimits { interval_bytes: 100, index_bytes_max: 1 << 12 },
        compaction: Some(compaction),
        ..LogConfig::default()
    }
}

fn budget(key_bytes: usize) -> CompactionBudget {
    CompactionBudget { key_bytes, load_factor: 0.9, seed: [3, 4] }
}

async fn open(
    disk: &MemDisk,
    config: LogConfig,
    known: (Option<Offset>, Option<Offset>),
) -> (Rc<Store<MemDisk>>, MemLog) {
    try_open(disk, config, known).await.unwrap_or_else(|why| panic!("{why}"))
}

async fn try_open(
    disk: &MemDisk,
    config: LogConfig,
    (start, cleaned): (Option<Offset>, Option<Offset>),
) -> Result<(Rc<Store<MemDisk>>, MemLog), String> {
    let options = StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt: disk.operations(),
        journal_bytes_first: 256 << 10,
        journal_bytes_max: 256 << 10,
        cache_bytes_max: 1 << 20,
        checkpoint_ms: 100,
    };
    let (pages, journal_pages) = (PagePool::new(64 << 20), PagePool::new(journal::POOL_BYTES));
    let store = Store::start(disk.clone(), pages, journal_pages, options).await.map_err(|e| e.to_string())?;
    store.know_cleaned(cleaned.map(|offset| (id(), offset)));
    let log = store.open_log(id(), "t", config, start, Timestamp(0)).await.map_err(|e| e.to_string())?;
    Ok((store, log))
}

async fn recover(disk: &MemDisk) -> Result<(Option<Offset>, Option<Offset>), RecoveryError> {
    let recovery = Recovery::scan(disk.clone(), PagePool::new(64 << 20), Path::new(DATA)).await?;
    recovery.restore(id(), "t").await?;
    let known = (recovery.log_start(id()), recovery.cleaned_until(id()));
    recovery.sweep().await?;
    recovery.finish().await?;
    Ok(known)
}

fn fresh(seed: u64) -> MemDisk {
    let disk = MemDisk::new(seed);
    disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
    disk
}

type Draft = Vec<(Option<Vec<u8>>, Option<Vec<u8>>)>;

fn batch(codec: i16, time: i64, producer: Producer, records: &Draft) -> Vec<u8> {
    let mut payload = vec![];
    for (n, (key, value)) in records.iter().enumerate() {
        write_record(&mut payload, n as i32, n as i64, key.as_deref(), value.as_deref(), &[]);
    }
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: 0,
        attributes: codec,
        base_timestamp: time,
        max_timestamp: time + records.len() as i64 - 1,
        record_count: records.len() as i32,
        producer,
    };
    let header = BatchHeader::read(&build_batch(meta, &[])).unwrap();
    build_batch(meta, &compress(header.compression().unwrap(), None, &payload))
}

fn records_of(batch: &[u8]) -> Vec<Rec> {
    let view = BatchView::check(batch).expect("a reader gets whole batches");
    let header = *view.header();
    let payload = decompress(header.compression().unwrap(), view.payload(), 1 << 24).expect("it unfolds");
    let records = Records::new(&payload, header.record_count()).map(|record| {
        let record = record.expect("it parses");
        Rec {
            offset: header.base_offset().0 + i64::from(record.offset_delta),
            time: header.base_timestamp().0 + record.timestamp_delta,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
        }
    });
    records.collect()
}

fn append(store: &Store<MemDisk>, log: &MemLog, ghost: &Shared, batch: &[u8], now: i64) -> Option<i64> {
    let appended = store.append(log, batch, LeaderEpoch(1), Timestamp(now)).ok()?;
    assert!(!appended.duplicate);
    let mut stored = batch.to_vec();
    engine::records::stamp(&mut stored, appended.base_offset, LeaderEpoch(1));
    ghost.borrow_mut().records.extend(records_of(&stored));
    Some(appended.base_offset.0)
}

async fn commit_all(store: &Store<MemDisk>) -> bool {
    while !store.is_idle() {
        if store.commit().await.is_err() {
            return false;
        }
    }
    true
}

/// Every batch that a reader gets, read in steps of a size.
async fn read_batches(store: &Store<MemDisk>, log: &MemLog, bytes_max: usize) -> Vec<Vec<u8>> {
    let (mut from, until) = (log.ends().start, log.ends().end);
    let mut batches = vec![];
    while from < until {
        let range = ReadRange { from, until, bytes_max, at_least_one: true };
        let read = store.read(log, range).await.unwrap_or_else(|why| panic!("{why} at {from}"));
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        assert!(!bytes.is_empty(), "nothing is read at {from} of {until}");
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let view = BatchView::check(rest).expect("a reader gets whole batches");
            assert!(view.header().last_offset() >= from, "the batch was there before");
            from = view.header().next_offset();
            batches.push(view.bytes().to_vec());
            rest = &rest[view.bytes().len()..];
        }
    }
    batches
}

async fn read_records(store: &Store<MemDisk>, log: &MemLog, bytes_max: usize) -> Vec<Rec> {
    let start = log.ends().start.0;
    let batches = read_batches(store, log, bytes_max).await;
    batches.iter().flat_map(|batch| records_of(batch)).filter(|r| r.offset >= start).collect()
}

/// What a log must hold: everything is as it was appended, in order, and what is missing was superseded, or was a
/// tombstone that `tombstones_may_go`.
fn check(what: &str, ghost: &Ghost, found: &[Rec], (start, end): (i64, i64), tombstones_may_go: bool) {
    let appended: BTreeMap<i64, &Rec> =
        ghost.records.iter().filter(|r| (start..end).contains(&r.offset)).map(|r| (r.offset, r)).collect();
    assert!(found.windows(2).all(|w| w[0].offset < w[1].offset), "{what}: offsets rise");
    for record in found {
        assert_eq!(Some(&record), appended.get(&record.offset), "{what}: offset {}", record.offset);
    }
    let there: BTreeSet<i64> = found.iter().map(|r| r.offset).collect();
    let mut last_of: BTreeMap<&Option<Vec<u8>>, i64> = BTreeMap::new();
    for record in appended.values() {
        last_of.insert(&record.key, record.offset);
    }
    for record in appended.values().filter(|r| !there.contains(&r.offset)) {
        let superseded = last_of[&record.key] > record.offset;
        let older = found.iter().any(|r| r.key == record.key && r.offset < record.offset);
        let expired = tombstones_may_go && record.value.is_none() && !older;
        assert!(superseded || expired, "{what}: {record:?} is lost");
    }
}

fn check_one_of_each_key(what: &str, found: &[Rec], cleaned: Option<Offset>) {
    let mut seen = BTreeSet::new();
    for record in found.iter().filter(|r| cleaned.is_some_and(|until| r.offset < until.0)) {
        assert!(
            seen.insert(record.key.clone()),
            "{what}: {record:?} is there although a later one was compacted"
        );
    }
}

/// A retry of each producer's last batch is known, though compaction may have taken all of its records.
fn check_producers(what: &str, ghost: &Ghost, store: &Store<MemDisk>, log: &MemLog) {
    for (producer, batches) in &ghost.producers {
        let Some((bytes, base, _)) = batches.last() else { continue };
        if *base < log.ends().start.0 {
            continue;
        }
        let retry = store.append(log, bytes, LeaderEpoch(1), Timestamp(0));
        let retry = retry.unwrap_or_else(|why| panic!("{what}: a retry of producer {producer}: {why}"));
        assert!(retry.duplicate, "{what}: a retry of producer {producer} was appended again");
        assert_eq!(retry.base_offset.0, *base, "{what}: producer {producer}");
    }
}

struct Life {
    store: Rc<Store<MemDisk>>,
    log: MemLog,
    ghost: Shared,
    random: Random,
    now: i64,
}

impl Life {
    /// A batch of a few records of few keys; every tenth is a tombstone.
    fn append(&mut self) -> Option<()> {
        let random = &mut self.random;
        let count = 1 + random.below(4);
        let mut draft = vec![];
        for _ in 0..count {
            let key = format!("key{}", random.below(KEYS)).into_bytes();
            let value = format!("{}:{}", random.next(), "x".repeat(random.below(120) as usize)).into_bytes();
            draft.push((Some(key), (random.below(10) > 0).then_some(value)));
        }
        let producer = (random.below(2) == 0).then(|| random.below(PRODUCERS));
        let codec = random.below(5) as i16;
        let sent = producer.map(|id| {
            let ghost = self.ghost.borrow();
            let last = ghost.producers.get(&id).and_then(|batches| batches.last());
            let next = last.map_or(0, |(bytes, ..)| {
                let header = BatchHeader::read(bytes).unwrap();
                header.base_sequence.get() + header.record_count()
            });
            Producer { id: id as i64, epoch: 0, base_sequence: next }
        });
        let bytes = batch(codec, self.now, sent.unwrap_or(Producer::NONE), &draft);
        let base = append(&self.store, &self.log, &self.ghost, &bytes, self.now)?;
        if let Some(id) = producer {
            let next = base + count as i64;
            self.ghost.borrow_mut().producers.entry(id).or_default().push((bytes, base, next));
        }
        Some(())
    }

    /// Appends, commits, deletes now and then, until the steps are over or the disk gives up.
    async fn work(&mut self, steps: u64) {
        for _ in 0..steps {
            self.now += self.random.below(60) as i64;
            for _ in 0..1 + self.random.below(5) {
                if self.append().is_none() {
                    return;
                }
            }
            if !commit_all(&self.store).await {
                return;
            }
            self.ghost.borrow_mut().acknowledged = self.log.ends().acknowledged.0;
            self.store.maintain(Timestamp(self.now)).await;
            if self.random.below(40) == 0 {
                let ends = self.log.ends();
                let start = ends.start.0
                    + self.random.below((ends.acknowledged.0 - ends.start.0) as u64 / 3 + 1) as i64;
                self.ghost.borrow_mut().start = start;
                let _ = self.store.delete_records(&self.log, Offset(start)).await;
            }
            if self.store.failure().is_some() {
                return;
            }
            // A pass takes its time.
            for _ in 0..self.random.below(150) {
                yield_once().await;
            }
        }
    }
}

/// Appends, compacts and reads at the same time, until the work is done or the disk gives up. Answers what was compacted.
fn live(
    disk: &MemDisk,
    known: (Option<Offset>, Option<Offset>),
    ghost: &Shared,
    seed: u64,
    plan: Plan,
) -> u64 {
    let (disk, ghost) = (disk.clone(), ghost.clone());
    let passes = Rc::new(RefCell::new(0));
    let counted = passes.clone();
    let opened = block_on({
        let disk = disk.clone();
        async move { try_open(&disk, plan.config, known).await }
    });
    let Ok((store, log)) = opened else { return 0 };
    let mut life = Life {
        store: store.clone(),
        log: log.clone(),
        ghost: ghost.clone(),
        random: Random(seed | 1),
        now: plan.from,
    };
    let work: Task = Box::pin(async move {
        life.work(plan.steps).await;
        if plan.closes && life.store.failure().is_none() && life.store.close().await.is_ok() {
            life.ghost.borrow_mut().acknowledged = life.log.ends().end.0;
        }
    });
    let compacting: Task = {
        let store = store.clone();
        Box::pin(async move {
            let mut now = plan.from;
            loop {
                now += 20;
                let compacted = store.compact_one(Timestamp(now), budget(plan.key_bytes), &Free).await;
                if matches!(compacted, Compacted::Cleaned(..)) {
                    *counted.borrow_mut() += 1;
                }
                yield_once().await;
            }
        })
    };
    let reading: Task = {
        let (what, mut random) = (format!("seed {seed}: a reader"), Random(seed ^ 0x5555 | 1));
        Box::pin(async move {
            loop {
                let bytes_max = [1, 500, 4000][random.below(3) as usize];
                let (start, end) = (log.ends().start, log.ends().acknowledged);
                let from = start + random.below((end.0 - start.0).max(0) as u64 + 1) as i64;
                let range = ReadRange { from, until: end, bytes_max, at_least_one: true };
                if let Ok(read) = store.read(&log, range).await {
                    let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
                    let mut rest = &bytes[..];
                    let ghost = ghost.borrow();
                    while !rest.is_empty() {
                        let view = BatchView::check(rest).expect("a reader gets whole batches");
                        for record in records_of(view.bytes()) {
                            let at = ghost.records.partition_point(|r| r.offset < record.offset);
                            assert_eq!(Some(&record), ghost.records.get(at), "{what}");
                        }
                        rest = &rest[view.bytes().len()..];
                    }
                }
                yield_once().await;
            }
        })
    };
    run_until_first_ends(vec![work, compacting, reading]);
    passes.take()
}

#[derive(Clone, Copy)]
struct Plan {
    config: LogConfig,
    key_bytes: usize,
    steps: u64,
    from: i64,
    closes: bool,
}

fn plan(seed: u64, life: u64, steps: u64) -> Plan {
    let compaction = CompactionConfig {
        delete_retention_ms: [0, 300, 1 << 40][seed as usize % 3],
        min_lag_ms: [0, 0, 50][seed as usize / 3 % 3],
        ..compaction()
    };
    let segment_bytes = [600, 2000, 8000][seed as usize / 9 % 3];
    // The smaller ones hold a few keys: a pass ends where they are full.
    let key_bytes = [ROOMY, 0][seed as usize / 27 % 2];
    Plan {
        config: config(segment_bytes, compaction),
        key_bytes,
        steps,
        from: 1000 + life as i64 * 10_000,
        closes: false,
    }
}

/// What a start finds on the disk against what the test knows; the rest is forgotten as the log forgot it.
fn verify(what: &str, disk: &MemDisk, known: (Option<Offset>, Option<Offset>), ghost: &Shared, plan: Plan) {
    let (disk, ghost, what) = (disk.clone(), ghost.clone(), what.to_owned());
    block_on(async move {
        let (store, log) = open(&disk, plan.config, known).await;
        let ends = log.ends();
        let shared = ghost;
        let mut ghost = shared.borrow().clone();
        assert!(
            ends.end.0 >= ghost.acknowledged,
            "{what}: ends at {}, {} acknowledged",
            ends.end,
            ghost.acknowledged
        );
        assert!(
            ends.start.0 <= ghost.start,
            "{what}: starts at {}, deleted up to {}",
            ends.start,
            ghost.start
        );
        ghost.records.retain(|r| r.offset < ends.end.0);
        for batches in ghost.producers.values_mut() {
            batches.retain(|(_, _, next)| *next <= ends.end.0);
        }
        let found = read_records(&store, &log, 700).await;
        let may_go = plan.config.compaction.unwrap().delete_retention_ms < 10_000;
        check(&what, &ghost, &found, (ends.start.0, ends.end.0), may_go);
        check_one_of_each_key(&what, &found, log.cleaned_until());
        check_producers(&what, &ghost, &store, &log);
        let newest = found.iter().map(|r| r.time).max();
        for target in [0, newest.unwrap_or(0) - 100, newest.unwrap_or(0)] {
            let first = found.iter().find(|r| r.time >= target).map(|r| r.offset);
            let got = store.find_timestamp(&log, Timestamp(target), ends.end).await.expect("it can be read");
            assert_eq!(got.map(|t| t.offset.0), first, "{what}: the first record at or after {target}");
        }
        *shared.borrow_mut() = ghost;
        store.close().await.expect("a disk that works");
        for name in disk.files() {
            let name = name.to_string_lossy().into_owned();
            assert!(
                !name.ends_with(".cleaned") && !name.ends_with(".swap") && !name.ends_with(".deleted"),
                "{what}: {name}"
            );
        }
    });
}

/// Two lives; the second one dies at operation `fail_at`, and perhaps the recovery behind it. Answers the operations that
/// the second life made, and its passes.
fn scenario(seed: u64, steps: u64, fail_at: Option<u64>) -> (u64, u64) {
    let ghost = Shared::default();
    let disk = fresh(seed);
    let first = plan(seed, 0, steps);
    live(
        &disk,
        (None, None),
        &ghost,
        seed.wrapping_mul(31),
        Plan { closes: seed.is_multiple_of(2), ..first },
    );
    let disk = disk.crash(seed);
    let what = format!("seed {seed}, fail at {fail_at:?}");
    let known = block_on({
        let disk = disk.clone();
        async move { recover(&disk).await }
    });
    let known = known.unwrap_or_else(|why| panic!("{what}: the first recovery: {why}"));
    verify(&format!("{what}: after the first life"), &disk, known, &ghost, first);

    let second = plan(seed, 1, steps);
    let before = disk.operations();
    disk.fail_at(fail_at.map(|n| before + n));
    let passes = live(&disk, known, &ghost, seed.wrapping_mul(37), second);
    let used = disk.operations() - before;
    let mut disk = disk.crash(seed ^ fail_at.unwrap_or(0).wrapping_mul(0x9e37));
    if fail_at.is_some_and(|n| n % 2 == 0) {
        // The power goes again, before the recovery is over.
        disk.fail_at(Some(1 + fail_at.unwrap_or(0) % 37));
        let dying = disk.clone();
        let _ = block_on(async move { recover(&dying).await.map(drop) });
        disk.fail_at(None);
        disk = disk.crash(seed ^ 0xabcd);
    }
    let recovering = disk.clone();
    let known =
        block_on(async move { recover(&recovering).await }).unwrap_or_else(|why| panic!("{what}: {why}"));
    verify(&what, &disk, known, &ghost, second);
    (used, passes)
}

#[test]
fn of_each_key_the_last_record_stays() {
    let mut passes = 0;
    for seed in 1..109 {
        passes += scenario(seed, 30, None).1;
    }
    assert!(passes > 100, "only {passes} passes");
}

/// A pass beside appends, reads and housekeeping, and the power goes at an operation: every so many of them in each world.
#[test]
fn a_crash_beside_other_work_keeps_the_last_of_each_key() {
    let mut passes = 0;
    for (seed, first) in [(2, 1), (4, 3), (7, 5), (12, 7), (29, 9)] {
        let (operations, made) = scenario(seed, 14, None);
        passes += made;
        for n in (first..=operations).step_by(operations.div_ceil(60) as usize) {
            scenario(seed, 14, Some(n));
        }
    }
    assert!(passes > 4, "only {passes} passes");
}

/// One pass, cut at an operation, and the recovery behind it as well. Answers how many operations each of them made.
fn cut_pass(seed: u64, pass_fails: Option<u64>, recovery_fails: Option<u64>) -> (u64, u64) {
    let what = format!("seed {seed}, the pass is cut at {pass_fails:?}, its recovery at {recovery_fails:?}");
    let rules = CompactionConfig { delete_retention_ms: 0, ..compaction() };
    let plan = Plan { config: config(2000, rules), key_bytes: ROOMY, steps: 0, from: 0, closes: false };
    let disk = fresh(seed);
    let (ghost, of_pass) = block_on({
        let disk = disk.clone();
        async move {
            let (store, log, ghost) = filled(&disk, plan.config, 12).await;
            ghost.borrow_mut().acknowledged = log.ends().end.0;
            let before = disk.operations();
            disk.fail_at(pass_fails.map(|n| before + n));
            let compacted = store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await;
            assert!(pass_fails.is_some() || matches!(compacted, Compacted::Cleaned(..)), "{compacted:?}");
            (ghost, disk.operations() - before)
        }
    });
    let mut disk = disk.crash(seed ^ pass_fails.unwrap_or(0) << 20);
    let (mut known, mut of_recovery) = (None, 0);
    for fails in [recovery_fails, None] {
        let before = disk.operations();
        disk.fail_at(fails.map(|n| before + n));
        let recovering = disk.clone();
        known = block_on(async move { recover(&recovering).await.map_err(|why| why.to_string()) }).ok();
        of_recovery = disk.operations() - before;
        disk.fail_at(None);
        if known.is_none() {
            disk = disk.crash(seed ^ 0xabcd);
        }
    }
    let known = known.unwrap_or_else(|| panic!("{what}: it cannot be recovered"));
    verify(&what, &disk, known, &ghost, plan);
    (of_pass, of_recovery)
}

#[test]
fn a_crash_at_each_operation_leaves_the_old_segments_or_the_new_one() {
    for seed in 1..4 {
        let (of_pass, _) = cut_pass(seed, None, None);
        assert!(of_pass > 30, "only {of_pass} operations");
        for n in 1..=of_pass {
            let (_, of_recovery) = cut_pass(seed, Some(n), None);
            for m in (1 + n % 5..=of_recovery).step_by(5) {
                cut_pass(seed, Some(n), Some(m));
            }
        }
    }
}

#[test]
fn a_log_that_kafka_compacted_is_read_and_compacted_further() {
    let disk = fresh(15);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/compacted-0");
    for entry in std::fs::read_dir(golden).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_owned();
        // It says another topic's id.
        if name != "partition.metadata" {
            disk.put(&Path::new(DATA).join("t-0").join(name), std::fs::read(&path).expect("it can be read"));
        }
    }
    block_on(async move {
        let rules = CompactionConfig { max_lag_ms: 1, ..compaction() };
        let (store, log) = open(&disk, config(1 << 20, rules), (None, None)).await;
        let offsets = |found: &[Rec]| found.iter().map(|r| r.offset).collect::<Vec<_>>();
        let found = read_records(&store, &log, 1).await;
        assert_eq!(offsets(&found)[..5], [0, 1, 8, 10, 11]);
        assert_eq!(found[4].value, None, "a tombstone, with a horizon");
        settle(&store).await;
        // Long after the horizon.
        let compacted = store.compact_one(Timestamp(1 << 42), budget(ROOMY), &Free).await;
        assert!(matches!(compacted, Compacted::Cleaned(..)), "{compacted:?}");
        let later = read_records(&store, &log, 1).await;
        assert_eq!((offsets(&later)[..4].to_vec(), later.len()), (vec![0, 1, 8, 10], found.len() - 1));
    });
}

/// Fills a log with rounds of updates to all keys, so that several segments are closed and settled.
async fn filled(disk: &MemDisk, config: LogConfig, rounds: i64) -> (Rc<Store<MemDisk>>, MemLog, Shared) {
    let (store, log) = open(disk, config, (None, None)).await;
    let ghost = Shared::default();
    for round in 0..rounds {
        for key in 0..KEYS {
            let value = format!("{round}:{}", "v".repeat(50)).into_bytes();
            let draft = vec![(Some(format!("key{key}").into_bytes()), Some(value))];
            append(&store, &log, &ghost, &batch((round % 5) as i16, 1000 + round, Producer::NONE, &draft), 0);
        }
        if round % 20 == 0 {
            commit_all(&store).await;
            store.maintain(Timestamp(round * 1000)).await;
        }
    }
    settle(&store).await;
    (store, log, ghost)
}

async fn settle(store: &Store<MemDisk>) {
    commit_all(store).await;
    for n in 0..3 {
        // A pass asks for recovery points, which the next checkpoint writes.
        store.maintain(Timestamp(1_000_000 + n * 1000)).await;
        store.compact_one(Timestamp(0), budget(ROOMY), &Stopped).await;
    }
}

struct Stopped;

impl Pace for Stopped {
    async fn spent(&self, _: usize) {}
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }
    fn is_stopping(&self) -> bool {
        true
    }
}

#[test]
fn a_pass_leaves_the_newest_of_each_key_in_few_segments() {
    block_on(async {
        let (store, log, ghost) = filled(&fresh(5), config(1000, compaction()), 40).await;
        let before = log.bytes();
        let compacted = store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await;
        let Compacted::Cleaned(_, report) = compacted else { panic!("{compacted:?}") };
        assert_eq!((report.keys, report.was_cut), (KEYS as usize, false));
        assert!(log.bytes() < before / 5, "{before} bytes, then {}", log.bytes());
        let found = read_records(&store, &log, 1).await;
        check("compacted", &ghost.borrow(), &found, (0, log.ends().end.0), false);
        check_one_of_each_key("compacted", &found, log.cleaned_until());
        assert_eq!(log.ends().start, Offset(0), "where a log begins does not change");
        // There is nothing more to do.
        assert_eq!(store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await, Compacted::Nothing);
        // A fetch of an offset that is gone answers with what comes next.
        let range = ReadRange { from: Offset(3), until: log.ends().end, bytes_max: 1, at_least_one: true };
        let read = store.read(&log, range).await.expect("it can be read");
        assert!(BatchView::check(&read.slices[0]).unwrap().header().base_offset() > Offset(3));
    });
}

#[test]
fn a_small_key_map_needs_more_passes_and_comes_to_the_same() {
    block_on(async {
        let disk = fresh(6);
        let (store, log) = open(&disk, config(1000, compaction()), (None, None)).await;
        let ghost = Shared::default();
        for n in 0..120 {
            let key = format!("key{}", n * 7 % 40).into_bytes();
            let draft = vec![(Some(key), Some(format!("{n}:{}", "v".repeat(40)).into_bytes()))];
            append(&store, &log, &ghost, &batch(0, 1000, Producer::NONE, &draft), 0);
        }
        settle(&store).await;
        let mut cut = 0;
        // Sixteen slots.
        while let Compacted::Cleaned(_, report) = store.compact_one(Timestamp(5000), budget(0), &Free).await {
            cut += usize::from(report.was_cut);
            let found = read_records(&store, &log, 500).await;
            check("between passes", &ghost.borrow(), &found, (0, log.ends().end.0), false);
            check_one_of_each_key("between passes", &found, log.cleaned_until());
        }
        assert!(cut > 3, "it was full {cut} times");
        let found = read_records(&store, &log, 500).await;
        let active = found.iter().filter(|r| log.cleaned_until().is_some_and(|u| r.offset < u.0)).count();
        assert!(active <= 40, "{active} records of 40 keys");
    });
}

#[test]
fn a_tombstone_stays_for_its_time_and_goes_with_what_it_deleted() {
    block_on(async {
        let rules = CompactionConfig { delete_retention_ms: 1000, ..compaction() };
        let (store, log) = open(&fresh(7), config(300, rules), (None, None)).await;
        let ghost = Shared::default();
        let put = |key: &str, value: Option<&str>| {
            let draft = vec![(Some(key.as_bytes().to_vec()), value.map(|v| v.as_bytes().to_vec()))];
            append(&store, &log, &ghost, &batch(0, 1000, Producer::NONE, &draft), 0);
        };
        let has = |found: &[Rec], key: &str| found.iter().any(|r| r.key.as_deref() == Some(key.as_bytes()));
        put("gone", Some("value"));
        put("gone", None);
        (0..8).for_each(|n| put(&format!("filler{n}"), Some(&"f".repeat(60))));
        settle(&store).await;
        for (now, stays) in [(5000, true), (5999, true), (6000, false)] {
            assert!(matches!(
                store.compact_one(Timestamp(now), budget(ROOMY), &Free).await,
                Compacted::Cleaned(..)
            ));
            let found = read_records(&store, &log, 500).await;
            assert_eq!(has(&found, "gone"), stays, "at {now}");
            let gone = found.iter().filter(|r| r.key.as_deref() == Some(b"gone"));
            assert!(gone.clone().all(|r| r.value.is_none()), "the value went with the first pass");
            check("with a tombstone", &ghost.borrow(), &found, (0, log.ends().end.0), true);
            // Something to do for the next pass.
            (0..8).for_each(|n| put(&format!("more{n}"), Some(&"m".repeat(60))));
            settle(&store).await;
        }
    });
}

#[test]
fn records_without_a_key_go_as_with_kafka() {
    block_on(async {
        let (store, log) = open(&fresh(8), config(300, compaction()), (None, None)).await;
        let ghost = Shared::default();
        for n in 0..20 {
            let draft = vec![((n % 2 == 0).then(|| vec![n]), Some(vec![b'x'; 60]))];
            append(&store, &log, &ghost, &batch(0, 1000, Producer::NONE, &draft), 0);
        }
        settle(&store).await;
        assert!(matches!(
            store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await,
            Compacted::Cleaned(..)
        ));
        let found = read_records(&store, &log, 500).await;
        let until = log.cleaned_until().expect("it was cleaned").0;
        assert!(found.iter().all(|r| r.offset >= until || r.key.is_some()));
        assert_eq!(found.iter().filter(|r| r.offset < until).count() as i64, (until + 1) / 2);
    });
}

/// Aborted records never win over committed ones, though no index of transactions is there.
#[test]
fn an_aborted_record_supersedes_nothing() {
    block_on(async {
        let disk = fresh(9);
        let (store, log) = open(&disk, config(400, compaction()), (None, None)).await;
        let ghost = Shared::default();
        let producer = |sequence| Producer { id: 5, epoch: 0, base_sequence: sequence };
        let put = |codec: i16, sequence, key: &str, value: &str| {
            let draft = vec![(Some(key.as_bytes().to_vec()), Some(value.as_bytes().to_vec()))];
            let who = if sequence < 0 { Producer::NONE } else { producer(sequence) };
            append(&store, &log, &ghost, &batch(codec, 1000, who, &draft), 0);
        };
        put(0, -1, "k", "committed");
        put(0x10, 0, "k", "aborted");
        put(0x10, 1, "other", "aborted");
        // An abort marker of version 0.
        let marker = vec![(Some(vec![0, 0, 0, 0]), Some(vec![0, 0, 0, 0, 0, 1]))];
        append(
            &store,
            &log,
            &ghost,
            &batch(0x30, 1000, Producer { base_sequence: -1, ..producer(0) }, &marker),
            0,
        );
        (0..8).for_each(|n| put(0, -1, &format!("filler{n}"), &"f".repeat(60)));
        settle(&store).await;
        assert_eq!(store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await, Compacted::Nothing);
        // What is appended is no marker: only a start that reads the log learns that the transaction is over.
        for file in disk.files().into_iter().filter(|f| f.extension().is_some_and(|e| e == "snapshot")) {
            disk.remove(&file).await.expect("it is there");
        }
        let known = recover(&disk).await.expect("it is whole");
        let (store, log) = open(&disk, config(400, compaction()), known).await;
        settle(&store).await;
        let index = Path::new(DATA).join("t-0/00000000000000000000.txnindex");
        for now in [5000, 6000] {
            let compacted = store.compact_one(Timestamp(now), budget(ROOMY), &Free).await;
            assert!(matches!(compacted, Compacted::Cleaned(..)), "{compacted:?}");
            let found = read_records(&store, &log, 500).await;
            let until = log.cleaned_until().expect("cleaned").0;
            let values: Vec<_> =
                found.iter().filter(|r| r.offset < until).map(|r| r.value.clone().unwrap()).collect();
            assert!(
                values.contains(&b"committed".to_vec()) && !values.contains(&b"aborted".to_vec()),
                "at {now}"
            );
            // The last batch of the producer is left without records, so its marker and its place in the index stay.
            assert!(found.iter().any(|r| r.offset == 3), "at {now}");
            assert_eq!(disk.contents(&index).map(|bytes| bytes.len()), Some(34), "at {now}");
            // Something to do for the next pass.
            for n in 0..8 {
                let draft = vec![(Some(format!("filler{n}").into_bytes()), Some(vec![b'f'; 60]))];
                append(&store, &log, &ghost, &batch(0, 1000, Producer::NONE, &draft), 0);
            }
            settle(&store).await;
        }
    });
}

#[test]
fn a_damaged_partition_is_set_aside_and_the_next_start_tries_again() {
    block_on(async {
        let disk = fresh(10);
        let (store, log, _) = filled(&disk, config(1000, compaction()), 20).await;
        let first = Path::new(DATA).join("t-0/00000000000000000000.log");
        disk.flip(&first, 100, 1);
        assert_eq!(store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await, Compacted::GivenUp(id()));
        assert_eq!(store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await, Compacted::Nothing);
        assert!(store.failure().is_none() && !log.is_offline());
        assert!(!disk.files().iter().any(|f| f.to_string_lossy().contains(".cleaned")));
        disk.flip(&first, 100, 1);
        store.close().await.expect("a disk that works");
        let until = Some(Offset(0));
        let (store, _) = open(&disk, config(1000, compaction()), (None, until)).await;
        settle(&store).await;
        assert!(matches!(
            store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await,
            Compacted::Cleaned(..)
        ));
    });
}

#[test]
fn a_full_disk_ends_a_pass_and_nothing_else() {
    block_on(async {
        let disk = fresh(11);
        let (store, log, ghost) = filled(&disk, config(100_000, compaction()), 400).await;
        let used: usize = disk.files().iter().filter_map(|f| disk.contents(f)).map(|f| f.len()).sum();
        disk.set_capacity(used + 100);
        assert_eq!(store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await, Compacted::GivenUp(id()));
        assert!(store.failure().is_none());
        assert!(!disk.files().iter().any(|f| f.to_string_lossy().contains(".cleaned")));
        disk.set_capacity(usize::MAX);
        assert!(matches!(
            store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await,
            Compacted::Cleaned(..)
        ));
        let found = read_records(&store, &log, 500).await;
        check("after a full disk", &ghost.borrow(), &found, (0, log.ends().end.0), false);
    });
}

#[test]
fn a_pass_that_is_stopped_leaves_nothing_behind() {
    block_on(async {
        let disk = fresh(12);
        let (store, log, ghost) = filled(&disk, config(1000, compaction()), 20).await;
        let before = log.bytes();
        assert_eq!(
            store.compact_one(Timestamp(5000), budget(ROOMY), &Stopped).await,
            Compacted::GivenUp(id())
        );
        assert!(!disk.files().iter().any(|f| f.to_string_lossy().contains(".cleaned")));
        assert_eq!(log.bytes(), before);
        let found = read_records(&store, &log, 500).await;
        assert_eq!(found, ghost.borrow().records);
    });
}

/// Whoever opened them before the pass reads on, as with Kafka, and `file.delete.delay.ms` says how long.
#[test]
fn what_was_replaced_waits_for_its_delay_and_a_second_pass_for_no_more() {
    block_on(async {
        let disk = fresh(13);
        let delayed = LogConfig { file_delete_delay_ms: 700, ..config(1000, compaction()) };
        let (store, log, ghost) = filled(&disk, delayed, 20).await;
        let waiting =
            || disk.files().iter().filter(|f| f.to_string_lossy().ends_with(".log.deleted")).count();
        let compact = async |now| {
            let compacted = store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await;
            assert!(matches!(compacted, Compacted::Cleaned(..)), "{compacted:?}");
            store.remove_dropped(Timestamp(now)).await
        };
        assert_eq!(compact(10_000).await, Some(Timestamp(10_700)));
        let first = waiting();
        assert!(first > 10, "{first} segments were replaced");
        for key in 0..200 {
            let draft = vec![(Some(format!("key{}", key % KEYS).into_bytes()), Some(vec![b'w'; 50]))];
            append(&store, &log, &ghost, &batch(0, 30_000, Producer::NONE, &draft), 0);
        }
        settle(&store).await;
        // The compacted segment is replaced in its turn: its files have the names of those that wait already.
        assert_eq!(compact(10_100).await, Some(Timestamp(10_700)));
        assert!(waiting() > first);
        assert_eq!(store.remove_dropped(Timestamp(10_700)).await, Some(Timestamp(10_800)));
        assert_eq!(store.remove_dropped(Timestamp(10_800)).await, None);
        assert_eq!((waiting(), store.dropped_count()), (0, 0));
        let found = read_records(&store, &log, 500).await;
        check("after two passes", &ghost.borrow(), &found, (0, log.ends().end.0), false);
    });
}

/// The mark says where the next pass begins, and that offsets may have holes, also once the topic is not compacted any
/// more.
#[test]
fn a_log_that_was_compacted_once_can_be_read_for_ever() {
    let disk = fresh(13);
    block_on({
        let disk = disk.clone();
        async move {
            let (store, log, _) = filled(&disk, config(1000, compaction()), 20).await;
            assert!(matches!(
                store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await,
                Compacted::Cleaned(..)
            ));
            let marks = disk.contents(&cleaner_offsets_path(Path::new(DATA), 0)).expect("it was written");
            let line = format!(" 0 {}\n", log.cleaned_until().expect("cleaned"));
            assert!(String::from_utf8(marks).unwrap().ends_with(&line));
        }
    });
    let disk = disk.crash(13);
    block_on(async move {
        let known = recover(&disk).await.expect("it is whole");
        let plain = LogConfig { compaction: None, ..config(1000, compaction()) };
        let (store, log) = open(&disk, plain, known).await;
        assert!(read_records(&store, &log, 300).await.len() >= KEYS as usize);
        assert!(!log.is_offline());
        assert_eq!(store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await, Compacted::Nothing);
    });
}

/// What was read of the old segments was served for the new one, which has the same name.
#[test]
fn readers_get_nothing_old_from_their_cache() {
    block_on(async {
        let disk = fresh(14);
        let (store, _, ghost) = filled(&disk, config(100_000, compaction()), 400).await;
        store.close().await.expect("a disk that works");
        let (store, log) = open(&disk, config(100_000, compaction()), (None, None)).await;
        // All of it into the cache.
        let before = read_records(&store, &log, 5000).await;
        assert_eq!(before, ghost.borrow().records);
        settle(&store).await;
        assert!(matches!(
            store.compact_one(Timestamp(5000), budget(ROOMY), &Free).await,
            Compacted::Cleaned(..)
        ));
        let found = read_records(&store, &log, 5000).await;
        check("after a swap", &ghost.borrow(), &found, (0, log.ends().end.0), false);
        check_one_of_each_key("after a swap", &found, log.cleaned_until());
    });
}
