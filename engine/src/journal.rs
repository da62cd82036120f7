//! One shard's journal: a preallocated, prewritten ring file that makes the appends of all its partitions durable with
//! one write. One frame is in flight at a time, so the frames on disk are always a prefix of what was handed in.
//!
//! It does not know what a partition is beyond the name in a run, nor when space may be reused: the store says so.

use std::{cell::RefCell, io, path::Path};

use rt::pages::{BLOCK, PAGE_MAX, Page, PagePool, PageSlice};
use zerocopy::IntoBytes;

use crate::disk::{Disk, Flush};

pub mod frame;
pub mod scan;
pub mod space;
pub mod superblock;

use frame::{FrameHeader, Link, Run};
use space::{LiveFrame, Space};
use superblock::{FRAMES_FROM, Superblock};

/// Bytes of body above which the store starts another frame. A single larger batch makes a larger frame or goes
/// straight to its segment.
pub const BODY_BYTES_MAX: usize = 8 << 20;
/// What the journal's own page pool must hold: a frame, and a page to prewrite with.
pub const POOL_BYTES: usize = 2 * BODY_BYTES_MAX + 2 * PAGE_MAX;

/// A shard's pages for its journal. A frame takes several slabs and gives them back milliseconds later.
pub fn page_pool() -> PagePool {
    PagePool::that_keeps_slabs(POOL_BYTES)
}

const _: () = assert!(frame::HEADER_BYTES + BODY_BYTES_MAX + BLOCK <= scan::FRAME_BYTES_MAX);

pub struct Journal<D: Disk> {
    disk: D,
    file: D::File,
    /// Its own pool, so that a commit never waits for the cache to let go of something.
    pages: PagePool,
    state: RefCell<State>,
}

struct State {
    space: Space,
    next: Link,
    /// Frames up to here are on stable storage.
    durable_sequence: u64,
    /// A frame was written without a flush: the next durable one must flush the device, not only itself.
    unflushed: bool,
    shard: u32,
    generation: u64,
}

/// What makes one start of a journal different from the others.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub shard: u32,
    /// Never used before.
    pub salt: u64,
    /// A multiple of the block size.
    pub first_bytes: u64,
}

/// A run and the pages that hold its bytes, if it is inline.
pub struct RunBytes {
    pub run: Run,
    pub slices: Vec<PageSlice>,
}

impl<D: Disk> Journal<D> {
    /// Starts a new life of the journal file: whatever it held must have been replayed before. `first_bytes` are
    /// prewritten before the first record can be acknowledged, the rest while the broker runs.
    pub async fn start(
        disk: D,
        pages: PagePool,
        path: &Path,
        Life { shard, salt, first_bytes }: Life,
    ) -> io::Result<Self> {
        let file = disk.open(path, true).await?;
        let have = disk.file_bytes(&file).await?;
        let mut first = vec![0u8; BLOCK * superblock::COPIES];
        if have >= FRAMES_FROM {
            let mut page = pages.take(first.len()).expect("the journal's pool holds a frame");
            let got = disk.read(&file, 0, page.whole().slice(0..first.len())).await?;
            page.set_filled(got);
            first[..got].copy_from_slice(&page.slice(0..got));
        }
        let generation = Superblock::newest(&first).map_or(0, |s| s.generation);
        let journal = Self {
            disk,
            file,
            pages,
            state: RefCell::new(State {
                space: Space::new(have.max(FRAMES_FROM + BLOCK as u64)),
                next: Link { salt, sequence: 1, previous_crc: 0 },
                durable_sequence: 0,
                unflushed: false,
                shard,
                generation,
            }),
        };
        if have < first_bytes {
            journal.prewrite(have - have % BLOCK as u64, first_bytes).await?;
            journal.state.borrow_mut().space.grow_to(first_bytes);
        }
        journal.write_superblock(0).await?;
        Ok(journal)
    }

    pub fn file(&self) -> &D::File {
        &self.file
    }

    pub fn capacity(&self) -> u64 {
        self.state.borrow().space.capacity()
    }

    /// Prewrites the next megabytes behind the present end; answers whether there is still something to do.
    pub async fn grow_towards(&self, bytes: u64) -> io::Result<bool> {
        let from = self.capacity().next_multiple_of(PAGE_MAX as u64);
        if from + PAGE_MAX as u64 > bytes {
            return Ok(false);
        }
        self.prewrite(from, from + PAGE_MAX as u64).await?;
        self.state.borrow_mut().space.grow_to(from + PAGE_MAX as u64);
        Ok(true)
    }

    /// Overwriting blocks that were written once needs no file-system journal: 1.5 to 2.2 times as fast to flush.
    async fn prewrite(&self, from: u64, until: u64) -> io::Result<()> {
        let part = (until - from).min(PAGE_MAX as u64) as usize;
        let mut zeros = self.pages.take(part).expect("the journal's pool holds a frame");
        zeros.append_with(part, |bytes| bytes.fill(0));
        let mut at = from;
        while at < until {
            let bytes = (until - at).min(part as u64) as usize;
            self.disk.write(&self.file, at, vec![zeros.blocks(0..bytes)], Flush::No).await?;
            at += bytes as u64;
        }
        self.disk.flush(&self.file).await
    }

