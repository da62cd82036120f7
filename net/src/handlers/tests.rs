//! Handlers against whole shards on a disk in memory: no socket, no executor, a clock that stands still until it is told.

mod admin;
mod cluster;
mod configs;
mod fetch;
mod forwards;
mod leaders;
mod metadata;
mod near;
mod offsets;
mod produce;
mod quotas;
mod versions;
pub(crate) mod world;
