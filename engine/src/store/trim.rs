//! What leaves a store: records below a new log start, and whole logs.

use std::{io, path::PathBuf};

use model::{Offset, TopicPartition};

use super::{JOURNAL_DIR, Store, log_starts_path};
use crate::{
    checkpoint::OffsetCheckpoint,
    disk::{Disk, is_full},
    log::{SharedLog, lifecycle::remove_if_there},
    properties::names::{self, DirState},
};

/// Kept so that records can be deleted on a full disk, where that is the way to make room: their new start wants a new
/// file first. It holds the starts of some five thousand logs.
const RESERVE_BYTES: usize = 256 << 10;

/// Releases the file of the log starts when it goes.
struct StartsTurn<'a, D: Disk>(&'a Store<D>);

impl<D: Disk> Drop for StartsTurn<'_, D> {
    fn drop(&mut self) {
        self.0.writing_starts.set(false);
        self.0.starts_written.wake_all();
    }
}

impl<D: Disk> Store<D> {
    /// Moves a log's start forward (DeleteRecords). On return the new start would survive a crash; whole segments below
    /// it are gone. Nobody sees the new start before it is durable.
    pub async fn delete_records(&self, log: &SharedLog<D::File>, start: Offset) -> io::Result<Offset> {
        {
            // Each file holds the starts of all logs, so the next one must know this one's.
            let _turn = self.starts_turn().await;
            let ends = log.ends();
            let start = start.min(ends.end);
            if start > ends.start {
                let mut starts = self.log_starts();
                starts.set(&log.id.topic.to_string(), log.id.partition, start);
                self.write_log_starts(&starts).await?;
                log.state.borrow_mut().ends.start = start;
            }
        }
        if let Some(turn) = log.turn().await {
            log.remove_segments_below_start(&self.disk, &turn).await?;
        }
        Ok(log.ends().start)
    }

    async fn starts_turn(&self) -> StartsTurn<'_, D> {
        loop {
            let written = self.starts_written.wait();
            if !self.writing_starts.replace(true) {
                return StartsTurn(self);
            }
            written.await;
        }
    }

    async fn write_log_starts(&self, starts: &OffsetCheckpoint) -> io::Result<()> {
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

    fn log_starts(&self) -> OffsetCheckpoint {
        let mut starts = OffsetCheckpoint::default();
        for log in self.logs.borrow().values() {
            let start = log.ends().start;
            if start > Offset::ZERO {
                starts.set(&log.id.topic.to_string(), log.id.partition, start);
            }
        }
        starts
    }

    /// Forgets a log and sets its folder aside under another name, so that a topic of the same name can begin at once.
    /// `unique` keeps two such folders of one name apart. The folder is the caller's to remove, in its own time: a
    /// file system that discards freed blocks stalls the device for everybody meanwhile.
    pub async fn delete_log(
        &self,
        id: TopicPartition,
        topic: &str,
        unique: [u8; 16],
    ) -> io::Result<Option<PathBuf>> {
        let Some(log) = self.logs.borrow_mut().remove(&id) else { return Ok(None) };
        log.deleted.set(true);
        self.unsynced.borrow_mut().retain(|l| !std::rc::Rc::ptr_eq(l, &log));
        let turn = log.last_turn().await;
        let aside = names::dir_name_as(topic, id.partition, DirState::Delete, unique);
        let aside = self.options.data_dir.join(aside);
        match self.disk.rename(&log.dir, &aside).await {
            // Nothing was ever written to it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            done => done?,
        }
        drop(turn);
        self.disk.flush_dir(&self.options.data_dir).await?;
        Ok(Some(aside))
    }
}
