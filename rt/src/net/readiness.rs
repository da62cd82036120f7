//! Waiting for a socket that somebody else reads and writes with calls of his own, as a QUIC library does with UDP.
//!
//! A wait that is begun stays with the ring until it ends, whoever polls for it. So the way to use it is to call until
//! the socket says "would block", and only then to poll here.

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    io,
    net::Shutdown,
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll},
};

use socket2::SockRef;

use crate::{fd::Fd, ring::Ring};

pub struct Readiness {
    ring: Ring,
    fd: Fd,
    readable: Waiting,
    writable: Waiting,
}

#[derive(Default)]
struct Waiting(RefCell<Option<Wait>>);

type Wait = Pin<Box<dyn Future<Output = io::Result<i16>>>>;

impl Readiness {
    /// Of a duplicate of `socket`'s descriptor, so the two may end in any order.
    pub fn new(ring: &Ring, socket: &impl AsFd) -> io::Result<Self> {
        let fd = Fd::new(socket.as_fd().try_clone_to_owned()?);
        Ok(Self { ring: ring.clone(), fd, readable: Waiting::default(), writable: Waiting::default() })
    }

    /// Ready: it is worth a try, also after an error of the socket, which the try will tell. For one task at a time.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(&self.readable, libc::POLLIN, cx)
    }

    /// As `poll_readable`.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(&self.writable, libc::POLLOUT, cx)
    }

    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_readable(cx)).await
    }

    pub async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_writable(cx)).await
    }

    /// Ends the socket for everybody: whoever waits is ready, now and later, and every try says why. Once the waits
    /// have been polled to their end, the ring holds the descriptor no longer.
    pub fn shutdown(&self) -> io::Result<()> {
        match SockRef::from(&self.fd).shutdown(Shutdown::Both) {
            // What the kernel says of UDP without a peer, after it has woken whoever waits.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            outcome => outcome,
        }
    }

    fn poll(&self, waiting: &Waiting, events: i16, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut place = waiting.0.borrow_mut();
        let wait = place.get_or_insert_with(|| {
            let (ring, fd) = (self.ring.clone(), self.fd.clone());
            Box::pin(async move { ring.poll(&fd, events).await })
        });
        let polled = wait.as_mut().poll(cx);
        if polled.is_ready() {
            *place = None;
        }
        polled.map_ok(drop)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readiness")
    }
}
