//! A follower's log loses its end, because its leader's went on otherwise, or all it has, because its leader has nothing of
//! that any more. Rare, so it may be slow; a crash at any step leaves a prefix of the log that reaches the cut at least.
//!
//! ```text
//!   no round of commits holds anything of the log
//!   a checkpoint                    no frame of the journal holds anything of it either
//!   its recovery point, lowered     a start does not miss what is about to go
//!   memory                          readers find the new end
//!   epochs, segments, snapshots     what is above the cut, flushed
//! ```
//! Meanwhile nobody may append to the log. None of this may be abandoned half way.

use std::{io, rc::Rc};

use model::Offset;

use super::{Failed, Store};
use crate::{
    disk::{Disk, is_full},
    log::{
        SharedLog,
        cut::{CutOff, Remainder},
        read::ReadError,
        write_out::Turn,
    },
};

/// Why a log was not cut.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    #[error("the log is offline or deleted")]
    Offline,
    /// It may be tried again. A log that was to begin elsewhere may be empty by now.
    #[error("the disk is full")]
    Full,
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Failed(#[from] Failed),
}

impl<D: Disk> Store<D> {
    /// Everything from `to` on goes; a batch that holds `to` goes whole. Answers where the log ends now: at `to` or below,
    /// but not below its start. On return it is durable, and the log may go on there.
    pub async fn truncate(&self, log: &SharedLog<D::File>, to: Offset) -> Result<Offset, TruncateError> {
        self.cut_whole_log(log, async || self.truncate_held(log, to).await).await
    }

    /// Everything goes, and the log begins at `start`.
    pub async fn restart_at(&self, log: &SharedLog<D::File>, start: Offset) -> Result<(), TruncateError> {
        assert!(start >= Offset::ZERO, "no log begins at {start}");
        self.cut_whole_log(log, async || self.restart_held(log, start).await).await
    }

    /// Nothing of a log that was found corrupt is cut on the way.
    async fn cut_whole_log<T>(
        &self,
        log: &SharedLog<D::File>,
        work: impl AsyncFnOnce() -> Result<T, TruncateError>,
    ) -> Result<T, TruncateError> {
        if log.is_offline() {
            return Err(TruncateError::Offline);
        }
        self.cut_log(log, work).await
    }

    /// Keeps the log out of commits while `work` cuts it.
    pub(super) async fn cut_log<T>(
        &self,
        log: &SharedLog<D::File>,
        work: impl AsyncFnOnce() -> Result<T, TruncateError>,
    ) -> Result<T, TruncateError> {
        assert!(!log.is_being_cut.replace(true), "one cut of a log at a time");
        self.leave_commits(log).await;
        let done = if log.deleted.get() {
            Err(TruncateError::Offline)
        } else {
            match self.check_failure() {
                Ok(()) => work().await,
                Err(failed) => Err(failed.into()),
            }
        };
        log.is_being_cut.set(false);
        if !log.state.borrow().pending.is_empty() && !log.deleted.get() {
            self.enqueue(log);
        }
        done
    }

    /// On return no round holds anything of the log, and none will.
    async fn leave_commits(&self, log: &SharedLog<D::File>) {
        self.queue.borrow_mut().retain(|queued| !Rc::ptr_eq(queued, log));
        log.state.borrow_mut().queued = false;
        loop {
            let committed = self.committed.wait();
            if !self.committing.get() {
                return;
            }
            committed.await;
        }
    }

    pub(super) async fn truncate_held(
        &self,
        log: &SharedLog<D::File>,
        to: Offset,
    ) -> Result<Offset, TruncateError> {
        if to >= log.ends().end {
            return self.forget_epochs_from(log, to).await;
        }
        let _checkpoints = self.checkpoints.take().await;
        self.leave_journal().await?;
        let _starts = self.starts.take().await;
        let turn = log.turn().await.ok_or(TruncateError::Offline)?;
        let remainder = log.remainder_below(&self.cache, to.max(log.ends().start), &turn).await;
        let remainder = self.note_corruption(log, remainder)?;
        let end = remainder.place().map_or(log.ends().start, |place| place.end);
        self.cut(log, (remainder, end), &turn).await?;
        Ok(end)
    }

