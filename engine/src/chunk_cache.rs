//! What cold readers read, shared: large aligned pieces of segment files, under a budget, the least recently used one
//! goes first. Two consumers at one place wait for one read.

use std::{
    cell::{Cell, RefCell},
    io,
};

use model::Offset;
use rt::{
    notify::Notify,
    pages::{BLOCK, PAGE_MAX, PagePool, PageSlice},
};
use rustc_hash::FxHashMap;

use crate::disk::Disk;

/// Bytes of a segment read at once.
pub(crate) const CHUNK_BYTES: u64 = PAGE_MAX as u64;
/// Reads ahead that wait for their turn; more are not worth remembering.
const AHEAD_MAX: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    log_serial: u64,
    segment: Offset,
    chunk: u64,
}

enum Slot {
    Loading(Notify),
    Ready { slice: PageSlice, used: u64 },
}

/// A piece of a segment file that somebody will probably ask for next.
struct Ahead<F> {
    key: Key,
    file: F,
    file_bytes: u64,
}

pub(crate) struct ChunkCache<D: Disk> {
    disk: D,
    pages: PagePool,
    slots: RefCell<FxHashMap<Key, Slot>>,
    clock: Cell<u64>,
    bytes: Cell<usize>,
    budget_bytes: usize,
    ahead: RefCell<Vec<Ahead<D::File>>>,
    ahead_wanted: Notify,
}

/// Which bytes of which file.
pub(crate) struct Place<'a, F> {
    pub(crate) log_serial: u64,
    pub(crate) segment: Offset,
    pub(crate) file: &'a F,
    /// How much of the file holds log bytes.
    pub(crate) file_bytes: u64,
    pub(crate) at: u64,
}

impl<D: Disk> ChunkCache<D> {
    pub(crate) fn new(disk: D, pages: PagePool, budget_bytes: usize) -> Self {
        Self {
            disk,
            pages,
            slots: RefCell::default(),
            clock: Cell::new(0),
            bytes: Cell::new(0),
            budget_bytes,
            ahead: RefCell::default(),
            ahead_wanted: Notify::new(),
        }
    }

    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    pub(crate) fn pages(&self) -> &PagePool {
        &self.pages
    }

    /// The bytes from `place.at` to the end of its chunk or of the file.
    pub(crate) async fn slice_from(&self, place: Place<'_, D::File>) -> io::Result<PageSlice> {
        let chunk = place.at / CHUNK_BYTES;
        let key = Key { log_serial: place.log_serial, segment: place.segment, chunk };
        let within = (place.at - chunk * CHUNK_BYTES) as usize;
        assert!(place.at < place.file_bytes, "a place behind the end of its file");
        loop {
            let wait = match self.slots.borrow_mut().get_mut(&key) {
                // A chunk read before the file grew is too short for a reader further on: read again.
                Some(Slot::Ready { slice, used }) if slice.len() > within => {
                    *used = self.tick();
                    return Ok(slice.slice(within..slice.len()));
                }
                Some(Slot::Loading(notify)) => Some(notify.clone()),
                _ => None,
            };
            match wait {
                Some(loading) => loading.wait().await,
                None => {
                    self.want_next(key, place.file, place.file_bytes);
                    // Not looked up again: whoever needs memory may have evicted it by then.
                    let slice = self.load(key, place.file, place.file_bytes).await?;
                    return Ok(slice.slice(within..slice.len()));
                }
            }
        }
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    /// A reader that arrives at a new chunk is probably on its way to the next.
    fn want_next(&self, key: Key, file: &D::File, file_bytes: u64) {
        let next = Key { chunk: key.chunk + 1, ..key };
        let mut ahead = self.ahead.borrow_mut();
        if next.chunk * CHUNK_BYTES < file_bytes
            && ahead.len() < AHEAD_MAX
            && !self.slots.borrow().contains_key(&next)
        {
            ahead.push(Ahead { key: next, file: file.clone(), file_bytes });
            self.ahead_wanted.wake_all();
        }
    }

    /// Reads ahead for ever; one pump a shard.
    pub(crate) async fn read_ahead(&self) {
        loop {
            let wanted = self.ahead.borrow_mut().pop();
            match wanted {
                None => self.ahead_wanted.wait().await,
                Some(Ahead { key, file, file_bytes }) => {
                    if !self.slots.borrow().contains_key(&key) {
                        // A failed read ahead is no news: the reader who needs the bytes will see the error.
                        let _ = self.load(key, &file, file_bytes).await;
                    }
                }
            }
        }
    }

    async fn load(&self, key: Key, file: &D::File, file_bytes: u64) -> io::Result<PageSlice> {
        let from = key.chunk * CHUNK_BYTES;
        let bytes = (file_bytes - from).min(CHUNK_BYTES) as usize;
        let loading = Notify::new();
        if let Some(Slot::Ready { slice, .. }) =
            self.slots.borrow_mut().insert(key, Slot::Loading(loading.clone()))
        {
            self.bytes.set(self.bytes.get() - slice.len());
        }
        let read = self.read(file, from, bytes).await;
        let mut slots = self.slots.borrow_mut();
        slots.remove(&key);
        if let Ok(slice) = &read {
            self.bytes.set(self.bytes.get() + slice.len());
            slots.insert(key, Slot::Ready { slice: slice.clone(), used: self.tick() });
        }
        drop(slots);
        loading.wake_all();
        self.keep_budget();
        read
    }

    async fn read(&self, file: &D::File, from: u64, bytes: usize) -> io::Result<PageSlice> {
        let whole = bytes.next_multiple_of(BLOCK);
        let mut page = loop {
            match self.pages.take(whole) {
                Some(page) => break page,
                None if self.evict_oldest() => {}
                None => return Err(io::ErrorKind::OutOfMemory.into()),
            }
        };
        let got = self.disk.read(file, from, page.whole().slice(0..whole)).await?;
        if got < bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the segment file is shorter than its log",
            ));
        }
        page.set_filled(bytes);
        Ok(page.slice(0..bytes))
    }

    fn keep_budget(&self) {
        while self.bytes.get() > self.budget_bytes && self.evict_oldest() {}
    }

    /// Gives back the piece that was not used for the longest time; `false` if there is none.
    pub(crate) fn evict_oldest(&self) -> bool {
        let mut slots = self.slots.borrow_mut();
        let oldest = slots
            .iter()
            .filter_map(|(key, slot)| match slot {
                Slot::Ready { used, slice } => Some((*used, *key, slice.len())),
                Slot::Loading(_) => None,
            })
            .min_by_key(|&(used, ..)| used);
        let Some((_, key, bytes)) = oldest else { return false };
        slots.remove(&key);
        self.bytes.set(self.bytes.get() - bytes);
        true
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }
}
