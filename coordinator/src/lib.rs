//! What the cluster knows and who decides it: metadata records and the image they fold into, the table of every
//! configuration key, and the controller that turns a request into answers and records.
//!
//! Pure. Time, randomness and the current image are arguments; the answer is a value. On every shard lives an
//! immutable [`Image`]; the controller runs where the metadata log is written. Nothing here knows a wire format, a
//! socket or a file: the caller maps requests to these types, appends the records and publishes the next image.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)] // clippy.toml: what a pure crate has no use for

pub mod config;
pub mod controller;
pub mod group;
pub mod metadata;
pub mod quotas;
pub mod raft;
pub mod throttle;

pub use config::{BrokerConfig, Quorum, TopicConfig, VoterAddress};
pub use controller::{Controller, Decision, Refusal};
pub use metadata::{BadRecord, ConfigResource, Image, ImageDelta, MetadataRecord};
