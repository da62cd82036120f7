//! The connections of one shard, from accept to the end. Each shard has its own listener on the same port, so the kernel
//! spreads connections and none changes its shard.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use coordinator::quotas::Rule;
use engine::Disk;
use model::Millis;
use rt::{
    net::{Listener, Stream},
    notify::Notify,
    ring::Ring,
};

use crate::{
    admission::{Admission, Permit},
    connection::Connection,
    quotas::{ClientLimit, charge, charged},
    request::Peer,
    shard::Shard,
};

/// How often idle connections are looked for, at the most.
const SWEEP_MAX: Duration = Duration::from_secs(10);
/// While a shard has no room: how often clients that hold it up are looked for, and how long each may take nothing.
const STUCK_SWEEP: Duration = Duration::from_millis(250);
const STUCK_PATIENCE: Duration = Duration::from_secs(1);
/// Pause after accepting failed for a reason that may stay.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

pub struct Server<D: Disk> {
    shard: Rc<Shard<D>>,
    ring: Ring,
    admission: Arc<Admission>,
    connections: RefCell<BTreeMap<u64, Rc<Connection<D>>>>,
    next: Cell<u64>,
    stopping: Cell<bool>,
    changed: Notify,
}

impl<D: Disk> Server<D> {
    pub fn new(shard: Rc<Shard<D>>, ring: Ring, admission: Arc<Admission>) -> Rc<Self> {
        Rc::new(Self {
            shard,
            ring,
            admission,
            connections: RefCell::default(),
            next: Cell::new(0),
            stopping: Cell::new(false),
            changed: Notify::new(),
        })
    }

    pub fn connection_count(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Accepts until `stop`. `name` is the listener's in the configuration; answers name addresses of that listener.
    pub async fn run_listener(self: &Rc<Self>, listener: Listener, name: &str) {
        let name: Rc<str> = name.into();
        while let Some(accepted) = self.accept(&listener).await {
            match accepted {
                Ok((stream, address)) => self.admit(stream, address, &name),
                Err(error) => {
                    tracing::error!(listener = %name, %error, "accepting failed, trying again");
                    rt::timer::sleep(FAILED_PAUSE).await;
                }
            }
            rt::yield_if_needed().await;
        }
    }

    /// `None` when the server stops.
    async fn accept(&self, listener: &Listener) -> Option<io::Result<(Stream, SocketAddr)>> {
        loop {
            let mut changed = pin!(self.changed.wait());
            if self.stopping.get() {
                return None;
            }
            let mut accepted = pin!(listener.accept(&self.ring));
            let outcome = poll_fn(|cx| match accepted.as_mut().poll(cx) {
                Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
                Poll::Pending => changed.as_mut().poll(cx).map(|()| None),
            });
            if let Some(accepted) = outcome.await {
                return Some(accepted);
            }
        }
    }

    fn admit(self: &Rc<Self>, stream: Stream, address: SocketAddr, listener: &Rc<str>) {
        let Some(permit) = self.admission.enter(address.ip()) else {
            self.shard.metrics().connections_refused.add(1);
            tracing::debug!(peer = %address, "connection refused: too many, in all or from this address");
            return;
        };
        let Ok(local) = stream.local_addr() else { return };
        let peer = Peer::new(address, listener.clone(), local.ip().to_canonical());
        match self.shard.quotas().connection_limit(address.ip()) {
            None => self.begin(stream, peer, permit),
            Some(limit) => {
                let server = self.clone();
                rt::spawn(async move { server.begin_within(&limit, stream, peer, permit).await });
            }
        }
    }

    /// Above its address's rate (KIP-612) a connection gets nothing, and ends after the time to wait: who tries again at
    /// once is to lose some time by it.
    async fn begin_within(self: &Rc<Self>, limit: &ClientLimit, stream: Stream, peer: Peer, permit: Permit) {
        let charged = charged(charge(&self.shard, limit, 1.0, Rule::Withhold)).await;
        if charged.granted && !self.stopping.get() {
            return self.begin(stream, peer, permit);
        }
        self.shard.metrics().connections_refused.add(1);
        tracing::debug!(peer = %peer.address, "connection refused: above the rate of its address");
        rt::timer::sleep(charged.wait.min(self.shard.quotas().window())).await;
    }

    fn begin(self: &Rc<Self>, stream: Stream, peer: Peer, permit: Permit) {
        let connection = Rc::new(Connection::new(self.shard.clone(), stream, peer));
        let number = self.next.replace(self.next.get() + 1);
        self.connections.borrow_mut().insert(number, connection.clone());
        self.shard.metrics().connections_opened.add(1);
        let reader = connection.clone();
        rt::spawn(async move { reader.read().await });
        let server = self.clone();
        rt::spawn(async move {
            connection.write().await;
            server.ended(number, permit);
        });
    }

    fn ended(&self, number: u64, permit: Permit) {
        drop(permit);
        self.connections.borrow_mut().remove(&number);
        self.shard.metrics().connections_closed.add(1);
        if self.stopping.get() {
            self.changed.wake_all();
        }
    }

    /// Ends connections that nobody uses (`connections.max.idle.ms`), for ever. One pump a shard.
    pub async fn run_idle(&self) {
        loop {
            let idle = self.shard.config().connections_max_idle_ms;
            // Not positive: never.
            let idle =
                u64::try_from(idle).ok().filter(|&ms| ms > 0).map_or(Duration::MAX, Duration::from_millis);
            rt::timer::sleep((idle / 4).clamp(Duration::from_millis(10), SWEEP_MAX)).await;
            self.cut_idle(self.shard.clock().now(), idle);
        }
    }

    fn cut_idle(&self, now: Millis, idle: Duration) {
        let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        let before = Millis(now.0.saturating_sub(idle));
        for connection in self.connections.borrow().values().filter(|c| c.is_idle_since(before)) {
            tracing::debug!(peer = %connection.peer().address, "connection closed: idle");
            connection.cut();
        }
    }

    /// Answers lie in the pages they were read from until the client has taken them. When that leaves a shard no room
    /// for anybody, clients that take nothing lose their connection, for ever. One pump a shard.
    pub async fn run_stuck(&self) {
        loop {
            self.shard.starved().await;
            while !self.shard.has_room() && self.shard.store().failure().is_none() {
                rt::timer::sleep(STUCK_SWEEP).await;
                self.cut_stuck(self.shard.clock().now());
            }
        }
    }

    fn cut_stuck(&self, now: Millis) {
        for connection in self.connections.borrow().values().filter(|c| c.is_stuck(now, STUCK_PATIENCE)) {
            self.shard.metrics().connections_stuck.add(1);
            tracing::warn!(
                peer = %connection.peer().address, client = %connection.peer().software(),
                "connection closed: the client reads nothing, and its answer holds memory that others wait for"
            );
            connection.abort();
        }
    }

    /// Accepts nothing more, lets requests under way end, and returns when no connection is left or `patience` is over;
    /// then the rest is cut.
    pub async fn stop(&self, patience: Duration) {
        self.stopping.set(true);
        self.changed.wake_all();
        self.connections.borrow().values().for_each(|connection| connection.stop());
        let all_gone = async {
            loop {
                let changed = self.changed.wait();
                if self.connections.borrow().is_empty() {
                    return;
                }
                changed.await;
            }
        };
        if rt::timer::timeout(patience, all_gone).await.is_none() {
            self.connections.borrow().values().for_each(|connection| connection.cut());
        }
    }
}
