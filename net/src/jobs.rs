//! Work that may wait for the disk, done by a fixed number of tasks: a request spawns none. A job begins at once, and one
//! that finds its bytes in memory is over then. Any other has its first read under way; of these, `WORKERS` at a time go
//! on.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Waker},
};

use rt::notify::Notify;

/// Tasks of one shard that run jobs.
pub(crate) const WORKERS: usize = 64;

pub(crate) type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

#[derive(Default)]
pub(crate) struct Jobs {
    /// As long as there are requests in flight at the most: each has one job.
    queue: RefCell<VecDeque<LocalFuture<()>>>,
    some: Notify,
}

impl Jobs {
    /// Runs a job as far as it goes without waiting, which is often its end; the rest is for a worker.
    pub(crate) fn begin(&self, job: impl Future<Output = ()> + 'static) {
        let mut job: LocalFuture<()> = Box::pin(job);
        // Whatever woke this waker is not lost: the worker polls the job before it waits for anything.
        if job.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.queue.borrow_mut().push_back(job);
            self.some.wake_one();
        }
    }

    /// One worker, for ever.
    pub(crate) async fn run_worker(&self) {
        loop {
            let some = self.some.wait();
            let job = self.queue.borrow_mut().pop_front();
            match job {
                Some(job) => job.await,
                None => some.await,
            }
        }
    }
}
