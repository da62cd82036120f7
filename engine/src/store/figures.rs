//! What a store has done, and what it holds, for metrics.

use std::io;

use model::figures::{Count, Distribution, HOW_MANY, Histogram, SIZE_BYTES};

use super::Store;
use crate::{
    disk::{Disk, DiskFigures, Flush},
    journal::frame::{Run, RunKind},
    log::{
        SharedLog,
        write_out::{Goal, Turn},
    },
};

pub(super) struct Counts {
    commit_logs: Histogram,
    commit_bytes: Histogram,
    inline_bytes: Count,
    extent_bytes: Count,
    destaged_bytes: Count,
    bypassed_bytes: Count,
    pub(super) checkpoints: Count,
}

impl Default for Counts {
    fn default() -> Self {
        let (inline_bytes, extent_bytes, destaged_bytes, bypassed_bytes, checkpoints) = Default::default();
        Self {
            commit_logs: Histogram::new(HOW_MANY),
            commit_bytes: Histogram::new(SIZE_BYTES),
            inline_bytes,
            extent_bytes,
            destaged_bytes,
            bypassed_bytes,
            checkpoints,
        }
    }
}

impl Counts {
    pub(super) fn committed<'a>(&self, log_count: usize, runs: impl Iterator<Item = &'a Run>) {
        let (mut inline, mut extents) = (0, 0);
        for run in runs {
            let bytes = match run.kind {
                RunKind::Inline => &mut inline,
                RunKind::Extent => &mut extents,
            };
            *bytes += u64::from(run.bytes);
        }
        self.commit_logs.observe(log_count as u64);
        self.commit_bytes.observe(inline + extents);
        self.inline_bytes.add(inline);
        self.extent_bytes.add(extents);
    }
}

/// At one moment.
#[derive(Clone, Debug)]
pub struct StoreFigures {
    /// How many logs one commit carried.
    pub commit_logs: Distribution,
    /// Bytes of records that one commit carried.
    pub commit_bytes: Distribution,
    /// Of those, in the journal's frames.
    pub inline_bytes: u64,
    /// And in segments, where the frame only describes them.
    pub extent_bytes: u64,
    /// Written to segments while nobody waited.
    pub destaged_bytes: u64,
    /// Written to segments as a part of a commit, and durable with it.
    pub bypassed_bytes: u64,
    pub checkpoints: u64,
    pub journal_frames: u64,
    pub journal_live_bytes: u64,
    pub journal_capacity_bytes: u64,
    /// Logs with something that no synced segment holds.
    pub unsynced_logs: usize,
    pub cache_hits: u64,
    pub cache_misses: u64,
    pub cache_read_ahead: u64,
    pub cache_bytes: usize,
    pub page_bytes_in_use: usize,
    pub page_bytes_mapped: usize,
    pub page_bytes_budget: usize,
    pub journal_page_bytes_in_use: usize,
    pub journal_page_bytes_mapped: usize,
    pub failed: bool,
    pub disk_full: bool,
    pub disk: Option<DiskFigures>,
}

impl<D: Disk> Store<D> {
    pub fn figures(&self) -> StoreFigures {
        let counts = &self.counts;
        let (journal_page_bytes_in_use, journal_page_bytes_mapped) = self.journal.page_bytes();
        StoreFigures {
            commit_logs: counts.commit_logs.distribution(),
            commit_bytes: counts.commit_bytes.distribution(),
            inline_bytes: counts.inline_bytes.value(),
            extent_bytes: counts.extent_bytes.value(),
            destaged_bytes: counts.destaged_bytes.value(),
            bypassed_bytes: counts.bypassed_bytes.value(),
            checkpoints: counts.checkpoints.value(),
            journal_frames: self.journal.last_sequence(),
            journal_live_bytes: self.journal.live_bytes(),
            journal_capacity_bytes: self.journal.capacity(),
            unsynced_logs: self.unsynced.borrow().len(),
            cache_hits: self.cache.hits.value(),
            cache_misses: self.cache.misses.value(),
            cache_read_ahead: self.cache.read_ahead.value(),
            cache_bytes: self.cache.bytes(),
            page_bytes_in_use: self.pages.in_use_bytes(),
            page_bytes_mapped: self.pages.mapped_bytes(),
            page_bytes_budget: self.pages.budget_bytes(),
            journal_page_bytes_in_use,
            journal_page_bytes_mapped,
            failed: self.failure.borrow().is_some(),
            disk_full: self.disk_full.get(),
            disk: self.disk.figures(),
        }
    }

    /// From memory to the segment files, counted.
    pub(super) async fn write_log(
        &self,
        log: &SharedLog<D::File>,
        flush: Flush,
        goal: Goal,
        turn: &Turn<'_, D::File>,
    ) -> io::Result<()> {
        // Nobody else writes this log as long as the turn lasts.
        let before = log.written_out.value();
        let written = log.write_out(&self.disk, flush, goal, turn).await;
        let bytes = match flush {
            Flush::No => &self.counts.destaged_bytes,
            Flush::Dsync => &self.counts.bypassed_bytes,
        };
        bytes.add(log.written_out.value() - before);
        written
    }
}
