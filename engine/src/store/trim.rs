//! What leaves a store: records below a new log start, and whole logs.

use std::{io, path::PathBuf};

use model::{Offset, TopicPartition};

use super::{Store, log_starts_path};
use crate::{
    checkpoint::OffsetCheckpoint,
    disk::Disk,
    log::SharedLog,
    properties::names::{self, DirState},
};

impl<D: Disk> Store<D> {
    /// Moves a log's start forward (DeleteRecords). On return the new start would survive a crash; whole segments below
    /// it are gone.
    pub async fn delete_records(&self, log: &SharedLog<D::File>, start: Offset) -> io::Result<Offset> {
        {
            let mut state = log.state.borrow_mut();
            state.ends.start = state.ends.start.max(start.min(state.ends.end));
        }
        let starts = self.log_starts();
        let path = log_starts_path(&self.options.data_dir, self.options.shard);
        self.disk.replace_small(&path, starts.write()).await?;
        if let Some(turn) = log.turn().await {
            log.remove_segments_below_start(&self.disk, &turn).await?;
        }
        Ok(log.ends().start)
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
