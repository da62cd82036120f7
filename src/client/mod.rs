//! A small Kafka client for the command line tools: blocking, over `std::net` and the codec of `net::wire`. It works
//! with any Kafka broker and knows nothing of the one in this process.
//!
//! `connection` is one socket with the versions its broker speaks; `cluster` finds the broker that leads a partition;
//! `admin` changes topics; `quorum`, `reassignments` and `throttles` look at the cluster and change it; `batch` and `producer` send; `consumer` reads and `format` prints; `groups` looks into groups
//! and moves their offsets, `waiting` and `log_dirs` measure. What it deliberately does not do: join a group, transactions,
//! TLS, authentication.

pub mod admin;
pub mod batch;
pub mod cluster;
pub mod connection;
pub mod consumer;
pub mod error;
pub mod format;
pub mod groups;
pub mod log_dirs;
pub mod offsets;
pub mod partitioner;
pub mod producer;
pub mod quorum;
pub mod reassignments;
pub mod records;
pub mod throttles;
pub mod time;
pub mod waiting;

pub use cluster::Cluster;
pub use connection::Connection;
