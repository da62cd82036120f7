//! Writers that go on whatever happens, and note what they were told. Each partition has two: one with a producer id, one
//! without.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use model::{ErrorCode, batch::record::Producer};

use crate::{
    broker::{Client, PATIENCE, batch, wait_for},
    check::{Acknowledged, History, Value},
    cluster::{Cluster, find_leader},
};

const RECORDS_MAX: u64 = 5;
/// Between two batches of a writer: enough for a few hundred of them, little enough for a machine with other work.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at the writers' progress.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// Replicas may have to be found dead before a leader can answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// What the writers know, for those who watch.
#[derive(Default)]
pub(crate) struct Shared {
    history: Mutex<History>,
    /// Batches acknowledged, by writer.
    progress: Mutex<BTreeMap<u32, u64>>,
    /// Behind the last acknowledged record, by partition.
    ends: Mutex<BTreeMap<i32, i64>>,
}

impl Shared {
    pub(crate) fn end(&self, partition: i32) -> i64 {
        lock(&self.ends).get(&partition).copied().unwrap_or(0)
    }

    /// Records, of all writers.
    pub(crate) fn acknowledged(&self) -> u64 {
        lock(&self.history).acknowledged.iter().map(|ack| ack.count).sum()
    }

    fn note(&self, ack: Acknowledged) {
        if let Some(base) = ack.base_offset {
            let mut ends = lock(&self.ends);
            let end = ends.entry(ack.partition).or_default();
            *end = (*end).max(base + ack.count as i64);
        }
        *lock(&self.progress).entry(ack.first.writer).or_default() += 1;
        lock(&self.history).acknowledged.push(ack);
    }
}

/// A thread that panicked has its say when it is joined.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Load {
    pub(crate) shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(cluster: &Cluster, topic: &str, partition_count: i32) -> Self {
        let (shared, stop) = (Arc::new(Shared::default()), Arc::new(AtomicBool::new(false)));
        let mut threads = Vec::new();
        for (id, partition) in (0..).zip((0..partition_count).flat_map(|partition| [partition, partition])) {
            let producer = (id % 2 == 0).then(|| cluster.client().init_producer_id());
            if producer.is_some() {
                lock(&shared.history).idempotent.insert(id);
            }
            lock(&shared.progress).insert(id, 0);
            let writer = Writer {
                id,
                topic: topic.to_owned(),
                partition,
                producer,
                addresses: cluster.addresses(),
                leader: None,
                shared: shared.clone(),
                stop: stop.clone(),
            };
            threads.push(thread::spawn(move || writer.run()));
        }
        Self { shared, stop, threads }
    }

    /// Returns when every writer has so many answers.
    #[track_caller]
    pub(crate) fn wait_for_batches(&self, count: u64) {
        wait_for("every writer is at work", PATIENCE, || {
            lock(&self.shared.progress).values().all(|&answers| answers >= count).then_some(())
        });
    }

    /// Returns when every writer was answered for something that it sent after this call; says how long that took.
    #[track_caller]
    pub(crate) fn wait_for_progress(&self, limit: Duration) -> Duration {
        let everyone: Vec<u32> = lock(&self.shared.progress).keys().copied().collect();
        self.wait_for_progress_of(&everyone, limit)
    }

    /// The same of some writers.
    #[track_caller]
    pub(crate) fn wait_for_progress_of(&self, writers: &[u32], limit: Duration) -> Duration {
        let (since, before) = (Instant::now(), lock(&self.shared.progress).clone());
        loop {
            let stuck = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!stuck, "a writer gave up");
            // The first answer may be to something that was under way.
            let now = lock(&self.shared.progress).clone();
            if writers.iter().all(|writer| now[writer] >= before[writer] + 2) {
                return since.elapsed();
            }
            assert!(
                since.elapsed() < limit,
                "not all of {writers:?} are answered: {before:?} became {now:?}"
            );
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Everything that was sent is acknowledged then.
    pub(crate) fn end(self) -> History {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads {
            thread.join().expect("a writer is answered as Kafka answers");
        }
        lock(&self.shared.history).clone()
    }
}

struct Writer {
    id: u32,
    topic: String,
    partition: i32,
    producer: Option<Producer>,
    addresses: BTreeMap<i32, String>,
    leader: Option<Client>,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self) {
        let mut sequence = 0;
        while !self.stop.load(Ordering::Acquire) {
            let count = 1 + sequence % RECORDS_MAX;
            self.write(Value { writer: self.id, sequence }, count);
            sequence += count;
            thread::sleep(PAUSE);
        }
    }

    /// Returns when it is acknowledged.
    fn write(&mut self, first: Value, count: u64) {
        let values: Vec<String> =
            (0..count).map(|n| Value { sequence: first.sequence + n, ..first }.text()).collect();
        let producer = self.producer.map_or(Producer::NONE, |producer| Producer {
            base_sequence: i32::try_from(first.sequence).expect("a short test"),
            ..producer
        });
        let bytes = batch::batch_by(producer, &values);
        let mut sent_before = false;
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            match self.try_once(&bytes) {
                Ok(Told::Written(base_offset)) => {
                    let partition = self.partition;
                    self.shared.note(Acknowledged { partition, first, count, base_offset, sent_before });
                    return;
                }
                Ok(Told::NotWritten) => {}
                Ok(Told::Unknown) => sent_before = true,
                Err(_) => {
                    sent_before |= self.leader.is_some();
                    self.leader = None;
                }
            }
            assert!(Instant::now() < deadline, "writer {} had no answer to {}", self.id, first.text());
            thread::sleep(RETRY_PAUSE);
        }
    }

    /// An error with a leader at hand: it may have been written. Without one: it was not sent.
    fn try_once(&mut self, bytes: &[u8]) -> io::Result<Told> {
        if self.leader.is_none() {
            self.leader = self.find_leader();
        }
        let Some(leader) = &mut self.leader else { return Ok(Told::NotWritten) };
        let produced = leader.try_produce(&self.topic, self.partition, bytes)?;
        let told = match produced.code {
            ErrorCode::None => Told::Written(Some(produced.base_offset).filter(|&base| base >= 0)),
            ErrorCode::DuplicateSequenceNumber => Told::Written(None),
            ErrorCode::NotEnoughReplicas => Told::NotWritten,
            // A leader that is deposed while it waits for replicas does not know either.
            code if code.is_retriable() => Told::Unknown,
            code => panic!("writer {} on partition {}: {code:?}", self.id, self.partition),
        };
        if !matches!(told, Told::Written(_)) {
            self.leader = None;
        }
        Ok(told)
    }

    fn find_leader(&self) -> Option<Client> {
        let client = find_leader(&self.addresses, &self.topic, self.partition)?;
        client.set_patience(ANSWER_LIMIT);
        Some(client)
    }
}

enum Told {
    /// And where, if that is known.
    Written(Option<i64>),
    NotWritten,
    Unknown,
}
