//! What only a look inside can show: operations that wait for as long as the test wants, on pipes and sockets.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use super::*;

use std::{
    fs::File as StdFile,
    future::Future,
    io::{Read, Write},
    os::fd::OwnedFd,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::{ExecutorOptions, Shard, executor::run_single, pages::Page, timer};

fn on_ring<Fut: Future<Output = ()> + 'static>(
    ring: RingOptions,
    test: impl FnOnce(Shard) -> Fut + Send + 'static,
) {
    let options = ExecutorOptions { ring, page_bytes: 32 << 20, pin: false, ..ExecutorOptions::default() };
    let bounded = async move |shard| timer::timeout(Duration::from_secs(20), test(shard)).await;
    run_single(options, bounded).expect("a shard starts").expect("the test ends in time");
}

fn pipe() -> (Fd, StdFile) {
    let (read, write) = std::io::pipe().unwrap();
    (Fd::new(OwnedFd::from(read)), StdFile::from(OwnedFd::from(write)))
}

/// A pipe that takes no more, and its reading end.
fn full_pipe() -> (Fd, StdFile) {
    let (read, mut write) = std::io::pipe().unwrap();
    let capacity = 64 << 10;
    write.write_all(&vec![0; capacity]).unwrap();
    (Fd::new(OwnedFd::from(write)), StdFile::from(OwnedFd::from(read)))
}

