//! Accepting connections. Each shard may have its own listener on one port (`reuse_port`); the kernel spreads.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::stream::Stream;
use crate::{fd::Fd, ring::Ring, timer};

/// Pause after the process or the system ran out of descriptors: accepting again at once would fail again.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug)]
pub struct ListenOptions {
    /// Several listeners may bind the same port.
    pub reuse_port: bool,
    pub backlog: i32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { reuse_port: true, backlog: 1024 }
    }
}

#[derive(Clone, Debug)]
pub struct Listener(Fd);

impl Listener {
    pub fn bind(address: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(options.reuse_port)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        // Unlike connections: the ring only waits for a listener, and accepting itself must never wait.
        socket.set_nonblocking(true)?;
        Ok(Self(Fd::new(socket)))
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        address_of(SockRef::from(&self.0).local_addr()?)
    }

    /// The next connection. Errors of a single connection are skipped, and while there are no descriptors left this
    /// waits. May be dropped at any time without losing a connection.
    pub async fn accept(&self, ring: &Ring) -> io::Result<(Stream, SocketAddr)> {
        loop {
            let e = match SockRef::from(&self.0).accept() {
                Ok((socket, peer)) => return Ok((Stream::new(ring, Fd::new(socket))?, address_of(peer)?)),
                Err(e) => e,
            };
            match e.raw_os_error() {
                Some(libc::EAGAIN) => drop(ring.poll(&self.0, libc::POLLIN).await?),
                Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                    tracing::warn!(error = %e, "accepting waits: out of descriptors or memory");
                    timer::sleep(EXHAUSTED_PAUSE).await;
                }
                // The peer or the network took the connection back before it was accepted (see accept(2)).
                Some(
                    libc::ECONNABORTED
                    | libc::EINTR
                    | libc::EPERM
                    | libc::EPROTO
                    | libc::ENETDOWN
                    | libc::ENETUNREACH
                    | libc::EHOSTDOWN
                    | libc::EHOSTUNREACH
                    | libc::ENONET
                    | libc::ENOPROTOOPT
                    | libc::EOPNOTSUPP,
                ) => {}
                _ => return Err(e),
            }
        }
    }
}

pub(super) fn address_of(address: socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::other("the peer has no IP address"))
}

/// The options of every connection. Without Nagle's algorithm: answers are written whole.
pub(super) fn prepare(fd: &Fd) -> io::Result<()> {
    SockRef::from(fd).set_tcp_nodelay(true)
}
