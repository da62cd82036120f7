//! Where the journal's live part begins: two alternating copies in the file's first two blocks. Pure.
//!
//! ```text
//!  0 magic 8 | 8 version 4 | 12 shard 4 | 16 generation 8 | 24 salt 8 | 32 tail position 8
//! 40 tail sequence 8 | 48 previous crc 4 | 52 crc 4 (of bytes 0..52)
//! ```
//! A tear destroys at most the copy being written; the other one still names a tail that is at most older, and older
//! frames are replayed again without harm.

use model::batch::crc32c;
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{U32, U64},
};

use super::frame::{BLOCK, Link};

const MAGIC: [u8; 8] = *b"TRJOURN1";
const VERSION: u32 = 1;
const CHECKED_BYTES: usize = 52;
/// Copies, a block each, before the first frame.
pub const COPIES: usize = 2;
/// Where frames begin.
pub const FRAMES_FROM: u64 = (COPIES * BLOCK) as u64;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct Layout {
    magic: [u8; 8],
    version: U32,
    shard: U32,
    generation: U64,
    salt: U64,
    tail_position: U64,
    tail_sequence: U64,
    previous_crc: U32,
    crc: U32,
}

const _: () = assert!(size_of::<Layout>() == CHECKED_BYTES + 4);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Superblock {
    pub shard: u32,
    /// Rises with each write; the higher of two valid copies counts.
    pub generation: u64,
    pub tail_position: u64,
    /// What the frame at the tail must be.
    pub tail: Link,
}

impl Superblock {
    /// Which of the two copies this generation goes to.
    pub fn copy_index(&self) -> usize {
        (self.generation % COPIES as u64) as usize
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut layout = Layout {
            magic: MAGIC,
            version: VERSION.into(),
            shard: self.shard.into(),
            generation: self.generation.into(),
            salt: self.tail.salt.into(),
            tail_position: self.tail_position.into(),
            tail_sequence: self.tail.sequence.into(),
            previous_crc: self.tail.previous_crc.into(),
            crc: 0.into(),
        };
        layout.crc = crc32c(&layout.as_bytes()[..CHECKED_BYTES]).into();
        layout.as_bytes().to_vec()
    }

    fn decode(block: &[u8]) -> Option<Self> {
        let (layout, _) = Layout::read_from_prefix(block).ok()?;
        let sound = layout.magic == MAGIC
            && layout.version.get() == VERSION
            && layout.crc.get() == crc32c(&layout.as_bytes()[..CHECKED_BYTES])
            && layout.tail_position.get() >= FRAMES_FROM
            && layout.tail_position.get() % BLOCK as u64 == 0;
        sound.then(|| Self {
            shard: layout.shard.get(),
            generation: layout.generation.get(),
            tail_position: layout.tail_position.get(),
            tail: Link {
                salt: layout.salt.get(),
                sequence: layout.tail_sequence.get(),
                previous_crc: layout.previous_crc.get(),
            },
        })
    }

    /// The newer valid copy of a journal's first blocks.
    pub fn newest(first_blocks: &[u8]) -> Option<Self> {
        first_blocks.chunks(BLOCK).take(COPIES).filter_map(Self::decode).max_by_key(|s| s.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock(generation: u64) -> Superblock {
        let tail = Link { salt: 5, sequence: generation * 10, previous_crc: 3 };
        Superblock { shard: 1, generation, tail_position: FRAMES_FROM, tail }
    }

    #[test]
    fn the_newer_copy_counts_and_a_torn_one_does_not() {
        let mut blocks = vec![0u8; COPIES * BLOCK];
        for generation in [6, 7] {
            let s = superblock(generation);
            let encoded = s.encode();
            blocks[s.copy_index() * BLOCK..][..encoded.len()].copy_from_slice(&encoded);
        }
        assert_eq!(Superblock::newest(&blocks), Some(superblock(7)));
        blocks[BLOCK + 20] ^= 1;
        assert_eq!(Superblock::newest(&blocks), Some(superblock(6)));
        blocks[20] ^= 1;
        assert_eq!(Superblock::newest(&blocks), None);
        assert_eq!(Superblock::newest(&[]), None);
    }
}