fn filled(shard: &Shard, byte: u8) -> Page {
    let mut page = shard.pages.take(BLOCK).unwrap();
    page.append(&[byte; BLOCK]);
    page
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

async fn until_idle(ring: &Ring) {
    while ring.in_flight() > 0 {
        timer::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn dropping_a_write_keeps_its_page_until_the_completion() {
    on_ring(RingOptions::default(), async |shard| {
        let (fd, mut reader) = full_pipe();
        let mut page = filled(&shard, 7);
        {
            let request = Request::write(&fd, u64::MAX, page.blocks(0..BLOCK), Flush::No, None);
            let mut write = pin!(shard.ring.0.perform(request));
            assert!(poll_once(write.as_mut()).is_pending());
            timer::sleep(Duration::from_millis(5)).await;
        }
        drop(page);
        assert_eq!((shard.ring.in_flight(), shard.pages.in_use_bytes()), (1, BLOCK));
        let mut back = vec![0; (64 << 10) + BLOCK];
        reader.read_exact(&mut back[..64 << 10]).unwrap();
        until_idle(&shard.ring).await;
        assert_eq!(shard.pages.in_use_bytes(), 0);
        reader.read_exact(&mut back[64 << 10..]).unwrap();
        assert!(back[64 << 10..].iter().all(|&b| b == 7));
    });
}

#[test]
fn a_dropped_read_keeps_its_page_from_the_pool() {
    on_ring(RingOptions::default(), async |shard| {
        let (fd, mut writer) = pipe();
        let mut page = shard.pages.take(BLOCK).unwrap();
        {
            let mut read = pin!(shard.ring.0.perform(Request::read(&fd, u64::MAX, page.whole(), None)));
            assert!(poll_once(read.as_mut()).is_pending());
            timer::sleep(Duration::from_millis(5)).await;
        }
        drop(page);
        assert_eq!(shard.pages.in_use_bytes(), BLOCK);
        writer.write_all(b"late").unwrap();
        until_idle(&shard.ring).await;
        assert_eq!(shard.pages.in_use_bytes(), 0);
    });
}

#[test]
fn a_late_completion_does_not_wake_a_stranger() {
    on_ring(RingOptions::default(), async |shard| {
        let ((early, mut to_early), (late, mut to_late)) = (pipe(), pipe());
        let (mut page_a, mut page_b) = (shard.pages.take(BLOCK).unwrap(), shard.pages.take(BLOCK).unwrap());
        {
            let mut read = pin!(shard.ring.0.perform(Request::read(&early, u64::MAX, page_a.whole(), None)));
            assert!(poll_once(read.as_mut()).is_pending());
            timer::sleep(Duration::from_millis(5)).await;
        }
        let mut stranger = pin!(shard.ring.0.perform(Request::read(&late, u64::MAX, page_b.whole(), None)));
        assert!(poll_once(stranger.as_mut()).is_pending());
        to_early.write_all(b"for nobody").unwrap();
        while shard.ring.in_flight() > 1 {
            timer::sleep(Duration::from_millis(1)).await;
        }
        assert!(poll_once(stranger.as_mut()).is_pending());
        to_late.write_all(b"for me").unwrap();
        assert_eq!(stranger.await.unwrap(), 6);
        page_b.set_filled(6);
        assert_eq!(&*page_b.slice(0..6), b"for me");
    });
}

#[test]
fn a_dropped_wait_is_cancelled_and_lets_go_of_its_descriptor() {
    on_ring(RingOptions::default(), async |shard| {
        let (fd, mut writer) = pipe();
        for _ in 0..100 {
            let mut wait = pin!(shard.ring.poll(&fd, libc::POLLIN));
            assert!(poll_once(wait.as_mut()).is_pending());
            crate::yield_now().await;
        }
        until_idle(&shard.ring).await;
        drop(fd);
        let broken = writer.write_all(b"x").unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
    });
}

/// All completions of a burst arrive, though they are many times more than the queue holds.
#[test]
fn a_burst_beyond_the_completion_queue_loses_nothing() {
    let options = RingOptions { entries: 8, completions: 16, ..RingOptions::default() };
    on_ring(options, async |shard| {
        let (fd, mut writer) = pipe();
        let woken = Rc::new(std::cell::Cell::new(0));
        for _ in 0..1000 {
            let (ring, fd, woken) = (shard.ring.clone(), fd.clone(), woken.clone());
            crate::spawn(async move {
                ring.poll(&fd, libc::POLLIN).await.unwrap();
                woken.set(woken.get() + 1);
            });
        }
        while shard.ring.in_flight() < 1000 {
            timer::sleep(Duration::from_millis(1)).await;
        }
        writer.write_all(b"x").unwrap();
        until_idle(&shard.ring).await;
        crate::yield_now().await;
        assert_eq!(woken.get(), 1000);
    });
}

#[test]
fn operations_beyond_the_depth_wait_their_turn() {
    let options = RingOptions { entries: 4, completions: 8, ..RingOptions::default() };
    on_ring(options, async |shard| {
        let (fd, mut writer) = pipe();
        let done = Rc::new(std::cell::Cell::new(0));
        for _ in 0..50 {
            let (ring, fd, done) = (shard.ring.clone(), fd.clone(), done.clone());
            let mut page = shard.pages.take(BLOCK).unwrap();
            crate::spawn(async move {
                let request = Request::read(&fd, u64::MAX, page.whole().slice(0..BLOCK), None);
                assert_eq!(ring.0.perform(request).await.unwrap(), BLOCK);
                done.set(done.get() + 1);
            });
        }
        timer::sleep(Duration::from_millis(5)).await;
        assert_eq!((shard.ring.in_flight(), done.get()), (4, 0));
        for n in 1..=50 {
            writer.write_all(&[1; BLOCK]).unwrap();
            while done.get() < n {
                timer::sleep(Duration::from_micros(100)).await;
            }
        }
    });
}

/// Reads and writes of random places, many at a time, a third of them dropped at a random moment: whatever was not
/// dropped is right, and in the end every page is home.
#[test]
fn operations_dropped_at_random_hurt_nobody() {
    let Ok(dir) = tempfile::tempdir() else { return };
    on_ring(RingOptions { entries: 8, completions: 32, ..RingOptions::default() }, async move |shard| {
        let opened = File::open(dir.path().join("f"), crate::file::Access::Create).await;
        let Ok(file) = opened else { return eprintln!("SKIPPED: no O_DIRECT here") };
        let mut busy = Vec::new();
        for worker in 0..16u64 {
            let (ring, pages, file) = (shard.ring.clone(), shard.pages.clone(), file.clone());
            let (tx, rx) = crate::oneshot();
            busy.push(rx);
            crate::spawn(async move {
                let mut seed = worker + 1;
                for turn in 0..100u8 {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let at = worker * 16 * BLOCK as u64;
                    let mut page = pages.take(4 * BLOCK).unwrap();
                    page.append(&[turn; 4 * BLOCK]);
                    let patience =
                        Duration::from_micros(if seed >> 62 == 0 { seed >> 54 } else { 9_000_000 });
                    let from = vec![page.blocks(0..BLOCK), page.blocks(BLOCK..4 * BLOCK)];
                    let write = timer::timeout(patience, ring.write(&file, at, from, Flush::No));
                    let Some(written) = write.await else {
                        // Still under way, perhaps: what is read next would be anybody's guess.
                        timer::sleep(Duration::from_millis(2)).await;
                        continue;
                    };
                    written.unwrap();
                    let mut back = pages.take(4 * BLOCK).unwrap();
                    let read = timer::timeout(patience, ring.read(&file, at, back.whole())).await;
                    if let Some(count) = read {
                        assert_eq!(count.unwrap(), 4 * BLOCK);
                        back.set_filled(4 * BLOCK);
                        let byte = back.slice(0..1)[0];
                        assert!(back.slice(0..4 * BLOCK).iter().all(|&b| b == byte));
                    }
                }
                tx.send(()).unwrap();
            });
        }
        for worker in busy {
            worker.await.unwrap();
        }
        until_idle(&shard.ring).await;
        assert_eq!(shard.pages.in_use_bytes(), 0);
    });
}

#[test]
fn a_ring_that_is_shut_down_ends_what_waits_and_refuses_the_rest() {
    on_ring(RingOptions::default(), async |shard| {
        let (fd, _writer) = pipe();
        let mut page = shard.pages.take(BLOCK).unwrap();
        let mut read = pin!(shard.ring.0.perform(Request::read(&fd, u64::MAX, page.whole(), None)));
        assert!(poll_once(read.as_mut()).is_pending());
        let other = Ring::start(RingOptions::default()).unwrap();
        other.nop().await.unwrap();
        other.shutdown().await;
        assert_eq!(other.nop().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        shard.ring.shutdown().await;
        assert_eq!(read.await.unwrap_err().raw_os_error(), Some(libc::ECANCELED));
        assert_eq!(shard.ring.in_flight(), 0);
    });
}

#[test]
fn pages_are_registered_as_slabs_come_and_go() {
    on_ring(RingOptions::default(), async |shard| {
        if !shard.ring.caps().registered_pages {
            return eprintln!("SKIPPED: no registered buffers here");
        }
        let fixed = |page: &mut Page| shard.ring.0.fixed_index(&page.blocks(0..1));
        let mut pages: Vec<_> = (0..8).map(|_| shard.pages.take(1 << 20).unwrap()).collect();
        while fixed(&mut pages[7]).is_none() {
            timer::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!((fixed(&mut pages[0]), fixed(&mut pages[7])), (Some(0), Some(1)));
        drop(pages);
        shard.pages.trim();
        assert!(shard.ring.0.slabs.borrow().iter().all(|&slab| slab == Registration::None));
        // Given back before it could be registered, and made anew.
        drop(shard.pages.take(1));
        shard.pages.trim();
        let mut page = shard.pages.take(1).unwrap();
        while fixed(&mut page).is_none() {
            timer::sleep(Duration::from_millis(1)).await;
        }
        let stranger = crate::pages::PagePool::new(1 << 20);
        assert_eq!(fixed(&mut stranger.take(1).unwrap()), None);
    });
}

#[test]
fn one_system_call_submits_a_turn_and_an_idle_shard_submits_at_once() {
    on_ring(RingOptions::default(), async |shard| {
        let before = shard.ring.submits();
        let done = Rc::new(std::cell::Cell::new(0));
        for _ in 0..100 {
            let (ring, done) = (shard.ring.clone(), done.clone());
            crate::spawn(async move {
                ring.nop().await.unwrap();
                done.set(done.get() + 1);
            });
        }
        while done.get() < 100 {
            crate::yield_now().await;
        }
        assert!(shard.ring.submits() - before <= 3, "{} submits", shard.ring.submits() - before);
        let start = std::time::Instant::now();
        for _ in 0..100 {
            shard.ring.nop().await.unwrap();
        }
        assert!(start.elapsed() < Duration::from_millis(200), "{:?} for 100 nops", start.elapsed());
    });
}
