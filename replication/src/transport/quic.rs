//! The one place that knows the QUIC library: an endpoint, its links and their lanes. Lives on the shard that made
//! it; nothing here starts a thread.
//!
//! ```text
//!   endpoint ---- runtime   tasks and timers of the shard
//!      |    \---- socket    datagrams through the shard's ring
//!      |    \---- failure   the library's errors in our words
//!    link                   a broker that has proved who it is
//!      |
//!    lane                   frames, in order
//! ```

mod endpoint;
mod failure;
mod lane;
mod link;
mod runtime;
mod settings;
mod socket;

pub use endpoint::Endpoint;
pub(super) use lane::{LaneReceiver, LaneSender};
pub use link::PeerLink;
pub use settings::EndpointOptions;
