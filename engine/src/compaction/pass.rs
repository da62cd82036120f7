//! One pass over one log: learn the last offset of each key of the dirty part, then write every group of segments anew
//! without what is superseded, and put each new segment into the place of its group. What to do is decided elsewhere
//! (`plan`, `filter`, `transactions`); here it is done, a little at a time.

use std::{borrow::Cow, io, path::PathBuf};

use model::{BatchHeader, Compression, Offset};
use rt::pages::PagePool;

use super::{
    Pace,
    filter::{BatchFate, FilterTime, Outcome, Selection, Thinned, delete_horizon, offset_of, record_at},
    key_map::KeyMap,
    plan::{self, GroupLimits, SegmentFacts},
    rewrite::{Rewrite, RewriteError},
    sources::SourceReader,
    swap,
    transactions::{TransactionScan, Transactions},
};
use crate::{
    compression::{compress, decompress},
    disk::{Disk, is_full},
    dropped::Dropped,
    log::{SharedLog, cleaning::Source},
    records::EndMarker,
};

/// A compressed batch may unfold to this much.
const UNFOLDED_BYTES_MAX: usize = 256 << 20;
/// Compression of more than this is done beside the shard: it cannot be interrupted.
const ASIDE_BYTES: usize = 4 << 10;
/// Records that are looked at before others get their turn.
const RECORDS_AT_ONCE: usize = 64;

/// Why a pass ends before its time. What was swapped until then stays.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The broker stops, the log was deleted, or its segments are not those that the pass began with.
    Gone,
    /// Transactions were met that nobody has looked for.
    Transactional,
    /// No room on the disk or in memory.
    Full,
    /// The log cannot be read now.
    Read(io::Error),
    /// The log is not what it should be, or cannot be made any smaller: it is set aside.
    Corrupt { path: PathBuf, position: u64, why: String },
    /// A write or a flush failed: nobody knows what is on the disk.
    Failed(io::Error),
}

/// What a pass did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PassReport {
    pub bytes_read: u64,
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub keys: usize,
    /// The key map was full, and the next pass goes on where this one ended.
    pub was_cut: bool,
}

pub(crate) struct Pass<'a, D: Disk, P: Pace> {
    pub(crate) disk: &'a D,
    pub(crate) pages: &'a PagePool,
    pub(crate) dropped: &'a Dropped,
    pub(crate) log: &'a SharedLog<D::File>,
    pub(crate) pace: &'a P,
    pub(crate) time: FilterTime,
    pub(crate) first_dirty: Offset,
    pub(crate) map: KeyMap,
    /// Everything that may be cleaned, from the log's first segment on.
    pub(crate) sources: Vec<Source>,
    pub(crate) transactions: Option<Transactions>,
    pub(crate) report: PassReport,
    /// The last offset whose key is in the map.
    latest: Offset,
}

impl<'a, D: Disk, P: Pace> Pass<'a, D, P> {
    pub(crate) fn new(
        (disk, pages, dropped, pace): (&'a D, &'a PagePool, &'a Dropped, &'a P),
        log: &'a SharedLog<D::File>,
        time: FilterTime,
        map: KeyMap,
        (first_dirty, sources): (Offset, Vec<Source>),
    ) -> Self {
        let (transactions, report, latest) = (None, PassReport::default(), first_dirty + -1);
        Self {
            disk,
            pages,
            dropped,
            log,
            pace,
            time,
            first_dirty,
            map,
            sources,
            transactions,
            report,
            latest,
        }
    }

    /// The markers of everything that the pass looks at. A transaction that does not end there is left for a later one.
    pub(crate) async fn scan_transactions(&mut self) -> Result<(), Stop> {
        let mut scan = TransactionScan::default();
        for source in self.sources.clone() {
            let mut reader = self.open(source).await?;
            while self.advance(&mut reader).await? {
                let header = reader.header();
                let marker = marker_of(&reader, &header)?;
                scan.observe(&header, marker);
            }
        }
        if let Some(open) = scan.first_open() {
            self.sources.retain(|source| source.next_base <= open);
        }
        self.transactions = Some(scan.into_transactions());
        Ok(())
    }

