//! TCP on one shard, and UDP sockets for those who read and write them with calls of their own.
//!
//! A call that can be answered now is a plain system call; only when the socket is not ready does the ring wait for
//! it. So an idle connection holds no buffer, only one operation in flight.

mod listener;
mod readiness;
mod socket;
mod stream;
mod udp;

pub use crate::ring::message::OutPart;
pub use listener::{ListenOptions, Listener};
pub use readiness::Readiness;
pub use stream::{Stream, ZERO_COPY_MIN};
pub use udp::{UdpOptions, bind_udp};
