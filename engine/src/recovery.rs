//! After an unclean stop: the journals' chains are followed, every log gets back what its segments lack, torn tails are
//! cut, and the directory is as clean as after a stop in order. Running it twice changes nothing the second time.
//!
//! ```text
//!   segment   |####### synced ########|..... written, perhaps .....|  zeros
//!             0                 recovery point
//!   journal                           |run|run|extent|run|   (in order, whole or not at all)
//! ```
//! From the recovery point on the journal's runs are put into the segments, an extent is checked where it lies, and
//! behind the last run whole batches that continue the log are kept: they were written, if not acknowledged.
//! What is missing or wrong *below* the recovery point, or under a run that later frames build on, is corruption: the
//! log is refused and nothing of it is cut.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use model::{BatchHeader, Offset, TopicPartition, batch::crc32c};
use rt::pages::{BLOCK, PAGE_MAX, PagePool};

use crate::{
    block_reader::BlockReader,
    checkpoint::OffsetCheckpoint,
    compaction::swap::{self, SwapError},
    disk::{Disk, Flush},
    epochs::{EpochCache, LEADER_EPOCH_FILE},
    index::{OffsetIndex, TimeIndex},
    journal::{
        frame::{Run, RunKind},
        scan::{self, FoundRun, ScanError},
    },
    log::{
        lifecycle::remove_if_there,
        open::{checked_batch, offsets_with},
        write_out::segment_path,
    },
    properties::{
        PARTITION_METADATA_FILE, PartitionMetadata,
        names::{self, DirState, PartitionDir, SegmentFile},
    },
    store::JOURNAL_DIR,
};

mod all;
mod gaps;

use gaps::{gap_in, may_follow};

const SIDE_FILE_BYTES_MAX: usize = 256 << 20;
/// Beside those of the shards.
const RECOVERED_OFFSETS_FILE: &str = "recovered.cleaner-offsets";
/// Runs that lie side by side are put into a segment together up to this size.
const JOIN_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Journal(#[from] ScanError),
    #[error("the recovery points in {path} are damaged: {why}. Restore the file from a backup")]
    RecoveryPoints { path: PathBuf, why: String },
    #[error(
        "{path} is corrupt at byte {position}, below the durable mark: {why}. Nothing is cut; restore the file from a \
         backup, or delete the topic"
    )]
    Corrupt { path: PathBuf, position: u64, why: String },
}

impl From<SwapError> for RecoveryError {
    fn from(error: SwapError) -> Self {
        match error {
            SwapError::Io(error) => Self::Io(error),
            SwapError::Corrupt { path, position, why } => Self::Corrupt { path, position, why },
        }
    }
}

/// What the journals of the last life hold.
pub struct Recovery<D: Disk> {
    disk: D,
    pages: PagePool,
    data_dir: PathBuf,
    journals: Vec<JournalFile<D::File>>,
    runs: BTreeMap<TopicPartition, Vec<FoundRun>>,
    recovery_points: Points,
    log_starts: Points,
    cleaner_offsets: Points,
    /// Logs with a gap that no cleaner offset tells of: batches of a leader were appended as it had them.
    gaps: RefCell<BTreeSet<TopicPartition>>,
    /// Some segment file that was restored: in a directory without journals it stands for the file system.
    restored: RefCell<Option<D::File>>,
}

/// With the life in which it was said. What a later one says counts: a log may have been cut in it, and another shard's file
/// may be of an earlier life. Of one life, or of files that do not say, the later offset counts.
type Points = BTreeMap<TopicPartition, (i64, Offset)>;

struct JournalFile<F> {
    path: PathBuf,
    file: F,
}

/// What became of one log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    pub end: Offset,
    pub runs_applied: usize,
    /// Bytes behind the last whole batch that were cut.
    pub cut_bytes: u64,
}

