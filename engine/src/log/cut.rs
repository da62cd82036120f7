//! Cutting a log's end off. What is to go is decided and everything that memory needs afterwards is read first; then memory
//! changes in one step between two awaits, and the files follow. The caller has the log's turn from the first to the last.
//!
//! ```text
//!   |  segment  |  segment  |  segment  |          |  segment  |  seg|
//!                     ^ to                                     the active one from now on, another edition of it
//! ```
//! A segment begins where the one before ends, so whichever names a crash brings back, what is found is a prefix.

use std::io;

use model::{Offset, Timestamp};
use rt::pages::{BLOCK, Page};

use super::{
    Ends, Log, LogState, lifecycle::remove_if_there, open::producers_at, open::replace_epochs,
    read::ReadError, read::Walk, segment::Segment, write_out::Turn,
};
use crate::{
    block_reader::BlockReader, chunk_cache::ChunkCache, disk::Disk, index::SegmentIndexes,
    producers::ProducerStates, properties::names::SegmentFile,
};

/// Where a log will end: behind a batch that stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CutPlace {
    pub(crate) segment: Offset,
    /// In the segment's file, in bytes.
    pub(crate) position: u64,
    pub(crate) end: Offset,
}

/// What a log will hold.
pub(crate) enum Remainder {
    /// It ends at this place.
    Until(Box<LastSegment>),
    /// It is empty, and ends at its start.
    Nothing,
}

impl Remainder {
    /// Where the log will end, if anything is left.
    pub(crate) fn place(&self) -> Option<CutPlace> {
        match self {
            Self::Until(last) => Some(last.place),
            Self::Nothing => None,
        }
    }
}

/// What memory holds of a segment that becomes the active one.
pub(crate) struct LastSegment {
    pub(crate) place: CutPlace,
    indexes: SegmentIndexes,
    /// The bytes in its last block, if it ends inside one.
    block: Option<Page>,
    producers: ProducerStates,
}

/// What a cut does to the files.
pub(crate) struct CutOff {
    /// These go, rising.
    pub(crate) segments: Vec<Offset>,
    snapshots: Vec<Offset>,
    /// This one goes on with so many bytes; `None` if nothing is left.
    shortened: Option<(Offset, u64)>,
}

impl CutOff {
    /// Its name is about to go, or the bytes that it has.
    fn takes_snapshot(&self, offset: Offset, end: Offset) -> bool {
        offset > end || self.shortened.is_none() || self.segments.binary_search(&offset).is_ok()
    }
}

