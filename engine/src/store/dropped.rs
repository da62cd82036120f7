//! Files of segments that were dropped: they wait for `file.delete.delay.ms` under names that end in `.deleted`, and go
//! one after another where nobody waits for them. What a crash leaves, the next start finds by those names.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
};

use model::{Offset, Timestamp};
use rt::notify::{Notify, Wait};

use super::Store;
use crate::{disk::Disk, log::expiry::deleted_path, properties::names::SegmentFile};

/// One entry a segment that was there once, so the disk bounds how many there are.
#[derive(Default)]
pub(super) struct Dropped {
    /// With the delay that begins when the pump sees them.
    fresh: RefCell<VecDeque<(i64, Files)>>,
    /// By the time at which they may go.
    waiting: RefCell<BTreeMap<(Timestamp, u64), Files>>,
    serial: Cell<u64>,
    changed: Notify,
}

struct Files {
    dir: PathBuf,
    base: Offset,
}

impl Dropped {
    pub(super) fn add(&self, dir: &Path, base: Offset, delay_ms: i64) {
        self.fresh.borrow_mut().push_back((delay_ms, Files { dir: dir.to_owned(), base }));
        self.changed.wake_all();
    }

    pub(super) fn look_again(&self) {
        self.changed.wake_all();
    }

    fn admit(&self, now: Timestamp) {
        for (delay_ms, files) in self.fresh.borrow_mut().drain(..) {
            self.serial.set(self.serial.get() + 1);
            let due = Timestamp(now.0.saturating_add(delay_ms));
            self.waiting.borrow_mut().insert((due, self.serial.get()), files);
        }
    }

    fn take_due(&self, now: Timestamp, all: bool) -> Option<Files> {
        self.admit(now);
        let mut waiting = self.waiting.borrow_mut();
        let first = waiting.first_entry()?;
        (all || first.key().0 <= now).then(|| first.remove())
    }
}

impl<D: Disk> Store<D> {
    /// Ends when there is reason for `remove_dropped` before the time that it answered.
    pub fn files_dropped(&self) -> Wait {
        self.dropped.changed.wait()
    }

    /// Removes the files whose delay is over at `now`, one after another, and answers when the next may go. On a full disk
    /// none waits. One pump a shard.
    pub async fn remove_dropped(&self, now: Timestamp) -> Option<Timestamp> {
        while let Some(files) = self.dropped.take_due(now, self.disk_full.get()) {
            for file in SegmentFile::ALL {
                let path = deleted_path(&files.dir, files.base, file);
                match self.disk.remove_aside(&path).await {
                    // Not every segment has all of them, and the folder may have gone with its topic.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        tracing::error!(path = %path.display(), %error, "a dropped file could not be removed; the next start tries again");
                    }
                    Ok(()) => {}
                }
            }
            if self.disk_full.get() {
                self.want_maintenance();
            }
        }
        self.dropped.waiting.borrow().first_key_value().map(|((due, _), _)| *due)
    }

    /// Segments whose files are still there.
    pub fn dropped_count(&self) -> usize {
        self.dropped.fresh.borrow().len() + self.dropped.waiting.borrow().len()
    }
}