    /// Fills the key map. Answers where the cleaned part will end.
    pub(crate) async fn learn_keys(&mut self) -> Result<Offset, Stop> {
        let mut transactions = self.transactions.clone();
        let dirty: Vec<_> =
            self.sources.iter().copied().filter(|source| source.next_base > self.first_dirty).collect();
        for source in dirty {
            let mut reader = self.open(source).await?;
            while self.advance(&mut reader).await? {
                let header = reader.header();
                let unseen = self.discards(&mut transactions, &reader, &header)?;
                let is_dirty = header.last_offset() >= self.first_dirty;
                if is_dirty && !unseen && !header.is_control() && !self.learn_batch(&reader, &header).await? {
                    self.report.was_cut = true;
                    return Ok(self.latest + 1);
                }
                self.latest = self.latest.max(header.last_offset());
            }
            // What compaction has taken from a segment's end is clean as well.
            self.latest = self.latest.max(source.next_base + -1);
        }
        Ok(self.latest + 1)
    }

    /// `false`: the map is full.
    async fn learn_batch(&mut self, reader: &SourceReader<D>, header: &BatchHeader) -> Result<bool, Stop> {
        let payload = self.unfold(reader, header).await?;
        let mut at = 0;
        for n in 0..header.record_count().max(0) as usize {
            let (record, end) = record_at(&payload, at).map_err(|e| reader.corrupt(e.to_string()))?;
            at = end;
            let offset = offset_of(header, &record);
            if let Some(key) = record.key.filter(|_| offset >= self.first_dirty) {
                if !self.map.put(key, offset) {
                    return Ok(false);
                }
                self.latest = self.latest.max(offset);
            }
            if n % RECORDS_AT_ONCE == RECORDS_AT_ONCE - 1 {
                self.pace.spent(0).await;
            }
        }
        Ok(true)
    }

    /// Writes the groups anew, one after another.
    pub(crate) async fn clean(&mut self, until: Offset, limits: GroupLimits) -> Result<(), Stop> {
        self.report.keys = self.map.key_count();
        let cleaned: Vec<Source> = self.sources.iter().copied().filter(|s| s.base < until).collect();
        let facts: Vec<SegmentFacts> = cleaned.iter().map(facts_of).collect();
        for group in plan::group(&facts, limits) {
            self.clean_group(&cleaned[group], limits).await?;
        }
        Ok(())
    }

    async fn clean_group(&mut self, group: &[Source], limits: GroupLimits) -> Result<(), Stop> {
        let base = group[0].base;
        let dir = self.log.dir.clone();
        let began = match self.log.turn().await {
            None => return Err(Stop::Gone),
            Some(_turn) => Rewrite::begin(self.disk, self.pages, &dir, base, limits.index).await,
        };
        let written = match began {
            Ok(rewrite) => self.write_group(rewrite, group).await,
            Err(error) => Err(self.stop_of(error, base)),
        };
        let written = match written {
            Ok(Some(rewrite)) => self.swap(rewrite, group).await,
            Ok(None) => self.forget(base).await,
            Err(stop) => Err(stop),
        };
        match written {
            Ok(()) => Ok(()),
            // Nobody writes after a failure, and a deleted log's folder is no longer its own.
            Err(stop @ Stop::Failed(_)) => Err(stop),
            Err(stop) => self.forget(base).await.and(Err(stop)),
        }
    }

