//! The coordinator as the edge sees it.

mod classic;
mod offsets;
mod random;
mod world;
