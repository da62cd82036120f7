//! Answers of one connection on their way out, in the order of the requests, whatever is ready first. Between the task
//! that reads and the one that writes.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
};

use rt::notify::Notify;

use crate::{handlers::Step, jobs::LocalFuture, metrics::Started, response::Response};

/// Requests of one connection under way. With more, its socket is not read.
pub(crate) const IN_FLIGHT_MAX: usize = 64;
/// Bytes of answers that wait to be sent. With more, the socket is not read: a client that does not read its answers
/// cannot make more of them. One answer may go beyond.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Small answers leave together up to this size.
const TOGETHER_BYTES_MAX: usize = 64 << 10;

#[derive(Default)]
pub(crate) struct Answers {
    queue: RefCell<VecDeque<Slot>>,
    /// Of ready answers in the queue.
    bytes: Cell<usize>,
    /// The reader has ended: when the queue is empty, so has the writer.
    ended: Cell<bool>,
    /// A request asked for the end of the connection, and why.
    close: RefCell<Option<String>>,
    changed: Notify,
    room: Notify,
}

enum Slot {
    Ready(Started, Response),
    Later(Started, LocalFuture<Step>),
}

/// A request whose turn has come, with its answer if it has one.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) started: Started,
    pub(crate) response: Option<Response>,
}

/// What the writer does next.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Vec<Ended>),
    /// Every answer before the end is sent.
    End(Option<String>),
}

impl Answers {
    pub(crate) fn push(&self, started: Started, response: Response) {
        self.bytes.set(self.bytes.get() + response.total_bytes());
        self.push_slot(Slot::Ready(started, response));
    }

    pub(crate) fn push_later(&self, started: Started, answer: LocalFuture<Step>) {
        self.push_slot(Slot::Later(started, answer));
    }

    fn push_slot(&self, slot: Slot) {
        self.queue.borrow_mut().push_back(slot);
        self.changed.wake_all();
    }

    /// No request follows. What is under way is still answered.
    pub(crate) fn end(&self) {
        self.ended.set(true);
        self.changed.wake_all();
        self.room.wake_all();
    }

    /// As `end`, for what the client did wrong or was told by no other way.
    pub(crate) fn close(&self, why: String) {
        self.close.borrow_mut().get_or_insert(why);
        self.end();
    }

    /// Nobody sends any more: drops what is left. What was appended stays, and is committed; only nobody is told.
    pub(crate) fn abandon(&self) {
        self.ended.set(true);
        let dropped = std::mem::take(&mut *self.queue.borrow_mut());
        drop(dropped);
        self.bytes.set(0);
        self.room.wake_all();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    /// Something under way waits for this broker, not for the client.
    pub(crate) fn waits_for_us(&self) -> bool {
        matches!(self.queue.borrow().front(), Some(Slot::Later(..)))
    }

    pub(crate) fn has_room(&self) -> bool {
        self.queue.borrow().len() < IN_FLIGHT_MAX && self.bytes.get() < ANSWER_BYTES_MAX
    }

    /// Waits until there is room for another request, or none will come.
    pub(crate) async fn room(&self) {
        loop {
            let changed = self.room.wait();
            if self.has_room() || self.is_ended() {
                return;
            }
            changed.await;
        }
    }

    /// Waits until no request follows.
    pub(crate) async fn ended(&self) {
        loop {
            let changed = self.room.wait();
            if self.is_ended() {
                return;
            }
            changed.await;
        }
    }

    /// What is ready at the front of the queue, as much of it as goes well together. For one task.
    pub(crate) async fn next(&self) -> Next {
        loop {
            let mut changed = pin!(self.changed.wait());
            let next = poll_fn(|cx| match self.poll_front(cx) {
                Poll::Ready(next) => Poll::Ready(Some(next)),
                Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
            });
            if let Some(next) = next.await {
                self.room.wake_all();
                return next;
            }
        }
    }

    fn poll_front(&self, cx: &mut Context<'_>) -> Poll<Next> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < TOGETHER_BYTES_MAX {
            let Some(slot) = self.take_front() else { break };
            let (started, polled) = poll_slot(slot, cx);
            match polled {
                Polled::Answer(response) => {
                    bytes += response.total_bytes();
                    batch.push(Ended { started, response: Some(response) });
                }
                Polled::Silent => batch.push(Ended { started, response: None }),
                Polled::Close(why) => {
                    // What comes after it is not answered: the client is to see the end here.
                    self.queue.borrow_mut().clear();
                    self.bytes.set(0);
                    self.close(why);
                    break;
                }
                Polled::Pending(later) => {
                    self.queue.borrow_mut().push_front(Slot::Later(started, later));
                    break;
                }
            }
        }
        if !batch.is_empty() {
            return Poll::Ready(Next::Send(batch));
        }
        if self.is_ended() && self.queue.borrow().is_empty() {
            return Poll::Ready(Next::End(self.close.borrow_mut().take()));
        }
        Poll::Pending
    }

    fn take_front(&self) -> Option<Slot> {
        let slot = self.queue.borrow_mut().pop_front()?;
        if let Slot::Ready(_, response) = &slot {
            self.bytes.set(self.bytes.get() - response.total_bytes());
        }
        Some(slot)
    }
}

enum Polled {
    Answer(Response),
    Silent,
    Close(String),
    Pending(LocalFuture<Step>),
}

fn poll_slot(slot: Slot, cx: &mut Context<'_>) -> (Started, Polled) {
    match slot {
        Slot::Ready(started, response) => (started, Polled::Answer(response)),
        Slot::Later(started, later) => (started, poll_later(later, cx)),
    }
}

fn poll_later(mut later: LocalFuture<Step>, cx: &mut Context<'_>) -> Polled {
    loop {
        match later.as_mut().poll(cx) {
            Poll::Pending => return Polled::Pending(later),
            Poll::Ready(Step::Answer(response)) => return Polled::Answer(response),
            Poll::Ready(Step::Silent) => return Polled::Silent,
            Poll::Ready(Step::Close(why)) => return Polled::Close(why),
            Poll::Ready(Step::Wait(next) | Step::Ordered(next)) => later = next,
        }
    }
}
