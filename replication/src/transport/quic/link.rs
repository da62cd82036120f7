//! A link: a connection whose other end has proved which broker it is. Clones are the same link, and the last one
//! that goes, lanes included, closes it.

use std::{fmt, net::SocketAddr};

use model::BrokerId;
use quinn::Connection;
use rustls::pki_types::CertificateDer;

use super::{
    failure::{self, CloseCode},
    lane::lane,
};
use crate::transport::{
    Lane,
    error::{LinkError, Refusal, Side},
    identity,
    names::ClusterId,
};

#[derive(Clone)]
pub struct PeerLink {
    connection: Connection,
    broker: BrokerId,
}

impl PeerLink {
    /// After the handshake, in which the certificate was verified: whose it is. A stranger's connection is closed.
    pub(super) fn new(
        connection: Connection,
        cluster: ClusterId,
        wanted: Option<BrokerId>,
    ) -> Result<Self, LinkError> {
        match broker_of(&connection, cluster, wanted) {
            Ok(broker) => Ok(Self { connection, broker }),
            Err(why) => {
                let peer = connection.remote_address();
                connection.close(CloseCode::Refused.number(), format!("refused: {why}").as_bytes());
                Err(LinkError::Refused { side: Side::Ours, peer, why })
            }
        }
    }

    pub fn broker(&self) -> BrokerId {
        self.broker
    }

    pub fn address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// A new lane. Of lanes with something to send, those of the highest `priority` go first (0 is the middle). Waits
    /// while there are as many lanes as the peer allows. The other side hears of a lane only when something is sent.
    pub async fn open(&self, priority: i32) -> Result<Lane, LinkError> {
        let (send, receive) = self.connection.open_bi().await.map_err(|e| self.failed(e))?;
        let lane = lane(send, receive, self.address());
        lane.sender.set_priority(priority);
        Ok(lane)
    }

    /// The next lane that the other side has opened, in the order in which it did. Its own direction has priority 0
    /// until told otherwise. May be dropped.
    pub async fn accept(&self) -> Result<Lane, LinkError> {
        let (send, receive) = self.connection.accept_bi().await.map_err(|e| self.failed(e))?;
        Ok(lane(send, receive, self.address()))
    }

    /// Nothing goes over it any more.
    pub fn is_closed(&self) -> bool {
        self.connection.close_reason().is_some()
    }

    /// Waits until the link is no more, and says why. May be dropped.
    pub async fn closed(&self) -> LinkError {
        self.failed(self.connection.closed().await)
    }

    /// At once, for every clone and every lane; what was not acknowledged may be lost.
    pub fn close(&self) {
        self.connection.close(CloseCode::Closed.number(), b"closed");
    }

    pub fn same_as(&self, other: &Self) -> bool {
        self.connection.stable_id() == other.connection.stable_id()
    }

    /// Tells the dialler that it was taken: to it the handshake is over before its certificate has been looked at.
    /// An empty lane, before any other.
    pub(super) async fn greet(&self) -> Result<(), LinkError> {
        let (mut send, _) = self.connection.open_bi().await.map_err(|e| self.failed(e))?;
        // Fails only when the peer stops the stream, whose business this is.
        let _ = send.finish();
        Ok(())
    }

    /// Waits for the above.
    pub(super) async fn greeted(&self) -> Result<(), LinkError> {
        let mut lane = self.accept().await?;
        match lane.receiver.receive(0).await {
            Ok(None) => Ok(()),
            Ok(Some(_))
            | Err(LinkError::FrameTooLarge { .. } | LinkError::FrameCut | LinkError::LaneEnded) => {
                self.connection.close(CloseCode::Broken.number(), b"no greeting");
                Err(LinkError::Broken { peer: self.address(), reason: "it does not greet".to_owned() })
            }
            Err(e) => Err(e),
        }
    }

    fn failed(&self, error: quinn::ConnectionError) -> LinkError {
        failure::connection(error, self.address())
    }
}

impl fmt::Debug for PeerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerLink(broker {} at {})", self.broker, self.address())
    }
}

fn broker_of(
    connection: &Connection,
    cluster: ClusterId,
    wanted: Option<BrokerId>,
) -> Result<BrokerId, Refusal> {
    let shown =
        connection.peer_identity().and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = shown.as_ref().and_then(|chain| chain.first()).ok_or(Refusal::NoCertificate)?;
    let (is, of) = identity::broker_and_cluster(certificate).map_err(Refusal::Names)?;
    if of != cluster {
        return Err(Refusal::OfCluster(of));
    }
    match wanted {
        Some(wanted) if wanted != is => Err(Refusal::OtherBroker { is, wanted }),
        _ => Ok(is),
    }
}
