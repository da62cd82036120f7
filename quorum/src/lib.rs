//! A broker's part in the consensus about the metadata: gives the pure node (`coordinator::raft`) time, messages and
//! proposals, and does what it says in the order in which it says it. What a disk, a network and a clock are, whoever
//! runs it says: a broker, or the simulator.
//!
//! ```text
//!   tick, messages, proposals, durable ends -> Node -> actions -+-> Keep: the vote, snapshots; the log
//!                                                               +-> Reach: messages to the others
//!                                                               +-> committed records -> image
//!
//!   proposal -+-> this broker leads:   its turn -> Judge (pure) -> records -> Node -> committed -> answer
//!             +-> another one does:    over the network, and back
//!             +-> nobody is known to:  waits
//! ```

mod change;
mod consensus;
mod decisions;
mod edges;
mod outbox;

#[cfg(test)]
mod tests;

pub use change::Change;
pub use consensus::{Consensus, ConsensusError, NotCommitted, Parts, Standing};
pub use decisions::{Decided, Decisions, Failed, Judge, Pulse, Route, Session, unknown};
pub use edges::{Doing, Keep, NoSnapshot, Reach, Unwatched, Watch};
