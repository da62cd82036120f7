//! Which blocks of which slab are free: a buddy allocator over numbers, no memory in sight. It prefers the slab
//! with the lowest index, so that the slabs behind it run empty and can be given back.

/// Smallest block, and the alignment of every block.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Sizes are `BLOCK_BYTES << order`, `order` in `0..ORDER_COUNT`: 4 KiB to 1 MiB.
pub(super) const ORDER_COUNT: usize = 9;
const LARGEST: usize = 1 << (ORDER_COUNT - 1);
/// A slab is a few of the largest blocks, so that one alone never pins much memory.
pub(super) const SLAB_BLOCKS: usize = 4 * LARGEST;
pub(super) const SLAB_BYTES: usize = SLAB_BLOCKS * BLOCK_BYTES;

const _: () = assert!(SLAB_BLOCKS.is_multiple_of(LARGEST));

/// A block in use: `index` counts `BLOCK_BYTES` from the slab's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    pub(super) slab: usize,
    pub(super) index: usize,
    pub(super) order: usize,
}

#[derive(Default)]
pub(super) struct Buddies {
    slabs: Vec<Slab>,
    /// Per order: the slabs that have a free block of it.
    with_free: [Bits; ORDER_COUNT],
}

#[derive(Default)]
struct Slab {
    mapped: bool,
    used_blocks: usize,
    /// Per order: the free blocks, numbered in units of that order.
    free: [Bits; ORDER_COUNT],
}

impl Buddies {
    /// Takes a free block of `order`, splitting a larger one where needed. `None`: another slab is needed.
    pub(super) fn take(&mut self, order: usize) -> Option<Spot> {
        assert!(order < ORDER_COUNT);
        let (from, slab) = (order..ORDER_COUNT).find_map(|o| Some((o, self.with_free[o].first()?)))?;
        let mut unit = self.slabs[slab].free[from].first().expect("the summary says there is one");
        self.set_used(slab, from, unit);
        for o in (order..from).rev() {
            unit *= 2;
            self.set_free(slab, o, unit + 1);
        }
        self.slabs[slab].used_blocks += 1 << order;
        Some(Spot { slab, index: unit << order, order })
    }

    /// Puts a block back and joins it with its free buddies. True: the slab is now wholly free.
    pub(super) fn give_back(&mut self, spot: Spot) -> bool {
        let (mut unit, mut order) = (spot.index >> spot.order, spot.order);
        assert!(!self.slabs[spot.slab].free[order].test(unit), "a block was given back twice");
        while order + 1 < ORDER_COUNT && self.slabs[spot.slab].free[order].test(unit ^ 1) {
            self.set_used(spot.slab, order, unit ^ 1);
            unit /= 2;
            order += 1;
        }
        self.set_free(spot.slab, order, unit);
        let slab = &mut self.slabs[spot.slab];
        slab.used_blocks -= 1 << spot.order;
        slab.used_blocks == 0
    }

    /// Adds a wholly free slab and returns its index: the lowest that is not mapped.
    pub(super) fn add_slab(&mut self) -> usize {
        let index = self.slabs.iter().position(|slab| !slab.mapped).unwrap_or(self.slabs.len());
        if index == self.slabs.len() {
            self.slabs.push(Slab::default());
        }
        self.slabs[index].mapped = true;
        for unit in 0..SLAB_BLOCKS / LARGEST {
            self.set_free(index, ORDER_COUNT - 1, unit);
        }
        index
    }

    /// Forgets a wholly free slab; its index may come again.
    pub(super) fn remove_slab(&mut self, index: usize) {
        assert!(self.is_wholly_free(index));
        for unit in 0..SLAB_BLOCKS / LARGEST {
            self.set_used(index, ORDER_COUNT - 1, unit);
        }
        self.slabs[index].mapped = false;
    }

    pub(super) fn is_wholly_free(&self, index: usize) -> bool {
        self.slabs[index].mapped && self.slabs[index].used_blocks == 0
    }

    fn set_free(&mut self, slab: usize, order: usize, unit: usize) {
        self.slabs[slab].free[order].set(unit);
        self.with_free[order].set(slab);
    }

