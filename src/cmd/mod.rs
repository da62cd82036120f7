//! The commands that are clients: what each prints and when it ends. The protocol is in `client`.

pub mod consume;
pub mod group;
pub mod lines;
pub mod produce;
pub mod progress;
pub mod table;
pub mod topic;