impl<D: Disk> Recovery<D> {
    /// Reads all journals and recovery points of a data directory, of however many shards.
    pub async fn scan(disk: D, pages: PagePool, data_dir: &Path) -> Result<Self, RecoveryError> {
        let mut this = Self {
            disk,
            pages,
            data_dir: data_dir.to_owned(),
            journals: Vec::new(),
            runs: BTreeMap::new(),
            recovery_points: BTreeMap::new(),
            log_starts: BTreeMap::new(),
            cleaner_offsets: BTreeMap::new(),
            gaps: RefCell::default(),
            restored: RefCell::default(),
        };
        let dir = data_dir.join(JOURNAL_DIR);
        let names = match this.disk.list(&dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        for name in &names {
            let path = dir.join(name);
            if name.ends_with(".journal") {
                this.scan_journal(path).await?;
            } else if name.ends_with(".recovery-points") {
                let known = std::mem::take(&mut this.recovery_points);
                this.recovery_points = this.read_points(path, known).await?;
            } else if name.ends_with(".log-starts") {
                let known = std::mem::take(&mut this.log_starts);
                this.log_starts = this.read_points(path, known).await?;
            } else if name.ends_with(".cleaner-offsets") {
                let known = std::mem::take(&mut this.cleaner_offsets);
                this.cleaner_offsets = this.read_points(path, known).await?;
            }
        }
        Ok(this)
    }

    async fn scan_journal(&mut self, path: PathBuf) -> Result<(), RecoveryError> {
        let file = self.disk.open(&path, false).await?;
        // A crash in the very first moments leaves a journal without a superblock, and nothing was acknowledged.
        if self.is_blank(&file).await? {
            return Ok(());
        }
        let contents = scan::scan(&self.disk, &file, &self.pages, path.clone()).await?;
        for found in contents.runs {
            self.runs.entry(found.run.log).or_default().push(found);
        }
        self.journals.push(JournalFile { path, file });
        Ok(())
    }

    async fn is_blank(&self, file: &D::File) -> io::Result<bool> {
        let mut reader = BlockReader::new(self.disk.clone(), file.clone(), self.pages.clone()).await?;
        let mut at = 0;
        while at < reader.file_bytes() {
            let window = reader.bytes(at, PAGE_MAX).await?;
            if window.iter().any(|&b| b != 0) {
                return Ok(false);
            }
            at += window.len() as u64;
        }
        Ok(true)
    }

    /// Adds a checkpoint file to what is known.
    async fn read_points(&self, path: PathBuf, mut known: Points) -> Result<Points, RecoveryError> {
        let bytes = self.disk.read_small(&path, SIDE_FILE_BYTES_MAX).await?;
        let bad = |why: String| RecoveryError::RecoveryPoints { path: path.clone(), why };
        let points = OffsetCheckpoint::read(&bytes).map_err(|e| bad(e.to_string()))?;
        for (id, offset) in points.by_id().map_err(bad)? {
            let point = known.entry(id).or_default();
            *point = (points.life(), offset).max(*point);
        }
        Ok(known)
    }

    /// Where a log begins, if its first records were deleted.
    pub fn log_start(&self, id: TopicPartition) -> Option<Offset> {
        self.log_starts.get(&id).map(|&(_, start)| start)
    }

    /// Up to where a log was compacted, if a pass ever began or it has gaps for another reason. Asked once it is restored.
    pub fn cleaned_until(&self, id: TopicPartition) -> Option<Offset> {
        let has_gap = self.gaps.borrow().contains(&id).then_some(Offset::ZERO);
        self.cleaner_offsets.get(&id).map(|&(_, until)| until).or(has_gap)
    }

    /// Logs that have something in a journal.
    pub fn logs(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        self.runs.keys().copied()
    }

    /// Makes the folder of one log whole: see the head of this file. `topic` is its name.
    pub async fn restore(&self, id: TopicPartition, topic: &str) -> Result<Restored, RecoveryError> {
        let dir = self.data_dir.join(names::dir_name(topic, id.partition));
        let no_runs = Vec::new();
        let runs = self.runs.get(&id).unwrap_or(&no_runs);
        let names = match self.disk.list(&dir).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names?,
        };
        let names = match swap::finish(&self.disk, &self.pages, &dir, &names).await? {
            true => self.disk.list(&dir).await?,
            false => names,
        };
        let bases = offsets_with(&names, SegmentFile::Log);
        let point = self.recovery_points.get(&id).map(|&(_, point)| point);
        if names.is_empty() && runs.is_empty() && point.is_none_or(|p| p == Offset::ZERO) {
            return Ok(Restored { end: Offset::ZERO, runs_applied: 0, cut_bytes: 0 });
        }
        if names.is_empty() {
            self.make_dir(&dir, id).await?;
        }
        let start = self.log_start(id).unwrap_or(Offset::ZERO);
        let may_have_holes = self.cleaner_offsets.contains_key(&id);
        let is_told_of = point.is_some() || self.log_start(id).is_some();
        let floor = Floor { point: point.unwrap_or(Offset::ZERO), start, is_told_of, may_have_holes };
        let mut rebuild = Rebuild::begin(self, (id, dir), bases, floor, runs).await?;
        rebuild.notes_gaps = true;
        rebuild.apply(runs).await?;
        rebuild.begin_anew().await?;
        rebuild.finish().await
    }

