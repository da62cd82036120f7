//! The coordinator as the edge sees it.

mod classic;
mod consumer;
mod consumer_random;
mod migration;
mod offsets;
mod random;
mod replay;
mod world;
