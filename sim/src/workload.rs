//! What clients and operators do to a running store: appends from plain and idempotent producers, retries, changes of
//! leader and of config, deletions, reads. It tells the ghost what it did and judges only the answers it got at once.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use engine::{AppendError, Durability, ReadError, ReadRange, SharedLog, Store};
use model::Offset;

use crate::{
    batches::{self, Draft},
    checkers::{contents, watermarks::Watermarks},
    disk::{SimDisk, SimFile},
    executor::Clock,
    ghost::{GhostBatch, GhostLog, Sent},
    plan::Plan,
    random::Random,
    trace::Trace,
};

/// Longest pause between two steps.
const PAUSE_MS: u64 = 60;
/// Room on a full disk.
const ROOM_BYTES: usize = 40 << 10;
/// Ticks of housekeeping after which a disk that has room again must be in use again.
const PATIENCE_MS: u64 = 3000;
const PRODUCERS: i64 = 3;

/// Everything one life is made of.
pub struct Life {
    pub store: Rc<Store<SimDisk>>,
    pub logs: Vec<SharedLog<SimFile>>,
    pub ghosts: Rc<RefCell<Vec<GhostLog>>>,
    pub disk: SimDisk,
    pub clock: Clock,
    pub trace: Trace,
    pub plan: Rc<Plan>,
}

pub struct Workload {
    life: Rc<Life>,
    random: Random,
    /// Batches of this life that producers may send again, by log.
    recent: Vec<BTreeMap<i64, Vec<GhostBatch>>>,
    reconfigured: Vec<bool>,
    full_for: u64,
}

impl Workload {
    pub fn new(life: Rc<Life>, random: Random) -> Self {
        let count = life.logs.len();
        Self {
            recent: vec![BTreeMap::new(); count],
            reconfigured: vec![false; count],
            full_for: 0,
            life,
            random,
        }
    }

    /// Works until the steps are over or the store has failed.
    pub async fn work(&mut self, steps: u64) {
        for _ in 0..steps {
            if self.life.store.failure().is_some() {
                return;
            }
            self.step().await;
            for (log, reconfigured) in self.life.logs.iter().zip(&self.reconfigured) {
                if !reconfigured {
                    Watermarks::acknowledged_is_safe(log);
                }
            }
            let pause = self.random.below(PAUSE_MS);
            self.life.clock.sleep_ms(pause).await;
        }
        if self.full_for > 0 {
            self.make_room().await;
        }
    }

    async fn step(&mut self) {
        let (faults, uses) = (self.life.plan.faults, self.life.plan.uses);
        if self.full_for > 0 {
            self.full_for -= 1;
            if self.full_for == 0 {
                self.make_room().await;
            }
        } else if faults.disk_full && self.random.one_in(8) {
            let room = self.random.index(ROOM_BYTES);
            self.life.disk.set_room(Some(room));
            self.full_for = self.random.between(1, 12);
        }
        if faults.read_errors {
            let per_mille = self.random.pick(&[0, 0, 30]);
            self.life.disk.set_read_errors(per_mille);
        }
        let log = self.random.index(self.life.logs.len());
        match self.random.below(20) {
            0 if uses.config_changes => self.change_config(log),
            1 if uses.leader_changes => self.change_leader(log),
            2 if uses.delete_records => self.delete_records(log).await,
            3 if uses.producers => self.send_again(log),
            _ => {
                for _ in 0..self.random.between(1, 6) {
                    let log = self.random.index(self.life.logs.len());
                    self.append(log);
                }
            }
        }
    }

    fn append(&mut self, n: usize) {
        // A connection takes no request while there is none.
        if !self.life.store.has_room() {
            return;
        }
        let producer = (self.life.plan.uses.producers && self.random.one_in(2)).then(|| self.next_of(n));
        let large = self.life.plan.large_bytes.filter(|_| self.random.one_in(10));
        let value_bytes = large.unwrap_or(self.life.plan.value_bytes);
        let compacted = self.life.ghosts.borrow()[n].compacted;
        let draft = batches::draw(&mut self.random, self.life.clock.now(), value_bytes, producer, compacted);
        self.send(n, draft);
    }

    /// The next sequence of one of a log's producers; now and then its epoch rises.
    fn next_of(&mut self, n: usize) -> (i64, i16, i32) {
        let id = self.random.below(PRODUCERS as u64) as i64;
        let last = self.life.ghosts.borrow()[n].producers.get(&id).map(|(sent, _)| *sent);
        match last {
            None => (id, 0, 0),
            Some(last) if self.random.one_in(20) && last.epoch < i16::MAX => (id, last.epoch + 1, 0),
            Some(last) => (id, last.epoch, last.next_sequence()),
        }
    }

