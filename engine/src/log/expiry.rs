//! Segments whose time is over: where a log shall begin by its retention, and how segments below its start leave it.
//!
//! ```text
//!   decided --> the start is durable --> out of the list, names end in .deleted --> files removed, a while later
//! ```
//! Whatever a crash leaves of that, segments below the start go again, and `.deleted` files are nobody's.

use std::io;

use model::{Offset, Timestamp};

use super::{Log, LogState, read::ReadError, write_out::Turn};
use crate::{
    chunk_cache::ChunkCache,
    disk::{Disk, is_full},
    dropped::deleted_path,
    properties::names::SegmentFile,
    retention::{Decision, SegmentFacts},
};

impl<F: Clone> LogState<F> {
    fn retention_facts(&self) -> impl ExactSizeIterator<Item = SegmentFacts> + Clone + '_ {
        let (count, end) = (self.segments.len(), self.ends.end);
        (0..count).map(move |i| {
            let segment = &self.segments[i];
            // Only the active one's index is sure to be as new as its bytes.
            let newest = segment.indexes.as_ref().filter(|_| i + 1 == count).map(|x| x.time.max().timestamp);
            SegmentFacts {
                next: self.segments.get(i + 1).map_or(end, |next| next.base),
                bytes: segment.bytes,
                largest_timestamp: newest
                    .filter(|t| t.0 >= 0)
                    .or(segment.largest_timestamp.filter(|t| t.0 >= 0)),
            }
        })
    }

    /// Where the log begins without its oldest segments, which may be all: then the next record gets a new one.
    fn start_without(&mut self, count: usize, now: Timestamp) -> Offset {
        if count == self.segments.len() {
            self.roll(self.ends.end, now);
        }
        self.segments[count].base.max(self.ends.start)
    }

    /// Takes the segments out of the list that end at or below the start; the active one always stays.
    fn take_below_start(&mut self) -> Vec<Offset> {
        let start = self.ends.start;
        let mut bases = Vec::new();
        while self.segments.get(1).is_some_and(|next| next.base <= start) {
            bases.extend(self.segments.pop_front().map(|segment| segment.base));
        }
        if !bases.is_empty() {
            self.tail.drop_before(self.segments[0].base);
            self.epochs_changed |= self.epochs.truncate_from_start(start);
            // Of the segments that go: the producers at the new start stand in a later one.
            self.snapshots.retain(|offset| bases.binary_search(offset).is_err());
            self.snapshots_due.retain(|(offset, _)| bases.binary_search(offset).is_err());
        }
        bases
    }
}

impl<F: Clone + 'static> Log<F> {
    /// Where the log shall begin, by its configuration and by the start it has, if some of its segments are to go for
    /// that. Looks into a closed segment once in its life.
    pub(crate) async fn start_by_retention<D>(
        &self,
        cache: &ChunkCache<D>,
        high: Offset,
        now: Timestamp,
    ) -> Result<Option<Offset>, ReadError>
    where
        D: Disk<File = F>,
    {
        loop {
            let unknown = {
                let mut state = self.state.borrow_mut();
                let rules = state.config.retention;
                match rules.decide(state.retention_facts(), state.ends.start, high, now) {
                    Decision::Keep => return Ok(None),
                    Decision::Drop(count) => return Ok(Some(state.start_without(count, now))),
                    Decision::Look(i) => state.segments[i].base,
                }
            };
            self.learn_largest_timestamp(cache, unknown, now).await?;
        }
    }

    /// From the time index, which is checked and completed on the way, or from the file if no record says when it was.
    async fn learn_largest_timestamp<D>(
        &self,
        cache: &ChunkCache<D>,
        base: Offset,
        now: Timestamp,
    ) -> Result<(), ReadError>
    where
        D: Disk<File = F>,
    {
        let place = |state: &LogState<F>| state.segments.binary_search_by_key(&base, |s| s.base).ok();
        let held = {
            let state = self.state.borrow();
            place(&state).is_some_and(|i| state.segments[i].indexes.is_some())
        };
        let newest = self.largest_timestamp(cache, base).await?;
        if newest.is_none_or(|newest| newest.0 < 0) {
            let written = self.file_time(cache.disk(), base, now).await?;
            let mut state = self.state.borrow_mut();
            let Some(i) = place(&state) else { return Ok(()) };
            state.segments[i].largest_timestamp = Some(Timestamp(written.0.max(0)));
        }
        if !held {
            self.let_go(base);
        }
        Ok(())
    }

    async fn file_time<D>(&self, disk: &D, base: Offset, now: Timestamp) -> io::Result<Timestamp>
    where
        D: Disk<File = F>,
    {
        match disk.modified(&self.segment_path(base, SegmentFile::Log)).await {
            // It is not written yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(now),
            time => time,
        }
    }

    /// Forgets the segments below the log's start and answers which: no reader finds them any more. Their files are to
    /// be set aside.
    pub(crate) fn forget_below_start(&self, _turn: &Turn<'_, F>) -> Vec<Offset> {
        self.state.borrow_mut().take_below_start()
    }

    /// Gives the files of a segment that was forgotten the names under which they wait for their end.
    pub(crate) async fn set_files_aside<D>(
        &self,
        disk: &D,
        base: Offset,
        _turn: &Turn<'_, F>,
    ) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        for file in SegmentFile::ALL {
            let live = self.segment_path(base, file);
            match disk.rename(&live, &deleted_path(&self.dir, base, file)).await {
                // Not every segment has all of them, and one that was never written has none.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // The longer name may want room that only its end can make.
                Err(error) if is_full(&error) => disk.remove(&live).await?,
                done => done?,
            }
        }
        Ok(())
    }
}
