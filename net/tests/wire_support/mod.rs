//! What the codec's tests share: the schemas, random messages made from them, every API by its module's name.
#![allow(dead_code, reason = "each test uses its part")]

#[path = "../../src/bin/generate/schema.rs"]
pub(crate) mod schema;

pub(crate) mod apis;
pub(crate) mod sample;
pub(crate) mod tree;

use std::fs;
use std::path::Path;

use schema::{Api, Side};

pub(crate) const SIDES: [Side; 2] = [Side::Request, Side::Response];

/// All schemas, by API key.
pub(crate) fn schemas() -> Vec<Api> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let mut apis = Vec::new();
    for entry in fs::read_dir(directory).expect("the schemas are there") {
        let path = entry.expect("a readable directory").path();
        if path.extension().is_some_and(|e| e == "schema") {
            let module = path.file_stem().and_then(|stem| stem.to_str()).expect("plain names");
            let text = fs::read_to_string(&path).expect("a readable schema");
            apis.push(schema::parse(module, &text).expect("a schema that makes sense"));
        }
    }
    apis.sort_by_key(|api| api.key);
    apis
}

/// SplitMix64: the same seed, the same messages.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}
