//! SipHash-2-4 with 128 bits (Aumasson and Bernstein): what stands for a key in the key map. Its own key is random and new
//! in each pass, so nobody can make two record keys that meet.

/// What stands for a record's key.
pub type KeyHash = [u64; 2];

/// Random, of one pass.
pub type HashSeed = [u64; 2];

pub fn hash_key(seed: HashSeed, key: &[u8]) -> KeyHash {
    let mut state = State::new(seed);
    let (words, rest) = key.as_chunks::<8>();
    for word in words {
        state.absorb(word_of(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = key.len() as u8;
    state.absorb(word_of(last));
    state.finish()
}

/// The algorithm reads its words with the lowest byte first, on every machine.
fn word_of(mut bytes: [u8; 8]) -> u64 {
    bytes.reverse();
    u64::from_be_bytes(bytes)
}

struct State([u64; 4]);

impl State {
    fn new([k0, k1]: HashSeed) -> Self {
        Self([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds(2);
        self.0[0] ^= word;
    }

    fn finish(mut self) -> KeyHash {
        self.0[2] ^= 0xee;
        self.rounds(4);
        let first = self.0.iter().fold(0, |all, v| all ^ v);
        self.0[1] ^= 0xdd;
        self.rounds(4);
        [first, self.0.iter().fold(0, |all, v| all ^ v)]
    }

    fn rounds(&mut self, count: usize) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..count {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the authors' own table: the key is 00 01 02 ..., and so is the input.
    #[test]
    fn the_authors_answers_come_out() {
        fn check(bytes: u8, expected: u128) {
            let seed = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
            let input: Vec<u8> = (0..bytes).collect();
            let [first, second] = hash_key(seed, &input);
            let got = u128::from(first.swap_bytes()) << 64 | u128::from(second.swap_bytes());
            assert_eq!(got, expected, "{bytes} bytes: {got:032x}");
        }
        check(0, 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293);
        check(1, 0xda87_c1d8_6b99_af44_3476_5911_9b22_fc45);
        check(2, 0x8177_228d_a4a4_5dc7_fca3_8bde_f60a_ffe4);
        check(3, 0x9c70_b60c_5267_a94e_5f33_b6b0_2985_ed51);
    }

    #[test]
    fn another_seed_gives_another_hash() {
        assert_ne!(hash_key([1, 2], b"key"), hash_key([1, 3], b"key"));
        assert_ne!(hash_key([1, 2], b"key"), hash_key([1, 2], b"kez"));
        assert_ne!(hash_key([1, 2], b""), hash_key([1, 2], b"\0"));
    }
}