    async fn make_dir(&self, dir: &Path, id: TopicPartition) -> io::Result<()> {
        match self.disk.create_dir(dir).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => done?,
        }
        self.disk
            .write_small(&dir.join(PARTITION_METADATA_FILE), PartitionMetadata { topic_id: id.topic }.write())
            .await
    }

    /// Removes the folders of deleted topics that a crash left behind. Returns how many.
    pub async fn sweep(&self) -> Result<usize, RecoveryError> {
        let mut swept = 0;
        for name in self.disk.list(&self.data_dir).await? {
            let dir = name.strip_suffix('/').and_then(PartitionDir::parse);
            if dir.is_some_and(|d| d.state == DirState::Delete) {
                self.disk.remove_dir_all(&self.data_dir.join(name.trim_end_matches('/'))).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Everything restored is made durable; only then do the journals and recovery points of the last life go.
    pub async fn finish(self) -> Result<(), RecoveryError> {
        let journal = self.journals.first().map(|journal| journal.file.clone());
        let Some(anchor) = journal.or(self.restored.take()) else { return Ok(()) };
        self.disk.flush_everything(&anchor).await?;
        self.tell_of_gaps().await?;
        if self.journals.is_empty() {
            return Ok(());
        }
        for journal in &self.journals {
            self.disk.remove(&journal.path).await?;
        }
        Ok(self.disk.flush_dir(&self.data_dir.join(JOURNAL_DIR)).await?)
    }
}

impl<D: Disk> Recovery<D> {
    /// The next recovery may begin above a gap, and must know of it all the same.
    async fn tell_of_gaps(&self) -> io::Result<()> {
        if self.gaps.borrow().is_empty() {
            return Ok(());
        }
        let mut offsets = OffsetCheckpoint::default();
        let known = self.cleaner_offsets.iter().map(|(id, (_, offset))| (*id, *offset));
        for (id, offset) in known.chain(self.gaps.borrow().iter().map(|id| (*id, Offset::ZERO))) {
            offsets.set(&id.topic.to_string(), id.partition, offset);
        }
        let dir = self.data_dir.join(JOURNAL_DIR);
        match self.disk.create_dir(&dir).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            done => done?,
        }
        self.disk.replace_small(&dir.join(RECOVERED_OFFSETS_FILE), offsets.write()).await?;
        self.disk.flush_dir(&self.data_dir).await
    }
}

/// What is known of a log's beginning. Segments are removed only below the start, and only once that is written down.
#[derive(Clone, Copy)]
struct Floor {
    /// Everything below was synced.
    point: Offset,
    /// Everything below was deleted.
    start: Offset,
    /// These are known, and not the beginnings of a log of which nobody has said anything.
    is_told_of: bool,
    /// A pass of compaction may have taken batches away below the point.
    may_have_holes: bool,
}

/// One log on its way back: the place behind its last good byte.
struct Rebuild<'a, D: Disk> {
    recovery: &'a Recovery<D>,
    id: TopicPartition,
    dir: PathBuf,
    /// Everything below was deleted.
    start: Offset,
    /// Segments that begin up to here need not begin where the one before ends.
    holes_until: Offset,
    bases: Vec<Offset>,
    segment: Offset,
    file: Option<D::File>,
    position: u64,
    next: Offset,
    /// It stands above the recovery point. Below it each gap is told of, so another one is a flipped offset.
    notes_gaps: bool,
    /// Behind the last run nothing vouches for an offset, which no checksum covers: a first gap there is a flipped bit, or
    /// was never acknowledged.
    in_tail: bool,
    /// A batch was seen: before that, in the midst of a segment, nobody knows which offset is due.
    is_placed: bool,
    runs_applied: usize,
    joined: Vec<u8>,
    /// Where `joined` begins.
    joined_at: u64,
    epochs: SyncedEpochs,
}

