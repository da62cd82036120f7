//! The commands that are no broker: what each prints and when it ends. The protocol is in `client`; `cert` needs none, and `demo`
//! starts brokers.

pub mod cert;
pub mod cluster;
pub mod consume;
pub mod demo;
pub mod group;
pub mod lines;
pub mod produce;
pub mod progress;
pub mod table;
pub mod topic;
