//! The newest bytes of one log in memory: at once the source of its segment writes and the cache of its readers.
//!
//! A page mirrors its part of the segment file: the byte at file position `at + i` lies at `i` of the page, and `at` is
//! a multiple of the block size, so that a page can be written with O_DIRECT as it is.

use std::collections::VecDeque;

use model::Offset;
use rt::pages::{BLOCK, Blocks, PAGE_MAX, Page, PagePool, PageSlice};
use smallvec::SmallVec;

/// The first page of a quiet log; a busy one doubles up to the largest.
const PAGE_BYTES_FIRST: usize = BLOCK;
/// A page that lasted less than this many milliseconds is followed by a larger one, a long-lived one by a smaller.
const BUSY_MS: i64 = 2_000;
const QUIET_MS: i64 = 20_000;

pub(crate) type Slices = SmallVec<[PageSlice; 2]>;

struct TailPage {
    segment: Offset,
    at: u64,
    page: Page,
}

impl TailPage {
    fn end(&self) -> u64 {
        self.at + self.page.filled() as u64
    }
}

#[derive(Default)]
pub(crate) struct Tail {
    pages: VecDeque<TailPage>,
    page_bytes: usize,
    page_taken_at: i64,
}

/// Pages taken before anything of a batch is copied, so that a batch goes in whole or not at all.
pub(crate) struct Room {
    fresh: SmallVec<[Page; 2]>,
}

impl Tail {
    /// Puts back the unfinished last block of a segment after a start: `bytes` begin at `at`.
    pub(crate) fn resume(&mut self, segment: Offset, at: u64, page: Page) {
        assert!(at.is_multiple_of(BLOCK as u64) && self.pages.is_empty());
        self.pages.push_back(TailPage { segment, at, page });
    }

    /// Makes sure that `bytes` more fit at `position` of `segment`. `None`: the pool is at its limit.
    pub(crate) fn make_room(
        &mut self,
        pool: &PagePool,
        segment: Offset,
        position: u64,
        bytes: usize,
        now: i64,
    ) -> Option<Room> {
        let open = self
            .pages
            .back()
            .filter(|p| p.segment == segment && p.end() == position)
            .map_or(0, |p| p.page.room());
        let mut fresh = SmallVec::new();
        let mut missing = bytes.saturating_sub(open);
        if missing > 0 {
            self.adapt(now);
        }
        while missing > 0 {
            let page = take_up_to(pool, missing.max(self.page_bytes))?;
            missing = missing.saturating_sub(page.capacity());
            fresh.push(page);
        }
        Some(Room { fresh })
    }

    fn adapt(&mut self, now: i64) {
        let lasted = now.saturating_sub(self.page_taken_at);
        self.page_taken_at = now;
        self.page_bytes = match self.page_bytes {
            0 => PAGE_BYTES_FIRST,
            bytes if lasted < BUSY_MS => (bytes * 2).min(PAGE_MAX),
            bytes if lasted > QUIET_MS => (bytes / 2).max(PAGE_BYTES_FIRST),
            bytes => bytes,
        };
    }

    /// Copies `parts` to `position` of `segment`. The room was made for exactly these bytes.
    pub(crate) fn append(&mut self, segment: Offset, position: u64, parts: [&[u8]; 2], room: Room) -> Slices {
        let mut fresh = room.fresh.into_iter();
        let mut at = position;
        let mut slices = Slices::new();
        for mut part in parts {
            while !part.is_empty() {
                let usable = self
                    .pages
                    .back()
                    .is_some_and(|p| p.segment == segment && p.end() == at && p.page.room() > 0);
                if !usable {
                    assert!(at.is_multiple_of(BLOCK as u64), "a new page begins at a block of its file");
                    let page = fresh.next().expect("room was made for these bytes");
                    self.pages.push_back(TailPage { segment, at, page });
                }
                let last = self.pages.back_mut().expect("pushed above");
                let from = last.page.filled();
                let taken = last.page.append(part);
                push_joined(&mut slices, last.page.slice(from..from + taken));
                part = &part[taken..];
                at += taken as u64;
            }
        }
        slices
    }

    /// The bytes of `segment` from `position`, as far as they lie in one page.
    pub(crate) fn slice_from(&self, segment: Offset, position: u64, bytes_max: usize) -> Option<PageSlice> {
        let page = self.page_of(segment, position)?;
        let from = (position - page.at) as usize;
        let until = page.page.filled().min(from + bytes_max);
        Some(page.page.slice(from..until))
    }