/// The epochs of batches that were synced, whose file was synced with them. Of deleted offsets the file may say anything:
/// a log that reads its epochs from the batches begins at its start.
#[derive(Default)]
struct SyncedEpochs {
    epochs: EpochCache,
    from: Offset,
    until: Offset,
}

impl SyncedEpochs {
    fn allow(&self, header: &BatchHeader) -> bool {
        let base = header.base_offset();
        let known = self.epochs.epoch_for(base).filter(|_| self.from <= base && base < self.until);
        known.is_none_or(|epoch| epoch == header.leader_epoch())
    }
}

impl<'a, D: Disk> Rebuild<'a, D> {
    /// Stands at the recovery point, which must be there.
    async fn begin(
        recovery: &'a Recovery<D>,
        (id, dir): (TopicPartition, PathBuf),
        bases: Vec<Offset>,
        Floor { point, start, is_told_of, may_have_holes }: Floor,
        runs: &[FoundRun],
    ) -> Result<Self, RecoveryError> {
        // A cut may take the name of one segment and leave that of the next: then only the journal knows of it. What it says
        // of the time before the point may be of a segment that another has taken the place of.
        let needed = runs.iter().filter(|f| f.run.next_offset > point);
        let mut known: Vec<Offset> =
            bases.iter().copied().chain(needed.map(|f| f.run.segment_base)).collect();
        known.sort();
        let first = known.first().copied().unwrap_or(Offset::ZERO);
        // Names that were not flushed, without those before them. A folder that others made begins where it begins.
        let lost_its_first = is_told_of && point <= start && first > start && bases.contains(&first);
        let first = if lost_its_first { start } else { first };
        let holds_start = known.iter().copied().rfind(|&b| b <= start).unwrap_or(first);
        // Strictly below: if the point is where a segment begins, the one before may not have its exact length yet.
        let below_point = known.iter().copied().rfind(|&b| b < point).unwrap_or(first);
        let segment = below_point.max(holds_start);
        let (deleted, bases): (Vec<_>, Vec<_>) =
            bases.into_iter().partition(|&b| b < holds_start || lost_its_first);
        let segment = if lost_its_first { start } else { segment };
        let mut this = Self {
            recovery,
            id,
            dir,
            start,
            holes_until: if may_have_holes { point } else { Offset::ZERO },
            bases,
            segment,
            file: None,
            position: 0,
            next: segment,
            notes_gaps: false,
            in_tail: false,
            is_placed: false,
            runs_applied: 0,
            joined: Vec::new(),
            joined_at: 0,
            epochs: SyncedEpochs::default(),
        };
        // Segments below the start were removed, but a cut may bring any of their names back.
        this.remove_segments(deleted.into_iter()).await?;
        let is_there = this.bases.contains(&segment);
        if point > start && (segment > point || !is_there && segment < point) {
            let why =
                format!("it is missing or others before it are, but the log was synced up to offset {point}");
            return Err(this.corrupt(0, why));
        }
        if !is_there {
            return Ok(this);
        }
        this.file = Some(this.open(segment, false).await?);
        this.position = this.hint(point).await?;
        let path = this.dir.join(LEADER_EPOCH_FILE);
        let epochs = recovery.disk.read_small(&path, SIDE_FILE_BYTES_MAX).await.ok();
        if let Some(epochs) = epochs.and_then(|bytes| EpochCache::read(&bytes).ok()) {
            this.epochs = SyncedEpochs { epochs, from: start, until: point };
        }
        let torn = this.scan_until(point).await?;
        // Beyond it only by a flipped offset: the point is where a batch ends. Below the start anything may be gone.
        let beyond = this.next > point && segment < point && !may_have_holes;
        if point > start && this.next < point || beyond {
            let why = torn.unwrap_or_else(|| format!("a batch ends at offset {}", this.next));
            return Err(
                this.corrupt(this.position, format!("{why}, but the log was synced up to offset {point}"))
            );
        }
        Ok(this)
    }

