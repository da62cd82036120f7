//! Every fuzz target over its corpus, and over a few thousand changed inputs: the same ones in every run. It finds what a
//! change breaks; what nobody has thought of is found by the fuzzers themselves (`docs/testing.md`).

use std::{fs, panic, path::Path};

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, dead_code, reason = "a library where the fuzzers use it")]
mod targets;

/// xorshift64 (Marsaglia 2003)
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Inputs as a fuzzer would make them from two of the corpus: bytes changed, taken out, put in, or crossed over.
fn mutate(one: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = one.to_vec();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        match random.below(7) {
            _ if bytes.is_empty() => bytes.push(random.next() as u8),
            0 => bytes[at] = random.next() as u8,
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
            3 => bytes.insert(at, random.next() as u8),
            4 => {
                let until = (at + 1 + random.below(8)).min(bytes.len());
                bytes.drain(at..until);
            }
            5 => {
                let part = random.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[part..]);
            }
            _ => {
                let until = (at + 1 + random.below(16)).min(bytes.len());
                let copy = bytes[at..until].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, copy);
            }
        }
    }
    bytes
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&dir).expect("every target has a corpus");
    let mut inputs: Vec<_> = entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("readable"))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty());
    inputs
}

fn smoke(target: &str, run: fn(&[u8]), mutations: usize) {
    let inputs = corpus(target);
    for (name, bytes) in &inputs {
        one(run, bytes, &format!("fuzz/corpus/{target}/{name}"));
    }
    let mut random = Random(0x0ddb_a115);
    for n in 0..mutations {
        let (first, second) = (random.below(inputs.len()), random.below(inputs.len()));
        let bytes = mutate(&inputs[first].1, &inputs[second].1, &mut random);
        one(run, &bytes, &format!("mutation {n} of {}", inputs[first].0));
    }
}

/// Says which input it was, and keeps it where a fuzzer can take it up.
fn one(run: fn(&[u8]), bytes: &[u8], what: &str) {
    if let Err(cause) = panic::catch_unwind(|| run(bytes)) {
        let path = std::env::temp_dir().join("tailrace-fuzz-smoke-input");
        let kept = fs::write(&path, bytes).map_or_else(|e| e.to_string(), |()| path.display().to_string());
        eprintln!("{what} fails; its {} bytes are in {kept}", bytes.len());
        panic::resume_unwind(cause);
    }
}

#[test]
fn request_decoder() {
    let missing: Vec<_> =
        targets::request_decoder::keys().filter(|key| !targets::request_decoder::knows(*key)).collect();
    assert!(missing.is_empty(), "add {missing:?} to fuzz/src/request_decoder.rs");
    smoke("request_decoder", targets::request_decoder::run, 20_000);
}

#[test]
fn record_batch() {
    smoke("record_batch", targets::record_batch::run, 10_000);
}

#[test]
fn recovery() {
    smoke("recovery", targets::recovery::run, 1_500);
}

#[test]
fn index_files() {
    smoke("index_files", targets::index_files::run, 20_000);
}

#[test]
fn metadata_records() {
    smoke("metadata_records", targets::metadata_records::run, 10_000);
}

#[test]
fn consensus_messages() {
    smoke("consensus_messages", targets::consensus_messages::run, 20_000);
}
