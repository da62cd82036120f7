//! Which partition a record goes to when nobody says: by its key as Kafka's own producer does it, so that one key has
//! one partition whoever writes it, and without a key a batch to each in turn.

#[derive(Clone, Debug)]
pub enum Partitioner {
    Fixed(i32),
    /// The partition that keyless records go to at the moment, out of `count`.
    ByKey {
        count: i32,
        current: i32,
    },
}

impl Partitioner {
    pub fn choose(&self, key: Option<&[u8]>) -> i32 {
        match (self, key) {
            (Self::Fixed(partition), _) => *partition,
            (Self::ByKey { count, .. }, Some(key)) => ((murmur2(key) & 0x7fff_ffff) % *count as u32) as i32,
            (Self::ByKey { current, .. }, None) => *current,
        }
    }

    /// The keyless batch of `partition` is full: the next goes elsewhere.
    pub fn batch_is_full(&mut self, partition: i32) {
        if let Self::ByKey { count, current } = self
            && *current == partition
        {
            *current = (partition + 1) % *count;
        }
    }
}

/// MurmurHash2 (Appleby), 32 bits, with the seed of Kafka's default partitioner.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let (words, tail) = bytes.as_chunks::<4>();
    let mut h = SEED ^ bytes.len() as u32;
    for word in words {
        // The hash is defined on little-endian words.
        let mut k = word.iter().rev().fold(0, |k, &b| k << 8 | u32::from(b)).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        h = (h ^ tail.iter().rev().fold(0, |k, &b| k << 8 | u32::from(b))).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that Kafka's own tests hold.
    #[test]
    fn keys_hash_as_kafkas_producer_hashes_them() {
        fn check(key: &str, expected: i32) {
            assert_eq!(murmur2(key.as_bytes()) as i32, expected, "{key}");
        }
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971);
    }

    #[test]
    fn keyless_batches_take_turns_and_keyed_ones_stay() {
        let mut partitioner = Partitioner::ByKey { count: 3, current: 0 };
        let keyed = partitioner.choose(Some(b"21"));
        for expected in [0, 1, 2, 0] {
            let partition = partitioner.choose(None);
            assert_eq!(partition, expected);
            partitioner.batch_is_full((partition + 1) % 3);
            assert_eq!(partitioner.choose(None), expected);
            partitioner.batch_is_full(partition);
        }
        assert_eq!(partitioner.choose(Some(b"21")), keyed);
        assert_eq!(Partitioner::Fixed(7).choose(Some(b"21")), 7);
    }
}