    fn send(&mut self, n: usize, draft: Draft) {
        let (store, log) = (&self.life.store, &self.life.logs[n]);
        let epoch = self.life.ghosts.borrow()[n].leader_epoch;
        let answer = store.append(log, &draft.bytes, epoch, self.life.clock.now());
        self.life.trace.note("append", &[n as u64, draft.bytes.len() as u64, answer.is_ok().into()]);
        let segment_bytes = log.config().segment_bytes;
        match answer {
            Ok(appended) => {
                assert!(!appended.duplicate, "log {n}: a new batch is called a retry");
                let batch = draft.placed(appended.base_offset, epoch);
                assert_eq!(batch.next, appended.next_offset);
                if let Some(sent) = batch.producer {
                    self.remember(n, sent, batch.clone());
                }
                self.life.ghosts.borrow_mut()[n].push(batch);
            }
            Err(AppendError::Offline) => {
                assert!(!log.is_offline(), "log {n}: nothing is corrupt, and it went offline");
                // A write that found no room may say so when there is room again.
                let full = self.life.plan.faults.disk_full && store.is_disk_full();
                assert!(store.failure().is_some() || full, "log {n} refuses for no reason");
                self.full_for = self.full_for.max(1);
            }
            Err(AppendError::LargerThanSegment) => assert!(draft.bytes.len() as u64 > segment_bytes),
            Err(AppendError::NoRoom) => {
                assert!(
                    draft.bytes.len() * 20 > self.life.plan.page_bytes,
                    "log {n}: there was room for {} bytes",
                    draft.bytes.len()
                );
            }
            Err(error) => panic!("log {n}: {error}"),
        }
    }

    fn remember(&mut self, n: usize, sent: Sent, batch: GhostBatch) {
        let recent = self.recent[n].entry(sent.id).or_default();
        if recent.last().is_some_and(|last| last.producer.is_some_and(|s| s.epoch != sent.epoch)) {
            recent.clear();
        }
        recent.push(batch);
        // As many as a log remembers.
        let surplus = recent.len().saturating_sub(engine::producers::BATCHES_REMEMBERED);
        recent.drain(..surplus);
    }

    /// A response was lost: the producer sends one of its last batches again and must hear the same offset.
    fn send_again(&mut self, n: usize) {
        let id = self.random.below(PRODUCERS as u64) as i64;
        let Some(recent) = self.recent[n].get(&id) else { return };
        let batch = &recent[self.random.index(recent.len())];
        let (store, log) = (&self.life.store, &self.life.logs[n]);
        match store.append(log, &batch.bytes, batch.epoch, self.life.clock.now()) {
            Ok(appended) => {
                assert!(appended.duplicate, "log {n}: a retry was appended again");
                assert_eq!((appended.base_offset, appended.next_offset), (batch.base, batch.next), "log {n}");
            }
            Err(AppendError::Offline) => {}
            Err(error) => panic!("log {n}: a retry got: {error}"),
        }
    }

    fn change_config(&mut self, n: usize) {
        let log = &self.life.logs[n];
        let mut config = log.config();
        config.durability = self.random.pick(&[Durability::Flushed, Durability::Written, Durability::Memory]);
        self.reconfigured[n] = true;
        log.set_config(config);
    }

    fn change_leader(&mut self, n: usize) {
        let epoch = &mut self.life.ghosts.borrow_mut()[n].leader_epoch;
        epoch.0 += 1 + self.random.below(2) as i32;
        self.life.logs[n].lead(*epoch);
    }

    async fn delete_records(&mut self, n: usize) {
        let log = &self.life.logs[n];
        let ends = log.ends();
        let span = (ends.acknowledged.0 - ends.start.0).max(0) as u64;
        let start = Offset(ends.start.0 + self.random.below(span + 1) as i64);
        {
            let ghost = &mut self.life.ghosts.borrow_mut()[n];
            ghost.start_max = ghost.start_max.max(start);
        }
        if let Ok(now) = self.life.store.delete_records(log, start).await {
            assert!(now >= start);
            let ghost = &mut self.life.ghosts.borrow_mut()[n];
            ghost.start_min = ghost.start_min.max(start);
        }
    }

    /// Somebody cleaned up: within a while produce must go on, without a restart.
    async fn make_room(&mut self) {
        self.full_for = 0;
        self.life.disk.set_room(None);
        let until = self.life.clock.now_us() + PATIENCE_MS * 1000;
        while self.life.store.is_disk_full() && self.life.store.failure().is_none() {
            assert!(self.life.clock.now_us() < until, "the disk has room again, and nobody notices");
            self.life.clock.sleep_ms(100).await;
        }
    }
}

/// Reads at random places, for ever; what it gets must be what was appended.
pub async fn read_for_ever(life: Rc<Life>, mut random: Random) {
    loop {
        let pause = random.below(30);
        life.clock.sleep_ms(pause).await;
        let n = random.index(life.logs.len());
        let log = &life.logs[n];
        let ends = log.ends();
        let from = Offset(ends.start.0 + random.below((ends.end.0 - ends.start.0) as u64 + 1) as i64);
        let until = random.pick(&[ends.acknowledged, ends.end]);
        let bytes_max = random.pick(&[1, 5000, 1 << 20]);
        let range = ReadRange { from, until, bytes_max, at_least_one: random.one_in(2) };
        let what = format!("log {n}");
        match life.store.read(log, range).await {
            Ok(read) => {
                let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
                let found = contents::split(&bytes);
                contents::check_read(&what, &life.ghosts.borrow()[n], from, until, &found);
                life.trace.note("read", &[n as u64, from.0 as u64, bytes.len() as u64]);
            }
            // Deleted under the reader's eyes, or an error of the device that says nothing about the bytes.
            Err(ReadError::OutOfRange) if log.ends().start > from => {}
            Err(ReadError::Io(_)) => {}
            Err(error) => panic!("{what}: reading {from}: {error}"),
        }
    }
}
