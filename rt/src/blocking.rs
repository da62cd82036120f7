//! Calls that may block run on a thread beside the shard, one after the other. Each counts, so that a test can show
//! that a hot path makes none.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
};

use crate::{executor, notify::Notify, oneshot};

thread_local! {
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

/// For the runtime's own calls, which no request waits for.
pub(crate) async fn uncounted<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (tx, rx) = oneshot::oneshot();
    UNDER_WAY.set(UNDER_WAY.get() + 1);
    // In a task of its own, so that somebody is there when the call returns: the thread insists on that.
    executor::spawn_uncounted(async move {
        let outcome =
            glommio::executor().spawn_blocking(|| panic::catch_unwind(AssertUnwindSafe(call))).await;
        UNDER_WAY.set(UNDER_WAY.get() - 1);
        ENDED.with(Notify::wake_all);
        // Nobody may be interested any more.
        let _ = tx.send(outcome);
    });
    let outcome = rx.await.expect("the task sends before it ends");
    outcome.unwrap_or_else(|payload| panic::resume_unwind(payload))
}

/// Before a shard ends: its thread for blocking calls panics when a call returns and the shard is gone.
pub(crate) async fn all_ended() {
    while UNDER_WAY.get() > 0 {
        ENDED.with(Notify::wait).await;
    }
}