    /// Everything that a crash left of the log was deleted before, and perhaps more: it begins anew at its start, empty, so
    /// that no offset is given twice.
    async fn begin_anew(&mut self) -> Result<(), RecoveryError> {
        let start = self.start;
        let is_there = self.file.is_some() || start == Offset::ZERO;
        if self.next > start || self.next == start && is_there {
            return Ok(());
        }
        let old = std::mem::take(&mut self.bases);
        self.enter(start, true).await?;
        self.next = start;
        Ok(self.remove_segments(old.into_iter().filter(|&base| base != start)).await?)
    }

    fn corrupt(&self, position: u64, why: String) -> RecoveryError {
        RecoveryError::Corrupt {
            path: segment_path(&self.dir, self.segment, SegmentFile::Log),
            position,
            why,
        }
    }

    async fn open(&self, base: Offset, create: bool) -> io::Result<D::File> {
        let file = self.recovery.disk.open(&segment_path(&self.dir, base, SegmentFile::Log), create).await?;
        self.recovery.restored.replace(Some(file.clone()));
        Ok(file)
    }

    /// A place in the segment at or before the recovery point, from its index if that can be believed.
    async fn hint(&self, point: Offset) -> io::Result<u64> {
        let Some(file) = &self.file else { return Ok(0) };
        let recovery = self.recovery;
        let mut reader =
            BlockReader::new(recovery.disk.clone(), file.clone(), recovery.pages.clone()).await?;
        let path = segment_path(&self.dir, self.segment, SegmentFile::OffsetIndex);
        let Ok(bytes) = recovery.disk.read_small(&path, SIDE_FILE_BYTES_MAX).await else { return Ok(0) };
        let Ok(index) = OffsetIndex::from_bytes(self.segment, u32::MAX, &bytes, reader.file_bytes() as u32)
        else {
            return Ok(0);
        };
        // One below, so that the batch that ends at the point is looked at, and a block before that: what stands in the
        // log's last block is read from memory later, where nobody asks for its epoch.
        let entry = index.lookup(point + -1);
        let entry = index.lookup_position(u64::from(entry.position).saturating_sub(BLOCK as u64));
        match checked_batch(&mut reader, u64::from(entry.position)).await? {
            Ok((header, _)) if header.last_offset() == entry.offset => Ok(u64::from(entry.position)),
            _ => Ok(0),
        }
    }

