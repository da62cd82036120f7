//! Pages: the memory that record bytes live in, from the socket to the journal, the segment and back to a socket.
//!
//! A shard has one `PagePool`. `Page` is the one appender of a page, `PageSlice` a counted view of bytes already
//! appended, which may cross shards and go home from any thread, and `Blocks` a block-aligned range for O_DIRECT
//! IO. There is no IO here, and no ring: a ring may adopt the pool and is then told of its slabs.
//!
//! ```text
//!   0             filled                    capacity
//!   |#############|...........................|
//!   PageSlice:    Page: appends here, nobody
//!   shared reads  else reads it as &[u8]
//! ```
//! Why this is sound:
//! - `filled` only grows, and only `Page`, which is not `Clone`, writes; it writes behind `filled` only.
//! - A `PageSlice` lies before `filled` of the moment it was made, so no write ever meets a `&[u8]`.
//! - Memory goes back to the pool when the last `Page`, `PageSlice` and `Blocks` is gone.
//! - `Blocks` are never `&[u8]`: the appender may be writing behind `filled` meanwhile. The kernel, or `copy_to`,
//!   copies bytes out through a raw pointer. `Page` and `Blocks` are not `Send`, so that copy and an append are
//!   never at the same time.
//! - Writable `Blocks` come from `whole()`, which demands that nothing is filled, so there are no slices yet. While
//!   one lives the page is lent out and `append`, `set_filled` and `blocks` panic.
//! - Mapped memory always has a value (zero, or what an earlier page left), so a view of it is initialised.
#![allow(unsafe_code)]

mod buddy;
mod pool;
mod slab;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, Range},
    ptr::{self, NonNull},
    slice,
    sync::atomic::Ordering,
};

use buddy::ORDER_COUNT;
use slab::Lease;

pub use pool::PagePool;
pub(crate) use pool::{Slab, SlabWatch};

pub const BLOCK: usize = 4096;
/// The largest page. Sizes are powers of two from `BLOCK` up to here.
pub const PAGE_MAX: usize = 1 << 20;
/// Slabs are mapped and given back in this unit.
pub const SLAB_BYTES: usize = buddy::SLAB_BYTES;

const _: () = assert!(BLOCK == buddy::BLOCK_BYTES);
const _: () = assert!(PAGE_MAX == BLOCK << (ORDER_COUNT - 1));

/// The one appender of a page. Its bytes are not necessarily zero.
pub struct Page {
    lease: Lease,
    filled: usize,
    /// Appending and IO stay on the shard: see the head of this file.
    _local: PhantomData<*const ()>,
}

impl Page {
    fn new(lease: Lease) -> Self {
        Self { lease, filled: 0, _local: PhantomData }
    }

    pub fn capacity(&self) -> usize {
        self.lease.capacity()
    }

    pub fn filled(&self) -> usize {
        self.filled
    }

    pub fn room(&self) -> usize {
        self.capacity() - self.filled
    }

