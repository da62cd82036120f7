//! The commands that are clients: what each prints and when it ends. The protocol is in `client`.

pub mod consume;
pub mod lines;
pub mod produce;
pub mod progress;
pub mod topic;
