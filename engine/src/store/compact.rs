//! Compaction as one shard does it: one log at a time, the one with the largest dirty share first.

use std::{io, path::Path};

use model::{Offset, Timestamp, TopicPartition};

use super::{JOURNAL_DIR, Store};
use crate::{
    block_reader::BlockReader,
    checkpoint::OffsetCheckpoint,
    compaction::{
        Pace, PassReport,
        filter::FilterTime,
        key_hash::HashSeed,
        key_map::{KeyMap, KeyMapSize},
        pass::{Pass, Stop},
        plan::{Cleanable, CompactionConfig, GroupLimits},
    },
    disk::{Disk, is_full},
    log::{SharedLog, open::checked_batch},
    properties::names::SegmentFile,
};

/// What a pass may use.
#[derive(Clone, Copy, Debug)]
pub struct CompactionBudget {
    /// For the key map: this shard's share of `log.cleaner.dedupe.buffer.size`.
    pub key_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`
    pub load_factor: f64,
    /// Random, new for each pass.
    pub seed: HashSeed,
}

/// What a look for something to compact came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compacted {
    /// No log is dirty enough.
    Nothing,
    Cleaned(TopicPartition, PassReport),
    /// A pass began and did not end. Another may, later.
    GivenUp(TopicPartition),
}

struct Due<F> {
    log: SharedLog<F>,
    config: CompactionConfig,
    cleanable: Cleanable,
}

impl<D: Disk> Store<D> {
    /// How far logs were compacted in earlier lives: told before they are opened.
    pub fn know_cleaned(&self, offsets: impl IntoIterator<Item = (TopicPartition, Offset)>) {
        self.cleaned.borrow_mut().extend(offsets);
    }

    /// Looks for the log that needs it most, and compacts that. One at a time: whoever calls it waits for its end.
    pub async fn compact_one<P: Pace>(
        &self,
        now: Timestamp,
        budget: CompactionBudget,
        pace: &P,
    ) -> Compacted {
        if self.failure.borrow().is_some() {
            return Compacted::Nothing;
        }
        let Some(due) = self.dirtiest(now, pace).await else { return Compacted::Nothing };
        let id = due.log.id;
        match self.clean_log(&due, now, budget, pace).await {
            Ok(report) => Compacted::Cleaned(id, report),
            Err(stop) => {
                self.note_stop(&due.log, stop);
                Compacted::GivenUp(id)
            }
        }
    }

    async fn dirtiest<P: Pace>(&self, now: Timestamp, pace: &P) -> Option<Due<D::File>> {
        let logs: Vec<_> = self.logs.borrow().values().cloned().collect();
        let mut dirtiest: Option<Due<D::File>> = None;
        for log in logs {
            let Some(config) = log.config().compaction.filter(|_| self.may_be_cleaned(&log)) else {
                continue;
            };
            pace.spent(0).await;
            if !self.look_at_times(&log, &config).await {
                continue;
            }
            let facts = log.state.borrow().facts();
            let cleanable = facts.cleanable(&config, now);
            if !cleanable.is_due(&config) && facts.once_settled().cleanable(&config, now).is_due(&config) {
                self.want_checkpoint();
            }
            let share = |due: &Due<D::File>| due.cleanable.dirty_share();
            let best = dirtiest.as_ref().map_or(-1.0, share);
            if cleanable.is_due(&config) && cleanable.dirty_share() > best {
                dirtiest = Some(Due { log, config, cleanable });
            }
        }
        dirtiest
    }

    fn may_be_cleaned(&self, log: &SharedLog<D::File>) -> bool {
        !log.deleted.get() && !log.is_offline() && !log.state.borrow().cleaning.set_aside
    }

    /// Closed segments wait only for being on stable storage, and for a recovery point that says so.
    fn want_checkpoint(&self) {
        if !self.checkpoint_wanted.replace(true) {
            self.want_maintenance();
        }
    }

    /// Finds out how old the dirty segments are, if their topic asks. `false`: it cannot be known now.
    async fn look_at_times(&self, log: &SharedLog<D::File>, config: &CompactionConfig) -> bool {
        let facts = log.state.borrow().facts();
        for segment in facts.dirty_segments().filter(|segment| segment.bytes > 0) {
            if config.min_lag_ms > 0 && segment.largest_timestamp.is_none() {
                let newest = log.largest_timestamp(&self.cache, segment.base).await;
                if self.note_corruption(log, newest).is_err() {
                    return false;
                }
            }
            if config.max_lag_ms < i64::MAX && segment.first_timestamp.is_none() {
                let first = self.first_timestamp(log, segment.base).await;
                let mut state = log.state.borrow_mut();
                if let Ok(i) = state.segments.binary_search_by_key(&segment.base, |s| s.base) {
                    state.segments[i].first_timestamp = first;
                }
            }
        }
        true
    }

    async fn first_timestamp(&self, log: &SharedLog<D::File>, segment: Offset) -> Option<Timestamp> {
        let file = self.disk.open(&log.segment_path(segment, SegmentFile::Log), false).await.ok()?;
        let reader = BlockReader::new(self.disk.clone(), file, self.pages.clone()).await.ok()?;
        let first = checked_batch(&mut reader.narrow(), 0).await.ok()?.ok()?;
        Some(first.0.max_timestamp())
    }

    async fn clean_log<P: Pace>(
        &self,
        due: &Due<D::File>,
        now: Timestamp,
        budget: CompactionBudget,
        pace: &P,
    ) -> Result<PassReport, Stop> {
        let (log, first_dirty) = (&due.log, due.cleanable.first_dirty);
        // From now on the log may have holes, and a start must know.
        if log.state.borrow().cleaning.until.is_none() {
            log.state.borrow_mut().cleaning.until = Some(first_dirty);
            self.note_cleaned().await?;
        }
        let mut with_transactions = false;
        loop {
            match self.run_pass(due, now, budget, pace, with_transactions).await {
                Err(Stop::Transactional) if !with_transactions => with_transactions = true,
                Ok((until, report)) => {
                    let end = log.ends().end;
                    log.state.borrow_mut().cleaning.until = Some(until.min(end));
                    self.note_cleaned().await?;
                    return Ok(report);
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    async fn run_pass<P: Pace>(
        &self,
        due: &Due<D::File>,
        now: Timestamp,
        budget: CompactionBudget,
        pace: &P,
        with_transactions: bool,
    ) -> Result<(Offset, PassReport), Stop> {
        let Due { log, config, cleanable } = due;
        let limits = {
            let config = log.config();
            GroupLimits { segment_bytes: config.segment_bytes, index: config.index }
        };
        let sources = log.state.borrow().sources_below(cleanable.first_uncleanable);
        let span = cleanable.first_uncleanable.0.saturating_sub(cleanable.first_dirty.0);
        let size = KeyMapSize {
            bytes_max: budget.key_bytes,
            load_factor: budget.load_factor,
            keys_max: u64::try_from(span).unwrap_or(0),
        };
        let map = KeyMap::new(size, budget.seed);
        let time = FilterTime { now, delete_retention_ms: config.delete_retention_ms };
        let range = (cleanable.first_dirty, sources);
        let mut pass = Pass::new((&self.disk, &self.pages, &self.dropped, pace), log, time, map, range);
        if with_transactions {
            pass.scan_transactions().await?;
        }
        let until = pass.learn_keys().await?;
        pass.clean(until, limits).await?;
        tracing::debug!(dir = %log.dir.display(), from = %cleanable.first_dirty, %until, report = ?pass.report, "compacted");
        Ok((until, pass.report))
    }

    fn note_stop(&self, log: &SharedLog<D::File>, stop: Stop) {
        match stop {
            Stop::Gone => {}
            Stop::Full => tracing::warn!(
                dir = %log.dir.display(),
                "there is no room to compact this partition now; it is tried again"
            ),
            Stop::Read(error) => tracing::warn!(
                dir = %log.dir.display(), %error,
                "this partition cannot be read to be compacted; it is tried again"
            ),
            Stop::Failed(error) => self.fail("compaction", &error),
            Stop::Transactional => unreachable!("a pass with transactions knows them"),
            Stop::Corrupt { path, position, why } => {
                log.state.borrow_mut().cleaning.set_aside = true;
                tracing::error!(
                    path = %path.display(), position, %why,
                    "this partition cannot be compacted and is left as it is until the next start; restore the file from a \
                     backup, or delete the topic"
                );
            }
        }
    }

    async fn note_cleaned(&self) -> Result<(), Stop> {
        let written = self.write_cleaner_offsets().await;
        written.map_err(|error| if is_full(&error) { Stop::Full } else { Stop::Failed(error) })
    }

    /// How far each log is compacted, and which have gaps. On return a start would know what was so at the call.
    pub(super) async fn write_cleaner_offsets(&self) -> io::Result<()> {
        // The file holds the marks of all logs, so the next one must know these.
        let _held = self.cleaner_offsets.take().await;
        let mut offsets = OffsetCheckpoint::default();
        let mut told = Vec::new();
        for log in self.logs.borrow().values() {
            if let Some(mark) = log.state.borrow().cleaning.mark() {
                offsets.set(&log.id.topic.to_string(), log.id.partition, mark);
                told.push((log.clone(), mark));
            }
        }
        for (id, known) in self.unopened.borrow().iter() {
            if let Some(until) = known.cleaned {
                offsets.set(&id.topic.to_string(), id.partition, until);
            }
        }
        let path = cleaner_offsets_path(&self.options.data_dir, self.options.shard);
        self.disk.replace_small(&path, offsets.write()).await?;
        for (log, mark) in told {
            let cleaning = &mut log.state.borrow_mut().cleaning;
            cleaning.until.get_or_insert(mark);
            cleaning.is_told = true;
        }
        Ok(())
    }

    /// Before a recovery point passes a gap: above it a start finds the gap itself.
    pub(super) async fn tell_of_gaps(&self) -> io::Result<()> {
        let untold = || self.logs.borrow().values().any(|log| log.state.borrow().cleaning.must_be_told());
        while untold() {
            self.write_cleaner_offsets().await?;
        }
        Ok(())
    }
}

/// Where a shard keeps how far its logs are compacted (Kafka's checkpoint format, by topic id).
pub fn cleaner_offsets_path(data_dir: &Path, shard: u16) -> std::path::PathBuf {
    data_dir.join(JOURNAL_DIR).join(format!("{shard}.cleaner-offsets"))
}
