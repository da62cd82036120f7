//! From a record's key to the last offset that it was written at: what a pass of compaction knows. Of fixed size and with
//! open addressing, so that it never grows in the midst of a pass; when it is full the pass ends there.
//!
//! It lives as long as its pass, and pages that no key falls into cost nothing: the memory is zeroed by the kernel.

use model::Offset;

use super::key_hash::{HashSeed, KeyHash, hash_key};

/// A hash and an offset.
pub const SLOT_BYTES: usize = 24;
/// So that the smallest budget still makes a step.
const SLOTS_MIN: usize = 16;

/// The hash, and the offset plus one: zero is a free slot.
type Slot = [u64; 3];

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

pub struct KeyMap {
    slots: Vec<Slot>,
    count: usize,
    count_max: usize,
    seed: HashSeed,
}

/// How large a key map may be, and how large it need be.
#[derive(Clone, Copy, Debug)]
pub struct KeyMapSize {
    /// `log.cleaner.dedupe.buffer.size`, or a shard's share of it.
    pub bytes_max: usize,
    /// `log.cleaner.io.buffer.load.factor`
    pub load_factor: f64,
    /// No more keys than this can come.
    pub keys_max: u64,
}

impl KeyMap {
    pub fn new(size: KeyMapSize, seed: HashSeed) -> Self {
        let load = if size.load_factor.is_finite() { size.load_factor.clamp(0.01, 0.99) } else { 0.9 };
        let wanted = (size.keys_max as f64 / load).ceil() as usize + 1;
        let slots = (size.bytes_max / SLOT_BYTES).min(wanted).max(SLOTS_MIN);
        let count_max = ((slots as f64 * load) as usize).clamp(1, slots - 1);
        Self { slots: vec![[0; 3]; slots], count: 0, count_max, seed }
    }

    /// The key was written at `offset`, which is above all those put before. `false`: there is no room for another key.
    pub fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        assert!(offset.0 >= 0 && offset.0 < i64::MAX, "offset {offset}");
        let hash = hash_key(self.seed, key);
        let at = self.find(hash);
        if self.slots[at][2] == 0 {
            if self.count == self.count_max {
                return false;
            }
            self.count += 1;
        }
        self.slots[at] = [hash[0], hash[1], offset.0 as u64 + 1];
        true
    }

    /// The last offset of a key, if it was put.
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let slot = self.slots[self.find(hash_key(self.seed, key))];
        slot[2].checked_sub(1).map(|offset| Offset(offset as i64))
    }

    pub fn key_count(&self) -> usize {
        self.count
    }

    pub fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES
    }

    /// The slot of a hash, or the free one where it belongs. One is always free.
    fn find(&self, hash: KeyHash) -> usize {
        let mut at = ((u128::from(hash[0]) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot[2] == 0 || slot[..2] == hash {
                return at;
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn size(bytes_max: usize, load_factor: f64, keys_max: u64) -> KeyMapSize {
        KeyMapSize { bytes_max, load_factor, keys_max }
    }

    #[test]
    fn it_is_as_large_as_it_need_be_and_no_larger_than_it_may() {
        fn check(size: KeyMapSize, slots: usize, count_max: usize) {
            let map = KeyMap::new(size, [1, 2]);
            assert_eq!((map.slots.len(), map.count_max), (slots, count_max), "{size:?}");
        }
        check(size(2400, 0.9, 1_000_000), 100, 90);
        check(size(2400, 0.5, 1_000_000), 100, 50);
        check(size(1 << 30, 0.9, 900), 1001, 900);
        check(size(0, 0.9, 10), 16, 14);
        check(size(0, 0.0, 10), 16, 1);
        check(size(2400, f64::NAN, 1_000_000), 100, 90);
        check(size(2400, 2.0, 1_000_000), 100, 99);
    }

    #[test]
    fn a_full_one_takes_known_keys_only() {
        let mut map = KeyMap::new(size(0, 0.5, 100), [1, 2]);
        let keys: Vec<[u8; 1]> = (0..8).map(|k| [k]).collect();
        for (n, key) in keys.iter().enumerate() {
            assert!(map.put(key, Offset(n as i64)));
        }
        assert!(!map.put(b"another", Offset(8)));
        assert_eq!(map.get(b"another"), None);
        assert!(map.put(&keys[3], Offset(9)));
        assert_eq!((map.get(&keys[3]), map.key_count()), (Some(Offset(9)), 8));
    }

    proptest! {
        #[test]
        fn it_remembers_as_an_ordered_map_does(
            puts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3), 0..300),
            bytes_max in 0usize..4000, seed in any::<[u64; 2]>(),
        ) {
            let (mut map, mut model) = (KeyMap::new(size(bytes_max, 0.9, 300), seed), BTreeMap::new());
            for (offset, key) in puts.iter().enumerate() {
                let fits = model.contains_key(key) || model.len() < map.count_max;
                prop_assert_eq!(map.put(key, Offset(offset as i64)), fits);
                if fits { model.insert(key.clone(), Offset(offset as i64)); }
            }
            for key in &puts {
                prop_assert_eq!(map.get(key), model.get(key).copied());
            }
            prop_assert_eq!(map.key_count(), model.len());
        }
    }
}
