//! The new segment of a pass while it is being written: aligned blocks with O_DIRECT, beside the log and unknown to it.

use std::io;

use model::{BatchHeader, Offset, Timestamp};
use rt::pages::{BLOCK, PAGE_MAX, Page, PagePool};

use super::swap;
use crate::{
    disk::{Disk, Flush},
    index::{IndexLimits, RELATIVE_OFFSET_MAX, SegmentIndexes},
    log::segment::Segment,
    properties::names::{FileState, SegmentFile},
};

/// Positions in Kafka's files are signed.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;
/// Written at once.
const WRITE_BYTES: usize = PAGE_MAX;

const _: () = assert!(WRITE_BYTES.is_multiple_of(BLOCK));

pub(crate) struct Rewrite<D: Disk> {
    disk: D,
    pages: PagePool,
    dir: std::path::PathBuf,
    pub(crate) base: Offset,
    file: D::File,
    page: Page,
    /// Bytes in the file, whole pages all of them.
    written: u64,
    indexes: SegmentIndexes,
    limits: IndexLimits,
    first_timestamp: Option<Timestamp>,
}

/// Why a segment cannot be written.
#[derive(Debug)]
pub(crate) enum RewriteError {
    /// No page is free, now.
    NoRoom,
    /// What is kept is larger than a segment file can be.
    TooLarge,
    Io(io::Error),
}

impl From<io::Error> for RewriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<D: Disk> Rewrite<D> {
    /// Makes the file. The caller knows that the folder is the log's.
    pub(crate) async fn begin(
        disk: &D,
        pages: &PagePool,
        dir: &std::path::Path,
        base: Offset,
        limits: IndexLimits,
    ) -> Result<Self, RewriteError> {
        let page = pages.take(WRITE_BYTES).ok_or(RewriteError::NoRoom)?;
        let path = swap::path(dir, base, SegmentFile::Log, FileState::Cleaned);
        let file = disk.open(&path, true).await?;
        // A pass that was given up may have left one behind.
        disk.truncate(&file, 0).await?;
        Ok(Self {
            disk: disk.clone(),
            pages: pages.clone(),
            dir: dir.to_owned(),
            base,
            file,
            page,
            written: 0,
            indexes: SegmentIndexes::new(base, limits),
            limits,
            first_timestamp: None,
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.written + self.page.filled() as u64
    }

    /// Adds one whole batch.
    pub(crate) async fn append(&mut self, batch: &[u8]) -> Result<(), RewriteError> {
        let header = BatchHeader::read(batch).expect("a whole batch");
        let position = self.bytes();
        let fits = position + batch.len() as u64 <= SEGMENT_BYTES_MAX
            && header.last_offset().0 - self.base.0 <= RELATIVE_OFFSET_MAX;
        if !fits {
            return Err(RewriteError::TooLarge);
        }
        self.indexes.append(&header, position as u32, batch.len() as u32);
        self.first_timestamp.get_or_insert(header.max_timestamp());
        let mut rest = batch;
        while !rest.is_empty() {
            rest = &rest[self.page.append(rest)..];
            if self.page.room() == 0 {
                self.write_page().await?;
                self.page = self.pages.take(WRITE_BYTES).ok_or(RewriteError::NoRoom)?;
            }
        }
        Ok(())
    }

    async fn write_page(&mut self) -> io::Result<()> {
        let filled = self.page.filled();
        if filled > 0 {
            let blocks = self.page.blocks(0..filled);
            self.disk.write(&self.file, self.written, vec![blocks], Flush::No).await?;
            self.written += filled as u64;
        }
        Ok(())
    }

    /// Everything is in the file and on stable storage.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.write_page().await?;
        self.disk.truncate(&self.file, self.written).await?;
        self.disk.flush(&self.file).await
    }

    /// The files beside it, under the names of the unfinished. The caller knows that the folder is the log's.
    pub(crate) async fn write_side_files(&mut self, transaction_index: Vec<u8>) -> io::Result<()> {
        self.indexes.seal();
        let path = |file| swap::path(&self.dir, self.base, file, FileState::Cleaned);
        if !transaction_index.is_empty() {
            self.disk.replace_small(&path(SegmentFile::TransactionIndex), transaction_index).await?;
        }
        let offsets = self.indexes.offset.as_bytes().to_vec();
        self.disk.write_small(&path(SegmentFile::OffsetIndex), offsets).await?;
        let times = self.indexes.time.as_bytes().to_vec();
        self.disk.write_small(&path(SegmentFile::TimeIndex), times).await
    }

    /// As the log will hold it. It is to be named yet.
    pub(crate) fn into_segment(self) -> Segment<D::File> {
        let mut segment = Segment::empty(self.base, self.limits, Timestamp::NONE);
        let bytes = self.written;
        (segment.bytes, segment.written, segment.flushed, segment.allocated) = (bytes, bytes, bytes, bytes);
        segment.largest_timestamp = Some(self.indexes.time.max().timestamp);
        segment.first_timestamp = self.first_timestamp;
        segment.file = Some(self.file);
        segment.indexes = Some(self.indexes);
        segment.named = true;
        segment.finished = true;
        segment.replacing = true;
        segment
    }
}