    /// Does a frame with this body fit right now?
    pub fn fits(&self, body_bytes: usize) -> bool {
        self.state.borrow().space.place(frame::frame_bytes(body_bytes) as u64).is_some()
    }

    /// Could a frame with this body ever fit?
    pub fn could_fit(&self, body_bytes: usize) -> bool {
        frame::frame_bytes(body_bytes) as u64 + FRAMES_FROM <= self.capacity()
    }

    /// Memory of its pages: what is being written now, and what is mapped for it.
    pub fn page_bytes(&self) -> (usize, usize) {
        (self.pages.in_use_bytes(), self.pages.mapped_bytes())
    }

    pub fn live_bytes(&self) -> u64 {
        self.state.borrow().space.live_bytes()
    }

    /// The last frame written.
    pub fn last_sequence(&self) -> u64 {
        self.state.borrow().next.sequence - 1
    }

    /// Writes one frame; on return it is on the device, and on stable storage if `durable`. The caller never has two in
    /// flight. After an error the journal must not be used again.
    pub async fn write(&self, runs: &[RunBytes], durable: bool) -> io::Result<()> {
        let body_bytes: usize = runs.iter().map(|r| r.run.body_bytes()).sum();
        let (link, durable_sequence, unflushed, position) = {
            let state = self.state.borrow();
            let position =
                state.space.place(frame::frame_bytes(body_bytes) as u64).expect("the caller asked fits()");
            (state.next, state.durable_sequence, state.unflushed, position)
        };
        let entries: Vec<_> = runs.iter().map(|r| r.run.header()).collect();
        let body = || {
            runs.iter()
                .zip(&entries)
                .flat_map(|(r, e)| std::iter::once(e.as_bytes()).chain(r.slices.iter().map(|s| &s[..])))
        };
        let mut header = frame::header(link, durable_sequence, body_bytes, runs.len());
        let crc = frame::checksum(&header, body());
        header.crc = crc.into();
        let mut pages = self.fill_pages(&header, body());
        let blocks = pages.iter_mut().map(|p| p.blocks(0..p.filled())).collect();
        let flush = if durable && !unflushed { Flush::Dsync } else { Flush::No };
        self.disk.write(&self.file, position, blocks, flush).await?;
        if durable && unflushed {
            self.disk.flush(&self.file).await?;
        }
        let bytes = u64::from(header.frame_bytes.get());
        let mut state = self.state.borrow_mut();
        state.space.push(LiveFrame { link, position, bytes });
        state.next = Link { sequence: link.sequence + 1, previous_crc: crc, ..link };
        state.unflushed = !durable;
        if durable {
            state.durable_sequence = link.sequence;
        }
        Ok(())
    }

    fn fill_pages<'a>(&self, header: &'a FrameHeader, body: impl Iterator<Item = &'a [u8]>) -> Vec<Page> {
        let mut left = header.frame_bytes.get() as usize;
        let mut pages: Vec<Page> = Vec::with_capacity(left.div_ceil(PAGE_MAX));
        for mut part in std::iter::once(header.as_bytes()).chain(body) {
            while !part.is_empty() {
                if pages.last().is_none_or(|p| p.room() == 0) {
                    pages
                        .push(self.pages.take(left.min(PAGE_MAX)).expect("the journal's pool holds a frame"));
                    left = left.saturating_sub(PAGE_MAX);
                }
                let page = pages.last_mut().expect("pushed above");
                let taken = page.append(part);
                part = &part[taken..];
            }
        }
        pages
    }

    /// Everything up to `sequence` is durable elsewhere: its space may be used again once the superblock says so.
    /// In this order, because a commit may overwrite what is released while a crash still reads the old superblock.
    pub async fn release_through(&self, sequence: u64) -> io::Result<()> {
        self.write_superblock(sequence).await?;
        self.state.borrow_mut().space.release_through(sequence);
        Ok(())
    }

    async fn write_superblock(&self, released: u64) -> io::Result<()> {
        let superblock = {
            let mut state = self.state.borrow_mut();
            state.generation += 1;
            let (tail, tail_position) = state
                .space
                .oldest_after(released)
                .map_or((state.next, state.space.head()), |f| (f.link, f.position));
            Superblock { shard: state.shard, generation: state.generation, tail_position, tail }
        };
        let mut page = self.pages.take(BLOCK).expect("the journal's pool holds a frame");
        page.append(&superblock.encode());
        let at = (superblock.copy_index() * BLOCK) as u64;
        self.disk.write(&self.file, at, vec![page.blocks(0..BLOCK)], Flush::Dsync).await
    }
}