    /// Walks whole batches that continue the log until `goal`; says why it stopped if something did not parse.
    async fn scan_until(&mut self, goal: Offset) -> io::Result<Option<String>> {
        while self.next < goal {
            let Some(file) = self.file.clone() else { return Ok(None) };
            let recovery = self.recovery;
            let mut reader = BlockReader::new(recovery.disk.clone(), file, recovery.pages.clone()).await?;
            let mut stopped = None;
            while self.position < reader.file_bytes() && self.next < goal {
                match checked_batch(&mut reader, self.position).await? {
                    Ok((header, _)) if !self.epochs.allow(&header) => {
                        let offset = header.base_offset();
                        stopped = Some(format!(
                            "offset {offset} is not of the epoch that {LEADER_EPOCH_FILE} says"
                        ));
                    }
                    Ok((header, bytes))
                        if may_follow(&header, self.next, self.segment)
                            && (header.base_offset() == self.next || self.may_have_gap()) =>
                    {
                        self.is_placed = true;
                        self.note_gap(header.base_offset() > self.next);
                        self.next = header.next_offset();
                        self.position += bytes as u64;
                    }
                    Ok((header, _)) => {
                        stopped =
                            Some(format!("base offset {} where {} is due", header.base_offset(), self.next));
                    }
                    Err(why) => stopped = Some(why),
                }
                if stopped.is_some() {
                    break;
                }
            }
            if self.next >= goal {
                return Ok(None);
            }
            let following = self.bases.iter().copied().find(|&b| b > self.segment);
            match following {
                Some(base) if base == self.next => self.enter(base, false).await?,
                // Compaction took what was at its end. Above the point it takes nothing, and a name is missing.
                Some(base) if base <= self.holes_until && stopped.is_none() && base > self.next => {
                    self.enter(base, false).await?;
                    self.next = base;
                }
                _ => return Ok(stopped),
            }
        }
        Ok(None)
    }

    fn may_have_gap(&self) -> bool {
        let known = self.recovery.cleaner_offsets.contains_key(&self.id);
        let runs_vouch = self.notes_gaps && !self.in_tail;
        let is_lost = !self.is_placed && self.position > 0;
        known || runs_vouch || is_lost || self.recovery.gaps.borrow().contains(&self.id)
    }

    fn note_gap(&self, is_there: bool) {
        if is_there && self.notes_gaps && !self.recovery.cleaner_offsets.contains_key(&self.id) {
            self.recovery.gaps.borrow_mut().insert(self.id);
        }
    }

    /// Goes on at the start of another segment.
    async fn enter(&mut self, base: Offset, create: bool) -> io::Result<()> {
        self.put_joined().await?;
        self.cut_here().await?;
        self.file = Some(self.open(base, create).await?);
        (self.segment, self.position) = (base, 0);
        if !self.bases.contains(&base) {
            self.bases.push(base);
            self.bases.sort();
        }
        Ok(())
    }

    async fn apply(&mut self, runs: &[FoundRun]) -> Result<(), RecoveryError> {
        let dropped = self.dropped_segments(runs);
        for found in runs {
            let run = &found.run;
            if run.next_offset <= self.next {
                continue;
            }
            // Of a segment that was dropped the journal may have the end only, or the description of what lay in its file.
            if dropped.contains(&run.segment_base) || self.lacks_its_beginning(run) {
                self.next = run.next_offset;
                continue;
            }
            if run.base_offset > self.next {
                self.put_joined().await?;
                self.scan_until(run.base_offset).await?;
            }
            if run.base_offset < self.next {
                self.put_joined().await?;
                self.step_back_to(found).await?;
            }
            if run.base_offset != self.next {
                let why = format!(
                    "the journal goes on at offset {}, the log ends at {}",
                    run.base_offset, self.next
                );
                return Err(self.corrupt(self.position, why));
            }
            if run.segment_base != self.segment || self.file.is_none() {
                self.enter(run.segment_base, true).await?;
            }
            if u64::from(run.position) != self.position {
                let why = format!("the journal puts offset {} at byte {}", run.base_offset, run.position);
                return Err(self.corrupt(self.position, why));
            }
            if !self.apply_run(found).await? {
                break;
            }
        }
        self.put_joined().await?;
        self.in_tail = true;
        self.scan_until(Offset(i64::MAX)).await?;
        Ok(())
    }

