//! What cold readers read, shared: large aligned pieces of segment files, under a budget, the least recently used one
//! goes first. Two consumers at one place wait for one read.
//!
//! A read belongs to nobody: whoever waits for it drives it, so it goes on as long as one of them is polled, and ends
//! with the last of them.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use model::{Offset, figures::Count};
use rt::{
    notify::Notify,
    pages::{BLOCK, PAGE_MAX, Page, PagePool, PageSlice},
};
use rustc_hash::FxHashMap;

use crate::{
    disk::Disk,
    residents::{Limits, Residents},
};

#[cfg(test)]
mod tests;

/// Bytes of a segment read at once.
pub(crate) const CHUNK_BYTES: u64 = PAGE_MAX as u64;
/// Reads ahead that wait for their turn; more are not worth remembering.
const AHEAD_MAX: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    log_serial: u64,
    segment: Offset,
    /// Compaction puts another file into the place of a segment's.
    edition: u64,
    chunk: u64,
}

enum Slot {
    Loading(Rc<Load>),
    Ready {
        slice: PageSlice,
        used: u64,
        /// Read ahead, and nobody has come for it yet.
        ahead: bool,
    },
}

type Reading = Pin<Box<dyn Future<Output = io::Result<PageSlice>>>>;

/// A read under way.
struct Load {
    reading: RefCell<Option<Reading>>,
    /// What was read, for those who did not happen to drive it to its end.
    done: RefCell<Option<PageSlice>>,
    waiting: Arc<Waiting>,
    tickets: Cell<u64>,
    /// As in `Slot::Ready`.
    ahead: Cell<bool>,
}

/// Wakes everybody who waits for one read. A waker must be `Send`, hence the lock, for which nobody ever waits.
#[derive(Default)]
struct Waiting(Mutex<BTreeMap<u64, Waker>>);

impl Waiting {
    fn wakers(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        let wakers: Vec<_> = self.wakers().values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

impl Load {
    fn is_over(&self) -> bool {
        self.reading.borrow().is_none()
    }

    /// What was read, or the error for the one who drove it there; `None` for the others after an error.
    fn poll(&self, ticket: u64, cx: &mut Context<'_>) -> Poll<Option<io::Result<PageSlice>>> {
        let mut reading = self.reading.borrow_mut();
        let Some(read) = reading.as_mut() else {
            return Poll::Ready(self.done.borrow().clone().map(Ok));
        };
        self.waiting.wakers().insert(ticket, cx.waker().clone());
        let everybody = Waker::from(self.waiting.clone());
        let Poll::Ready(read) = read.as_mut().poll(&mut Context::from_waker(&everybody)) else {
            return Poll::Pending;
        };
        *reading = None;
        drop(reading);
        self.waiting.wakers().remove(&ticket);
        *self.done.borrow_mut() = read.as_ref().ok().cloned();
        self.waiting.wake_all();
        Poll::Ready(Some(read))
    }
}

/// One of those who wait for a read. The last one that leaves takes the read with it.
struct Waiter<'a, D: Disk> {
    cache: &'a ChunkCache<D>,
    key: Key,
    load: Rc<Load>,
    ticket: u64,
}

impl<D: Disk> Drop for Waiter<'_, D> {
    fn drop(&mut self) {
        let mut wakers = self.load.waiting.wakers();
        wakers.remove(&self.ticket);
        let is_last = wakers.is_empty();
        drop(wakers);
        if is_last && !self.load.is_over() {
            self.cache.forget(self.key, &self.load);
        }
    }
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
    residents: Residents<D::File>,
    pub(crate) hits: Count,
    pub(crate) misses: Count,
    /// Pieces read before anybody asked.
    pub(crate) read_ahead: Count,
}

