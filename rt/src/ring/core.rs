//! The ring itself: submission, completion and the end.
//!
//! Pushing an entry only marks the ring dirty and wakes the flusher, a task that runs behind all tasks that are ready
//! now. So one system call submits what a whole turn asked for, and when nothing else is ready it comes at once.
//! Many operations complete within that call; the flusher drains right after it. For the rest the ring's eventfd
//! wakes the executor (see `wake`).
#![allow(unsafe_code)]

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    pin::Pin,
    ptr::NonNull,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use io_uring::{IoUring, cqueue, types};

use super::{
    Registration,
    caps::Caps,
    request::{self, Class, Keep, Request},
    slots::{Completion, OpId, Slots},
};
use crate::{notify::Notify, pages::SLAB_BYTES, timer};

/// Completions taken in one look.
const DRAIN_BATCH: usize = 64;
/// How long the end waits for operations to come back before their memory is given up for lost.
const SHUTDOWN_WAIT_MAX: Duration = Duration::from_secs(2);
/// Of entries whose completion nobody waits for.
const NOBODY: u64 = u64::MAX;

pub(super) struct Core {
    uring: RefCell<IoUring>,
    slots: RefCell<Slots<Keep>>,
    pub(super) caps: Cell<Caps>,
    /// The most storage operations in flight; more wait for `room`.
    depth: usize,
    room: Notify,
    dirty: Cell<bool>,
    flusher: RefCell<Option<Waker>>,
    closed: Cell<bool>,
    /// Of the flusher and the task that waits for completions: how many still run.
    tasks: Cell<usize>,
    tasks_ended: Notify,
    /// The pool's slabs by index.
    pub(super) slabs: RefCell<Vec<Registration>>,
    submits: Cell<u64>,
}

impl Core {
    pub(super) fn new(uring: IoUring, caps: Caps, depth: usize) -> Self {
        Self {
            uring: RefCell::new(uring),
            slots: RefCell::default(),
            caps: Cell::new(caps),
            depth,
            room: Notify::new(),
            dirty: Cell::new(false),
            flusher: RefCell::default(),
            closed: Cell::new(false),
            tasks: Cell::new(2),
            tasks_ended: Notify::new(),
            slabs: RefCell::default(),
            submits: Cell::new(0),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.slots.borrow().in_flight()
    }

    pub(super) fn submits(&self) -> u64 {
        self.submits.get()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Carries a request out. Dropping the future leaves a storage operation running and cancels a network one;
    /// either way its memory stays until the kernel is done.
    pub(super) async fn perform(self: &Rc<Self>, request: Request) -> io::Result<usize> {
        while request.class == Class::Storage && self.slots.borrow().busy() >= self.depth {
            self.room.wait().await;
        }
        if self.closed.get() {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the ring is shut down"));
        }
        let class = request.class;
        let result = Op { core: self, id: self.push(request), class, ended: false }.await;
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result as usize) }
    }

    fn push(&self, request: Request) -> OpId {
        let counted = request.class == Class::Storage;
        let (entry, keep) = request.into_parts();
        let id = self.slots.borrow_mut().insert(keep, counted);
        self.enqueue(entry.user_data(id.0));
        id
    }

    fn enqueue(&self, entry: io_uring::squeue::Entry) {
        while self.uring.borrow_mut().submission().is_full() {
            self.submit_and_drain();
        }
        let mut uring = self.uring.borrow_mut();
        // SAFETY:
        // - an entry comes from a `Request`, whose addresses point into its `Keep`, or from `cancel`, which has none;
        // - the `Keep` is in the slot that the entry's user data names, and stays there until the last completion,
        //   which is the only thing that frees a slot in flight.
        unsafe { uring.submission().push(&entry) }.expect("there was room");
        drop(uring);
        self.mark_dirty();
    }

    fn mark_dirty(&self) {
        if !self.dirty.replace(true)
            && let Some(flusher) = self.flusher.borrow_mut().take()
        {
            flusher.wake();
        }
    }

