//! A connection. Clones are the same connection: one task reads and one writes.

use std::{
    cell::Cell,
    fmt, io,
    net::{Shutdown, SocketAddr},
    rc::Rc,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{
    listener::{address_of, prepare},
    socket,
};
use crate::{
    fd::Fd,
    ring::{
        Ring,
        message::{Message, OutPart},
    },
};

/// From this size on `send_vectored` asks for zero copy. Below, pinning pages and the second completion cost more
/// than the copy. The figure is a first guess and hangs on the network card.
pub const ZERO_COPY_MIN: usize = 32 << 10;

#[derive(Clone)]
pub struct Stream(Rc<Inner>);

struct Inner {
    fd: Fd,
    ring: Ring,
    peer: SocketAddr,
    sending: Cell<Sending>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Idle,
    Busy,
    /// A send was dropped half way or failed: the peer has a part of a message, and nothing may follow it.
    Broken,
}

impl Stream {
    pub(super) fn new(ring: &Ring, fd: Fd) -> io::Result<Self> {
        prepare(&fd)?;
        let peer = address_of(SockRef::from(&fd).peer_addr()?)?;
        Ok(Self(Rc::new(Inner { fd, ring: ring.clone(), peer, sending: Cell::new(Sending::Idle) })))
    }

    pub async fn connect(ring: &Ring, to: SocketAddr) -> io::Result<Self> {
        let fd = Fd::new(Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?);
        ring.connect(&fd, to.into()).await?;
        Self::new(ring, fd)
    }

    pub fn peer_addr(&self) -> SocketAddr {
        self.0.peer
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        address_of(SockRef::from(&self.0.fd).local_addr()?)
    }

    /// `WouldBlock` when nothing is there; 0 when the peer will send no more.
    pub fn try_recv(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match socket::receive(&self.0.fd, into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits until `try_recv` has something to say. May be dropped.
    pub async fn readable(&self) -> io::Result<()> {
        self.0.ring.poll(&self.0.fd, libc::POLLIN | libc::POLLRDHUP).await.map(drop)
    }

    /// Waits until the peer will send no more, whether or not there is something to read. May be dropped.
    pub async fn hung_up(&self) -> io::Result<()> {
        self.0.ring.poll(&self.0.fd, libc::POLLRDHUP).await.map(drop)
    }

    async fn writable(&self) -> io::Result<()> {
        self.0.ring.poll(&self.0.fd, libc::POLLOUT).await.map(drop)
    }

    /// At least one byte, or 0 at the end. May be dropped without losing any.
    pub async fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.try_recv(into) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.readable().await?,
                outcome => return outcome,
            }
        }
    }

    /// Sends all of `bytes`. Not to be dropped: a connection that got half a message takes no other.
    pub async fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        let turn = Turn::begin(&self.0)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            match socket::send(&self.0.fd, rest) {
                Ok(count) => rest = &rest[count..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable().await?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        turn.end();
        Ok(())
    }

    /// Sends `header`, then `parts`, all of it and in order. Pages are held until the kernel has let go of them,
    /// which may be after this returns. Not to be dropped, as `send_all`.
    pub async fn send_vectored(&self, header: Vec<u8>, parts: Vec<OutPart>) -> io::Result<()> {
        let turn = Turn::begin(&self.0)?;
        let parts: Rc<[OutPart]> = std::iter::once(OutPart::Owned(header)).chain(parts).collect();
        let mut sent = 0;
        let mut zero_copy = self.0.ring.caps().zero_copy;
        while let Some(message) = Message::after(&parts, sent) {
            zero_copy &= message.len() >= ZERO_COPY_MIN;
            match self.send_some(message, zero_copy).await {
                Ok(count) => sent += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // No more memory may be pinned for this socket now: copy instead.
                Err(e) if zero_copy && matches!(e.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM)) => {
                    zero_copy = false;
                }
                Err(e) => return Err(e),
            }
        }
        turn.end();
        Ok(())
    }

    /// Small messages go by a plain call first, and what the socket does not take at once goes through the ring.
    async fn send_some(&self, message: Box<Message>, zero_copy: bool) -> io::Result<usize> {
        if !zero_copy {
            match socket::send_message(&self.0.fd, &message) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
        self.0.ring.send(&self.0.fd, message, zero_copy).await
    }

    /// Ends both directions at once: the peer reads the end, and a task that waits in `recv` here wakes.
    pub fn shutdown(&self) -> io::Result<()> {
        match SockRef::from(&self.0.fd).shutdown(Shutdown::Both) {
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            outcome => outcome,
        }
    }

    /// Bytes that the peer's kernel has taken: while a send is under way, how far it got.
    pub fn acknowledged_bytes(&self) -> io::Result<u64> {
        socket::acknowledged_bytes(&self.0.fd)
    }

    /// As `shutdown`, and what was not sent yet is dropped instead of tried for minutes: pages in it come back, also
    /// while others still have this stream.
    pub fn abort(&self) -> io::Result<()> {
        socket::disconnect(&self.0.fd)?;
        self.shutdown()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({})", self.0.peer)
    }
}

/// One send at a time; a send that does not reach `end` breaks the connection for those after it.
struct Turn<'a>(Option<&'a Inner>);

impl<'a> Turn<'a> {
    fn begin(inner: &'a Inner) -> io::Result<Self> {
        match inner.sending.replace(Sending::Busy) {
            Sending::Idle => Ok(Self(Some(inner))),
            Sending::Busy => panic!("two tasks send on one connection"),
            Sending::Broken => {
                inner.sending.set(Sending::Broken);
                Err(io::Error::new(io::ErrorKind::BrokenPipe, "an earlier send ended half way"))
            }
        }
    }

    fn end(mut self) {
        if let Some(inner) = self.0.take() {
            inner.sending.set(Sending::Idle);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(inner) = self.0 {
            inner.sending.set(Sending::Broken);
        }
    }
}
