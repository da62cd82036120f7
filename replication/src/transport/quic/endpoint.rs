//! An endpoint: one UDP port of a shard, by which its links come and go.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
};

use model::BrokerId;
use quinn::{ClientConfig, Connecting, Incoming};
use rt::{
    net::{UdpOptions, bind_udp},
    notify::Notify,
    ring::Ring,
    timer,
};

use super::{
    failure::{self, CloseCode},
    link::PeerLink,
    runtime::ShardRuntime,
    settings::{EndpointOptions, Settings},
    socket::ShardSocket,
};
use crate::transport::{
    error::{BindError, LinkError},
    identity::{Identity, server_name},
    names::ClusterId,
};

/// Peers whose handshake is under way or that nobody has accepted yet. More are refused.
const HANDSHAKES_MAX: usize = 256;
/// From here on a peer must first show that it gets what is sent to its address.
const HANDSHAKES_UNPROVEN_MAX: usize = 32;

/// Dropped without `close`, it tells its peers, and its address is free some time later.
pub struct Endpoint {
    /// `None` once it is closed.
    quic: RefCell<Option<quinn::Endpoint>>,
    socket: Arc<ShardSocket>,
    client: ClientConfig,
    cluster: ClusterId,
    options: EndpointOptions,
    arrivals: Rc<Arrivals>,
}

/// Peers that dial us.
#[derive(Default)]
struct Arrivals {
    done: RefCell<VecDeque<Result<PeerLink, LinkError>>>,
    /// Those in `done` included.
    count: Cell<usize>,
    closed: Cell<bool>,
    changed: Notify,
}

impl Endpoint {
    /// On the shard whose `ring` it is. Port 0: any that is free.
    pub fn bind(
        ring: &Ring,
        address: SocketAddr,
        identity: &Identity,
        options: EndpointOptions,
    ) -> Result<Rc<Self>, BindError> {
        let settings = Settings::new(identity, options)?;
        let buffers = UdpOptions {
            receive_buffer_bytes: options.receive_buffer_bytes,
            send_buffer_bytes: options.send_buffer_bytes,
        };
        let failed = |source| BindError::Socket { address, source };
        let socket = bind_udp(address, buffers).map_err(failed)?;
        let socket = Arc::new(ShardSocket::new(ring, socket, options.datagram_bytes).map_err(failed)?);
        let quic = quinn::Endpoint::new_with_abstract_socket(
            settings.endpoint,
            Some(settings.server),
            socket.clone(),
            Arc::new(ShardRuntime),
        );
        let quic = quic.map_err(failed)?;
        let endpoint = Rc::new(Self {
            quic: RefCell::new(Some(quic.clone())),
            socket,
            client: settings.client,
            cluster: identity.cluster,
            options,
            arrivals: Rc::default(),
        });
        rt::spawn(endpoint.arrivals.clone().run(quic, endpoint.cluster, options));
        Ok(endpoint)
    }

    pub fn local_address(&self) -> SocketAddr {
        self.socket.address()
    }

    /// The next peer that has dialled us: a link to a broker of this cluster, or why there is none. `None`: the
    /// endpoint is closed. May be dropped without losing a peer.
    pub async fn accept(&self) -> Option<Result<PeerLink, LinkError>> {
        loop {
            let changed = self.arrivals.changed.wait();
            if let Some(peer) = self.arrivals.done.borrow_mut().pop_front() {
                self.arrivals.leave();
                return Some(peer);
            }
            if self.arrivals.closed.get() {
                return None;
            }
            changed.await;
        }
    }

    /// Dials `broker`, and returns when both sides know who the other is.
    pub async fn connect(&self, address: SocketAddr, broker: BrokerId) -> Result<PeerLink, LinkError> {
        let connecting = {
            let quic = self.quic.borrow();
            let quic = quic.as_ref().ok_or(LinkError::ClosedHere)?;
            let name = server_name(self.cluster);
            quic.connect_with(self.client.clone(), address, &name)
                .map_err(|e| failure::connect(&e, address))?
        };
        let handshake = async {
            let connection = connecting.await.map_err(|e| failure::connection(e, address))?;
            let link = PeerLink::new(connection, self.cluster, Some(broker))?;
            link.greeted().await?;
            Ok(link)
        };
        let silent = Err(LinkError::Silent { peer: address });
        timer::timeout(self.options.handshake_timeout, handshake).await.unwrap_or(silent)
    }

    /// Closes every link, tells the peers, and gives the address back. Peers that are silent are waited for a moment.
    pub async fn close(&self) {
        let quic = self.quic.take();
        let Some(quic) = quic else { return };
        quic.close(CloseCode::Closed.number(), b"the broker stops");
        quic.wait_idle().await;
        drop(quic);
        self.socket.close().await;
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(quic) = self.quic.take() {
            quic.close(CloseCode::Closed.number(), b"the broker stops");
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({})", self.local_address())
    }
}

impl Arrivals {
    /// Until the endpoint is closed. Each handshake is a task of its own, so that none waits for another.
    async fn run(self: Rc<Self>, quic: quinn::Endpoint, cluster: ClusterId, options: EndpointOptions) {
        while let Some(incoming) = quic.accept().await {
            let Some(incoming) = self.admit(incoming) else { continue };
            self.count.set(self.count.get() + 1);
            let peer = incoming.remote_address();
            // Some are refused for their first datagram: whoever is of another cluster.
            let connecting = match incoming.accept() {
                Ok(connecting) => connecting,
                Err(e) => {
                    self.arrive(Err(failure::connection(e, peer)));
                    continue;
                }
            };
            let this = self.clone();
            rt::spawn(async move {
                let handshake = timer::timeout(options.handshake_timeout, shake_hands(connecting, cluster));
                let outcome = handshake.await.unwrap_or(Err(LinkError::Silent { peer }));
                this.arrive(outcome);
            });
        }
        self.closed.set(true);
        self.changed.wake_all();
    }

    fn admit(&self, incoming: Incoming) -> Option<Incoming> {
        let count = self.count.get();
        if count >= HANDSHAKES_MAX {
            incoming.refuse();
            return None;
        }
        if count >= HANDSHAKES_UNPROVEN_MAX && !incoming.remote_address_validated() {
            // Fails only for an address that has been validated.
            let _ = incoming.retry();
            return None;
        }
        Some(incoming)
    }

    fn arrive(&self, outcome: Result<PeerLink, LinkError>) {
        if self.closed.get() {
            return self.leave();
        }
        self.done.borrow_mut().push_back(outcome);
        self.changed.wake_one();
    }

    fn leave(&self) {
        self.count.set(self.count.get() - 1);
    }
}

async fn shake_hands(connecting: Connecting, cluster: ClusterId) -> Result<PeerLink, LinkError> {
    let peer = connecting.remote_address();
    let connection = connecting.await.map_err(|e| failure::connection(e, peer))?;
    let link = PeerLink::new(connection, cluster, None)?;
    link.greet().await?;
    Ok(link)
}
