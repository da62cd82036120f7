//! A follower's log on the cruel disk: batches at the leader's offsets, with gaps, beside a log that is led. After a crash at
//! any operation each holds a prefix of what it was given, and all of what was acknowledged. The oracle is a list.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    path::Path,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use engine::{
    Durability, LogConfig, ReadError, ReadRange, SharedLog, Store, StoreOptions,
    disk::mem::{MemDisk, MemFile},
    index::IndexLimits,
    journal,
    recovery::{Recovery, RecoveryError},
};
use model::{
    BatchHeader, BatchView, LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

const DATA: &str = "/data";
const LOGS: usize = 3;
const PRODUCERS: u64 = 3;

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
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What the test alone knows to be true of one log.
#[derive(Clone, Default)]
struct Ghost {
    /// As they stand in the log.
    batches: Vec<Vec<u8>>,
    start: i64,
    end: i64,
    /// The first so many were acknowledged.
    acknowledged: usize,
    epoch: i32,
    serial: u64,
    /// A restart is under way: the log may be empty at its start or at this offset, or hold any prefix.
    restarting: Option<i64>,
}

impl Ghost {
    fn push(&mut self, batch: Vec<u8>) {
        let header = header(&batch);
        self.end = header.next_offset().0;
        self.epoch = header.leader_epoch().0;
        self.batches.push(batch);
    }

    fn keep(&mut self, count: usize) {
        self.batches.truncate(count);
        self.acknowledged = self.acknowledged.min(count);
        self.end = self.batches.last().map_or(self.start, |last| header(last).next_offset().0);
        self.epoch = self.batches.last().map_or(0, |last| header(last).leader_epoch().0);
    }

    /// Last epoch and sequence of each producer.
    fn sequence(&self, id: i64) -> Option<i32> {
        let of_producer = |batch: &&Vec<u8>| header(batch).producer_id().0 == id;
        let last = header(self.batches.iter().rev().find(of_producer)?);
        Some(last.base_sequence.get() + last.last_offset_delta.get())
    }

    /// The first offset of each epoch.
    fn epochs(&self) -> Vec<(i32, i64)> {
        let mut starts: Vec<(i32, i64)> = Vec::new();
        for header in self.batches.iter().map(|batch| header(batch)) {
            if starts.last().is_none_or(|last| last.0 < header.leader_epoch().0) {
                starts.push((header.leader_epoch().0, header.base_offset().0));
            }
        }
        starts
    }
}

fn header(batch: &[u8]) -> BatchHeader {
    *BatchView::check(batch).expect("a whole batch").header()
}

type Ghosts = Rc<RefCell<Vec<Ghost>>>;
type Task = Pin<Box<dyn Future<Output = ()>>>;
type MemLog = SharedLog<MemFile>;

/// Polls all tasks in turn until the first one is done.
fn run_until_first_ends(mut tasks: Vec<Task>) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut ended = vec![false; tasks.len()];
    for _ in 0..5_000_000 {
        for (task, ended) in tasks.iter_mut().zip(&mut ended).filter(|(_, ended)| !**ended) {
            *ended = task.as_mut().poll(&mut cx).is_ready();
        }
        if ended[0] {
            return;
        }
    }
    panic!("the scenario hangs");
}

fn block_on<T: 'static>(future: impl Future<Output = T> + 'static) -> T {
    let out = Rc::new(RefCell::new(None));
    let slot = out.clone();
    run_until_first_ends(vec![Box::pin(async move {
        let done = future.await;
        *slot.borrow_mut() = Some(done);
    })]);
    out.take().expect("ran to its end")
}

async fn yield_once() {
    let mut polled = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
}

fn id(n: usize) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(n as i32))
}

fn config(n: usize) -> LogConfig {
    LogConfig {
        durability: [Durability::Flushed, Durability::Written, Durability::Memory][n],
        segment_bytes: 300 << 10,
        index: IndexLimits { interval_bytes: 64, index_bytes_max: 1 << 16 },
        ..LogConfig::default()
    }
}