/// Which bytes of which file.
pub(crate) struct Place<'a, F> {
    pub(crate) log_serial: u64,
    pub(crate) segment: Offset,
    pub(crate) edition: u64,
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
            residents: Residents::new(Limits::default()),
            hits: Count::default(),
            misses: Count::default(),
            read_ahead: Count::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn with_limits(self, limits: Limits) -> Self {
        Self { residents: Residents::new(limits), ..self }
    }

    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    pub(crate) fn residents(&self) -> &Residents<D::File> {
        &self.residents
    }

    pub(crate) fn pages(&self) -> &PagePool {
        &self.pages
    }

    /// The bytes from `place.at` to the end of its chunk or of the file.
    pub(crate) async fn slice_from(&self, place: Place<'_, D::File>) -> io::Result<PageSlice> {
        let chunk = place.at / CHUNK_BYTES;
        let (log_serial, segment, edition) = (place.log_serial, place.segment, place.edition);
        let key = Key { log_serial, segment, edition, chunk };
        let within = (place.at - chunk * CHUNK_BYTES) as usize;
        assert!(place.at < place.file_bytes, "a place behind the end of its file");
        loop {
            // A reader that arrives at a new chunk is probably on its way to the next. New to readers is one that was
            // read ahead, too: without that every second chunk of a sequential reader would be a miss.
            let (arrived, found) = match self.slots.borrow_mut().get_mut(&key) {
                // A chunk read before the file grew is too short for a reader further on: read again.
                Some(Slot::Ready { slice, used, ahead }) if slice.len() > within => {
                    *used = self.tick();
                    (std::mem::take(ahead), Some(Ok(slice.clone())))
                }
                Some(Slot::Loading(load)) => (load.ahead.take(), Some(Err(load.clone()))),
                _ => (true, None),
            };
            if arrived {
                self.want_next(key, place.file, place.file_bytes);
            }
            let load = match found {
                Some(Ok(slice)) => {
                    self.hits.add(1);
                    return Ok(slice.slice(within..slice.len()));
                }
                Some(Err(load)) => load,
                None => {
                    self.misses.add(1);
                    self.begin(key, place.file, place.file_bytes, false)?
                }
            };
            // Not looked up again: whoever needs memory may have evicted it by then. Without an answer the read failed
            // for another: this one tries itself, and sees the error of its own.
            if let Some(read) = self.wait_for(key, load).await {
                let slice = read?;
                if slice.len() > within {
                    return Ok(slice.slice(within..slice.len()));
                }
            }
        }
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

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
            let changed = self.ahead_wanted.wait();
            let wanted = self.ahead.borrow_mut().pop();
            match wanted {
                None => changed.await,
                Some(Ahead { key, file, file_bytes }) => {
                    if !self.slots.borrow().contains_key(&key)
                        && let Ok(load) = self.begin(key, &file, file_bytes, true)
                    {
                        self.read_ahead.add(1);
                        // A failed read ahead is no news: the reader who needs the bytes will see the error.
                        let _ = self.wait_for(key, load).await;
                    }
                }
            }
        }
    }

    fn begin(&self, key: Key, file: &D::File, file_bytes: u64, ahead: bool) -> io::Result<Rc<Load>> {
        let from = key.chunk * CHUNK_BYTES;
        let bytes = (file_bytes - from).min(CHUNK_BYTES) as usize;
        let page = self.take_page(bytes.next_multiple_of(BLOCK))?;
        let reading: Reading = Box::pin(read(self.disk.clone(), file.clone(), from, bytes, page));
        let load = Rc::new(Load {
            reading: RefCell::new(Some(reading)),
            done: RefCell::default(),
            waiting: Arc::default(),
            tickets: Cell::new(0),
            ahead: Cell::new(ahead),
        });
        if let Some(Slot::Ready { slice, .. }) =
            self.slots.borrow_mut().insert(key, Slot::Loading(load.clone()))
        {
            self.bytes.set(self.bytes.get() - slice.len());
        }
        Ok(load)
    }

    fn take_page(&self, bytes: usize) -> io::Result<Page> {
        loop {
            match self.pages.take(bytes) {
                Some(page) => return Ok(page),
                None if self.evict_oldest() => {}
                None => return Err(io::ErrorKind::OutOfMemory.into()),
            }
        }
    }

    /// Drives a read to its end together with all others who wait for it.
    async fn wait_for(&self, key: Key, load: Rc<Load>) -> Option<io::Result<PageSlice>> {
        let ticket = load.tickets.get();
        load.tickets.set(ticket + 1);
        let waiter = Waiter { cache: self, key, load, ticket };
        let load = &waiter.load;
        let read = poll_fn(|cx| load.poll(ticket, cx)).await;
        // Who comes here first puts it into its place, or nothing after an error.
        if self.forget(key, load)
            && let Some(slice) = &*load.done.borrow()
        {
            self.bytes.set(self.bytes.get() + slice.len());
            let (slice, used, ahead) = (slice.clone(), self.tick(), load.ahead.get());
            self.slots.borrow_mut().insert(key, Slot::Ready { slice, used, ahead });
        }
        self.keep_budget();
        read
    }

    /// Takes a read from its place; `false` if it is not there any more.
    fn forget(&self, key: Key, load: &Rc<Load>) -> bool {
        let mut slots = self.slots.borrow_mut();
        let is_there = matches!(slots.get(&key), Some(Slot::Loading(other)) if Rc::ptr_eq(other, load));
        let gone = is_there.then(|| slots.remove(&key));
        // A read that goes gives a page back and may close a file.
        drop(slots);
        drop(gone);
        is_there
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
                Slot::Ready { used, slice, .. } => Some((*used, *key, slice.len())),
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

async fn read<D: Disk>(
    disk: D,
    file: D::File,
    from: u64,
    bytes: usize,
    mut page: Page,
) -> io::Result<PageSlice> {
    let whole = page.whole().slice(0..bytes.next_multiple_of(BLOCK));
    let got = disk.read(&file, from, whole).await?;
    if got < bytes {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the segment file is shorter than its log"));
    }
    page.set_filled(bytes);
    Ok(page.slice(0..bytes))
}
