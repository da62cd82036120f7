//! Housekeeping while nobody waits: destage, space ahead of the writers, exact files for rolled segments, eviction.

use std::io;

use model::Timestamp;

use super::Store;
use crate::{
    concurrent::for_each_bounded,
    disk::{Disk, Flush},
    log::SharedLog,
};

/// A log with this much in memory only is written to its segment.
pub(super) const DESTAGE_BYTES: u64 = 512 << 10;
/// Segment writes in flight at a time.
pub(super) const WRITES_MAX: usize = 16;
/// Journal growth of one call, so that other housekeeping gets its turn.
const GROW_STEPS: usize = 8;
/// Share of the page pool above which pages that are safe in segments are let go.
const EVICT_PERCENT: usize = 75;

impl<D: Disk> Store<D> {
    /// Waits until something asks for `maintain` before the next tick does.
    pub async fn maintenance_wanted(&self) {
        loop {
            let changed = self.maintenance.wait();
            if self.maintenance_due.take() {
                return;
            }
            changed.await;
        }
    }

    /// Also heard by a pump that is at work right now.
    pub(super) fn want_maintenance(&self) {
        self.maintenance_due.set(true);
        self.maintenance.wake_all();
    }

    /// One pump a shard calls this on a tick and when it is wanted. Returns when what was due is done.
    pub async fn maintain(&self, now: Timestamp) {
        if self.failure.borrow().is_some() {
            return;
        }
        self.destage().await;
        if self.checkpoint_is_due(now) {
            self.checkpoint().await;
        } else if self.disk_full.get() && self.unsynced.borrow().is_empty() {
            // Nothing is left that a checkpoint could try with, as after the topic that filled the disk was deleted:
            // the next write tells whether there is room.
            self.note_disk_room();
        }
        if let Err(error) = self.keep_reserve().await {
            return self.fail("a reserve of room", &error);
        }
        for _ in 0..GROW_STEPS {
            match self.journal.grow_towards(self.options.journal_bytes_max).await {
                Ok(true) => self.journal_room.wake_all(),
                Ok(false) => break,
                // Growing is a comfort: a full disk here is no failure, the journal goes on with what it has.
                Err(error) if crate::disk::is_full(&error) => break,
                Err(error) => return self.fail("growing the journal", &error),
            }
        }
        self.evict(self.pages.budget_bytes() / 100 * EVICT_PERCENT);
        if self.pages.in_use_bytes() < self.pages.budget_bytes() / 100 * super::ROOM_PERCENT {
            self.page_room.wake_all();
        }
    }

    fn checkpoint_is_due(&self, now: Timestamp) -> bool {
        let half = self.journal.capacity() / 2;
        let oldest = self.unsynced.borrow().iter().map(|log| log.state.borrow().unsynced_since).min();
        let aged = oldest.is_some_and(|since| now.0.saturating_sub(since.0) >= self.options.checkpoint_ms);
        // A ring can be too full for the next frame long before it is half full: frames do not wrap.
        let wanted = self.journal_wanted.get() && self.journal.live_bytes() > 0;
        let for_compaction = self.checkpoint_wanted.get();
        self.journal.live_bytes() > half
            || wanted
            || for_compaction
            || aged
            || (self.disk_full.get() && oldest.is_some())
    }

    /// Writes the logs with much in memory only, and keeps files of streams longer than their bytes.
    async fn destage(&self) {
        let pressed = !self.has_room_after_eviction();
        let logs: Vec<SharedLog<D::File>> = self
            .unsynced
            .borrow()
            .iter()
            .filter(|log| pressed || log.unwritten_bytes() >= DESTAGE_BYTES || log.wants_space())
            .cloned()
            .collect();
        let written = for_each_bounded(logs, WRITES_MAX, |log| async move {
            let Some(turn) = log.turn().await else { return Ok(()) };
            if pressed || log.unwritten_bytes() >= DESTAGE_BYTES {
                log.write_out(&self.disk, Flush::No, log.goal(), &turn).await?;
            }
            log.prepare(&self.disk, &turn).await?;
            log.finish_segments(&self.disk, false, &turn).await
        });
        for result in written.await {
            self.note_segment_result(result);
        }
    }

    pub(super) fn note_segment_result(&self, result: io::Result<()>) -> bool {
        match result {
            Ok(()) => true,
            Err(error) => {
                self.segment_error("a segment write", &error);
                false
            }
        }
    }

    fn has_room_after_eviction(&self) -> bool {
        let limit = self.pages.budget_bytes() / 100 * EVICT_PERCENT;
        self.pages.in_use_bytes() < limit || self.evict(limit)
    }

    /// Lets pages go whose bytes are in segment files until fewer than `goal` are in use; 0 stands for the mark above which
    /// no work is taken. First what cold readers left, then the oldest pages of each log, at last the large last pages of
    /// quiet ones. `true` if the goal was reached.
    pub(super) fn evict(&self, goal: usize) -> bool {
        let goal = if goal == 0 { self.pages.budget_bytes() / 100 * super::ROOM_PERCENT } else { goal };
        while self.pages.in_use_bytes() >= goal && self.cache.evict_oldest() {}
        for shrink in [false, true] {
            let mut freed = true;
            while freed && self.pages.in_use_bytes() >= goal {
                freed = false;
                for log in self.logs.borrow().values() {
                    freed |= log.evict(&self.pages, shrink) > 0;
                    if self.pages.in_use_bytes() < goal {
                        return true;
                    }
                }
            }
        }
        self.pages.in_use_bytes() < goal
    }
}
