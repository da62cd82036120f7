//! The batches of the segments that a pass cleans, read past the cache that readers share: what a pass reads once would
//! drive out what they read again.

use model::{BatchHeader, BatchView, Offset, batch::HEADER_BYTES};
use rt::pages::PagePool;

use super::pass::Stop;
use crate::{
    block_reader::BlockReader,
    disk::Disk,
    log::{SharedLog, cleaning::Source},
    properties::names::SegmentFile,
};

/// A batch above this is not believed. No client may send one, and it must fit into memory.
const BATCH_BYTES_MAX: usize = 256 << 20;

pub(crate) struct SourceReader<D: Disk> {
    reader: BlockReader<D>,
    source: Source,
    path: std::path::PathBuf,
    at: u64,
    next: Offset,
    /// The batch at hand, whole and checked.
    pub(crate) batch: Vec<u8>,
}

impl<D: Disk> SourceReader<D> {
    /// A file of its own: the log may let go of its own at any time.
    pub(crate) async fn open(
        disk: &D,
        pages: &PagePool,
        log: &SharedLog<D::File>,
        source: Source,
    ) -> Result<Self, Stop> {
        let path = log.segment_path(source.base, SegmentFile::Log);
        let opened = disk.open(&path, false).await;
        // The name may have been that of another file by then, or of none.
        if log.deleted.get() || !log.state.borrow().has(&[source]) {
            return Err(Stop::Gone);
        }
        let file = opened.map_err(Stop::Read)?;
        let reader = BlockReader::new(disk.clone(), file, pages.clone()).await.map_err(Stop::Read)?;
        Ok(Self { reader, source, path, at: 0, next: source.base, batch: Vec::new() })
    }

    /// Is the segment still one of the log's? It is another one after a cut, with other bytes in its file.
    pub(crate) fn is_of(&self, log: &SharedLog<D::File>) -> bool {
        log.state.borrow().has(&[self.source])
    }

    pub(crate) fn header(&self) -> BatchHeader {
        BatchHeader::read(&self.batch).expect("the batch at hand was checked")
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.batch[HEADER_BYTES..]
    }

    /// No batch follows in this segment.
    pub(crate) fn is_at_last(&self) -> bool {
        self.at + self.batch.len() as u64 == self.source.bytes
    }

    /// Steps to the next batch; `false` at the segment's end.
    pub(crate) async fn advance(&mut self) -> Result<bool, Stop> {
        self.at += self.batch.len() as u64;
        self.batch.clear();
        if self.at >= self.source.bytes {
            return Ok(false);
        }
        let head = self.reader.bytes(self.at, HEADER_BYTES).await.map_err(Stop::Read)?;
        let bytes = match BatchHeader::read(head).and_then(|header| header.total_bytes()) {
            Ok(bytes) if bytes <= BATCH_BYTES_MAX && self.at + bytes as u64 <= self.source.bytes => bytes,
            Ok(bytes) => return Err(self.corrupt(format!("a batch of {bytes} bytes cannot be here"))),
            Err(error) => return Err(self.corrupt(error.to_string())),
        };
        let batch = self.reader.bytes(self.at, bytes).await.map_err(Stop::Read)?;
        match BatchView::check(batch) {
            Ok(view) => self.batch.extend_from_slice(view.bytes()),
            Err(error) => return Err(self.corrupt(error.to_string())),
        }
        let header = self.header();
        if header.base_offset() < self.next || header.last_offset() >= self.source.next_base {
            let why = format!("offset {} cannot be here", header.base_offset());
            self.batch.clear();
            return Err(self.corrupt(why));
        }
        self.next = header.next_offset();
        Ok(true)
    }

    pub(crate) fn corrupt(&self, why: String) -> Stop {
        Stop::Corrupt { path: self.path.clone(), position: self.at, why }
    }
}
