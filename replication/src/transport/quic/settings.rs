//! How the links of an endpoint behave.

use std::{sync::Arc, time::Duration};

use quinn::{
    AckFrequencyConfig, ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout,
    MtuDiscoveryConfig, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};

use ring::rand::{SecureRandom, SystemRandom};

use crate::transport::{Identity, error::BindError};

/// Lanes that one side may have opened at a time in a link.
const LANES_MAX: u32 = 256;
/// What one lane may have under way, and what all of a link may: a lane that nobody reads stops its sender there.
const LANE_WINDOW: u32 = 8 << 20;
const LINK_WINDOW: u32 = 32 << 20;
const _: () = assert!(LANE_WINDOW < LINK_WINDOW);
/// Of a connection id.
const ID_BYTES: usize = 8;
/// Brokers are near each other: a lost first datagram is sent again after three times this.
const INITIAL_RTT: Duration = Duration::from_millis(100);
/// Every path carries so much (RFC 9000, section 14), and UDP over IPv4 no more.
const DATAGRAM_BYTES: std::ops::RangeInclusive<u16> = 1200..=65_507;

#[derive(Clone, Copy, Debug)]
pub struct EndpointOptions {
    /// A link on which nothing was heard for so long is lost. The smaller of both sides' values holds.
    pub idle_timeout: Duration,
    /// A link on which nothing was sent for so long is asked whether it is alive. Well below `idle_timeout`.
    pub keep_alive: Duration,
    /// From the first datagram until both sides know who the other is.
    pub handshake_timeout: Duration,
    /// Of the socket, each way.
    pub receive_buffer_bytes: usize,
    pub send_buffer_bytes: usize,
    /// The largest datagram to try; what the path carries is found out. The default is what jumbo frames hold.
    pub datagram_bytes: u16,
}

impl Default for EndpointOptions {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(9),
            keep_alive: Duration::from_secs(2),
            handshake_timeout: Duration::from_secs(5),
            receive_buffer_bytes: 8 << 20,
            send_buffer_bytes: 4 << 20,
            datagram_bytes: 8952,
        }
    }
}

pub(super) struct Settings {
    pub(super) endpoint: EndpointConfig,
    pub(super) server: ServerConfig,
    pub(super) client: ClientConfig,
}

impl Settings {
    pub(super) fn new(identity: &Identity, options: EndpointOptions) -> Result<Self, BindError> {
        if !DATAGRAM_BYTES.contains(&options.datagram_bytes) {
            return Err(BindError::DatagramBytes(options.datagram_bytes));
        }
        let transport = Arc::new(transport(options)?);
        // Both are TLS 1.3 with the suites of the one crypto library, which is all that can be wrong here.
        let server = QuicServerConfig::try_from(identity.server.clone()).expect("QUIC knows these suites");
        let mut server = ServerConfig::with_crypto(Arc::new(server));
        server.transport_config(transport.clone()).migration(false);
        let client = QuicClientConfig::try_from(identity.client.clone()).expect("QUIC knows these suites");
        let mut client = ClientConfig::new(Arc::new(client));
        client.transport_config(transport);
        Ok(Self { endpoint: endpoint(identity, options.datagram_bytes), server, client })
    }
}

/// A broker that has started anew says so to whoever still sends to it as it was before: the key of "stateless reset"
/// (RFC 9000, section 10.3) is the same in every life.
fn endpoint(identity: &Identity, datagram_bytes: u16) -> EndpointConfig {
    let derived = ring::hmac::sign(&identity.secret, b"tailrace stateless reset");
    let reset = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, derived.as_ref());
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(|| Box::new(RandomIds(SystemRandom::new())));
    config.max_udp_payload_size(datagram_bytes).expect("in range");
    config
}

/// Unlike the library's own, which carry a sign of the life they are from: those of an earlier one would be passed
/// over in silence.
struct RandomIds(SystemRandom);

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; ID_BYTES];
        self.0.fill(&mut id).expect("the kernel has random bytes");
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

fn transport(options: EndpointOptions) -> Result<TransportConfig, BindError> {
    let idle = IdleTimeout::try_from(options.idle_timeout)
        .map_err(|_| BindError::IdleTimeout(options.idle_timeout))?;
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(options.datagram_bytes);
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(options.keep_alive))
        .max_concurrent_bidi_streams(VarInt::from_u32(LANES_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(LANE_WINDOW))
        .receive_window(VarInt::from_u32(LINK_WINDOW))
        .send_window(LINK_WINDOW.into())
        .initial_rtt(INITIAL_RTT)
        .mtu_discovery_config(Some(discovery))
        // One acknowledgement for ten datagrams instead of two.
        .ack_frequency_config(Some(AckFrequencyConfig::default()));
    Ok(config)
}
