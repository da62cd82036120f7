//! What one shard holds of the disk: its logs, one journal, one cache. See the crate's head for who drives it.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use model::{LeaderEpoch, Offset, Timestamp, TopicPartition};
use rt::{notify::Notify, pages::PagePool};

use crate::{
    chunk_cache::ChunkCache,
    disk::{Disk, Space, is_full},
    dropped::Dropped,
    exclusive::Exclusive,
    index::TimestampOffset,
    journal::{Journal, Life},
    log::{
        AppendError, Appended, Durability, LogConfig, SharedLog,
        open::{self, OpenError, open_log},
        read::{ReadBatches, ReadError, ReadRange},
    },
    properties::names,
};

mod checkpoint;
mod commit;
mod compact;
mod damage;
mod figures;
mod lives;
mod maintain;
mod scrub;
mod trim;
mod truncate;

#[cfg(test)]
mod tests;

use lives::Lives;

pub use commit::Failed;
pub use compact::{Compacted, CompactionBudget, cleaner_offsets_path};
pub use figures::StoreFigures;
pub use truncate::TruncateError;

/// Folder of the journals within the data directory.
pub const JOURNAL_DIR: &str = "journal";

/// Share of the page pool above which a shard stops taking work until pages come back.
const ROOM_PERCENT: usize = 90;

#[derive(Clone, Debug)]
pub struct StoreOptions {
    pub data_dir: PathBuf,
    pub shard: u16,
    /// Makes old frames of the journal's file strangers: random, new at each start.
    pub salt: u64,
    /// Prewritten before the store takes its first record.
    pub journal_bytes_first: u64,
    /// The journal grows to this size in the background.
    pub journal_bytes_max: u64,
    /// What cold reads may keep.
    pub cache_bytes_max: usize,
    /// A log with appended bytes older than this is written to its segment, so that recovery stays short.
    pub checkpoint_ms: i64,
}

/// What earlier lives said of a log that could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unopened {
    /// Where it begins, if it has lost its first records.
    pub start: Option<Offset>,
    /// Up to where it was compacted, if ever.
    pub cleaned: Option<Offset>,
}

pub struct Store<D: Disk> {
    disk: D,
    pages: PagePool,
    cache: ChunkCache<D>,
    journal: Journal<D>,
    options: StoreOptions,
    logs: RefCell<BTreeMap<TopicPartition, SharedLog<D::File>>>,
    /// Logs with something to commit, in the order in which they got it.
    queue: RefCell<VecDeque<SharedLog<D::File>>>,
    /// Logs with bytes that are not yet in synced segments.
    unsynced: RefCell<Vec<SharedLog<D::File>>>,
    work: Notify,
    journal_room: Notify,
    page_room: Notify,
    maintenance: Notify,
    maintenance_due: Cell<bool>,
    /// A commit waits for room in the journal.
    journal_wanted: Cell<bool>,
    failure: RefCell<Option<Rc<str>>>,
    disk_full: Cell<bool>,
    disk_room: Notify,
    /// The file that `trim` gives up for room on a full disk is there.
    has_reserve: Cell<bool>,
    /// Who makes a checkpoint, or keeps others from making one.
    checkpoints: Exclusive,
    /// Who writes the file of the log starts.
    starts: Exclusive,
    /// Who writes the file of the cleaner offsets.
    cleaner_offsets: Exclusive,
    /// What is known of logs that could not be opened: it is not to be forgotten for that.
    unopened: RefCell<BTreeMap<TopicPartition, Unopened>>,
    dropped: Dropped,
    serial: Cell<u64>,
    /// Of logs that are not open yet: how far they were compacted.
    cleaned: RefCell<BTreeMap<TopicPartition, Offset>>,
    /// A log was found corrupt.
    damage_found: Notify,
    /// Compaction waits for the next checkpoint.
    checkpoint_wanted: Cell<bool>,
    committing: Cell<bool>,
    committed: Notify,
    lives: Lives,
    /// Housekeeping has ended: nobody makes room on a full disk any more.
    closing: Cell<bool>,
    counts: figures::Counts,
}

