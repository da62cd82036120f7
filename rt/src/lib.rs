//! The runtime under every shard: executor and timers, a ring of our own beside the executor's, files, sockets,
//! channels between shards, and the pages that record bytes live in.
//!
//! Everything here belongs to one shard and is not `Send`, except `pages::PageSlice`, which may cross shards and
//! finds its way home, and the builders that are used before the shards start. Only this crate knows which executor
//! and which ring library are below; its errors are `std::io::Error`.

mod affinity;
mod blocking;
pub mod channel;
pub mod child;
mod eventfd;
pub mod executor;
mod fd;
pub mod file;
pub mod net;
pub mod notify;
pub mod oneshot;
pub mod pages;
pub mod preflight;
pub mod ring;
pub mod signal;
pub mod timer;
mod turn;
mod waker;

pub use blocking::{blocking, blocking_aside, blocking_calls};
pub use channel::{Mesh, MeshBuilder};
pub use executor::{
    ExecutorOptions, Shard, run_shards, run_single, spawn, spawn_background, spawn_in_turns, spawned_tasks,
    yield_if_needed, yield_now,
};
pub use oneshot::oneshot;
