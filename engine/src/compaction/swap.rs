//! How a compacted segment takes the place of others on the disk, in Kafka's steps: a crash at any of them leaves the old
//! segments or the new one.
//!
//! ```text
//!   b.log.cleaned            being written, worthless after a crash
//!   flushed, renamed
//!   b.log.swap               whole, on stable storage: from here on the new one counts
//!   old files -> .deleted    b.log and those of the segments behind it
//!   b.log.swap -> b.log
//! ```
//! What a swap file replaces is told by its offsets, from its name to its last batch: the writer keeps at least the header
//! of the last one. Index files come first in each step and need not be there: they are made anew. Only the `.txnindex` is
//! flushed like the log.

use std::{
    io,
    path::{Path, PathBuf},
};

use model::Offset;
use rt::pages::PagePool;

use crate::{
    block_reader::BlockReader,
    disk::Disk,
    log::{lifecycle::remove_if_there, open::checked_batch},
    properties::names::{FileState, SegmentFile, SegmentFileName},
};

/// What belongs to a segment. Snapshots of producers belong to an offset of the log.
pub(crate) const FILES: [SegmentFile; 4] =
    [SegmentFile::TransactionIndex, SegmentFile::OffsetIndex, SegmentFile::TimeIndex, SegmentFile::Log];

#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "{path} is corrupt at byte {position}: {why}. It holds what was compacted last, and what it replaces may be gone. \
         Nothing is cut; restore the file from a backup, or delete the topic"
    )]
    Corrupt { path: PathBuf, position: u64, why: String },
}

pub(crate) fn path(dir: &Path, base: Offset, file: SegmentFile, state: FileState) -> PathBuf {
    dir.join(SegmentFileName { base_offset: base, file, state }.to_string())
}

/// The files of one segment get another ending, the log last. Nothing of this is durable yet.
pub(crate) async fn rename<D: Disk>(
    disk: &D,
    dir: &Path,
    base: Offset,
    (from, to): (FileState, FileState),
) -> io::Result<()> {
    for file in FILES {
        let renamed = disk.rename(&path(dir, base, file, from), &path(dir, base, file, to)).await;
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::NotFound && file != SegmentFile::Log => continue,
            renamed => renamed?,
        }
        // The log must never be found without what cannot be made from it.
        if file == SegmentFile::TransactionIndex {
            disk.flush_dir(dir).await?;
        }
    }
    Ok(())
}

/// From `.cleaned` to `.swap`. When this returns the new segment counts, whatever happens.
pub(crate) async fn announce<D: Disk>(disk: &D, dir: &Path, base: Offset) -> io::Result<()> {
    rename(disk, dir, base, (FileState::Cleaned, FileState::Swap)).await?;
    disk.flush_dir(dir).await
}

/// Puts the old segments aside and gives the new one its name, which is that of the first of them. Whoever reads an old one
/// has it open; its files are the caller's to remove.
pub(crate) async fn complete<D: Disk>(disk: &D, dir: &Path, old: &[Offset], base: Offset) -> io::Result<()> {
    for &segment in old {
        put_aside(disk, dir, segment).await?;
    }
    disk.flush_dir(dir).await?;
    rename(disk, dir, base, (FileState::Swap, FileState::Live)).await?;
    disk.flush_dir(dir).await
}

/// The files of a segment get the ending that no reader looks for.
async fn put_aside<D: Disk>(disk: &D, dir: &Path, segment: Offset) -> io::Result<()> {
    for file in FILES {
        let (from, to) =
            (path(dir, segment, file, FileState::Live), path(dir, segment, file, FileState::Deleted));
        match disk.rename(&from, &to).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
    }
    Ok(())
}

/// Removes what a pass has begun to write.
pub(crate) async fn forget<D: Disk>(disk: &D, dir: &Path, base: Offset) -> io::Result<()> {
    for file in FILES {
        remove_if_there(disk, &path(dir, base, file, FileState::Cleaned)).await?;
    }
    Ok(())
}

/// At a start: brings to an end what a crash has interrupted. `true` if there was anything; what is in the folder is
/// another list of names then. A second call changes nothing.
pub(crate) async fn finish<D: Disk>(
    disk: &D,
    pages: &PagePool,
    dir: &Path,
    names: &[String],
) -> Result<bool, SwapError> {
    let files: Vec<_> = names.iter().filter_map(|name| SegmentFileName::parse(name)).collect();
    if files.iter().all(|f| f.state == FileState::Live) {
        return Ok(false);
    }
    let swaps: Vec<Offset> = bases_of(&files, FileState::Swap);
    for &base in &swaps {
        let next = next_offset(disk, pages, dir, base).await?;
        let old: Vec<_> = bases_of(&files, FileState::Live)
            .into_iter()
            .filter(|&b| b == base || base < b && b < next)
            .collect();
        complete(disk, dir, &old, base).await?;
    }
    // What was replaced, what nobody finished, and pieces that no log file belongs to.
    for name in disk.list(dir).await? {
        if SegmentFileName::parse(&name).is_some_and(|file| file.state != FileState::Live) {
            remove_if_there(disk, &dir.join(name)).await?;
        }
    }
    disk.flush_dir(dir).await?;
    Ok(true)
}

fn bases_of(files: &[SegmentFileName], state: FileState) -> Vec<Offset> {
    let logs = files.iter().filter(|f| f.file == SegmentFile::Log && f.state == state);
    logs.map(|f| f.base_offset).collect()
}

/// The offset behind the last batch of a swap file, which must be whole.
async fn next_offset<D: Disk>(
    disk: &D,
    pages: &PagePool,
    dir: &Path,
    base: Offset,
) -> Result<Offset, SwapError> {
    let path = path(dir, base, SegmentFile::Log, FileState::Swap);
    let file = disk.open(&path, false).await?;
    let mut reader = BlockReader::new(disk.clone(), file, pages.clone()).await?;
    let (mut position, mut next) = (0, base);
    while position < reader.file_bytes() {
        match checked_batch(&mut reader, position).await? {
            Ok((header, bytes)) if header.base_offset() >= next => {
                next = header.next_offset();
                position += bytes as u64;
            }
            Ok(_) => return Err(SwapError::Corrupt { path, position, why: "offsets go back".into() }),
            Err(why) => return Err(SwapError::Corrupt { path, position, why }),
        }
    }
    Ok(next)
}
