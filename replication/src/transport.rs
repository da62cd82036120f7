//! How brokers speak to each other: QUIC with certificates on both sides, one endpoint a shard, driven by that shard.
//!
//! A `PeerLink` is a connection to one broker that has proved to be it; a `Lane` is an ordered stream of frames in
//! it. What the frames say is not known here, nor is a partition, nor when to dial whom. `memory` has lanes without a
//! network, for the simulator.
//!
//! `names` is pure. Only `quic` knows which library is below, and nothing of that library is seen from outside.

pub mod authority;
mod error;
mod identity;
mod lane;
pub mod memory;
pub mod names;
mod quic;

#[cfg(test)]
mod tests;

pub use authority::{Authority, AuthorityError, Issued};
pub use error::{BindError, LinkError, Refusal, Side};
pub use identity::{CA_FILE, CERTIFICATE_FILE, Identity, IdentityError, KEY_FILE};
pub use lane::{Lane, LaneReceiver, LaneSender};
pub use names::{ClusterId, NamesError};
pub use quic::{Endpoint, EndpointOptions, PeerLink};
