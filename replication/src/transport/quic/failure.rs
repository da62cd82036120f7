//! The library's errors in our words.

use std::net::SocketAddr;

use quinn::{
    ApplicationClose, ConnectError, ConnectionClose, ConnectionError, ReadError, TransportErrorCode, VarInt,
    WriteError,
};

use crate::transport::error::{LinkError, Refusal, Side};

/// Of a peer's words no more is kept.
const REASON_CHARACTERS_MAX: usize = 200;

/// Why a link is closed, as the other side is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CloseCode {
    Closed = 0,
    /// The words that go with it say why.
    Refused = 1,
    /// The peer does not keep to the protocol.
    Broken = 2,
}

impl CloseCode {
    pub(super) fn number(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }
}

pub(super) fn connection(error: ConnectionError, peer: SocketAddr) -> LinkError {
    let broken = |reason: String| LinkError::Broken { peer, reason };
    match error {
        ConnectionError::TransportError(e) => match refusal(e.code) {
            Some(why) => LinkError::Refused { side: Side::Ours, peer, why },
            None => broken(e.to_string()),
        },
        ConnectionError::ConnectionClosed(ConnectionClose { error_code, .. }) => match refusal(error_code) {
            Some(why) => LinkError::Refused { side: Side::Theirs, peer, why },
            None => broken(error_code.to_string()),
        },
        ConnectionError::ApplicationClosed(close) => LinkError::EndedByPeer { peer, reason: reason(&close) },
        ConnectionError::Reset => LinkError::EndedByPeer { peer, reason: "it has started anew".to_owned() },
        ConnectionError::TimedOut => LinkError::Silent { peer },
        ConnectionError::LocallyClosed => LinkError::ClosedHere,
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => broken(error.to_string()),
    }
}

pub(super) fn connect(error: &ConnectError, address: SocketAddr) -> LinkError {
    match error {
        ConnectError::EndpointStopping => LinkError::ClosedHere,
        _ => LinkError::Address { address, reason: error.to_string() },
    }
}

pub(super) fn write(error: WriteError, peer: SocketAddr) -> LinkError {
    match error {
        WriteError::ConnectionLost(e) => connection(e, peer),
        WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            LinkError::LaneEnded
        }
    }
}

pub(super) fn read(error: ReadError, peer: SocketAddr) -> LinkError {
    match error {
        ReadError::ConnectionLost(e) => connection(e, peer),
        ReadError::Reset(_) => LinkError::FrameCut,
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            LinkError::LaneEnded
        }
    }
}

/// TLS alerts (RFC 8446, section 6) that say what is wrong with the side they are sent to.
fn refusal(code: TransportErrorCode) -> Option<Refusal> {
    if code == TransportErrorCode::CONNECTION_REFUSED {
        return Some(Refusal::Busy);
    }
    let alert = u64::from(code).checked_sub(0x100)?;
    match alert {
        // bad_certificate: of the names, that of the cluster is looked for.
        42 | 120 => Some(Refusal::OtherCluster),
        45 => Some(Refusal::OutOfTime),
        48 | 51 => Some(Refusal::Stranger),
        116 => Some(Refusal::NoCertificate),
        43 | 44 | 46 | 49 => Some(Refusal::BadCertificate),
        _ => None,
    }
}

fn reason(close: &ApplicationClose) -> String {
    let text = String::from_utf8_lossy(&close.reason);
    let text: String = text.chars().filter(|c| !c.is_control()).take(REASON_CHARACTERS_MAX).collect();
    if text.is_empty() { format!("code {}", close.error_code) } else { text }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn an_alert_is_a_sentence() {
        fn check(alert: u8, expected: Option<Refusal>) {
            assert_eq!(refusal(TransportErrorCode::crypto(alert)), expected, "{alert}");
        }
        check(45, Some(Refusal::OutOfTime));
        check(48, Some(Refusal::Stranger));
        check(120, Some(Refusal::OtherCluster));
        check(80, None);
        assert_eq!(refusal(TransportErrorCode::PROTOCOL_VIOLATION), None);
    }

    #[test]
    fn the_words_of_a_peer_are_kept_short_and_in_one_line() {
        let close = |reason: &[u8]| ApplicationClose {
            error_code: CloseCode::Refused.number(),
            reason: Bytes::copy_from_slice(reason),
        };
        assert_eq!(reason(&close(b"no\nsuch\x1b[2J broker\xff")), "nosuch[2J broker\u{fffd}");
        assert_eq!(reason(&close(&[b'a'; 5000])).len(), REASON_CHARACTERS_MAX);
        assert_eq!(reason(&close(b"")), "code 1");
    }
}
