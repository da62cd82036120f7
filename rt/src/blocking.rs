//! Calls that may block run on threads beside the shard. There are two lanes, and in each one call runs after the other:
//! most are short, and somebody waits for them; those that may take seconds, and that nobody waits for, go aside. Each
//! counts, so that a test can show that a hot path makes none.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    thread::LocalKey,
};

use crate::{executor, notify::Notify, oneshot};

/// Threads that a shard needs for them: one for each lane.
pub(crate) const THREADS: usize = 2;

type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>>>;

/// Calls that wait for the one before them. As many as there are tasks that make them.
#[derive(Default)]
struct Lane {
    queue: RefCell<VecDeque<Job>>,
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
    UNDER_WAY.set(UNDER_WAY.get() + 1);
    let job = async move {
        let outcome =
            glommio::executor().spawn_blocking(|| panic::catch_unwind(AssertUnwindSafe(call))).await;
        UNDER_WAY.set(UNDER_WAY.get() - 1);
        ENDED.with(Notify::wake_all);
        // Nobody may be interested any more.
        let _ = tx.send(outcome);
    };
    lane.with(|lane| lane.queue.borrow_mut().push_back(Box::new(|| Box::pin(job))));
    if !lane.with(|lane| lane.runs.replace(true)) {
        // In a task of its own, so that somebody is there when a call returns: the thread insists on that.
        executor::spawn_uncounted(empty(lane));
    }
    let outcome = rx.await.expect("the task sends before it ends");
    outcome.unwrap_or_else(|payload| panic::resume_unwind(payload))
}

async fn empty(lane: &'static LocalKey<Lane>) {
    loop {
        let next = lane.with(|lane| lane.queue.borrow_mut().pop_front());
        let Some(job) = next else { break };
        job().await;
    }
    lane.with(|lane| lane.runs.set(false));
}

/// Before a shard ends: its thread for blocking calls panics when a call returns and the shard is gone.
pub(crate) async fn all_ended() {
    while UNDER_WAY.get() > 0 {
        ENDED.with(Notify::wait).await;
    }
}
