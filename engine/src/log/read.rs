//! Reading a log: from an offset, from a timestamp. Record bytes leave as slices of pages, never copied and never
//! decoded, unless a timestamp is looked for inside a batch.

use std::io;

use model::{
    BatchHeader, BatchView, Offset, Timestamp,
    batch::{CRC_FROM, Crc32c, HEADER_BYTES},
};
use rt::pages::PageSlice;

use super::Log;
use crate::{
    chunk_cache::{ChunkCache, Place},
    disk::Disk,
    index::{OffsetIndex, SegmentIndexes, TimeIndex, TimestampOffset},
    properties::names::SegmentFile,
    records,
};

/// Index files above this are not believed.
const INDEX_BYTES_MAX: usize = 64 << 20;
/// A compressed batch may unfold to this much when a timestamp is looked for inside it.
const UNFOLDED_BYTES_MAX: usize = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the offset is outside the log")]
    OutOfRange,
    /// Never leaves the log: whoever meets it looks again.
    #[error("the segment was removed, or another file is in its place")]
    Moved,
    #[error("segment {segment} is corrupt at byte {position}")]
    Corrupt { segment: Offset, position: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What a reader wants.
#[derive(Clone, Copy, Debug)]
pub struct ReadRange {
    pub from: Offset,
    /// Nothing at or above this is shown.
    pub until: Offset,
    pub bytes_max: usize,
    /// The first batch goes out even if it is larger than `bytes_max`.
    pub at_least_one: bool,
}

/// Whole record batches, in order. The first may begin before the offset asked for: the client skips.
#[derive(Clone, Debug, Default)]
pub struct ReadBatches {
    pub slices: Vec<PageSlice>,
    pub bytes: usize,
    /// Behind the last batch, if there is one.
    pub next: Option<Offset>,
}

/// The first record of a batch that is not older than `target`. Of most topics nobody has looked at the records before
/// (a checksum vouches for the bytes, not for the sense that a producer has made of them), so what does not parse is no
/// damage: then the batch is taken as a whole, by its header.
fn find_in_batch(
    batch: &[u8],
    target: Timestamp,
    start: Offset,
    (segment, position): (Offset, u64),
) -> Result<Option<TimestampOffset>, ReadError> {
    let found = records::find_timestamp(batch, target, start, UNFOLDED_BYTES_MAX);
    found.or_else(|_| {
        let whole = BatchView::check(batch).map_err(|_| ReadError::Corrupt { segment, position })?;
        let (timestamp, offset) = (whole.header().max_timestamp(), whole.header().base_offset().max(start));
        Ok(Some(TimestampOffset { timestamp, offset }))
    })
}

impl<F: Clone + 'static> Log<F> {
    pub(crate) async fn read<D>(
        &self,
        cache: &ChunkCache<D>,
        range: ReadRange,
    ) -> Result<ReadBatches, ReadError>
    where
        D: Disk<File = F>,
    {
        loop {
            match self.read_at_once(cache, range).await {
                Err(ReadError::Moved) => {}
                read => return read,
            }
        }
    }

    async fn read_at_once<D>(&self, cache: &ChunkCache<D>, range: ReadRange) -> Result<ReadBatches, ReadError>
    where
        D: Disk<File = F>,
    {
        let ends = self.ends();
        if range.from < ends.start || range.from > ends.end {
            return Err(ReadError::OutOfRange);
        }
        let mut out = ReadBatches::default();
        if range.from >= range.until.min(ends.end) {
            return Ok(out);
        }
        let mut walk = self.walk_to(cache, range.from).await?;
        while let Some(header) = walk.header().await? {
            let bytes = walk.batch_bytes(&header)?;
            let first = out.slices.is_empty();
            let too_much = out.bytes + bytes > range.bytes_max && !(first && range.at_least_one);
            if header.last_offset() >= range.until || too_much {
                // A batch that only seems to reach that far would end every read here and never be looked at.
                if first {
                    walk.check(&header, bytes).await?;
                }
                return Ok(out);
            }
            walk.take(&header, bytes, &mut out.slices).await?;
            out.bytes += bytes;
            out.next = Some(header.next_offset());
        }
        // There is no batch where the log says that there is one: a flipped length led past it. Only compaction, and only
        // that of others, leaves nothing at a log's end.
        if out.slices.is_empty() && range.from >= self.ends().end {
            // It was cut meanwhile.
            return Err(ReadError::OutOfRange);
        }
        if out.slices.is_empty() && !walk.is_at_hole() { Err(walk.corrupt()) } else { Ok(out) }
    }

    /// The first record at or after a time: its offset and timestamp. Looks inside batches.
    pub(crate) async fn find_timestamp<D>(
        &self,
        cache: &ChunkCache<D>,
        target: Timestamp,
        until: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError>
    where
        D: Disk<File = F>,
    {
        loop {
            // What moved from one segment to another may have been passed by.
            let edition = self.edition();
            match self.find_timestamp_at_once(cache, target, until).await {
                Err(ReadError::Moved) => {}
                found if edition == self.edition() => return found,
                _ => {}
            }
        }
    }

    async fn find_timestamp_at_once<D>(
        &self,
        cache: &ChunkCache<D>,
        target: Timestamp,
        until: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError>
    where
        D: Disk<File = F>,
    {
        let start = self.ends().start;
        let bases: Vec<Offset> = self.state.borrow().segments.iter().map(|s| s.base).collect();
        for base in bases {
            let Some(from) = self.time_hint(cache, base, target).await? else { continue };
            let mut walk = self.walk_to(cache, from.max(start)).await?;
            while let Some(header) = walk.header().await? {
                let bytes = walk.batch_bytes(&header)?;
                if header.base_offset() >= until || walk.segment != base {
                    break;
                }
                if header.max_timestamp() >= target {
                    let place = (base, walk.at);
                    let batch = walk.copy(&header, bytes).await?;
                    let found = find_in_batch(&batch, target, start, place)?;
                    if let Some(found) = found.filter(|f| f.offset < until) {
                        return Ok(Some(found));
                    }
                } else {
                    walk.skip(&header, bytes);
                }
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp below `until`.
    pub(crate) async fn find_max_timestamp<D>(
        &self,
        cache: &ChunkCache<D>,
        until: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError>
    where
        D: Disk<File = F>,
    {
        loop {
            let edition = self.edition();
            match self.find_max_timestamp_at_once(cache, until).await {
                Err(ReadError::Moved) => {}
                found if edition == self.edition() => return found,
                _ => {}
            }
        }
    }

    async fn find_max_timestamp_at_once<D>(
        &self,
        cache: &ChunkCache<D>,
        until: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError>
    where
        D: Disk<File = F>,
    {
        let bases: Vec<Offset> = self.state.borrow().segments.iter().map(|s| s.base).collect();
        let mut best: Option<TimestampOffset> = None;
        for base in bases {
            self.load_indexes(cache, base).await?;
            let max = {
                let state = self.state.borrow();
                let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) else { continue };
                let Some(indexes) = &state.segments[i].indexes else { continue };
                indexes.time.max()
            };
            if max.timestamp.0 >= 0 && best.is_none_or(|b| max.timestamp > b.timestamp) {
                best = Some(max);
            }
        }
        let Some(best) = best.filter(|b| b.offset < until && b.offset >= self.ends().start) else {
            return Ok(None);
        };
        // The index names the batch's last offset; the record itself may be an earlier one of that batch.
        Ok(self.find_timestamp_in_batch(cache, best.offset, best.timestamp).await?.or(Some(best)))
    }

    async fn find_timestamp_in_batch<D>(
        &self,
        cache: &ChunkCache<D>,
        offset: Offset,
        timestamp: Timestamp,
    ) -> Result<Option<TimestampOffset>, ReadError>
    where
        D: Disk<File = F>,
    {
        let mut walk = self.walk_to(cache, offset).await?;
        let Some(header) = walk.header().await? else { return Ok(None) };
        let bytes = walk.batch_bytes(&header)?;
        let place = (walk.segment, walk.at);
        let batch = walk.copy(&header, bytes).await?;
        find_in_batch(&batch, timestamp, Offset::ZERO, place)
    }

    /// Another one whenever compaction has put a file into another's place.
    fn edition(&self) -> u64 {
        self.state.borrow().cleaning.edition
    }

    /// The time of the newest record of a closed segment, which is asked for again and again: `None` if it is gone.
    pub(crate) async fn largest_timestamp<D>(
        &self,
        cache: &ChunkCache<D>,
        base: Offset,
    ) -> Result<Option<Timestamp>, ReadError>
    where
        D: Disk<File = F>,
    {
        self.load_indexes(cache, base).await?;
        let mut state = self.state.borrow_mut();
        let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) else { return Ok(None) };
        let newest = state.segments[i].indexes.as_ref().map(|indexes| indexes.time.max().timestamp);
        state.segments[i].largest_timestamp = newest;
        Ok(newest)
    }

    /// Where to begin looking for a time in a segment; `None` if all of it is older.
    async fn time_hint<D>(
        &self,
        cache: &ChunkCache<D>,
        base: Offset,
        target: Timestamp,
    ) -> Result<Option<Offset>, ReadError>
    where
        D: Disk<File = F>,
    {
        self.load_indexes(cache, base).await?;
        let state = self.state.borrow();
        let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) else { return Ok(None) };
        let Some(indexes) = &state.segments[i].indexes else { return Ok(None) };
        let newest = indexes.time.max().timestamp;
        Ok((newest >= target)
            .then(|| indexes.time.lookup(Timestamp(target.0.saturating_sub(1))).offset.max(base)))
    }

    /// A walk that stands on the batch that holds `offset`.
    pub(crate) async fn walk_to<'a, D>(
        &'a self,
        cache: &'a ChunkCache<D>,
        offset: Offset,
    ) -> Result<Walk<'a, D>, ReadError>
    where
        D: Disk<File = F>,
    {
        let base = {
            let state = self.state.borrow();
            let i = state.segment_index(offset).ok_or(ReadError::OutOfRange)?;
            state.segments[i].base
        };
        self.load_indexes(cache, base).await?;
        let hint = {
            let state = self.state.borrow();
            let i = state.segments.binary_search_by_key(&base, |s| s.base).map_err(|_| ReadError::Moved)?;
            state.segments[i].indexes.as_ref().map_or(0, |x| x.offset.lookup(offset).position)
        };
        let mut walk = Walk::new(self, cache, base, u64::from(hint));
        if hint > 0 && !self.entry_names_batch(&mut walk, offset).await? {
            tracing::warn!(dir = %self.dir.display(), segment = %base, "an index entry names no batch");
            self.rebuild_indexes(cache, base).await?;
            walk = Walk::new(self, cache, base, 0);
        }
        while let Some(header) = walk.header().await? {
            if header.last_offset() >= offset {
                break;
            }
            let bytes = walk.batch_bytes(&header)?;
            walk.skip(&header, bytes);
        }
        Ok(walk)
    }

    /// An index is a hint: the batch it names must be there and end with the entry's offset.
    pub(super) async fn entry_names_batch<D>(
        &self,
        walk: &mut Walk<'_, D>,
        offset: Offset,
    ) -> Result<bool, ReadError>
    where
        D: Disk<File = F>,
    {
        let entry = {
            let state = self.state.borrow();
            let i = state.segment_of_edition(walk.segment, walk.edition).ok_or(ReadError::Moved)?;
            state.segments[i].indexes.as_ref().map(|x| x.offset.lookup(offset))
        };
        let Some(header) = walk.header_within(walk.segment).await? else { return Ok(false) };
        Ok(header.magic == 2 && entry.is_some_and(|e| e.offset == header.last_offset()))
    }

    pub(super) async fn rebuild_indexes<D>(
        &self,
        cache: &ChunkCache<D>,
        base: Offset,
    ) -> Result<(), ReadError>
    where
        D: Disk<File = F>,
    {
        let limits = self.config().index;
        let mut walk = Walk::new(self, cache, base, 0);
        let mut indexes = SegmentIndexes::new(base, limits);
        let mut next = base;
        while let Some(header) = walk.header_within(base).await? {
            let bytes = walk.batch_bytes(&header)?;
            if header.base_offset() < next || !indexes.offset.fits(header.last_offset()) {
                return Err(walk.corrupt());
            }
            next = header.next_offset();
            let at = walk.at;
            walk.check(&header, bytes).await?;
            indexes.append(&header, at as u32, bytes as u32);
        }
        let mut state = self.state.borrow_mut();
        if let Some(i) = state.segment_of_edition(base, walk.edition) {
            if i + 1 < state.segments.len() {
                indexes.seal();
                // The files are written again with the next housekeeping or stop.
                state.segments[i].finished = false;
            }
            state.segments[i].indexes = Some(indexes);
        }
        Ok(())
    }

    /// Until the caller awaits something, the segment has its indexes now.
    pub(super) async fn load_indexes<D>(&self, cache: &ChunkCache<D>, base: Offset) -> Result<(), ReadError>
    where
        D: Disk<File = F>,
    {
        self.load_missing_indexes(cache, base).await?;
        cache.residents().touch(self, base);
        Ok(())
    }

    /// Closed segments load their indexes when somebody asks; a file that is not sound is made anew from the log.
    async fn load_missing_indexes<D>(&self, cache: &ChunkCache<D>, base: Offset) -> Result<(), ReadError>
    where
        D: Disk<File = F>,
    {
        let (bytes, limits, edition) = {
            let state = self.state.borrow();
            let Ok(i) = state.segments.binary_search_by_key(&base, |s| s.base) else { return Ok(()) };
            if state.segments[i].indexes.is_some() {
                return Ok(());
            }
            (state.segments[i].bytes, state.config.index, state.segments[i].edition)
        };
        let disk = cache.disk();
        let offsets =
            disk.read_small(&self.segment_path(base, SegmentFile::OffsetIndex), INDEX_BYTES_MAX).await;
        let times = disk.read_small(&self.segment_path(base, SegmentFile::TimeIndex), INDEX_BYTES_MAX).await;
        if self.state.borrow().segment_of_edition(base, edition).is_none() {
            return Err(ReadError::Moved);
        }
        let loaded = match (offsets, times) {
            (Ok(o), Ok(t)) => OffsetIndex::from_bytes(base, limits.index_bytes_max, &o, bytes as u32)
                .and_then(|o| Ok((o, TimeIndex::from_bytes(base, limits.index_bytes_max, &t)?)))
                .map_err(|e| e.to_string()),
            (Err(e), _) | (_, Err(e)) => Err(e.to_string()),
        };
        match loaded {
            Ok((offset, time)) => {
                self.complete_indexes(cache, base, SegmentIndexes::of(offset, time, limits)).await
            }
            Err(why) => {
                tracing::warn!(dir = %self.dir.display(), segment = %base, %why, "rebuilding the indexes of a segment");
                self.rebuild_indexes(cache, base).await
            }
        }
    }

    /// Index files are not flushed with their segment: after a crash they may be those of a time when it was shorter, and
    /// its newest timestamp another one. So the batches behind the last entry are looked at, few if the files are whole.
    async fn complete_indexes<D>(
        &self,
        cache: &ChunkCache<D>,
        base: Offset,
        mut indexes: SegmentIndexes,
    ) -> Result<(), ReadError>
    where
        D: Disk<File = F>,
    {
        let (known, newest) = (indexes.offset.entry_count(), indexes.time.last_entry());
        let last = indexes.offset.last_entry();
        let from = indexes.offset.lookup(newest.offset);
        let mut walk = Walk::new(self, cache, base, u64::from(from.position));
        let mut due = [Some(from).filter(|from| from.position > 0), last].into_iter().flatten().peekable();
        while let Some(header) = walk.header_within(base).await? {
            while let Some(entry) = due.next_if(|entry| u64::from(entry.position) <= walk.at) {
                if u64::from(entry.position) != walk.at || header.last_offset() != entry.offset {
                    tracing::warn!(dir = %self.dir.display(), segment = %base, "an index entry names no batch");
                    return self.rebuild_indexes(cache, base).await;
                }
            }
            let stale = header.last_offset() <= newest.offset && header.max_timestamp() > newest.timestamp;
            let (Ok(bytes), false) = (walk.batch_bytes(&header), stale && newest.timestamp.0 >= 0) else {
                return self.rebuild_indexes(cache, base).await;
            };
            let at = walk.at;
            walk.check(&header, bytes).await?;
            if last.is_none_or(|last| at > u64::from(last.position)) {
                indexes.append(&header, at as u32, bytes as u32);
            } else {
                indexes.time.observe(header.max_timestamp(), header.last_offset());
            }
        }
        if due.peek().is_some() {
            return self.rebuild_indexes(cache, base).await;
        }
        let mut state = self.state.borrow_mut();
        if let Some(i) = state.segment_of_edition(base, walk.edition) {
            if i + 1 < state.segments.len() {
                indexes.seal();
                state.segments[i].finished &=
                    known == indexes.offset.entry_count() && newest == indexes.time.last_entry();
            }
            state.segments[i].indexes.get_or_insert(indexes);
        }
        Ok(())
    }
}

/// Stands on a batch and steps to the next, from memory or from disk, over page and segment borders.
pub(crate) struct Walk<'a, D: Disk> {
    log: &'a Log<D::File>,
    cache: &'a ChunkCache<D>,
    pub(crate) segment: Offset,
    /// Of the segment: what is read of another file says nothing of the place in this one.
    edition: u64,
    pub(crate) at: u64,
    /// What the next batch must begin with, once that is known. Offsets lie outside the checksum: this is what tells a
    /// flipped one, and a segment that is missing. In a log with holes it may begin further on.
    next: Option<Offset>,
    /// The page or chunk that covers `at`, so that neighbours need no second look-up.
    piece: Option<Piece>,
}

struct Piece {
    from: u64,
    slice: PageSlice,
    from_disk: bool,
}

impl<'a, D: Disk> Walk<'a, D> {
    pub(super) fn new(log: &'a Log<D::File>, cache: &'a ChunkCache<D>, segment: Offset, at: u64) -> Self {
        let next = (at == 0).then_some(segment);
        let edition = log.state.borrow().edition_of(segment);
        Self { log, cache, segment, edition, at, next, piece: None }
    }

    /// The header of the batch at hand, moving on to the next segment at the end of one; `None` at the log's end.
    pub(crate) async fn header(&mut self) -> Result<Option<BatchHeader>, ReadError> {
        loop {
            if let Some(header) = self.header_within(self.segment).await? {
                return Ok(Some(header));
            }
            let state = self.log.state.borrow();
            let i = state.segment_of_edition(self.segment, self.edition).ok_or(ReadError::Moved)? + 1;
            let Some(next) = state.segments.get(i) else { return Ok(None) };
            let holes = state.cleaning.may_have_holes;
            if self.next.is_some_and(|due| due > next.base || due < next.base && !holes) {
                return Err(self.corrupt());
            }
            (self.segment, self.edition, self.at, self.piece) = (next.base, next.edition, 0, None);
            self.next = Some(next.base);
        }
    }

    pub(super) async fn header_within(&mut self, segment: Offset) -> Result<Option<BatchHeader>, ReadError> {
        if segment != self.segment {
            return Ok(None);
        }
        let limit = {
            let state = self.log.state.borrow();
            // Deleted or compacted under the reader's feet, which is no corruption.
            let i = state.segment_of_edition(segment, self.edition).ok_or(ReadError::Moved)?;
            state.segments[i].bytes
        };
        if self.at + HEADER_BYTES as u64 > limit {
            return Ok(None);
        }
        let mut bytes = [0u8; HEADER_BYTES];
        let mut have = 0;
        while have < HEADER_BYTES {
            let part = self.piece(self.at + have as u64).await?;
            let n = part.len().min(HEADER_BYTES - have);
            bytes[have..have + n].copy_from_slice(&part[..n]);
            have += n;
        }
        let header = BatchHeader::read(&bytes).map_err(|_| self.corrupt())?;
        if !self.may_be_here(&header)? {
            return Err(self.corrupt());
        }
        Ok(Some(header))
    }

    fn may_be_here(&self, header: &BatchHeader) -> Result<bool, ReadError> {
        let Some(due) = self.next else { return Ok(true) };
        let state = self.log.state.borrow();
        if !state.cleaning.may_have_holes {
            return Ok(due == header.base_offset());
        }
        let i = state.segment_of_edition(self.segment, self.edition).ok_or(ReadError::Moved)?;
        let end = state.segments.get(i + 1).map_or(state.ends.end, |next| next.base);
        Ok(due <= header.base_offset() && header.last_offset() < end)
    }

    /// Behind the last batch of a log that compaction may have thinned out.
    fn is_at_hole(&self) -> bool {
        let state = self.log.state.borrow();
        let i = state.segment_of_edition(self.segment, self.edition);
        state.cleaning.may_have_holes && i.is_some_and(|i| state.segments[i].bytes == self.at)
    }

    pub(crate) fn corrupt(&self) -> ReadError {
        ReadError::Corrupt { segment: self.segment, position: self.at }
    }

    pub(crate) fn batch_bytes(&self, header: &BatchHeader) -> Result<usize, ReadError> {
        let bytes = header.total_bytes().map_err(|_| self.corrupt())?;
        let state = self.log.state.borrow();
        let i = state.segment_of_edition(self.segment, self.edition).ok_or(ReadError::Moved)?;
        if header.magic != 2 || self.at + bytes as u64 > state.segments[i].bytes {
            return Err(self.corrupt());
        }
        Ok(bytes)
    }

    pub(crate) fn skip(&mut self, header: &BatchHeader, bytes: usize) {
        self.at += bytes as u64;
        self.next = Some(header.next_offset());
    }

    /// Adds the batch at hand to `out` and steps behind it. What comes from the disk is checked first: a flipped bit
    /// never leaves the broker.
    async fn take(
        &mut self,
        header: &BatchHeader,
        bytes: usize,
        out: &mut Vec<PageSlice>,
    ) -> Result<(), ReadError> {
        let end = self.at + bytes as u64;
        let first = out.len();
        let from_disk = self.gather(header, end, out).await?;
        let epoch = self.log.state.borrow().epochs.epoch_for(header.base_offset());
        if from_disk && epoch.is_some_and(|epoch| epoch != header.leader_epoch()) {
            out.truncate(first);
            return Err(self.corrupt());
        }
        join_neighbours(out, first);
        self.skip(header, bytes);
        Ok(())
    }

    /// Steps behind the batch at hand once its checksum is right.
    pub(super) async fn check(&mut self, header: &BatchHeader, bytes: usize) -> Result<(), ReadError> {
        self.gather(header, self.at + bytes as u64, &mut Vec::new()).await?;
        self.skip(header, bytes);
        Ok(())
    }

    /// The batch at hand piece by piece, its checksum right if any of it is from the disk, which is the answer.
    async fn gather(
        &mut self,
        header: &BatchHeader,
        end: u64,
        out: &mut Vec<PageSlice>,
    ) -> Result<bool, ReadError> {
        let (mut at, first, mut from_disk) = (self.at, out.len(), false);
        while at < end {
            let part = self.piece(at).await?;
            let n = part.len().min((end - at) as usize);
            out.push(part.slice(0..n));
            from_disk |= self.piece.as_ref().is_some_and(|p| p.from_disk);
            at += n as u64;
        }
        if from_disk && crc_of(&out[first..]) != header.crc.get() {
            out.truncate(first);
            return Err(self.corrupt());
        }
        Ok(from_disk)
    }

    /// The batch at hand as bytes side by side; steps behind it.
    pub(crate) async fn copy(&mut self, header: &BatchHeader, bytes: usize) -> Result<Vec<u8>, ReadError> {
        let mut slices = Vec::new();
        self.take(header, bytes, &mut slices).await?;
        Ok(slices.iter().flat_map(|s| s.iter().copied()).collect())
    }

    /// Bytes from `at` on, as many as lie side by side.
    async fn piece(&mut self, at: u64) -> Result<PageSlice, ReadError> {
        if let Some(p) = self.piece.as_ref().filter(|p| p.from <= at && at < p.from + p.slice.len() as u64) {
            return Ok(p.slice.slice((at - p.from) as usize..p.slice.len()));
        }
        if self.log.state.borrow().segment_of_edition(self.segment, self.edition).is_none() {
            return Err(ReadError::Moved);
        }
        let in_memory = self.log.state.borrow().tail.slice_from(self.segment, at, usize::MAX >> 1);
        if let Some(slice) = in_memory {
            self.piece = Some(Piece { from: at, slice: slice.clone(), from_disk: false });
            return Ok(slice);
        }
        let opened = self.log.segment_file(self.cache.disk(), self.segment).await;
        let written = {
            let state = self.log.state.borrow();
            // Removed or replaced under the reader's feet, which is no fault of the disk.
            let i = state.segment_of_edition(self.segment, self.edition).ok_or(ReadError::Moved)?;
            state.segments[i].written
        };
        let file = opened?;
        let place = Place {
            log_serial: self.log.serial,
            segment: self.segment,
            edition: self.edition,
            file: &file,
            file_bytes: written,
            at,
        };
        self.cache.residents().touch(self.log, self.segment);
        let read = self.cache.slice_from(place).await;
        // Where the log was cut meanwhile the file may be shorter, or other bytes are there by now.
        if self.log.state.borrow().segment_of_edition(self.segment, self.edition).is_none() {
            return Err(ReadError::Moved);
        }
        let slice = read?;
        self.piece = Some(Piece { from: at, slice: slice.clone(), from_disk: true });
        Ok(slice)
    }
}

fn crc_of(slices: &[PageSlice]) -> u32 {
    let mut crc = Crc32c::default();
    let mut skip = CRC_FROM;
    for slice in slices {
        let from = skip.min(slice.len());
        crc.update(&slice[from..]);
        skip -= from;
    }
    crc.finish()
}

/// Batches that lie side by side in one page leave as one slice: fewer pieces for the socket.
fn join_neighbours(out: &mut Vec<PageSlice>, first: usize) {
    if first == 0 || first >= out.len() {
        return;
    }
    if let Some(joined) = out[first - 1].joined(&out[first]) {
        out[first - 1] = joined;
        out.remove(first);
    }
}
