//! The checkpoint: everything the journal holds is carried to the segments and synced, so that its space is free again.
//!
//! ```text
//!   S = last frame written
//!   write out every log with unsynced bytes      (covers all of frames <= S)
//!   sync                                         (one call for all of them)
//!   write the recovery points
//!   superblock: the tail is S + 1                (only now may frames <= S be overwritten)
//!   index files of active segments               (what is synced; a start after a crash scans the rest)
//! ```

use std::io;

use model::Offset;

use super::{Store, maintain::WRITES_MAX, recovery_points_path};
use crate::{
    checkpoint::OffsetCheckpoint,
    concurrent::for_each_bounded,
    disk::{Disk, Flush, is_full},
    log::SharedLog,
};

/// Up to here each file is synced by itself; above, one call syncs the file system.
const SINGLE_FLUSHES_MAX: usize = 4;

impl<D: Disk> Store<D> {
    pub(super) async fn checkpoint(&self) {
        let _held = self.checkpoints.take().await;
        self.checkpoint_now().await;
    }

    /// For who keeps others from making one. `false` if the disk is full (or worse): the journal keeps what it has.
    pub(super) async fn checkpoint_now(&self) -> bool {
        let through = self.journal.last_sequence();
        let logs = self.unsynced.take();
        for log in &logs {
            log.state.borrow_mut().unsynced = false;
        }
        if !self.write_all(&logs).await {
            self.put_back(logs);
            return false;
        }
        let few = logs.len() <= SINGLE_FLUSHES_MAX;
        if let Err(error) = self.sync(&logs, few).await {
            self.fail("a checkpoint", &error);
            return false;
        }
        match self.write_recovery_points().await {
            Ok(()) => {}
            // The old ones are still there, and the journal keeps what they need.
            Err(error) if is_full(&error) => {
                self.segment_error("the recovery points", &error);
                self.put_back(logs);
                return false;
            }
            Err(error) => {
                self.fail("the recovery points", &error);
                return false;
            }
        }
        if let Err(error) = self.journal.release_through(through).await {
            self.fail("a checkpoint", &error);
            return false;
        }
        self.counts.checkpoints.add(1);
        self.note_disk_room();
        self.journal_room.wake_all();
        self.write_active_indexes(&logs).await;
        true
    }

    async fn write_active_indexes(&self, logs: &[SharedLog<D::File>]) {
        let results = for_each_bounded(logs.to_vec(), WRITES_MAX, |log| async move {
            let Some(turn) = log.turn().await else { return Ok(()) };
            log.write_active_indexes(&self.disk, &turn).await
        });
        for result in results.await {
            match result {
                // They can be made from the segment: a start scans more, and produce goes on.
                Err(error) if is_full(&error) => {}
                result => drop(self.note_segment_result(result)),
            }
        }
    }

    /// `false` if the disk is full (or worse): what was not written stays where it is.
    async fn write_all(&self, logs: &[SharedLog<D::File>]) -> bool {
        let results = for_each_bounded(logs.to_vec(), WRITES_MAX, |log| async move {
            let Some(turn) = log.turn().await else { return Ok(()) };
            self.write_log(&log, Flush::No, log.goal(), &turn).await?;
            log.finish_segments(&self.disk, false, &turn).await?;
            log.write_side_files(&self.disk, false, &turn).await
        });
        let mut all_written = true;
        for result in results.await {
            // Each is noted, those behind a bad one too.
            all_written &= self.note_segment_result(result);
        }
        all_written
    }

    fn put_back(&self, logs: Vec<SharedLog<D::File>>) {
        for log in logs.into_iter().filter(|log| !log.deleted.get()) {
            if !std::mem::replace(&mut log.state.borrow_mut().unsynced, true) {
                self.unsynced.borrow_mut().push(log.clone());
            }
        }
    }

    /// Final if it fails, on a full disk too: a second flush would say yes to what the first one lost.
    async fn sync(&self, logs: &[SharedLog<D::File>], few: bool) -> io::Result<()> {
        let marks: Vec<_> = logs.iter().map(|log| log.sync_mark()).collect();
        if few && marks.iter().all(|m| m.named && m.files.len() <= SINGLE_FLUSHES_MAX) {
            for file in marks.iter().flat_map(|m| m.files.iter()) {
                self.disk.flush(file).await?;
            }
        } else {
            self.disk.flush_everything(self.journal.file()).await?;
        }
        for (log, mark) in logs.iter().zip(&marks) {
            log.synced(mark);
        }
        Ok(())
    }

    pub(super) async fn write_recovery_points(&self) -> io::Result<()> {
        self.checkpoint_wanted.set(false);
        self.tell_of_gaps().await?;
        let path = recovery_points_path(&self.options.data_dir, self.options.shard);
        let points = self.recovery_points();
        self.disk.replace_small(&path, points.write()).await?;
        for log in self.logs.borrow().values() {
            if let Some(point) = points.get(&log.id.topic.to_string(), log.id.partition) {
                log.state.borrow_mut().point_on_disk = point;
            }
        }
        Ok(())
    }

    fn recovery_points(&self) -> OffsetCheckpoint {
        let mut points = self.lives.checkpoint();
        for log in self.logs.borrow().values() {
            let point = log.state.borrow().recovery_point;
            if point > Offset::ZERO || self.lives.has_spoken_of(log.id) {
                points.set(&log.id.topic.to_string(), log.id.partition, point);
            }
        }
        points
    }

    /// Closes the store: everything committed, in segments of exact length, with their index and side files. Nobody may
    /// append any more. On return the journal holds nothing.
    pub async fn close(&self) -> io::Result<()> {
        self.closing.set(true);
        while !self.queue.borrow().is_empty() {
            self.commit_round().await.map_err(|f| io::Error::other(f.to_string()))?;
        }
        let logs: Vec<_> = self.logs.borrow().values().cloned().collect();
        let results = for_each_bounded(logs.clone(), WRITES_MAX, |log| async move {
            let Some(turn) = log.turn().await else { return Ok(()) };
            self.write_log(&log, Flush::No, log.goal(), &turn).await?;
            log.seal_active();
            log.finish_segments(&self.disk, true, &turn).await?;
            log.write_side_files(&self.disk, true, &turn).await
        });
        results.await.into_iter().collect::<io::Result<()>>()?;
        let _held = self.checkpoints.take().await;
        self.sync(&logs, false).await?;
        self.write_recovery_points().await?;
        self.journal.release_through(self.journal.last_sequence()).await
    }
}