    /// Copies as much of `bytes` as fits and returns how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        self.assert_not_lent();
        let count = bytes.len().min(self.room());
        let to = self.lease.at(&(self.filled..self.filled + count));
        // SAFETY:
        // - `to` has `count` bytes of this page behind it, and `bytes` as many to read;
        // - they do not overlap: nobody can hold a `&[u8]` to bytes behind `filled`, and `viewed` is clear.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), count) };
        self.filled += count;
        count
    }

    /// Lends the next `n` bytes to `f`, then counts them as filled. They hold a value, but not a known one. For
    /// work that reads and changes bytes while they are copied in: a checksum, a patched header.
    pub fn append_with<T>(&mut self, n: usize, f: impl FnOnce(&mut [u8]) -> T) -> T {
        assert!(n <= self.room(), "{n} bytes do not fit in the {} left", self.room());
        self.assert_not_lent();
        let start = self.lease.at(&(self.filled..self.filled + n));
        let done = {
            let _guard = Viewed::begin(&self.lease);
            // SAFETY:
            // - `start` has `n` initialised bytes of this page behind it;
            // - nobody else reads or writes them: no slice lies behind `filled`, this is the only appender and is
            //   borrowed, and `Blocks` refuse to touch memory while `viewed` is set.
            let view = unsafe { slice::from_raw_parts_mut(start.as_ptr(), n) };
            f(view)
        };
        self.filled += n;
        done
    }

    /// Appends all parts, or none of them when they do not fit together.
    pub fn append_parts(&mut self, parts: &[&[u8]]) -> bool {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        if total > self.room() {
            return false;
        }
        for part in parts {
            self.append(part);
        }
        true
    }

    /// A counted view of bytes already filled. Panics beyond `filled`.
    pub fn slice(&self, range: Range<usize>) -> PageSlice {
        assert!(range.start <= range.end && range.end <= self.filled, "{range:?} of {} filled", self.filled);
        PageSlice::new(self.lease.clone(), range)
    }

    /// `range` widened to whole blocks, for a write to disk. Bytes between `filled` and the end are zeroed first,
    /// so that no old contents reach the disk.
    pub fn blocks(&mut self, range: Range<usize>) -> Blocks {
        assert!(range.start < range.end && range.end <= self.capacity(), "{range:?} of {}", self.capacity());
        self.assert_not_lent();
        let range = range.start / BLOCK * BLOCK..range.end.next_multiple_of(BLOCK);
        let behind = self.filled.max(range.start)..range.end;
        if behind.start < behind.end {
            let start = self.lease.at(&behind);
            // SAFETY: the range lies in this page and behind `filled`, where only this appender writes.
            unsafe { ptr::write_bytes(start.as_ptr(), 0, behind.len()) };
        }
        Blocks::new(self.lease.clone(), range, false)
    }

    /// The whole page, to be read into. Nothing may be filled yet. Until the last such `Blocks` is dropped (the
    /// ring drops its own with the completion) the page cannot be appended to.
    pub fn whole(&mut self) -> Blocks {
        assert_eq!(self.filled, 0, "a page is read into before anything is appended");
        self.assert_not_viewed();
        Blocks::new(self.lease.clone(), 0..self.capacity(), true)
    }

    /// After a read into `whole()`: the first `filled` bytes now count, and may be sliced.
    pub fn set_filled(&mut self, filled: usize) {
        assert!(self.filled <= filled && filled <= self.capacity());
        self.assert_not_lent();
        self.filled = filled;
    }

    fn assert_not_lent(&self) {
        assert_eq!(self.lease.head().lent.load(Ordering::Relaxed), 0, "the page is lent out to be read into");
        self.assert_not_viewed();
    }

    fn assert_not_viewed(&self) {
        assert!(!self.lease.head().viewed.load(Ordering::Relaxed), "the page is being appended to");
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page({} of {} filled)", self.filled, self.capacity())
    }
}

/// Set while a closure of `append_with` runs, also when it panics.
struct Viewed<'a>(&'a Lease);

impl<'a> Viewed<'a> {
    fn begin(lease: &'a Lease) -> Self {
        lease.head().viewed.store(true, Ordering::Relaxed);
        Self(lease)
    }
}

impl Drop for Viewed<'_> {
    fn drop(&mut self) {
        self.0.head().viewed.store(false, Ordering::Relaxed);
    }
}

/// Bytes of a page that will not change any more. Counted; may be read and dropped on any shard.
#[derive(Clone)]
pub struct PageSlice {
    lease: Lease,
    start: u32,
    length: u32,
}

const _: () = assert!(PAGE_MAX <= u32::MAX as usize);

impl PageSlice {
    fn new(lease: Lease, range: Range<usize>) -> Self {
        Self { lease, start: range.start as u32, length: range.len() as u32 }
    }

    /// A part of this slice, counted on its own.
    pub fn slice(&self, range: Range<usize>) -> PageSlice {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        let start = self.start as usize;
        PageSlice::new(self.lease.clone(), start + range.start..start + range.end)
    }

