//! One value from one task to another of the same shard.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use crate::waker::{self, SharedWaker};

/// A sender and its receiver. `rx.await` is `None` when the sender was dropped unused.
pub fn oneshot<T>() -> (Tx<T>, Rx<T>) {
    let state = Rc::new(RefCell::new(State::Waiting(None)));
    (Tx(state.clone()), Rx(state))
}

enum State<T> {
    Waiting(Option<SharedWaker>),
    Sent(T),
    /// The sender is gone, or the value was taken, or the receiver is gone.
    Over,
}

pub struct Tx<T>(Rc<RefCell<State<T>>>);

impl<T> Tx<T> {
    /// Gives the value back when nobody will receive it.
    pub fn send(self, value: T) -> Result<(), T> {
        if self.is_closed() {
            return Err(value);
        }
        self.end(State::Sent(value));
        Ok(())
    }

    /// The receiver is gone.
    pub fn is_closed(&self) -> bool {
        matches!(*self.0.borrow(), State::Over)
    }

    fn end(&self, with: State<T>) {
        let before = self.0.replace(with);
        if let State::Waiting(Some(waker)) = before {
            waker.wake();
        }
    }
}

impl<T> Drop for Tx<T> {
    fn drop(&mut self) {
        let waiting = matches!(*self.0.borrow(), State::Waiting(_));
        if waiting {
            self.end(State::Over);
        }
    }
}

impl<T> fmt::Debug for Tx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}

pub struct Rx<T>(Rc<RefCell<State<T>>>);

impl<T> Future for Rx<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.borrow_mut();
        if let State::Waiting(place) = &mut *state {
            waker::register(place, cx.waker());
            return Poll::Pending;
        }
        match std::mem::replace(&mut *state, State::Over) {
            State::Sent(value) => Poll::Ready(Some(value)),
            _ => Poll::Ready(None),
        }
    }
}

impl<T> Drop for Rx<T> {
    fn drop(&mut self) {
        let unread = self.0.replace(State::Over);
        drop(unread);
    }
}

impl<T> fmt::Debug for Rx<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rx")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{pin::pin, task::Waker};

    fn poll<T>(rx: Pin<&mut Rx<T>>) -> Poll<Option<T>> {
        rx.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_value_arrives_before_and_after_the_first_poll() {
        let (tx, rx) = oneshot();
        let mut rx = pin!(rx);
        assert_eq!(poll(rx.as_mut()), Poll::Pending);
        tx.send(7).unwrap();
        assert_eq!(poll(rx), Poll::Ready(Some(7)));
        let (tx, rx) = oneshot();
        tx.send(8).unwrap();
        assert_eq!(poll(pin!(rx)), Poll::Ready(Some(8)));
    }

    #[test]
    fn each_side_sees_the_other_go() {
        let (tx, rx) = oneshot::<u8>();
        drop(tx);
        assert_eq!(poll(pin!(rx)), Poll::Ready(None));
        let (tx, rx) = oneshot();
        assert!(!tx.is_closed());
        drop(rx);
        assert!(tx.is_closed());
        assert_eq!(tx.send(9), Err(9));
    }
}
