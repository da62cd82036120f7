//! Calls that may block run on threads beside the shard. There are two lanes, and in each one call runs after the other:
//! most are short, and somebody waits for them; those that may take seconds, and that nobody waits for, go aside. Each
//! counts, so that a test can show that a hot path makes none.
//!
//! The way to the thread and back costs more than most calls, so those that wait go together.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex},
    thread::LocalKey,
    time::{Duration, Instant},
};

use crate::{executor, notify::Notify, oneshot};

/// Threads that a shard needs for them: one for each lane.
pub(crate) const THREADS: usize = 2;
/// A trip begins no further call after this time: those that are done have somebody waiting for them.
const TRIP: Duration = Duration::from_micros(500);

type Call = Box<dyn FnOnce() + Send>;

/// Calls that wait for those before them, and who waits for each. As many as there are tasks that make them.
#[derive(Default)]
struct Lane {
    queue: RefCell<VecDeque<(Call, oneshot::Tx<()>)>>,
    runs: Cell<bool>,
}

thread_local! {
    static SHORT: Lane = Lane::default();
    static ASIDE: Lane = Lane::default();
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static UNDER_WAY: Cell<u64> = const { Cell::new(0) };
    static ENDED: Notify = Notify::new();
}

/// Calls this shard has made so far, those of the runtime itself left out.
pub fn blocking_calls() -> u64 {
    CALLS.get()
}

/// Runs `call` beside the shard. It runs to its end even when the future is dropped.
pub async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    CALLS.set(CALLS.get() + 1);
    uncounted(call).await
}

/// As `blocking`, for what may take long: it holds up no call but others of its kind.
pub async fn blocking_aside<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    CALLS.set(CALLS.get() + 1);
    run(&ASIDE, call).await
}

/// For the runtime's own calls, which no request waits for.
pub(crate) async fn uncounted<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    run(&SHORT, call).await
}

async fn run<T: Send + 'static>(
    lane: &'static LocalKey<Lane>,
    call: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (tx, rx) = oneshot::oneshot();
    let outcome = Arc::new(Mutex::new(None));
    let place = outcome.clone();
    let call = move || {
        let outcome = panic::catch_unwind(AssertUnwindSafe(call));
        *place.lock().expect("nothing panics here") = Some(outcome);
    };
    UNDER_WAY.set(UNDER_WAY.get() + 1);
    lane.with(|lane| lane.queue.borrow_mut().push_back((Box::new(call), tx)));
    if !lane.with(|lane| lane.runs.replace(true)) {
        // In a task of its own, so that somebody is there when a trip ends: the thread insists on that.
        executor::spawn_uncounted(empty(lane));
    }
    rx.await.expect("the task sends before it ends");
    let outcome = outcome.lock().expect("nothing panics there").take().expect("the call has run");
    outcome.unwrap_or_else(|payload| panic::resume_unwind(payload))
}

async fn empty(lane: &'static LocalKey<Lane>) {
    loop {
        let next = lane.with(|lane| lane.queue.take());
        if next.is_empty() {
            break;
        }
        let (calls, mut waiting): (Vec<_>, VecDeque<_>) = next.into_iter().unzip();
        let left = glommio::executor().spawn_blocking(move || trip(calls)).await;
        for done in waiting.drain(..waiting.len() - left.len()) {
            UNDER_WAY.set(UNDER_WAY.get() - 1);
            // Nobody may be interested any more.
            let _ = done.send(());
        }
        lane.with(|lane| {
            let mut queue = lane.queue.borrow_mut();
            left.into_iter().zip(waiting).rev().for_each(|call| queue.push_front(call));
        });
        ENDED.with(Notify::wake_all);
    }
    lane.with(|lane| lane.runs.set(false));
}

/// Answers the calls that there was no time for.
fn trip(calls: Vec<Call>) -> Vec<Call> {
    let began = Instant::now();
    let mut calls = calls.into_iter();
    for call in calls.by_ref() {
        call();
        if began.elapsed() >= TRIP {
            break;
        }
    }
    calls.collect()
}

/// Before a shard ends: its thread for blocking calls panics when a call returns and the shard is gone.
pub(crate) async fn all_ended() {
    while UNDER_WAY.get() > 0 {
        ENDED.with(Notify::wait).await;
    }
}