    /// Segments that are not there, and all of which lies below the start.
    fn dropped_segments(&self, runs: &[FoundRun]) -> BTreeSet<Offset> {
        let below = runs.iter().filter(|found| found.run.next_offset <= self.start);
        let mut dropped: BTreeSet<Offset> = below.map(|found| found.run.segment_base).collect();
        for found in runs.iter().filter(|found| found.run.next_offset > self.start) {
            dropped.remove(&found.run.segment_base);
        }
        dropped.retain(|base| !self.bases.contains(base));
        dropped
    }

    fn lacks_its_beginning(&self, run: &Run) -> bool {
        self.file.is_none() && run.position > 0 && run.next_offset <= self.start
    }

    /// The recovery point lies inside this run, so it can only be the first one, and what it covers stands there already.
    async fn step_back_to(&mut self, found: &FoundRun) -> Result<(), RecoveryError> {
        let run = &found.run;
        let there = match self.position.checked_sub(u64::from(run.position)) {
            Some(bytes) if self.runs_applied == 0 && run.segment_base == self.segment => bytes as usize,
            _ => {
                let why =
                    format!("the journal goes back to offset {} at byte {}", run.base_offset, run.position);
                return Err(self.corrupt(self.position, why));
            }
        };
        let file = self.file.clone().expect("the recovery point lies in a segment");
        let same = run.kind == RunKind::Extent
            || self.read_range(&file, u64::from(run.position), there).await?
                == found.bytes()[..there.min(found.bytes().len())];
        if !same {
            let why = format!("the bytes from offset {} on are not those of the journal", run.base_offset);
            return Err(self.corrupt(u64::from(run.position), why));
        }
        (self.position, self.next) = (u64::from(run.position), run.base_offset);
        Ok(())
    }

    /// `false`: an extent of the very last frame never arrived, so the log ends before it.
    async fn apply_run(&mut self, found: &FoundRun) -> Result<bool, RecoveryError> {
        let run = &found.run;
        match run.kind {
            RunKind::Inline => {
                let bytes = found.bytes();
                let gap = gap_in(run, bytes).filter(|_| crc32c(bytes) == run.crc);
                let Some(gap) = gap else {
                    return Err(
                        self.corrupt(self.position, "a run of the journal is not what its entry says".into())
                    );
                };
                self.note_gap(gap);
                if self.joined.is_empty() {
                    self.joined_at = self.position;
                }
                self.joined.extend_from_slice(bytes);
                self.position += u64::from(run.bytes);
                self.next = run.next_offset;
                if self.joined.len() >= JOIN_BYTES_MAX {
                    self.put_joined().await?;
                }
            }
            RunKind::Extent => {
                self.put_joined().await?;
                let segment = self.file.clone().expect("entered before");
                let bytes = self.read_range(&segment, u64::from(run.position), run.bytes as usize).await?;
                if bytes.len() != run.bytes as usize || crc32c(&bytes) != run.crc {
                    if found.in_last_frame {
                        return Ok(false);
                    }
                    let why = format!("{} bytes that were on stable storage are not there", run.bytes);
                    return Err(self.corrupt(self.position, why));
                }
                let Some(gap) = gap_in(run, &bytes) else {
                    return Err(self.corrupt(self.position, "an extent is not what its entry says".into()));
                };
                self.note_gap(gap);
                self.position += u64::from(run.bytes);
                self.next = run.next_offset;
            }
        }
        self.runs_applied += 1;
        Ok(true)
    }

    async fn read_range(&self, file: &D::File, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let recovery = self.recovery;
        let reader = BlockReader::new(recovery.disk.clone(), file.clone(), recovery.pages.clone()).await?;
        Ok(reader.narrow().bytes(at, bytes).await?.to_vec())
    }

