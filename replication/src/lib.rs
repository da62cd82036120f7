//! A partition's replicas, on the shard that owns the partition: who leads, how far everyone is, who waits for that.
//!
//! `Partition` is all that a request handler talks to: a log with a role. `PartitionTable` holds a shard's partitions
//! and the queue of those who wait for them. The rules (`leader`, `waiters`) are pure; what is async here is so only
//! because the log below is. `transport` carries frames between brokers, whatever they say. Nothing here knows a topic's
//! name, or who decided the roles.

pub mod feed;
pub mod isr;
pub mod leader;
pub mod pace;
pub mod partition;
pub mod runtime;
pub mod stream;
pub mod table;
pub mod traffic;
pub mod transport;
pub mod waiters;

pub use feed::Feed;
pub use leader::Leader;
pub use pace::{Pace, Unhindered};
pub use partition::{
    AppendRules, Held, Isolation, Lineage, Partition, PartitionError, PartitionState, ReadFrom, Serves,
};
pub use runtime::{OnShard, Runtime};
pub use table::PartitionTable;
pub use traffic::Traffic;
pub use waiters::{Mark, Need, Place, Ticket, Woken};
