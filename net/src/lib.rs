//! The Kafka protocol at the edge of the house: the wire codec, connections, one handler file an API, and the messages
//! by which shards share the work of a request.
//!
//! A connection lives on one shard, a partition on one shard, not always the same. A request is decoded where it came
//! in, asked of each owning shard at most once, and answered where it came in. What a handler does is in `handlers`,
//! what the owner of a partition does for it in `owner`; `shard` is what both stand on. Sockets are met only in
//! `listener` and `connection`, so handlers are tested, and simulated, without any.

pub mod admission;
pub mod ask;
pub mod clock;
pub mod control;
pub mod errors;
pub mod groups;
pub mod handlers;
pub mod host;
pub mod listener;
pub mod mesh;
pub mod metrics;
pub mod owner;
pub mod quorum;
pub mod quotas;
pub mod request;
pub mod response;
pub mod scatter;
pub mod sessions;
pub mod shard;
pub mod wire;

mod connection;
mod jobs;
mod pressure;
mod producer_ids;
mod transit;

pub use admission::Admission;
pub use clock::Clock;
pub use control::{ControlInbox, ControlPort, Forwarded, Images, Outcome, Proposal, Reassign, Responder};
pub use host::{Host, LogLevel, Loggers};
pub use listener::Server;
pub use mesh::{Link, Message};
pub use metrics::{About, Metrics, MetricsServer};
pub use quorum::{ChangeVoters, QuorumReplica, QuorumState, VoterChange};
pub use shard::{Shard, ShardParts};
