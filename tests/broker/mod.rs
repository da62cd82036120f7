//! What the black-box tests share: a broker as a process of its own, a raw client, batches, and places on the disk.
//!
//! Nothing here knows how the broker works inside; it is started, killed, asked over TCP, and its files are looked at
//! while it is down.

#![allow(dead_code, unused_imports, reason = "each test file uses its part")]

pub(crate) mod batch;
pub(crate) mod client;
pub(crate) mod exposition;
pub(crate) mod process;
pub(crate) mod scratch;

pub(crate) use batch::{Rec, batch_of, patched};
pub(crate) use client::{Client, FetchAt, Fetched, Produced};
pub(crate) use process::{Broker, Launch, refusal};
pub(crate) use scratch::Scratch;

use std::{
    thread,
    time::{Duration, Instant},
};

/// Far more than anything here takes, also on a machine with other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Looks until there is something to see.
///
/// # Panics
/// With `what`, when `patience` is over.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain: {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

/// Says aloud that something was not tested; where every test is meant to run (CI=true) that is a failure.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "nothing may be skipped here: {why}");
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number() as u8).collect()
    }
}

/// A number behind zeros, longer than a format string can ask for.
pub(crate) fn padded(number: i32, width: usize) -> String {
    let digits = number.to_string();
    "0".repeat(width - digits.len()) + &digits
}
