//! What happens to a log beside appending and reading: side files, syncing, eviction, trimming, the end.

use std::io;

use model::Offset;
use rt::pages::PagePool;

use super::{Log, LogState, write_out::Turn};
use crate::{disk::Disk, epochs::LEADER_EPOCH_FILE, properties::names::SegmentFile, residents::Held};

/// Producer snapshots kept beside the log, as many as Kafka keeps: the newest may be damaged.
const SNAPSHOTS_KEPT: usize = 2;
/// A file with less reserve than this behind a stream is made longer.
const SPACE_LOW_BYTES: u64 = 4 << 20;
const STREAM_BYTES_MIN: u64 = 1 << 20;
/// An active segment with this much that its index files do not know gets them written again, or with this share of it
/// if that is more: so they cost a constant factor, and a start after a kill scans little.
const UNINDEXED_BYTES_MAX: u64 = 256 << 10;
const UNINDEXED_SHARE: u64 = 8;

/// How far a log was in its files when a sync began.
pub(crate) struct SyncMark<F> {
    pub(crate) files: Vec<F>,
    pub(crate) named: bool,
    /// Per segment: its base, the bytes in its file, whether the file has its exact length.
    written: Vec<(Offset, u64, bool)>,
    in_segments: Offset,
}

impl<F: Clone> LogState<F> {
    /// How far the recovery point may go with a sync that begins now. A commit may have written out more since the log
    /// was prepared for it.
    fn recovery_point_after_sync(&self) -> Offset {
        // Recovery cuts one segment to its length, the one before the point.
        let uncut = self.segments.iter().zip(self.segments.iter().skip(1)).find(|(s, _)| !s.finished);
        let uncut = uncut.map_or(self.in_segments, |(_, next)| next.base.min(self.in_segments));
        // Below the point the file of the epochs must know each of them.
        if self.epochs_changed { self.recovery_point } else { uncut.max(self.recovery_point) }
    }
}

impl<F: Clone> LogState<F> {
    /// Closed, with its exact length and its index files, and nothing of it is left to be flushed.
    pub(crate) fn is_settled(&self, i: usize) -> bool {
        let segment = &self.segments[i];
        i + 1 < self.segments.len()
            && !segment.replacing
            && segment.finished
            && segment.named
            && segment.length_flushed
            && segment.flushed >= segment.bytes
    }

    fn close_file(&mut self, i: usize) {
        if self.is_settled(i) {
            self.segments[i].file = None;
        }
    }
}

