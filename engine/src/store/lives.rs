//! The lives of a data directory, as its recovery points and log starts tell them. A log has another shard when a broker
//! restarts with another number of them, so files of earlier lives may speak of it, of shards that are no more as well, and
//! a log that was cut since is shorter than they say. So each file says in which life it was written, the newest that
//! speaks of a log counts, and a log of which earlier ones speak is in it whatever there is to say.

use std::{cell::RefCell, collections::BTreeSet, io, path::Path};

use model::TopicPartition;

use super::Store;
use crate::{
    checkpoint::OffsetCheckpoint,
    disk::{Disk, is_full},
    log::SharedLog,
};

const FILE_BYTES_MAX: usize = 256 << 20;

pub(super) struct Lives {
    life: i64,
    spoken_of: RefCell<BTreeSet<TopicPartition>>,
    /// Deleted in this life, and not here since.
    deleted: RefCell<BTreeSet<TopicPartition>>,
}

impl Lives {
    /// A new life. A file that cannot be read is recovery's to judge, or nobody's after a stop in order.
    pub(super) async fn read<D: Disk>(disk: &D, dir: &Path) -> io::Result<Self> {
        let (mut life, mut spoken_of) = (0, BTreeSet::new());
        for name in disk.list(dir).await? {
            if !name.ends_with(".recovery-points") && !name.ends_with(".log-starts") {
                continue;
            }
            let bytes = disk.read_small(&dir.join(name), FILE_BYTES_MAX).await?;
            let Ok(file) = OffsetCheckpoint::read(&bytes) else { continue };
            life = life.max(file.life());
            spoken_of.extend(file.by_id().into_iter().flatten().map(|(id, _)| id));
        }
        Ok(Self {
            life: life.saturating_add(1),
            spoken_of: RefCell::new(spoken_of),
            deleted: RefCell::default(),
        })
    }

    /// A file of this life, without an entry so far.
    pub(super) fn checkpoint(&self) -> OffsetCheckpoint {
        let mut checkpoint = OffsetCheckpoint::default();
        checkpoint.set_life(self.life);
        checkpoint
    }

    pub(super) fn has_spoken_of(&self, id: TopicPartition) -> bool {
        self.spoken_of.borrow().contains(&id)
    }

    /// What is there to say of a log falls back from now on.
    pub(super) fn speak_of(&self, id: TopicPartition) {
        self.spoken_of.borrow_mut().insert(id);
    }

    pub(super) fn note_deleted(&self, id: TopicPartition) {
        self.speak_of(id);
        self.deleted.borrow_mut().insert(id);
    }

    /// A log of this name begins: was there another one in this life?
    pub(super) fn was_deleted(&self, id: TopicPartition) -> bool {
        self.deleted.borrow_mut().remove(&id)
    }
}

impl<D: Disk> Store<D> {
    /// The log was here before, and was deleted: what is said of it is of the other one, and a start would miss its records.
    /// Not for a log that a start opens: the files hold the words of those that are not open yet.
    pub(super) async fn forget_earlier_life_of(&self, log: &SharedLog<D::File>) -> io::Result<()> {
        let points = {
            let _held = self.checkpoints.take().await;
            self.write_recovery_points().await
        };
        let _held = self.starts.take().await;
        match points.and(self.write_log_starts(&self.log_starts()).await) {
            // Nothing is appended while the disk is full, and the checkpoint that ends that writes the points.
            Err(error) if is_full(&error) => {
                tracing::warn!(dir = %log.dir.display(), "the disk is full: what is known of an earlier log of this name stays");
                Ok(())
            }
            done => done,
        }
    }
}
