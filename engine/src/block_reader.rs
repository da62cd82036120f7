//! Reads a file front to back through a window of aligned blocks: recovery scans with it.

use std::io;

use rt::pages::{BLOCK, PAGE_MAX, PagePool};

use crate::disk::Disk;

/// Bytes read at once when going forward.
const WINDOW_BYTES: usize = PAGE_MAX;

pub(crate) struct BlockReader<D: Disk> {
    disk: D,
    file: D::File,
    pages: PagePool,
    file_bytes: u64,
    window_bytes: usize,
    window_at: u64,
    window: Vec<u8>,
}

impl<D: Disk> BlockReader<D> {
    pub(crate) async fn new(disk: D, file: D::File, pages: PagePool) -> io::Result<Self> {
        let file_bytes = disk.file_bytes(&file).await?;
        Ok(Self {
            disk,
            file,
            pages,
            file_bytes,
            window_bytes: WINDOW_BYTES,
            window_at: 0,
            window: Vec::new(),
        })
    }

    /// Reads no more than it is asked for: for somebody who does not go forward.
    pub(crate) fn narrow(mut self) -> Self {
        self.window_bytes = BLOCK;
        self
    }

    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Up to `bytes` bytes from `at`: fewer only at the end of the file.
    pub(crate) async fn bytes(&mut self, at: u64, bytes: usize) -> io::Result<&[u8]> {
        let end = at.saturating_add(bytes as u64).min(self.file_bytes);
        if at >= end {
            return Ok(&[]);
        }
        if at < self.window_at || end > self.window_at + self.window.len() as u64 {
            self.load(at, (end - at) as usize).await?;
        }
        let from = (at - self.window_at) as usize;
        let until = ((end - self.window_at) as usize).min(self.window.len());
        Ok(&self.window[from.min(until)..until])
    }

    async fn load(&mut self, at: u64, bytes: usize) -> io::Result<()> {
        let from = at - at % BLOCK as u64;
        // Behind the end there is nothing to take memory for.
        let left = usize::try_from(self.file_bytes - from).unwrap_or(usize::MAX);
        let want = ((at - from) as usize + bytes).max(self.window_bytes.min(left)).next_multiple_of(BLOCK);
        self.window.clear();
        self.window_at = from;
        while self.window.len() < want {
            let part = (want - self.window.len()).min(PAGE_MAX);
            let mut page =
                self.pages.take(part).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
            let position = from + self.window.len() as u64;
            let got = self.disk.read(&self.file, position, page.whole().slice(0..part)).await?;
            page.set_filled(got.min(part));
            let slice = page.slice(0..page.filled());
            self.window.extend_from_slice(&slice);
            if got < part {
                break;
            }
        }
        Ok(())
    }
}
