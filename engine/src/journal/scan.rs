//! Reads a journal after a crash: which runs are there, and whether its end is a tear or a wound.

use std::{io, path::PathBuf, rc::Rc};

use rt::pages::PagePool;

use super::{
    frame::{self, BLOCK, Link, Run, RunKind},
    superblock::{COPIES, FRAMES_FROM, Superblock},
};
use crate::{block_reader::BlockReader, disk::Disk};

/// The longest frame that is believed: bounds what a foreign length can make us read, and how far behind a missing
/// frame the next one can begin.
pub const FRAME_BYTES_MAX: usize = 2 * super::BODY_BYTES_MAX;

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

/// A run as it was found, with its bytes if it is inline. They stay in memory until recovery is done: reading them again
/// log by log would read the journal once for every log.
#[derive(Clone, Debug)]
pub struct FoundRun {
    pub run: Run,
    frame: Rc<[u8]>,
    bytes_at: usize,
    /// Of its frame.
    pub sequence: u64,
    /// The run stands in the last frame: whether its extent arrived was perhaps never known to anyone.
    pub in_last_frame: bool,
}

impl FoundRun {
    pub fn bytes(&self) -> &[u8] {
        match self.run.kind {
            RunKind::Inline => &self.frame[self.bytes_at..self.bytes_at + self.run.bytes as usize],
            RunKind::Extent => &[],
        }
    }
}

#[derive(Debug)]
pub struct Contents {
    pub superblock: Superblock,
    /// In the order in which they were appended.
    pub runs: Vec<FoundRun>,
    pub frame_count: u64,
    /// Up to here the frames vouch for each other. One behind it that is damaged looks like a torn tail.
    pub durable_sequence: u64,
}

/// Follows the chain from the superblock's tail to its end.
pub async fn scan<D: Disk>(
    disk: &D,
    file: &D::File,
    pages: &PagePool,
    path: PathBuf,
) -> Result<Contents, ScanError> {
    let mut reader = BlockReader::new(disk.clone(), file.clone(), pages.clone()).await?;
    let first = reader.bytes(0, COPIES * BLOCK).await?;
    let superblock =
        Superblock::newest(first).ok_or_else(|| ScanError::NoSuperblock { path: path.clone() })?;
    let mut contents = Contents { superblock, runs: Vec::new(), frame_count: 0, durable_sequence: 0 };
    let mut expected = superblock.tail;
    let mut position = superblock.tail_position;
    let mut last_frame_from = 0;
    loop {
        let mut found = frame_at(&mut reader, position, expected).await?;
        if found.is_none() && position != FRAMES_FROM {
            found = frame_at(&mut reader, FRAMES_FROM, expected).await?.inspect(|_| position = FRAMES_FROM);
        }
        let Some((frame, bytes)) = found else { break };
        let bytes: Rc<[u8]> = bytes.into();
        contents.durable_sequence = frame.header.durable_sequence.get();
        let earlier = std::mem::replace(&mut last_frame_from, contents.runs.len());
        contents.runs[earlier..].iter_mut().for_each(|r| r.in_last_frame = false);
        contents.runs.extend(frame.runs.iter().map(|&(run, bytes_at)| FoundRun {
            run,
            frame: bytes.clone(),
            bytes_at,
            sequence: expected.sequence,
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
    for from in [position, FRAMES_FROM] {
        if witness(&mut reader, from, expected).await? {
            return Err(ScanError::Corrupt { path, position, sequence: expected.sequence });
        }
    }
    Ok(contents)
}

async fn frame_at<D: Disk>(
    reader: &mut BlockReader<D>,
    position: u64,
    expected: Link,
) -> io::Result<Option<(frame::Frame, Vec<u8>)>> {
    let Some(header) = frame::plausible_header(reader.bytes(position, BLOCK).await?, expected.salt) else {
        return Ok(None);
    };
    let bytes = header.frame_bytes.get() as usize;
    let here =
        header.sequence.get() == expected.sequence && header.previous_crc.get() == expected.previous_crc;
    if !here || bytes > FRAME_BYTES_MAX {
        return Ok(None);
    }
    let bytes = reader.bytes(position, bytes).await?;
    Ok(frame::parse(bytes, expected.salt).map(|frame| (frame, bytes.to_vec())))
}

/// Is there a whole later frame that vouches for the one that is missing? The next one begins at most a frame behind
/// the missing one, which is here or at the start of the ring.
async fn witness<D: Disk>(reader: &mut BlockReader<D>, from: u64, missing: Link) -> io::Result<bool> {
    let mut position = from;
    let end = reader.file_bytes().min(from + 2 * FRAME_BYTES_MAX as u64);
    while position < end {
        let header = frame::plausible_header(reader.bytes(position, BLOCK).await?, missing.salt);
        if let Some(header) = header
            && header.sequence.get() > missing.sequence
            && header.durable_sequence.get() >= missing.sequence
            && (header.frame_bytes.get() as usize) <= FRAME_BYTES_MAX
            && frame::parse(reader.bytes(position, header.frame_bytes.get() as usize).await?, missing.salt)
                .is_some()
        {
            return Ok(true);
        }
        position += BLOCK as u64;
    }
    Ok(false)
}