impl<F: Clone + 'static> Log<F> {
    /// What stays of the log if everything from `to` on goes: a batch that begins below and ends above goes as well.
    pub(crate) async fn remainder_below<D>(
        &self,
        cache: &ChunkCache<D>,
        to: Offset,
        _turn: &Turn<'_, F>,
    ) -> Result<Remainder, ReadError>
    where
        D: Disk<File = F>,
    {
        let start = self.ends().start;
        let place = self.last_below(cache, to).await?.filter(|place| place.end >= start);
        let Some(place) = place else { return Ok(Remainder::Nothing) };
        let indexes = self.indexes_until(cache, place).await?;
        let block = self.last_block(cache, place).await?;
        // By whose clock is told afterwards.
        let producers = producers_at(cache, self, place.end, Timestamp::NONE).await?;
        let producers = producers.with_times_of(&self.state.borrow().producers);
        Ok(Remainder::Until(Box::new(LastSegment { place, indexes, block, producers })))
    }

    /// The place behind the last batch that ends at or below `to`.
    async fn last_below<D>(&self, cache: &ChunkCache<D>, to: Offset) -> Result<Option<CutPlace>, ReadError>
    where
        D: Disk<File = F>,
    {
        let bases: Vec<Offset> = self.state.borrow().segments.iter().map(|s| s.base).collect();
        for &segment in bases.iter().rev().filter(|&&base| base < to) {
            let mut walk = self.walk_within(cache, segment, to).await?;
            let mut place = None;
            while let Some(header) = walk.header_within(segment).await?.filter(|h| h.last_offset() < to) {
                let bytes = walk.batch_bytes(&header)?;
                walk.skip(&header, bytes);
                place = Some(CutPlace { segment, position: walk.at, end: header.next_offset() });
            }
            if place.is_some() {
                return Ok(place);
            }
        }
        Ok(None)
    }

    /// Stands in a segment on a batch that ends below `to`, if there is one.
    async fn walk_within<'a, D>(
        &'a self,
        cache: &'a ChunkCache<D>,
        segment: Offset,
        to: Offset,
    ) -> Result<Walk<'a, D>, ReadError>
    where
        D: Disk<File = F>,
    {
        let below = to + -1;
        self.load_indexes(cache, segment).await?;
        let hint = self.with_indexes(segment, |indexes| indexes.offset.lookup(below).position);
        let mut walk = Walk::new(self, cache, segment, u64::from(hint.unwrap_or(0)));
        if walk.at > 0 && !self.entry_names_batch(&mut walk, below).await? {
            self.rebuild_indexes(cache, segment).await?;
            walk = Walk::new(self, cache, segment, 0);
        }
        Ok(walk)
    }

    fn with_indexes<R>(&self, segment: Offset, look: impl FnOnce(&SegmentIndexes) -> R) -> Option<R> {
        let state = self.state.borrow();
        let i = state.segments.binary_search_by_key(&segment, |s| s.base).ok()?;
        state.segments[i].indexes.as_ref().map(look)
    }

    /// The indexes of a segment that ends earlier. Batches whose times are in no entry that stays are looked at, and those in
    /// the last block, which will be in memory, where nobody checks them.
    async fn indexes_until<D>(
        &self,
        cache: &ChunkCache<D>,
        place: CutPlace,
    ) -> Result<SegmentIndexes, ReadError>
    where
        D: Disk<File = F>,
    {
        self.load_indexes(cache, place.segment).await?;
        let indexes = self.with_indexes(place.segment, SegmentIndexes::clone);
        let mut indexes = indexes.ok_or(ReadError::Moved)?;
        indexes.truncate_to(place.end);
        let timed = indexes.offset.lookup(indexes.time.last_entry().offset).position;
        let in_block =
            indexes.offset.lookup_position(place.position - place.position % BLOCK as u64).position;
        let mut walk = Walk::new(self, cache, place.segment, u64::from(timed.min(in_block)));
        while walk.at < place.position
            && let Some(header) = walk.header_within(place.segment).await?
        {
            let bytes = walk.batch_bytes(&header)?;
            walk.check(&header, bytes).await?;
            indexes.time.observe(header.max_timestamp(), header.last_offset());
        }
        if walk.at == place.position { Ok(indexes) } else { Err(walk.corrupt()) }
    }

    async fn last_block<D>(&self, cache: &ChunkCache<D>, place: CutPlace) -> Result<Option<Page>, ReadError>
    where
        D: Disk<File = F>,
    {
        let at = place.position - place.position % BLOCK as u64;
        if at == place.position {
            return Ok(None);
        }
        let bytes = (place.position - at) as usize;
        let mut page =
            cache.pages().take(BLOCK).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let file = self.segment_file(cache.disk(), place.segment).await?;
        let reader = BlockReader::new(cache.disk().clone(), file, cache.pages().clone()).await?;
        let mut reader = reader.narrow();
        let block = reader.bytes(at, bytes).await?;
        if block.len() < bytes {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        page.append(&block[..bytes]);
        Ok(Some(page))
    }

    /// Memory as it is afterwards. Readers find the new end from here on.
    pub(crate) fn cut(&self, remainder: Remainder, _turn: &Turn<'_, F>) -> CutOff {
        let state = &mut *self.state.borrow_mut();
        let shortened = remainder.place().map(|place| (place.segment, place.position));
        let goes = |base: Offset| shortened.is_none_or(|(last, _)| base > last);
        let segments = state.segments.iter().map(|s| s.base).filter(|&base| goes(base)).collect();
        let mut cut_off = CutOff { segments, snapshots: Vec::new(), shortened };
        // What was read of a segment until now says nothing of the one that goes on in its place.
        state.cleaning.edition += 1;
        match remainder {
            Remainder::Until(last) => state.end_at(*last),
            Remainder::Nothing => state.begin_anew(state.ends.start),
        }
        let end = state.ends.end;
        state.cleaning.until = state.cleaning.until.map(|until| until.min(end));
        state.epochs_changed |= state.epochs.truncate_from_end(end);
        let (gone, kept) = state.snapshots.iter().partition(|&&o| cut_off.takes_snapshot(o, end));
        (cut_off.snapshots, state.snapshots) = (gone, kept);
        state.snapshots_due.retain(|&(offset, _)| !cut_off.takes_snapshot(offset, end));
        cut_off
    }

    /// The empty log begins elsewhere.
    pub(crate) fn begin_at(&self, start: Offset, _turn: &Turn<'_, F>) {
        let state = &mut *self.state.borrow_mut();
        assert_eq!(state.ends.start, state.ends.end, "everything was cut off before");
        state.begin_anew(start);
    }

    /// The files, as memory says. On return all of it would survive a crash.
    pub(crate) async fn cut_files<D>(&self, disk: &D, cut_off: &CutOff, turn: &Turn<'_, F>) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        if !self.has_dir.get() {
            return Ok(());
        }
        self.replace_epochs_file(disk, turn).await?;
        // Of a log that loses all, the first one last: what a crash leaves must begin where the log begins.
        let first = cut_off.segments.first().filter(|_| cut_off.shortened.is_none());
        for &base in cut_off.segments.iter().skip(usize::from(first.is_some())).rev() {
            self.set_files_aside(disk, base, turn).await?;
        }
        for &offset in &cut_off.snapshots {
            remove_if_there(disk, &self.segment_path(offset, SegmentFile::Snapshot)).await?;
        }
        if let Some(&first) = first {
            disk.flush_dir(&self.dir).await?;
            self.set_files_aside(disk, first, turn).await?;
        }
        if let Some((base, bytes)) = cut_off.shortened {
            self.shorten(disk, base, bytes).await?;
        }
        disk.flush_dir(&self.dir).await
    }

    /// The file of the segment that goes on, and none of its indexes: they are made anew from it.
    async fn shorten<D>(&self, disk: &D, base: Offset, bytes: u64) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        for file in [SegmentFile::OffsetIndex, SegmentFile::TimeIndex] {
            remove_if_there(disk, &self.segment_path(base, file)).await?;
        }
        let file = self.open_file(disk, base, false).await?;
        disk.truncate(&file, bytes).await?;
        disk.flush(&file).await?;
        let mut state = self.state.borrow_mut();
        if let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) {
            state.segments[i].allocated = bytes;
        }
        Ok(())
    }

    /// What the file says above the end would be believed once the log is that long again.
    pub(crate) async fn replace_epochs_file<D>(&self, disk: &D, _turn: &Turn<'_, F>) -> io::Result<()>
    where
        D: Disk<File = F>,
    {
        let epochs = self.state.borrow().epochs.clone();
        replace_epochs(disk, &self.dir, &epochs).await
    }
}

