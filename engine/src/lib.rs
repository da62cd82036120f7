//! One shard's logs on one disk, through one door (`disk`).
//!
//! A `Store` is what a shard holds: its logs, its journal, its caches. `Store::append` fixes an offset and returns at
//! once; `Store::commit`, driven by one pump, makes appends durable in groups and answers which logs moved;
//! `Store::maintain`, driven by another, carries bytes from memory to Kafka's segment files and gives journal space back.
//! Nothing here knows a replica, a coordinator or a socket, and nothing here reads a clock.

pub mod checkpoint;
pub mod compaction;
pub mod compression;
pub mod disk;
pub mod epochs;
pub mod index;
pub mod journal;
pub mod log;
pub mod producers;
pub mod properties;
pub mod records;
pub mod recovery;
pub mod retention;
pub mod store;

mod block_reader;
mod chunk_cache;
mod concurrent;
mod dropped;
mod exclusive;
mod residents;

pub use disk::{Disk, DiskFigures};
pub use exclusive::Exclusive;
pub use log::{
    AppendError, Appended, Durability, Ends, Log, LogConfig, SharedLog,
    open::OpenError,
    read::{ReadBatches, ReadError, ReadRange},
};
pub use store::{Compacted, CompactionBudget, Failed, Store, StoreFigures, StoreOptions, TruncateError};
