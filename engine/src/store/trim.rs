//! What leaves a store: records below a new log start, by request or because their time is over, and whole logs.

use std::{io, path::PathBuf};

use model::{Offset, Timestamp, TopicPartition};
use rt::notify::Wait;

use super::{JOURNAL_DIR, Store, log_starts_path};
use crate::{
    checkpoint::OffsetCheckpoint,
    disk::{Disk, is_full},
    log::{SharedLog, lifecycle::remove_if_there, read::ReadError},
    properties::names::{self, DirState},
};

/// Kept so that records can be deleted on a full disk, where that is the way to make room: their new start wants a new
/// file first. It holds the starts of some five thousand logs.
const RESERVE_BYTES: usize = 256 << 10;
/// Segments of a log whose files are renamed in one turn, so that its writers wait for no more.
const RENAMED_IN_ONE_TURN: usize = 8;

impl<D: Disk> Store<D> {
    /// Moves a log's start forward (DeleteRecords). On return the new start would survive a crash, and nobody finds whole
    /// segments below it any more. Nobody sees the new start before it is durable.
    pub async fn delete_records(&self, log: &SharedLog<D::File>, start: Offset) -> io::Result<Offset> {
        self.move_starts(&[(log.clone(), start)]).await?;
        self.drop_below_start(log).await?;
        Ok(log.ends().start)
    }

    /// Lets go of what some logs need not keep any more: each by its own configuration, and up to its high watermark.
    /// Answers the logs that begin later now. An error of one log is told, and does not keep the others.
    pub async fn retain(
        &self,
        logs: &[(SharedLog<D::File>, Offset)],
        now: Timestamp,
    ) -> Vec<SharedLog<D::File>> {
        let mut starts = Vec::new();
        for (log, high) in logs {
            if self.failure.borrow().is_some() {
                return Vec::new();
            }
            if log.is_offline() || log.deleted.get() {
                continue;
            }
            match log.start_by_retention(&self.cache, *high, now).await {
                Ok(start) => starts.extend(start.map(|start| (log.clone(), start))),
                // It was dropped meanwhile.
                Err(ReadError::OutOfRange) => {}
                Err(error) => {
                    tracing::warn!(dir = %log.dir.display(), %error, "whether records have had their time is not known: they stay");
                }
            }
        }
        if let Err(error) = self.move_starts(&starts).await {
            tracing::error!(%error, "the logs' starts could not be written, so records stay beyond their time");
            return Vec::new();
        }
        for (log, _) in &starts {
            self.want_checkpoint_of(log, now);
            if let Err(error) = self.drop_below_start(log).await {
                tracing::error!(dir = %log.dir.display(), %error, "files of dropped segments stay until the next start");
            }
        }
        starts.into_iter().map(|(log, _)| log).collect()
    }

    /// Moves the starts of many logs with one write.
    async fn move_starts(&self, moves: &[(SharedLog<D::File>, Offset)]) -> io::Result<()> {
        let forward = |(log, start): &(SharedLog<D::File>, Offset)| {
            let ends = log.ends();
            let start = (*start).min(ends.end);
            (start > ends.start && !log.deleted.get()).then(|| (log.clone(), start))
        };
        if !moves.iter().any(|one| forward(one).is_some()) {
            return Ok(());
        }
        // Each file holds the starts of all logs, so the next one must know these.
        let _held = self.starts.take().await;
        let moves: Vec<_> = moves.iter().filter_map(forward).collect();
        let mut starts = self.log_starts();
        for (log, start) in &moves {
            starts.set(&log.id.topic.to_string(), log.id.partition, *start);
        }
        self.write_log_starts(&starts).await?;
        for (log, start) in moves {
            log.state.borrow_mut().ends.start = start;
        }
        Ok(())
    }

    /// The epochs have changed, and a segment that began for this left a snapshot behind.
    fn want_checkpoint_of(&self, log: &SharedLog<D::File>, now: Timestamp) {
        let mut state = log.state.borrow_mut();
        if !state.unsynced {
            (state.unsynced, state.unsynced_since) = (true, now);
            self.unsynced.borrow_mut().push(log.clone());
        }
    }