    /// `None`: everything of the group stays as it is.
    async fn write_group(
        &mut self,
        mut rewrite: Rewrite<D>,
        group: &[Source],
    ) -> Result<Option<Rewrite<D>>, Stop> {
        let mut changed = group.len() > 1;
        let last = group.iter().rposition(|source| source.bytes > 0);
        for (n, &source) in group.iter().enumerate() {
            let mut reader = self.open(source).await?;
            while self.advance(&mut reader).await? {
                let ends_group = Some(n) == last && reader.is_at_last();
                let outcome = self.judge(&reader, ends_group).await?;
                changed |= outcome != Outcome::Same;
                let batch = match outcome {
                    Outcome::Drop => continue,
                    Outcome::Same => Cow::Borrowed(&reader.batch),
                    Outcome::Header(batch) => Cow::Owned(batch),
                    Outcome::Thinned(thinned) => Cow::Owned(self.fold(thinned).await),
                };
                rewrite.append(&batch).await.map_err(|error| self.stop_of(error, source.base))?;
                self.pace.spent(batch.len()).await;
            }
        }
        if !changed && let Some(transactions) = &mut self.transactions {
            // The index of the segment that stays has them.
            transactions.take_index();
        }
        Ok(changed.then_some(rewrite))
    }

    /// What becomes of the batch at hand. The one that ends a group says what the new segment replaces.
    async fn judge(&mut self, reader: &SourceReader<D>, ends_group: bool) -> Result<Outcome, Stop> {
        let header = reader.header();
        let mut transactions = self.transactions.take();
        let unneeded = self.discards(&mut transactions, reader, &header);
        self.transactions = transactions;
        let unneeded = unneeded?;
        let horizon = delete_horizon(&header);
        let over = horizon.is_some_and(|horizon| horizon <= self.time.now);
        let discard = unneeded && (!header.is_control() || over);
        let fate = BatchFate {
            discard,
            spent_marker: unneeded && header.is_control(),
            keep_header: ends_group || self.is_last_of_producer(&header),
        };
        let mut selection = Selection::new(&header);
        if fate.discard {
            return Ok(selection.outcome(&[], fate, self.time));
        }
        let payload = self.unfold(reader, &header).await?;
        let (map, latest) = (&self.map, self.latest);
        let stays = |offset: Offset, record: &model::batch::record::Record<'_>| {
            if offset > latest || header.is_control() {
                return true;
            }
            let Some(key) = record.key else { return false };
            map.get(key).is_none_or(|last| offset >= last) && (record.value.is_some() || !over)
        };
        while !selection
            .look(&payload, RECORDS_AT_ONCE, stays)
            .map_err(|error| reader.corrupt(error.to_string()))?
        {
            self.pace.spent(0).await;
        }
        Ok(selection.outcome(&payload, fate, self.time))
    }

    /// Of a batch of data: was it aborted? Of a marker: is it not needed any more?
    fn discards(
        &self,
        transactions: &mut Option<Transactions>,
        reader: &SourceReader<D>,
        header: &BatchHeader,
    ) -> Result<bool, Stop> {
        if !header.is_control() && !header.is_transactional() {
            return Ok(false);
        }
        let transactions = transactions.as_mut().ok_or(Stop::Transactional)?;
        if header.is_control() {
            Ok(transactions.is_spent(header, marker_of(reader, header)?))
        } else {
            Ok(transactions.is_aborted(header))
        }
    }

    /// The last batch says where its producer is. If the very last may still be lost, the one before says it then.
    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let state = self.log.state.borrow();
        state.producers.holds_sequence(header, state.ends.durable)
    }

    async fn swap(&mut self, mut rewrite: Rewrite<D>, group: &[Source]) -> Result<(), Stop> {
        let base = group[0].base;
        rewrite.flush().await.map_err(write_stop)?;
        let index = self.transactions.as_mut().map(Transactions::take_index).unwrap_or_default();
        // From the first name to the last nobody else writes to the folder, and a deleted log keeps its own.
        let Some(_turn) = self.log.turn().await else { return Err(Stop::Gone) };
        if !self.log.state.borrow().has(group) {
            return Err(Stop::Gone);
        }
        rewrite.write_side_files(index).await.map_err(write_stop)?;
        let dir = &self.log.dir;
        swap::announce(self.disk, dir, base).await.map_err(Stop::Failed)?;
        self.report.bytes_before += group.iter().map(|source| source.bytes).sum::<u64>();
        self.report.bytes_after += rewrite.bytes();
        self.log.state.borrow_mut().replace(group, rewrite.into_segment());
        let old: Vec<Offset> = group.iter().map(|source| source.base).collect();
        swap::complete(self.disk, dir, &old, base).await.map_err(Stop::Failed)?;
        self.log.replaced(base);
        let delay_ms = self.log.config().file_delete_delay_ms;
        for segment in old {
            self.dropped.add(dir, segment, delay_ms);
        }
        Ok(())
    }

    /// Takes away what the pass has begun to write.
    async fn forget(&self, base: Offset) -> Result<(), Stop> {
        let Some(_turn) = self.log.turn().await else { return Ok(()) };
        swap::forget(self.disk, &self.log.dir, base).await.map_err(Stop::Failed)
    }

    async fn open(&self, source: Source) -> Result<SourceReader<D>, Stop> {
        SourceReader::open(self.disk, self.pages, self.log, source).await
    }

    async fn advance(&mut self, reader: &mut SourceReader<D>) -> Result<bool, Stop> {
        if self.pace.is_stopping() || self.log.deleted.get() || self.log.config().compaction.is_none() {
            return Err(Stop::Gone);
        }
        let more = reader.advance().await;
        if !reader.is_of(self.log) {
            return Err(Stop::Gone);
        }
        let more = more?;
        self.report.bytes_read += reader.batch.len() as u64;
        self.pace.spent(reader.batch.len()).await;
        Ok(more)
    }

    /// The records of the batch at hand, not compressed.
    async fn unfold<'b>(
        &self,
        reader: &'b SourceReader<D>,
        header: &BatchHeader,
    ) -> Result<Cow<'b, [u8]>, Stop> {
        let compression = header.compression().map_err(|error| reader.corrupt(error.to_string()))?;
        // Compression left an empty batch with nothing behind its header.
        if compression == Compression::None || header.record_count() == 0 {
            return Ok(Cow::Borrowed(reader.payload()));
        }
        let unfolded = if reader.batch.len() <= ASIDE_BYTES {
            decompress(compression, reader.payload(), UNFOLDED_BYTES_MAX).map(Cow::into_owned)
        } else {
            let payload = reader.payload().to_vec();
            let work = move || decompress(compression, &payload, UNFOLDED_BYTES_MAX).map(Cow::into_owned);
            self.pace.aside(work).await
        };
        unfolded.map(Cow::Owned).map_err(|error| reader.corrupt(error.to_string()))
    }

    /// The batch as it will stand in the segment.
    async fn fold(&self, thinned: Thinned) -> Vec<u8> {
        let compression = thinned.compression;
        if compression == Compression::None || thinned.payload.len() <= ASIDE_BYTES {
            return thinned.compressed(|payload| compress(compression, None, payload));
        }
        self.pace.aside(move || thinned.compressed(|payload| compress(compression, None, payload))).await
    }

    fn stop_of(&self, error: RewriteError, segment: Offset) -> Stop {
        match error {
            RewriteError::NoRoom => Stop::Full,
            RewriteError::Io(error) => write_stop(error),
            RewriteError::TooLarge => Stop::Corrupt {
                path: self.log.segment_path(segment, crate::properties::names::SegmentFile::Log),
                position: 0,
                why: "what is kept of it does not fit into one segment".into(),
            },
        }
    }
}

fn write_stop(error: io::Error) -> Stop {
    if is_full(&error) { Stop::Full } else { Stop::Failed(error) }
}

/// What the marker at hand says; `None` for data, for another kind of control batch and for one that was emptied.
fn marker_of<D: Disk>(reader: &SourceReader<D>, header: &BatchHeader) -> Result<Option<EndMarker>, Stop> {
    if !header.is_control() {
        return Ok(None);
    }
    EndMarker::read(header, reader.payload()).map_err(|error| reader.corrupt(error.to_string()))
}

fn facts_of(source: &Source) -> SegmentFacts {
    SegmentFacts {
        base: source.base,
        next_base: source.next_base,
        bytes: source.bytes,
        settled: true,
        first_timestamp: None,
        largest_timestamp: None,
    }
}