impl<F: Clone> LogState<F> {
    fn end_at(&mut self, last: LastSegment) {
        let LastSegment { place: CutPlace { segment: base, position, end }, indexes, block, producers } =
            last;
        let i = self.segments.binary_search_by_key(&base, |s| s.base).expect("nobody else changes segments");
        self.segments.truncate(i + 1);
        let edition = self.cleaning.edition;
        let segment = &mut self.segments[i];
        assert!(segment.written >= position, "everything was written out before");
        (segment.bytes, segment.written, segment.flushed) = (position, position, position);
        (segment.finished, segment.length_flushed, segment.indexed) = (false, true, 0);
        (segment.indexes, segment.edition) = (Some(indexes), edition);
        segment.largest_timestamp = None;
        self.tail.cut(base, position, block);
        self.producers = producers;
        self.pending.retain(|pending| pending.next_offset <= end);
        self.unjournaled = self.unjournaled.min(end);
        let Ends { start, written, durable, acknowledged, .. } = self.ends;
        self.ends = Ends {
            start,
            end,
            written: written.min(end),
            durable: durable.min(end),
            acknowledged: acknowledged.min(end),
        };
        self.in_segments = self.in_segments.min(end);
        self.recovery_point = self.recovery_point.min(end);
    }

    /// Empty, at `start`.
    fn begin_anew(&mut self, start: Offset) {
        let created = self.segments.back().map_or(Timestamp::NONE, |s| s.created);
        let mut segment = Segment::empty(start, self.config.index, created);
        segment.edition = self.cleaning.edition;
        self.segments.clear();
        self.segments.push_back(segment);
        self.tail.clear();
        self.producers = ProducerStates::new(Default::default(), start).with_times_of(&self.producers);
        self.epochs_changed |= !self.epochs.entries().is_empty();
        self.epochs.clear();
        self.pending.clear();
        self.unjournaled = Offset::ZERO;
        self.ends = Ends { start, end: start, written: start, durable: start, acknowledged: start };
        (self.in_segments, self.recovery_point) = (start, start);
    }
}
