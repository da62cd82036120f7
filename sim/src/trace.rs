//! What happened, folded into one number: two runs of one seed must agree on it.

use std::{cell::Cell, rc::Rc};

#[derive(Clone, Default)]
pub struct Trace(Rc<State>);

#[derive(Default)]
struct State {
    hash: Cell<u64>,
    events: Cell<u64>,
    told: Cell<bool>,
}

const PRIME: u64 = 0x0100_0000_01b3;

impl Trace {
    /// FNV-1a over the words of an event.
    pub fn note(&self, event: &str, words: &[u64]) {
        let mut hash = self.0.hash.get() ^ 0xcbf2_9ce4_8422_2325;
        for byte in event.bytes().chain(words.iter().flat_map(|w| w.to_be_bytes())) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
        }
        self.0.hash.set(hash);
        self.0.events.set(self.0.events.get() + 1);
    }

    /// Whoever has something to say of what happens says it on the standard output.
    pub fn tell(&self) {
        self.0.told.set(true);
    }

    pub fn is_told(&self) -> bool {
        self.0.told.get()
    }

    pub fn hash(&self) -> u64 {
        self.0.hash.get()
    }

    pub fn events(&self) -> u64 {
        self.0.events.get()
    }
}