    /// Both slices as one, if `next` begins where this one ends in the same page.
    pub fn joined(&self, next: &PageSlice) -> Option<PageSlice> {
        let neighbours =
            self.lease.at(&(0..0)) == next.lease.at(&(0..0)) && self.start + self.length == next.start;
        neighbours.then(|| Self {
            lease: self.lease.clone(),
            start: self.start,
            length: self.length + next.length,
        })
    }

    pub fn len(&self) -> usize {
        self.length as usize
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Deref for PageSlice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let start = self.start as usize;
        let at = self.lease.at(&(start..start + self.len()));
        // SAFETY:
        // - the lease keeps the page mapped and out of the pool for as long as `self`;
        // - the range was filled when the slice was made, so it has a value and nobody writes it any more.
        unsafe { slice::from_raw_parts(at.as_ptr(), self.len()) }
    }
}

impl AsRef<[u8]> for PageSlice {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for PageSlice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageSlice({} bytes at {})", self.length, self.start)
    }
}

/// Whole blocks of a page for O_DIRECT IO. Keeps the page, not its contents: the appender may go on behind
/// `filled`.
pub struct Blocks {
    lease: Lease,
    start: u32,
    length: u32,
    writable: bool,
    _local: PhantomData<*const ()>,
}

impl Blocks {
    fn new(lease: Lease, range: Range<usize>, writable: bool) -> Self {
        assert!(range.start.is_multiple_of(BLOCK) && range.len().is_multiple_of(BLOCK));
        if writable {
            lease.head().lent.fetch_add(1, Ordering::Relaxed);
        }
        let (start, length) = (range.start as u32, range.len() as u32);
        Self { lease, start, length, writable, _local: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.length as usize
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// May be read into: it came from `Page::whole`.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whole blocks of these blocks. Panics when `range` is not aligned.
    pub fn slice(&self, range: Range<usize>) -> Blocks {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        let start = self.start as usize;
        Blocks::new(self.lease.clone(), start + range.start..start + range.end, self.writable)
    }

    /// Copies the bytes out: what a disk in memory does on a write. `out` must be as long as these blocks.
    pub fn copy_to(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.len());
        let from = self.address();
        // SAFETY:
        // - `from` has `len()` initialised bytes behind it, kept by the lease;
        // - nobody writes them now: the appender and these blocks are on this thread, no closure has a view
        //   (asserted in `address`), and `out` is exclusive, so it cannot overlap a page that may be viewed.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), out.as_mut_ptr(), out.len()) };
    }

    /// Copies bytes in from the start: what a disk in memory does on a read. Only into a page's `whole()`.
    pub fn fill_from(&self, bytes: &[u8]) {
        assert!(self.writable, "these blocks are not for reading into");
        assert!(bytes.len() <= self.len());
        let to = self.address();
        // SAFETY:
        // - `to` has at least `bytes.len()` bytes behind it, kept by the lease;
        // - no `&[u8]` into this page exists: writable blocks are made while nothing is filled, and `filled` does
        //   not move until they are gone.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
    }

    /// For the kernel. Nothing may be read or written through it in this process.
    pub(crate) fn address(&self) -> NonNull<u8> {
        assert!(!self.lease.head().viewed.load(Ordering::Relaxed), "the page is being appended to");
        let start = self.start as usize;
        self.lease.at(&(start..start + self.len()))
    }

    pub(crate) fn slab_index(&self) -> usize {
        self.lease.slab_index()
    }

    /// Whether the slab behind these blocks is the one that lies at `base`.
    pub(crate) fn is_in_slab(&self, base: NonNull<u8>) -> bool {
        self.lease.mapping().address() == base
    }
}

impl Clone for Blocks {
    fn clone(&self) -> Self {
        self.slice(0..self.len())
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        if self.writable {
            self.lease.head().lent.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks({} bytes at {})", self.length, self.start)
    }
}