    fn set_used(&mut self, slab: usize, order: usize, unit: usize) {
        let free = &mut self.slabs[slab].free[order];
        free.clear(unit);
        if free.is_empty() {
            self.with_free[order].clear(slab);
        }
    }
}

/// A growing set of small numbers.
#[derive(Default)]
struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    fn test(&self, bit: usize) -> bool {
        self.words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn set(&mut self, bit: usize) {
        if self.words.len() <= bit / 64 {
            self.words.resize(bit / 64 + 1, 0);
        }
        self.count += usize::from(!self.test(bit));
        self.words[bit / 64] |= 1 << (bit % 64);
    }

    fn clear(&mut self, bit: usize) {
        self.count -= usize::from(self.test(bit));
        if let Some(word) = self.words.get_mut(bit / 64) {
            *word &= !(1 << (bit % 64));
        }
    }

    fn first(&self) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let at = self.words.iter().position(|&word| word != 0)?;
        Some(at * 64 + self.words[at].trailing_zeros() as usize)
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_holds_exactly_its_blocks() {
        let mut buddies = Buddies::default();
        assert_eq!(buddies.take(0), None);
        assert_eq!(buddies.add_slab(), 0);
        let mut seen = vec![false; SLAB_BLOCKS];
        while let Some(spot) = buddies.take(0) {
            assert!(!std::mem::replace(&mut seen[spot.index], true));
        }
        assert!(seen.iter().all(|&s| s));
    }

    #[test]
    fn blocks_given_back_join_into_the_largest() {
        let mut buddies = Buddies::default();
        buddies.add_slab();
        let spots: Vec<_> = std::iter::from_fn(|| buddies.take(0)).collect();
        for (n, &spot) in spots.iter().rev().enumerate() {
            assert_eq!(buddies.give_back(spot), n + 1 == spots.len());
        }
        for _ in 0..4 {
            assert!(buddies.take(ORDER_COUNT - 1).is_some());
        }
        assert_eq!(buddies.take(0), None);
    }

    #[test]
    fn the_lowest_slab_fills_first_and_a_removed_index_comes_again() {
        let mut buddies = Buddies::default();
        buddies.add_slab();
        let low = buddies.take(8).unwrap();
        buddies.add_slab();
        for _ in 0..3 {
            assert_eq!(buddies.take(8).unwrap().slab, 0);
        }
        let high = buddies.take(3).unwrap();
        assert_eq!(high.slab, 1);
        assert!(!buddies.give_back(low));
        assert!(buddies.give_back(high));
        buddies.remove_slab(1);
        assert_eq!(buddies.take(3).unwrap().slab, 0);
        assert_eq!(buddies.add_slab(), 1);
    }

    #[test]
    #[should_panic(expected = "given back twice")]
    fn giving_back_twice_is_caught() {
        let mut buddies = Buddies::default();
        buddies.add_slab();
        let (spot, _held) = (buddies.take(0).unwrap(), buddies.take(0).unwrap());
        buddies.give_back(spot);
        buddies.give_back(spot);
    }

    /// Random takes and returns against a naive map of blocks.
    #[test]
    fn no_block_is_ever_handed_out_twice() {
        let mut buddies = Buddies::default();
        buddies.add_slab();
        let mut owner = vec![0u32; SLAB_BLOCKS];
        let (mut held, mut seed) = (Vec::new(), 1u64);
        for turn in 1..if cfg!(miri) { 300 } else { 20_000 } {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let dice = (seed >> 33) as usize;
            if dice.is_multiple_of(3) && !held.is_empty() {
                let spot: Spot = held.swap_remove(dice / 3 % held.len());
                owner[spot.index..][..1 << spot.order].fill(0);
                buddies.give_back(spot);
            } else if let Some(spot) = buddies.take(dice / 3 % ORDER_COUNT) {
                assert_eq!(spot.index % (1 << spot.order), 0);
                assert!(owner[spot.index..][..1 << spot.order].iter().all(|&o| o == 0));
                owner[spot.index..][..1 << spot.order].fill(turn);
                held.push(spot);
            }
        }
    }
}
