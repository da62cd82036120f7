//! A broker's own time, which may run fast or slow, and its tasks, which die with it.

use std::{future::poll_fn, mem, task::Poll, time::Duration};

use model::{Millis, Timestamp};
use replication::{Runtime, runtime::Task};

use super::scheduler::{Owner, Scheduler};

pub struct BrokerRuntime {
    scheduler: Scheduler,
    owner: Owner,
    /// Of its clock's speed.
    percent: u64,
    /// What its wall clock is ahead.
    ahead_ms: i64,
}

impl BrokerRuntime {
    pub fn new(scheduler: Scheduler, owner: Owner, percent: u64, ahead_ms: i64) -> Self {
        Self { scheduler, owner, percent, ahead_ms }
    }

    pub fn owner(&self) -> Owner {
        self.owner
    }

    fn elapsed_us(&self) -> u64 {
        self.scheduler.clock().now_us() * self.percent / 100
    }

    pub async fn sleep_ms(&self, ms: u64) {
        self.sleep(Duration::from_millis(ms)).await;
    }
}

impl Runtime for BrokerRuntime {
    fn now(&self) -> Millis {
        Millis(self.elapsed_us() / 1000)
    }

    fn wall(&self) -> Timestamp {
        Timestamp((self.elapsed_us() / 1000) as i64 + 1_000_000 + self.ahead_ms)
    }

    fn spawn(&self, task: Task) {
        self.scheduler.spawn(self.owner, task);
    }

    fn sleep(&self, duration: Duration) -> Task {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 1000) * 100 / self.percent;
        let clock = self.scheduler.clock().clone();
        Box::pin(async move { clock.sleep_us(us).await })
    }

    fn give_way(&self) -> Task {
        Box::pin(give_way())
    }
}

async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