    /// Lets go of whole segments below a log's start; their files wait for their end.
    async fn drop_below_start(&self, log: &SharedLog<D::File>) -> io::Result<()> {
        let Some(turn) = log.turn().await else { return Ok(()) };
        let bases = log.forget_below_start(&turn);
        drop(turn);
        let delay_ms = log.config().file_delete_delay_ms;
        for some in bases.chunks(RENAMED_IN_ONE_TURN) {
            // Whoever deleted the log has taken the files along.
            let Some(turn) = log.turn().await else { return Ok(()) };
            for &base in some {
                log.set_files_aside(&self.disk, base, &turn).await?;
                self.dropped.add(&log.dir, base, delay_ms);
            }
        }
        Ok(())
    }

    /// Ends when there is reason for `remove_dropped` before the time that it answered.
    pub fn files_dropped(&self) -> Wait {
        self.dropped.changed()
    }

    /// Removes the files whose delay is over at `now`, one after another, and answers when the next may go. On a full disk
    /// none waits. One pump a shard.
    pub async fn remove_dropped(&self, now: Timestamp) -> Option<Timestamp> {
        while self.dropped.remove_one(&self.disk, now, self.disk_full.get()).await {
            if self.disk_full.get() {
                self.want_maintenance();
            }
        }
        self.dropped.next_due()
    }

    /// Segments whose files are still there.
    pub fn dropped_count(&self) -> usize {
        self.dropped.count()
    }

    pub(super) async fn write_log_starts(&self, starts: &OffsetCheckpoint) -> io::Result<()> {
        let path = log_starts_path(&self.options.data_dir, self.options.shard);
        match self.disk.replace_small(&path, starts.write()).await {
            Err(error) if is_full(&error) && self.has_reserve.take() => {
                remove_if_there(&self.disk, &self.reserve_path()).await?;
                self.disk.replace_small(&path, starts.write()).await
            }
            done => done,
        }
    }

    fn reserve_path(&self) -> PathBuf {
        self.options.data_dir.join(JOURNAL_DIR).join(format!("{}.reserve", self.options.shard))
    }

    /// Sets room aside for the deletion of records on a full disk, if there is any.
    pub(super) async fn keep_reserve(&self) -> io::Result<()> {
        if self.has_reserve.get() || self.disk_full.get() {
            return Ok(());
        }
        match self.disk.write_small(&self.reserve_path(), vec![0; RESERVE_BYTES]).await {
            Ok(()) => self.has_reserve.set(true),
            // Half of it would only take the room that it should give.
            Err(error) if is_full(&error) => remove_if_there(&self.disk, &self.reserve_path()).await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    pub(super) fn log_starts(&self) -> OffsetCheckpoint {
        let mut starts = self.lives.checkpoint();
        for log in self.logs.borrow().values() {
            let start = log.ends().start;
            if start > Offset::ZERO || self.lives.has_spoken_of(log.id) {
                starts.set(&log.id.topic.to_string(), log.id.partition, start);
            }
        }
        for (id, known) in self.unopened.borrow().iter() {
            if let Some(start) = known.start {
                starts.set(&id.topic.to_string(), id.partition, start);
            }
        }
        starts
    }

    /// Forgets a log, one that could not be opened as well, and sets its folder aside under another name, so that a topic of
    /// the same name can begin at once.
    /// `unique` keeps two such folders of one name apart. The folder is the caller's to remove, in its own time: a
    /// file system that discards freed blocks stalls the device for everybody meanwhile.
    pub async fn delete_log(
        &self,
        id: TopicPartition,
        topic: &str,
        unique: [u8; 16],
    ) -> io::Result<Option<PathBuf>> {
        self.unopened.borrow_mut().remove(&id);
        let log = self.logs.borrow_mut().remove(&id);
        let is_told_of = log.as_ref().is_none_or(|log| {
            let state = log.state.borrow();
            state.point_on_disk.max(state.ends.start) > Offset::ZERO
        });
        if is_told_of {
            self.lives.note_deleted(id);
        }
        let turn = match &log {
            None => None,
            Some(log) => {
                log.deleted.set(true);
                self.unsynced.borrow_mut().retain(|l| !std::rc::Rc::ptr_eq(l, log));
                Some(log.last_turn().await)
            }
        };
        let dir = self.options.data_dir.join(names::dir_name(topic, id.partition));
        let aside = names::dir_name_as(topic, id.partition, DirState::Delete, unique);
        let aside = self.options.data_dir.join(aside);
        match self.disk.rename(&dir, &aside).await {
            // Nothing was ever written to it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            done => done?,
        }
        drop(turn);
        self.disk.flush_dir(&self.options.data_dir).await?;
        Ok(Some(aside))
    }
}