fn options(salt: u64) -> StoreOptions {
    StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt,
        journal_bytes_first: 256 << 10,
        journal_bytes_max: 512 << 10,
        cache_bytes_max: 1 << 20,
        checkpoint_ms: 400,
    }
}

/// What recovery told of each log.
type Known = Vec<(Option<Offset>, Option<Offset>)>;

async fn recover(disk: MemDisk) -> Result<Known, RecoveryError> {
    let recovery = Recovery::scan(disk, PagePool::new(64 << 20), Path::new(DATA)).await?;
    for n in 0..LOGS {
        recovery.restore(id(n), "t").await?;
    }
    recovery.sweep().await?;
    let known = (0..LOGS).map(|n| (recovery.log_start(id(n)), recovery.cleaned_until(id(n)))).collect();
    recovery.finish().await?;
    Ok(known)
}

async fn open(
    disk: &MemDisk,
    salt: u64,
    known: &Known,
) -> std::io::Result<(Rc<Store<MemDisk>>, Vec<MemLog>)> {
    let (pages, journal) = (PagePool::new(64 << 20), PagePool::new(journal::POOL_BYTES));
    let store = Store::start(disk.clone(), pages, journal, options(salt)).await?;
    let cleaned = known.iter().enumerate().filter_map(|(n, known)| Some((id(n), known.1?)));
    store.know_cleaned(cleaned);
    let mut logs = Vec::new();
    for (n, &(start, _)) in known.iter().enumerate() {
        let opened = store.open_log(id(n), "t", config(n), start, Timestamp(0)).await;
        logs.push(opened.map_err(|e| std::io::Error::other(e.to_string()))?);
    }
    Ok((store, logs))
}

fn batches_of(read: &engine::ReadBatches) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
    let (mut rest, mut batches) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let view = BatchView::check(rest).expect("a reader gets whole batches");
        batches.push(view.bytes().to_vec());
        rest = &rest[view.bytes().len()..];
    }
    batches
}

/// `None`: the power went meanwhile.
async fn read_all(store: &Store<MemDisk>, log: &MemLog) -> Option<Vec<Vec<u8>>> {
    let mut batches = Vec::new();
    let mut from = log.ends().start;
    while from < log.ends().end {
        let range = ReadRange { from, until: log.ends().end, bytes_max: 100 << 10, at_least_one: true };
        let read = match store.read(log, range).await {
            Err(_) if store.disk().is_dead() => return None,
            read => read.unwrap_or_else(|why| panic!("at {from}: {why}")),
        };
        let some = batches_of(&read);
        from = header(some.last().expect("one at least")).next_offset();
        batches.extend(some);
    }
    Some(batches)
}

/// Everything a log answers, against the oracle.
async fn check_log(store: &Store<MemDisk>, log: &MemLog, ghost: &Ghost, what: &str) {
    let Some(found) = read_all(store, log).await else { return };
    assert_eq!(found.len(), ghost.batches.len(), "{what}");
    assert!(found == ghost.batches, "{what}: other bytes");
    assert_eq!((log.ends().start.0, log.ends().end.0), (ghost.start, ghost.end), "{what}");
    let epochs = ghost.epochs();
    let last = epochs.last().map_or(LeaderEpoch::NONE, |last| LeaderEpoch(last.0));
    assert_eq!(log.last_position(), (Offset(ghost.end), last), "{what}");
    for (i, &(epoch, _)) in epochs.iter().enumerate() {
        let end = epochs.get(i + 1).map_or(ghost.end, |next| next.1);
        let answer = log.end_offset_for(LeaderEpoch(epoch));
        assert_eq!((answer.epoch.0, answer.end_offset.0), (epoch, end), "{what}: {epochs:?}");
    }
    let producers = log.active_producers();
    for id in 0..PRODUCERS as i64 {
        let known = producers.iter().find(|p| p.id.0 == id).map(|p| p.last_sequence);
        assert_eq!(known, ghost.sequence(id), "{what}: producer {id}");
    }
}