impl<F: Clone + 'static> Log<F> {
    /// Snapshots of rolled segments and the leader epochs; with `closing` a snapshot of the end as well.
    pub(crate) async fn write_side_files<D>(
        &self,
        disk: &D,
        closing: bool,
        _turn: &Turn<'_, F>,
    ) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        let (mut snapshots, epochs) = {
            let mut state = self.state.borrow_mut();
            if state.in_segments == Offset::ZERO {
                return Ok(());
            }
            let changed = std::mem::take(&mut state.epochs_changed);
            (std::mem::take(&mut state.snapshots_due), changed.then(|| state.epochs.write()))
        };
        if closing {
            let state = self.state.borrow();
            snapshots.push((state.ends.end, state.producers.snapshot()));
        }
        if !snapshots.is_empty() || epochs.is_some() {
            // Everything that was appended may have gone before anything of it was written.
            self.make_dir(disk).await?;
        }
        for (offset, bytes) in snapshots {
            disk.write_small(&self.segment_path(offset, SegmentFile::Snapshot), bytes).await?;
            let mut state = self.state.borrow_mut();
            if state.snapshots.last() != Some(&offset) {
                state.snapshots.push(offset);
            }
        }
        if let Some(bytes) = epochs {
            // Whole, or the one before: half a list of epochs would be believed.
            let beside = self.dir.join(format!("{LEADER_EPOCH_FILE}.tmp"));
            disk.write_small(&beside, bytes).await?;
            disk.rename(&beside, &self.dir.join(LEADER_EPOCH_FILE)).await?;
            self.state.borrow_mut().epochs_unsynced = true;
        }
        let surplus: Vec<Offset> = {
            let mut state = self.state.borrow_mut();
            let count = state.snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
            state.snapshots.drain(..count).collect()
        };
        for offset in surplus {
            remove_if_there(disk, &self.segment_path(offset, SegmentFile::Snapshot)).await?;
        }
        Ok(())
    }

    /// The index files of the active segment, as far as it is on stable storage: an entry must never name bytes that a
    /// crash may replace by others. A start after a crash scans only what they do not know.
    pub(crate) async fn write_active_indexes<D>(&self, disk: &D, _turn: &Turn<'_, F>) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        let (base, bytes, offsets, times) = {
            let state = self.state.borrow();
            let active = state.segments.back().expect("a log has an active segment");
            let behind = active.flushed.saturating_sub(active.indexed);
            let Some(indexes) = active.indexes.as_ref() else { return Ok(()) };
            if behind < UNINDEXED_BYTES_MAX.max(active.indexed / UNINDEXED_SHARE) {
                return Ok(());
            }
            let (mut offsets, mut times) = (indexes.offset.clone(), indexes.time.clone());
            offsets.truncate_to(state.recovery_point);
            times.truncate_to(state.recovery_point);
            (active.base, active.flushed, offsets, times)
        };
        disk.write_small(&self.segment_path(base, SegmentFile::OffsetIndex), offsets.as_bytes().to_vec())
            .await?;
        disk.write_small(&self.segment_path(base, SegmentFile::TimeIndex), times.as_bytes().to_vec()).await?;
        if let Some(active) = self.state.borrow_mut().segments.back_mut().filter(|s| s.base == base) {
            active.indexed = bytes;
        }
        Ok(())
    }

    /// The largest timestamp must stand in the time index of a segment that is left behind.
    pub(crate) fn seal_active(&self) {
        if let Some(indexes) = self.state.borrow_mut().segments.back_mut().and_then(|s| s.indexes.as_mut()) {
            indexes.seal();
        }
    }

    pub(crate) fn sync_mark(&self) -> SyncMark<F> {
        let state = self.state.borrow();
        let unsynced =
            || state.segments.iter().filter(|s| s.flushed < s.bytes || !s.named || !s.length_flushed);
        SyncMark {
            files: unsynced()
                .filter(|s| s.flushed < s.written || !s.length_flushed)
                .filter_map(|s| s.file.clone())
                .collect(),
            named: !state.epochs_unsynced
                && unsynced().all(|s| s.written == 0 || s.named && s.file.is_some()),
            written: unsynced().map(|s| (s.base, s.written, s.finished)).collect(),
            in_segments: state.recovery_point_after_sync(),
        }
    }

    pub(crate) fn synced(&self, mark: &SyncMark<F>) {
        let mut state = self.state.borrow_mut();
        if state.frozen {
            return;
        }
        state.epochs_unsynced = false;
        for &(base, written, finished) in &mark.written {
            if let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) {
                let segment = &mut state.segments[i];
                segment.flushed = segment.flushed.max(written);
                segment.named |= written > 0;
                segment.length_flushed |= finished;
                // Readers open it again, as many as the store keeps.
                state.close_file(i);
            }
        }
        state.recovery_point = state.recovery_point.max(mark.in_segments);
        state.ends.durable = state.ends.durable.max(mark.in_segments);
        state.acknowledge();
    }

    /// What a closed segment holds for its readers, if it is one that may let go of it.
    pub(crate) fn held_by_closed(&self, base: Offset) -> Option<Held> {
        let state = self.state.borrow();
        let i = state.segments.binary_search_by_key(&base, |s| s.base).ok()?;
        if !state.is_settled(i) {
            return None;
        }
        let segment = &state.segments[i];
        let index_bytes = segment
            .indexes
            .as_ref()
            .map_or(0, |indexes| indexes.offset.as_bytes().len() + indexes.time.as_bytes().len());
        Some(Held { file: segment.file.is_some(), index_bytes })
    }

    /// A closed segment that nobody read for a while: the next reader opens its file and loads its indexes again.
    pub(crate) fn let_go(&self, base: Offset) {
        let mut state = self.state.borrow_mut();
        if let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base)
            && state.is_settled(i)
        {
            state.close_file(i);
            state.segments[i].indexes = None;
        }
    }

    /// A stream is about to run out of prepared file.
    pub(crate) fn wants_space(&self) -> bool {
        let state = self.state.borrow();
        state.segments.back().is_some_and(|s| {
            s.file.is_some()
                && s.bytes >= STREAM_BYTES_MIN
                && s.allocated < (s.bytes + SPACE_LOW_BYTES).min(state.config.segment_bytes)
        })
    }

    /// Lets one page go that the segment files have as well; answers how many bytes came free.
    pub(crate) fn evict(&self, pool: &PagePool, shrink: bool) -> usize {
        let state = &mut *self.state.borrow_mut();
        let (tail, segments) = (&mut state.tail, &state.segments);
        let written = |base| LogState::written_of(segments, base);
        if shrink { tail.shrink_last(pool, written) } else { tail.evict_one(written) }
    }
}

pub(crate) async fn remove_if_there<D: Disk>(disk: &D, path: &std::path::Path) -> io::Result<()> {
    match disk.remove(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