    /// Submits everything queued, then takes what has completed.
    pub(super) fn submit_and_drain(&self) {
        self.dirty.set(false);
        let outcome = self.uring.borrow().submit();
        self.submits.set(self.submits.get() + 1);
        match outcome {
            Ok(_) => {}
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::EINTR)) => {}
            Err(e) => panic!("the ring refused a submission: {e}"),
        }
        self.drain();
        // Left over after a refusal: the flusher comes again, after other tasks have run.
        if !self.uring.borrow_mut().submission().is_empty() {
            self.mark_dirty();
        }
    }

    /// Takes every completion there is.
    pub(super) fn drain(&self) {
        loop {
            let mut batch = [const { None }; DRAIN_BATCH];
            let mut uring = self.uring.borrow_mut();
            let mut queue = uring.completion();
            assert_eq!(queue.overflow(), 0, "completions were lost");
            let count = batch.iter_mut().zip(&mut queue).map(|(place, entry)| *place = Some(entry)).count();
            drop(queue);
            if count == 0 {
                // Completions beyond the queue wait in the kernel until it is entered.
                if uring.submission().cq_overflow() && uring.submit().is_ok() {
                    continue;
                }
                return;
            }
            drop(uring);
            batch.into_iter().flatten().for_each(|entry: cqueue::Entry| self.complete(&entry));
        }
    }

    fn complete(&self, entry: &cqueue::Entry) {
        if entry.user_data() == NOBODY {
            return;
        }
        let completion = Completion {
            id: OpId(entry.user_data()),
            result: entry.result(),
            more: cqueue::more(entry.flags()),
            notification: cqueue::notif(entry.flags()),
        };
        let effect = self.slots.borrow_mut().complete(completion);
        let effect = effect.expect("a completion names an operation in flight");
        if let Some(waker) = effect.wake {
            waker.wake();
        }
        drop(effect.freed);
        if effect.ended && self.room.waiter_count() > 0 {
            self.room.wake_one();
        }
    }

    /// The task that submits. Ends when the ring is shut down.
    pub(super) async fn run_flusher(self: Rc<Self>) {
        while !self.closed.get() {
            poll_fn(|cx| {
                if self.dirty.get() || self.closed.get() {
                    return Poll::Ready(());
                }
                *self.flusher.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
            self.submit_and_drain();
        }
        self.task_ended();
    }

    pub(super) fn task_ended(&self) {
        self.tasks.set(self.tasks.get() - 1);
        self.tasks_ended.wake_all();
    }

    /// Ends the ring: no new operations, those in flight are cancelled, and all come back before this returns. If
    /// some do not within a bound, `drop` leaves their memory to the kernel. The ring's two tasks end too.
    pub(super) async fn shutdown(&self) {
        self.closed.set(true);
        let until = Instant::now() + SHUTDOWN_WAIT_MAX;
        self.submit_and_drain();
        self.cancel_all();
        while self.in_flight() > 0 && Instant::now() < until {
            self.submit_and_drain();
            timer::sleep(Duration::from_millis(1)).await;
        }
        // Wakes the flusher, and with a completion the task that waits for the eventfd.
        self.enqueue(io_uring::opcode::Nop::new().build().user_data(NOBODY));
        self.submit_and_drain();
        if let Some(flusher) = self.flusher.borrow_mut().take() {
            flusher.wake();
        }
        while self.tasks.get() > 0 {
            self.tasks_ended.wait().await;
        }
    }

    fn cancel_all(&self) {
        let wait = types::Timespec::new().nsec(1_000_000);
        // Fails with "not found", or with "timed out" when an operation takes longer to end: `shutdown` waits.
        let _ = self.uring.borrow().submitter().register_sync_cancel(Some(wait), types::CancelBuilder::any());
        self.drain();
    }

    /// Registers `SLAB_BYTES` at `base` as buffer `index`, or takes that registration back.
    pub(super) fn register_slab(&self, index: usize, base: Option<NonNull<u8>>) -> io::Result<()> {
        let (address, length) =
            base.map_or((std::ptr::null_mut(), 0), |base| (base.as_ptr().cast(), SLAB_BYTES));
        let vector = [libc::iovec { iov_base: address, iov_len: length }];
        let uring = self.uring.borrow();
        // SAFETY:
        // - the kernel pins the memory itself, so that unmapping it later cannot hurt the kernel;
        // - a registered buffer is used only by requests that keep the page, and so the mapping, alive.
        unsafe { uring.submitter().register_buffers_update(index as u32, &vector, None) }
    }

    pub(super) fn register_table(&self, slabs: usize) -> io::Result<()> {
        self.uring.borrow().submitter().register_buffers_sparse(slabs as u32)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.cancel_all();
        if self.in_flight() > 0 {
            // The kernel may still write there: losing the memory is the lesser evil.
            tracing::warn!(operations = self.in_flight(), "a ring ends with operations in flight");
            std::mem::forget(self.slots.take());
        }
    }
}

/// The future of one operation.
struct Op<'a> {
    core: &'a Core,
    id: OpId,
    class: Class,
    ended: bool,
}

impl Future for Op<'_> {
    type Output = i32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<i32> {
        let collected = self.core.slots.borrow_mut().collect(self.id, cx.waker());
        let Some((result, keep)) = collected else { return Poll::Pending };
        self.ended = true;
        drop(keep);
        Poll::Ready(result)
    }
}

impl Drop for Op<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (keep, in_flight) = self.core.slots.borrow_mut().abandon(self.id);
        drop(keep);
        if in_flight && self.class == Class::Network && !self.core.closed.get() {
            self.core.enqueue(request::cancel(self.id).user_data(NOBODY));
        }
    }
}