    fn page_of(&self, segment: Offset, position: u64) -> Option<&TailPage> {
        let after = self.pages.partition_point(|p| (p.segment, p.at) <= (segment, position));
        let page = self.pages.get(after.checked_sub(1)?)?;
        (page.segment == segment && position < page.end()).then_some(page)
    }

    /// Blocks that cover `from..until` of `segment`, for a write at `from` rounded down to a block. All of it must be
    /// in memory: what is not yet written to a segment is never evicted.
    pub(crate) fn blocks(&mut self, segment: Offset, from: u64, until: u64) -> Vec<Blocks> {
        let first =
            self.pages.partition_point(|p| p.segment < segment || (p.segment == segment && p.end() <= from));
        let mut blocks = Vec::new();
        let mut at = from;
        for p in self.pages.iter_mut().skip(first) {
            if at >= until {
                break;
            }
            assert!(p.segment == segment && p.at <= at, "unwritten bytes are in memory");
            let stop = until.min(p.end());
            blocks.push(p.page.blocks((at - p.at) as usize..(stop - p.at) as usize));
            at = stop;
        }
        assert!(at >= until, "unwritten bytes are in memory");
        blocks
    }

    /// Lets the oldest page go if the segment file has all of it. The last one stays: it is being appended to.
    pub(crate) fn evict_one(&mut self, written: impl Fn(Offset) -> u64) -> usize {
        match self.pages.front() {
            Some(p) if self.pages.len() > 1 && written(p.segment) >= p.end() => {
                let bytes = p.page.capacity();
                self.pages.pop_front();
                bytes
            }
            _ => 0,
        }
    }

    /// A quiet log needs only its last block to go on appending; the rest of a large page is given back.
    pub(crate) fn shrink_last(&mut self, pool: &PagePool, written: impl Fn(Offset) -> u64) -> usize {
        let Some(last) = self.pages.back_mut().filter(|p| p.page.capacity() > BLOCK) else { return 0 };
        if written(last.segment) < last.end() {
            return 0;
        }
        let filled = last.page.filled();
        let kept_from = filled - filled % BLOCK;
        let Some(mut small) = pool.take(BLOCK) else { return 0 };
        small.append(&last.page.slice(kept_from..filled));
        let bytes = last.page.capacity() - small.capacity();
        last.page = small;
        last.at += kept_from as u64;
        self.page_bytes = PAGE_BYTES_FIRST;
        bytes
    }

    /// Forgets everything of the segments from `first` to `last`, which are closed: other files are in their place.
    pub(crate) fn drop_segments(&mut self, first: Offset, last: Offset) {
        self.pages.retain(|p| p.segment < first || p.segment > last);
    }

    /// The log ends at `at` of this segment now: `block` holds what its last block has of it. Readers may still hold slices
    /// of the page that had it before, so that one is not written to again.
    pub(crate) fn cut(&mut self, segment: Offset, at: u64, block: Option<Page>) {
        let block_at = at - at % BLOCK as u64;
        self.pages.retain(|p| p.segment < segment || p.segment == segment && p.end() <= block_at);
        if let Some(page) = block {
            assert_eq!(block_at + page.filled() as u64, at, "the block ends where the log does");
            self.pages.push_back(TailPage { segment, at: block_at, page });
        } else {
            assert_eq!(block_at, at, "the last block is in memory");
        }
    }

    pub(crate) fn clear(&mut self) {
        self.pages.clear();
    }

    /// Memory of its pages, filled or not.
    pub(crate) fn bytes(&self) -> usize {
        self.pages.iter().map(|page| page.page.capacity()).sum()
    }

    /// Forgets everything that belongs to segments before `base`.
    pub(crate) fn drop_before(&mut self, base: Offset) {
        while self.pages.front().is_some_and(|p| p.segment < base) {
            self.pages.pop_front();
        }
    }
}

/// The largest free page up to a size: a pool near its limit may have its room in pieces only.
fn take_up_to(pool: &PagePool, bytes: usize) -> Option<Page> {
    let mut bytes = bytes.min(PAGE_MAX);
    loop {
        let page = pool.take(bytes);
        if page.is_some() || bytes <= BLOCK {
            return page;
        }
        bytes /= 2;
    }
}

/// The header and the body of a batch lie side by side in a page: one slice, not two.
fn push_joined(slices: &mut Slices, slice: PageSlice) {
    if let Some(joined) = slices.last().and_then(|last| last.joined(&slice)) {
        *slices.last_mut().expect("joined with it") = joined;
    } else {
        slices.push(slice);
    }
}
