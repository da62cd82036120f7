//! Compaction: of each key the last record stays, of a topic with `cleanup.policy=compact`. Deciding is pure and apart from
//! doing; a log is compacted by its shard, in the background, a little at a time.
//!
//! ```text
//!   plan            which log, how far, which segments become one
//!   pass            learn_keys: the dirty part, into a key map of bounded size
//!                   clean: every batch through the filter into a new segment beside the log
//!   swap            the new segment in the place of the old ones, on the disk and in memory
//!   cleaner offset  where the next pass begins
//! ```
//! Offsets never change: the log gets holes. A pass that is interrupted leaves the segments that it has swapped.

use std::future::Future;

pub mod key_hash;
pub mod key_map;
pub mod throttle;

pub(crate) mod filter;
pub(crate) mod pass;
pub(crate) mod plan;
pub(crate) mod rewrite;
pub(crate) mod sources;
pub(crate) mod swap;
pub(crate) mod transactions;

pub use pass::PassReport;
pub use plan::{CompactionConfig, DirtyRatio};
pub use swap::SwapError;

/// How fast a pass may go, which its shard knows.
pub trait Pace {
    /// So many bytes were read or written, perhaps none: returns when the pass may go on, after others had their turn.
    fn spent(&self, bytes: usize) -> impl Future<Output = ()>;

    /// Runs what takes longer than others should wait for.
    fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = T>;

    /// The pass is to end, and another life goes on with its work.
    fn is_stopping(&self) -> bool;
}
