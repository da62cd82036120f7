//! Logs that are not what was written: a bit has flipped below the durable mark, or a file is gone. Such a log takes no more
//! records, and nothing of it is cut until somebody who knows that others have it all says so.
//!
//! ```text
//!   |  segment  |  segment  |##segment##|  segment  |  active|
//!                           ^ damage                            the file of this one is set aside under another name,
//!   |  segment  |  segment  |                                   all behind it goes, and the log may go on here
//! ```
//! The file that is set aside ends in `.damaged`, which no start reads and nobody removes: it may be worth something to a
//! person. A few of them are kept in a folder, and then no more.

use std::{io, path::Path};

use model::{Offset, Timestamp, TopicPartition};

use super::{Store, TruncateError, Unopened};
use crate::{
    compaction::swap::SwapError,
    disk::Disk,
    dropped::deleted_path,
    log::{LogConfig, SharedLog, lifecycle::remove_if_there, open::OpenError, read::ReadError},
    properties::names::{DAMAGED_SUFFIX, FileState, SegmentFile, SegmentFileName, dir_name, is_damaged},
    recovery::RecoveryError,
};

/// Segments of one partition that are kept for a person.
pub(super) const DAMAGED_FILES_MAX: usize = 4;

impl OpenError {
    /// The first segment that must go before the log can be opened: `None` if its data is not the reason.
    pub fn damaged_segment(&self) -> Option<Offset> {
        match self {
            Self::Corrupt { path, .. } | Self::Swap(SwapError::Corrupt { path, .. }) => {
                Some(segment_of(path))
            }
            Self::Read(ReadError::Corrupt { segment, .. }) => Some(*segment),
            _ => None,
        }
    }
}

impl RecoveryError {
    /// As `OpenError::damaged_segment`.
    pub fn damaged_segment(&self) -> Option<Offset> {
        match self {
            Self::Corrupt { path, .. } => Some(segment_of(path)),
            _ => None,
        }
    }
}

/// Of a file that belongs to no segment nobody knows where it would have begun.
fn segment_of(path: &Path) -> Offset {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(SegmentFileName::parse).map_or(Offset::ZERO, |name| name.base_offset)
}

impl<D: Disk> Store<D> {
    /// Corruption below the durable mark takes the log offline: nothing of it is cut, and nothing wrong is served.
    pub(super) fn note_corruption<T>(
        &self,
        log: &SharedLog<D::File>,
        read: Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        if let Err(ReadError::Corrupt { segment, position }) = &read {
            let known = log.damage.get();
            log.damage.set(Some(known.map_or(*segment, |known| known.min(*segment))));
            if known.is_none() {
                tracing::error!(
                    dir = %log.dir.display(), %segment, position,
                    "the segment is corrupt here, so the partition takes no records, and nothing of it is cut; if no other \
                     replica has it, restore the file from a backup, or delete the topic"
                );
                self.damage_found.wake_all();
            }
        }
        read
    }

    /// Open logs that were found corrupt.
    pub fn damaged(&self) -> Vec<TopicPartition> {
        let logs = self.logs.borrow();
        logs.values().filter(|log| log.is_offline()).map(|log| log.id()).collect()
    }

    /// Wakes when there is one more.
    pub fn damage_found(&self) -> &rt::notify::Notify {
        &self.damage_found
    }

    /// What was found corrupt, and everything behind it, goes; the log may go on where it ends then, which is the answer. For a
    /// log that others have: see `truncate` for the rest. The file is set aside.
    pub async fn cut_damage(&self, log: &SharedLog<D::File>) -> Result<Offset, TruncateError> {
        let Some(found) = log.damage() else { return Ok(log.ends().end) };
        let mut damaged = vec![found];
        self.cut_log(log, async || {
            let start = log.ends().start;
            loop {
                let segment = damaged[damaged.len() - 1];
                let cut = match segment > start {
                    true => self.truncate_held(log, segment).await.map(drop),
                    false => self.restart_held(log, start).await,
                };
                match cut {
                    // What would stay is no better.
                    Err(TruncateError::Read(ReadError::Corrupt { segment: lower, .. })) => {
                        damaged.push(if lower < segment { lower } else { start });
                    }
                    Err(error) => return Err(error),
                    Ok(()) => break,
                }
            }
            log.damage.set(None);
            Ok(())
        })
        .await?;
        for segment in damaged {
            // It was for a person alone.
            if let Err(error) = self.keep_dropped(log, segment).await {
                tracing::warn!(dir = %log.dir.display(), %segment, %error, "the damaged segment is not kept");
            }
        }
        Ok(log.ends().end)
    }

