//! When the executor looks at the outside world.
//!
//! The executor runs tasks until none is ready; only then does it see what other shards, files and sockets have to
//! say. Its own remedy, a timer that preempts the running tasks, has a defect: when it fires before the first task
//! of a turn has run, the executor takes "nothing has run" for "nothing is ready", and sleeps with ready tasks, until
//! something else wakes it. A core shared with another process is enough. So that timer is set to
//! `PREEMPT_TIMER`, out of the way, and a turn is made here by leaving the executor nothing to run:
//!
//! - Whoever has run long enough, or wakes somebody after a long enough time, finds the turn *due* and rings the bell:
//!   an eventfd that a task of ours reads through the executor.
//! - From then on wakes are *held*, and tasks that yield wait with them. The tasks that are ready run out.
//! - The executor, with nothing to run, looks outside, finds the bell, and wakes our task, which lets go of the held.
//!
//! What is left of the defect is bounded: the pump of `timer` never sleeps longer than `SLEEP_MAX`, and the executor
//! with it.
#![allow(unsafe_code)]

use std::{
    cell::{Cell, RefCell},
    fs::File,
    future::poll_fn,
    io::{self, Write},
    os::fd::{FromRawFd, IntoRawFd, OwnedFd},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use glommio::io::BufferedFile;

use crate::{eventfd, waker::SharedWaker};

/// The executor's own preemption. The defect needs this thread to be off its core for that long at the wrong moment.
pub(crate) const PREEMPT_TIMER: Duration = Duration::from_secs(1);
/// The longest an executor sleeps, whatever the reason.
pub(crate) const SLEEP_MAX: Duration = Duration::from_millis(250);
/// The clock is read once in so many wakes.
const WAKES_PER_LOOK: u32 = 32;

/// What is added to the bell's counter: some number, the same in either byte order.
const RING: [u8; 8] = [1; 8];

thread_local! {
    static TURN: Turn = Turn::default();
}

#[derive(Default)]
struct Turn {
    /// `None` where no shard runs on this thread: then no turn is ever due.
    bell: RefCell<Option<File>>,
    quantum: Cell<Duration>,
    last: Cell<Option<Instant>>,
    /// The bell has been rung and not been heard yet.
    ringing: Cell<bool>,
    held: RefCell<Vec<SharedWaker>>,
    wakes: Cell<u32>,
}

/// Starts making turns on this thread, and returns the task that hears the bell.
pub(crate) fn start(quantum: Duration) -> io::Result<impl Future<Output = ()>> {
    let bell = eventfd::make()?;
    let heard = bell.try_clone()?;
    TURN.with(|turn| {
        *turn.bell.borrow_mut() = Some(File::from(bell));
        turn.quantum.set(quantum);
        turn.last.set(Some(Instant::now()));
    });
    Ok(hear(heard))
}

/// Ends `hear`.
pub(crate) fn stop() {
    TURN.with(|turn| {
        turn.ring();
        *turn.bell.borrow_mut() = None;
    });
}

async fn hear(bell: OwnedFd) {
    // SAFETY: a descriptor that was owned here and is the file's from now on.
    let file = unsafe { BufferedFile::from_raw_fd(bell.into_raw_fd()) };
    while TURN.with(|turn| turn.bell.borrow().is_some()) {
        if let Err(e) = file.read_at(0, 8).await {
            tracing::warn!(error = %e, "reading the turn's eventfd failed");
        }
        TURN.with(Turn::made);
    }
    // A failure to close an eventfd leaves nothing to be done.
    let _ = file.close().await;
}

/// The executor has just looked outside by itself.
pub(crate) fn has_turned() {
    TURN.with(|turn| {
        if !turn.ringing.get() {
            turn.last.set(Some(Instant::now()));
        }
    });
}

/// Wakes a task, now or right after the turn that is due.
pub(crate) fn wake(waker: SharedWaker) {
    TURN.with(|turn| {
        let wakes = turn.wakes.get().wrapping_add(1);
        turn.wakes.set(wakes);
        if turn.ringing.get() || (wakes.is_multiple_of(WAKES_PER_LOOK) && turn.is_due()) {
            turn.hold(waker);
        } else {
            waker.wake_now();
        }
    });
}

/// Waits for the turn if one is due.
pub(crate) async fn yield_if_due() {
    if TURN.with(Turn::is_due) {
        wait_for_turn().await;
    }
}

/// Polls `future` only while no turn is due: for a task of others, which never asks.
pub(crate) async fn in_turns<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        if TURN.with(Turn::is_due) {
            TURN.with(|turn| turn.hold(SharedWaker::of(cx.waker())));
            return Poll::Pending;
        }
        future.as_mut().poll(cx)
    })
    .await
}

/// Lets every other ready task run, and a turn be made if one is due.
pub(crate) async fn yield_now() {
    if TURN.with(Turn::is_due) {
        wait_for_turn().await;
    } else {
        futures_lite::future::yield_now().await;
    }
}

async fn wait_for_turn() {
    let mut held = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut held, true) {
            return Poll::Ready(());
        }
        TURN.with(|turn| turn.hold(SharedWaker::of(cx.waker())));
        Poll::Pending
    })
    .await;
}

impl Turn {
    fn is_due(&self) -> bool {
        self.ringing.get() || self.last.get().is_some_and(|last| last.elapsed() >= self.quantum.get())
    }

    fn hold(&self, waker: SharedWaker) {
        self.held.borrow_mut().push(waker);
        self.ring();
    }

    fn ring(&self) {
        let bell = self.bell.borrow();
        let Some(mut bell) = bell.as_ref() else { return self.made() };
        if !self.ringing.replace(true) {
            // Read before it is rung again, so the counter has room, and this neither blocks nor fails.
            let rung = bell.write(&RING);
            assert!(rung.is_ok(), "the bell cannot be rung: {rung:?}");
        }
    }

    fn made(&self) {
        self.ringing.set(false);
        self.last.set(Some(Instant::now()));
        // One by one, and not under a borrow: a waker may be the last thing that holds its task.
        let held = self.held.take();
        held.into_iter().for_each(SharedWaker::wake_now);
    }
}
