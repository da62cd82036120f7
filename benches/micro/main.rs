//! What the parts of the data path cost, each beside the least it could cost on the same machine in the same run: a
//! copy, a checksum, a system call, a search in plain numbers. A figure alone says little, the ratio to its ceiling
//! says what is left to gain.
//!
//! `cargo bench` takes some minutes, `cargo bench -- --quick` fewer, `cargo bench -- wire` one group.
//! `docs/performance.md` has the ratios.

mod append;
mod ceiling;
mod index;
mod journal_frame;
mod null_disk;
mod record_batch;
mod ring;
mod wire;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    record_batch::benches,
    append::benches,
    journal_frame::benches,
    wire::benches,
    index::benches,
    ring::benches,
);
criterion_main!(benches);