    async fn keep_dropped(&self, log: &SharedLog<D::File>, segment: Offset) -> io::Result<()> {
        let dropped = deleted_path(&log.dir, segment, SegmentFile::Log);
        match keep(&self.disk, &log.dir, &dropped, segment).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            kept => kept.map(drop),
        }
    }

    /// A log whose folder cannot be opened, and will not be tried: what is known of it is not to be forgotten for that.
    pub fn leave_unopened(&self, id: TopicPartition, start: Option<Offset>) {
        let known = || Unopened { start, cleaned: self.cleaned.borrow_mut().remove(&id) };
        self.unopened.borrow_mut().entry(id).or_insert_with(known);
    }

    /// Opens a log that could not be opened because of a segment, without that and without what is behind it; if what is before
    /// it is no better, without that too. For a log that others have. The file is set aside.
    pub async fn open_without(
        &self,
        segment: Offset,
        (id, topic): (TopicPartition, &str),
        config: LogConfig,
        now: Timestamp,
    ) -> Result<SharedLog<D::File>, OpenError> {
        let known = self.unopened.borrow().get(&id).copied();
        let start = known.and_then(|known| known.start);
        let dir = self.options.data_dir.join(dir_name(topic, id.partition));
        let mut segment = segment;
        loop {
            if start.is_some_and(|start| segment <= start) {
                segment = Offset::ZERO;
            }
            remove_from(&self.disk, &dir, segment).await?;
            if let Some(cleaned) = known.and_then(|known| known.cleaned) {
                self.cleaned.borrow_mut().insert(id, cleaned);
            }
            match self.open_log(id, topic, config, start, now).await {
                Ok(log) => {
                    // A start after a crash must not miss what went.
                    self.forget_earlier_life_of(&log).await?;
                    return Ok(log);
                }
                Err(error) => match error.damaged_segment() {
                    Some(_) if segment == Offset::ZERO => return Err(error),
                    Some(lower) => segment = if lower < segment { lower } else { Offset::ZERO },
                    None => return Err(error),
                },
            }
        }
    }
}

/// Keeps a segment's file for a person, if there are not too many of them already. `false`: it is where it was.
async fn keep<D: Disk>(disk: &D, dir: &Path, file: &Path, segment: Offset) -> io::Result<bool> {
    let kept = disk.list(dir).await?.iter().filter(|name| is_damaged(name)).count();
    if kept >= DAMAGED_FILES_MAX {
        return Ok(false);
    }
    let name = SegmentFileName::live(segment, SegmentFile::Log);
    disk.rename(file, &dir.join(format!("{name}{DAMAGED_SUFFIX}"))).await?;
    Ok(true)
}

/// Takes the files of a folder away that nobody has open, from a segment on: the last ones first, so that a crash leaves the
/// beginning of a log.
async fn remove_from<D: Disk>(disk: &D, dir: &Path, segment: Offset) -> io::Result<()> {
    let names = match disk.list(dir).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        names => names?,
    };
    let mut files: Vec<SegmentFileName> =
        names.iter().filter_map(|name| SegmentFileName::parse(name)).collect();
    // A snapshot at the segment's base tells of what is before it.
    files.retain(|file| {
        file.base_offset > segment || file.base_offset == segment && file.file != SegmentFile::Snapshot
    });
    files.sort_by_key(|file| std::cmp::Reverse(file.base_offset));
    for file in files {
        let path = dir.join(file.to_string());
        let is_wanted = matches!(file.state, FileState::Live | FileState::Swap);
        let is_the_one = file.file == SegmentFile::Log && file.base_offset == segment && is_wanted;
        if !is_the_one || !keep(disk, dir, &path, segment).await? {
            remove_if_there(disk, &path).await?;
        }
    }
    disk.flush_dir(dir).await
}
