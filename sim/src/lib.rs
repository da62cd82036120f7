//! A seeded simulator: production code on a cruel disk and a virtual clock, through several lives with crashes, errors,
//! a full disk and rot, and checkers that know what was promised. The same seed gives the same world, down to each write.
//!
//! ```text
//!   plan (swarm) --> world: recovery --> workload + pumps, polled in an order of the seed --> the end --> next life
//!                      |                       |                                               |
//!                    disk (slow, failing)    ghost (what was appended and promised)          checkers
//! ```
//! `world` is one broker's storage, `cluster` several brokers and what goes between them. Nothing in production code knows that it is simulated.

pub mod batches;
pub mod checkers;
pub mod cluster;
pub mod disk;
pub mod executor;
pub mod ghost;
pub mod plan;
pub mod random;
pub mod retention;
pub mod trace;
pub mod workload;
pub mod world;
