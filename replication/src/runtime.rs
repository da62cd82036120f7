//! What the tasks of replication need of whoever runs them: a shard, or the simulator.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use model::{Millis, Timestamp};

pub type Task = Pin<Box<dyn Future<Output = ()>>>;

pub trait Runtime {
    /// Monotonic.
    fn now(&self) -> Millis;
    /// The wall clock, for timestamps.
    fn wall(&self) -> Timestamp;
    /// Runs a task beside the others until it ends by itself.
    fn spawn(&self, task: Task);
    fn sleep(&self, duration: Duration) -> Task;
    /// Lets others run, if it is their turn.
    fn give_way(&self) -> Task;
}

/// The shard that this thread is.
#[derive(Clone, Copy, Debug)]
pub struct OnShard;

impl Runtime for OnShard {
    fn now(&self) -> Millis {
        rt::timer::now()
    }

    fn wall(&self) -> Timestamp {
        rt::timer::wall()
    }

    fn spawn(&self, task: Task) {
        rt::spawn(task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        Box::pin(rt::timer::sleep(duration))
    }

    fn give_way(&self) -> Task {
        Box::pin(rt::yield_if_needed())
    }
}

/// Waits for `future`, but not longer than that.
pub async fn at_most(runtime: &dyn Runtime, duration: Duration, future: impl Future<Output = ()>) {
    let mut deadline = runtime.sleep(duration);
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => deadline.as_mut().poll(cx),
    })
    .await;
}