/// One life: what happens to its logs, one thing after another, while pumps and a reader are at work beside it.
struct Life {
    store: Rc<Store<MemDisk>>,
    logs: Vec<MemLog>,
    ghosts: Ghosts,
    random: Random,
    now: Rc<Cell<i64>>,
}

impl Life {
    async fn run(mut self, steps: u64, close: bool) {
        for _ in 0..steps {
            self.now.set(self.now.get() + self.random.below(100) as i64);
            if !self.step().await {
                return;
            }
            for n in 0..LOGS {
                self.note_acknowledged(n);
            }
        }
        if close && self.commit_all().await && self.store.close().await.is_ok() {
            for n in 0..LOGS {
                self.note_acknowledged(n);
            }
        }
    }

    async fn step(&mut self) -> bool {
        match self.random.below(14) {
            0 => self.commit_all().await,
            2 | 3 => self.truncate().await,
            4 => self.restart().await,
            1 => {
                for _ in 0..self.random.below(60) {
                    yield_once().await;
                }
                self.store.failure().is_none()
            }
            _ => {
                let n = self.random.below(LOGS as u64) as usize;
                self.append(n)
            }
        }
    }

    async fn truncate(&mut self) -> bool {
        let n = self.random.below(LOGS as u64) as usize;
        let before = self.ghosts.borrow()[n].clone();
        let (start, span) = (before.start, (before.end - before.start) as u64);
        // Most often near the end.
        let back = if self.random.one_in(3) { span + 2 } else { (span + 2).min(20) };
        let to = before.end + 1 - self.random.below(back) as i64;
        let kept = before.batches.iter().take_while(|b| header(b).next_offset().0 <= to).count();
        // From here on a crash may take what is above.
        self.ghosts.borrow_mut()[n].acknowledged = before.acknowledged.min(kept);
        let Ok(end) = self.store.truncate(&self.logs[n], Offset(to)).await else { return false };
        self.ghosts.borrow_mut()[n].keep(kept);
        let ghost = self.ghosts.borrow()[n].clone();
        assert_eq!((ghost.start, ghost.end), (start, end.0), "truncated to {to}");
        if self.random.one_in(3) {
            // What a truncation answers is durable.
            self.ghosts.borrow_mut()[n].acknowledged =
                if to < before.end { kept } else { 0 }.max(ghost.acknowledged);
            check_log(&self.store, &self.logs[n], &ghost, &format!("log {n} cut at {to}")).await;
        }
        true
    }

    async fn restart(&mut self) -> bool {
        let n = self.random.below(LOGS as u64) as usize;
        let before = self.ghosts.borrow()[n].clone();
        let start = match self.random.below(3) {
            0 => self.random.below(before.end as u64 + 1) as i64,
            1 => before.end + self.random.below(50) as i64,
            _ => before.start,
        };
        {
            let ghost = &mut self.ghosts.borrow_mut()[n];
            (ghost.restarting, ghost.acknowledged) = (Some(start), 0);
        }
        if self.store.restart_at(&self.logs[n], Offset(start)).await.is_err() {
            return false;
        }
        let ghost = Ghost { start, end: start, serial: before.serial, ..Ghost::default() };
        self.ghosts.borrow_mut()[n] = ghost.clone();
        check_log(&self.store, &self.logs[n], &ghost, &format!("log {n} began anew at {start}")).await;
        true
    }

    fn append(&mut self, n: usize) -> bool {
        let now = Timestamp(self.now.get());
        if self.random.one_in(4) {
            let batch = self.draw(n, 0);
            let epoch = header(&batch).leader_epoch();
            let appended = self.store.append(&self.logs[n], &batch, epoch, now);
            let ghost = &mut self.ghosts.borrow_mut()[n];
            let Ok(appended) = appended else { return false };
            assert_eq!(appended.base_offset, Offset(ghost.end));
            ghost.push(batch);
            return true;
        }
        let mut many = Vec::new();
        let before = self.ghosts.borrow()[n].clone();
        for _ in 0..1 + self.random.below(3) {
            let gap = if self.random.one_in(3) { 1 + self.random.below(20) as i64 } else { 0 };
            let batch = self.draw(n, gap);
            many.extend_from_slice(&batch);
            self.ghosts.borrow_mut()[n].push(batch);
        }
        match self.store.append_replica(&self.logs[n], &many, now) {
            Ok(end) => assert_eq!(end, Offset(self.ghosts.borrow()[n].end)),
            Err(_) => self.ghosts.borrow_mut()[n] = before,
        }
        self.store.failure().is_none()
    }

