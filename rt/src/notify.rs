//! A condition that tasks of one shard wait for.
//!
//! No wake is lost between looking and waiting: `wait()` notes the epoch when it is *called*, and a wake after that
//! ends it at its first poll. So the way to use it is
//! ```ignore
//! loop {
//!     let changed = notify.wait();
//!     if condition() { break }
//!     changed.await;
//! }
//! ```
//! A wait may end without cause, as with any condition variable.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use crate::waker::{self, SharedWaker};

#[derive(Clone, Default)]
pub struct Notify(Rc<State>);

#[derive(Default)]
struct State {
    epoch: Cell<u64>,
    next_ticket: Cell<u64>,
    /// By ticket, so first come, first served. A ticket that is no longer here has been woken.
    waiting: RefCell<BTreeMap<u64, Option<SharedWaker>>>,
}

impl Notify {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn wait(&self) -> Wait {
        Wait { notify: self.clone(), since: self.0.epoch.get(), ticket: None }
    }

    /// Wakes the task that has waited longest.
    pub fn wake_one(&self) {
        self.0.epoch.set(self.0.epoch.get() + 1);
        self.wake_first();
    }

    pub fn wake_all(&self) {
        self.0.epoch.set(self.0.epoch.get() + 1);
        let woken = std::mem::take(&mut *self.0.waiting.borrow_mut());
        woken.into_values().flatten().for_each(SharedWaker::wake);
    }

    pub fn waiter_count(&self) -> usize {
        self.0.waiting.borrow().len()
    }

    fn wake_first(&self) {
        let first = self.0.waiting.borrow_mut().pop_first();
        if let Some((_, Some(waker))) = first {
            waker.wake();
        }
    }
}

pub struct Wait {
    notify: Notify,
    since: u64,
    ticket: Option<u64>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let state = self.notify.0.clone();
        let Some(ticket) = self.ticket else {
            if state.epoch.get() != self.since {
                return Poll::Ready(());
            }
            let ticket = state.next_ticket.get();
            state.next_ticket.set(ticket + 1);
            state.waiting.borrow_mut().insert(ticket, Some(SharedWaker::of(cx.waker())));
            self.ticket = Some(ticket);
            return Poll::Pending;
        };
        match state.waiting.borrow_mut().get_mut(&ticket) {
            Some(place) => waker::register(place, cx.waker()),
            None => {
                self.ticket = None;
                self.since = state.epoch.get();
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let still_waiting = self.notify.0.waiting.borrow_mut().remove(&ticket).is_some();
        if !still_waiting {
            // Woken, but never polled again: the wake belongs to the next in line.
            self.notify.wake_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{pin::pin, task::Waker};

    fn is_ready(wait: Pin<&mut Wait>) -> bool {
        wait.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_wake_between_looking_and_waiting_is_not_lost() {
        let notify = Notify::new();
        let early = pin!(notify.wait());
        notify.wake_one();
        let late = pin!(notify.wait());
        assert!(is_ready(early));
        assert!(!is_ready(late));
    }

    #[test]
    fn one_wakes_the_oldest_and_all_wakes_the_rest() {
        let notify = Notify::new();
        let (mut a, mut b, mut c) = (pin!(notify.wait()), pin!(notify.wait()), pin!(notify.wait()));
        assert!(!is_ready(a.as_mut()) && !is_ready(b.as_mut()) && !is_ready(c.as_mut()));
        notify.wake_one();
        assert!(is_ready(a.as_mut()) && !is_ready(b.as_mut()));
        notify.wake_all();
        assert!(is_ready(b.as_mut()) && is_ready(c.as_mut()));
    }

    #[test]
    fn a_woken_task_that_leaves_hands_its_wake_on() {
        let notify = Notify::new();
        let mut a = Box::pin(notify.wait());
        let mut b = pin!(notify.wait());
        assert!(!is_ready(a.as_mut()) && !is_ready(b.as_mut()));
        notify.wake_one();
        drop(a);
        assert!(is_ready(b.as_mut()));
        assert_eq!(notify.waiter_count(), 0);
    }
}
