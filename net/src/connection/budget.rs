//! Memory for large frames of one shard. A frame up to `FREE_BYTES` is received without asking, all others share a
//! budget, first come, first served: who promised a large frame waits, unread, until the frame fits. The budget holds at
//! least one frame of the largest size, so somebody always gets on; who holds a share and sends nothing is idle, and cut.
//! A share lasts until the handler has passed the frame on; what then goes to another shard is counted by `transit`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use rt::oneshot::Tx;

/// Frames of this size or less are every connection's own affair.
pub(crate) const FREE_BYTES: usize = 64 << 10;
/// The budget, or the largest frame if that is more.
const BUDGET_BYTES: usize = 256 << 20;

pub(crate) struct FrameBudget {
    bytes: usize,
    left: Cell<usize>,
    waiting: RefCell<VecDeque<(usize, Tx<Share>)>>,
}

/// A part of the budget; dropping it gives it back.
pub(crate) struct Share {
    budget: Rc<FrameBudget>,
    bytes: usize,
}

impl FrameBudget {
    pub(crate) fn new(frame_bytes_max: usize) -> Rc<Self> {
        Self::of(BUDGET_BYTES.max(frame_bytes_max))
    }

    fn of(bytes: usize) -> Rc<Self> {
        Rc::new(Self { bytes, left: Cell::new(bytes), waiting: RefCell::default() })
    }

    /// Handed out.
    pub(crate) fn held_bytes(&self) -> usize {
        self.bytes - self.left.get()
    }

    /// May be dropped while it waits.
    pub(crate) async fn take(self: &Rc<Self>, bytes: usize) -> Share {
        if self.waiting.borrow().is_empty()
            && let Some(share) = self.try_take(bytes)
        {
            return share;
        }
        let (tx, rx) = rt::oneshot();
        self.waiting.borrow_mut().push_back((bytes, tx));
        rx.await.expect("the budget lives as long as those who wait for it, and hands out in turn")
    }

    fn try_take(self: &Rc<Self>, bytes: usize) -> Option<Share> {
        let left = self.left.get().checked_sub(bytes)?;
        self.left.set(left);
        Some(Share { budget: self.clone(), bytes })
    }

    fn hand_out(self: &Rc<Self>) {
        loop {
            let Some(&(bytes, _)) = self.waiting.borrow().front() else { return };
            let Some(share) = self.try_take(bytes) else { return };
            let (_, tx) = self.waiting.borrow_mut().pop_front().expect("looked at above");
            // Whoever waited may be gone; its share then comes back by being dropped, which hands out the next.
            drop(tx.send(share));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.set(self.budget.left.get() + self.bytes);
        self.budget.hand_out();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(out) => Some(out),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_comes_first_is_served_first_and_nothing_is_lost() {
        let budget = FrameBudget::of(100);
        let held = poll(pin!(budget.take(70))).unwrap();
        let (mut large, mut small) = (pin!(budget.take(100)), pin!(budget.take(10)));
        assert!(poll(large.as_mut()).is_none());
        assert!(poll(small.as_mut()).is_none(), "it would fit, but it is not its turn");
        drop(held);
        let large = poll(large).expect("the first in line");
        assert!(poll(small.as_mut()).is_none());
        drop(large);
        drop(poll(small).unwrap());
        assert_eq!(budget.left.get(), 100);
    }

    #[test]
    fn who_gives_up_waiting_holds_nobody_up() {
        let budget = FrameBudget::of(100);
        let held = poll(pin!(budget.take(70))).unwrap();
        {
            let mut gone = pin!(budget.take(100));
            assert!(poll(gone.as_mut()).is_none());
        }
        let mut next = pin!(budget.take(50));
        assert!(poll(next.as_mut()).is_none());
        drop(held);
        drop(poll(next).unwrap());
        assert_eq!(budget.left.get(), 100);
    }
}