    /// Writes what was gathered into its place. The blocks at both ends hold other bytes, which stay: an extent may
    /// begin right behind.
    async fn put_joined(&mut self) -> io::Result<()> {
        if self.joined.is_empty() {
            return Ok(());
        }
        let file = self.file.clone().expect("entered before");
        let block_at = self.joined_at - self.joined_at % BLOCK as u64;
        let from = (self.joined_at - block_at) as usize;
        let until = from + self.joined.len();
        let last_block = until - until % BLOCK;
        let mut bytes = self.read_range(&file, block_at, from).await?;
        bytes.append(&mut self.joined);
        let behind = self.read_range(&file, block_at + last_block as u64, BLOCK).await?;
        bytes.extend_from_slice(behind.get(until - last_block..).unwrap_or_default());
        let mut at = block_at;
        for part in bytes.chunks(PAGE_MAX) {
            let pages = &self.recovery.pages;
            let mut page =
                pages.take(part.len()).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
            page.append(part);
            self.recovery.disk.write(&file, at, vec![page.blocks(0..part.len())], Flush::No).await?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// The segment at hand ends here.
    async fn cut_here(&mut self) -> io::Result<u64> {
        let Some(file) = &self.file else { return Ok(0) };
        let bytes = self.recovery.disk.file_bytes(file).await?;
        if bytes != self.position {
            self.recovery.disk.truncate(file, self.position).await?;
        }
        self.cut_indexes().await?;
        Ok(bytes.saturating_sub(self.position))
    }

    /// Index entries behind the cut name nothing; the log opens from the last one that is left.
    async fn cut_indexes(&self) -> io::Result<()> {
        let disk = &self.recovery.disk;
        let path = segment_path(&self.dir, self.segment, SegmentFile::OffsetIndex);
        let time_path = segment_path(&self.dir, self.segment, SegmentFile::TimeIndex);
        let offsets = disk.read_small(&path, SIDE_FILE_BYTES_MAX).await.ok();
        let times = disk.read_small(&time_path, SIDE_FILE_BYTES_MAX).await.ok();
        if offsets.is_none() && times.is_none() {
            return Ok(());
        }
        let offsets = offsets.map(|bytes| OffsetIndex::from_bytes(self.segment, u32::MAX, &bytes, u32::MAX));
        let times = times.map(|bytes| TimeIndex::from_bytes(self.segment, u32::MAX, &bytes));
        if let Some(Err(why)) = &offsets {
            tracing::warn!(path = %path.display(), %why, "the index is corrupt: it is made anew");
        }
        if let Some(Err(why)) = &times {
            tracing::warn!(path = %time_path.display(), %why, "the index is corrupt: it is made anew");
        }
        // Judged against the cut: an index that reaches beyond it is made anew, which is always safe. One of them alone
        // may be left from a time when the log went on otherwise.
        let within = |index: OffsetIndex| {
            let last = index.last_entry();
            last.is_none_or(|e| e.offset < self.next && u64::from(e.position) < self.position)
        };
        let offset = offsets.is_some_and(|index| index.is_ok_and(within));
        let time = times.is_some_and(|index| index.is_ok_and(|index| index.last_entry().offset < self.next));
        if !(offset && time) {
            remove_if_there(disk, &path).await?;
            remove_if_there(disk, &time_path).await?;
        }
        Ok(())
    }

    async fn remove_segments(&self, bases: impl Iterator<Item = Offset>) -> io::Result<()> {
        for base in bases {
            for file in SegmentFile::ALL {
                remove_if_there(&self.recovery.disk, &segment_path(&self.dir, base, file)).await?;
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Restored, RecoveryError> {
        let cut_bytes = self.cut_here().await?;
        let behind = self.bases.iter().copied().filter(|&b| b > self.segment);
        self.remove_segments(behind).await?;
        let disk = &self.recovery.disk;
        for offset in offsets_with(&disk.list(&self.dir).await?, SegmentFile::Snapshot)
            .into_iter()
            .filter(|&o| o > self.next)
        {
            disk.remove(&segment_path(&self.dir, offset, SegmentFile::Snapshot)).await?;
        }
        Ok(Restored { end: self.next, runs_applied: self.runs_applied, cut_bytes })
    }
}