impl<D: Disk> Store<D> {
    /// Starts a store on a directory that recovery has made clean.
    pub async fn start(
        disk: D,
        pages: PagePool,
        journal_pages: PagePool,
        options: StoreOptions,
    ) -> io::Result<Rc<Self>> {
        let dir = options.data_dir.join(JOURNAL_DIR);
        match disk.create_dir(&dir).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => done?,
        }
        let path = journal_path(&options.data_dir, options.shard);
        let (salt, first_bytes) = (options.salt, options.journal_bytes_first);
        let life = Life { shard: u32::from(options.shard), salt, first_bytes };
        let journal = Journal::start(disk.clone(), journal_pages, &path, life).await?;
        disk.flush_dir(&dir).await?;
        disk.flush_dir(&options.data_dir).await?;
        let lives = Lives::read(&disk, &dir).await?;
        Ok(Rc::new(Self {
            cache: ChunkCache::new(disk.clone(), pages.clone(), options.cache_bytes_max),
            disk,
            pages,
            journal,
            options,
            logs: RefCell::default(),
            queue: RefCell::default(),
            unsynced: RefCell::default(),
            work: Notify::new(),
            journal_room: Notify::new(),
            page_room: Notify::new(),
            maintenance: Notify::new(),
            maintenance_due: Cell::new(false),
            journal_wanted: Cell::new(false),
            failure: RefCell::default(),
            disk_full: Cell::new(false),
            disk_room: Notify::new(),
            has_reserve: Cell::new(false),
            checkpoints: Exclusive::default(),
            starts: Exclusive::default(),
            cleaner_offsets: Exclusive::default(),
            unopened: RefCell::default(),
            dropped: Dropped::default(),
            serial: Cell::new(0),
            cleaned: RefCell::default(),
            damage_found: Notify::new(),
            checkpoint_wanted: Cell::new(false),
            committing: Cell::new(false),
            committed: Notify::new(),
            lives,
            closing: Cell::new(false),
            counts: figures::Counts::default(),
        }))
    }

    /// How many logs may be opened at a time.
    pub fn logs_at_once(&self) -> usize {
        open::at_once(self.cache.pages())
    }

    /// Opens a log that recovery left clean, or begins an empty one: nothing touches the disk for that.
    pub async fn open_log(
        &self,
        id: TopicPartition,
        topic: &str,
        config: LogConfig,
        log_start: Option<Offset>,
        now: Timestamp,
    ) -> Result<SharedLog<D::File>, OpenError> {
        assert!(!self.logs.borrow().contains_key(&id), "log {id} is open already");
        self.serial.set(self.serial.get() + 1);
        let dir = self.options.data_dir.join(names::dir_name(topic, id.partition));
        let cleaned = self.cleaned.borrow_mut().remove(&id);
        let starts = (log_start, cleaned);
        let opened = open_log(&self.cache, id, dir, self.serial.get(), config, starts, now).await;
        if opened.is_err() {
            self.unopened.borrow_mut().insert(id, Unopened { start: log_start, cleaned });
        }
        let log = opened?;
        self.unopened.borrow_mut().remove(&id);
        self.logs.borrow_mut().insert(id, log.clone());
        {
            // Its epochs were read from the batches: the next checkpoint writes them down.
            let mut state = log.state.borrow_mut();
            if state.epochs_changed {
                (state.unsynced, state.unsynced_since) = (true, now);
                self.unsynced.borrow_mut().push(log.clone());
            }
        }
        if self.lives.was_deleted(id) {
            self.forget_earlier_life_of(&log).await?;
        }
        Ok(log)
    }

    /// Logs that could not be opened.
    pub fn unopened(&self) -> Vec<(TopicPartition, Unopened)> {
        self.unopened.borrow().iter().map(|(id, known)| (*id, *known)).collect()
    }

    pub fn log(&self, id: TopicPartition) -> Option<SharedLog<D::File>> {
        self.logs.borrow().get(&id).cloned()
    }

    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Of the disk that holds the data directory.
    pub async fn space(&self) -> io::Result<Space> {
        self.disk.space(&self.options.data_dir).await
    }

    pub fn log_count(&self) -> usize {
        self.logs.borrow().len()
    }

    /// Appends a checked batch: offset and order are fixed on return, `commit` makes it safe.
    pub fn append(
        &self,
        log: &SharedLog<D::File>,
        batch: &[u8],
        leader_epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        if self.refuses(log) {
            return Err(AppendError::Offline);
        }
        let appended = log.append(&self.pages, batch, leader_epoch, now)?;
        if !appended.duplicate {
            self.enqueue(log);
        }
        Ok(appended)
    }

    /// Appends a leader's batches to a follower's log: whole ones, their checksums known to be right, with offsets, epochs
    /// and times as they are. The first begins at the log's end or, where the leader's was compacted, above it; no epoch is
    /// below the log's latest. Nothing is asked of producers. At the first one that does not fit this stops, and those
    /// before it stay. Answers where the log ends now; `commit` makes it safe.
    pub fn append_replica(
        &self,
        log: &SharedLog<D::File>,
        batches: &[u8],
        now: Timestamp,
    ) -> Result<Offset, AppendError> {
        if self.refuses(log) {
            return Err(AppendError::Offline);
        }
        let before = log.ends().end;
        let appended = log.append_replica(&self.pages, batches, now);
        if log.ends().end > before {
            self.enqueue(log);
        }
        appended
    }

    fn refuses(&self, log: &SharedLog<D::File>) -> bool {
        self.failure.borrow().is_some() || (self.disk_full.get() && log.id != TopicPartition::METADATA)
    }

    fn enqueue(&self, log: &SharedLog<D::File>) {
        let mut state = log.state.borrow_mut();
        if !state.unsynced {
            state.unsynced = true;
            self.unsynced.borrow_mut().push(log.clone());
        }
        if state.config.durability == Durability::Memory && !state.queued {
            // Nobody waits for these bytes: they go to their segment with the next destage, without the journal.
            state.pending.clear();
            state.unjournaled = state.ends.end;
        } else if !state.queued {
            state.queued = true;
            self.queue.borrow_mut().push_back(log.clone());
            self.work.wake_all();
        }
        drop(state);
        if log.unwritten_bytes() >= maintain::DESTAGE_BYTES {
            self.want_maintenance();
        }
    }

    /// Where a log is corrupt this fails; what is good of it can be read all the same.
    pub async fn read(&self, log: &SharedLog<D::File>, range: ReadRange) -> Result<ReadBatches, ReadError> {
        let read = log.read(&self.cache, range).await;
        self.note_corruption(log, read)
    }

    pub async fn find_timestamp(
        &self,
        log: &SharedLog<D::File>,
        target: Timestamp,
        until: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let found = log.find_timestamp(&self.cache, target, until).await;
        self.note_corruption(log, found)
    }

    pub async fn find_max_timestamp(
        &self,
        log: &SharedLog<D::File>,
        until: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let found = log.find_max_timestamp(&self.cache, until).await;
        self.note_corruption(log, found)
    }

    /// Reads ahead for sequential consumers, for ever; one pump a shard.
    pub async fn read_ahead(&self) {
        self.cache.read_ahead().await;
    }

    /// May new work come in? Below that, sockets wait.
    pub fn has_room(&self) -> bool {
        self.pages.in_use_bytes() < self.pages.budget_bytes() / 100 * ROOM_PERCENT || self.evict(0)
    }

    /// Waits until `has_room`.
    pub async fn room(&self) {
        while !self.has_room() && self.failure.borrow().is_none() {
            self.want_maintenance();
            self.page_room.wait().await;
        }
    }

    pub fn failure(&self) -> Option<Rc<str>> {
        self.failure.borrow().clone()
    }

    pub fn is_disk_full(&self) -> bool {
        self.disk_full.get()
    }

    pub fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// A write or flush failed: what is on the disk is no longer known. Nothing is acknowledged any more, and nothing
    /// is tried again: a second flush would say yes to bytes that are gone.
    fn fail(&self, what: &str, error: &io::Error) {
        if self.failure.borrow().is_none() {
            tracing::error!(
                data = %self.options.data_dir.display(), %error,
                "{what} failed, so this data directory takes no more records; check the disk and restart"
            );
            *self.failure.borrow_mut() = Some(format!("{what}: {error}").into());
            for log in self.logs.borrow().values() {
                log.state.borrow_mut().frozen = true;
            }
        }
        self.work.wake_all();
        self.journal_room.wake_all();
        self.page_room.wake_all();
        self.disk_room.wake_all();
        self.want_maintenance();
    }

    /// An error of a segment write: a full disk is waited for, anything else is final.
    fn segment_error(&self, what: &str, error: &io::Error) {
        if !is_full(error) {
            return self.fail(what, error);
        }
        if !self.disk_full.replace(true) {
            tracing::error!(
                data = %self.options.data_dir.display(),
                "the disk is full: produce is refused until there is room again, reads go on"
            );
            // Nothing waits for its delay now.
            self.dropped.look_again();
        }
    }

    /// What was refused may be tried again.
    fn note_disk_room(&self) {
        if self.disk_full.replace(false) {
            tracing::info!(data = %self.options.data_dir.display(), "there is room on the disk again: produce goes on");
        }
        self.disk_room.wake_all();
    }
}

pub fn journal_path(data_dir: &Path, shard: u16) -> PathBuf {
    data_dir.join(JOURNAL_DIR).join(format!("{shard}.journal"))
}

/// Where a shard keeps the starts of logs whose first records were deleted (the same format).
pub fn log_starts_path(data_dir: &Path, shard: u16) -> PathBuf {
    data_dir.join(JOURNAL_DIR).join(format!("{shard}.log-starts"))
}

/// Where a shard keeps the recovery points of its logs while it runs (Kafka's checkpoint format, by topic id).
pub fn recovery_points_path(data_dir: &Path, shard: u16) -> PathBuf {
    data_dir.join(JOURNAL_DIR).join(format!("{shard}.recovery-points"))
}
