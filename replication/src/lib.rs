//! A partition's replicas, on the shard that owns the partition: who leads, how far everyone is, who waits for that.
//!
//! `Partition` is all that a request handler talks to: a log with a role. `PartitionTable` holds a shard's partitions
//! and the queue of those who wait for them. The rules (`leader`, `waiters`) are pure; what is async here is so only
//! because the log below is. Nothing here knows a topic's name, a socket, or who decided the roles.

pub mod isr;
pub mod leader;
pub mod partition;
pub mod table;
pub mod traffic;
pub mod waiters;

pub use leader::Leader;
pub use partition::{AppendRules, Isolation, Lineage, Partition, PartitionError, PartitionState, ReadFrom};
pub use table::PartitionTable;
pub use traffic::Traffic;
pub use waiters::{Need, Place, Ticket, Woken};
