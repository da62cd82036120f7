//! Reads that their first asker leaves alone, and reading ahead.

use std::path::Path;

use super::*;
use crate::disk::mem::{MemDisk, MemFile};

const CHUNKS: u64 = 6;
/// Polls that are more than enough for anything on this disk.
const POLLS_MAX: usize = 1000;

async fn cache_of_chunks() -> (MemDisk, ChunkCache<MemDisk>, MemFile) {
    let disk = MemDisk::new(5);
    let path = Path::new("/data/segment");
    disk.put(path, (0..CHUNKS * CHUNK_BYTES).map(|i| (i / 4096) as u8).collect());
    let file = disk.open(path, false).await.unwrap();
    let cache = ChunkCache::new(disk.clone(), PagePool::new(64 << 20), 32 << 20);
    (disk, cache, file)
}

fn place(file: &MemFile, at: u64) -> Place<'_, MemFile> {
    Place { log_serial: 1, segment: Offset(0), edition: 0, file, file_bytes: CHUNKS * CHUNK_BYTES, at }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(done) = poll(future.as_mut()) {
            return done;
        }
    }
    panic!("it waits for ever");
}

/// Begins to read the second chunk, so far that the disk is at it.
fn begin<'a>(
    cache: &'a ChunkCache<MemDisk>,
    file: &'a MemFile,
) -> Pin<Box<dyn Future<Output = io::Result<PageSlice>> + 'a>> {
    // The disk makes some of its callers wait, drawn from its seed.
    for chunk in 0..CHUNKS {
        let mut reader = Box::pin(cache.slice_from(place(file, chunk * CHUNK_BYTES)));
        if poll(reader.as_mut()).is_pending() {
            return reader;
        }
    }
    panic!("the disk never waits");
}

fn place_of_the_load(cache: &ChunkCache<MemDisk>) -> u64 {
    let slots = cache.slots.borrow();
    let (key, _) = slots.iter().find(|(_, slot)| matches!(slot, Slot::Loading(_))).expect("it was begun");
    key.chunk * CHUNK_BYTES
}

/// A job that waits in a queue has begun a read, and all who could poll the job waited for that read.
#[test]
fn a_read_goes_on_while_its_first_asker_is_not_polled() {
    let (_, cache, file) = block_on(cache_of_chunks());
    let asleep = begin(&cache, &file);
    let at = place_of_the_load(&cache);
    let slice = block_on(cache.slice_from(place(&file, at + 5000))).unwrap();
    assert_eq!(slice.len() as u64, CHUNK_BYTES - 5000);
    assert_eq!(slice[0], ((at + 5000) / 4096) as u8);
    // The one who slept gets it as well.
    assert_eq!(block_on(asleep).unwrap().len() as u64, CHUNK_BYTES);
    assert!(cache.slots.borrow().values().all(|slot| matches!(slot, Slot::Ready { .. })));
}

/// A reader that was dropped in the middle of its read left a place behind that nobody could read any more.
#[test]
fn a_reader_that_goes_away_leaves_no_read_behind() {
    let (_, cache, file) = block_on(cache_of_chunks());
    let reader = begin(&cache, &file);
    let at = place_of_the_load(&cache);
    let in_use = cache.pages.in_use_bytes();
    drop(reader);
    assert!(cache.slots.borrow().values().all(|slot| matches!(slot, Slot::Ready { .. })));
    assert_eq!(cache.pages.in_use_bytes(), in_use - CHUNK_BYTES as usize, "its page went home");
    assert!(block_on(cache.slice_from(place(&file, at))).is_ok());
}

#[test]
fn everybody_who_waits_is_woken_by_the_read() {
    struct Flag(std::sync::atomic::AtomicBool);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let (_, cache, file) = block_on(cache_of_chunks());
    let asleep = begin(&cache, &file);
    let at = place_of_the_load(&cache);
    let flag = Arc::new(Flag(false.into()));
    let waker = Waker::from(flag.clone());
    let mut waiting = Box::pin(cache.slice_from(place(&file, at)));
    let mut ended = waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
    // Polled only when woken, as an executor does.
    while !ended {
        assert!(flag.0.swap(false, std::sync::atomic::Ordering::Relaxed), "nobody wakes it");
        ended = waiting.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
    }
    drop(asleep);
}

/// Only a miss asked for the next chunk: every second chunk of a reader from front to back was read while it waited.
#[test]
fn a_reader_from_front_to_back_waits_for_its_first_chunk_only() {
    let (disk, cache, file) = block_on(cache_of_chunks());
    let mut pump = Box::pin(cache.read_ahead());
    for chunk in 0..CHUNKS {
        let before = disk.operations();
        block_on(cache.slice_from(place(&file, chunk * CHUNK_BYTES))).unwrap();
        assert_eq!(disk.operations() - before, u64::from(chunk == 0), "chunk {chunk}");
        for _ in 0..10 {
            assert!(poll(pump.as_mut()).is_pending());
        }
    }
    // Who stays at one place reads nothing more ahead.
    let before = disk.operations();
    assert!(cache.ahead.borrow().is_empty());
    block_on(cache.slice_from(place(&file, 0))).unwrap();
    assert!(cache.ahead.borrow().is_empty());
    assert_eq!(disk.operations(), before);
}