    /// A batch so far behind the log's end, as a leader has it.
    fn draw(&mut self, n: usize, gap: i64) -> Vec<u8> {
        let ghost = &mut self.ghosts.borrow_mut()[n];
        ghost.serial += 1;
        let bytes = match self.random.below(12) {
            0 => 200 << 10,
            1 => 5000,
            _ => self.random.below(300) as usize,
        };
        let tag = format!("{}:{}:", ghost.serial, self.random.next());
        let value: Vec<u8> = tag.bytes().chain(std::iter::repeat_n(b'x', bytes)).collect();
        let producer = match self.random.below(PRODUCERS * 2) {
            id if id < PRODUCERS => {
                let next = ghost.sequence(id as i64).map_or(0, |last| last + 1);
                Producer { id: id as i64, epoch: 0, base_sequence: next }
            }
            _ => Producer::NONE,
        };
        let count = 1 + self.random.below(3) as usize;
        let epoch = ghost.epoch + i32::from(self.random.one_in(5));
        let mut batch = batch_of(0, 1000 + ghost.end, producer, &vec![&value[..]; count]);
        engine::records::stamp(&mut batch, Offset(ghost.end + gap), LeaderEpoch(epoch));
        batch
    }

    async fn commit_all(&self) -> bool {
        while !self.store.is_idle() && self.store.failure().is_none() {
            yield_once().await;
        }
        self.store.failure().is_none()
    }

    fn note_acknowledged(&self, n: usize) {
        let ends = self.logs[n].ends();
        // What the others acknowledge a power cut may take.
        let flushed = self.logs[n].config().durability == Durability::Flushed;
        let safe = if flushed { ends.acknowledged } else { ends.durable };
        let ghost = &mut self.ghosts.borrow_mut()[n];
        let count = ghost.batches.iter().take_while(|b| header(b).next_offset() <= safe).count();
        ghost.acknowledged = ghost.acknowledged.max(count);
    }
}

/// Reads here and there: what was there when it began, or what is there when it ends, and nothing else.
async fn read_about(store: Rc<Store<MemDisk>>, logs: Vec<MemLog>, ghosts: Ghosts, mut random: Random) {
    loop {
        let n = random.below(LOGS as u64) as usize;
        let log = &logs[n];
        let before = ghosts.borrow()[n].batches.clone();
        let ends = log.ends();
        let from = ends.start + random.below((ends.end.0 - ends.start.0) as u64 + 1) as i64;
        let bytes_max = random.below(200 << 10) as usize;
        let read = store.read(log, ReadRange { from, until: ends.end, bytes_max, at_least_one: true }).await;
        match read {
            Ok(read) => {
                let after = &ghosts.borrow()[n].batches;
                let known = |batch: &Vec<u8>| before.contains(batch) || after.contains(batch);
                assert!(batches_of(&read).iter().all(known), "log {n}: bytes of nobody");
            }
            Err(ReadError::OutOfRange) => {}
            Err(ReadError::Io(_)) if store.disk().is_dead() => return,
            Err(error) => panic!("log {n}, from {from}: {error}"),
        }
        for _ in 0..random.below(40) {
            yield_once().await;
        }
    }
}

