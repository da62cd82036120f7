//! Reads a journal after a crash: which runs are there, and whether its end is a tear or a wound.

use std::{io, path::PathBuf};

use rt::pages::PagePool;

use super::{
    frame::{self, BLOCK, Link, Run},
    superblock::{COPIES, FRAMES_FROM, Superblock},
};
use crate::{block_reader::BlockReader, disk::Disk};

/// The longest frame that is believed: bounds what a foreign length can make us read.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "journal {path} is corrupt at byte {position}: frame {sequence} does not parse although a later frame says it \
         was on stable storage; acknowledged records may be in it, so nothing is cut. Restore the file from a backup, or \
         move the data directory away to start empty"
    )]
    Corrupt { path: PathBuf, position: u64, sequence: u64 },
    #[error(
        "journal {path} has no valid superblock: it is not a tailrace journal or both copies are damaged. Restore it \
         from a backup, or move the data directory away to start empty"
    )]
    NoSuperblock { path: PathBuf },
}

/// A run as it was found, with the place of its bytes in the journal file if it is inline.
#[derive(Clone, Copy, Debug)]
pub struct FoundRun {
    pub run: Run,
    pub bytes_at: u64,
    /// The run stands in the last frame: whether its extent arrived was perhaps never known to anyone.
    pub in_last_frame: bool,
}

#[derive(Debug)]
pub struct Contents {
    pub superblock: Superblock,
    /// In the order in which they were appended.
    pub runs: Vec<FoundRun>,
    pub frame_count: u64,
}

/// Follows the chain from the superblock's tail to its end.
pub async fn scan<D: Disk>(disk: &D, file: &D::File, pages: &PagePool, path: PathBuf) -> Result<Contents, ScanError> {
    let mut reader = BlockReader::new(disk.clone(), file.clone(), pages.clone()).await?;
    let first = reader.bytes(0, COPIES * BLOCK).await?;
    let superblock = Superblock::newest(first).ok_or_else(|| ScanError::NoSuperblock { path: path.clone() })?;
    let mut contents = Contents { superblock, runs: Vec::new(), frame_count: 0 };
    let mut expected = superblock.tail;
    let mut position = superblock.tail_position;
    loop {
        let mut found = frame_at(&mut reader, position, expected).await?;
        if found.is_none() && position != FRAMES_FROM {
            found = frame_at(&mut reader, FRAMES_FROM, expected).await?.inspect(|_| position = FRAMES_FROM);
        }
        let Some(frame) = found else { break };
        contents.runs.iter_mut().for_each(|r| r.in_last_frame = false);
        contents.runs.extend(frame.runs.iter().map(|&(run, at)| FoundRun {
            run,
            bytes_at: position + at as u64,
            in_last_frame: true,
        }));
        contents.frame_count += 1;
        position += u64::from(frame.header.frame_bytes.get());
        expected = Link {
            sequence: expected.sequence + 1,
            previous_crc: frame.header.crc.get(),
            salt: expected.salt,
        };
    }
    match witness(&mut reader, expected).await? {
        false => Ok(contents),
        true => Err(ScanError::Corrupt { path, position, sequence: expected.sequence }),
    }
}

async fn frame_at<D: Disk>(
    reader: &mut BlockReader<D>,
    position: u64,
    expected: Link,
) -> io::Result<Option<frame::Frame>> {
    let Some(header) = frame::plausible_header(reader.bytes(position, BLOCK).await?, expected.salt) else {
        return Ok(None);
    };
    let bytes = header.frame_bytes.get() as usize;
    let here = header.sequence.get() == expected.sequence && header.previous_crc.get() == expected.previous_crc;
    if !here || bytes > FRAME_BYTES_MAX {
        return Ok(None);
    }
    Ok(frame::parse(reader.bytes(position, bytes).await?, expected.salt))
}

/// Is there a whole later frame that vouches for the one that is missing?
async fn witness<D: Disk>(reader: &mut BlockReader<D>, missing: Link) -> io::Result<bool> {
    let mut position = FRAMES_FROM;
    while position < reader.file_bytes() {
        let header = frame::plausible_header(reader.bytes(position, BLOCK).await?, missing.salt);
        if let Some(header) = header
            && header.sequence.get() > missing.sequence
            && header.durable_sequence.get() >= missing.sequence
            && (header.frame_bytes.get() as usize) <= FRAME_BYTES_MAX
            && frame::parse(reader.bytes(position, header.frame_bytes.get() as usize).await?, missing.salt).is_some()
        {
            return Ok(true);
        }
        position += BLOCK as u64;
    }
    Ok(false)
}
