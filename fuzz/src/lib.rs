//! What each fuzz target does with its input: it reads foreign bytes the way the broker does, and panics where the
//! broker would have panicked or lied. No libFuzzer here: `fuzz_targets/` feeds these bodies with coverage, and
//! `sim/tests/fuzz_smoke.rs` takes them in as a module and runs them over the corpus with every test run.
//!
//! In both places the paths are relative to this folder, so nothing in it says `crate::`.

pub mod consensus_messages;
pub mod index_files;
pub mod input;
pub mod metadata_records;
pub mod record_batch;
pub mod recovery;
pub mod request_decoder;
