//! Clocks, and one queue of deadlines per shard. All sleeps of a shard share one timer of the executor: one task
//! sleeps until the earliest deadline and wakes whoever is due.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::OnceLock,
    task::{Context, Poll, Waker},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use model::{Millis, Timestamp};

use crate::{executor, turn, waker, waker::SharedWaker};

static START: OnceLock<Instant> = OnceLock::new();

/// Deadlines further away than this are cut: nobody waits for them, and `Instant` may not reach further.
const SLEEP_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Monotonic, since the first call in this process.
pub fn now() -> Millis {
    Millis(elapsed().as_millis() as u64)
}

/// As `now`, as fine as the clock is.
pub fn elapsed() -> Duration {
    START.get_or_init(Instant::now).elapsed()
}

/// The wall clock. May jump; for record timestamps, never for safety.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as i64)
}

pub fn sleep(duration: Duration) -> Sleep {
    Sleep::until(Instant::now() + duration.min(SLEEP_MAX))
}

pub fn sleep_until(at: Millis) -> Sleep {
    let start = *START.get_or_init(Instant::now);
    Sleep::until(start + Duration::from_millis(at.0).min(SLEEP_MAX))
}

/// `None` when `future` has not ended in time; it is then dropped.
pub async fn timeout<T>(duration: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut deadline = pin!(sleep(duration));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        deadline.as_mut().poll(cx).map(|()| None)
    })
    .await
}

pub struct Sleep {
    at: Instant,
    ticket: Option<u64>,
}

impl Sleep {
    fn until(at: Instant) -> Self {
        Self { at, ticket: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        let (at, ticket) = (self.at, self.ticket);
        self.ticket = Some(WHEEL.with(|wheel| wheel.enter(at, ticket, cx.waker())));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let _ = WHEEL.try_with(|wheel| wheel.waiting.borrow_mut().remove(&(self.at, ticket)));
        }
    }
}

thread_local! {
    static WHEEL: Wheel = Wheel::default();
}

#[derive(Default)]
struct Wheel {
    waiting: RefCell<BTreeMap<(Instant, u64), Option<SharedWaker>>>,
    next_ticket: Cell<u64>,
    /// What the pump sleeps until; `None` while it is awake.
    alarm: Cell<Option<Instant>>,
    pump: RefCell<Option<Waker>>,
    has_pump: Cell<bool>,
    stopped: Cell<bool>,
}

/// Starts the pump before anybody sleeps: it also bounds how long the executor may.
pub(crate) fn start() {
    WHEEL.with(|wheel| {
        wheel.stopped.set(false);
        wheel.poke();
    });
}

/// Ends the pump.
pub(crate) fn stop() {
    WHEEL.with(|wheel| {
        wheel.stopped.set(true);
        wheel.poke();
    });
}

impl Wheel {
    fn enter(&self, at: Instant, ticket: Option<u64>, waker: &Waker) -> u64 {
        let ticket = ticket.unwrap_or_else(|| self.next_ticket.replace(self.next_ticket.get() + 1));
        waker::register(self.waiting.borrow_mut().entry((at, ticket)).or_default(), waker);
        if self.alarm.get().is_none_or(|alarm| at < alarm) {
            self.poke();
        }
        ticket
    }

    fn poke(&self) {
        if !self.has_pump.replace(true) {
            executor::spawn_uncounted(run_pump());
        } else if let Some(pump) = self.pump.borrow_mut().take() {
            pump.wake();
        }
    }

    /// Wakes all that is due and returns the next deadline.
    fn fire(&self, now: Instant) -> Option<Instant> {
        loop {
            let mut waiting = self.waiting.borrow_mut();
            let first = waiting.first_entry()?;
            if first.key().0 > now {
                return Some(first.key().0);
            }
            let waker = first.remove();
            drop(waiting);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// Cleared when the executor drops the pump, so that another executor on this thread starts its own.
struct PumpGuard;

impl Drop for PumpGuard {
    fn drop(&mut self) {
        let _ = WHEEL.try_with(|wheel| {
            wheel.has_pump.set(false);
            wheel.alarm.set(None);
        });
    }
}

async fn run_pump() {
    let _guard = PumpGuard;
    while !WHEEL.with(|wheel| wheel.stopped.get()) {
        turn::has_turned();
        let now = Instant::now();
        let next = WHEEL.with(|wheel| wheel.fire(now));
        let alarm = next.unwrap_or(now + turn::SLEEP_MAX).min(now + turn::SLEEP_MAX);
        WHEEL.with(|wheel| wheel.alarm.set(Some(alarm)));
        let mut timer = glommio::timer::Timer::new(alarm - now);
        let mut armed = false;
        poll_fn(|cx| {
            // Woken a second time: by the timer, or by a deadline earlier than the alarm.
            let due = Pin::new(&mut timer).poll(cx).is_ready();
            if due || std::mem::replace(&mut armed, true) {
                return Poll::Ready(());
            }
            WHEEL.with(|wheel| *wheel.pump.borrow_mut() = Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        WHEEL.with(|wheel| wheel.alarm.set(None));
    }
}
