//! Files of segments that left their log, by retention or because a compacted one took their place: they wait for
//! `file.delete.delay.ms` under names that end in `.deleted`, and go one after another where nobody waits for them. What a
//! crash leaves, the next start finds by those names.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
};

use model::{Offset, Timestamp};
use rt::notify::{Notify, Wait};

use crate::{
    disk::Disk,
    properties::names::{FileState, SegmentFile, SegmentFileName},
};

/// One entry a segment that was there once, so the disk bounds how many there are.
#[derive(Default)]
pub(crate) struct Dropped {
    /// With the delay that begins when the pump sees them.
    fresh: RefCell<VecDeque<(i64, Files)>>,
    /// By the time at which they may go. A segment that is compacted twice within the delay is here twice, and its files,
    /// which have one name, go with the first.
    waiting: RefCell<BTreeMap<(Timestamp, u64), Files>>,
    serial: Cell<u64>,
    changed: Notify,
}

struct Files {
    dir: PathBuf,
    base: Offset,
}

impl Dropped {
    pub(crate) fn add(&self, dir: &Path, base: Offset, delay_ms: i64) {
        self.fresh.borrow_mut().push_back((delay_ms, Files { dir: dir.to_owned(), base }));
        self.changed.wake_all();
    }

    /// Ends when there is reason to remove before the time that is known.
    pub(crate) fn changed(&self) -> Wait {
        self.changed.wait()
    }

    pub(crate) fn look_again(&self) {
        self.changed.wake_all();
    }

    /// Segments whose files are still there.
    pub(crate) fn count(&self) -> usize {
        self.fresh.borrow().len() + self.waiting.borrow().len()
    }

    /// When the next may go.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.borrow().first_key_value().map(|((due, _), _)| *due)
    }

    /// Removes the files of the segment whose delay was over first, or of the next one if none waits any longer. `false`:
    /// there was none.
    pub(crate) async fn remove_one<D: Disk>(&self, disk: &D, now: Timestamp, none_waits: bool) -> bool {
        let Some(files) = self.take_due(now, none_waits) else { return false };
        for file in SegmentFile::ALL {
            let path = deleted_path(&files.dir, files.base, file);
            match disk.remove_aside(&path).await {
                // Not every segment has all of them, and the folder may have gone with its topic.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a dropped file could not be removed; the next start tries again");
                }
                Ok(()) => {}
            }
        }
        true
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

pub(crate) fn deleted_path(dir: &Path, base: Offset, file: SegmentFile) -> PathBuf {
    dir.join(SegmentFileName { base_offset: base, file, state: FileState::Deleted }.to_string())
}
