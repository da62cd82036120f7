//! Datagrams in and out: plain system calls that send and receive many at a time, and the shard's ring to wait.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use rt::{
    net::Readiness,
    notify::{Notify, Wait},
    ring::Ring,
};
use send_wrapper::SendWrapper;

/// What UDP over IPv4 can carry, and so what one call may send or receive, however many datagrams it is cut into.
const CALL_BYTES_MAX: usize = 65_507;

pub(super) struct ShardSocket {
    address: SocketAddr,
    /// The largest datagram either side sends.
    datagram_bytes: usize,
    local: SendWrapper<Rc<Local>>,
}

/// Of the shard's thread.
struct Local {
    open: RefCell<Option<Open>>,
    /// The last send found the kernel's buffer full. The library asks whether it may send before each send, not only
    /// after such a one, and must not wait then.
    blocked: Cell<bool>,
    unblocked: Notify,
}

struct Open {
    socket: UdpSocket,
    state: UdpSocketState,
    readiness: Rc<Readiness>,
}

impl ShardSocket {
    pub(super) fn new(ring: &Ring, socket: UdpSocket, datagram_bytes: u16) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let state = UdpSocketState::new((&socket).into())?;
        let readiness = Rc::new(Readiness::new(ring, &socket)?);
        let open = RefCell::new(Some(Open { socket, state, readiness }));
        let local = Rc::new(Local { open, blocked: Cell::new(false), unblocked: Notify::new() });
        Ok(Self { address, datagram_bytes: datagram_bytes.into(), local: SendWrapper::new(local) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address is free again when this returns, whoever still has the socket. It is silent from then on.
    pub(super) async fn close(&self) {
        let open = self.local.open.borrow_mut().take();
        let Some(Open { readiness, .. }) = open else { return };
        if let Err(error) = readiness.shutdown() {
            tracing::warn!(%error, address = %self.address, "a socket did not end in order");
            return;
        }
        // In place of whoever began to wait.
        let _ = readiness.readable().await;
        loop {
            let unblocked = self.local.unblocked.wait();
            if !self.local.blocked.get() {
                return;
            }
            unblocked.await;
        }
    }

    fn with<T>(&self, act: impl FnOnce(&Open) -> T, closed: T) -> T {
        self.local.open.borrow().as_ref().map_or(closed, act)
    }
}

impl Local {
    /// Rare, so a task may wait for it, on behalf of every connection.
    fn block(self: &Rc<Self>, readiness: &Rc<Readiness>) {
        if self.blocked.replace(true) {
            return;
        }
        let (local, readiness) = (self.clone(), readiness.clone());
        rt::spawn(async move {
            // After an error a try tells more.
            let _ = readiness.writable().await;
            drop(readiness);
            local.blocked.set(false);
            local.unblocked.wake_all();
        });
    }
}

impl AsyncUdpSocket for ShardSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(ShardPoller { socket: self, wait: SendWrapper::new(None) })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let send = |open: &Open| {
            let sent = open.state.send((&open.socket).into(), transmit);
            if sent.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
                self.local.block(&open.readiness);
            }
            sent
        };
        self.with(send, Ok(()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let receive = |open: &Open| {
            loop {
                match open.state.recv((&open.socket).into(), buffers, meta) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    done => return Poll::Ready(done),
                }
                // Ready: something has come since.
                match open.readiness.poll_readable(cx) {
                    Poll::Ready(Ok(())) => {}
                    other => return other.map_ok(|()| 0),
                }
            }
        };
        self.with(receive, Poll::Pending)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    /// A call that sends more than a datagram can carry in all fails, and the library takes that for a datagram that
    /// the path does not carry: everything would be lost in silence.
    fn max_transmit_segments(&self) -> usize {
        let fit = (CALL_BYTES_MAX / self.datagram_bytes).max(1);
        self.with(|open| open.state.max_gso_segments().min(fit), 1)
    }

    /// The library makes room for so many of the largest datagrams; what the kernel joins is never longer than one
    /// datagram can be.
    fn max_receive_segments(&self) -> usize {
        let fill = CALL_BYTES_MAX.div_ceil(self.datagram_bytes);
        self.with(|open| open.state.gro_segments().min(fill), 1)
    }

    fn may_fragment(&self) -> bool {
        self.with(|open| open.state.may_fragment(), true)
    }
}

impl fmt::Debug for ShardSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardSocket({})", self.address)
    }
}

/// One for each connection.
struct ShardPoller {
    socket: Arc<ShardSocket>,
    wait: SendWrapper<Option<Wait>>,
}

impl UdpPoller for ShardPoller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let local = self.socket.local.clone();
        while local.blocked.get() {
            let wait = self.wait.get_or_insert_with(|| local.unblocked.wait());
            if Pin::new(wait).poll(cx).is_pending() {
                return Poll::Pending;
            }
            *self.wait = None;
        }
        *self.wait = None;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ShardPoller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShardPoller({})", self.socket.address)
    }
}
