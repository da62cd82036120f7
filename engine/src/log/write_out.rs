//! From memory to the segment files: destage, bypass, finishing a rolled segment. One at a time per log.

use std::{
    io,
    path::{Path, PathBuf},
};

use model::Offset;
use rt::pages::{BLOCK, Blocks};

use super::Log;
use crate::{
    disk::{Disk, Flush, is_full},
    properties::{
        PARTITION_METADATA_FILE, PartitionMetadata,
        names::{SegmentFile, SegmentFileName},
    },
};

/// Largest single write: bounds how long one log keeps the device from the others.
const WRITE_BYTES_MAX: u64 = 4 << 20;
/// A log that writes at least this much at once gets its file preallocated.
const ALLOCATE_FROM_BYTES: u64 = 128 << 10;
/// A segment of this size may be one of a stream that goes on: its file is kept longer than its bytes.
const PREPARE_FROM_BYTES: u64 = 1 << 20;
const ALLOCATE_BYTES_MIN: u64 = 8 << 20;
const ALLOCATE_BYTES_MAX: u64 = 64 << 20;

const _: () = assert!(WRITE_BYTES_MAX.is_multiple_of(BLOCK as u64));

/// Releases the log's write turn when it goes, however the write ended.
pub(crate) struct Turn<'a, F: Clone + 'static>(&'a Log<F>);

impl<F: Clone + 'static> Drop for Turn<'_, F> {
    fn drop(&mut self) {
        self.0.writing.set(false);
        self.0.writing_done.wake_all();
    }
}

/// How far a write is to go: what is appended later belongs to another.
#[derive(Clone, Copy)]
pub(crate) struct Goal {
    segment: Offset,
    bytes: u64,
    end: Offset,
}

struct Part<F> {
    segment: Offset,
    file: F,
    at: u64,
    until: u64,
    blocks: Vec<Blocks>,
}

impl<F: Clone + 'static> Log<F> {
    /// `None`: another write is under way, or the log was deleted.
    pub(crate) fn try_turn(&self) -> Option<Turn<'_, F>> {
        if self.deleted.get() { None } else { self.take_turn() }
    }

    /// `None`: the log was deleted. Its folder has another name by now, or soon, and under the old one a new topic may
    /// begin: nobody touches a file of this log any more.
    pub(crate) async fn turn(&self) -> Option<Turn<'_, F>> {
        loop {
            let done = self.writing_done.wait();
            if self.deleted.get() {
                return None;
            }
            if let Some(turn) = self.take_turn() {
                return Some(turn);
            }
            done.await;
        }
    }

    /// The turn of whoever deleted the log: it is the last one.
    pub(crate) async fn last_turn(&self) -> Turn<'_, F> {
        assert!(self.deleted.get(), "others may still ask for a turn");
        loop {
            let done = self.writing_done.wait();
            if let Some(turn) = self.take_turn() {
                return turn;
            }
            done.await;
        }
    }

    fn take_turn(&self) -> Option<Turn<'_, F>> {
        // Not `then_some`: a turn that is made and dropped again would end the turn of somebody else.
        if self.writing.replace(true) { None } else { Some(Turn(self)) }
    }

    /// Is the active segment's file open and long enough for everything appended, so that a commit may write it
    /// without a detour over names and space?
    pub(crate) fn is_ready_for_bypass(&self) -> bool {
        let state = self.state.borrow();
        let unwritten = state.segments.iter().rev().take_while(|s| s.written < s.bytes);
        unwritten.clone().count() == 1
            && state.segments.back().is_some_and(|s| {
                s.file.is_some() && s.named && s.bytes.next_multiple_of(BLOCK as u64) <= s.allocated
            })
    }

    pub(crate) fn unwritten_bytes(&self) -> u64 {
        self.state
            .borrow()
            .segments
            .iter()
            .rev()
            // An empty one may have been begun behind the others.
            .take_while(|s| s.written < s.bytes || s.bytes == 0)
            .map(|s| s.bytes - s.written)
            .sum()
    }

    /// Everything appended so far.
    pub(crate) fn goal(&self) -> Goal {
        let state = self.state.borrow();
        let active = state.segments.back().expect("a log has an active segment");
        Goal { segment: active.base, bytes: active.bytes, end: state.ends.end }
    }

    /// Writes everything up to the goal to the segment files. The turn is the caller's proof that nobody else does.
    pub(crate) async fn write_out<D>(
        &self,
        disk: &D,
        flush: Flush,
        goal: Goal,
        _turn: &Turn<'_, F>,
    ) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        while let Some(part) = self.next_part(disk, goal, flush == Flush::No).await? {
            disk.write(&part.file, part.at, part.blocks, flush).await?;
            self.written_out.add(part.until - part.at);
            let mut state = self.state.borrow_mut();
            let Ok(i) = state.segments.binary_search_by_key(&part.segment, |s| s.base) else { continue };
            let segment = &mut state.segments[i];
            if flush == Flush::Dsync && segment.flushed >= part.at {
                segment.flushed = part.until;
            }
            segment.written = part.until;
            segment.allocated = segment.allocated.max(part.until.next_multiple_of(BLOCK as u64));
        }
        let mut state = self.state.borrow_mut();
        state.ends.written = state.ends.written.max(goal.end);
        state.in_segments = state.in_segments.max(goal.end);
        state.acknowledge();
        Ok(())
    }

    async fn next_part<D>(&self, disk: &D, goal: Goal, allocate: bool) -> io::Result<Option<Part<F>>>
    where
        D: Disk<File = F>,
    {
        let Some((segment, written, bytes)) = self.first_unwritten(goal) else { return Ok(None) };
        let file = self.open_segment(disk, segment).await?;
        if allocate && bytes - written >= ALLOCATE_FROM_BYTES {
            self.allocate_ahead(disk, segment, &file).await?;
        }
        let at = written - written % BLOCK as u64;
        let until = bytes.min(at + WRITE_BYTES_MAX);
        let blocks = self.state.borrow_mut().tail.blocks(segment, written, until);
        Ok(Some(Part { segment, file, at, until, blocks }))
    }

    fn first_unwritten(&self, goal: Goal) -> Option<(Offset, u64, u64)> {
        let state = self.state.borrow();
        // Unwritten segments are the last ones; there is rarely more than one.
        let first = state
            .segments
            .iter()
            .rev()
            .take_while(|s| s.written < s.bytes || s.bytes == 0 || s.base > goal.segment)
            .last()?;
        let bytes = if first.base == goal.segment { first.bytes.min(goal.bytes) } else { first.bytes };
        (first.base <= goal.segment && first.written < bytes).then_some((first.base, first.written, bytes))
    }

    /// Opens the segment's file for whoever has the turn, and makes it with its folder if it is the first time.
    async fn open_segment<D>(&self, disk: &D, base: Offset) -> io::Result<F>
    where
        D: Disk<File = F>,
    {
        let is_new = {
            let state = self.state.borrow();
            state
                .segments
                .binary_search_by_key(&base, |s| s.base)
                .is_ok_and(|i| state.segments[i].written == 0)
        };
        if is_new {
            self.make_dir(disk).await?;
        }
        self.open_file(disk, base, is_new).await
    }

    /// Opens the segment's file for a reader, who has no turn and makes nothing. A log may be deleted and a segment
    /// removed under his feet: then the name is that of another file, or of none.
    pub(crate) async fn segment_file<D>(&self, disk: &D, base: Offset) -> io::Result<F>
    where
        D: Disk<File = F>,
    {
        let file = self.open_file(disk, base, false).await?;
        if self.deleted.get() { Err(io::ErrorKind::NotFound.into()) } else { Ok(file) }
    }

    pub(super) async fn open_file<D>(&self, disk: &D, base: Offset, create: bool) -> io::Result<F>
    where
        D: Disk<File = F>,
    {
        let (found, edition) = {
            let state = self.state.borrow();
            let i = state.segments.binary_search_by_key(&base, |s| s.base);
            let segment = &state.segments[i.map_err(|_| io::ErrorKind::NotFound)?];
            (segment.file.clone(), segment.edition)
        };
        if let Some(file) = found {
            return Ok(file);
        }
        let file = disk.open(&self.segment_path(base, SegmentFile::Log), create).await?;
        let bytes = disk.file_bytes(&file).await?;
        let mut state = self.state.borrow_mut();
        if !self.deleted.get()
            && let Some(i) = state.segment_of_edition(base, edition)
        {
            let segment = &mut state.segments[i];
            segment.allocated = segment.allocated.max(bytes);
            // Another reader may have been first; one file for all of them.
            return Ok(segment.file.get_or_insert(file).clone());
        }
        Ok(file)
    }

    /// The partition's folder, made the first time something is written: a topic of a thousand partitions costs nothing
    /// until then. Its name becomes durable with the checkpoint that lets go of the journal's copy.
    pub(super) async fn make_dir<D>(&self, disk: &D) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        if self.has_dir.get() {
            return Ok(());
        }
        match disk.create_dir(&self.dir).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let metadata = PartitionMetadata { topic_id: self.id.topic }.write();
                disk.write_small(&self.dir.join(PARTITION_METADATA_FILE), metadata).await?;
            }
        }
        self.has_dir.set(true);
        Ok(())
    }

    /// Prepares the file for more of the same while nobody waits.
    pub(crate) async fn prepare<D>(&self, disk: &D, _turn: &Turn<'_, F>) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        let (base, wants) = {
            let state = self.state.borrow();
            let active = state.segments.back().expect("a log has an active segment");
            (active.base, active.file.is_some() && active.bytes >= PREPARE_FROM_BYTES)
        };
        if wants {
            let file = self.open_segment(disk, base).await?;
            self.allocate_ahead(disk, base, &file).await?;
        }
        Ok(())
    }

    async fn allocate_ahead<D>(&self, disk: &D, base: Offset, file: &F) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        let (allocated, bytes, segment_bytes) = {
            let state = self.state.borrow();
            let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) else { return Ok(()) };
            (state.segments[i].allocated, state.segments[i].bytes, state.config.segment_bytes)
        };
        let enough = bytes + ALLOCATE_BYTES_MIN / 2;
        if allocated >= enough.min(segment_bytes) {
            return Ok(());
        }
        let step = bytes.clamp(ALLOCATE_BYTES_MIN, ALLOCATE_BYTES_MAX);
        let until = (bytes + step).min(segment_bytes.max(bytes)).next_multiple_of(BLOCK as u64);
        if until <= allocated {
            return Ok(());
        }
        match disk.allocate(file, allocated, until - allocated).await {
            Ok(()) => {}
            // Not enough room for the reserve is no reason to fail: the write itself will tell.
            Err(error) if is_full(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut state = self.state.borrow_mut();
        if let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) {
            state.segments[i].allocated = state.segments[i].allocated.max(until);
        }
        Ok(())
    }

    /// Rolled segments whose bytes are all written get their exact length and their index files. With `active`, the
    /// active one too: the log is being closed.
    pub(crate) async fn finish_segments<D>(
        &self,
        disk: &D,
        active: bool,
        _turn: &Turn<'_, F>,
    ) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        for base in self.unfinished(active) {
            let file = self.open_segment(disk, base).await?;
            let (bytes, is_active, files) = {
                let state = self.state.borrow();
                let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) else { continue };
                let segment = &state.segments[i];
                let files = segment
                    .indexes
                    .as_ref()
                    .map(|x| (x.offset.as_bytes().to_vec(), x.time.as_bytes().to_vec()));
                (segment.bytes, i + 1 == state.segments.len(), files)
            };
            disk.truncate(&file, bytes).await?;
            if let Some((offsets, times)) = files {
                disk.write_small(&self.segment_path(base, SegmentFile::OffsetIndex), offsets).await?;
                disk.write_small(&self.segment_path(base, SegmentFile::TimeIndex), times).await?;
            }
            let mut state = self.state.borrow_mut();
            let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) else { continue };
            let segment = &mut state.segments[i];
            segment.allocated = bytes;
            segment.finished = true;
            segment.length_flushed = false;
            if !is_active {
                // Closed segments load their indexes again when a reader asks: memory follows use, not history.
                segment.indexes = None;
            }
        }
        Ok(())
    }

    fn unfinished(&self, active: bool) -> Vec<Offset> {
        let state = self.state.borrow();
        let last = state.segments.len() - 1;
        let candidates = state.segments.iter().enumerate().filter(|&(i, _)| i != last || active);
        candidates
            .filter(|(_, s)| !s.finished && s.written == s.bytes && s.bytes > 0)
            .map(|(_, s)| s.base)
            .collect()
    }

    pub(crate) fn segment_path(&self, base: Offset, file: SegmentFile) -> PathBuf {
        segment_path(&self.dir, base, file)
    }
}

pub(crate) fn segment_path(dir: &Path, base: Offset, file: SegmentFile) -> PathBuf {
    dir.join(SegmentFileName::live(base, file).to_string())
}
