//! How a follower gets what its leader has: one lane from the shard of the follower to the shard of the leader, for all
//! partitions between the two.
//!
//! ```text
//!   follower                                   leader
//!   Follow(epoch, end, epoch of the end) --->  the same past?
//!                                        <---  Diverged(where)   cut there, follow again
//!                                        <---  Restart(start)    nothing in common is left, begin there
//!                                        <---  Batches(...)      pushed as they are appended, for ever
//!   Acknowledged(end) ------------------->     the high watermark
//! ```
//! The lane's flow control is the credit: who takes nothing in is sent nothing more. A lane that ends begins again with
//! Follow, so nothing of it need be remembered.

pub mod feeder;
pub mod frame;
pub mod replicator;

pub use feeder::serve_follower;
pub use replicator::{Dial, NoLane, Replicator};

#[cfg(test)]
mod tests;