fn live(disk: &MemDisk, known: Known, ghosts: &Ghosts, seed: u64, steps: u64, close: bool) {
    let (disk, ghosts) = (disk.clone(), ghosts.clone());
    let opened = block_on(async move { open(&disk, seed, &known).await });
    let Ok((store, logs)) = opened else { return };
    let now = Rc::new(Cell::new(0));
    let mut random = Random(seed | 1);
    let commits: Task = {
        let store = store.clone();
        Box::pin(async move { while store.commit().await.is_ok() {} })
    };
    let housekeeping: Task = {
        let (store, now, mut random) = (store.clone(), now.clone(), random.clone());
        Box::pin(async move {
            loop {
                store.maintain(Timestamp(now.get())).await;
                for _ in 0..random.below(100) {
                    yield_once().await;
                }
            }
        })
    };
    let reader: Task = {
        random.next();
        Box::pin(read_about(store.clone(), logs.clone(), ghosts.clone(), random.clone()))
    };
    random.next();
    let life = Life { store, logs, ghosts, random, now };
    run_until_first_ends(vec![Box::pin(life.run(steps, close)), commits, housekeeping, reader]);
}

/// What the disk holds against what the test knows; the unacknowledged rest is forgotten as the log forgot it.
fn check(disk: &MemDisk, known: Known, ghosts: &Ghosts, what: &str) {
    let (disk, ghosts, what) = (disk.clone(), ghosts.clone(), what.to_owned());
    block_on(async move {
        let (store, logs) = open(&disk, 0xfeed, &known).await.unwrap_or_else(|e| panic!("{what}: {e}"));
        for (n, log) in logs.iter().enumerate() {
            let what = format!("{what} log {n}");
            let count = read_all(&store, log).await.expect("a disk that works").len();
            let mut ghost = ghosts.borrow()[n].clone();
            assert!(count >= ghost.acknowledged, "{what} lost: {count} of {}", ghost.acknowledged);
            assert!(count <= ghost.batches.len(), "{what} has {count} of {}", ghost.batches.len());
            ghost.keep(count);
            if let Some(start) = ghost.restarting.take()
                && count == 0
                && log.ends().start == Offset(start)
            {
                (ghost.start, ghost.end) = (start, start);
            }
            check_log(&store, log, &ghost, &what).await;
            ghosts.borrow_mut()[n] = ghost;
        }
        store.close().await.expect("a disk that works");
    });
}

/// A few lives in a row; the last one dies at operation `fail_at`, and the recovery after it dies once as well.
fn scenario(seed: u64, fail_at: Option<u64>, steps: u64) -> u64 {
    let ghosts: Ghosts = Rc::new(RefCell::new(vec![Ghost::default(); LOGS]));
    let mut disk = MemDisk::new(seed);
    disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
    let mut known: Known = vec![(None, None); LOGS];
    for life in 0..3 {
        let close = life < 2 && seed.is_multiple_of(3);
        let before = disk.operations();
        if life == 2 {
            disk.fail_at(fail_at.map(|n| before + n));
        }
        live(&disk, known, &ghosts, seed.wrapping_mul(31) + life, steps, close);
        let used = disk.operations() - before;
        disk = disk.crash(seed ^ (life << 32));
        if life == 2 && seed.is_multiple_of(2) {
            disk.fail_at(Some(1 + seed % 40));
            let died = block_on(recover(disk.clone()));
            assert!(died.is_err() || disk.operations() < 1 + seed % 40);
            disk.fail_at(None);
            disk = disk.crash(seed ^ 0xabcd);
        }
        let what = format!("seed {seed} life {life} fail_at {fail_at:?}");
        known = block_on(recover(disk.clone())).unwrap_or_else(|e| panic!("{what}: {e}"));
        check(&disk, known.clone(), &ghosts, &what);
        if life == 2 {
            return used;
        }
    }
    unreachable!("the third life returns");
}

#[test]
fn many_lives_keep_what_was_acknowledged() {
    for seed in 1..150 {
        scenario(seed, None, 40);
    }
}

#[test]
fn a_crash_at_each_operation_keeps_what_was_acknowledged() {
    for seed in 1..5 {
        let operations = scenario(seed, None, 16);
        for n in 1..=operations {
            scenario(seed, Some(n), 16);
        }
    }
}