    pub(super) async fn restart_held(
        &self,
        log: &SharedLog<D::File>,
        start: Offset,
    ) -> Result<(), TruncateError> {
        let _checkpoints = self.checkpoints.take().await;
        self.leave_journal().await?;
        let _starts = self.starts.take().await;
        let turn = log.turn().await.ok_or(TruncateError::Offline)?;
        self.cut(log, (Remainder::Nothing, start.min(log.ends().start)), &turn).await?;
        // Nobody sees the new start before it is durable.
        let mut starts = self.log_starts();
        starts.set(&log.id.topic.to_string(), log.id.partition, start);
        self.lives.speak_of(log.id);
        self.write_log_starts(&starts).await.map_err(|error| self.cut_error(&error))?;
        log.begin_at(start, &turn);
        Ok(())
    }

    /// Of a log that keeps all its records: an epoch that began at its end and wrote nothing is another leader's to give.
    async fn forget_epochs_from(
        &self,
        log: &SharedLog<D::File>,
        to: Offset,
    ) -> Result<Offset, TruncateError> {
        let turn = log.turn().await.ok_or(TruncateError::Offline)?;
        let changed = log.state.borrow_mut().epochs.truncate_from_end(to);
        if changed && log.has_dir.get() {
            let replaced = log.replace_epochs_file(&self.disk, &turn).await;
            replaced.map_err(|error| self.cut_error(&error))?;
        }
        log.state.borrow_mut().epochs_changed |= changed;
        Ok(log.ends().end)
    }

    /// Everything that is in the journal now gets to synced segments, and the journal lets go of it.
    async fn leave_journal(&self) -> Result<(), TruncateError> {
        if self.checkpoint_now().await {
            return Ok(());
        }
        self.check_failure()?;
        Err(TruncateError::Full)
    }

    /// The disk and memory, once no journal holds anything of the log. No start looks for anything above `point_max`.
    async fn cut(
        &self,
        log: &SharedLog<D::File>,
        (remainder, point_max): (Remainder, Offset),
        turn: &Turn<'_, D::File>,
    ) -> Result<(), TruncateError> {
        {
            let mut state = log.state.borrow_mut();
            state.recovery_point = state.recovery_point.min(point_max);
        }
        self.lives.speak_of(log.id);
        self.write_recovery_points().await.map_err(|error| self.cut_error(&error))?;
        if remainder.place().is_none() {
            // Without its segments nothing else says where the log begins.
            let written = self.write_log_starts(&self.log_starts()).await;
            written.map_err(|error| self.cut_error(&error))?;
        }
        let cleaned = log.state.borrow().cleaning.until;
        let cut_off = log.cut(remainder, turn);
        if let Err(error) = self.cut_files(log, &cut_off, turn).await {
            self.fail("a cut of a log", &error);
        }
        self.check_failure()?;
        if cleaned != log.state.borrow().cleaning.until {
            match self.write_cleaner_offsets().await {
                // A mark above the end is none.
                Err(error) if is_full(&error) => {}
                written => written.map_err(|error| self.cut_error(&error))?,
            }
        }
        Ok(())
    }

    async fn cut_files(
        &self,
        log: &SharedLog<D::File>,
        cut_off: &CutOff,
        turn: &Turn<'_, D::File>,
    ) -> io::Result<()> {
        log.cut_files(&self.disk, cut_off, turn).await?;
        let delay_ms = log.config().file_delete_delay_ms;
        for &base in &cut_off.segments {
            self.dropped.add(&log.dir, base, delay_ms);
        }
        Ok(())
    }

    fn cut_error(&self, error: &io::Error) -> TruncateError {
        if is_full(error) {
            return TruncateError::Full;
        }
        self.fail("a cut of a log", error);
        match self.check_failure() {
            Err(failed) => failed.into(),
            Ok(()) => TruncateError::Offline,
        }
    }
}
