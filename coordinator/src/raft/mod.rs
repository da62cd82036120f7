//! Consensus: who leads the cluster's metadata log, and what of it is committed. Raft (Ongaro and Ousterhout 2014, and
//! Ongaro's thesis) in the words of KRaft: epochs, a high watermark, voters and observers.
//!
//! Pure: messages, appends that became durable and the time go in, actions come out, in the order in which they must be
//! done. Entries are opaque; what they mean is for `metadata`. A node is on one shard; a broker alone is a quorum of
//! one, by the same code.
//!
//! Deliberately absent: the bytes of snapshots, which the edge carries in chunks, and joint consensus: voters change
//! one at a time.

mod actions;
pub mod codec;
mod config;
mod election;
mod following;
mod hard_state;
mod leading;
mod log;
mod membership;
mod message;
mod node;
mod progress;
mod quorum;

#[cfg(test)]
mod tests;

pub use actions::{Action, ReadId};
pub use config::RaftConfig;
pub use hard_state::HardState;
pub use leading::{ProposeError, Replica};
pub use log::{Entry, Log, Payload, PersistId, Position};
pub use message::{Body, Message, Round};
pub use node::{Context, Node, Stored};
pub use quorum::{VOTERS_MAX, Voters};
