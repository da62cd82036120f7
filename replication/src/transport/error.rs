//! Why a link or a lane is no more, told for whoever decides what to do next.

use std::{fmt, io, net::SocketAddr, time::Duration};

use model::BrokerId;

use super::names::{ClusterId, NamesError};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LinkError {
    /// Trying again is of no use before somebody has changed a certificate, an address or a clock.
    #[error("{side} {peer}: {why}")]
    Refused { side: Side, peer: SocketAddr, why: Refusal },
    /// Nothing was heard for the idle timeout, or the handshake took too long: the peer is down, or the way to it is.
    #[error("{peer} is silent")]
    Silent { peer: SocketAddr },
    /// The peer has started anew, or closed the link.
    #[error("{peer} ended the link: {reason}")]
    EndedByPeer { peer: SocketAddr, reason: String },
    /// One of the sides does not keep to the protocol.
    #[error("the link to {peer} failed: {reason}")]
    Broken { peer: SocketAddr, reason: String },
    /// By `close` of the link or of its endpoint.
    #[error("the link was closed here")]
    ClosedHere,
    #[error("{address} cannot be dialled: {reason}")]
    Address { address: SocketAddr, reason: String },
    /// The peer takes no more of this lane, or sends no more. The link goes on.
    #[error("the peer ended the lane")]
    LaneEnded,
    /// The lane ended within a frame, on one side or the other. The link goes on.
    #[error("the lane ended within a frame")]
    FrameCut,
    /// The peer announced a frame over the limit. The lane is closed, the link goes on.
    #[error("a frame of {bytes} bytes where {bytes_max} are the most")]
    FrameTooLarge { bytes: usize, bytes_max: usize },
}

/// Who refuses whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    Ours,
    Theirs,
}

/// What is wrong, told of the side that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    #[error("its certificate was not issued by this cluster's CA")]
    Stranger,
    #[error("its certificate has expired or is not valid yet, or a clock is wrong")]
    OutOfTime,
    #[error("it shows no certificate")]
    NoCertificate,
    #[error("its certificate cannot be used between brokers")]
    BadCertificate,
    #[error("it is no broker of this cluster")]
    OtherCluster,
    #[error("it is a broker of cluster {0}")]
    OfCluster(ClusterId),
    #[error("its certificate {0}")]
    Names(NamesError),
    #[error("it is broker {is}, not broker {wanted}")]
    OtherBroker { is: BrokerId, wanted: BrokerId },
    #[error("too many handshakes are under way")]
    Busy,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "refused",
            Self::Theirs => "refused by",
        })
    }
}

/// Why an endpoint could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{address} cannot be listened at for other brokers (UDP): {source}")]
    Socket { address: SocketAddr, source: io::Error },
    #[error("an idle timeout of {0:?} is too long")]
    IdleTimeout(Duration),
    #[error("datagrams of {0} bytes: between 1200 and 65507 are possible")]
    DatagramBytes(u16),
}
