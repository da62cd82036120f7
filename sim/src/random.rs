//! The only source of chance: one seed, and a stream of its own for each part of the world, so that a new draw in one part
//! shifts no other.

/// SplitMix64 (Steele, Lea, Flood 2014)
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream of the same seed; `salt` names the part.
    pub fn stream(seed: u64, salt: &str) -> Self {
        let mut random = Self(seed);
        for byte in salt.bytes() {
            random.0 = random.next() ^ u64::from(byte);
        }
        random
    }

    #[expect(clippy::should_implement_trait, reason = "a stream that never ends has no `None`")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0);
        self.next() % end
    }

    pub fn between(&mut self, from: u64, until: u64) -> u64 {
        from + self.below(until - from)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}
